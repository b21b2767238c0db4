# SPDX-License-Identifier: Apache-2.0
"""Pools whose calls are ended in the middle, or come in the middle of others: by signals' handlers, by what makes the
configuration, by forks, by event loops that are closed. The machines are played."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import applevz
import applevz.aio
from applevz import VirtualMachineState
from applevz._core.spare import Spare
from applevz.testing import FakeGuest, FakeHypervisor
from fixtures import Configure
from guest_machine import PATIENCE
from processes import children, eventually, is_interrupted

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="Apple's framework has no hypervisor of another's"),
    pytest.mark.timeout(600),
]


class StopError(Exception):
    """What a signal's handler raises."""


@pytest.fixture(autouse=True)
def hypervisor() -> Iterator[FakeHypervisor]:
    with FakeHypervisor(FakeGuest()) as hypervisor:
        yield hypervisor
        assert eventually(lambda: not children())


@pytest.fixture
def configuration(configure: Configure) -> applevz.VirtualMachineConfiguration:
    return configure()


@pytest.fixture
def state(configuration: applevz.VirtualMachineConfiguration, tmp_path: Path) -> Path:
    path = tmp_path / "ready.state"
    with applevz.VirtualMachine(configuration) as machine:
        machine.start(timeout=PATIENCE)
        machine.suspend(to=path, timeout=PATIENCE)
    return path


@contextmanager
def at_alarm(handler: Callable[[], object]) -> Iterator[None]:
    """Has SIGALRM call it. The limit of pytest-timeout stands still."""
    limit = signal.setitimer(signal.ITIMER_REAL, 0)
    before = signal.signal(signal.SIGALRM, lambda *_: handler())
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *limit)


def test_a_handler_cannot_wait_for_what_its_own_thread_waits_for(
    configuration: applevz.VirtualMachineConfiguration, state: Path
) -> None:
    errors: list[applevz.Error] = []
    with applevz.Pool(configuration, state, spares=0, maximum=1) as pool:

        def ask() -> None:
            try:
                pool.machine().__enter__()
            except applevz.Error as error:
                errors.append(error)

        with pool.machine(PATIENCE), at_alarm(ask):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(applevz.TimeoutError, match="1 are in use"), pool.machine(0.5):
                pass
            assert pool.statistics().waiting == 0
    assert [type(error) for error in errors] == [applevz.InvalidStateError]
    assert "This thread waits for a machine of the pool already." in str(errors[0])


def test_a_handler_that_raises_at_any_moment_takes_no_place(
    configuration: applevz.VirtualMachineConfiguration, state: Path
) -> None:
    def wait_in_the_row() -> None:
        with suppress(applevz.TimeoutError), pool.machine(0.0005):
            pass

    def use() -> None:
        with pool.machine(PATIENCE):
            pass

    numbers = random.Random(7)  # noqa: S311  # the same each time
    stopped = 0
    with applevz.Pool(configuration, state, spares=0, maximum=1) as pool:
        with pool.machine(PATIENCE):
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                if is_interrupted(wait_in_the_row, numbers.uniform(1e-5, 1e-3), StopError):
                    stopped += 1
                    assert pool.statistics().waiting == 0
                    assert pool.statistics().machines == 1
        # While it is restored, handed out, and ended.
        for _ in range(10):
            stopped += is_interrupted(use, numbers.uniform(0.001, 0.3), StopError)
            assert pool.statistics().machines == 0
        with pool.machine(PATIENCE) as machine:
            assert machine.state is VirtualMachineState.RUNNING
    assert stopped > 10


def test_whoever_waits_is_served_when_another_was_stopped(
    configuration: applevz.VirtualMachineConfiguration, state: Path
) -> None:
    """A handler that raises in front of the row leaves it, though it wakes nobody."""

    def stop() -> None:
        raise StopError

    served = threading.Event()
    with applevz.Pool(configuration, state, spares=0, maximum=1) as pool:

        def use() -> None:
            with pool.machine(PATIENCE):
                served.set()

        with pool.machine(PATIENCE):
            thread = threading.Thread(target=use)
            with at_alarm(stop):
                signal.setitimer(signal.ITIMER_REAL, 0.2)
                waiting = pool.machine()
                # It waits behind this one.
                threading.Timer(0.1, thread.start).start()
                with pytest.raises(StopError):
                    waiting.__enter__()
        assert served.wait(PATIENCE)
        thread.join()
        assert pool.statistics().machines == pool.statistics().waiting == 0


def test_what_makes_a_configuration_may_use_the_pool(
    configuration: applevz.VirtualMachineConfiguration, state: Path
) -> None:
    pools: list[applevz.Pool] = []
    within: list[VirtualMachineState] = []

    def make() -> applevz.VirtualMachineConfiguration:
        if pools:
            with pools.pop().machine(PATIENCE) as machine:
                within.append(machine.state)
        return configuration

    pool = applevz.Pool(make, state, spares=1, maximum=1)
    pools.append(pool)
    with pool:
        assert eventually(lambda: within == [VirtualMachineState.RUNNING], PATIENCE)
        assert eventually(lambda: pool.statistics().machines + pool.statistics().spares == 1, PATIENCE)
        with pool.machine(PATIENCE):
            assert (pool.statistics().machines, pool.statistics().spares) == (1, 0)


