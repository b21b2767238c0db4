# SPDX-License-Identifier: Apache-2.0
"""Images for disks."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Final

from ._arguments import PathLike
from ._arguments import path as path_argument
from ._sizes import Size
from ._sizes import size as size_argument
from .errors import InvalidArgumentError, make, make_posix

__all__ = ["create_disk_image"]

_SECTOR: Final = 512


def create_disk_image(path: PathLike, size: Size) -> None:
    """Makes a raw image of `size` bytes, or text like `"8GiB"`: all zeros, and taking no room until it is written to.

    Raises `InvalidArgumentError` for a size that is not a multiple of 512 bytes, or none, and what the system says
    about the file as `POSIXError` and the builtin that fits: `FileExistsError` for a file that is there, which stays.
    """
    name = path_argument("path", path)
    length = size_argument("size", size)
    if length == 0 or length % _SECTOR:
        raise make(
            InvalidArgumentError,
            f"size is {length} bytes.",
            "A disk has sectors of 512 bytes, and at least one.",
            f"Give a multiple of 512, such as {length // _SECTOR * _SECTOR + _SECTOR}.",
        )
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise make_posix(error, "The disk image cannot be made.", "Name a file that is not there yet.") from error
    try:
        os.ftruncate(descriptor, length)
    except (OSError, OverflowError) as error:
        # What is left would be taken for a disk.
        with contextlib.suppress(OSError):
            os.unlink(name)
        if isinstance(error, OverflowError):
            error = OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        raise make_posix(error, "The disk image cannot be made.", "Give a size that the file system holds.") from error
    finally:
        os.close(descriptor)
