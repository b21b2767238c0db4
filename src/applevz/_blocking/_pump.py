# SPDX-License-Identifier: Apache-2.0
"""How threads wait for a guest: whoever waits first moves the bytes of the port, for all.

The first thread that waits *leads*: it sleeps in `poll`, moves what there is and wakes those for whom something came.
The others sleep until they are woken, or until nobody leads any more. No thread is made, but for forwards: as long as
there are any, their thread leads (`_carrier.py`).

A thread is in one call at a time. A signal's handler or a finalizer that runs in the middle of one is refused, since
what it would wait for may be what its own thread has to do first.

A signal's handler that raises, as Ctrl-C's does, ends a call between any two of its steps. So nothing is undone step by
step here: a call counts while the lock of its place is held by a `with` statement, and whoever led until then leads no
more. Others see that when they look again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from .._core.deadline import Deadline
from .._core.guest.driving import sleep_in_poll
from .._core.guest.session import Session
from .._core.guest.streams import Result, Subject, Waits
from ..errors import ForkedError, InvalidStateError, make
from ._turn import Place

if TYPE_CHECKING:
    from ._carrier import Carrier

__all__ = ["Pump"]

# A leader that was ended by a signal's handler wakes nobody: so many seconds may pass before another one leads.
_LOOK_FOR_LEADER: Final = 0.25


class Pump:
    """The calls of any number of threads on one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._process = os.getpid()
        # Held while a step is gone through. Never while a thread sleeps.
        self._steps = threading.Lock()
        self._callers: dict[int, Place] = {}
        self._leader: Place | None = None
        # The locks on which those sleep who do not lead.
        self._sleeping: dict[Place, threading.Lock] = {}
        # What carries the bytes of forwards, as long as there are any.
        self.carrier: Carrier | None = None

    def run(self, waits: Waits[Result]) -> Result:
        """Goes through the steps, blocks this thread while they wait, and returns their result."""
        place = Place()
        with place.held:
            try:
                self._enter(place)
                while True:
                    with self._steps:
                        subject, deadline = next(waits)
                        changes = subject.changes
                        self._tell_carrier()
                    self._wait(place, subject, changes, deadline)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            finally:
                if self._callers.get(place.thread) is place:
                    with self._steps:
                        waits.close()
                    self._leave(place)

    def do(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Calls a function that does not wait."""
        place = Place()
        with place.held:
            try:
                self._enter(place)
                with self._steps:
                    result = function(*arguments)
                    self._tell_carrier()
                    return result
            finally:
                self._leave(place)

    def look(self) -> None:
        """Moves what there is, without waiting."""
        self.do(self._session.pump)

    def serve(self, place: Place, carrier: Carrier, ready: list[int]) -> float | None:
        """A round of the thread that carries the bytes of forwards. Returns for how long it may sleep, None at its end.

        Its place is its own from the first round to the last: a finalizer that runs on the thread is refused.
        """
        if self._callers.get(place.thread) is not place:
            self._enter(place)
        with self._steps:
            if self._leader is None or self._leader.over:
                self._leader = place
            if carrier.round(ready):
                return carrier.sleep(bool(self._sleeping))
            if self.carrier is carrier:
                self.carrier = None
        self._leave(place)
        return None

    def _tell_carrier(self) -> None:
        if self.carrier is not None:
            self.carrier.look()

    def _enter(self, place: Place) -> None:
        if os.getpid() != self._process:
            raise make(ForkedError, "The guest's machine belongs to the process that this one was forked from.")
        before = self._callers.get(place.thread)
        if before is not None and not before.over:
            raise make(
                InvalidStateError,
                "This thread uses the guest already.",
                "A signal's handler or a finalizer was called in the middle of that, and has to return first.",
                "Have it set a flag, or leave it to another thread.",
            )
        self._callers[place.thread] = place

    def _leave(self, place: Place) -> None:
        if self._callers.get(place.thread) is place:
            del self._callers[place.thread]
        if self._leader is place:
            self._leader = None
            self._wake_another()

    def _wake_another(self) -> None:
        for sleeping in list(self._sleeping.values()):
            if sleeping.locked():
                with suppress(RuntimeError):
                    sleeping.release()
                return

    def _wait(self, place: Place, subject: Subject, changes: int, deadline: Deadline) -> None:
        sleeping = threading.Lock()
        sleeping.acquire()

        def wake() -> None:
            with suppress(RuntimeError):
                sleeping.release()

        with self._steps:
            subject.waiting.append(wake)
            self._sleeping[place] = sleeping
        try:
            while subject.changes == changes and not deadline.passed:
                if self._leads(place):
                    sleep_in_poll(self._session, deadline)
                    with self._steps:
                        self._session.pump()
                else:
                    sleeping.acquire(timeout=deadline.remaining(_LOOK_FOR_LEADER))
        finally:
            with self._steps:
                subject.waiting.remove(wake)
                del self._sleeping[place]

    def _leads(self, place: Place) -> bool:
        with self._steps:
            leader = self._leader
            if leader is None or leader.over:
                self._leader = leader = place
            return leader is place
