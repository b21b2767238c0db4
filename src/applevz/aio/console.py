# SPDX-License-Identifier: Apache-2.0
"""The console of a guest, read and written by awaiting: what a call does stands in `applevz._console`."""

from __future__ import annotations

import asyncio
import functools
import operator
import re
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Final, TypeVar

from .._console import ENDED, LONGEST, BaseConsole, Waits
from .._deadline import Deadline
from .._native import lib, release
from .._operation import begin
from ..errors import TimeoutError, make
from ._loop import Future, announced, settle, until
from ._turn import Turn

__all__ = ["Console"]

Result = TypeVar("Result")

_ENDED: Final = functools.reduce(operator.or_, (1 << state for state in ENDED))


class Console(BaseConsole):
    """A serial port's other side: `applevz.Console` with calls that are awaited.

    What the guest prints waits in a pipe of up to 1 MiB until it is read. Under Apple's framework the guest then waits;
    QEMU's console device drops what its host does not take (hw/char/virtio-console.c), so read what must not be lost
    while it comes. Any number of tasks of one loop may use a console: one reads, and one writes, at a time. A read that
    is cancelled loses nothing; a write that is cancelled may have written a part. Durations are seconds, and None is no
    limit.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reading = Turn()
        self._writing = Turn()
        self._watches: set[_Watch] = set()

    def close(self) -> None:
        """Gives the pipes back. Whoever reads or writes gets `InvalidStateError`; the guest's output is lost."""
        self._closed = True
        # They look again and find it closed. A descriptor must not be watched when its number is free for another file.
        for watch in list(self._watches):
            watch.end()
        release(self._descriptors)

    async def read(self, size: int = -1, timeout: float | None = None) -> bytes:
        """What the guest printed: waits until there is something, and returns up to `size` bytes of it (-1: all).

        Returns `b""` when the machine is stopped, or not yet started, and everything was read. Raises `TimeoutError`.
        """
        deadline = Deadline(timeout)
        return await self._run(self._reading, self._read(size, deadline), deadline)

    async def read_until(
        self,
        pattern: bytes | str | re.Pattern[bytes] | re.Pattern[str],
        timeout: float | None = None,
        limit: int = LONGEST,
    ) -> bytes:
        """What the guest printed, up to and with the first match of `pattern`: bytes, text, or a compiled expression.

        What comes after stays for the next call, and so does everything if this one fails: with `TimeoutError`, which
        shows what the guest printed last; `EndOfConsoleError` if the machine stopped; or `InvalidStateError` if more
        than `limit` bytes came without a match.
        """
        deadline = Deadline(timeout)
        return await self._run(self._reading, self._read_until(pattern, deadline, limit), deadline)

    async def readline(self, timeout: float | None = None) -> bytes:
        r"""The next line with its `b"\n"`; without one the rest, if the machine stopped; then `b""`."""
        deadline = Deadline(timeout)
        return await self._run(self._reading, self._read_line(deadline), deadline)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The lines that the guest prints, until the machine stops."""
        while line := await self.readline():
            yield line

    async def write(self, data: bytes | str, timeout: float | None = None) -> None:
        """Types `data` (text in UTF-8) into the console. Raises `TimeoutError` if the guest does not take it in time,
        which names how many bytes it was given, and `EndOfConsoleError` if its machine stopped with the pipe full."""
        deadline = Deadline(timeout)
        await self._run(self._writing, self._write(data, deadline), deadline)

    async def _run(self, turn: Turn, waits: Waits[Result], deadline: Deadline) -> Result:
        """Goes through the steps, and lets the loop do other things where they wait."""
        if not await turn.take(deadline):
            raise make(TimeoutError, f"Another task used the console for {deadline}.")
        try:
            self._look_whether_closed()
            while True:
                descriptor, limit = next(waits)
                await self._wait(turn, descriptor, limit)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            waits.close()
            turn.release()

    async def _wait(self, turn: Turn, descriptor: int, deadline: Deadline) -> None:
        """Until the descriptor is ready, the machine ended, the console was closed or the time is over."""
        watch = _Watch(descriptor, writing=turn is self._writing)
        self._watches.add(watch)
        try:
            with ExitStack() as stack:
                stack.callback(watch.end)
                if self._machine is not None:
                    ended = begin(lib.applevz_machine_wait_for_state, self._machine, _ENDED)
                    stack.enter_context(announced(ended, watch.future))
                await until(watch.future, deadline)
        finally:
            self._watches.discard(watch)


class _Watch:
    """The running loop's watch over a descriptor, which settles the future when there is something to read or room."""

    def __init__(self, descriptor: int, *, writing: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._descriptor = descriptor
        self._writing = writing
        self.future: Future = self._loop.create_future()
        add = self._loop.add_writer if writing else self._loop.add_reader
        add(descriptor, settle, self.future)
        self._watched = True

    def end(self) -> None:
        """Ends the watch, and the wait for it."""
        if not self._watched:
            return
        self._watched = False
        if self._loop.is_closed():
            return
        remove = self._loop.remove_writer if self._writing else self._loop.remove_reader
        remove(self._descriptor)
        settle(self.future)
