# SPDX-License-Identifier: Apache-2.0
"""Of a program that is root each machine runs as a user of its own; what keeps it from that is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import applevz
from applevz import Confinement, ConfinementPolicy
from fixtures import Configure, MakeMachine
from guest_machine import PATIENCE, Guest
from processes import children

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the machines of other platforms have no QEMU"),
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root has other users"),
]

USER = Confinement.USER


def status_of(process: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}


def user_of(process: int) -> int:
    """The one user that the process is in every way, as is its group."""
    status = status_of(process)
    (user,) = {*status["Uid"], *status["Gid"]}
    assert status["Groups"] == []
    return int(user)


def started(vm: applevz.VirtualMachine) -> int:
    before = children()
    vm.start(timeout=PATIENCE)
    (process,) = children() - before
    return process


@pytest.fixture
def hidden() -> Iterator[Path]:
    """A folder that is root's alone, below one that is everybody's."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def test_each_machine_has_a_user_of_its_own_without_rights(machine: MakeMachine) -> None:
    processes = [started(machine()) for _ in range(3)]
    users = {user_of(process) for process in processes}
    assert len(users) == 3
    assert 0 not in users
    for process in processes:
        status = status_of(process)
        assert {int(status[name][0], 16) for name in ("CapPrm", "CapEff", "CapInh", "CapAmb", "CapBnd")} == {0}
        assert status["NoNewPrivs"] == ["1"]
    everybody = [os.stat(f"/proc/{one}").st_uid for one in os.listdir("/proc") if one.isdecimal()]
    assert all(everybody.count(user) == 1 for user in users)


def test_files_of_root_are_used_and_stay_root_s_alone(machine: MakeMachine, tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    image.chmod(0o600)
    disk = applevz.VirtioBlockDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(image))
    fields = {
        "platform": applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random()),
        "storage_devices": [disk],
    }
    vm = machine(**fields)
    guest = Guest(vm).start()
    guest.run("word=kept; echo written > /dev/vda; sync")
    vm.suspend(timeout=PATIENCE, to=tmp_path / "state")
    assert image.read_bytes()[:7] == b"written"
    for path in (image, tmp_path / "state"):
        assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777) == (0, 0, 0o600)
    vm.restore_state(tmp_path / "state", timeout=PATIENCE)
    assert USER in vm.confinement
    vm.start(timeout=PATIENCE)
    assert guest.run("echo $word; head -c 7 /dev/vda") == "kept\nwritten"
    # It is the machine's alone, as of one that opened it by itself.
    with pytest.raises(applevz.Error, match="which another process uses"):
        machine(**fields).start(timeout=PATIENCE)
    vm.stop(timeout=PATIENCE)


def test_a_kernel_that_only_root_reads_boots(guest_files: Path, tmp_path: Path) -> None:
    kernel = Path(shutil.copy(guest_files / "vmlinux", tmp_path))
    kernel.chmod(0o600)
    configuration = applevz.VirtualMachineConfiguration(applevz.LinuxBootLoader(kernel), memory_size="256MiB")
    with applevz.VirtualMachine(configuration) as vm:
        process = started(vm)
        assert user_of(process) != 0
        # CAP_DAC_READ_SEARCH, and Landlock says of what.
        assert int(status_of(process)["CapEff"][0], 16) == 1 << 2


def test_it_can_be_waived(machine: MakeMachine) -> None:
    vm = machine(confinement=ConfinementPolicy(waived=USER))
    assert user_of(started(vm)) == 0
    assert USER not in vm.confinement
    assert Confinement.PRIVILEGES in vm.confinement


def test_a_program_whose_libraries_others_cannot_reach_runs_as_root_and_that_is_said(
    machine: MakeMachine, hidden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", f"/nowhere:{hidden}")
    assert "cannot be reached by a user without rights" in str(applevz.capabilities.separate_users.reason)
    vm = machine()
    assert user_of(started(vm)) == 0
    assert USER not in vm.confinement
    vm = machine(confinement=ConfinementPolicy(required=USER))
    with pytest.raises(applevz.NotSupportedError, match=str(hidden)):
        vm.start(timeout=PATIENCE)
    hidden.chmod(0o755)
    assert applevz.capabilities.separate_users
    assert user_of(started(vm)) != 0


# A root without the rights that are named, as a container's.
WITHOUT = """
import ctypes, struct, sys
import applevz
from applevz import Confinement

libc = ctypes.CDLL(None, use_errno=True)
header = struct.pack("=Ii", 0x20080522, 0)
lost = [int(one) for one in sys.argv[2].split(",")]
has = int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("CapPrm")), 16)
kept = has & ~sum(1 << one for one in lost)
low, high = kept & 0xffffffff, kept >> 32
assert libc.capset(header, struct.pack("=6I", low, low, 0, high, high, 0)) == 0
print(applevz.capabilities.separate_users.reason)
for devices in ([], [applevz.VirtioNetworkDeviceConfiguration()]):
    configuration = applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(sys.argv[1]), memory_size="256MiB", network_devices=devices)
    with applevz.VirtualMachine(configuration) as machine:
        machine.start(timeout=60)
        print(Confinement.USER in machine.confinement, Confinement.HOST_ADDRESSES in machine.confinement)
"""


@pytest.mark.parametrize(
    ("lost", "name", "found"),
    [
        (5, "CAP_KILL", ["False True", "False True"]),
        (7, "CAP_SETUID", ["False True", "False True"]),
        # A program of another user's is not looked into without it: where QEMU connects to counts for more.
        (19, "CAP_SYS_PTRACE", ["True True", "False True"]),
    ],
)
def test_what_root_lacks_is_said(configure: Configure, lost: int, name: str, found: list[str]) -> None:
    kernel = os.fspath(configure().boot_loader.kernel)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, kernel, str(lost)], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    reason, *lines = done.stdout.splitlines()
    assert name in reason
    assert lines == found


# What the kernel takes a process for that made another user's on its own memory.
DUMPABLE = """
import ctypes, sys
import applevz

libc = ctypes.CDLL(None)
for before in (1, 0):
    assert libc.prctl(4, before, 0, 0, 0) == 0
    configuration = applevz.VirtualMachineConfiguration(applevz.LinuxBootLoader(sys.argv[1]), memory_size="256MiB")
    with applevz.VirtualMachine(configuration) as machine:
        machine.start(timeout=60)
        assert applevz.Confinement.USER in machine.confinement
    print(libc.prctl(3, 0, 0, 0, 0))
"""


def test_the_program_leaves_core_files_as_before(configure: Configure) -> None:
    kernel = os.fspath(configure().boot_loader.kernel)
    done = subprocess.run([sys.executable, "-c", DUMPABLE, kernel], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "0"]
