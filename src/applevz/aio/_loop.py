# SPDX-License-Identifier: Apache-2.0
"""How an event loop waits: for native operations, for a descriptor, for a moment. No thread is involved.

Each loop in which something waits has one native channel, which it watches like a socket: an operation that completes
puts its number there and wakes the loop. The channel goes when nothing waits in its loop any more, so a loop that is
closed leaves nothing behind, and one that is closed with tasks in it gives its channel back with them.

A wait is a future that comes to True, or to False if its time is over. Even if it is cancelled, the channel forgets it,
and its operation is released: the machine goes on, and the completion finds nobody.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from .._core.deadline import Deadline
from .._core.operation import Steps, result
from .._native import Reference, ffi, lib
from ..errors import Error, POSIXError, check, handle_of

__all__ = ["Future", "announced", "is_mine", "run", "settle", "tell", "until"]

Result = TypeVar("Result")
Future = asyncio.Future[bool]

# A process without descriptors to spare has no channel. Its loops look for themselves, once in so many seconds.
_LOOK_AGAIN: Final = 0.02


def is_mine(loop: asyncio.AbstractEventLoop, process: int) -> bool:
    """Whether a loop of that process is open, and this is the process. If a forked child has the loop stop watching
    something, its parent's loop stops too: the system keeps one list for both."""
    return not loop.is_closed() and process == os.getpid()


def settle(future: Future, value: bool = True) -> None:
    """Decides the future, if it is not decided yet."""
    if not future.done():
        future.set_result(value)


def tell(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: Any) -> None:
    """Calls a function of the loop's. Calls it now if this is the loop, or if the loop does not run, so that nobody
    could come between; otherwise soon, in the loop's thread."""
    try:
        running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running is loop or not loop.is_running():
        function(*arguments)
        return
    # A loop that is closed at this moment raises.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)


async def until(future: Future, deadline: Deadline, at_most: float = math.inf) -> bool:
    """Waits for the future, and returns its value. Returns False if the deadline, or that many seconds, come first."""
    seconds = deadline.remaining(at_most)
    if seconds == math.inf:
        return await future
    timer = asyncio.get_running_loop().call_later(seconds, settle, future, False)
    try:
        return await future
    finally:
        timer.cancel()


async def run(steps: Steps[Result]) -> Result:
    """Goes through the steps, lets the loop do other things while they wait, and returns their result."""
    try:
        operation, deadline = next(steps)
        while True:
            try:
                outcome = await _wait(operation, deadline)
            except Error as error:  # noqa: PERF203  # each wait has an outcome of its own
                operation, deadline = steps.throw(error)
            else:
                operation, deadline = steps.send(outcome)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        steps.close()


async def _wait(operation: Reference, deadline: Deadline) -> int | None:
    future: Future = asyncio.get_running_loop().create_future()
    with announced(operation, future):
        # What completed at the last moment did complete.
        if not await until(future, deadline) and not _completed(operation):
            return None
        return result(operation)


@contextmanager
def announced(operation: Reference, future: Future) -> Iterator[None]:
    """Has the operation's completion settle the future of the running loop. Afterwards the operation is released."""
    loop = future.get_loop()
    try:
        listener: _Channel | _Look
        try:
            listener = _channel_of(loop)
        except POSIXError:
            listener = _Look(loop)
        token = listener.announce(operation, future)
        try:
            yield
        finally:
            listener.forget(token)
    finally:
        operation.release()


def _completed(operation: Reference) -> bool:
    return bool(lib.applevz_operation_wait(operation, 0.0) == lib.APPLEVZ_WAIT_COMPLETED)


class _Channel:
    """The channel of one loop. The loop keeps it, through the descriptor that it watches, and so does whoever waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._handle = handle_of(lib.applevz_channel_create)
        self._descriptor: int = lib.applevz_channel_descriptor(self._handle)
        self._loop = loop
        self._process = os.getpid()
        self._waiting: dict[int, Future] = {}
        self._tokens = itertools.count()
        self._token = ffi.new("uint64_t *")
        loop.add_reader(self._descriptor, self._arrived)
        _channels[loop] = weakref.ref(self)

    def announce(self, operation: Reference, future: Future) -> int:
        token = next(self._tokens)
        self._waiting[token] = future
        try:
            check(lib.applevz_operation_announce(operation, self._handle, token))
        except Error:
            self.forget(token)
            raise
        return token

    def forget(self, token: int) -> None:
        del self._waiting[token]
        if self._waiting:
            return
        _channels.pop(self._loop, None)
        if is_mine(self._loop, self._process):
            self._loop.remove_reader(self._descriptor)
        self._handle.release()

    def _arrived(self) -> None:
        # Nobody waits any more: the loop had this call under way when it was told to watch no longer.
        while self._waiting and lib.applevz_channel_next(self._handle, self._token):
            future = self._waiting.get(self._token[0])
            if future is not None:
                settle(future)


# Weak on both sides: what waits in a loop that was closed refers to the loop, and goes with it.
_channels: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[_Channel]] = weakref.WeakKeyDictionary()


def _channel_of(loop: asyncio.AbstractEventLoop) -> _Channel:
    reference = _channels.get(loop)
    channel = None if reference is None else reference()
    return _Channel(loop) if channel is None else channel


class _Look:
    """In place of a channel, for one operation."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def announce(self, operation: Reference, future: Future) -> int:
        if _completed(operation):
            settle(future)
        else:
            self._timer = self._loop.call_later(_LOOK_AGAIN, self.announce, operation, future)
        return 0

    def forget(self, token: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
