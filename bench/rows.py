# SPDX-License-Identifier: Apache-2.0
"""The rows: what is measured, of which subject, and how."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from subject import READY, Machine, Named, Subject

import applevz

SMALL = 256
CLONES = 8
COMMON_THREADS = 4
# After so many seconds a stopped machine has given its memory back.
SETTLED = 0.3
# What is looked for does not stand in what is typed.
ASK, ANSWER = b"echo it is $((6 * 7))\n", b"it is 42"


@dataclass(frozen=True)
class Sizes:
    rounds: int
    boots: int
    machines: int
    large: int
    # Of what is done inside the guest: commands in turn and at once, MiB of a stream and of a file, files of a tree.
    commands: int
    commands_at_once: int
    stream_size: int
    file_size: int
    files: int
    # How many tests have a machine by the plugin of pytest.
    tests: int


@dataclass
class Row:
    """Of each subject that has it, the figures of all rounds in the order in which they were taken."""

    name: str
    unit: str
    figures: dict[str, list[float]] = field(default_factory=dict)

    def add(self, subject: Named, value: float) -> None:
        self.figures.setdefault(subject.name, []).append(value)

    def median(self, subject: str) -> float | None:
        return statistics.median(self.figures[subject]) if subject in self.figures else None


class Rows:
    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def row(self, name: str, unit: str = "ms") -> Row:
        return self.rows.setdefault(name, Row(name, unit))


def milliseconds(action: Callable[..., object], *arguments: object) -> float:
    begin = time.perf_counter()
    action(*arguments)
    return (time.perf_counter() - begin) * 1e3


def microseconds_each(action: Callable[[], object], count: int) -> float:
    begin = time.perf_counter()
    for _ in range(count):
        action()
    return (time.perf_counter() - begin) * 1e6 / count


# What is measured beside this library in guests of a peer's own.
Beside = Callable[[Rows, Subject, Sizes], None]


def measure(
    subjects: list[Subject], beside: list[Beside], sizes: Sizes, only: str, progress: Callable[[str], None]
) -> tuple[list[Row], list[str]]:
    """The rows, and the names of the parts that failed: what the others measured is not lost with them."""
    from disks import disks
    from inside import inside
    from plugin import plugin
    from pools import pools

    rows = Rows()
    parts: list[tuple[str, Callable[[], object]]] = [
        ("import, errors", lambda: without_machines(rows, subjects, sizes)),
        ("start, stop", lambda: starts(rows, subjects, sizes)),
        ("boot, pause, resume", lambda: boots(rows, subjects, sizes)),
        (f"save and restore, {SMALL} MiB", lambda: states(rows, subjects, sizes, SMALL)),
        (f"save and restore, {sizes.large} MiB", lambda: states(rows, subjects, sizes, sizes.large)),
        (f"memory handed over, {SMALL} MiB", lambda: handed_over(rows, subjects, sizes, SMALL)),
        (f"memory handed over, {sizes.large} MiB", lambda: handed_over(rows, subjects, sizes, sizes.large)),
        ("disks", lambda: disks(rows, subjects, sizes)),
        ("clones", lambda: clones(rows, subjects, sizes)),
        ("inside the guest", lambda: inside(rows, subjects, sizes)),
        ("pools", lambda: pools(rows, subjects, sizes)),
        ("tests with the plugin", lambda: plugin(rows, subjects, sizes)),
        *((f"inside a peer's guest: {peer.__name__}", partial(peer, rows, subjects[0], sizes)) for peer in beside),
        (f"{sizes.machines} machines", lambda: many(rows, subjects, sizes)),
        (f"{sizes.boots} boots", lambda: all_boots(rows, subjects[0], sizes)),
    ]
    failed = []
    for name, part in parts:
        if only in name:
            progress(f"bench: {name} …")
            try:
                part()
            except Exception:
                progress(traceback.format_exc())
                failed.append(name)
    return list(rows.rows.values()), failed


def without_machines(rows: Rows, subjects: list[Subject], sizes: Sizes) -> None:
    # As after an installation: compiled, which an environment may have turned off.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    program = "import time; begin = time.perf_counter(); {}; print((time.perf_counter() - begin) * 1e3)"
    for number in range(2 * sizes.rounds + 1):
        for subject in subjects:
            for title, statement in subject.import_statements.items():
                took = float(
                    subprocess.check_output([sys.executable, "-c", program.format(statement)], env=environment)
                )
                if number > 0:
                    rows.row(title).add(subject, took)
            call = subject.failing_call()
            if call:
                rows.row("error made, raised, caught, dropped", "µs").add(subject, life_of_an_error(call, 5000))


def life_of_an_error(call: Callable[[], object], count: int) -> float:
    begin = time.perf_counter()
    for _ in range(count):
        try:
            call()
        except Exception:
            pass
    return (time.perf_counter() - begin) * 1e6 / count


def starts(rows: Rows, subjects: list[Subject], sizes: Sizes) -> None:
    for _ in range(3 * sizes.rounds):
        for subject in subjects:
            with subject.machine(SMALL) as machine:
                rows.row("start to running").add(subject, milliseconds(machine.start))
                rows.row("stop").add(subject, milliseconds(machine.stop))
            unconfined = subject.unconfined_machine(SMALL)
            if unconfined is not None:
                with unconfined as machine:
                    rows.row("start to running, unconfined").add(subject, milliseconds(machine.start))


def boots(rows: Rows, subjects: list[Subject], sizes: Sizes) -> None:
    def boot(machine: Machine) -> None:
        machine.start()
        machine.read_until(READY)

    for _ in range(sizes.rounds):
        for subject in subjects:
            with subject.machine(SMALL) as machine:
                rows.row("boot to the guest's first output").add(subject, milliseconds(boot, machine))
                for _ in range(5):
                    rows.row("pause").add(subject, milliseconds(machine.pause))
                    rows.row("resume").add(subject, milliseconds(machine.resume))
                rows.row("state read", "µs").add(subject, microseconds_each(machine.state, 2000))
        for subject in subjects:
            with subject.machine(SMALL, subject.guest.packaged_kernel) as machine:
                rows.row("boot of the packaged kernel to its first output").add(subject, milliseconds(boot, machine))


def states(rows: Rows, subjects: list[Subject], sizes: Sizes, memory: int) -> None:
    of = f", {memory} MiB"
    with ExitStack() as stack:
        machines = [(subject, stack.enter_context(subject.machine(memory))) for subject in subjects]
        # Nothing runs but what is measured, and that is saved when its guest has nothing left to do: one that has just
        # begun, or was just restored, is busy for a while.
        for _, machine in machines:
            machine.start()
            machine.read_until(READY)
            ask(machine)
            machine.pause()
        for number in range(sizes.rounds):
            for subject, machine in machines:
                first, second = (subject.folder / f"{subject.name}-{memory}-{number}-{i}" for i in (1, 2))
                rows.row(f"save{of}").add(subject, milliseconds(machine.save, first))
                rows.row(f"data in the saved file{of}", "MiB").add(subject, first.stat().st_blocks * 512 / 2**20)
                machine.stop()
                restore(rows, subject, machine, first, of)
                if subject.has_private_clones:
                    machine.stop()
                    restore(rows, subject, machine, first, f", private{of}", private=True)
                    # What ran on the file itself is saved in another way.
                    machine.stop()
                    time.sleep(SETTLED)
                    with subject.machine(memory) as another:
                        restore(rows, subject, another, first, f", another machine{of}")
                    machine.restore(first, private=False)
                rows.row(f"suspend to disk{of}").add(subject, milliseconds(machine.suspend, second))
                machine.restore(second, private=False)
                ask(machine)
                machine.pause()
                first.unlink()
                second.unlink()


def restore(rows: Rows, subject: Subject, machine: Machine, path: Path, of: str, *, private: bool = False) -> None:
    running = milliseconds(machine.restore, path, private)
    rows.row(f"restore to running{of}").add(subject, running)
    rows.row(f"restore to the guest's next output{of}").add(subject, running + milliseconds(ask, machine))


def handed_over(rows: Rows, subjects: list[Subject], sizes: Sizes, memory: int) -> None:
    for subject in subjects:
        if not subject.hands_memory_over:
            continue
        path = subject.folder / "handed over"
        with subject.machine(memory, memory_folder=subject.folder) as machine:
            machine.start()
            machine.read_until(READY)
            for _ in range(sizes.rounds):
                ask(machine)
                row = rows.row(f"suspend to disk, memory handed over, {memory} MiB")
                row.add(subject, milliseconds(machine.suspend, path))
                machine.restore(path, private=False)
                path.unlink()


def ask(machine: Machine) -> None:
    machine.write(ASK)
    machine.read_until(ANSWER)


def clones(rows: Rows, subjects: list[Subject], sizes: Sizes) -> None:
    for subject in subjects:
        if not subject.has_private_clones:
            continue
        path = subject.folder / "clones"
        with subject.machine(SMALL) as machine:
            machine.start()
            machine.read_until(READY)
            ask(machine)
            machine.suspend(path)
        for _ in range(sizes.rounds):
            with ExitStack() as stack:
                machines = [stack.enter_context(subject.machine(SMALL)) for _ in range(CLONES)]
                took = milliseconds(restore_all, machines, path)
                rows.row(f"{CLONES} private clones to their output").add(subject, took)
                for machine in machines:
                    rows.row("memory of a clone's own", "MiB").add(subject, own_memory(machine.process()))
        path.unlink()


def restore_all(machines: list[Machine], path: Path) -> None:
    for machine in machines:
        machine.restore(path, True)
    for machine in machines:
        machine.write(ASK)
    for machine in machines:
        machine.read_until(ANSWER)


def own_memory(process: int) -> float:
    """What would be free again if the process ended, and its share of what it has in common with others: MiB."""
    for line in Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise LookupError("Pss")


def many(rows: Rows, subjects: list[Subject], sizes: Sizes) -> None:
    count = sizes.machines
    for subject in subjects:
        for _ in range(min(3, sizes.rounds)):
            with ExitStack() as stack:
                memory, threads = resident_memory(), thread_count()
                machines = [stack.enter_context(subject.machine(SMALL)) for _ in range(count)]
                together = milliseconds(subject.start_all, machines)
                rows.row(f"{count} machines started at once").add(subject, together)
                per_machine = (resident_memory() - memory) / count
                rows.row("memory of the host process per machine", "KiB").add(subject, per_machine)
                # However many machines there are, some threads may serve them.
                more = max(0, thread_count() - threads - COMMON_THREADS)
                rows.row("threads of the host process per machine", "").add(subject, more / count)
                for machine in machines:
                    machine.stop()


def resident_memory() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1024


def thread_count() -> int:
    return len(os.listdir("/proc/self/task"))


def all_boots(rows: Rows, subject: Subject, sizes: Sizes) -> None:
    succeeded = 0
    for _ in range(sizes.boots):
        with subject.machine(SMALL) as machine, suppress(applevz.Error):
            machine.start()
            machine.read_until(READY)
            succeeded += 1
    rows.row(f"boots of {sizes.boots} that came to their output", "").add(subject, succeeded)
