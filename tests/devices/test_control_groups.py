# SPDX-License-Identifier: Apache-2.0
"""The processor time and the memory of a machine have limits, which the kernel holds all its processes to.

What makes the groups is tried in a guest, whose kernel has all controllers. That machines are in them is tried in
folders that stand for groups: what a host has of them is another matter on each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import applevz
from fixtures import Boot, Configure, MakeMachine
from guest_machine import PATIENCE, Guest
from places import NATIVE, SUPPORT
from processes import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a Mac's framework has no such limits")

MIB = 1 << 20
FOLDER = "/sys/fs/cgroup"


def compiled(source: str, output: Path, *more: str | Path) -> Path:
    command = ["clang", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-O1", "-D_GNU_SOURCE"]
    subprocess.run([*command, "-I", NATIVE / "linux", SUPPORT / source, *more, "-o", output], check=True)
    return output


def told(words: str) -> dict[str, int]:
    """The numbers of `signal 9 status -1 …` by their names."""
    parts = words.split()
    return {name: int(value) for name, value in zip(parts[::2], parts[1::2], strict=True)}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    maker = NATIVE / "linux" / "Virtualization" / "host" / "confinement" / "HostControlGroupFiles.c"
    return compiled("control_groups.c", tmp_path / "program", maker, "-static")


# ---- On this host: groups without controllers, which may be in use by others ----


@pytest.fixture
def group() -> Iterator[Path]:
    """One of the host's, which is empty."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    roots = [Path(mount[1]) for mount in mounts if mount[2] == "cgroup2"]
    if not roots:
        pytest.skip("this host has no control groups of version 2")
    folder = roots[0] / f"tests-of-applevz-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this user can make no control groups")
    yield folder
    for path in sorted(folder.rglob("*/"), reverse=True):
        if path.is_dir():
            path.rmdir()
    folder.rmdir()


def groups(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()}


