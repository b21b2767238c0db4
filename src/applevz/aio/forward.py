# SPDX-License-Identifier: Apache-2.0
"""The forwards whose end is awaited. `_core/guest/` decides what they do; a task of the loop carries their bytes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from .._core.guest.forward import BaseForward
from ..errors import ForkedError
from ._loop import is_mine
from ._pump import Pump

if TYPE_CHECKING:
    from .._core.guest.forward_heads import Forwarding
    from .._core.guest.relay import Relay

__all__ = ["Carrier", "Forward"]


class Carrier:
    """A relay, and the task that has it step. It is made for the first forward of a loop, and goes with the last."""

    def __init__(self, pump: Pump) -> None:
        from .._core.guest.relay import Relay

        self._pump = pump
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._watched: dict[int, tuple[bool, bool]] = {}
        self.relay: Relay = Relay(pump.session, self)
        self.task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Sees to it that there is a task."""
        if self.task is None:
            self.task = self._loop.create_task(self._serve(), name="applevz forwards")

    @property
    def over(self) -> bool:
        """Whether it carries nothing any more."""
        return self._loop.is_closed() or (self.task is not None and self.task.done())

    async def _serve(self) -> None:
        try:
            await self._pump.serve(self.relay.steps())
        finally:
            if self._pump.carrier is self:
                self._pump.carrier = None

    async def wait(self) -> None:
        """Waits for the task, if it ends."""
        if self.task is not None and not self.relay.heads:
            await asyncio.wait([self.task])

    def watch(self, number: int, reading: bool, writing: bool) -> None:
        was_reading, was_writing = self._watched.pop(number, (False, False))
        if not is_mine(self._loop, self._process):
            return
        if reading or writing:
            self._watched[number] = reading, writing
        self._set(number, was_reading, reading, self._loop.add_reader, self._loop.remove_reader)
        self._set(number, was_writing, writing, self._loop.add_writer, self._loop.remove_writer)

    def _set(
        self, number: int, before: bool, now: bool, add: Callable[..., object], remove: Callable[[int], object]
    ) -> None:
        if now and not before:
            add(number, self.relay.ready, number)
        elif before and not now:
            remove(number)


class Forward(BaseForward):
    """A port or a path that leads into a guest, or from a guest to the host: `VirtualMachine.forward`.

    As an asynchronous context manager it is closed at the end of the `async with` block. One that is not closed lasts
    as long as its loop runs.
    """

    def __init__(self, pump: Pump, forwarding: Forwarding, protocol: str) -> None:
        super().__init__(forwarding, protocol)
        self._pump = pump

    def close(self) -> None:
        """Ends the forward and its connections; what it listened to is free. Calling it again does nothing.

        Does not wait. What carried it ends with the next turn of the loop.
        """
        # In a process that was forked it is not there.
        with suppress(ForkedError):
            self._pump.do(self._forwarding.end)

    async def __aenter__(self) -> Forward:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        carrier = self._pump.carrier
        self.close()
        if carrier is not None:
            await carrier.wait()
