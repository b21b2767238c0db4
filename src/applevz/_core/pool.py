# SPDX-License-Identifier: Apache-2.0
"""`Pool`: what both faces share, which is all but the waiting.

A thread begins the restores of spares (`background.py`), for which nobody waits (`spare.py`), and warms up those whose
guests are emulated (`warming.py`). Who takes a spare has it run, once it is restored and warm.

    due         the number of spares that the thread is to begin, or is beginning; each counts as one that there is
    shelf       the spares that were begun, in that order: those that are ready, the one that is warmed up, others
    places      of those who have a machine, or for whom one is made or ended; with the spares, `maximum` at most
    waiting     the places of who came when there were so many; served in the order in which they came

Whoever looks at these holds the lock. It is never held while something is waited for or made. A signal's handler and a
finalizer may come in the middle of it all the same, and a handler that raises, as Ctrl-C's does, ends a call between
any two of its steps. So no place is given back step by step: it says by itself whether it is over, as the places of
`Turn` do.
"""

from __future__ import annotations

import os
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from .._host.capabilities import capabilities
from .._host.fork_server import fork_server
from .._native import Reference
from .._values.arguments import PathLike, boolean, instance, integer, shown
from .._values.arguments import path as path_argument
from .._values.sizes import Size
from .._values.sizes import size as size_argument
from .._values.unique import Unique
from ..configuration.machine import VirtualMachineConfiguration
from ..errors import Error, ForkedError, InvalidArgumentError, InvalidStateError, TimeoutError, make
from .background import Background
from .deadline import Deadline
from .fitting import fitting
from .spare import Machine, Spare
from .warming import warm_up as warm

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
_MACHINES_WITHOUT_SERVER: Final = 2


