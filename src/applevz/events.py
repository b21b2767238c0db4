# SPDX-License-Identifier: Apache-2.0
"""The events of a machine, waited for by blocking."""

from __future__ import annotations

from collections.abc import Iterator

from ._deadline import Deadline
from ._events import BaseEvents, Event
from ._operation import run

__all__ = ["Events"]


class Events(BaseEvents):
    """What happened to a machine, and happens: `VirtualMachine.events`.

    Events are kept until they are taken, the youngest 256 of them. Each goes to one who takes it, however many do.
    What a verb did is there before the verb returns. Iterating waits for the next event without limit, and does not end
    by itself: a machine that stopped can be started again.
    """

    __slots__ = ()

    def next(self, timeout: float | None = None) -> Event:
        """Takes the oldest event; waits for one if there is none. Raises `TimeoutError`."""
        return run(self._next(Deadline(timeout)))

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        return self.next()
