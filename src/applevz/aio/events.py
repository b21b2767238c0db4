# SPDX-License-Identifier: Apache-2.0
"""The events of a machine, with calls that are awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator

from .._core.deadline import Deadline
from .._core.events import BaseEvents, Event
from ._loop import run

__all__ = ["Events"]


class Events(BaseEvents):
    """The events of a machine: `VirtualMachine.events`.

    Events are kept until they are taken; of more than 256 the youngest are kept. Each goes to one taker, however many
    there are, and a call that is cancelled takes none. What a verb did is here before the verb returns. Iterating waits
    for the next event without limit, and does not end by itself: a machine that stopped can be started again.
    """

    __slots__ = ()

    async def next(self, timeout: float | None = None) -> Event:
        """Takes the oldest event. Waits for one if there is none. Raises `TimeoutError`."""
        return await run(self._next(Deadline(timeout)))

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        return await self.next()
