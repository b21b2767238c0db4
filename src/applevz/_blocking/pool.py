# SPDX-License-Identifier: Apache-2.0
"""The pool whose calls block. `_core/pool.py` decides what each call does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

from .._core.deadline import Deadline
from .._core.operation import DAY, run
from .._core.pool import BasePool, Spare
from .._core.states import ShutdownPolicy
from ..errors import Error, ForkedError
from .machine import VirtualMachine

__all__ = ["Pool"]


class Pool(BasePool[VirtualMachine, object]):
    """Fresh machines from one saved state, of which some are restored before somebody asks for one.

        with Pool(configuration, "ready.state", spares=2) as pool:
            with pool.machine() as machine:
                machine.guest.run(["uname", "-a"], check=True)

    `configuration` is that of the machine that was saved, or a function that makes one for each machine. Where it names
    no machine identifier, or no MAC address of a card, a machine gets those of the state; on a network of the host's
    each card gets an address of its own. `state` is the file, which has to stay as it is. Each machine has a memory of
    its own, and what it writes to its disks is gone with it (`restore_state(…, private=True)`).

    `spares` machines are ready, paused, before somebody asks for one: the pool begins to restore them when it is
    entered, and another whenever one is handed out. They are restored by the framework meanwhile: no thread is needed.
    `maximum` is how many machines there may be at once, with the spares, None for any number. `maximum_memory` is a
    bound of the same kind: how much memory all of them may have, together.

    Any thread may use it. Nothing begins before it is entered, or asked for a machine. At the end of the `with` block
    all of its machines are ended, also those that are in use.

    Making it raises the errors of a restore by which a machine of `configuration` differs from the state, as far as
    they can be told without one (`states.check_configuration`), and `InvalidArgumentError`.
    """

    _machine_kind = VirtualMachine

    def __enter__(self) -> Pool:
        with self._turn:
            self._check_usable()
            self._refill()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all of its machines. Who waits for one gets an `InvalidStateError`. Calling it again does nothing."""
        with suppress(ForkedError):
            if not self._is_mine:
                return
            with self._turn:
                spares, machines = self._emptied()
                self._turn.notify_all()
            for spare in spares:
                _end(spare)
            for machine in machines:
                machine.shutdown(ShutdownPolicy.POWEROFF)

    @contextmanager
    def machine(self, timeout: float | None = None) -> Iterator[VirtualMachine]:
        """A machine that nobody had before, running. At the end of the `with` block it is ended.

        If there are `maximum` machines, it waits until one of them ends; who came first is served first. `timeout` is
        for that and for the rest of the restore, in seconds, None for no limit. Its guest's agent, if there is one,
        sets the clock and makes new random numbers before it does anything else that is asked of it.

        A spare that ended meanwhile is not handed out: another one is. Raises `TimeoutError`, the errors of
        `restore_state` and `resume`, and `InvalidStateError` if the pool was closed.
        """
        machine = self._taken(Deadline(timeout))
        try:
            yield machine
        finally:
            self._take_back(machine)

    def _taken(self, deadline: Deadline) -> VirtualMachine:
        self._wait_for_place(deadline)
        try:
            machine = self._running(deadline)
        except BaseException:
            self._give_place_back()
            raise
        with self._turn:
            if not self._is_closed:
                self._hand_out(machine)
                return machine
        self._take_back(machine)
        raise self._closed()

    def _running(self, deadline: Deadline) -> VirtualMachine:
        while True:
            with self._turn:
                self._check_usable()
                spare, gone = self._take()
            for one in gone:
                _end(one)
            was_spare = spare is not None
            if spare is None:
                spare = self._begin()
            try:
                run(spare.run(deadline))
            except BaseException as error:
                _end(spare)
                if not self._is_replaced(error, was_spare):
                    raise
            else:
                return spare.machine

    def _wait_for_place(self, deadline: Deadline) -> None:
        with self._turn:
            self._check_usable()
            if self._has_place and not self._waiting:
                self._places += 1
                return
            me = object()
            self._waiting.append(me)
            try:
                while not (self._has_place and self._waiting[0] is me):
                    if deadline.passed:
                        raise self._none_free(deadline)
                    self._turn.wait(deadline.remaining(DAY))
                    self._check_usable()
                self._places += 1
            finally:
                self._waiting.remove(me)
                self._turn.notify_all()

    def _give_place_back(self) -> None:
        with self._turn:
            self._places -= 1
            self._turn.notify_all()

    def _take_back(self, machine: VirtualMachine) -> None:
        # A process that was forked meanwhile leaves the block, too.
        with suppress(ForkedError):
            if not self._is_mine:
                return
            try:
                machine.shutdown(ShutdownPolicy.POWEROFF)
            finally:
                with self._turn:
                    self._out.discard(machine)
                    self._give_place_back()
                    self._refill()


def _end(spare: Spare[VirtualMachine]) -> None:
    spare.drop()
    with suppress(Error):
        spare.machine.shutdown(ShutdownPolicy.POWEROFF)
