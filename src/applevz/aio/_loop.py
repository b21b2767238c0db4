# SPDX-License-Identifier: Apache-2.0
"""How an event loop waits: for native operations, for a descriptor, for a moment. No thread is involved.

Each loop in which something waits has one native channel, which it watches like a socket: an operation that completes
puts its number there and wakes the loop. The channel goes when nothing waits in its loop any more, so a loop that is
closed leaves nothing behind, and one that is closed with tasks in it gives its channel back with them.

A wait is a future that comes to True, or to False when its time is over. Cancelled or not, what was told to tell of it
forgets it, and its operation is released: the machine goes on, and the completion finds nobody.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from .._deadline import Deadline
from .._native import Reference, ffi, lib, release
from .._operation import Steps, result
from ..errors import Error, POSIXError, check

__all__ = ["Future", "announced", "run", "settle", "until"]

Result = TypeVar("Result")
Future = asyncio.Future[bool]

# A process without descriptors to spare has no channel. Its loops look for themselves, so often.
_LOOK_AGAIN: Final = 0.02


def settle(future: Future, value: bool = True) -> None:
    """Decides the future, if it is not decided yet."""
    if not future.done():
        future.set_result(value)


async def until(future: Future, deadline: Deadline) -> bool:
    """What the future comes to, which is False when the deadline comes first."""
    seconds = deadline.remaining(math.inf)
    if seconds == math.inf:
        return await future
    timer = asyncio.get_running_loop().call_later(seconds, settle, future, False)
    try:
        return await future
    finally:
        timer.cancel()


async def run(steps: Steps[Result]) -> Result:
    """Goes through the steps, and lets the loop do other things where they wait."""
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
        release(operation)


def _completed(operation: Reference) -> bool:
    return bool(lib.applevz_operation_wait(operation, 0.0) == lib.APPLEVZ_WAIT_COMPLETED)


class _Channel:
    """The one of a loop. The loop keeps it, through the descriptor that it watches, and so does whoever waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        out = ffi.new("applevz_channel **")
        check(lib.applevz_channel_create(out))
        self._handle: Reference = ffi.gc(out[0], lib.applevz_channel_release)
        self._descriptor: int = lib.applevz_channel_descriptor(self._handle)
        self._loop = loop
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
        if not self._loop.is_closed():
            self._loop.remove_reader(self._descriptor)
        release(self._handle)

    def _arrived(self) -> None:
        while lib.applevz_channel_next(self._handle, self._token):
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
