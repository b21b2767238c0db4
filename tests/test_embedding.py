# SPDX-License-Identifier: Apache-2.0
"""What the library does to the program that it is a part of: nothing at import, and afterwards nothing that stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a process is looked at through /proc")

# What a program may look at of itself, as it would be in another one that never heard of virtual machines.
LOOKS = """
import gc, json, locale, os, signal, sys, tempfile, threading, time
from pathlib import Path

def look():
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    # The C library catches the first two real-time signals for itself, from a program's first thread on.
    own = 0b11 << 31
    descriptors = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            descriptors[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            pass  # the listing's own
    return {
        "dispositions": {name: int(status[name], 16) & ~own for name in ("SigIgn", "SigCgt", "SigBlk")},
        "handlers": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "wakeup descriptor": signal.set_wakeup_fd(-1),
        "timer": signal.getitimer(signal.ITIMER_REAL),
        "locale": locale.setlocale(locale.LC_ALL),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "mask of new files": status["Umask"].strip(),
        "children": "".join(path.read_text() for path in Path("/proc/self/task").glob("*/children")),
        "threads": sorted(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")),
        "threads of Python": threading.active_count(),
        "descriptors": descriptors,
        "files": sorted(os.listdir()) + sorted(os.listdir(tempfile.gettempdir())) + sorted(os.listdir(Path.home())),
        "hooks": [str(sys.excepthook), str(sys.unraisablehook), str(threading.excepthook), len(gc.callbacks)],
    }

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
"""


def run(program: str, folder: Path, guest_files: Path, **environment: str) -> Any:
    for name in ("home", "temporary", "work"):
        (folder / name).mkdir()
    names = f"KERNEL, INITRD = {str(guest_files / 'vmlinux')!r}, {str(guest_files / 'initrd.cpio.gz')!r}"
    done = subprocess.run(
        [sys.executable, "-c", f"{LOOKS}\n{names}\n{program}"],
        cwd=folder / "work",
        env={
            **os.environ,
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "temporary"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_host_program_is_as_it_was_after_the_import_and_after_machines_were_used(guest_files, tmp_path):
    program = """
before = look()
import applevz
imported = look()

configuration = applevz.VirtualMachineConfiguration(
    applevz.LinuxBootLoader(KERNEL, INITRD, "console=hvc0"), memory_size="256MiB",
    network_devices=[applevz.VirtioNetworkDeviceConfiguration(applevz.NATNetworkDeviceAttachment())])
with applevz.VirtualMachine(configuration) as machine:
    machine.start(timeout=60)
    machine.console.read_until("ready", timeout=60)
    using = look()
    machine.pause(timeout=60)
    machine.save_state("state", timeout=60)
    machine.stop(timeout=60)
    machine.restore_state("state", timeout=60)
    machine.stop(timeout=60)
    try:
        machine.pause(timeout=60)
    except applevz.InvalidVirtualMachineStateTransitionError:
        pass
    os.unlink("state")
del machine
gc.collect()
# Threads that have nothing to do end after a while; the one that watches descriptors stays.
end = time.monotonic() + 30
while time.monotonic() < end and len(os.listdir("/proc/self/task")) > 2:
    time.sleep(0.1)
print(json.dumps({"before": before, "imported": imported, "using": using, "after": look()}))
"""
    looks = run(program, tmp_path, guest_files)
    before, imported, using, after = (looks[name] for name in ("before", "imported", "using", "after"))
    for name, value in before.items():
        assert imported[name] == value, f"{name}, after the import"
        if name not in ("threads", "descriptors"):
            assert after[name] == value, f"{name}, after use"
        if name not in ("threads", "descriptors", "children"):
            assert using[name] == value, f"{name}, while a machine runs"
    assert len(using["children"].split()) == 1
    # What stays is the one poller of the process, and what it polls; nothing of a machine.
    assert sorted(after["threads"]) == sorted([*before["threads"], "applevz-poller"])
    stays = [target for number, target in after["descriptors"].items() if number not in before["descriptors"]]
    assert all(target.startswith(("anon_inode:[event", "anon_inode:[timerfd", "pipe:")) for target in stays), stays
    assert len(stays) <= 4 + 2 * 2, stays


def test_two_hundred_cycles_leave_descriptors_processes_threads_and_memory_where_they_were(guest_files, tmp_path):
    program = """
import applevz
platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random())
def cycle(number):
    configuration = applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(KERNEL, INITRD, "console=hvc0"), memory_size="128MiB", platform=platform)
    with applevz.VirtualMachine(configuration) as machine:
        machine.start(timeout=60)
        machine.pause(timeout=60)
        machine.save_state("state", timeout=60)
        machine.stop(timeout=60)
        machine.restore_state("state", timeout=60, private=number % 2 == 0)
        machine.resume(timeout=60)
        machine.stop(timeout=60)
    os.unlink("state")

def left():
    # A machine's end goes on for a moment on its queue after its block, and workers, of which each has a pipe of
    # Foundation's, end when they have had nothing to do for a while. The thread that watches descriptors stays.
    gc.collect()
    end = time.monotonic() + 30
    while time.monotonic() < end and len(os.listdir("/proc/self/task")) > 2:
        time.sleep(0.1)
    return {"descriptors": len(os.listdir("/proc/self/fd")), "children": look()["children"], "resident": resident(),
            "threads": len(os.listdir("/proc/self/task"))}

for number in range(20):
    cycle(number)
before = left()
for number in range(200):
    cycle(number)
print(json.dumps([before, left()]))
"""
    before, after = run(program, tmp_path, guest_files)
    assert after["children"] == ""
    assert after["descriptors"] == before["descriptors"]
    assert after["threads"] == before["threads"] == 2
    # What a cycle would leave of 10 KiB would be 2 MiB here.
    assert after["resident"] - before["resident"] < 2 << 20, (before, after)
