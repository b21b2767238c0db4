# SPDX-License-Identifier: Apache-2.0
"""The events of a machine, awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator

from .._deadline import Deadline
from .._events import BaseEvents, Event
from ._loop import run

__all__ = ["Events"]


class Events(BaseEvents):
    """What happened to a machine, and happens: `VirtualMachine.events`.

    Events are kept until they are taken, the youngest 256 of them. Each goes to one who takes it, however many do, and
    a call that is cancelled takes none. What a verb did is there before the verb returns. Iterating waits for the next
    event without limit, and does not end by itself: a machine that stopped can be started again.
    """

    __slots__ = ()

    async def next(self, timeout: float | None = None) -> Event:
        """Takes the oldest event; waits for one if there is none. Raises `TimeoutError`."""
        return await run(self._next(Deadline(timeout)))

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        return await self.next()
