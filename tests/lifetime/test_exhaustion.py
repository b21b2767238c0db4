# SPDX-License-Identifier: Apache-2.0
"""A program at its limit of descriptors, or of processes and threads: it is told so, by an error, and lives on."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is open is counted through /proc")

BEGINNING = """
import contextlib, errno, gc, json, os, resource, sys, time
import applevz, applevz.configuration
from pathlib import Path
import asyncio, socket, traceback  # what an error's way out would open files for

PLENTY = 1024

@contextlib.contextmanager
def descriptors(free):
    '''Within, that many can be opened, and no more.'''
    used = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    fillers = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (used[-1] + 1, PLENTY))
    with contextlib.suppress(OSError):
        while True:
            fillers.append(os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used[-1] + 1 + free, PLENTY))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (PLENTY, PLENTY))
        for filler in fillers:
            os.close(filler)

def attempt(act, *arguments, **named):
    '''What it gives; or the errno of what it raises, the text where that is none.'''
    try:
        act(*arguments, **named)
    except OSError as error:
        return error.errno if isinstance(error, applevz.Error) else "OSError"
    except applevz.Error as error:
        return repr(error)
    return "done"

def configuration(**fields):
    return applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(KERNEL, INITRD, "console=hvc0 quiet"), memory_size="128MiB", **fields)

def life(**fields):
    with applevz.VirtualMachine(configuration(**fields)) as machine:
        machine.start(timeout=60)
        machine.pause(timeout=60)
        machine.save_state("state", timeout=60)
        machine.stop(timeout=60)
        machine.restore_state("state", timeout=60)
        machine.resume(timeout=60)
        machine.stop(timeout=60)

def whole_life(**fields):
    try:
        life(**fields)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink("state")

# Whatever is imported when it is first needed: a file that cannot be opened then is Python's own affair.
with contextlib.suppress(applevz.Error):
    applevz.VirtualMachine(applevz.VirtualMachineConfiguration(applevz.LinuxBootLoader("/nonexistent")))
"""


def run(program: str, folder: Path, guest_files: Path, *arguments: object, **options: Any) -> Any:
    names = f"KERNEL, INITRD = {str(guest_files / 'vmlinux')!r}, {str(guest_files / 'initrd.cpio.gz')!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{names}\n{BEGINNING}\n{program}", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        **options,
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return json.loads(done.stdout)


@pytest.mark.parametrize("free", range(16))
def test_a_process_makes_its_first_machine_with_few_descriptors_left(
    guest_files: Path, tmp_path: Path, free: int
) -> None:
    # In a process of its own each: what is made once a process is made at the worst moment.
    program = f"""
with descriptors({free}):
    outcome = attempt(whole_life)
print(json.dumps([outcome, attempt(whole_life)]))
"""
    few, plenty = run(program, tmp_path, guest_files)
    assert few == 24  # EMFILE
    assert plenty == "done"


def test_a_program_with_thousands_of_descriptors_makes_machines(guest_files: Path, tmp_path: Path) -> None:
    # As one with a hundred machines has. QEMU may have 2,048, from then on: its own are moved over the program's.
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("this process may not have 4,096 descriptors")
    program = """
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
fillers = [os.dup(0) for _ in range(3000)]
device = applevz.VirtioNetworkDeviceConfiguration(applevz.NATNetworkDeviceAttachment())
outcome = attempt(whole_life, network_devices=[device])
with applevz.VirtualMachine(configuration()) as machine:
    machine.start(timeout=60)
    (qemu,) = "".join(path.read_text() for path in Path("/proc/self/task").glob("*/children")).split()
    limits = Path(f"/proc/{qemu}/limits").read_text()
print(json.dumps([outcome, next(line.split()[3:5] for line in limits.splitlines() if "open files" in line)]))
"""
    outcome, limits = run(program, tmp_path, guest_files)
    assert outcome == "done"
    assert all(2048 <= int(limit) < 2148 for limit in limits), limits


def test_a_machine_s_whole_life_with_any_number_of_descriptors_left(guest_files: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(1 << 20))
    (tmp_path / "usb").write_bytes(bytes(1 << 20))
    program = """
disk = applevz.DiskImageStorageDeviceAttachment("disk")
port = applevz.VirtioConsolePortConfiguration(name="port")
fields = {
    "storage_devices": [applevz.VirtioBlockDeviceConfiguration(disk)],
    "network_devices": [applevz.VirtioNetworkDeviceConfiguration(applevz.NATNetworkDeviceAttachment())],
    "console_devices": [applevz.VirtioConsoleDeviceConfiguration([port])],
    "usb_controllers": [applevz.XHCIControllerConfiguration()],
}
whole_life(**fields)
outcomes = []
def descriptors_in_use():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
# What a stopped machine had, its memory for one, comes back a moment later.
least = descriptors_in_use()
for free in range(80):
    end = time.monotonic() + 60
    while (now := descriptors_in_use()) > least and time.monotonic() < end:
        time.sleep(0.01)
    least = min(least, now)
    with descriptors(free):
        outcomes.append(attempt(whole_life, **fields))
