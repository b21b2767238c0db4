# SPDX-License-Identifier: Apache-2.0
"""Items about files that are missing, in the way, or not what they should be."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any, Final

from .. import (
    DiskImageStorageDeviceAttachment,
    EFIBootLoader,
    EFIVariableStore,
    FileSerialPortAttachment,
    LinuxBootLoader,
    VirtioBlockDeviceConfiguration,
    VirtioConsoleDeviceSerialPortConfiguration,
    VirtualMachineConfiguration,
)
from .item import Item, Options, Seen
from .machines import kernel_that_does_nothing
from .told import attempt

__all__ = ["ITEMS"]


class _Files:
    """Files of an item's folder, and what a configuration with one of them is said to be."""

    def __init__(self, seen: Seen, options: Options) -> None:
        self._seen = seen
        self._options = options
        self.kernel = kernel_that_does_nothing(options.path("a kernel"))

    def file(self, name: str, size: int, mode: int = 0o600) -> Path:
        path = self._options.path(name)
        path.write_bytes(bytes(size))
        path.chmod(mode)
        return path

    def folder(self, name: str, mode: int = 0o700) -> Path:
        path = self._options.path(name)
        path.mkdir(exist_ok=True)
        path.chmod(mode)
        return path

    def path(self, name: str) -> Path:
        return self._options.path(name)

    def look(self, words: str, **fields: Any) -> None:
        fields = {"boot_loader": LinuxBootLoader(self.kernel), "memory_size": self._options.memory, **fields}
        attempt(self._seen, words, VirtualMachineConfiguration(**fields).validate)

    def look_at(self, kind: str, words: str, path: Path) -> None:
        """A configuration that names the file as a thing of that kind."""
        words = f"{'an' if kind[0] == 'i' else 'a'} {kind} {words}"
        match kind:
            case "kernel":
                self.look(words, boot_loader=LinuxBootLoader(path))
            case "initial RAM disk":
                self.look(words, boot_loader=LinuxBootLoader(self.kernel, path))
            case "variable store":
                self.look(words, boot_loader=EFIBootLoader(EFIVariableStore(path)))
            case _:
                self.look_at_disk(words, path)

    def look_at_disk(self, words: str, path: Path, read_only: bool = False) -> None:
        attachment = DiskImageStorageDeviceAttachment(path, read_only)
        self.look(words, storage_devices=[VirtioBlockDeviceConfiguration(attachment)])


def _refused_files(seen: Seen, options: Options) -> None:
    if os.geteuid() == 0:
        seen("user", "root, who may read and write any file")
    files = _Files(seen, options)
    folder, locked, secret = files.folder("folder"), files.folder("locked", 0o000), files.file("secret", 1 << 20, 0o000)
    missing, link = files.path("missing"), files.path("link")
    link.symlink_to(missing)
    everything = ("kernel", "initial RAM disk", "disk image", "variable store")
    for words, path, kinds in (
        # A variable store that is missing would be made.
        ("that is missing", missing, everything[:3]),
        ("that is a folder", folder, everything),
        ("that may not be read", secret, everything),
        ("that is empty", files.file("empty", 0), everything),
        ("by a link that leads nowhere", link, ("disk image",)),
        ("in a folder that may not be entered", locked / "file", ("disk image",)),
        ("behind a file that is no folder", files.kernel / "file", ("disk image",)),
    ):
        for kind in kinds:
            files.look_at(kind, words, path)
    files.look_at("variable store", "of zeros", files.file("zeros", 1 << 18))
    files.look_at("disk image", "of 600 bytes", files.file("600 bytes", 600))
    read_only = files.file("read-only", 1 << 20, 0o400)
    files.look_at_disk("a disk image that may only be read", read_only)
    files.look_at_disk("the same, as one that is only read", read_only, read_only=True)
    port = VirtioConsoleDeviceSerialPortConfiguration(FileSerialPortAttachment(missing / "log"))
    files.look("a serial port's file in a folder that is missing", serial_ports=[port])
    locked.chmod(0o700)


def _variable_stores(seen: Seen, options: Options) -> None:
    files = _Files(seen, options)
    store = files.path("variables")
    attempt(seen, "a new store", lambda: EFIVariableStore.create(store))
    seen("mode of the file", oct(store.stat().st_mode & 0o777) if store.exists() else None)
    seen("size of the file", store.stat().st_size if store.exists() else None)
    attempt(seen, "a store that exists", lambda: EFIVariableStore.create(store))
    attempt(seen, "the same, in place of it", lambda: EFIVariableStore.create(store, overwrite=True))
    attempt(seen, "a folder in its place", lambda: EFIVariableStore.create(files.folder("folder")))
    attempt(seen, "in place of a folder", lambda: EFIVariableStore.create(files.folder("folder"), overwrite=True))
    attempt(seen, "in a folder that is missing", lambda: EFIVariableStore.create(files.path("missing") / "variables"))
    locked = files.folder("locked", 0o500)
    attempt(seen, "in a folder that may not be written to", lambda: EFIVariableStore.create(locked / "variables"))
    locked.chmod(0o700)


def _umlauts(seen: Seen, options: Options) -> None:
    files = _Files(seen, options)
    composed = unicodedata.normalize("NFC", "Überprüfung.img")
    decomposed = unicodedata.normalize("NFD", composed)
    files.file(composed, 1 << 20)
    (name,) = (path.name for path in options.path(".").iterdir() if path.name.endswith(".img"))
    seen("a folder gives the name back", {composed: "as it was", decomposed: "decomposed"}.get(name, "otherwise"))
    seen("the name, decomposed, is the same file", files.path(decomposed).exists())
    files.look_at_disk("a disk image with umlauts", files.path(composed))
    files.look_at_disk("the same, decomposed", files.path(decomposed))
    store = unicodedata.normalize("NFC", "Zustände")
    attempt(seen, "a variable store with umlauts", lambda: EFIVariableStore.create(files.path(store)))
    names = [path.name for path in options.path(".").iterdir() if unicodedata.normalize("NFC", path.name) == store]
    seen("its name", ["composed" if name == store else "decomposed" for name in names])


ITEMS: Final = (
    Item(
        "refused-files",
        "Errors of files that are missing, or not what they should be",
        "A refusal is an error; which domain, code and cause it has for a missing file is not documented. Seen "
        "elsewhere: NSPOSIXErrorDomain 45 for a missing disk image (macOS 26), an NSException for a missing kernel.",
        "Each error is also the builtin that fits (FileNotFoundError, IsADirectoryError, PermissionError), whatever "
        "the framework says.",
        _refused_files,
        seconds=90.0,
    ),
    Item(
        "variable-stores",
        "EFI variable stores that exist",
        "VZEFIVariableStoreInitializationOptionAllowOverwrite replaces a store. The error for one that exists, without "
        "it, is not documented.",
        "One that exists raises a FileExistsError, and stays as it is.",
        _variable_stores,
        seconds=60.0,
    ),
    Item(
        "umlauts",
        "Names with umlauts",
        "Foundation may decompose a file's name; APFS finds it both ways, and keeps it as it was given.",
        "A file is found by the bytes of its name, and a new one gets them.",
        _umlauts,
    ),
)
