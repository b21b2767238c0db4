# SPDX-License-Identifier: Apache-2.0
"""The guest from whose state the machines of pools go on, and what a pool says of itself."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import applevz
from guest_machine import PATIENCE
from processes import eventually

UUID = "/proc/sys/kernel/random/uuid"
MARK = "/tmp/mark"

of_a_pool = [
    pytest.mark.skipif(not applevz.capabilities.guest_agent, reason="this package was built without the agent"),
    pytest.mark.skipif(not applevz.capabilities.save_restore, reason="this host saves no machines"),
    pytest.mark.timeout(600),
]
of_a_process = pytest.mark.skipif(sys.platform != "linux", reason="a Mac's machines have no process to be killed")


def configuration_of(guest_files: Path, **fields: Any) -> applevz.VirtualMachineConfiguration:
    loader = applevz.LinuxBootLoader(
        guest_files / "vmlinux", guest_files / "initrd.cpio.gz", "console=hvc0 quiet", guest_agent=True
    )
    return applevz.VirtualMachineConfiguration(
        loader,
        memory_size="256MiB",
        network_devices=[applevz.VirtioNetworkDeviceConfiguration(applevz.NATNetworkDeviceAttachment())],
        guest_agent=True,
        **fields,
    )


def save_ready_guest(guest_files: Path, path: Path) -> Path:
    """The state of a guest that was ready, and had a file of its own."""
    with applevz.VirtualMachine(configuration_of(guest_files)) as machine:
        machine.start(timeout=PATIENCE)
        machine.guest.wait(timeout=PATIENCE)
        machine.guest.write_text(MARK, "saved")
        machine.guest.run(["date", "-s", "@1000000000"], check=True, timeout=PATIENCE)
        machine.suspend(to=path, timeout=PATIENCE)
    return path


def qemu_of_another_version(folder: Path) -> Path:
    """A program that is this host's QEMU, but for what it says of its version."""
    program = shutil.which("qemu-system-x86_64")
    path = folder / "another-qemu"
    path.write_text(
        f"""#!/bin/sh
[ "$1" = --version ] && echo "QEMU emulator version 99.1.0" && exit
exec {program} "$@"
"""
    )
    path.chmod(0o700)
    return path


def is_fork_server(process: int) -> bool:
    """Whether it is the QEMU that others are copied from."""
    return b"-version" in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")


def restored(pool: Any) -> None:
    """Waits until all spares are restored."""
    assert eventually(lambda: pool.statistics().ready == pool.statistics().spares, PATIENCE)


def counted(pool: Any) -> dict[str, int]:
    """What the pool says of itself, but for how far its restores are."""
    counts = dataclasses.asdict(pool.statistics())
    assert 0 <= counts.pop("ready") <= counts["spares"]
    return counts
