# SPDX-License-Identifier: Apache-2.0
"""What carries the bytes of all forwards of a guest: links, each with a socket of the host, with something of the
guest, or with both.

Nothing in here waits. A face watches the sockets and the port, says which of them is ready, and has the relay do its
steps. A link that is woken does what can be done now, and says what it wants its socket to be watched for. What it
holds is bounded by the window of its stream.

A link refers to its relay weakly: a machine that is dropped goes at once, with its forwards.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..._host.low_descriptors import moved_high
from ...errors import Error
from ..deadline import Deadline
from .session import Session
from .streams import Stream, Subject, Waits

if TYPE_CHECKING:
    import socket

__all__ = ["NEVER", "Link", "Relay", "Watch"]

NEVER: Final = Deadline(None)


class Watch(Protocol):
    """A face's watch over sockets."""

    def watch(self, number: int, reading: bool, writing: bool) -> None:
        """Watches a socket for what is true from now on, and for nothing if nothing is. It is said again and again as
        long as it is so."""


class Link:
    """One thing that is carried."""

    def __init__(self, relay: Relay) -> None:
        # Of another link it is weak already.
        weak: Any = relay if isinstance(relay, weakref.ProxyType) else weakref.proxy(relay)
        self._relay: Relay = weak
        self.socket: socket.socket | None = None
        # What the socket is watched for.
        self.reading = False
        self.writing = False
        # When to step even if nothing changes.
        self.due: float | None = None
        self.over = False
        self._steps: Waits[Stream] | None = None
        self._waits_for: tuple[Subject, int] | None = None

    @property
    def session(self) -> Session:
        return self._relay.session

    def wake(self) -> None:
        """Has the link step soon."""
        if not self.over:
            # A step that is closed when its machine is gone has no relay any more.
            with suppress(ReferenceError):
                self._relay.wake(self)

    def close_stream(self, stream: Stream) -> None:
        """Ends a stream of the guest's that the link is woken by. Where all is garbage there is no session any more."""
        if self.wake in stream.waiting:
            stream.waiting.remove(self.wake)
        with suppress(ReferenceError):
            self.session.close(stream)

    def step(self) -> None:
        """Does what can be done now."""
        raise NotImplementedError

    def failed(self, error: Error | OSError) -> None:
        """What goes on when a step raised this."""
        self.end()

    def end(self) -> None:
        """Ends the link, and whatever it has. Does nothing to one that has ended."""
        self.over = True
        if self._steps is not None:
            self._wait_no_more()
            self._steps.close()
            self._steps = None
        if self.socket is not None:
            with suppress(ReferenceError):
                self._relay.forget(self)
            self.socket.close()
            self.socket = None

    # ---- Steps of a call, which the link goes through beside others ----

    def _go_on(self) -> Stream | None:
        """Goes on with the steps that it has; returns their result, or None while they wait."""
        if self._steps is None:
            return None
        if self._waits_for is not None:
            subject, changes = self._waits_for
            if subject.changes == changes:
                return None
            self._wait_no_more()
        try:
            subject, _ = next(self._steps)
        except StopIteration as end:
            self._steps = None
            return end.value  # type: ignore[no-any-return]
        self._waits_for = subject, subject.changes
        subject.waiting.append(self.wake)
        return None

    def _wait_no_more(self) -> None:
        if self._waits_for is not None:
            subject, _ = self._waits_for
            self._waits_for = None
            if self.wake in subject.waiting:
                subject.waiting.remove(self.wake)


class Relay:
    """The links of a guest's forwards."""

    def __init__(self, session: Session, watch: Watch) -> None:
        self.session = session
        # It changes when a link is woken.
        self.woken = Subject()
        # By its descriptor, whatever socket is open: also for whoever closes them when the relay is gone.
        self.sockets: dict[int, socket.socket] = {}
        self._watch = watch
        self._watched: dict[int, tuple[Link, bool, bool]] = {}
        self._runnable: dict[Link, None] = {}
        # Those that have a `due`: few, and they last.
        self._timed: dict[Link, None] = {}
        self._heads: dict[Link, None] = {}
        _relays.add(self)

    # ---- Forwards: the links from which others come ----

    @property
    def heads(self) -> tuple[Link, ...]:
        return tuple(self._heads)

    def add(self, head: Link) -> None:
        self._heads[head] = None
        self.wake(head)

    def remove(self, head: Link) -> None:
        self._heads.pop(head, None)
        self.woken.changed()

    def end(self) -> None:
        """Ends all."""
        for head in self.heads:
            head.end()

    # ---- Links ----

    def wake(self, link: Link) -> None:
        self._runnable[link] = None
        self.woken.changed()

    def ready(self, number: int) -> None:
        """Says that a socket is ready for what it is watched for."""
        watched = self._watched.get(number)
        if watched is not None:
            self.wake(watched[0])

    def own(self, link: Link, socket: socket.socket) -> None:
        """Makes a socket the link's."""
        socket = moved_high(socket)
        socket.setblocking(False)
        link.socket = socket
        self.sockets[socket.fileno()] = socket

    def forget(self, link: Link) -> None:
        """Watches the link's socket no more. It is closed next."""
        number = -1 if link.socket is None else link.socket.fileno()
        self.sockets.pop(number, None)
        if self._watched.pop(number, None) is not None:
            self._watch.watch(number, False, False)

    @property
    def has_to_step(self) -> bool:
        return bool(self._runnable)

    def remaining(self, at_most: float) -> float:
        """So many seconds at most until something is due."""
        if not self._timed:
            return at_most
        first = min(link.due for link in self._timed if link.due is not None)
        return min(max(first - time.monotonic(), 0.0), at_most)

    def step(self) -> None:
        """Has each link that was woken, or that is due, step once."""
        now = time.monotonic()
        for link in [link for link in self._timed if link.due is not None and link.due <= now]:
            self._runnable[link] = None
        runnable, self._runnable = self._runnable, {}
        for link in runnable:
            if not link.over:
                link.due = None
                try:
                    link.step()
                except (Error, OSError) as error:
                    link.failed(error)
            self._look_at(link)

    def steps(self) -> Waits[None]:
        """All that is done until no forward is left, for a face that goes through it as through a call's."""
        try:
            while self._heads:
                self.step()
                yield self.woken, Deadline(0.0 if self._runnable else self.remaining(3600.0))
        finally:
            self.end()

    def _look_at(self, link: Link) -> None:
        if link.due is not None and not link.over:
            self._timed[link] = None
        else:
            self._timed.pop(link, None)
        if link.socket is None:
            return
        number, wanted = link.socket.fileno(), (link, link.reading, link.writing)
        if self._watched.get(number, (link, False, False)) != wanted:
            self._watched[number] = wanted
            self._watch.watch(number, link.reading, link.writing)


# A forked child has the sockets, too, and a port is free only when all that have it closed it.
_relays: Final[weakref.WeakSet[Relay]] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for relay in list(_relays):
        for each in list(relay.sockets.values()):
            each.close()
        relay.sockets.clear()


_register: Callable[..., Any] | None = getattr(os, "register_at_fork", None)
if _register is not None:
    _register(after_in_child=_after_fork_in_child)
