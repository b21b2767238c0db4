# SPDX-License-Identifier: Apache-2.0
"""Boot loaders: a Linux kernel, or EFI firmware."""

from __future__ import annotations

from dataclasses import dataclass

from .._host.variable_stores import create_variable_store
from .._values.arguments import PathLike

__all__ = ["EFIBootLoader", "EFIVariableStore", "LinuxBootLoader"]


@dataclass
class LinuxBootLoader:
    """Boots a Linux kernel without firmware.

    `kernel` and `initial_ramdisk` are files. On Linux hosts the platform may add words to the kernel's command line,
    by which it boots faster and without fail: `applevz.command_line_additions()` returns them.
    `command_line_additions=False` turns them off.

    `guest_agent` brings this package's agent to the guest, for `VirtualMachine.guest`, and gives the machine the
    agent's port. The kernel gets a copy of the initial RAM disk with the agent behind it, `/.applevz/agent`, and the
    words `rdinit=/.applevz/agent`: the agent then executes what would have been started, and stays beside it. It needs
    an initial RAM disk, and `capabilities.guest_agent`.

    `early_console` has the kernel print on the PC's serial port until it has a driver for its console:
    `VirtualMachine.early_console`. A kernel that dies before that says nothing otherwise. A word is added to its
    command line for that, `earlycon=…`. It needs `capabilities.early_console`.
    """

    kernel: PathLike
    initial_ramdisk: PathLike | None = None
    command_line: str = ""
    command_line_additions: bool = True
    guest_agent: bool = False
    early_console: bool = False


@dataclass
class EFIVariableStore:
    """The file that keeps a machine's EFI variables, such as what to boot, while the machine does not run.

    A file that exists is opened, and never overwritten. A missing one is made, without variables, when the
    configuration is validated or a machine is made of it; its folder must exist. Such a file is for hosts like this
    one: those of a Mac, and of Linux hosts with other firmware, are different. One machine at a time can have it.
    """

    path: PathLike

    @classmethod
    def create(cls, path: PathLike, overwrite: bool = False) -> EFIVariableStore:
        """Makes the file now, and returns the store (`initCreatingVariableStoreAtURL:options:error:`).

        The file is whole or not there. A file that exists stays, and raises `POSIXError`, which is a `FileExistsError`
        then; with `overwrite` it is replaced, and its variables are lost. Raises `NotSupportedError` if
        `capabilities.efi` is false.
        """
        create_variable_store(path, overwrite)
        return cls(path)


@dataclass
class EFIBootLoader:
    """Boots by EFI firmware, which finds a boot loader or a kernel on the disks, as on a computer.

    It boots what the variables of `variable_store` name, and otherwise `\\EFI\\BOOT\\BOOTX64.EFI` (on an arm64 Mac
    `BOOTAA64.EFI`) of the first disk that has it. On Linux it needs `capabilities.efi`, and starts slower than
    `LinuxBootLoader`; secure boot is off.
    """

    variable_store: EFIVariableStore
