# SPDX-License-Identifier: Apache-2.0
"""What the four kinds of forward share: their places, their links, and what listens in the guest."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from ...errors import Error, GuestUnreachableError
from ..deadline import Deadline
from . import frames
from .conditions import condition_error
from .places import GuestPlace, HostPlace
from .relay import NEVER, Link, Relay
from .session import Session, started
from .streams import OUTPUT, Stream, Waits

__all__ = ["MOST_LINKS", "Forwarding", "FromGuest", "FromHost", "to_guest_steps", "to_host_steps"]

# So many connections, or peers of UDP, has a forward at once. What is more waits, or takes the place of the one that
# was idle for longest.
MOST_LINKS: Final = 256
_PORT: Final = struct.Struct("<H")
# So many seconds after it failed, the guest is asked again to listen.
_LISTEN_AGAIN: Final = 0.25


def listen(session: Session, place: GuestPlace, deadline: Deadline) -> Waits[Stream]:
    """Until something listens in the guest. Its port is the place's, once it is known."""
    yield from session.ready(deadline)
    stream = session.open(frames.LISTEN, place.payload, [OUTPUT])
    yield from started(
        session,
        stream,
        "while the guest was asked to listen",
        lambda number, _: condition_error(number, f"Nothing can listen at {place} of the guest."),
        f"The guest did not listen at {place}",
        deadline,
    )
    if not place.port and place.path is None and stream.started is not None and len(stream.started) >= _PORT.size:
        (place.port,) = _PORT.unpack_from(stream.started)
    return stream


class Forwarding(Link):
    """A forward: the link that makes others."""

    def __init__(self, relay: Relay, host: HostPlace, guest: GuestPlace) -> None:
        super().__init__(relay)
        self.relay = self._relay
        self.host = host
        self.guest = guest
        self.links: set[Link] = set()
        self._error: Error | OSError | None = None
        self._ended = False

    @property
    def error(self) -> Error | OSError | None:
        """Why the last connection that failed did."""
        return self._error

    @error.setter
    def error(self, error: Error | OSError) -> None:
        # Without the frames through which it came: they refer to all that carries this forward, and so to the machine,
        # which would not end with its last reference.
        each: BaseException | None = error
        while each is not None:
            each.__traceback__ = None
            each = each.__cause__ or each.__context__
        self._error = error

    @property
    def words(self) -> str:
        """From where to where."""
        raise NotImplementedError

    @property
    def listening_port(self) -> int:
        return self.host.port

    @property
    def listening_path(self) -> Any:
        return self.host.path

    @property
    def open_links(self) -> int:
        """How many have somebody at both sides."""
        return len(self.links)

    def added(self, link: Link) -> None:
        self.links.add(link)
        link.wake()

    def ended(self, link: Link, error: Error | OSError | None) -> None:
        """Says that a link is over."""
        self.links.discard(link)
        if error is not None:
            self.error = error
        self.wake()

    def end(self) -> None:
        if self._ended:
            return
        super().end()
        for link in list(self.links):
            link.end()
        self.links.clear()
        self.host.leave()
        with suppress(ReferenceError):
            self.relay.remove(self)
        # Last: what a signal's handler ended in the middle is ended by the next call.
        self._ended = True


class FromHost(Forwarding):
    """A forward from the host to the guest."""

    def __init__(self, relay: Relay, host: HostPlace, guest: GuestPlace, listening: socket.socket) -> None:
        super().__init__(relay, host, guest)
        self.reading = True
        relay.own(self, listening)

    @property
    def words(self) -> str:
        return f"{self.host} of the host to {self.guest} of the guest"


class FromGuest(Forwarding):
    """A forward from the guest to the host. It listens again whenever the guest's agent was lost and answers again."""

    def __init__(self, relay: Relay, host: HostPlace, guest: GuestPlace, stream: Stream) -> None:
        super().__init__(relay, host, guest)
        self.stream: Stream | None = None
        self.listens(stream)

    @property
    def words(self) -> str:
        return f"{self.guest} of the guest to {self.host} of the host"

    @property
    def listening_port(self) -> int:
        return self.guest.port

    @property
    def listening_path(self) -> Any:
        return self.guest.path

    def listens(self, stream: Stream) -> None:
        """Says which stream listens from now on."""
        self.stream = stream
        stream.waiting.append(self.wake)

    def step(self) -> None:
        if self.stream is not None and self.stream.over:
            self.lose()
        if self.stream is None:
            if self._steps is None:
                self._steps = listen(self.session, self.guest, NEVER)
            stream = self._go_on()
            if stream is None:
                return
            self.listens(stream)
            if stream.over:
                # It was lost behind its answer, and says so no more.
                self.wake()
                return
        self.serve(self.stream)  # type: ignore[arg-type]  # it was just made

    def serve(self, stream: Stream) -> None:
        """Does what can be done with what listens."""
        raise NotImplementedError

    def lose(self) -> None:
        """Ends what listened."""
        if self.stream is not None:
            self.close_stream(self.stream)
            self.stream = None

    def failed(self, error: Error | OSError) -> None:
        # A machine that does not run may run again; a port that another program has may become free.
        if not isinstance(error, GuestUnreachableError):
            self.error = error
        self._steps = None
        self.lose()
        self.due = time.monotonic() + _LISTEN_AGAIN

    def end(self) -> None:
        if not self._ended:
            self.lose()
        super().end()


def to_guest_steps(
    kind: type[FromHost], relay: Callable[[], Relay], host: HostPlace, guest: GuestPlace
) -> Waits[Forwarding]:
    """Has something listen on the host."""
    listening = host.listen()
    try:
        forwarding = kind(relay(), host, guest, listening)
    except BaseException:
        listening.close()
        host.leave()
        raise
    forwarding.relay.add(forwarding)
    return forwarding
    yield


def to_host_steps(
    kind: type[FromGuest],
    session: Session,
    relay: Callable[[], Relay],
    host: HostPlace,
    guest: GuestPlace,
    deadline: Deadline,
) -> Waits[Forwarding]:
    """Until something listens in the guest."""
    stream = yield from listen(session, guest, deadline)
    try:
        forwarding = kind(relay(), host, guest, stream)
    except BaseException:
        session.close(stream)
        raise
    forwarding.relay.add(forwarding)
    return forwarding
