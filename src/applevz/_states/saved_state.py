# SPDX-License-Identifier: Apache-2.0
"""`SavedState`: what a saved state says of itself."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from .._native import Reference, ffi, lib, take_bytes
from .._values.arguments import PathLike
from .._values.arguments import path as path_argument
from ..errors import RestoreError, check, handle_of, make

__all__ = ["SavedDisk", "SavedState", "description_of", "inspect_state", "open_state", "state_at"]

_NANOSECONDS: Final = 1_000_000_000
# The places of disks, as the fields of a state name them and as a configuration does.
_PLACES: Final = (
    (re.compile(r"storageDevices\[(\d+)\]\.attachment"), r"storage_devices[\1]"),
    (
        re.compile(r"usbControllers\[(\d+)\]\.usbDevices\[(\d+)\]\.attachment"),
        r"usb_controllers[\1].usb_devices[\2]",
    ),
)


@dataclass(frozen=True)
class SavedDisk:
    """A disk of a saved machine, and the image that the state needs for it."""

    device: str
    """Its place in the configuration, as `"storage_devices[0]"`."""
    path: str | None
    """Where the image was when the state was saved; None if that is not known. Of a disk that the state holds, this is
    its base."""
    held: int | None
    """How many bytes of the file hold what the guest wrote to it; None for a disk that the state does not hold."""
    size: int | None
    """The size of the disk, in bytes."""
    image_size: int | None
    """The size of the disk that that image is, in bytes. A disk may be larger than its base."""
    written_ns: int | None
    """When that image was written last, in nanoseconds since 1970. Only such an image will do."""

    def fits(self, path: PathLike | None = None) -> bool:
        """Whether the file at `path`, or if that is None where the image was, is the image that the state needs.

        A file is known by the time when it was last written, and by its size or its path. Raises
        `InvalidArgumentError` for what is no path.
        """
        name = self.path if path is None else path_argument("path", path)
        if name is None or self.written_ns is None:
            return False
        try:
            status = os.stat(name)
        except (OSError, ValueError):
            return False
        if status.st_mtime_ns != self.written_ns:
            return False
        # One that holds what differs from another is not as long as its disk.
        return status.st_size == self.image_size or path is None or self._is_at(name)

    def _is_at(self, name: str | bytes) -> bool:
        try:
            return self.path is not None and os.path.samefile(name, self.path)
        except (OSError, ValueError):
            return False


@dataclass(frozen=True)
class SavedState:
    """What a saved state says of itself. Whoever wrote the file may have written anything."""

    path: str
    """The file."""
    identifier: str
    """By what it is known: 32 hexadecimal digits. A copy of the file has the same."""
    parent: str | None
    """The identifier of the state that its machine was restored from, or saved as, before; None if it was started."""
    made: float
    """When it was saved, in seconds since 1970."""
    memory_size: int | None
    """The memory of its machine, in bytes."""
    size: int
    """The size of the file, in bytes. Much of it may be holes."""
    size_on_disk: int
    """The room that the file takes, in bytes."""
    disks: tuple[SavedDisk, ...]
    """The disks of its machine that are images."""
    qemu_version: str
    """The version of QEMU that restores it, as `"10.0"`."""
    format_version: int
    """The version of the file's format."""
    fields: tuple[tuple[str, str], ...] = field(repr=False)
    """All that a machine has to be for it to be restored: names, as the errors of a restore have them, and values."""
    depth: int = field(default=0, compare=False)
    """In a list, how many states in turn it came of that are in the list."""

    def _field(self, name: str) -> str | None:
        return next((value for key, value in self.fields if key == name), None)

    def _first_word(self, name: str) -> str | None:
        options = self._field(name)
        return None if options is None else options.partition(",")[0]

    @property
    def cpu_count(self) -> int | None:
        """The number of its machine's processors."""
        number = self._field("CPUCount") or ""
        return int(number) if re.fullmatch(r"[0-9]{1,9}", number) else None

    @property
    def machine_type(self) -> str | None:
        """QEMU's machine type, as `"microvm"`. The field has its options, too."""
        return self._first_word("QEMU's machine type")

    @property
    def processor(self) -> str | None:
        """QEMU's model of the processor, as `"host"`. The field has its options, too."""
        return self._first_word("QEMU's processor model")

    @property
    def accelerator(self) -> str | None:
        """QEMU's accelerator: `"kvm"`, or `"tcg"` for emulation."""
        return self._field("QEMU's accelerator")


def open_state(name: bytes) -> Reference | None:
    """The saved state in a file, opened; None for a file that has not the end of one."""
    return handle_of(lib.applevz_saved_state_open, name, len(name))  # type: ignore[no-any-return]


def inspect_state(path: PathLike) -> SavedState:
    name = path_argument("path", path)
    return description_of(state_at(name), name)


def state_at(name: bytes) -> Reference:
    state = open_state(name)
    if state is None:
        raise make(
            RestoreError,
            "The saved state could not be read.",
            f"The file {os.fsdecode(name)!r} is truncated, or not a saved state: its end is not that of one.",
            "Name a file that saving made.",
        )
    return state


def description_of(state: Reference, name: bytes) -> SavedState:
    memory, length = ffi.new("char **"), ffi.new("size_t *")
    check(lib.applevz_saved_state_describe(state, memory, length))
    # The native library checked the types of all that somebody else wrote.
    said: dict[str, Any] = json.loads(take_bytes(memory[0], length[0]))
    return SavedState(
        path=os.fsdecode(name),
        identifier=said["identifier"],
        parent=said["parent"],
        made=said["made"] / 1e6,
        memory_size=said["memory"],
        size=said["size"],
        size_on_disk=said["allocated"],
        disks=tuple(_disk(disk) for disk in said["disks"]),
        qemu_version=said["qemu"],
        format_version=said["format"],
        fields=tuple((name, value) for name, value in said["fields"]),
    )


def _disk(said: dict[str, Any]) -> SavedDisk:
    device = said["name"]
    for place, words in _PLACES:
        if place.fullmatch(device):
            device = place.sub(words, device)
    written = said["written"]
    return SavedDisk(
        device=device,
        path=_path(said["path"]),
        held=said["held"],
        size=said["size"],
        image_size=said["image size"],
        written_ns=None if written is None else written[0] * _NANOSECONDS + written[1],
    )


def _path(escaped: str | None) -> str | None:
    name = unquote_to_bytes(escaped or "")
    return os.fsdecode(name) if name.startswith(b"/") and b"\0" not in name else None
