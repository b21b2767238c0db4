# SPDX-License-Identifier: Apache-2.0
"""What a machine begins with."""

from __future__ import annotations

from dataclasses import dataclass

from .._arguments import PathLike
from .._variable_stores import create_variable_store

__all__ = ["EFIBootLoader", "EFIVariableStore", "LinuxBootLoader"]


@dataclass
class LinuxBootLoader:
    """Boots a Linux kernel without firmware.

    `kernel` and `initial_ramdisk` are files. On Linux hosts the platform may add words to the kernel's command line
    that make it boot faster and without fail (`applevz.command_line_additions()` tells them);
    `command_line_additions=False` turns that off.
    """

    kernel: PathLike
    initial_ramdisk: PathLike | None = None
    command_line: str = ""
    command_line_additions: bool = True


@dataclass
class EFIVariableStore:
    """The file that keeps a machine's EFI variables, such as what to boot, while the machine does not run.

    A file that is there is opened, and never overwritten. One that is missing is made, without variables, when a
    machine is made of the configuration or it is validated; its folder has to be there. Such files are the host's own:
    those of a Mac and of Linux hosts with other firmware are different. One machine has it at a time, as a disk.
    """

    path: PathLike

    @classmethod
    def create(cls, path: PathLike, overwrite: bool = False) -> EFIVariableStore:
        """Makes the file now, and returns the store (`initCreatingVariableStoreAtURL:options:error:`).

        The file is whole or not there. One that is there already raises `POSIXError`, which is a `FileExistsError`
        then, and stays; with `overwrite` it is replaced, and what it held is lost. Raises `NotSupportedError` where
        `capabilities.efi` is false.
        """
        create_variable_store(path, overwrite)
        return cls(path)


@dataclass
class EFIBootLoader:
    """Boots by EFI firmware, which finds a boot loader or a kernel on the disks, as on a computer.

    It looks for what the variables of `variable_store` name, and else for `\\EFI\\BOOT\\BOOTX64.EFI` (on an arm64 Mac
    `BOOTAA64.EFI`) on the first disk that has it. On Linux it needs `capabilities.efi`, and starts slower than
    `LinuxBootLoader`; secure boot is off.
    """

    variable_store: EFIVariableStore
