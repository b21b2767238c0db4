# SPDX-License-Identifier: Apache-2.0
"""`Image`: a disk in the cache, and how it is kept there as JSON."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

__all__ = ["Image", "image_of_json", "json_of_image"]

# The files that an image may have besides its disk, each with that name.
_FILES: Final = ("kernel", "initial_ramdisk")


@dataclass(frozen=True)
class Image:
    """A raw disk image that nobody writes to.

    Give `path` to `DiskImageStorageDeviceAttachment` with `read_only=True`, or make a disk of your own on it.
    """

    path: str
    """The file of the disk. It is read-only, and sparse."""
    name: str
    """What it was asked for by, as `"debian:13"`."""
    version: str | None
    """The distribution's version, as `"13"`; None for a file that was imported."""
    architecture: str | None
    """`"x86_64"` or `"aarch64"`; None if nobody said so."""
    size: int
    """The size of the disk, in bytes."""
    checksum: str | None
    """The checksum that what was downloaded had, as `"sha512:…"`; None for a file that was imported without one."""
    source: str
    """The address or the path that it came from."""
    user: str | None
    """The user whom the image's cloud-init makes, unless a seed says otherwise; None if that is not known."""
    boot: str
    """`"efi"` if EFI firmware boots it, `"kernel"` if it takes a kernel that is given beside it."""
    signed_by: str | None
    """The fingerprint of the key that signed the checksum; None if no signature was checked."""
    unsigned_reason: str | None
    """Why no signature was checked; None if one was."""
    made: float
    """When it was made, in seconds since 1970."""
    kernel: str | None = None
    """The file of the kernel, if that boots it and is here."""
    initial_ramdisk: str | None = None
    """The file of that kernel's initial RAM disk."""
    command_line: str | None = None
    """What that kernel takes as its command line, with the disk as the first virtio block device."""
    format: str = "raw"
    """The format of the file: always `"raw"`."""


def json_of_image(image: Image) -> dict[str, Any]:
    values = asdict(image)
    del values["path"]
    for name in _FILES:
        values[name] = values[name] and os.path.basename(values[name])
    return values


def image_of_json(data: bytes, path: str) -> Image | None:
    """The image of a file that was made of it; None if it is none."""
    try:
        values = json.loads(data)
        if not isinstance(values, dict):
            return None
        values["path"] = path
        for name in _FILES:
            # In the image's own folder, with that name.
            if values.get(name, "") not in (None, name):
                return None
            values[name] = values[name] and os.path.join(os.path.dirname(path), name)
        if isinstance(values.get("made"), int):
            values["made"] = float(values["made"])
        kinds = {"int": int, "float": float, "str": str, "str | None": (str, type(None))}
        known = {field.name: kinds[str(field.type)] for field in fields(Image)}
        if values.keys() != known.keys() or not all(isinstance(values[name], known[name]) for name in known):  # type: ignore[arg-type]
            return None
        return Image(**values)
    except (ValueError, OverflowError, RecursionError):
        return None
