# SPDX-License-Identifier: Apache-2.0
"""`Pool`: what both faces share, which is all but the waiting.

Nobody waits for the restore of a spare (`spare.py`). So a pool has no thread and no task, and costs nothing but what
its spares are. Who takes one waits for the rest of its restore, if there is a rest, and has it run.

    places      of those who have a machine, or for whom one is made or ended; with the spares, `maximum` at most
    waiting     the places of who came when there were so many; served in the order in which they came

Each face holds a lock, or is one thread, while it calls what is here. A signal's handler and a finalizer may come in
the middle of it all the same, and a handler that raises, as Ctrl-C's does, ends a call between any two of its steps. So
no place is given back step by step: it says by itself whether it is over, as the places of `Turn` do.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from .._host.capabilities import capabilities
from .._values.arguments import PathLike, instance, integer, shown
from .._values.arguments import path as path_argument
from .._values.sizes import Size
from .._values.sizes import size as size_argument
from .._values.unique import Unique
from ..configuration.machine import VirtualMachineConfiguration
from ..errors import Error, ForkedError, InvalidArgumentError, InvalidStateError, TimeoutError, make
from .deadline import Deadline
from .fitting import fitting
from .spare import Machine, Spare

if TYPE_CHECKING:
    from .._states.saved_state import SavedState


class _Place(Protocol):
    @property
    def over(self) -> bool:
        """Whether its call has ended, in whatever way."""


Place = TypeVar("Place", bound=_Place)

__all__ = ["BasePool", "PoolStatistics", "machine_count"]

# More than anybody could mean.
_MOST: Final = 100_000


@dataclass(frozen=True)
class PoolStatistics:
    """What a pool has at this moment, and has done since it was made."""

    machines: int
    """The machines that are handed out, with those that are being made for somebody."""
    spares: int
    """The machines that wait to be handed out, or are being restored for that."""
    ready: int
    """How many of the spares are restored, so that they only have to be told to run."""
    waiting: int
    """How many wait for a machine, since there are as many as there may be."""
    handed_out: int
    """How many machines were handed out so far."""
    lost: int
    """How many spares ended before they were handed out. Others took their places."""


class BasePool(Unique, Generic[Machine, Place]):
    """The machines of a pool, counted."""

    _machine_kind: type[Machine]

    def __init__(
        self,
        configuration: VirtualMachineConfiguration | Callable[[], VirtualMachineConfiguration],
        state: PathLike,
        *,
        spares: int = 1,
        maximum: int | None = None,
        maximum_memory: Size | None = None,
    ) -> None:
        if not callable(configuration):
            instance("configuration", configuration, (VirtualMachineConfiguration,))
        self._configuration = configuration
        # Where this process stands later does not matter.
        self._path = os.path.abspath(path_argument("state", state))
        self._spares_wanted = machine_count("spares", spares, 0)
        self._maximum = _MOST if maximum is None else machine_count("maximum", maximum, 1)
        memory = None if maximum_memory is None else size_argument("maximum_memory", maximum_memory)
        made = self._made()
        if memory is not None:
            each = size_argument("memory_size", made.memory_size)
            self._maximum = min(self._maximum, memory // each)
            if not self._maximum:
                raise make(
                    InvalidArgumentError,
                    f"maximum_memory is {shown(maximum_memory)}.",
                    f"One machine has {each} bytes of memory.",
                    "Allow more, or give the machine less memory before its state is saved.",
                )
        self._state: SavedState | None = None
        self._check(made)
        # For the face that threads use. It is one that a signal's handler may take again.
        self._turn = threading.RLock()
        self._process = os.getpid()
        self._shelf: deque[Spare[Machine]] = deque()
        # With the machine, once it is handed out.
        self._places: dict[Place, Machine | None] = {}
        self._waiting: list[Place] = []
        self._handed_out = self._lost = 0
        self._is_closed = False

    @property
    def maximum(self) -> int | None:
        """How many machines there may be at once, by `maximum` and `maximum_memory`; None for any number."""
        return None if self._maximum == _MOST else self._maximum

    def statistics(self) -> PoolStatistics:
        """What the pool has at this moment."""
        self._check_mine()
        with self._turn:
            spares = list(self._shelf)
            ready = sum(spare.is_ready for spare in spares)
            waiting = sum(not place.over for place in list(self._waiting))
            return PoolStatistics(self._in_use, len(spares), ready, waiting, self._handed_out, self._lost)

    # ---- What a machine is made of ----

    def _made(self) -> VirtualMachineConfiguration:
        if isinstance(self._configuration, VirtualMachineConfiguration):
            return self._configuration
        made: VirtualMachineConfiguration = instance(
            "What configuration returned", self._configuration(), (VirtualMachineConfiguration,)
        )
        return made

    def _check(self, made: VirtualMachineConfiguration) -> None:
        """Raises the error of a restore at once, if that can be told without one."""
        if not capabilities.saved_state_inspection:
            return
        from .._states.checking import check_configuration_of
        from .._states.saved_state import inspect_state

        self._state = inspect_state(self._path)
        check_configuration_of(self._path, self._fitted(made))

    def _fitted(self, made: VirtualMachineConfiguration) -> VirtualMachineConfiguration:
        return made if self._state is None else fitting(made, self._state) or made

    def _begin(self) -> Spare[Machine]:
        """A machine whose restore begins."""
        return Spare(self._machine_kind(self._fitted(self._made())), self._path)

    # ---- What is there ----

    @property
    def _is_mine(self) -> bool:
        return self._process == os.getpid()

    def _check_mine(self) -> None:
        # Before the lock is taken: in a forked child it may be held by a thread that stayed behind.
        if not self._is_mine:
            raise make(
                ForkedError,
                "The pool belongs to the process that this one was forked from.",
                "Its machines stayed there.",
                "Make a pool in this process, which was started anew.",
            )

    def _check_usable(self) -> None:
        self._check_mine()
        if self._is_closed:
            raise self._closed()

    def _closed(self) -> Error:
        return make(InvalidStateError, "The pool was closed.")

    def _none_free(self, deadline: Deadline) -> Error:
        return make(
            TimeoutError,
            f"No machine of the pool became free within {deadline}.",
            f"{self._in_use} are in use, which is as many as there may be.",
            "Allow more time, or more machines.",
        )

    @property
    def _in_use(self) -> int:
        """How many machines there are beside the spares, or are being made, or taken away."""
        for place in list(self._places):
            if place.over:
                # A machine that nobody else has is ended by this.
                self._places.pop(place, None)
        return len(self._places)

    @property
    def _first(self) -> Place | None:
        """The place of who waits for longest."""
        for place in list(self._waiting):
            if not place.over:
                return place
            self._wait_no_more(place)
        return None

    def _wait_no_more(self, place: Place) -> None:
        with suppress(ValueError):
            self._waiting.remove(place)

    def _is_next(self, place: Place) -> bool:
        """Whether a machine can be handed out now, and to this one: a spare is one already."""
        return self._in_use < self._maximum and self._first is place

    def _take(self) -> tuple[Spare[Machine] | None, list[Spare[Machine]]]:
        """The spare that was begun first, if there is one that has not ended. Then those that have."""
        gone: list[Spare[Machine]] = []
        found: Spare[Machine] | None = None
        while found is None and self._shelf:
            spare = self._shelf.popleft()
            if spare.is_gone:
                gone.append(spare)
            else:
                found = spare
        self._lost += len(gone)
        return found, gone

    @property
    def _lacks_spare(self) -> bool:
        room = self._maximum - self._in_use - len(self._shelf)
        return not self._is_closed and room > 0 and len(self._shelf) < self._spares_wanted

    def _refill(self) -> None:
        """Begins what is lacking. The error of one that cannot be begun is for whoever needs a machine and has none."""
        while self._lacks_spare:
            spare: Spare[Machine] | None = None
            with suppress(Exception):
                spare = self._begin()
            if spare is None:
                return
            # What makes the configuration may have used the pool, and so may a signal's handler.
            if not self._lacks_spare:
                spare.drop()
                return
            self._shelf.append(spare)

    def _hand_out(self, place: Place, machine: Machine) -> None:
        self._places[place] = machine
        self._handed_out += 1
        self._refill()

    def _emptied(self) -> tuple[list[Spare[Machine]], list[Machine]]:
        """Closes the pool. Returns what has to be ended: the spares, and the machines that are in use."""
        self._is_closed = True
        spares = list(self._shelf)
        self._shelf.clear()
        return spares, [machine for machine in list(self._places.values()) if machine is not None]

    def _is_replaced(self, error: BaseException, was_spare: bool) -> bool:
        """Whether another machine may do what this one could not: it was a spare, and has ended since."""
        replaced = was_spare and isinstance(error, Error) and not isinstance(error, TimeoutError | ForkedError)
        self._lost += replaced
        return replaced


def machine_count(field: str, value: int, least: int) -> int:
    """The number of machines, from `least` on. Raises `InvalidArgumentError`."""
    number = integer(field, value, f"Give a number from {least} to {_MOST}.")
    if not least <= number <= _MOST:
        raise make(InvalidArgumentError, f"{field} is {number}.", "", f"Give a number from {least} to {_MOST}.")
    return number
