# SPDX-License-Identifier: Apache-2.0
"""Python and QEMU are killed at moments that nobody chose, while states with disks are saved and restored: what is
there afterwards is whole, the base is as it was, and the next use leaves nothing else.

APPLEVZ_POWER_CUTS is how many moments there are, and APPLEVZ_POWER_CUTS_SEED which."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import applevz
import cut_states
import file_systems
from applevz import states
from cut_states import PHASES
from guest_machine import PATIENCE, Guest
from processes import alive, children, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a Mac's framework has no such disks")

MIB = 1 << 20
WORDS = "of the base"
VICTIMS = ("Python", "QEMU", "both")
COUNT = int(os.environ.get("APPLEVZ_POWER_CUTS", "12"))
# During what, in turn: most often while a file is made.
CUT = ("save", "restore", "save", "hand over", "save", "write", "save over", "save", "restore privately", "hand over")
class Bench:
    """A file system of its own with a base, a branch and a first state, and what happens to them."""

    def __init__(self, folder: Path, guest_files: Path, outside: Path) -> None:
        self.folder, self.outside = folder, outside
        self.base, self.branch, self.first, self.path = (
            folder / name for name in ("base", "branch", "first", "state")
        )
        self.identifier = applevz.GenericMachineIdentifier.random().data_representation
        self.guest = (str(guest_files / "vmlinux"), str(guest_files / "initrd.cpio.gz"))
        applevz.create_disk_image(self.base, "64MiB")
        with self.base.open("r+b") as file:
            file.write(f"{WORDS}\n".encode())
        applevz.create_disk_image(self.branch, base=self.base, clone=False)
        with self.machine() as vm:
            guest = Guest(vm).start()
            for disk in ("vda", "vdb"):
                guest.run(f"echo saved | dd of=/dev/{disk} bs=512 seek=5 conv=sync,fsync 2>/dev/null")
                guest.run(f"dd if=/dev/urandom of=/dev/{disk} bs=1M seek=8 count=4 oflag=direct 2>/dev/null")
            vm.suspend(timeout=PATIENCE, to=self.first)
        self.before = self.state_of_base()

    def machine(self) -> applevz.VirtualMachine:
        return cut_states.machine(str(self.folder), *self.guest, self.identifier)

    def state_of_base(self) -> tuple[str, int]:
        return hashlib.sha256(self.base.read_bytes()).hexdigest(), self.base.stat().st_mtime_ns

    def run(self) -> subprocess.Popen[str]:
        arguments = [str(self.first), str(self.path), str(self.folder), *self.guest, self.identifier.hex()]
        return subprocess.Popen(
            [sys.executable, cut_states.__file__, json.dumps(arguments)], stdout=subprocess.PIPE, text=True
        )

    def durations(self) -> dict[str, float]:
        """How long each phase takes where nobody is killed."""
        begun = {}
        with self.run() as process:
            assert process.stdout is not None
            for line in process.stdout:
                begun[line.strip()] = time.monotonic()
        assert [phase for phase in begun if phase in PHASES] == list(PHASES)
        assert list(begun)[-1] == "end"
        self.path.unlink()
        times = list(begun.values())
        return {phase: later - time for phase, time, later in zip(begun, times, times[1:], strict=False)}

    def cut(self, phase: str, delay: float, victim: str) -> tuple[list[str], int]:
        """Gives what the program said, and how many QEMUs were killed."""
        with self.run() as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line.strip())
                if lines[-1] == phase:
                    break
            time.sleep(delay)
            machines = children(process.pid)
            if victim != "Python":
                for number in machines:
                    with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                        os.kill(number, signal.SIGKILL)
            if victim != "QEMU":
                process.kill()
            lines += [line.strip() for line in process.stdout]
            assert process.wait(PATIENCE) in (0, -signal.SIGKILL), lines
        assert eventually(lambda: not any(alive(number) for number in machines))
        return lines, len(machines) if victim != "Python" else 0

    def names(self) -> set[str]:
        return set(os.listdir(self.folder))

    def room_without_names(self) -> int:
        """In bytes, what is taken by files that have no name."""
        system = os.statvfs(self.folder)
        named = sum(path.stat().st_blocks * 512 for path in self.folder.iterdir())
        return (system.f_blocks - system.f_bfree) * system.f_frsize - named

    def look_at_branch(self) -> None:
        """QEMU's own tool finds it whole, and what was synced before in it."""
        check = subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", self.branch], check=False)
        # 3: room that nothing uses, of a write that was never done.
        assert check.returncode in (0, 3)
        node = {
            "driver": "qcow2",
            "file": {"driver": "file", "filename": str(self.branch)},
            "backing": {"driver": "raw", "file": {"driver": "file", "filename": str(self.base)}},
        }
        whole = self.outside / "whole"
        subprocess.run(["qemu-img", "convert", "-O", "raw", f"json:{json.dumps(node)}", whole], check=True)
        with whole.open("rb") as file:
            sectors = {0: WORDS, 5: "saved"}
            for sector, words in sectors.items():
                file.seek(sector * 512)
                assert file.read(len(words) + 1) == words.encode() + b"\n"
        whole.unlink()

    def use_again(self, private: bool) -> None:
        """Restores what there is, and saves."""
        is_new = self.path.exists()
        state = self.path if is_new else self.first
        states.check(state)
        with self.machine() as vm:
            vm.restore_state(state, timeout=PATIENCE, private=private)
            vm.start(timeout=PATIENCE)
            guest = Guest(vm)
            for disk in ("vda", "vdb"):
                command = f"dd if=/dev/{disk} bs=512 count=1 iflag=direct skip=%d 2>/dev/null | tr -d '\\0' | head -n 1"
                found = [guest.run(command % place) for place in (0, 5, 6)]
                assert found == [WORDS, "saved", "more" if is_new else ""]
            vm.pause(timeout=PATIENCE)
            vm.save_state(self.path, timeout=PATIENCE, overwrite=True)
            vm.stop(timeout=PATIENCE)
        self.path.unlink()


