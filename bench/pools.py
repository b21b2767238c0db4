# SPDX-License-Identifier: Apache-2.0
"""The rows of pools: a fresh machine while there are spares, fresh machines in a row, and many alive at once."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bare_qemu import BareMachine, BareQEMU
from inside import PATIENCE, TRUE, configuration, run
from rows import SMALL, Rows, Sizes, milliseconds, own_memory
from subject import READY, Subject

import applevz
from processes import children

# Each processor has so many restored for it, one after the other.
IN_A_ROW = 25


def pools(rows: Rows, subjects: list[Subject], sizes: Sizes) -> None:
    if not applevz.capabilities.guest_agent:
        return
    ours = subjects[0]
    (bare,) = (subject for subject in subjects if isinstance(subject, BareQEMU))
    platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random())
    given = configuration(ours.guest, SMALL, platform)
    path = ours.folder / "state of a pool"
    with applevz.VirtualMachine(given) as machine:
        machine.start(timeout=PATIENCE)
        run(machine.guest.wait(timeout=PATIENCE), [TRUE])
        machine.suspend(timeout=PATIENCE, to=path)
    with_spares(rows, ours, applevz.Pool(given, path), sizes.boots)
    for _ in range(sizes.rounds):
        in_a_row(rows, ours, given, path)
        bare_in_a_row(rows, bare)
    alive(rows, ours, given, path, sizes.boots)
    path.unlink()


def with_spares(rows: Rows, ours: Subject, pool: applevz.Pool, count: int) -> None:
    times = []
    with pool:
        for _ in range(count):
            while not pool.statistics().ready:
                time.sleep(0.001)
            begin = time.perf_counter()
            with pool.machine(PATIENCE) as machine:
                running = time.perf_counter()
                run(machine.guest, [TRUE])
                ended = time.perf_counter()
            times.append((running - begin) * 1000)
            rows.row(f"machine of a pool, running, {SMALL} MiB").add(ours, times[-1])
            rows.row(f"machine of a pool, to a command's result, {SMALL} MiB").add(ours, (ended - begin) * 1000)
    late = sorted(times)[min(count * 95 // 100, count - 1)]
    rows.row(f"machine of a pool, running, 95 of 100 take less, {SMALL} MiB").add(ours, late)


def in_a_row(rows: Rows, ours: Subject, given: applevz.VirtualMachineConfiguration, path: Path) -> None:
    """As fast as all processors make them, with nothing done in any."""
    processors = os.cpu_count() or 1
    with applevz.Pool(given, path, spares=processors, warm_up=False) as pool, ThreadPoolExecutor(processors) as threads:

        def use(_: int) -> None:
            for _ in range(IN_A_ROW):
                with pool.machine(PATIENCE):
                    pass

        took = milliseconds(lambda: list(threads.map(use, range(processors))))
    rows.row(ROW).add(ours, took / (IN_A_ROW * processors))


def bare_in_a_row(rows: Rows, bare: BareQEMU) -> None:
    processors = os.cpu_count() or 1
    with ExitStack() as stack, ThreadPoolExecutor(processors) as threads:
        machines = [stack.enter_context(bare.machine(SMALL)) for _ in range(processors)]
        for number, machine in enumerate(machines):
            machine.start()
            machine.read_until(READY)
            machine.suspend(bare.folder / f"bare {number}")

        # A guest writes to the memory that it goes on with: the next one would not fit the saved state.
        copies = {machine: [stack.enter_context(copied(machine.file)) for _ in range(IN_A_ROW)] for machine in machines}

        def use(number: int, machine: BareMachine) -> None:
            for memory in copies[machine]:
                machine.restore(bare.folder / f"bare {number}", False, memory)
                machine.stop()

        took = milliseconds(lambda: list(threads.map(use, range(processors), machines)))
        for number in range(processors):
            (bare.folder / f"bare {number}").unlink()
    rows.row(ROW).add(bare, took / (IN_A_ROW * processors))


@contextmanager
def copied(file: Path) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f"{file.name}-") as copy:
        subprocess.run(["cp", "--sparse=always", file, copy.name], check=True)
        yield Path(copy.name)


ROW = f"fresh machines one after the other, on all processors, each, {SMALL} MiB"


def alive(rows: Rows, ours: Subject, given: applevz.VirtualMachineConfiguration, path: Path, count: int) -> None:
    before = children()
    with applevz.Pool(given, path, spares=0) as pool, ExitStack() as stack:
        machines = [stack.enter_context(pool.machine(PATIENCE)) for _ in range(count)]
        lost = sum(machine.state is not applevz.VirtualMachineState.RUNNING for machine in machines)
        rows.row(f"machines of {count} in a pool that were lost", "").add(ours, lost)
        for process in children() - before:
            rows.row(f"memory of its own of each of {count} in a pool", "MiB").add(ours, own_memory(process))