@pytest.mark.parametrize("face", ["blocking", "awaited"])
def test_what_makes_a_configuration_may_raise(
    configuration: applevz.VirtualMachineConfiguration, state: Path, face: str
) -> None:
    """Also what ends the program: no machine and no place is left then."""
    errors: list[BaseException | None] = [None, KeyboardInterrupt(), ValueError("mine")]

    def make() -> applevz.VirtualMachineConfiguration:
        error = errors.pop(0) if errors else None
        if error is not None:
            raise error
        return configuration

    def statistics_are_those_of_none(pool: applevz.Pool | applevz.aio.Pool) -> None:
        found = pool.statistics()
        assert (found.machines, found.spares, found.waiting) == (0, 0, 0)

    # The first is looked at, the next ones would be handed out.
    if face == "blocking":
        pool = applevz.Pool(make, state, spares=1)
        with pytest.raises(KeyboardInterrupt), pool.machine(PATIENCE):
            pass
        statistics_are_those_of_none(pool)
        with pytest.raises(ValueError, match="mine"), pool.machine(PATIENCE):
            pass
        statistics_are_those_of_none(pool)
        return
    awaited = applevz.aio.Pool(make, state, spares=1)

    async def main() -> None:
        async with awaited.machine(PATIENCE):
            pass

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    statistics_are_those_of_none(awaited)
    with pytest.raises(ValueError, match="mine"):
        asyncio.run(main())
    statistics_are_those_of_none(awaited)


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_a_spare_whose_configuration_raises_is_made_again_when_the_next_machine_is_handed_out(
    configuration: applevz.VirtualMachineConfiguration, state: Path, error: type[BaseException]
) -> None:
    errors: list[BaseException | None] = [None, error("no spare"), None, None]

    def make() -> applevz.VirtualMachineConfiguration:
        found = errors.pop(0)
        if found is not None:
            raise found
        return configuration

    with applevz.Pool(make, state, spares=1) as pool:
        assert eventually(lambda: pool.statistics().spares == 0, PATIENCE)
        with pool.machine(PATIENCE) as machine:
            assert machine.state is VirtualMachineState.RUNNING
            assert eventually(lambda: pool.statistics().ready == 1, PATIENCE)
    assert errors == []


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_that_is_forked_while_another_thread_uses_the_pool_is_told_so(
    configuration: applevz.VirtualMachineConfiguration, state: Path
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    made = 0

    def make() -> applevz.VirtualMachineConfiguration:
        nonlocal made
        made += 1
        if made == 2:
            begun.set()
            go_on.wait(PATIENCE)
        return configuration

    pool = applevz.Pool(make, state)
    thread = threading.Thread(target=pool.__enter__)
    thread.start()
    assert begun.wait(PATIENCE)
    child = os.fork()
    if child == 0:
        refused = 0
        try:
            signal.alarm(30)
            for call in (pool.__enter__, lambda: pool.machine(1).__enter__(), pool.statistics):
                try:
                    call()
                except applevz.ForkedError:
                    refused += 1
            pool.close()
        finally:
            os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    go_on.set()
    thread.join()
    with pool.machine(PATIENCE) as machine:
        assert machine.state is VirtualMachineState.RUNNING
    pool.close()


def test_figures_can_be_taken_while_a_spare_is_handed_out(
    configuration: applevz.VirtualMachineConfiguration, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The spare that is looked at is nobody's yet."""
    looking = threading.Event()
    is_ready: Any = vars(Spare)["is_ready"]

    def look(spare: Any) -> object:
        looking.set()
        time.sleep(0.5)
        return is_ready.fget(spare)

    monkeypatch.setattr(Spare, "is_ready", property(look))
    with applevz.Pool(configuration, state) as pool, ThreadPoolExecutor(1) as threads:
        assert eventually(lambda: len(pool._shelf) == 1, PATIENCE)
        statistics = threads.submit(pool.statistics)
        assert looking.wait(PATIENCE)
        with pool.machine(PATIENCE):
            pass
        assert statistics.result(PATIENCE).spares == 1


def test_a_pool_outlives_a_loop_that_is_closed(
    configuration: applevz.VirtualMachineConfiguration, state: Path
) -> None:
    """What a task of that loop had is free: no task of it runs again."""
    pool = applevz.aio.Pool(configuration, state, spares=0, maximum=1)
    has_one = asyncio.Event()
    machines: list[applevz.aio.VirtualMachine] = []

    async def keep() -> None:
        async with pool.machine(PATIENCE) as machine:
            machines.append(machine)
            has_one.set()
            await asyncio.Event().wait()

    async def wait() -> None:
        async with pool.machine(PATIENCE):
            raise AssertionError("its loop was closed")

    async def begin() -> list[Any]:
        tasks = [asyncio.ensure_future(keep())]
        await has_one.wait()
        tasks.append(asyncio.ensure_future(wait()))
        while not pool.statistics().waiting:
            await asyncio.sleep(0.01)
        return tasks

    loop = asyncio.new_event_loop()
    tasks = loop.run_until_complete(begin())
    loop.close()
    assert (pool.statistics().machines, pool.statistics().waiting) == (0, 0)

    async def use() -> VirtualMachineState:
        async with pool.machine(PATIENCE) as machine:
            return machine.state

    assert asyncio.run(use()) is VirtualMachineState.RUNNING
    # Tasks that nobody can finish any more say so when they go, and that is their program's business.
    for task in tasks:
        task._log_destroy_pending = False
        with suppress(RuntimeError):
            task.get_coro().close()
    assert pool.statistics().machines == 0
    asyncio.run(pool.close())


def test_a_pool_is_neither_copied_nor_pickled(
    configuration: applevz.VirtualMachineConfiguration, state: Path
) -> None:
    copies: list[Callable[[Any], object]] = [copy.copy, copy.deepcopy, pickle.dumps]
    for pool in (applevz.Pool(configuration, state), applevz.aio.Pool(configuration, state)):
        for copied in copies:
            with pytest.raises(applevz.InvalidArgumentTypeError, match="Pool objects can neither be copied nor"):
                copied(pool)
