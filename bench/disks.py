# SPDX-License-Identifier: Apache-2.0
"""States that hold their disks, beside states of machines without one."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from ours import OurMachine, Ours
from rows import ANSWER, ASK, SETTLED, SMALL, Rows, Sizes, ask, milliseconds
from subject import READY, Subject

import applevz

AT_ONCE = 20
# What the guest writes to its disk, and reads again, in MiB.
WRITTEN = 4


def disks(rows: Rows, subjects: list[Subject], sizes: Sizes) -> None:
    ours = next((subject for subject in subjects if isinstance(subject, Ours)), None)
    if ours is None or not applevz.capabilities.disk_overlays:
        return
    base = ours.folder / "base"
    applevz.create_disk_image(base, "2GiB")
    kinds: dict[str, Path | None] = {"no disk": None, "disk of 2 GiB": base}
    states = {kind: ours.folder / f"state, {kind}" for kind in kinds}
    for kind, disk in kinds.items():
        with ours.machine(SMALL, disk=disk) as machine:
            machine.start()
            machine.read_until(READY)
            if disk is not None:
                write_to_disk(machine)
            ask(machine)
            machine.suspend(states[kind])
    for number in range(3 * sizes.rounds):
        for private in (True, False):
            # Each comes after the other as often: what runs after a long one finds another host.
            for kind, disk in list(kinds.items())[:: 1 if number % 2 else -1]:
                row = rows.row(f"restore to running, {kind}{', private' if private else ''}, {SMALL} MiB")
                with ours.machine(SMALL, disk=disk) as machine:
                    row.add(ours, milliseconds(machine.restore, states[kind], private))
                # What a machine leaves to be given back is in nobody's way.
                time.sleep(SETTLED)
    for _ in range(sizes.rounds):
        for kind, disk in kinds.items():
            with ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as pool:
                machines = [stack.enter_context(ours.machine(SMALL, disk=disk)) for _ in range(AT_ONCE)]
                row = rows.row(f"{AT_ONCE} private clones at once to running, {kind}")
                row.add(ours, milliseconds(restore_at_once, pool, machines, states[kind]))
            time.sleep(SETTLED)
    for path in (base, *states.values()):
        path.unlink()


def write_to_disk(machine: OurMachine) -> None:
    command = f"dd if=/dev/urandom of=/dev/vda bs=1M seek=1000 count={WRITTEN} conv=fsync; "
    machine.write(command.encode() + ASK)
    machine.read_until(ANSWER)


def restore_at_once(pool: ThreadPoolExecutor, machines: list[OurMachine], path: Path) -> None:
    list(pool.map(lambda machine: machine.restore(path, True), machines))
