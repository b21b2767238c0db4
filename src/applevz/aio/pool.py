# SPDX-License-Identifier: Apache-2.0
"""The pool whose calls are awaited. `_core/pool.py` decides what each call does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from types import TracebackType
from typing import Final

from .._core.deadline import Deadline
from .._core.operation import DAY
from .._core.pool import BasePool
from .._core.spare import Spare
from .._core.states import ShutdownPolicy
from ..errors import ForkedError
from ._loop import run, settle, tell, until
from ._turn import Place
from .machine import VirtualMachine

__all__ = ["Pool"]

# A loop that was closed while a task of its had a place tells nobody. Another loop looks for itself, once in so many
# seconds. A pool is meant to be used by one loop at a time.
_LOOK_AGAIN: Final = 0.05


class Pool(BasePool[VirtualMachine, Place]):
    """As `applevz.Pool`, for one event loop.

        async with Pool(configuration, "ready.state", spares=2) as pool:
            async with pool.machine() as machine:
                await machine.guest.run(["uname", "-a"], check=True)
    """

    _machine_kind = VirtualMachine

    async def __aenter__(self) -> Pool:
        self._check_usable()
        self._refill()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all of its machines. Who waits for one gets an `InvalidStateError`. Calling it again does nothing."""
        if not self._is_mine:
            return
        spares, machines = self._emptied()
        self._wake()
        # Each is ended, whatever becomes of another one.
        async with AsyncExitStack() as stack:
            for machine in machines:
                stack.push_async_callback(machine.shutdown, ShutdownPolicy.POWEROFF)
            for spare in spares:
                stack.push_async_callback(run, spare.end())

    @asynccontextmanager
    async def machine(self, timeout: float | None = None) -> AsyncIterator[VirtualMachine]:
        """As `applevz.Pool.machine`. A task that is cancelled while it waits has no machine, and its place in the row
        is another's."""
        deadline = Deadline(timeout)
        place = Place()
        machine = None
        try:
            machine = await self._taken(place, deadline)
            yield machine
        finally:
            try:
                if machine is not None:
                    # A process that was forked meanwhile leaves the block, too.
                    with suppress(ForkedError):
                        await machine.shutdown(ShutdownPolicy.POWEROFF)
            finally:
                if self._is_mine:
                    self._leave(place, machine is not None)

    async def _taken(self, place: Place, deadline: Deadline) -> VirtualMachine:
        await self._wait_for_place(place, deadline)
        spare = await self._running(deadline)
        try:
            self._check_usable()
            self._hand_out(place, spare.machine)
        except BaseException:
            await run(spare.end())
            raise
        return spare.machine

    async def _running(self, deadline: Deadline) -> Spare[VirtualMachine]:
        while True:
            self._check_usable()
            spare, gone = self._take()
            was_spare = spare is not None
            if spare is None:
                spare = self._begin()
            try:
                for one in gone:
                    await run(one.end())
                await run(spare.run(deadline))
            except BaseException as error:
                await run(spare.end())
                if not self._is_replaced(error, was_spare):
                    raise
            else:
                return spare

    async def _wait_for_place(self, place: Place, deadline: Deadline) -> None:
        self._check_usable()
        self._waiting.append(place)
        try:
            while not self._is_next(place):
                if deadline.passed:
                    raise self._none_free(deadline)
                place.future = place.loop.create_future()
                others = any(one.loop is not place.loop for one in (*self._places, *self._waiting))
                await until(place.future, deadline, _LOOK_AGAIN if others else DAY)
                self._check_usable()
            self._places[place] = None
        finally:
            self._wait_no_more(place)
            self._wake()

    def _wake(self) -> None:
        """Has all who wait look. A loop that was closed runs none of its tasks again."""
        for place in list(self._waiting):
            if place.future is not None and not place.over:
                tell(place.loop, settle, place.future)

    def _leave(self, place: Place, had_machine: bool) -> None:
        self._places.pop(place, None)
        self._wake()
        if had_machine:
            self._refill()

