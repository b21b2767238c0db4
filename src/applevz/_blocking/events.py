# SPDX-License-Identifier: Apache-2.0
"""The events of a machine, with calls that block."""

from __future__ import annotations

from collections.abc import Iterator

from .._core.deadline import Deadline
from .._core.events import BaseEvents, Event
from .._core.operation import run

__all__ = ["Events"]


class Events(BaseEvents):
    """The events of a machine: `VirtualMachine.events`.

    Events are kept until they are taken; of more than 256 the youngest are kept. Each goes to one taker, however many
    there are. What a verb did is here before the verb returns. Iterating waits for the next event without limit, and
    does not end by itself: a machine that stopped can be started again.
    """

    __slots__ = ()

    def next(self, timeout: float | None = None) -> Event:
        """Takes the oldest event. Waits for one if there is none. Raises `TimeoutError`."""
        return run(self._next(Deadline(timeout)))

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        return self.next()
