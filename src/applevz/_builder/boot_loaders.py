# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from .. import _arguments as arguments
from .._native import Reference, lib
from ..configuration.boot_loaders import EFIBootLoader, EFIVariableStore, LinuxBootLoader
from ..errors import check

__all__ = ["set_boot_loader"]


def set_boot_loader(handle: Reference, boot_loader: LinuxBootLoader | EFIBootLoader) -> None:
    arguments.instance("boot_loader", boot_loader, (LinuxBootLoader, EFIBootLoader))
    if isinstance(boot_loader, EFIBootLoader):
        _set_efi_boot_loader(handle, boot_loader)
    else:
        _set_linux_boot_loader(handle, boot_loader)


def _set_efi_boot_loader(handle: Reference, boot_loader: EFIBootLoader) -> None:
    field = "boot_loader.variable_store"
    store = arguments.instance(field, boot_loader.variable_store, (EFIVariableStore,))
    path = arguments.path(f"{field}.path", store.path)
    check(lib.applevz_configuration_set_efi_boot_loader(handle, path, len(path)))


def _set_linux_boot_loader(handle: Reference, boot_loader: LinuxBootLoader) -> None:
    kernel = arguments.path("boot_loader.kernel", boot_loader.kernel)
    initial_ramdisk = b""
    if boot_loader.initial_ramdisk is not None:
        initial_ramdisk = arguments.path("boot_loader.initial_ramdisk", boot_loader.initial_ramdisk)
    command_line = arguments.text("boot_loader.command_line", boot_loader.command_line)
    additions = arguments.boolean("boot_loader.command_line_additions", boot_loader.command_line_additions)
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