whole_life(**fields)
print(json.dumps(outcomes))
"""
    outcomes = run(program, tmp_path, guest_files)
    assert set(outcomes) == {24, "done"}, outcomes
    # In between it is a matter of how soon what a stopped machine had is given back.
    assert set(outcomes[:20]) == {24}
    assert set(outcomes[65:]) == {"done"}


def test_a_machine_that_runs_outlives_each_thing_that_it_has_no_descriptor_for(
    guest_files: Path, tmp_path: Path
) -> None:
    (tmp_path / "usb").write_bytes(bytes(1 << 20))
    (tmp_path / "folder").mkdir()
    program = """
usb = applevz.USBMassStorageDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment("usb"))
outcomes = {}
with applevz.VirtualMachine(configuration(
    network_devices=[applevz.VirtioNetworkDeviceConfiguration(applevz.NATNetworkDeviceAttachment())],
    usb_controllers=[applevz.XHCIControllerConfiguration()],
    graphics_devices=[applevz.VirtioGraphicsDeviceConfiguration()],
)) as machine:
    machine.start(timeout=60)
    machine.console.read_until("ready", timeout=60)
    def plug():
        machine.usb_controllers[0].attach(usb, timeout=60).detach(timeout=60)
    def save():
        machine.pause(timeout=60)
        try:
            machine.save_state("state", timeout=60)
            os.unlink("state")
        finally:
            machine.resume(timeout=60)
    def picture():
        machine.screenshot(timeout=60)
    def talk():
        machine.console.write("echo $((6*7))\\n", timeout=60)
        machine.console.read_until("42", timeout=60)
    def configure():
        configuration().validate()
    acts = {name: act for name, act in globals().items() if name in ("plug", "save", "picture", "talk", "configure")}
    for name, act in acts.items():
        outcomes[name] = []
        for free in range(10):
            with descriptors(free):
                outcomes[name].append(attempt(act))
            assert machine.state is applevz.VirtualMachineState.RUNNING, (name, free, machine.state)
        assert attempt(act) == "done", (name, attempt(act))
print(json.dumps(outcomes))
"""
    outcomes = run(program, tmp_path, guest_files)
    assert set(outcomes) == {"plug", "save", "picture", "talk", "configure"}
    for name, each in outcomes.items():
        assert set(each) <= {24, "done"}, (name, each)
    # It needs none.
    assert set(outcomes["talk"]) == {"done"}
    assert outcomes["configure"][0] == 24


def test_a_user_who_may_have_no_further_threads_or_processes_is_told_so(guest_files: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the limit counts all that a user runs: it takes root to be one who runs nothing else")
    readable = "import os, sys; [open(path, 'rb') for path in sys.argv[1:]]"
    user: dict[str, Any] = {"user": 61000 + os.getpid() % 1000, "group": 61000, "extra_groups": []}
    looked: list[str | Path] = [sys.executable, "-c", readable, guest_files / "vmlinux", Path(json.__file__)]
    try:
        seen = subprocess.run(looked, cwd="/", capture_output=True, check=False, **user).returncode == 0
    except PermissionError:
        seen = False
    if not seen:
        pytest.skip("another user may not read this checkout")
    program = """
allowed = resource.getrlimit(resource.RLIMIT_NPROC)[1]
resource.setrlimit(resource.RLIMIT_NPROC, (int(sys.argv[1]), allowed))
begin = time.monotonic()
outcome = attempt(whole_life)
took = time.monotonic() - begin
resource.setrlimit(resource.RLIMIT_NPROC, (allowed, allowed))
print(json.dumps([outcome, took, attempt(whole_life)]))
"""
    outcomes = []
    # Not below pytest's folder, which is the one user's.
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, user["user"], user["group"])
        for limit in range(1, 10):
            outcome, took, plenty = run(program, Path(folder), guest_files, limit, **user)
            outcomes.append(outcome)
            assert plenty == "done", limit
            assert took < 30, (limit, outcome)
    assert outcomes[0] == outcomes[1] == 11  # EAGAIN
    # QEMU itself may be what has no thread, and says so.
    assert all(outcome in (11, "done") or "QEMU" in outcome for outcome in outcomes), outcomes
    assert outcomes[-1] == "done"
