# SPDX-License-Identifier: Apache-2.0
"""Turns of threads: first come, first served, up to a deadline.

A signal's handler and a finalizer run on a thread in the middle of what it does. If one waited there for the turn that
its own thread has, or waits for, it would wait for ever: it is refused instead.

A signal's handler that raises, as Ctrl-C's does, ends a call between any two of its steps. So nothing is undone step by
step here. A place in the line counts while its lock is held by a `with` statement, and no signal can come between the
statement and the lock.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress

from .._core.deadline import Deadline
from ..errors import InvalidStateError, TimeoutError, make

__all__ = ["Place", "Turn"]


class Place:
    """A caller's place in the line, for one call. It is over when `held` is free, and in a process that was forked."""

    __slots__ = ("held", "process", "thread")

    def __init__(self) -> None:
        self.held = threading.Lock()
        self.process = os.getpid()
        self.thread = threading.get_ident()

    @property
    def over(self) -> bool:
        return not self.held.locked() or self.process != os.getpid()


class Turn:
    """A line of threads, of which the first is served."""

    __slots__ = ("_line", "_what")

    def __init__(self, what: str) -> None:
        """`what` says what a thread does when it has the turn, for errors: "reads the console"."""
        self._line: list[Place] = []
        self._what = what

    @property
    def taken(self) -> bool:
        """Whether somebody has the turn."""
        return not all(place.over for place in self._line[:])

    def take(self, place: Place, deadline: Deadline) -> None:
        """Waits for the turn of `place`, which the caller holds. Raises `TimeoutError`, and `InvalidStateError` if this
        thread is in the line already."""
        self._line.append(place)
        while (ahead := self._ahead(place)) is not None:
            if ahead.held.acquire(timeout=deadline.remaining(threading.TIMEOUT_MAX)):
                ahead.held.release()
            else:
                raise make(TimeoutError, f"Another thread used the console for {deadline}.")

    def leave(self, place: Place) -> None:
        with suppress(ValueError):
            self._line.remove(place)

    def _ahead(self, place: Place) -> Place | None:
        """The place to wait for: the last one that is before `place`. None if it is the turn of `place`."""
        ahead = None
        for other in self._line[:]:
            if other is place:
                break
            if other.over:
                self.leave(other)
                continue
            if other.thread == place.thread:
                raise make(
                    InvalidStateError,
                    f"This thread {self._what} already.",
                    "A signal's handler or a finalizer was called in the middle of that, and has to return first.",
                    "Have it set a flag, or leave it to another thread.",
                )
            ahead = other
        return ahead
