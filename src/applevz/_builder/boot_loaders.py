# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import TYPE_CHECKING

from .._native import Reference, lib
from .._values import arguments
from ..configuration.boot_loaders import EFIBootLoader, EFIVariableStore, LinuxBootLoader
from ..errors import Error, InvalidArgumentError, check, check_in, make

if TYPE_CHECKING:
    from .._host.nameless_files import NamelessFile

__all__ = ["set_boot_loader"]


def set_boot_loader(handle: Reference, boot_loader: LinuxBootLoader | EFIBootLoader) -> NamelessFile | None:
    """The file that is made for the machine, if one is; it has to be there for as long as the machine may start."""
    arguments.instance("boot_loader", boot_loader, (LinuxBootLoader, EFIBootLoader))
    if isinstance(boot_loader, EFIBootLoader):
        _set_efi_boot_loader(handle, boot_loader)
        return None
    return _set_linux_boot_loader(handle, boot_loader)


def _set_efi_boot_loader(handle: Reference, boot_loader: EFIBootLoader) -> None:
    field = "boot_loader.variable_store"
    store = arguments.instance(field, boot_loader.variable_store, (EFIVariableStore,))
    path = arguments.path(f"{field}.path", store.path)
    check_in(field, lib.applevz_configuration_set_efi_boot_loader(handle, path, len(path)))


def _set_linux_boot_loader(handle: Reference, boot_loader: LinuxBootLoader) -> NamelessFile | None:
    kernel = arguments.path("boot_loader.kernel", boot_loader.kernel)
    initial_ramdisk = b""
    if boot_loader.initial_ramdisk is not None:
        initial_ramdisk = arguments.path("boot_loader.initial_ramdisk", boot_loader.initial_ramdisk)
    command_line = arguments.text("boot_loader.command_line", boot_loader.command_line)
    additions = arguments.boolean("boot_loader.command_line_additions", boot_loader.command_line_additions)
    made = None
    if arguments.boolean("boot_loader.guest_agent", boot_loader.guest_agent):
        # Not with the package: most machines have none.
        from .._host.guest_agent import command_line_with_agent

        made = _with_agent(initial_ramdisk)
        command_line = command_line_with_agent(command_line)
        initial_ramdisk = initial_ramdisk if made is None else made.path
    check(
        lib.applevz_configuration_set_linux_boot_loader(
            handle,
            kernel,
            len(kernel),
            initial_ramdisk,
            len(initial_ramdisk),
            command_line,
            len(command_line),
            additions,
        )
    )
    return made


def _with_agent(initial_ramdisk: bytes) -> NamelessFile | None:
    if not initial_ramdisk:
        raise make(
            InvalidArgumentError,
            "boot_loader.guest_agent is True, and boot_loader.initial_ramdisk is None.",
            "The agent is brought to the guest behind an initial RAM disk.",
            "Give an initial RAM disk, or install the agent in the guest and set `guest_agent` of the machine's "
            "configuration.",
        )
    from .._host.guest_agent import ramdisk_with_agent

    try:
        return ramdisk_with_agent(initial_ramdisk)
    except Error:
        raise
    except OSError:
        # The framework says what is wrong with it, as it does without the agent.
        return None
