# SPDX-License-Identifier: Apache-2.0
"""The pool whose calls block. `_core/pool.py` decides what each call does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Final

from .._core.deadline import Deadline
from .._core.operation import run
from .._core.pool import BasePool
from .._core.spare import Spare, not_restored
from .._core.states import ShutdownPolicy
from ..errors import ForkedError, InvalidStateError, OperationCancelledError, make
from ._turn import Place
from .machine import VirtualMachine

__all__ = ["Pool"]

# A call that was ended by a signal's handler wakes nobody: so many seconds may pass before its place is seen to be
# free.
_LOOK_AGAIN: Final = 0.25


class _PoolPlace(Place):
    """The place of one who wants a machine. It waits by its lock `woken`."""

    __slots__ = ("woken",)

    def __init__(self) -> None:
        super().__init__()
        self.woken = threading.Lock()


class Pool(BasePool[VirtualMachine, _PoolPlace]):
    """Fresh machines from one saved state, of which some are restored before somebody asks for one.

        with Pool(configuration, "ready.state", spares=2) as pool:
            with pool.machine() as machine:
                machine.guest.run(["uname", "-a"], check=True)

    `configuration` is that of the machine that was saved, or a function that makes one for each machine. Where it names
    no machine identifier, or no MAC address of a card, a machine gets those of the state; on a network of the host's
    each card gets an address of its own. `state` is the file, which has to stay as it is. Each machine has a memory of
    its own, and what it writes to its disks is gone with it (`restore_state(…, private=True)`).

    `spares` machines are ready, paused, before somebody asks for one: a thread of the pool begins to restore them when
    it is entered, and another whenever one is handed out. On that thread `configuration` is called, too. `maximum` is
    how many machines there may be at once, with the spares, None for any number. `maximum_memory` is a bound of the
    same kind: how much memory all of them may have, together.

    `warm_up` is whether each spare's guest runs the program `true` before somebody has it, by its agent, and is paused
    again. Where guests are emulated the first program in a restored guest takes ten times as long as the next one. None
    is: where they are emulated (`capabilities.hardware_acceleration`).

    `fork_server` is whether, from the third machine on, the programs that run them are copies of one that has loaded
    its libraries and waits, which takes half the time. All of them have it at the same addresses then. On a Mac
    machines start as the framework does it.

    Any thread may use it. Nothing begins before it is entered, or asked for a machine. At the end of the `with` block
    all of its machines are ended, also those that are in use.

    Making it raises the errors of a restore by which a machine of `configuration` differs from the state, as far as
    they can be told without one (`states.check_configuration`), and `InvalidArgumentError`.
    """

    _machine_kind = VirtualMachine

    def __enter__(self) -> Pool:
        self._check_usable()
        with self._turn:
            self._refill()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all of its machines. Who waits for one gets an `InvalidStateError`. Calling it again does nothing."""
        if not self._is_mine:
            return
        with self._turn:
            spares, machines = self._emptied()
        # Each is ended, whatever becomes of another one.
        with suppress(ForkedError), ExitStack() as stack:
            for machine in machines:
                stack.callback(machine.shutdown, ShutdownPolicy.POWEROFF)
            for spare in spares:
                stack.callback(run, spare.end())
        self._background.join()

    @contextmanager
    def machine(self, timeout: float | None = None) -> Iterator[VirtualMachine]:
        """A machine that nobody had before, running. At the end of the `with` block it is ended.

        If there are `maximum` machines, it waits until one of them ends; who came first is served first. `timeout` is
        for that and for the rest of the restore, in seconds, None for no limit. Its guest's agent, if there is one,
        sets the clock and makes new random numbers before it does anything else that is asked of it.

        A spare that ended meanwhile is not handed out: another one is. Raises `TimeoutError`, the errors of
        `restore_state` and `resume`, and `InvalidStateError` if the pool was closed, or if a signal's handler or a
        finalizer asks while its own thread waits for a machine.
        """
        with self._machine(Deadline(timeout)) as machine:
            yield machine

    @contextmanager
    def _machine(self, deadline: Deadline, is_wanted: Callable[[], bool] = lambda: True) -> Iterator[VirtualMachine]:
        """A machine, as of `machine`. Raises `OperationCancelledError` if nobody wants it any more before it has a
        place."""
        place = _PoolPlace()
        machine = None
        try:
            with place.held:
                try:
                    machine = self._taken(place, deadline, is_wanted)
                    yield machine
                finally:
                    if machine is not None:
                        # A process that was forked meanwhile leaves the block, too.
                        with suppress(ForkedError):
                            machine.shutdown(ShutdownPolicy.POWEROFF)
        finally:
            if self._is_mine:
                self._leave(place, machine is not None)

    def _taken(self, place: _PoolPlace, deadline: Deadline, is_wanted: Callable[[], bool]) -> VirtualMachine:
        self._wait_for_place(place, deadline, is_wanted)
        spare = self._running(place, deadline)
        try:
            with self._turn:
                self._hand_out(place, spare.machine)
        except BaseException:
            run(spare.end())
            raise
        return spare.machine

    def _wait_for_place(self, place: _PoolPlace, deadline: Deadline, is_wanted: Callable[[], bool]) -> None:
        self._check_usable()
        place.woken.acquire()
        try:
            with self._turn:
                self._refuse_within_a_call(place)
                self._waiting.append(place)
            while True:
                with self._turn:
                    self._check_usable()
                    if self._is_next(place):
                        self._places[place] = None
                        return
                    if not is_wanted():
                        raise make(OperationCancelledError, "The machine is not wanted any more.")
                    if deadline.passed:
                        raise self._none_free(deadline)
                place.woken.acquire(timeout=deadline.remaining(_LOOK_AGAIN))
        finally:
            with self._turn:
                self._wait_no_more(place)
                self._wake()

    def _refuse_within_a_call(self, place: _PoolPlace) -> None:
        """A handler or a finalizer that waited for what its own thread waits for would do so for ever."""
        if any(one.thread == place.thread and not one.over for one in self._awaiting):
            raise make(
                InvalidStateError,
                "This thread waits for a machine of the pool already.",
                "A signal's handler or a finalizer was called in the middle of that, and has to return first.",
                "Have it set a flag, or leave it to another thread.",
            )

    def _running(self, place: _PoolPlace, deadline: Deadline) -> Spare[VirtualMachine]:
        while True:
            with self._turn:
                self._check_usable()
                spare, gone = self._take(place)
                is_awaited = spare is None and self._is_awaited(place)
            for one in gone:
                run(one.end())
            if is_awaited:
                self._sleep(place, deadline)
                continue
            was_spare = spare is not None
            if spare is None:
                spare = self._make(place)
            try:
                while spare.is_warming:
                    self._sleep(place, deadline)
                run(spare.run(deadline))
            except BaseException as error:
                run(spare.end())
                if not self._is_replaced(error, was_spare):
                    raise
            else:
                return spare

    def _sleep(self, place: _PoolPlace, deadline: Deadline) -> None:
        if deadline.passed:
            raise not_restored(deadline)
        place.woken.acquire(timeout=deadline.remaining(_LOOK_AGAIN))

    def _wake(self) -> None:
        for place in self._awaiting:
            if place.woken.locked():
                with suppress(RuntimeError):
                    place.woken.release()

    def _look_again(self) -> None:
        """Whoever waits looks whether the machine is still wanted."""
        if self._is_mine:
            with self._turn:
                self._wake()
