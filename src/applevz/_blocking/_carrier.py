# SPDX-License-Identifier: Apache-2.0
"""The thread that carries the bytes of all forwards of a machine. It is there as long as there is a forward.

It waits for the sockets and for the port at once, and while it is there it leads: calls that wait are woken by it. It
refers to what it serves weakly while it waits, so that a machine which is dropped goes, and its thread with it.
"""

from __future__ import annotations

import atexit
import os
import selectors
import socket
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from .._core.guest.relay import Relay
from .._core.guest.session import Session
from .._host.low_descriptors import made_high, moved_high
from ..errors import Error
from ._turn import Place

if TYPE_CHECKING:
    from ._pump import Pump

__all__ = ["Carrier"]

# The end of a machine is announced by no descriptor: it is looked at once in so many seconds, sooner if a call waits.
_LOOK_AGAIN: Final = 0.25
_LOOK_SOON: Final = 0.05
# What ends at the interpreter's exit does not hold it up for longer.
_PATIENCE: Final = 5.0


class _Selector:
    """What the thread sleeps on: sockets, the port, and a pair of sockets to wake it."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._selector = made_high(selectors.DefaultSelector)
        try:
            self._woken, self._waker = map(moved_high, socket.socketpair())
        except BaseException:
            self._selector.close()
            raise
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._is_woken = False
        self._closed = False
        self.thread: threading.Thread | None = None
        # Whether the thread is to end.
        self.over = False

    def watch(self, number: int, reading: bool, writing: bool) -> None:
        if os.getpid() != self._process or self._closed:
            return  # in a child the list is its parent's
        events = (selectors.EVENT_READ if reading else 0) | (selectors.EVENT_WRITE if writing else 0)
        if not events:
            with suppress(KeyError, ValueError, OSError):
                self._selector.unregister(number)
        elif number in self._selector.get_map():
            self._selector.modify(number, events)
        else:
            self._selector.register(number, events)

    def wake(self) -> None:
        if not self._is_woken and not self._closed:
            self._is_woken = True
            with suppress(OSError):
                self._waker.send(b"\0")

    def wait(self, seconds: float) -> list[int]:
        """The sockets that are ready."""
        ready = [key.fd for key, _ in self._selector.select(seconds)]
        own = self._woken.fileno()
        if own in ready:
            ready.remove(own)
            self._is_woken = False
            with suppress(BlockingIOError):
                while len(self._woken.recv(64)) == 64:
                    pass
        return ready

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._selector.close()
        self._woken.close()
        self._waker.close()


class Carrier:
    """A relay, and the thread that has it step. It is made for the first forward, and goes with the last one."""

    def __init__(self, session: Session) -> None:
        self.selector = _Selector()
        self.relay = Relay(session, self.selector)
        self.relay.woken.waiting.append(self.selector.wake)
        self._session = session
        self._port: int | None = None
        self._wanted = (False, False)
        weakref.finalize(self, _dropped, self.selector, self.relay.sockets).atexit = False
        _carriers.add(self)

    def begin(self, pump: Pump) -> None:
        """Sees to it that there is a thread. Called while nobody else steps."""
        if self.selector.thread is None:
            arguments = weakref.ref(pump), weakref.ref(self), self.selector
            thread = threading.Thread(target=_serve, args=arguments, name="applevz forwards", daemon=True)
            thread.start()
            self.selector.thread = thread

    def wait(self) -> None:
        """Waits for the thread, if it ends."""
        thread = self.selector.thread
        # There may be another forward by now.
        while thread is not None and thread.is_alive() and not self.relay.heads:
            thread.join(_LOOK_SOON)

    def round(self, ready: list[int]) -> bool:
        """Does what can be done now. Returns whether there are more rounds."""
        try:
            for number in ready:
                self.relay.ready(number)
            self._session.pump()
            self.relay.step()
        except BaseException:
            self.relay.end()
            raise
        return bool(self.relay.heads)

    def sleep(self, soon: bool) -> float:
        """So many seconds at most until there is something to do, unless something comes."""
        wanted = self._wanted_of_port()
        if wanted != self._wanted:
            self._wanted = wanted
            with self._session.port as number:
                self.selector.watch(number, *wanted)
        return 0.0 if self.relay.has_to_step else self.relay.remaining(_LOOK_SOON if soon else _LOOK_AGAIN)

    def look(self) -> None:
        """Wakes the thread if the port is to be watched for something else. Called while nobody else steps."""
        if self._wanted_of_port() != self._wanted:
            self.selector.wake()

    def _wanted_of_port(self) -> tuple[bool, bool]:
        # What comes while there is no session is for the next one to read.
        return (False, False) if self._session.is_idle else (True, self._session.has_to_send)


def _serve(pump: weakref.ref[Pump], carrier: weakref.ref[Carrier], selector: _Selector) -> None:
    place = Place()
    ready: list[int] = []
    with place.held:
        try:
            while not selector.over:
                served, carried = pump(), carrier()
                if served is None or carried is None:
                    return
                seconds = served.serve(place, carried, ready)
                del served, carried
                if seconds is None:
                    return
                ready = selector.wait(seconds)
        finally:
            selector.close()


def _dropped(selector: _Selector, sockets: dict[int, socket.socket]) -> None:
    """Ends what was there when the last reference to a machine went."""
    for each in list(sockets.values()):
        each.close()
    sockets.clear()
    if selector.thread is None:
        selector.close()
    else:
        selector.wake()


_carriers: Final[weakref.WeakSet[Carrier]] = weakref.WeakSet()


def _at_exit() -> None:
    """Ends the threads before the interpreter does, wherever they are, and then what they carried."""
    carriers = list(_carriers)
    for carrier in carriers:
        carrier.selector.over = True
        carrier.selector.wake()
    for carrier in carriers:
        thread = carrier.selector.thread
        if thread is not None:
            thread.join(_PATIENCE)
            if thread.is_alive():
                continue
        # In a process that was forked, or where the machine is gone, there is nobody to be told.
        with suppress(Error, OSError):
            carrier.relay.end()


atexit.register(_at_exit)


def _after_fork_in_child() -> None:
    for carrier in list(_carriers):
        carrier.selector.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
