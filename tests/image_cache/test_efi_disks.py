# SPDX-License-Identifier: Apache-2.0
"""The disk that firmware boots a Debian from: where its parts lie, and what is on the firmware's. Two are the same."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from applevz._images.efi_disks import MAKERS, BootFiles, Layout, make_boot_partition, make_disk, root_identifier
from applevz._images.makers import find_maker
from applevz._images.task import Task

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="Debian's tools are on Linux"),
    pytest.mark.skipif(not all(map(find_maker, MAKERS)), reason="mtools and sfdisk make the disk"),
]

MIB = 1 << 20
IDENTIFIER = uuid.UUID("6a1ea1bc-9b1c-4d4a-8f0e-2f9a3f1f4c12")


@pytest.fixture
def parts(tmp_path: Path) -> BootFiles:
    made = BootFiles(tmp_path / "program", tmp_path / "kernel", tmp_path / "ramdisk")
    for index, path in enumerate(vars(made).values()):
        path.write_bytes(random.Random(index).randbytes(MIB + 4096 * index))  # noqa: S311
    return made


def make(folder: Path, parts: BootFiles, system: bytes) -> tuple[Path, Layout]:
    folder.mkdir()
    boot, disk = folder / "boot", folder / "disk"
    make_boot_partition(Task(None), boot, "x86_64", parts, "root=there quiet", IDENTIFIER)
    layout = Layout(256 * MIB + 4096, boot.stat().st_size, IDENTIFIER)
    (folder / "system").write_bytes(system)
    make_disk(Task(None), disk, layout, boot, folder / "system")
    assert sorted(path.name for path in folder.iterdir()) == ["boot", "disk", "system"]
    return disk, layout


def test_a_disk_has_two_partitions_and_what_firmware_starts(parts: BootFiles, tmp_path: Path) -> None:
    system = b"begin" + bytes(3 * MIB) + b"middle" + bytes(5 * MIB) + b"end"
    disk, layout = make(tmp_path / "first", parts, system)
    assert disk.stat().st_size == 256 * MIB + 4096
    assert disk.stat().st_blocks * 512 < 16 * MIB
    done = subprocess.run([str(find_maker("sfdisk")), "--json", disk], check=True, capture_output=True)
    table = json.loads(done.stdout)["partitiontable"]
    boot, root = table["partitions"]
    assert (table["label"], boot["type"]) == ("gpt", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B")
    assert (boot["start"] * 512, boot["size"] * 512) == (MIB, layout.boot_size)
    assert (root["start"] * 512, root["size"] * 512) == (MIB + layout.boot_size, layout.system_size)
    # There is a mebibyte for the second table.
    assert MIB <= disk.stat().st_size - (root["start"] + root["size"]) * 512 < 2 * MIB
    assert root["uuid"].lower() == str(root_identifier(IDENTIFIER))
    checked = subprocess.run([str(find_maker("sfdisk")), "--verify", disk], capture_output=True, text=True)
    assert "No errors detected" in checked.stdout
    with disk.open("rb") as file:
        file.seek(layout.system)
        assert file.read(len(system)) == system

    def read(name: str) -> bytes:
        command = ["mtype", "-i", f"{disk}@@{layout.boot}", f"::{name}"]
        return subprocess.run(command, check=True, capture_output=True).stdout

    names = "EFI/BOOT/BOOTX64.EFI", "vmlinuz", "initrd"
    for name, path in zip(names, vars(parts).values(), strict=True):
        assert read(name) == path.read_bytes()
    assert read("loader/loader.conf") == b"timeout 0\n"
    assert read("loader/entries/debian.conf").splitlines()[1:] == [
        b"linux /vmlinuz",
        b"initrd /initrd",
        b"options root=there quiet",
    ]


def test_the_firmware_finds_a_file_system_that_is_whole(parts: BootFiles, tmp_path: Path) -> None:
    checker = shutil.which("fsck.fat", path="/usr/sbin:/sbin")
    if checker is None:
        pytest.skip("fsck.fat of dosfstools looks at it")
    make(tmp_path / "first", parts, b"")
    subprocess.run([checker, "-n", tmp_path / "first" / "boot"], check=True, capture_output=True)


def test_the_same_parts_make_the_same_bytes(parts: BootFiles, tmp_path: Path) -> None:
    first, _ = make(tmp_path / "first", parts, b"system")
    for path in vars(parts).values():
        path.write_bytes(path.read_bytes())  # with another date
    second, _ = make(tmp_path / "second", parts, b"system")
    assert first.read_bytes() == second.read_bytes()


def test_arm64_has_its_own_name(parts: BootFiles, tmp_path: Path) -> None:
    make_boot_partition(Task(None), tmp_path / "boot", "aarch64", parts, "", IDENTIFIER)
    done = subprocess.run(["mdir", "-b", "-i", tmp_path / "boot", "::EFI/BOOT"], check=True, capture_output=True)
    assert done.stdout.split() == [b"::/EFI/BOOT/BOOTAA64.EFI"]
