# SPDX-License-Identifier: Apache-2.0
"""Spares whose guests are emulated run a program before somebody has them."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import applevz
import applevz.aio
from applevz import VirtualMachineState
from applevz._core import warming
from applevz._core.guest.session import Session
from applevz._core.spare import Spare
from guest_machine import PATIENCE
from pool_guests import MARK, UUID, configuration_of, of_a_pool, of_a_process, restored, save_ready_guest
from processes import children, eventually

pytestmark = of_a_pool

WARM = "/tmp/warm"


@pytest.fixture(scope="module")
def states(guest_files: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A guest that tells whether the program was run, and one whose agent says nothing any more."""
    folder = tmp_path_factory.mktemp("warm")
    ready, told, silent = folder / "ready.state", folder / "told.state", folder / "silent.state"
    save_ready_guest(guest_files, ready)
    with applevz.Pool(configuration_of(guest_files), ready, spares=0) as pool:
        for path in (told, silent):
            with pool.machine(PATIENCE) as machine:
                found = machine.guest.run(["which", "true"], capture_output=True, text=True, check=True).stdout.strip()
                machine.guest.run(["rm", found], check=True)
                machine.guest.write_text(found, f"#!/bin/sh\necho warm >> {WARM}\n")
                machine.guest.run(["chmod", "755", found], check=True)
                if path is silent:
                    with pytest.raises(applevz.TimeoutError):
                        machine.guest.run("kill -STOP $PPID", shell=True, timeout=3)
                machine.suspend(to=path, timeout=PATIENCE)
    return told, silent


@pytest.fixture
def configuration(guest_files: Path) -> applevz.VirtualMachineConfiguration:
    return configuration_of(guest_files)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    threads, processes = threading.active_count(), children()
    yield
    assert eventually(lambda: children() <= processes)
    assert eventually(lambda: threading.active_count() <= threads)


def is_warming(pool: applevz.Pool | applevz.aio.Pool) -> bool:
    shelf: list[Spare[Any]] = list(pool._shelf)
    return any(spare.is_warming for spare in shelf)


def is_warm(machine: applevz.VirtualMachine) -> bool:
    try:
        return machine.guest.read_text(WARM, timeout=PATIENCE) == "warm\n"
    except FileNotFoundError:
        return False


def test_a_spare_is_warm_once_it_is_ready_and_then_as_fresh_as_any(
    configuration: applevz.VirtualMachineConfiguration, states: tuple[Path, Path]
) -> None:
    numbers = set()
    with applevz.Pool(configuration, states[0], spares=2, warm_up=True) as pool:
        for _ in range(3):
            restored(pool)
            with pool.machine(PATIENCE) as machine:
                assert machine.state is VirtualMachineState.RUNNING
                assert is_warm(machine)
                assert machine.guest.read_text(MARK, timeout=PATIENCE) == "saved"
                numbers.add(machine.guest.read_text(UUID, timeout=PATIENCE))
    assert len(numbers) == 3


def test_a_spare_is_left_cold_if_that_is_said_or_if_its_guest_runs_on_the_processor_itself(
    configuration: applevz.VirtualMachineConfiguration, states: tuple[Path, Path]
) -> None:
    for warm_up in (False, None):
        with applevz.Pool(configuration, states[0], warm_up=warm_up) as pool:
            restored(pool)
            with pool.machine(PATIENCE) as machine:
                expected = warm_up is None and not applevz.capabilities.hardware_acceleration
                assert is_warm(machine) is expected
    with pytest.raises(applevz.InvalidArgumentError, match="warm_up is 1"):
        applevz.Pool(configuration, states[0], warm_up=1)  # type: ignore[arg-type]  # what is wrong


def test_who_comes_while_a_spare_is_warmed_up_waits_for_it(
    configuration: applevz.VirtualMachineConfiguration, states: tuple[Path, Path]
) -> None:
    """Each has one of his own. Those for whom there is no spare do not wait until theirs would be warm."""
    with applevz.Pool(configuration, states[0], spares=1, maximum=4, warm_up=True) as pool:
        assert eventually(partial(is_warming, pool), PATIENCE)
        with pool.machine(PATIENCE) as machine:
            assert is_warm(machine)

        def use(_: int) -> str:
            with pool.machine(PATIENCE) as machine:
                return machine.guest.read_text(UUID, timeout=PATIENCE)

        with ThreadPoolExecutor(4) as threads:
            assert len(set(threads.map(use, range(12)))) == 12
        assert eventually(lambda: pool.statistics().ready == 1, PATIENCE)
        assert (pool.statistics().machines, pool.statistics().lost) == (0, 0)


def test_tasks_that_come_while_spares_are_warmed_up_wait_for_them(
    configuration: applevz.VirtualMachineConfiguration, states: tuple[Path, Path]
) -> None:
    async def use(pool: applevz.aio.Pool) -> str:
        async with pool.machine(PATIENCE) as machine:
            return await machine.guest.read_text(UUID, timeout=PATIENCE)

    async def main() -> None:
        async with applevz.aio.Pool(configuration, states[0], spares=2, maximum=4, warm_up=True) as pool:
            while not is_warming(pool):
                await asyncio.sleep(0.001)
            async with pool.machine(PATIENCE) as machine:
                assert await machine.guest.read_text(WARM, timeout=PATIENCE) == "warm\n"
            assert len(set(await asyncio.gather(*(use(pool) for _ in range(8))))) == 8
            cancelled = asyncio.ensure_future(use(pool))
            await asyncio.sleep(0.01)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            assert pool.statistics().machines == 0

    asyncio.run(main())


@of_a_process
def test_one_that_ends_while_it_is_warmed_up_is_not_handed_out(
    configuration: applevz.VirtualMachineConfiguration, states: tuple[Path, Path]
) -> None:
    known = children()
    with applevz.Pool(configuration, states[0], warm_up=True) as pool:
        assert eventually(lambda: is_warming(pool) and len(children() - known) == 1, PATIENCE)
        (killed,) = children() - known
        os.kill(killed, signal.SIGKILL)
        with pool.machine(PATIENCE) as machine:
            assert machine.guest.read_text(MARK, timeout=PATIENCE) == "saved"
        assert pool.statistics().lost == 1


@pytest.mark.parametrize("end", ["closed", "dropped"])
def test_a_pool_that_ends_while_a_spare_is_warmed_up_leaves_nothing(
    configuration: applevz.VirtualMachineConfiguration, states: tuple[Path, Path], end: str
) -> None:
    pool = applevz.Pool(configuration, states[0], spares=2, warm_up=True).__enter__()
    assert eventually(partial(is_warming, pool), PATIENCE)
    if end == "closed":
        pool.close()
        assert pool.statistics().spares == 0
    del pool


def test_guests_whose_agent_does_not_answer_are_handed_out_as_they_are(
    configuration: applevz.VirtualMachineConfiguration, states: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried once."""
    tried = []

    class Counted(Session):
        def restored(self) -> None:
            tried.append(self)
            super().restored()

    monkeypatch.setattr(warming, "_PATIENCE", 0.5)
    monkeypatch.setattr(warming, "Session", Counted)
    with applevz.Pool(configuration, states[1], spares=2, warm_up=True) as pool:
        restored(pool)
        for _ in range(2):
            with pool.machine(PATIENCE) as machine:
                assert machine.state is VirtualMachineState.RUNNING
        restored(pool)
        assert pool.statistics().lost == 0
    assert len(tried) == 1
