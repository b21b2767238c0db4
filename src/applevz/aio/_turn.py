# SPDX-License-Identifier: Apache-2.0
"""Turns of tasks: first come, first served, up to a deadline.

A place in the line belongs to its task, and ends with its loop: a loop that is closed runs none of its tasks again, so
a task there has the turn no longer. In a loop that is not closed, the task leaves its place, or the finalizer of its
coroutine does, on any thread. The line refers to places weakly: a loop that is dropped instead of closed goes with its
tasks.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from contextlib import suppress
from typing import Final

from .._core.deadline import Deadline
from .._core.operation import DAY
from ..errors import TimeoutError, make
from ._loop import Future, settle, tell, until

__all__ = ["Place", "Turn"]

# A loop that was closed while it had the turn tells nobody. Another loop looks for itself, once in so many seconds. A
# console is meant to be used by one loop at a time.
_LOOK_AGAIN: Final = 0.05


class Place:
    """A task's place in the line, for one call."""

    __slots__ = ("__weakref__", "future", "in_line", "loop", "process")

    def __init__(self) -> None:
        self.in_line = weakref.ref(self)
        self.loop = asyncio.get_running_loop()
        self.future: Future | None = None
        self.process = os.getpid()

    @property
    def over(self) -> bool:
        """Whether its task will not run again: its loop was closed, or this process was forked meanwhile."""
        return self.loop.is_closed() or self.process != os.getpid()


class Turn:
    """A line of tasks, of which the first is served."""

    __slots__ = ("_line",)

    def __init__(self) -> None:
        self._line: list[weakref.ref[Place]] = []

    async def take(self, deadline: Deadline) -> Place:
        """Waits for the turn, which lasts until `leave`. Raises `TimeoutError`."""
        place = Place()
        self._line.append(place.in_line)
        try:
            while (first := self._first()) is not place:
                place.future = place.loop.create_future()
                # Looked at again: in another thread it may have left before there was a future to settle.
                first = self._first()
                if first is place:
                    break
                # Never without a timer: by that the loop keeps this task, for which nothing else waits.
                at_most = DAY if first is None or first.loop is place.loop else _LOOK_AGAIN
                if not await until(place.future, deadline, at_most) and deadline.passed:
                    raise make(TimeoutError, f"Another task used the console for {deadline}.")
        except BaseException:
            self.leave(place)
            raise
        return place

    def take_now(self) -> Place | None:
        """The turn, if nobody is in the line. None outside of a loop."""
        try:
            place = Place()
        except RuntimeError:
            return None
        self._line.append(place.in_line)
        if self._first() is place:
            return place
        self.leave(place)
        return None

    def leave(self, place: Place) -> None:
        """Ends the turn of `place`, or its wait for the turn. Any thread may call it."""
        with suppress(ValueError):
            self._line.remove(place.in_line)
        first = self._first()
        if first is not None and first.future is not None:
            tell(first.loop, settle, first.future)

    def _first(self) -> Place | None:
        for in_line in self._line[:]:
            place = in_line()
            if place is not None and not place.over:
                return place
            with suppress(ValueError):
                self._line.remove(in_line)
        return None
