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
from .._core.spare import Spare, not_restored
from .._core.states import ShutdownPolicy
from ..errors import ForkedError
from ._loop import Future, run, settle, until
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
        with self._turn:
            spares, machines = self._emptied()
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
        spare = await self._running(place, deadline)
        try:
            with self._turn:
                self._hand_out(place, spare.machine)
        except BaseException:
            await run(spare.end())
            raise
        return spare.machine

    async def _running(self, place: Place, deadline: Deadline) -> Spare[VirtualMachine]:
        while True:
            with self._turn:
                self._check_usable()
                spare, gone = self._take(place)
                is_awaited = spare is None and self._is_awaited(place)
                woken = self._sleep(place)
            if is_awaited:
                for one in gone:
                    await run(one.end())
                await self._woken(woken, deadline)
                continue
            was_spare = spare is not None
            if spare is None:
                spare = self._make(place)
            try:
                for one in gone:
                    await run(one.end())
                while True:
                    with self._turn:
                        if not spare.is_warming:
                            break
                        woken = self._sleep(place)
                    await self._woken(woken, deadline)
                await run(spare.run(deadline))
            except BaseException as error:
                await run(spare.end())
                if not self._is_replaced(error, was_spare):
                    raise
            else:
                return spare

    def _sleep(self, place: Place) -> Future:
        """Decided when the place is woken from now on."""
        place.future = place.loop.create_future()
        return place.future

    async def _woken(self, woken: Future, deadline: Deadline) -> None:
        if deadline.passed:
            raise not_restored(deadline)
        await until(woken, deadline, DAY)

    async def _wait_for_place(self, place: Place, deadline: Deadline) -> None:
        self._check_usable()
        with self._turn:
            self._waiting.append(place)
        try:
            while True:
                with self._turn:
                    self._check_usable()
                    if self._is_next(place):
                        self._places[place] = None
                        return
                    woken = self._sleep(place)
                    others = any(one.loop is not place.loop for one in (*self._places, *self._waiting))
                if deadline.passed:
                    raise self._none_free(deadline)
                await until(woken, deadline, _LOOK_AGAIN if others else DAY)
        finally:
            with self._turn:
                self._wait_no_more(place)
                self._wake()

    def _wake(self) -> None:
        # Also on the pool's thread. A loop that is closed at this moment raises; it runs none of its tasks again.
        for place in self._awaiting:
            if place.future is not None and not place.over:
                with suppress(RuntimeError):
                    place.loop.call_soon_threadsafe(settle, place.future)
