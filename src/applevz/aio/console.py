# SPDX-License-Identifier: Apache-2.0
"""The console whose calls are awaited. `_core/console.py` decides what each call does."""

from __future__ import annotations

import asyncio
import os
import re
import weakref
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from typing import TypeVar

from .._core.console import LONGEST, BaseConsole, Waits
from .._core.deadline import Deadline
from .._core.operation import begin
from .._core.states import ENDED_BITS
from .._native import Reference, lib
from ..errors import Error, InvalidStateError
from ._loop import Future, announced, is_mine, settle, tell, until
from ._turn import Turn

__all__ = ["Console"]

Result = TypeVar("Result")



class Console(BaseConsole):
    """The host's end of a guest's port: `applevz.Console` with calls that are awaited.

    What the guest prints waits in a pipe of up to 1 MiB until it is read. If the pipe is full, the guest waits under
    Apple's framework; QEMU's console device drops what its host does not take (hw/char/virtio-console.c), so read while
    it comes what must not be lost.

    Any number of tasks of one loop may use a console: one reads, and one writes, at a time. A read that is cancelled
    loses nothing; a write that is cancelled may have written a part. Durations are in seconds; None is no limit.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reading = Turn()
        self._writing = Turn()
        # Weak: a watch is its loop's, which goes with all its tasks where it is dropped instead of closed.
        self._watches: set[weakref.ref[_Watch]] = set()

    def close(self) -> None:
        """Closes the console, without waiting. What the guest prints from here on is lost.

        A call that reads or writes raises `InvalidStateError`. One in another thread's loop keeps the pipe until that
        loop has been told.
        """
        self._closed = True
        # They look again and find it closed.
        for in_use in self._watches.copy():
            watch = in_use()
            if watch is not None:
                watch.interrupt()
        self._give_back()

    async def read(self, size: int = -1, timeout: float | None = None) -> bytes:
        """Returns what the guest printed: up to `size` bytes (-1: all). Waits until there is something.

        Returns `b""` if the machine is stopped, or not yet started, and everything was read. Raises `TimeoutError`.
        """
        deadline = Deadline(timeout)
        return await self._run(self._reading, self._read(size, deadline), deadline)

    async def read_until(
        self,
        pattern: bytes | bytearray | str | re.Pattern[bytes] | re.Pattern[str],
        timeout: float | None = None,
        limit: int = LONGEST,
    ) -> bytes:
        """Returns what the guest printed, up to and with the first match of `pattern`.

        `pattern` is bytes, text or a compiled regular expression.
        What comes after the match stays for the next call. If a call fails, everything stays. It fails with
        `TimeoutError`, which shows what the guest printed last; with `EndOfConsoleError` if the machine stopped; with
        `InvalidStateError` if more than `limit` bytes came without a match. A pattern that matches an empty text,
        as `b""` and `x*`, is refused with `InvalidArgumentError`. If a match has no length, as one of `(?=# )`, the
        bytes before it are returned.
        """
        deadline = Deadline(timeout)
        return await self._run(self._reading, self._read_until(pattern, deadline, limit), deadline)

    async def readline(self, timeout: float | None = None) -> bytes:
        r"""Returns the next line with its `b"\n"`. If the machine stopped, returns the rest, and then `b""`.

        Raises `TimeoutError`.
        """
        deadline = Deadline(timeout)
        return await self._run(self._reading, self._read_line(deadline), deadline)

    async def peek(self) -> bytes:
        """Returns the last that the guest printed, at most 64 KiB, without waiting. It stays to be read.

        Raises `TimeoutError` if another task reads.
        """
        return await self._run(self._reading, self._peek(), Deadline(0))

    def catch_up(self) -> None:
        """Receives what came, for its machine to look through. It stays to be read. Never waits or fails.

        If somebody reads, nothing is done: the reader receives it.
        """
        place = None if self._closed else self._reading.take_now()
        if place is not None:
            try:
                with suppress(Error):
                    next(self._drain(), None)
            finally:
                self._reading.leave(place)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The lines that the guest prints, until the machine stops."""
        while line := await self.readline():
            yield line

    async def write(self, data: bytes | bytearray | memoryview | str, timeout: float | None = None) -> None:
        """Types `data` into the console. Text is encoded as UTF-8.

        Raises `TimeoutError` if the guest does not take it in time; the error says how many bytes were written. Raises
        `EndOfConsoleError` if the machine stopped with the pipe full.
        """
        deadline = Deadline(timeout)
        await self._run(self._writing, self._write(data, deadline), deadline)

    async def _run(self, turn: Turn, waits: Waits[Result], deadline: Deadline) -> Result:
        """Goes through the steps, lets the loop do other things while they wait, and returns their result."""
        place = await turn.take(deadline)
        try:
            self._look_whether_closed()
            while True:
                descriptor, limit = next(waits)
                await self._wait(turn, descriptor, limit)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        except InvalidStateError:
            # A descriptor's, if the console was closed between two steps.
            self._look_whether_closed()
            raise
        finally:
            waits.close()
            turn.leave(place)

    async def _wait(self, turn: Turn, descriptor: Reference, deadline: Deadline) -> None:
        """Waits until the descriptor is ready, the machine ended, the console was closed, or the time is over."""
        watch = _Watch(descriptor, writing=turn is self._writing)
        in_use = weakref.ref(watch)
        self._watches.add(in_use)
        try:
            with ExitStack() as stack:
                stack.callback(watch.end)
                # A signal's handler or another thread may have closed it before the watch was there to be ended.
                self._look_whether_closed()
                if self._machine is not None:
                    ended = begin(lib.applevz_machine_wait_for_state, self._machine, ENDED_BITS)
                    stack.enter_context(announced(ended, watch.future))
                await until(watch.future, deadline)
        finally:
            self._watches.discard(in_use)


class _Watch:
    """The running loop's watch over a descriptor. It settles the future when the descriptor is ready.

    It borrows the descriptor: while a loop watches the number, no other file gets it.
    """

    def __init__(self, descriptor: Reference, *, writing: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._writing = writing
        self.future: Future = self._loop.create_future()
        self._number = descriptor.borrow()
        # What `end` gives back, once, on whatever thread.
        self._borrowed = [descriptor]
        add = self._loop.add_writer if writing else self._loop.add_reader
        try:
            add(self._number, settle, self.future)
        except BaseException:
            self._give_back()
            raise

    def end(self) -> None:
        """Ends the watch, and the wait for it. Any thread may call it."""
        tell(self._loop, self._end)

    def interrupt(self) -> None:
        """As `end`, and wakes the loop. A signal's handler runs in the middle of its sleep, which would go on."""
        self.end()
        tell(self._loop, self._wake)

    def _end(self) -> None:
        if not self._borrowed:
            return
        if is_mine(self._loop, self._process):
            remove = self._loop.remove_writer if self._writing else self._loop.remove_reader
            remove(self._number)
            settle(self.future)
        self._give_back()

    def _wake(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_nothing)

    def _give_back(self) -> None:
        with suppress(IndexError):
            self._borrowed.pop().give_back()


def _nothing() -> None:
    """A loop that is woken calls it."""
