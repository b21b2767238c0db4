# SPDX-License-Identifier: Apache-2.0
"""A disk that EFI firmware boots by itself: a table of partitions (GPT), one for the firmware, one with the system.

On the first one lie systemd-boot, where firmware looks for a program on any disk, the kernel and its initial RAM disk.
mtools and sfdisk make all of it in files: nothing is mounted, and no running system installs a boot loader.
"""

from __future__ import annotations

import errno
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .makers import run_maker
from .task import Task

__all__ = ["MAKERS", "BootFiles", "Layout", "boot_program", "make_boot_partition", "make_disk", "root_identifier"]

MAKERS: Final = {"mformat": "mtools", "mcopy": "mtools", "sfdisk": "fdisk"}
_MEBIBYTE: Final = 1 << 20
_SECTOR: Final = 512
# What EFI calls the processor, in the names of its programs.
_PROCESSORS: Final = {"x86_64": "x64", "aarch64": "aa64"}
# The types of partitions: UEFI's of its own, and that of any file system of Linux.
_EFI_SYSTEM: Final = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_LINUX: Final = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
# FAT with 32 bits, which firmware has to read, takes 33 MiB or more.
_ROOM: Final = 40


@dataclass(frozen=True)
class BootFiles:
    """What firmware boots: systemd-boot, which starts the kernel."""

    program: Path
    kernel: Path
    initial_ramdisk: Path


def boot_program(architecture: str) -> str:
    """The file of systemd-boot, as Debian's package systemd-boot-efi has it."""
    return f"systemd-boot{_PROCESSORS[architecture]}.efi"


def root_identifier(identifier: uuid.UUID) -> uuid.UUID:
    """Of the partition with the system: by that the kernel finds its root."""
    return _identifier(identifier, "system")


def _identifier(identifier: uuid.UUID, name: str) -> uuid.UUID:
    return uuid.uuid5(identifier, name)


def make_boot_partition(
    task: Task, image: Path, architecture: str, files: BootFiles, command_line: str, identifier: uuid.UUID
) -> None:
    """Makes the file system for the firmware. What is needed on the way lies beside it."""
    loader, entry = image.with_name("loader.conf"), image.with_name("debian.conf")
    loader.write_text("timeout 0\n")
    entry.write_text(f"title Debian\nlinux /vmlinuz\ninitrd /initrd\noptions {command_line}\n")
    places = {
        f"EFI/BOOT/BOOT{_PROCESSORS[architecture].upper()}.EFI": files.program,
        "vmlinuz": files.kernel,
        "initrd": files.initial_ramdisk,
        "loader/loader.conf": loader,
        "loader/entries/debian.conf": entry,
    }
    mebibytes = _ROOM + sum(path.stat().st_size for path in places.values()) // _MEBIBYTE
    with open(image, "wb") as file:
        file.truncate(mebibytes * _MEBIBYTE)
    shape = ["-F", "-v", "EFI", "-N", f"{identifier.fields[0]:08x}", "-h", "64", "-s", "32"]
    run_maker(task, "mformat", "mformat", "-i", str(image), *shape, "-T", str(mebibytes * _MEBIBYTE // _SECTOR), "::")
    run_maker(task, "mmd", "mmd", "-i", str(image), "::EFI", "::EFI/BOOT", "::loader", "::loader/entries")
    for place, path in places.items():
        run_maker(task, "mcopy", "mcopy", "-i", str(image), str(path), f"::{place}")
    for path in (loader, entry):
        path.unlink()


@dataclass(frozen=True)
class Layout:
    """Where the partitions lie, in bytes. Both tables have a mebibyte, at the beginning and at the end."""

    size: int
    boot_size: int
    identifier: uuid.UUID

    @property
    def boot(self) -> int:
        return _MEBIBYTE

    @property
    def system(self) -> int:
        return _MEBIBYTE + self.boot_size

    @property
    def system_size(self) -> int:
        """Whole mebibytes; negative if there is no room."""
        return (self.size // _MEBIBYTE - 1) * _MEBIBYTE - self.system

    @property
    def table(self) -> str:
        """As sfdisk reads it."""
        parts = (self.boot, self.boot_size, _EFI_SYSTEM, "efi"), (self.system, self.system_size, _LINUX, "system")
        lines = ["label: gpt", f"label-id: {_identifier(self.identifier, 'disk')}"]
        for begin, size, kind, name in parts:
            place = f"start={begin // _SECTOR}, size={size // _SECTOR}"
            lines.append(f"{place}, type={kind}, uuid={_identifier(self.identifier, name)}, name={name}")
        return "\n".join(lines) + "\n"


def make_disk(task: Task, disk: Path, layout: Layout, boot: Path, system: Path) -> None:
    """Makes the disk of its two file systems."""
    with open(disk, "wb") as file:
        file.truncate(layout.size)
    table = disk.with_name("table")
    table.write_text(layout.table)
    run_maker(task, "sfdisk", "sfdisk", "--quiet", str(disk), stdin=table)
    table.unlink()
    for image, place in ((boot, layout.boot), (system, layout.system)):
        _copy(task, image, disk, place)


def _copy(task: Task, image: Path, disk: Path, place: int) -> None:
    """Copies what is no zeros: the disk stays sparse."""
    with open(image, "rb") as source, open(disk, "r+b") as target:
        at, end = 0, os.fstat(source.fileno()).st_size
        while at < end:
            task.check()
            try:
                at = os.lseek(source.fileno(), at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return  # nothing but a hole
                raise
            data = os.pread(source.fileno(), _MEBIBYTE, at)
            if data != bytes(len(data)):
                target.seek(place + at)
                target.write(data)
            at += len(data)
