# SPDX-License-Identifier: Apache-2.0
"""A machine that was restored privately changes nothing in the saved state that it shares with others, whatever its
guest does with its memory."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

import applevz
from fixtures import MakeMachine
from guest_machine import PATIENCE, Guest
from processes import children, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the file is that of the Linux classes")

MIB = 1 << 20


@pytest.fixture
def make(machine: MakeMachine) -> MakeMachine:
    identifier = applevz.GenericMachineIdentifier.random()
    balloon = (applevz.VirtioTraditionalMemoryBalloonDeviceConfiguration(),)
    return lambda **fields: machine(
        platform=applevz.GenericPlatformConfiguration(identifier), memory_balloon_devices=balloon, **fields
    )


@pytest.fixture
def saved(make: MakeMachine, tmp_path: Path) -> Path:
    """A state with much in the guest's memory that is not zeros, and that the guest has no use for any more."""
    vm = make()
    guest = Guest(vm).start()
    guest.run("word=kept; yes applevz | head -c 80M > /tmp-filled; rm /tmp-filled")
    vm.suspend(timeout=PATIENCE, to=tmp_path / "state")
    return tmp_path / "state"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("waived", [applevz.Confinement(0), applevz.Confinement.SYSTEM_CALLS])
def test_memory_that_a_guest_gives_back_is_not_taken_from_the_saved_state(
    make: MakeMachine, saved: Path, waived: applevz.Confinement
) -> None:
    before = digest(saved)
    # Without the filter of its system calls QEMU opens the file for writing: then there is a copy.
    vm = make(confinement=applevz.ConfinementPolicy(waived=waived))
    vm.restore_state(saved, timeout=PATIENCE, private=True)
    vm.start(timeout=PATIENCE)
    guest = Guest(vm)
    (balloon,) = vm.memory_balloon_devices
    balloon.target_virtual_machine_memory_size = 160 * MIB
    assert eventually(lambda: int(guest.run("sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")) < 160 * 1024)
    assert guest.run("echo $word") == "kept"
    assert digest(saved) == before


@pytest.mark.skipif(
    not applevz.capabilities.host_isolation, reason=f"{applevz.capabilities.host_isolation.reason}"
)
def test_its_program_has_the_saved_state_for_reading_alone(make: MakeMachine, saved: Path) -> None:
    vm = make()
    vm.restore_state(saved, timeout=PATIENCE, private=True)
    (process,) = children()
    found = saved.stat()
    modes = set()
    for number in os.listdir(f"/proc/{process}/fd"):
        opened = os.stat(f"/proc/{process}/fd/{number}")
        if (opened.st_dev, opened.st_ino) == (found.st_dev, found.st_ino):
            lines = Path(f"/proc/{process}/fdinfo/{number}").read_text().splitlines()
            modes |= {int(line.split()[1], 8) & os.O_ACCMODE for line in lines if line.startswith("flags:")}
    assert modes == {os.O_RDONLY}
    assert found.st_mode & 0o777 == 0o600
    assert found.st_uid == os.geteuid()
    vm.start(timeout=PATIENCE)
    assert Guest(vm).run("echo $word") == "kept"