@pytest.fixture
def bench(tmp_path: Path, guest_files: Path) -> Iterator[Bench]:
    with file_systems.in_memory(tmp_path / "room", "1g") as folder:
        yield Bench(folder, guest_files, tmp_path)


@pytest.mark.timeout(300 + 20 * COUNT)
def test_whoever_is_killed_when_leaves_whole_states_and_the_next_use_leaves_nothing_else(bench: Bench) -> None:
    seed = int(os.environ.get("APPLEVZ_POWER_CUTS_SEED") or random.randrange(1 << 32))  # noqa: S311
    print(f"APPLEVZ_POWER_CUTS={COUNT} APPLEVZ_POWER_CUTS_SEED={seed}")
    moments = random.Random(seed)  # noqa: S311 - of moments, not of secrets
    names = {"base", "branch", "first"}
    durations = bench.durations()
    assert bench.names() == names
    seen: collections.Counter[str] = collections.Counter()
    for number in range(COUNT):
        phase = CUT[number % len(CUT)]
        victim = VICTIMS[number % len(VICTIMS)]
        delay = durations[phase] * moments.random()
        lines, killed = bench.cut(phase, delay, victim)
        found = bench.names()
        print(f"{number}: {victim} {delay * 1e3:.0f} ms after {phase}; {killed} of QEMU; {lines[-1]}; {sorted(found)}")
        left = found - names - {"state"}
        assert all(name.startswith(".applevz-") for name in left)
        assert bench.state_of_base() == bench.before
        seen["a state" if "state" in found else "no state"] += 1
        seen["a temporary name"] += len(left)
        seen["a refusal"] += lines[-1].startswith("refused")
        seen["an end"] += lines[-1] == "end"
        bench.look_at_branch()
        # What was saved of a machine that was restored privately is not put back otherwise.
        bench.use_again(private=PHASES.index(phase) > PHASES.index("save") or bool(number % 2))
        assert bench.names() == names
        # Pages go when the last one lets go of them, which may be a moment later.
        assert eventually(lambda: bench.room_without_names() < MIB)
    assert bench.state_of_base() == bench.before
    print(dict(seen))
