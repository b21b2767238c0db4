# SPDX-License-Identifier: Apache-2.0
"""Initial RAM disks of any length: none is in the way of the firmware's tables, which are at the end of the memory."""

from __future__ import annotations

from pathlib import Path

import pytest

import applevz
from fixtures import Configure
from guest_machine import PATIENCE

PAGE = 4096


def ramdisk_of_length(guest_files: Path, folder: Path, rest: int, end: bytes = b"") -> Path:
    """The guest's initial RAM disk with zeros behind it, so long that `rest` bytes are in its last page."""
    data = (guest_files / "initrd.cpio.gz").read_bytes()
    path = folder / f"initrd-{rest}"
    path.write_bytes(data + bytes((rest - len(data) - len(end)) % PAGE) + end)
    assert path.stat().st_size % PAGE == rest
    return path


def boots(configuration: applevz.VirtualMachineConfiguration, ramdisk: Path) -> None:
    assert isinstance(configuration.boot_loader, applevz.LinuxBootLoader)
    configuration.boot_loader.initial_ramdisk = ramdisk
    with applevz.VirtualMachine(configuration) as machine:
        machine.start(timeout=PATIENCE)
        machine.console.read_until("guest# ", timeout=PATIENCE)


FEW, MANY = 0, 18
# Up to 512 a file is taken as it is; a longer one is copied, with zeros up to the end of its page.
MOST = [(FEW, 0), (FEW, 4095), (MANY, 512), (MANY, 513), (MANY, 4095)]
OTHERS = [(devices, rest) for devices in (FEW, MANY) for rest in (0, 1, 512, 513, 2000, 3500, 4095)]


@pytest.mark.parametrize(
    ("devices", "rest"),
    [*MOST, *(pytest.param(*each, marks=pytest.mark.long) for each in OTHERS if each not in MOST)],
)
def test_a_guest_boots_whatever_the_length_of_its_initial_ramdisk(
    configure: Configure, guest_files: Path, tmp_path: Path, devices: int, rest: int
) -> None:
    ports = [applevz.VirtioConsoleDeviceConfiguration(ports={f"port.{place}": None}) for place in range(devices)]
    boots(configure(console_devices=ports), ramdisk_of_length(guest_files, tmp_path, rest))


def test_a_boot_configuration_at_its_end_is_left_there(
    configure: Configure, guest_files: Path, tmp_path: Path
) -> None:
    # Of Documentation/admin-guide/bootconfig.rst: the text, its length, the sum of its bytes, and the mark.
    text = b"kernel.loglevel = 3\n\0\0\0\0"
    mark = len(text).to_bytes(4, "little") + sum(text).to_bytes(4, "little") + b"#BOOTCONFIG\n"
    boots(configure(), ramdisk_of_length(guest_files, tmp_path, 3000, text + mark))
