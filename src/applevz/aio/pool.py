# SPDX-License-Identifier: Apache-2.0
"""The pool whose calls are awaited. `_core/pool.py` decides what each call does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType

from .._core.deadline import Deadline
from .._core.pool import BasePool, Spare
from .._core.states import ShutdownPolicy
from ..errors import Error, ForkedError
from ._loop import Future, run, settle, until
from .machine import VirtualMachine

__all__ = ["Pool"]


class Pool(BasePool[VirtualMachine, Future]):
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
        self._call_next()
        for spare in spares:
            await _end(spare)
        for machine in machines:
            await machine.shutdown(ShutdownPolicy.POWEROFF)

    @asynccontextmanager
    async def machine(self, timeout: float | None = None) -> AsyncIterator[VirtualMachine]:
        """As `applevz.Pool.machine`. A task that is cancelled while it waits has no machine, and its place in the row
        is another's."""
        machine = await self._taken(Deadline(timeout))
        try:
            yield machine
        finally:
            await self._take_back(machine)

    async def _taken(self, deadline: Deadline) -> VirtualMachine:
        await self._wait_for_place(deadline)
        try:
            machine = await self._running(deadline)
        except BaseException:
            self._give_place_back()
            raise
        if not self._is_closed:
            self._hand_out(machine)
            return machine
        await self._take_back(machine)
        raise self._closed()

    async def _running(self, deadline: Deadline) -> VirtualMachine:
        while True:
            self._check_usable()
            spare, gone = self._take()
            was_spare = spare is not None
            if spare is None:
                spare = self._begin()
            try:
                for one in gone:
                    await _end(one)
                await run(spare.run(deadline))
            except BaseException as error:
                await _end(spare)
                if not self._is_replaced(error, was_spare):
                    raise
            else:
                return spare.machine

    async def _wait_for_place(self, deadline: Deadline) -> None:
        self._check_usable()
        if self._has_place and not self._waiting:
            self._places += 1
            return
        # Whoever gives a place back gives it to the first who waits, so nobody can come between.
        future: Future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            given = await until(future, deadline)
        except BaseException:
            if future.done() and not future.cancelled() and future.result() and not self._is_closed:
                self._give_place_back()
            raise
        finally:
            with suppress(ValueError):
                self._waiting.remove(future)
        self._check_usable()
        if not given:
            raise self._none_free(deadline)

    def _call_next(self) -> None:
        """Gives the places that are free to those who wait, in turn. In a pool that was closed all are told."""
        while self._waiting and (self._is_closed or self._has_place):
            future = self._waiting.popleft()
            if not future.done():
                self._places += not self._is_closed
                settle(future)

    def _give_place_back(self) -> None:
        self._places -= 1
        self._call_next()

    async def _take_back(self, machine: VirtualMachine) -> None:
        # A process that was forked meanwhile leaves the block, too.
        with suppress(ForkedError):
            if not self._is_mine:
                return
            try:
                await machine.shutdown(ShutdownPolicy.POWEROFF)
            finally:
                self._out.discard(machine)
                self._give_place_back()
                self._refill()


async def _end(spare: Spare[VirtualMachine]) -> None:
    spare.drop()
    with suppress(Error):
        await spare.machine.shutdown(ShutdownPolicy.POWEROFF)