def test_a_group_stays_as_long_as_its_owner_or_somebody_in_it_lives(program: Path, group: Path) -> None:
    def run(*arguments: str | Path) -> str:
        return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout

    assert told(run("run", group, "0", "0", "true"))["removed"] == 1
    assert f"/{group.name}/applevz-" in run("run", group, "0", "0", "cat", "/proc/self/cgroup")
    for _ in range(2):
        # The one before is gone.
        left = run("leave", group).split()[1]
        assert groups(group) == {left}
    with subprocess.Popen(["sleep", "1000"]) as process:
        (group / left / "cgroup.procs").write_text(str(process.pid))
        (group / "other").mkdir()
        assert told(run("run", group, "0", "0", "true"))["removed"] == 1
        assert groups(group) == {left, "other"}
        process.kill()
    command = [str(program), "run", str(group), "0", "0", "cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one:
        assert eventually(lambda: groups(group) - {left, "other"} != set())
        (owned,) = groups(group) - {left, "other"}
        assert told(run("run", group, "0", "0", "true"))["removed"] == 1
        # What was left had nobody in it any more.
        assert groups(group) == {owned, "other"}
        words = one.communicate()[0].decode()
    assert (told(words)["early"], told(words)["removed"]) == (0, 1)
    assert groups(group) == {"other"}


def test_many_make_groups_in_one_at_once(program: Path, group: Path) -> None:
    command = [str(program), "run", str(group), "0", "0", "true"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(30)]
    answers = [told(process.communicate()[0]) for process in running]
    assert {(answer["status"], answer["removed"]) for answer in answers} == {(0, 1)}
    assert groups(group) == set()


# ---- In a guest: what the kernel makes of it ----


@pytest.fixture
def guest(boot: Boot, program: Path) -> Guest:
    """One in which the program is, and all control groups."""
    os.truncate(program, (program.stat().st_size + 4095) // 4096 * 4096)
    disk = applevz.DiskImageStorageDeviceAttachment(program, read_only=True)
    guest = boot(memory_size="192MiB", storage_devices=[applevz.VirtioBlockDeviceConfiguration(disk)])
    guest.run(f"mount -t cgroup2 none {FOLDER} && mkdir {FOLDER}/machines")
    guest.run(f"echo '+cpu +memory' > {FOLDER}/cgroup.subtree_control")
    guest.run("dd if=/dev/vda of=/groups bs=4096 2>/dev/null; chmod +x /groups")
    return guest


def test_a_group_has_no_more_than_its_limits_and_goes_with_its_processes(guest: Guest) -> None:
    # Nobody is left of it when it ends, as the watcher of a `timeout` is for a moment.
    busy = "sh -c 'end=$(($(date +%s) + 4)); while [ $(date +%s) -lt $end ]; do :; done'"
    whole = told(guest.run(f"/groups run {FOLDER}/machines 1 0 {busy}"))
    part = told(guest.run(f"/groups run {FOLDER}/machines 0.25 0 {busy}"))
    assert whole["removed"] == part["removed"] == 1
    # Not as long as somebody is in it.
    assert whole["early"] == part["early"] == 0
    # A guest on a busy host has less of its processor than there should be, and never more.
    assert 0 < part["milliseconds"] <= 1500
    assert whole["milliseconds"] > part["milliseconds"] * 1.5
    greedy = "dd if=/dev/zero of=/dev/null bs=40M count=1"
    killed = told(guest.run(f"/groups run {FOLDER}/machines 0 {16 * MIB} {greedy} 2>/dev/null"))
    assert (killed["signal"], killed["kills"], killed["removed"]) == (9, 1, 1)
    lived = told(guest.run(f"/groups run {FOLDER}/machines 0.5 {80 * MIB} {greedy} 2>/dev/null"))
    assert (lived["signal"], lived["status"], lived["kills"], lived["removed"]) == (0, 0, 0, 1)
    assert guest.run(f"ls -d {FOLDER}/machines/*/ 2>/dev/null") == ""


def test_what_a_program_left_is_removed_by_the_next_one(guest: Guest) -> None:
    for _ in range(2):
        assert guest.run(f"/groups leave {FOLDER}/machines").startswith("usable applevz-")
        # The one before is gone.
        assert len(guest.run(f"ls -d {FOLDER}/machines/*/").split()) == 1
    held = guest.run(f"ls -d {FOLDER}/machines/*/")
    guest.run(f"sleep 1000 & echo $! > {held}cgroup.procs")
    assert guest.run(f"/groups leave {FOLDER}/machines").startswith("usable applevz-")
    # One that has processes stays, and what is somebody else's, too.
    guest.run(f"mkdir {FOLDER}/machines/other")
    assert told(guest.run(f"/groups run {FOLDER}/machines 1 0 true"))["removed"] == 1
    assert sorted(guest.run(f"ls -d {FOLDER}/machines/*/").split()) == sorted([held, f"{FOLDER}/machines/other/"])


def test_groups_are_made_in_what_was_delegated_and_nowhere_above_it(guest: Guest) -> None:
    # In the root of the hierarchy there is nothing to delegate.
    assert guest.run("/groups place") == f"usable {FOLDER}"
    guest.run(f"mkdir -p {FOLDER}/slice/service/main")
    inside = f"sh -c 'echo 0 > {FOLDER}/slice/service/main/cgroup.procs; %s'"
    assert guest.run(inside % "/groups place") == f"not delegated {FOLDER}/slice/service/main"
    guest.run(f"/groups delegate {FOLDER}/slice/service")
    assert guest.run(inside % "/groups place") == f"usable {FOLDER}/slice/service"
    # The groups above have not given it any controller yet.
    run = f"/groups run {FOLDER}/slice/service 1 {64 * MIB} true"
    assert guest.run(inside % run) == f"no controller {FOLDER}/slice/service cpu"
    for above in ("", "/slice"):
        guest.run(f"echo '+cpu +memory' > {FOLDER}{above}/cgroup.subtree_control")
    assert told(guest.run(inside % run))["removed"] == 1
    own = f"/groups run {FOLDER}/slice/service/main 1 {64 * MIB} true"
    # It gets its controllers from the group above by now, and has processes.
    assert guest.run(inside % own) == f"processes {FOLDER}/slice/service/main"


# ---- Machines ----


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder that stands for a control group without processes."""
    folder = tmp_path / "machines"
    folder.mkdir()
    for name, text in {
        "cgroup.controllers": "cpuset cpu io memory pids\n",
        "cgroup.subtree_control": "",
        "cgroup.procs": "",
        "cgroup.type": "domain\n",
    }.items():
        (folder / name).write_text(text)
    return folder


PROGRAM = """
import json, os, signal, sys
sys.path.insert(0, sys.argv[1])
import applevz
from pathlib import Path
from processes import children
from guest_machine import PATIENCE

place, kernel, what = Path(sys.argv[2]), sys.argv[3], sys.argv[4]
limits = applevz.ResourceLimits(processors=1.5, memory="512MiB", control_group=place)
shares = [applevz.VirtioFileSystemDeviceConfiguration(
    "share", applevz.SingleDirectoryShare(applevz.SharedDirectory(place)))] if what == "shares" else []
vm = applevz.VirtualMachine(applevz.VirtualMachineConfiguration(
    applevz.LinuxBootLoader(kernel), memory_size="128MiB", resource_limits=limits, directory_sharing_devices=shares))
vm.start(timeout=PATIENCE)
(group,) = place.glob("applevz-*/")
print(json.dumps({file.name: file.read_text() for file in group.iterdir()}), flush=True)
if what == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if what == "memory":
    (group / "memory.events").write_text("low 0\\nhigh 0\\nmax 12\\noom 1\\noom_kill 1\\noom_group_kill 0\\n")
    (qemu,) = children()
    os.kill(qemu, signal.SIGKILL)
    vm.wait(applevz.VirtualMachineState.ERROR, timeout=PATIENCE)
    print(vm.stop_error)
else:
    vm.stop(timeout=PATIENCE)
print([entry.name for entry in place.glob("applevz-*/")], flush=True)
"""


def run(tmp_path: Path, place: Path, kernel: Path, what: str) -> subprocess.CompletedProcess[str]:
    played = compiled("played_control_groups.c", tmp_path / "played.so", "-shared", "-fPIC")
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, SUPPORT, place, kernel, what],
        env={**os.environ, "LD_PRELOAD": str(played)},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )


def test_a_machine_is_in_a_group_with_its_limits_which_is_gone_with_it(
    tmp_path: Path, place: Path, guest_files: Path
) -> None:
    result = run(tmp_path, place, guest_files / "vmlinux", "stopped")
    assert result.returncode == 0, result.stderr
    group, left = result.stdout.splitlines()
    assert json.loads(group) == {
        "cgroup.procs": "0",
        "cpu.max": "150000 100000",
        "memory.max": str(512 * MIB),
        "memory.swap.max": "0",
        "memory.events": "",
    }
    assert left == "[]"
    assert (place / "cgroup.subtree_control").read_text() == "+cpu +memory"


@pytest.mark.skipif(not applevz.capabilities.shared_directories, reason="this host shares no directories")
def test_the_servers_of_its_directories_are_in_it_too(tmp_path: Path, place: Path, guest_files: Path) -> None:
    (place / "cgroup.subtree_control").write_text("memory cpu\n")
    result = run(tmp_path, place, guest_files / "vmlinux", "shares")
    assert result.returncode == 0, result.stderr
    # Both wrote, each from where the one descriptor of both stood.
    assert json.loads(result.stdout.splitlines()[0])["cgroup.procs"] == "00"
    # What was given already is left as it is.
    assert (place / "cgroup.subtree_control").read_text() == "memory cpu\n"


def test_what_a_killed_python_left_is_removed_by_the_next_machine(
    tmp_path: Path, place: Path, guest_files: Path
) -> None:
    assert run(tmp_path, place, guest_files / "vmlinux", "killed").returncode == -signal.SIGKILL
    (left,) = place.glob("applevz-*/")
    result = run(tmp_path, place, guest_files / "vmlinux", "stopped")
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, "[]"), result.stderr
    assert not left.exists()


def test_a_machine_without_memory_left_says_so(tmp_path: Path, place: Path, guest_files: Path) -> None:
    result = run(tmp_path, place, guest_files / "vmlinux", "memory")
    assert result.returncode == 0, result.stderr
    assert "resourceLimits.memory is 536870912 bytes, and the guest's memory" in result.stdout
    assert result.stdout.splitlines()[-1] == "[]"


# ---- What cannot be had ----


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"cgroup.controllers": None}, "is no control group (cgroup version 2)"),
        ({"cgroup.controllers": "cpuset pids memory\n"}, 'has no controller "cpu"'),
        ({"cgroup.controllers": "cpu\n"}, 'has no controller "memory"'),
        ({"cgroup.procs": "1234\n"}, "has processes itself"),
        ({"cgroup.subtree_control": None}, "none can be made: No such file or directory"),
    ],
)
def test_a_start_without_such_a_group_is_refused_and_says_what_is_missing(
    machine: MakeMachine, place: Path, files: dict[str, str | None], words: str
) -> None:
    for name, text in files.items():
        (place / name).unlink()
        if text is not None:
            (place / name).write_text(text)
    limits = applevz.ResourceLimits(processors=1, memory="512MiB", control_group=place)
    vm = machine(memory_size="128MiB", resource_limits=limits)
    with pytest.raises(applevz.NotSupportedError) as caught:
        vm.start(timeout=PATIENCE)
    assert f'"{place}"' in str(caught.value)
    assert words in str(caught.value)
    assert list(place.glob("applevz-*")) == []


def test_this_host_says_whether_it_delegated_a_group(machine: MakeMachine) -> None:
    capability = applevz.capabilities.control_groups
    vm = machine(memory_size="128MiB", resource_limits=applevz.ResourceLimits(processors=1, memory="512MiB"))
    if not capability:
        assert "control group" in (capability.reason or "")
        with pytest.raises(applevz.NotSupportedError) as caught:
            vm.start(timeout=PATIENCE)
        assert caught.value.failure_reason == capability.reason
        return
    vm.start(timeout=PATIENCE)
    vm.stop(timeout=PATIENCE)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"processors": 0}, "resource_limits.processors is 0, with which no machine gets anywhere"),
        ({"processors": 0.001}, "resourceLimits.processors is 0.001"),
        ({"processors": -1.5}, "resource_limits.processors is -1.5, which is negative"),
        ({"processors": float("nan")}, "resource_limits.processors is nan, which is not a number"),
        ({"processors": "2"}, "resource_limits.processors is '2', of type str"),
        ({"memory": "100MiB"}, "resourceLimits.memory is 104857600 bytes, less than the 134217728 of memorySize"),
        ({"control_group": "/nowhere"}, 'resourceLimits.controlGroup is "/nowhere", and neither processors nor memory'),
        ({"memory": "1GiB", "control_group": 5}, "resource_limits.control_group is 5, of type int"),
    ],
)
def test_a_limit_that_is_none_is_refused_by_its_name(configure: Configure, fields: dict[str, Any], words: str) -> None:
    with pytest.raises((applevz.InvalidArgumentError, applevz.InvalidVirtualMachineConfigurationError)) as caught:
        configure(memory_size="128MiB", resource_limits=applevz.ResourceLimits(**fields)).validate()
    assert words in str(caught.value)