@dataclass(frozen=True)
class PoolStatistics:
    """What a pool has at this moment, and has done since it was made."""

    machines: int
    """The machines that are handed out, with those that are being made for somebody."""
    spares: int
    """The machines that wait to be handed out, or are being made for that."""
    ready: int
    """How many of the spares are restored, and warmed up if the pool does that, so that they only have to be told to
    run."""
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
        warm_up: bool | None = None,
        fork_server: bool = True,
    ) -> None:
        if not callable(configuration):
            instance("configuration", configuration, (VirtualMachineConfiguration,))
        self._configuration = configuration
        # Where this process stands later does not matter.
        self._path = os.path.abspath(path_argument("state", state))
        self._spares_wanted = machine_count("spares", spares, 0)
        self._maximum = _MOST if maximum is None else machine_count("maximum", maximum, 1)
        self._warms_up = None if warm_up is None else boolean("warm_up", warm_up)
        self._has_fork_server = boolean("fork_server", fork_server)
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
        # It is one that a signal's handler may take again.
        self._turn = threading.RLock()
        self._process = os.getpid()
        self._background = Background(self, "applevz-pool")
        self._beginner: int | None = None
        self._due = 0
        self._shelf: deque[Spare[Machine]] = deque()
        # With the machine, once it is handed out; with the one that is made for it until then; None before that.
        self._places: dict[Place, Machine | Spare[Machine] | None] = {}
        self._waiting: list[Place] = []
        self._handed_out = self._lost = self._begun = 0
        self._fork_server: Reference | None = None
        self._is_closed = False

    @property
    def maximum(self) -> int | None:
        """How many machines there may be at once, by `maximum` and `maximum_memory`; None for any number."""
        return None if self._maximum == _MOST else self._maximum

    def statistics(self) -> PoolStatistics:
        """What the pool has at this moment."""
        self._check_mine()
        with self._turn:
            ready = sum(spare.is_ready for spare in list(self._shelf))
            waiting = sum(not place.over for place in list(self._waiting))
            spares = 0 if self._is_closed else self._free_spares
            return PoolStatistics(self._in_use, spares, min(ready, spares), waiting, self._handed_out, self._lost)

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
        spare = Spare(self._machine_kind(self._fitted(self._made())), self._path)
        self._prepare_starts()
        return spare

    def _prepare_starts(self) -> None:
        """From the third machine on those to come are copied from what waits for that. It takes one start to make,
        which is too much for a machine or two."""
        with self._turn:
            self._begun += 1
            if self._begun != _MACHINES_WITHOUT_SERVER or not self._has_fork_server:
                return
        server = fork_server()
        with self._turn:
            if not self._is_closed:
                self._fork_server = server

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

    @property
    def _unserved(self) -> list[Place]:
        """Who has a place, and nothing is made for him as yet. Each of them takes a spare, if there are enough."""
        return [place for place, made in list(self._places.items()) if made is None and not place.over]

    @property
    def _free_spares(self) -> int:
        return max(0, len(self._shelf) + self._due - len(self._unserved))

    def _take(self, place: Place) -> tuple[Spare[Machine] | None, list[Spare[Machine]]]:
        """The spare that was begun first, if there is one that has not ended. Then those that have."""
        gone: list[Spare[Machine]] = []
        found: Spare[Machine] | None = None
        while found is None and self._shelf:
            spare = self._shelf.popleft()
            if spare.is_gone:
                gone.append(spare)
            else:
                found = self._places[place] = spare
        self._lost += len(gone)
        return found, gone

    def _make(self, place: Place) -> Spare[Machine]:
        """A machine of his own for whom there is no spare."""
        spare = self._begin()
        try:
            with self._turn:
                self._check_usable()
                self._places[place] = spare
        except BaseException:
            spare.drop()
            raise
        return spare

    @property
    def _lacking(self) -> int:
        """How many spares are neither there nor due."""
        if self._is_closed:
            return 0
        return max(0, min(self._spares_wanted, self._maximum - self._in_use) - self._free_spares)

    def _refill(self) -> None:
        """Has the thread begin what is lacking."""
        with self._turn:
            self._due += self._lacking
            self._look_for_work()

    def _look_for_work(self) -> None:
        if not self._due or self._is_closed:
            return
        try:
            self._background.look()
        except RuntimeError:
            # The system has no thread. Each machine is made when it is asked for.
            self._due = 0

    def _is_awaited(self, place: Place) -> bool:
        """Whether a spare for this one comes soon, so that no other machine is made. What makes a configuration, on the
        thread, does not wait for itself."""
        self._look_for_work()
        return self._beginner != threading.get_ident() and place in self._unserved[: self._due]

    # ---- The thread ----

    def _work(self) -> bool:
        """Begins a spare, or warms one up. Returns whether one was to be."""
        cold: Spare[Machine] | None = None
        with self._turn:
            if self._is_closed:
                return False
            if not self._due:
                cold = self._first_cold
                if cold is None:
                    return False
                cold.is_claimed = cold.is_warming = True
        if cold is None:
            self._begin_spare()
        else:
            self._warm(cold)
        return True

    @property
    def _first_cold(self) -> Spare[Machine] | None:
        return next((spare for spare in self._shelf if spare.is_cold and not spare.is_claimed), None)

    def _begin_spare(self) -> None:
        """The error of one that cannot be begun is for whoever needs a machine and has none."""
        spare: Spare[Machine] | None = None
        self._beginner = threading.get_ident()
        try:
            # What makes the configuration may raise anything.
            with suppress(BaseException):
                spare = self._begin()
                spare.is_cold = spare.machine._guest is not None and self._is_to_warm_up
        finally:
            with self._turn:
                self._beginner = None
                self._due -= 1
                if spare is not None:
                    # What makes the configuration may have taken a machine, and kept it.
                    served = self._in_use - len(self._unserved)
                    if self._is_closed or served + len(self._shelf) + self._due >= self._maximum:
                        spare.drop()
                    else:
                        self._shelf.append(spare)
                self._wake()

    @property
    def _is_to_warm_up(self) -> bool:
        if self._warms_up is None:
            self._warms_up = not capabilities.hardware_acceleration
        return self._warms_up

    def _warm(self, spare: Spare[Machine]) -> None:
        try:
            # Of one that ended whoever takes it hears.
            with suppress(Error):
                if not warm(spare):
                    # The next ones would not answer, either.
                    self._warms_up = False
        finally:
            with self._turn:
                spare.is_cold = spare.is_warming = False
                if self._warms_up is False:
                    for other in self._shelf:
                        other.is_cold = False
                self._wake()

    @abstractmethod
    def _wake(self) -> None:
        """Has all who wait for a place, or for a spare, look."""

    def _hand_out(self, place: Place, machine: Machine) -> None:
        self._check_usable()
        self._places[place] = machine
        self._handed_out += 1
        self._refill()

    def _leave(self, place: Place, had_machine: bool) -> None:
        with self._turn:
            self._places.pop(place, None)
            self._wake()
            if had_machine:
                self._refill()

    @property
    def _awaiting(self) -> list[Place]:
        """Those who wait for a place, or for a machine."""
        places = list(self._places.items())
        return [*self._waiting, *(place for place, made in places if made is None or isinstance(made, Spare))]

    def _emptied(self) -> tuple[list[Spare[Machine]], list[Machine]]:
        """Closes the pool. Returns what has to be ended: the spares, and the machines that are in use, or are made for
        somebody, who hears of it."""
        self._is_closed = True
        self._fork_server = None
        self._background.end()
        spares = list(self._shelf)
        self._shelf.clear()
        self._wake()
        made = [one for one in list(self._places.values()) if one is not None]
        return spares, [one.machine if isinstance(one, Spare) else one for one in made]

    def _is_replaced(self, error: BaseException, was_spare: bool) -> bool:
        """Whether another machine may do what this one could not: it was a spare, and has ended since."""
        if self._is_closed and isinstance(error, Error) and not isinstance(error, ForkedError):
            raise self._closed() from error
        replaced = was_spare and isinstance(error, Error) and not isinstance(error, TimeoutError | ForkedError)
        self._lost += replaced
        return replaced


def machine_count(field: str, value: int, least: int) -> int:
    """The number of machines, from `least` on. Raises `InvalidArgumentError`."""
    number = integer(field, value, f"Give a number from {least} to {_MOST}.")
    if not least <= number <= _MOST:
        raise make(InvalidArgumentError, f"{field} is {number}.", "", f"Give a number from {least} to {_MOST}.")
    return number
