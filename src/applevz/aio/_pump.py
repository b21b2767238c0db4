# SPDX-License-Identifier: Apache-2.0
"""How tasks wait for a guest: while one of them waits, the loop watches the port, and moves its bytes for all.

One loop at a time: a guest belongs to the loop that waits for it until nothing waits there, or the loop is closed. When
nothing waits, nothing of the guest is left in a loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from .._core.deadline import Deadline
from .._core.guest.session import Session
from .._core.guest.streams import Result, Subject, Waits
from .._core.operation import begin
from .._core.states import ENDED_BITS
from .._native import lib
from ..errors import ForkedError, InvalidStateError, make
from ._loop import Future, announced, is_mine, settle, until

if TYPE_CHECKING:
    from .forward import Carrier

__all__ = ["Pump"]

# An agent that goes wakes no loop: so many seconds may pass before that is seen.
_LOOK_AGAIN: Final = 0.25


class Pump:
    """The calls of the tasks of one loop on one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._process = os.getpid()
        self._watch: _Watch | None = None
        self._stepping = False
        # What carries the bytes of forwards, as long as there are any.
        self.carrier: Carrier | None = None

    @property
    def session(self) -> Session:
        return self._session

    async def run(self, waits: Waits[Result]) -> Result:
        """Goes through the steps, lets the loop do other things while they wait, and returns their result."""
        try:
            while True:
                subject, deadline = self._step(next, waits)
                await self._wait(subject, deadline)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            # What it began in the guest ends here, if it was cancelled.
            if not self._stepping:
                waits.close()

    async def serve(self, waits: Waits[None]) -> None:
        """As `run`, for steps that go on for long: the port is watched all the while."""
        try:
            with ExitStack() as stack:
                watch = self._watching()
                watch.enter(stack, self._left)
                while True:
                    subject, deadline = self._step(next, waits)
                    watch.look_at_queue()
                    await self._changed(subject, deadline)
        except StopIteration:
            return
        finally:
            # Nothing waits in here: whoever steps now is somewhere below.
            if not self._stepping:
                self._step(waits.close)

    def do(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls a function that does not wait."""
        return self._step(function, *arguments)

    def look(self) -> None:
        """Moves what there is, without waiting."""
        self._step(self._session.pump)

    def _step(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if os.getpid() != self._process:
            raise make(ForkedError, "The guest's machine belongs to the process that this one was forked from.")
        if self._watch is not None and not self._watch.is_of(_running_loop()):
            raise make(
                InvalidStateError,
                "Another loop waits for the guest.",
                "A guest is used by one loop at a time.",
                "Use it in that loop.",
            )
        if self._stepping:
            raise make(
                InvalidStateError,
                "This thread uses the guest already.",
                "A signal's handler or a finalizer was called in the middle of that, and has to return first.",
                "Have it set a flag, or leave it to another task.",
            )
        self._stepping = True
        try:
            return function(*arguments)
        finally:
            self._stepping = False

    async def _wait(self, subject: Subject, deadline: Deadline) -> None:
        with ExitStack() as stack:
            self._watching().enter(stack, self._left)
            await self._changed(subject, deadline)

    def _watching(self) -> _Watch:
        watch = self._watch
        if watch is not None and watch.over:
            watch.end()
            watch = None
        if watch is None:
            watch = self._watch = _Watch(self._session, self._moved)
        return watch

    async def _changed(self, subject: Subject, deadline: Deadline) -> None:
        loop = asyncio.get_running_loop()
        future: Future = loop.create_future()

        def wake() -> None:
            # The task of a loop that was closed is not woken any more. Those that wait beside it are.
            if is_mine(loop, self._process):
                settle(future)

        subject.waiting.append(wake)
        try:
            await until(future, deadline)
        finally:
            if wake in subject.waiting:
                subject.waiting.remove(wake)

    def _left(self, watch: _Watch) -> None:
        if self._watch is watch:
            self._watch = None

    def _moved(self) -> None:
        self._step(self._session.pump)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class _Watch:
    """The running loop's watch over the port and the machine, for as long as a task waits."""

    def __init__(self, session: Session, moved: Callable[[], None]) -> None:
        self._session = session
        self._moved = moved
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._tasks = 0
        self._writing = False
        self._number: int = -1
        self._second: int = -1
        self._stack = ExitStack()
        self._watching = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def over(self) -> bool:
        """Whether its loop runs nothing any more."""
        return self._loop.is_closed()

    def is_of(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        return loop is None or loop is self._loop or self.over

    def enter(self, stack: ExitStack, left: Callable[[_Watch], None]) -> None:
        """Counts a task that waits, until the stack ends."""
        if not self._tasks:
            self._begin()
        self._tasks += 1
        self.look_at_queue()

        def leave() -> None:
            self._tasks -= 1
            if not self._tasks:
                self.end()
                left(self)

        stack.callback(leave)

    def _begin(self) -> None:
        stack = ExitStack()
        try:
            self._number = stack.enter_context(self._session.port)
            self._loop.add_reader(self._number, self._ready)
            if (second := self._session.second_port) is not None:
                self._second = stack.enter_context(second)
                self._loop.add_reader(self._second, self._ready)
            if self._session.machine is not None:
                ended: Future = self._loop.create_future()
                operation = begin(lib.applevz_machine_wait_for_state, self._session.machine, ENDED_BITS)
                stack.enter_context(announced(operation, ended))
                ended.add_done_callback(self._ended)
                stack.callback(ended.remove_done_callback, self._ended)
                self._timer = self._loop.call_later(_LOOK_AGAIN, self._look)
        except BaseException:
            stack.close()
            raise
        self._stack = stack
        self._watching = True

    def end(self) -> None:
        """Ends the watch. Does nothing if it has ended."""
        if not self._watching:
            return
        self._watching = False
        if self._timer is not None:
            self._timer.cancel()
        if is_mine(self._loop, self._process):
            self._loop.remove_reader(self._number)
            self._leave_second()
            if self._writing:
                self._loop.remove_writer(self._number)
        self._second = -1
        self._writing = False
        self._stack.close()

    def _ready(self) -> None:
        if self._tasks:
            self._moved()
            self.look_at_queue()
            if self._session.second_port is None:
                self._leave_second()

    def _leave_second(self) -> None:
        if self._second >= 0:
            self._loop.remove_reader(self._second)
            self._second = -1

    def _look(self) -> None:
        self._timer = self._loop.call_later(_LOOK_AGAIN, self._look)
        self._ready()

    def _ended(self, future: Future) -> None:
        if self._tasks and not future.cancelled():
            self._moved()

    def look_at_queue(self) -> None:
        """Watches whether the port takes more, if there is more."""
        if self._session.has_to_send == self._writing or not self._tasks:
            return
        self._writing = not self._writing
        if self._writing:
            self._loop.add_writer(self._number, self._ready)
        else:
            self._loop.remove_writer(self._number)
