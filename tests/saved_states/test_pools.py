# SPDX-License-Identifier: Apache-2.0
"""Pools: fresh machines from one saved state, some of which are restored before somebody asks for one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import applevz
import applevz.aio
from applevz import VirtualMachineState
from guest_machine import PATIENCE
from pool_guests import (
    MARK,
    UUID,
    configuration_of,
    counted,
    is_fork_server,
    of_a_pool,
    of_a_process,
    restored,
    save_ready_guest,
)
from processes import alive, children, eventually

pytestmark = of_a_pool


@pytest.fixture(scope="module")
def state(guest_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_ready_guest(guest_files, tmp_path_factory.mktemp("pool") / "ready.state")


@pytest.fixture
def configuration(guest_files: Path) -> applevz.VirtualMachineConfiguration:
    """It names neither the machine nor its card, and fits the state all the same."""
    return configuration_of(guest_files)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    threads, processes = threading.active_count(), children()
    yield
    assert eventually(lambda: children() <= processes)
    assert eventually(lambda: threading.active_count() <= threads)


def new_qemu(known: set[int]) -> int:
    """The process of the one machine that came."""
    (process,) = (process for process in children() - known if not is_fork_server(process))
    return process


def test_each_machine_is_a_fresh_one(configuration: applevz.VirtualMachineConfiguration, state: Path) -> None:
    numbers = set()
    with applevz.Pool(configuration, state, spares=2) as pool:
        assert counted(pool) == {"machines": 0, "spares": 2, "waiting": 0, "handed_out": 0, "lost": 0}
        for _ in range(3):
            with pool.machine(PATIENCE) as machine:
                assert machine.state is VirtualMachineState.RUNNING
                assert pool.statistics().machines == 1
                assert pool.statistics().spares == 2
                numbers.add(machine.guest.read_text(UUID, timeout=PATIENCE))
                # Its agent was told before it did that.
                now = machine.guest.run(["date", "+%s"], text=True, timeout=PATIENCE).stdout
                assert abs(int(now) - time.time()) < 60
                assert machine.guest.read_text(MARK, timeout=PATIENCE) == "saved"
                machine.guest.write_text(MARK, "mine")
            assert machine.state is VirtualMachineState.STOPPED
        assert counted(pool) == {"machines": 0, "spares": 2, "waiting": 0, "handed_out": 3, "lost": 0}
    assert len(numbers) == 3
    assert pool.statistics().spares == 0
    with pytest.raises(applevz.InvalidStateError, match="The pool was closed"), pool.machine():
        pass
    with pytest.raises(applevz.InvalidStateError, match="The pool was closed"), pool:
        pass
    pool.close()


def test_a_pool_without_spares_and_one_that_was_not_entered_restore_when_they_are_asked(
    guest_files: Path, state: Path
) -> None:
    made = []

    def make() -> applevz.VirtualMachineConfiguration:
        made.append(configuration_of(guest_files))
        return made[-1]

    pool = applevz.Pool(make, state, spares=0)
    assert len(made) == 1
    for _ in range(2):
        with pool.machine(PATIENCE) as machine:
            assert machine.guest.run(["true"], timeout=PATIENCE).returncode == 0
            assert pool.statistics().spares == 0
    assert len(made) == 3
    pool.close()


@of_a_process
def test_a_spare_that_ended_is_not_handed_out(
    configuration: applevz.VirtualMachineConfiguration, state: Path
) -> None:
    known = children()
    with applevz.Pool(configuration, state) as pool:
        for lost in (1, 2):
            restored(pool)
            killed = new_qemu(known)
            os.kill(killed, signal.SIGKILL)
            if lost == 1:
                assert eventually(lambda: pool.statistics().ready == 0)
            # Or it is found out only when it should run.
            with pool.machine(PATIENCE) as machine:
                assert machine.guest.read_text(MARK, timeout=PATIENCE) == "saved"
                assert not alive(killed)
                assert pool.statistics().lost == lost


def test_whoever_comes_when_there_are_enough_waits_in_turn(
    configuration: applevz.VirtualMachineConfiguration, state: Path
) -> None:
    order: list[int] = []
    with applevz.Pool(configuration, state, spares=2, maximum=2) as pool:

        def use(number: int) -> None:
            with pool.machine(PATIENCE) as machine:
                order.append(number)
                assert pool.statistics().machines + pool.statistics().spares <= 2
                assert machine.guest.run(["true"], timeout=PATIENCE).returncode == 0

        with pool.machine(PATIENCE), pool.machine(PATIENCE):
            assert counted(pool) == {"machines": 2, "spares": 0, "waiting": 0, "handed_out": 2, "lost": 0}
            with pytest.raises(applevz.TimeoutError, match="No machine of the pool became free within 0"):
                pool.machine(0).__enter__()
            threads = []
            for number in range(4):
                threads.append(threading.Thread(target=use, args=(number,)))
                threads[-1].start()
                assert eventually(lambda: pool.statistics().waiting == len(threads))
        for thread in threads:
            thread.join()
        assert sorted(order[:2]) == [0, 1]
        assert sorted(order[2:]) == [2, 3]
        assert counted(pool) == {"machines": 0, "spares": 2, "waiting": 0, "handed_out": 6, "lost": 0}


def test_many_threads_each_have_a_machine_of_their_own(
    configuration: applevz.VirtualMachineConfiguration, state: Path
) -> None:
    with applevz.Pool(configuration, state, spares=2, maximum_memory="1GiB") as pool:

        def use(number: int) -> str:
            with pool.machine(PATIENCE) as machine:
                machine.guest.write_text(MARK, str(number))
                assert pool.statistics().machines <= 4
                return machine.guest.read_text(MARK, timeout=PATIENCE)

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(use, range(16))) == [str(number) for number in range(16)]
        assert pool.statistics().handed_out == 16


def test_closing_ends_what_is_used_and_tells_who_waits(
    configuration: applevz.VirtualMachineConfiguration, state: Path
) -> None:
    pool = applevz.Pool(configuration, state, spares=1, maximum=2)
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            with pool.machine():
                pass
        except applevz.Error as error:
            errors.append(error)

    with pool, pool.machine(PATIENCE) as first, pool.machine(PATIENCE) as second:
        thread = threading.Thread(target=wait)
        thread.start()
        assert eventually(lambda: pool.statistics().waiting == 1)
        pool.close()
        thread.join()
        assert {first.state, second.state} == {VirtualMachineState.STOPPED}
    assert [type(error) for error in errors] == [applevz.InvalidStateError]


@of_a_process
def test_closing_ends_a_restore_that_does_not_end(
    configuration: applevz.VirtualMachineConfiguration, state: Path
) -> None:
    known = children()
    pool = applevz.Pool(configuration, state, spares=0)

    def use() -> None:
        with pool.machine():
            pass

    with ThreadPoolExecutor(1) as threads:
        using = threads.submit(use)
        assert eventually(lambda: len(children() - known) == 1, PATIENCE)
        os.kill(new_qemu(known), signal.SIGSTOP)
        pool.close()
        with pytest.raises(applevz.InvalidStateError, match="The pool was closed"):
            using.result(PATIENCE)


def test_an_error_in_the_block_ends_the_machine_and_frees_its_place(
    configuration: applevz.VirtualMachineConfiguration, state: Path
) -> None:
    with applevz.Pool(configuration, state, maximum=1) as pool:
        for _ in range(2):
            with pytest.raises(ZeroDivisionError), pool.machine(PATIENCE) as machine:
                raise ZeroDivisionError
            assert machine.state is VirtualMachineState.STOPPED
        assert pool.statistics().machines == 0


def test_what_does_not_fit_the_state_is_refused_when_the_pool_is_made(
    guest_files: Path, configuration: applevz.VirtualMachineConfiguration, state: Path, tmp_path: Path
) -> None:
    for given, words in (
        ({"spares": -1}, "spares is -1"),
        ({"spares": True}, "spares is True"),
        ({"spares": 10**6}, "spares is 1000000"),
        ({"maximum": 0}, "maximum is 0"),
        ({"maximum_memory": "255MiB"}, "maximum_memory is '255MiB'"),
        ({"maximum_memory": "much"}, "maximum_memory is 'much'"),
    ):
        with pytest.raises(applevz.InvalidArgumentError, match=words):
            applevz.Pool(configuration, state, **given)
    with pytest.raises(applevz.InvalidArgumentError, match="configuration is 5"):
        applevz.Pool(5, state)  # type: ignore[arg-type]  # what is wrong
    with pytest.raises(applevz.InvalidArgumentError, match="What configuration returned is None"):
        applevz.Pool(lambda: None, state)  # type: ignore[arg-type,return-value]  # what is wrong
    with pytest.raises(applevz.InvalidArgumentError, match="state is None"):
        applevz.Pool(configuration, None)  # type: ignore[arg-type]  # what is wrong
    if not applevz.capabilities.saved_state_inspection:
        return
    with pytest.raises(FileNotFoundError):
        applevz.Pool(configuration, tmp_path / "none")
    configuration.memory_size = "512MiB"
    with pytest.raises(applevz.RestoreError, match="memory"):
        applevz.Pool(configuration, state)


def test_a_state_that_went_is_an_error_for_whoever_asks_and_the_spares_remain(
    configuration: applevz.VirtualMachineConfiguration, state: Path, tmp_path: Path
) -> None:
    path = tmp_path / "another.state"
    os.link(state, path)
    with applevz.Pool(configuration, path) as pool:
        restored(pool)
        path.unlink()
        with pool.machine(PATIENCE) as machine:
            assert machine.guest.read_text(MARK, timeout=PATIENCE) == "saved"
        for _ in range(2):
            with pytest.raises(FileNotFoundError), pool.machine(PATIENCE):
                pass
        assert pool.statistics().machines == 0
        os.link(state, path)
        with pool.machine(PATIENCE):
            assert pool.statistics().spares == 1


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_none_of_it(configuration: applevz.VirtualMachineConfiguration, state: Path) -> None:
    with applevz.Pool(configuration, state) as pool:
        with pool.machine(PATIENCE) as machine:
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    try:
                        pool.machine().__enter__()
                    except applevz.ForkedError:
                        pool.close()
                        status = 0
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert machine.guest.run(["true"], timeout=PATIENCE).returncode == 0
        with pool.machine(PATIENCE) as machine:
            assert machine.guest.run(["true"], timeout=PATIENCE).returncode == 0


def test_a_pool_that_is_dropped_leaves_nothing(
    configuration: applevz.VirtualMachineConfiguration, state: Path
) -> None:
    pool = applevz.Pool(configuration, state, spares=2).__enter__()
    restored(pool)
    del pool


# ---- asyncio ----


def awaited(function: Callable[[], Any]) -> None:
    asyncio.run(function())


def test_tasks_each_have_a_machine_of_their_own(
    configuration: applevz.VirtualMachineConfiguration, state: Path
) -> None:
    async def main() -> None:
        async with applevz.aio.Pool(configuration, state, spares=2, maximum=4) as pool:
            assert counted(pool) == {"machines": 0, "spares": 2, "waiting": 0, "handed_out": 0, "lost": 0}

            async def use(number: int) -> str:
                async with pool.machine(PATIENCE) as machine:
                    await machine.guest.write_text(MARK, str(number))
                    assert pool.statistics().machines <= 4
                    return await machine.guest.read_text(MARK, timeout=PATIENCE)

            assert await asyncio.gather(*map(use, range(12))) == [str(number) for number in range(12)]
            assert counted(pool) == {"machines": 0, "spares": 2, "waiting": 0, "handed_out": 12, "lost": 0}

    awaited(main)


def test_a_task_that_is_cancelled_takes_no_place(
    configuration: applevz.VirtualMachineConfiguration, state: Path
) -> None:
    async def main() -> None:
        async with applevz.aio.Pool(configuration, state, maximum=1) as pool:

            async def use() -> VirtualMachineState:
                async with pool.machine(PATIENCE) as machine:
                    return machine.state

            async with pool.machine(PATIENCE):
                waiting = [asyncio.create_task(use()) for _ in range(3)]
                while pool.statistics().waiting < 3:
                    await asyncio.sleep(0.01)
                waiting[0].cancel()
                with pytest.raises(applevz.TimeoutError, match="No machine of the pool became free within 0.05"):
                    await pool.machine(0.05).__aenter__()
            # The second is given a place at this moment, and is cancelled before it has a machine.
            waiting[1].cancel()
            assert await asyncio.wait_for(waiting[2], PATIENCE) is VirtualMachineState.RUNNING
            for task in waiting[:2]:
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert pool.statistics().machines == pool.statistics().waiting == 0
            # In the middle of a restore.
            restoring = asyncio.create_task(use())
            await asyncio.sleep(0)
            restoring.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await restoring
            assert pool.statistics().machines == 0

    awaited(main)


def test_closing_tells_tasks_that_wait(configuration: applevz.VirtualMachineConfiguration, state: Path) -> None:
    async def main() -> None:
        pool = applevz.aio.Pool(configuration, state, maximum=1)
        async with pool, pool.machine(PATIENCE) as machine:
            task = asyncio.ensure_future(pool.machine().__aenter__())
            while not pool.statistics().waiting:
                await asyncio.sleep(0.01)
            await pool.close()
            with pytest.raises(applevz.InvalidStateError, match="The pool was closed"):
                await task
            assert machine.state is VirtualMachineState.STOPPED
        with pytest.raises(applevz.InvalidStateError, match="The pool was closed"):
            await pool.machine().__aenter__()

    awaited(main)


@of_a_process
def test_a_spare_that_ended_is_not_handed_out_to_a_task(
    configuration: applevz.VirtualMachineConfiguration, state: Path
) -> None:
    known = children()

    async def main() -> None:
        async with applevz.aio.Pool(configuration, state) as pool:
            await asyncio.to_thread(restored, pool)
            os.kill(new_qemu(known), signal.SIGKILL)
            async with pool.machine(PATIENCE) as machine:
                assert await machine.guest.read_text(MARK, timeout=PATIENCE) == "saved"
            assert pool.statistics().lost == 1

    awaited(main)
