# SPDX-License-Identifier: Apache-2.0
"""Disk images."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from typing import Any, Final

from .._native import ffi, lib
from .._values.arguments import PathLike, boolean, native_paths, paths, shown
from .._values.arguments import path as path_argument
from .._values.sizes import Size
from .._values.sizes import size as size_argument
from ..configuration.storage import DiskImageStorageDeviceAttachment
from ..errors import InvalidArgumentError, check, make, make_posix

__all__ = ["create_disk_image", "write_disk_image"]

_SECTOR: Final = 512
_DESCRIPTION: Final = "The disk image {} cannot be made."


def create_disk_image(
    path: PathLike,
    size: Size | None = None,
    *,
    base: PathLike | Sequence[PathLike] | DiskImageStorageDeviceAttachment | None = None,
    clone: bool | None = None,
) -> DiskImageStorageDeviceAttachment:
    """Makes a disk image: a raw one of zeros, or one that has what `base` has and keeps only what differs. Returns an
    attachment for it.

    `size` is in bytes, or text like `"8GiB"`. The file is sparse: it takes no room until it is written to. Only this
    user may use it, whatever the umask. Raises `InvalidArgumentError` for a size that is 0 or not a multiple of 512
    bytes, and `POSIXError` with the builtin that fits for an error of the system. A file that exists stays as it is:
    that is a `FileExistsError`.

    `base` is a raw image. It must stay as it is, and is not opened by what is made of it but for reading. Where the
    file system can share data between files (FICLONE, as on btrfs and XFS), the image is a clone: a raw image,
    independent of its base. Otherwise it holds what differs (qcow2), and is attached with its base:
    `DiskImageStorageDeviceAttachment(path, base=base)`. With `clone=True` it is a clone or refused, with `clone=False`
    it is none. It is whole or not there.

    With `size` the disk is larger than its base: behind the end of that it has zeros. A smaller one is refused.

    A base that was made of a base itself is given with all that lies below it: the attachment that this function
    returned for it, or a list of paths, each of which holds what differs from the next one. The last is raw. There may
    be 16 of them. A clone of such a one holds what differs from those below it.

    Raises `InvalidDiskImageError`, which for an error of the system is also the builtin that fits, and
    `NotSupportedError` without `capabilities.disk_overlays`.
    """
    name = path_argument("path", path)
    if base is not None:
        return _create_of_base(path, name, size, base, clone)
    if size is None:
        raise make(
            InvalidArgumentError,
            "size is None, and base too.",
            "An image is as long as it is asked for, or as its base.",
            "Give one of them.",
        )
    if clone is not None:
        raise make(
            InvalidArgumentError,
            f"clone is {shown(clone)}, and base is None.",
            "An image is a clone of another one.",
            "Name that as base, or leave clone out.",
        )
    _create_empty(name, _length_of_disk(size))
    return DiskImageStorageDeviceAttachment(path)


def _create_of_base(
    path: PathLike,
    name: bytes,
    size: Size | None,
    base: PathLike | Sequence[PathLike] | DiskImageStorageDeviceAttachment,
    clone: bool | None,
) -> DiskImageStorageDeviceAttachment:
    if isinstance(base, DiskImageStorageDeviceAttachment):
        bases = [base.path, *_listed(base.base)]
        origins = native_paths(paths("base", bases))
    else:
        bases = _listed(base)
        origins = native_paths(paths("base", base))
    length = 0 if size is None else _length_of_disk(size)
    cloning = lib.APPLEVZ_CLONING_IF_POSSIBLE
    if clone is not None:
        always = boolean("clone", clone)
        cloning = lib.APPLEVZ_CLONING_ALWAYS if always else lib.APPLEVZ_CLONING_NEVER
    is_clone = ffi.new("bool *")
    check(
        lib.applevz_disk_image_create_of_bases(name, len(name), origins, len(origins), length, cloning, is_clone)
    )
    # A clone is of the kind of its base.
    left = bases[1:] if is_clone[0] else bases
    return DiskImageStorageDeviceAttachment(path, base=None if not left else left[0] if len(left) == 1 else left)


def _listed(base: Any) -> list[Any]:
    return [] if base is None else list(base) if isinstance(base, list | tuple) else [base]


def _length_of_disk(size: Size) -> int:
    length = size_argument("size", size)
    if length == 0 or length % _SECTOR:
        raise make(
            InvalidArgumentError,
            f"size is {length} bytes.",
            "A disk has sectors of 512 bytes, and at least one.",
            f"Give a multiple of 512, such as {length // _SECTOR * _SECTOR + _SECTOR}.",
        )
    return length


def _create_empty(name: bytes, length: int) -> None:
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        suggestion = "Name a new file in a folder that is there and that this user may write."
        raise make_posix(error, _DESCRIPTION.format(os.fsdecode(name)), suggestion, name) from error
    try:
        os.fchmod(descriptor, 0o600)  # the umask may have left this user nothing
        os.ftruncate(descriptor, length)
    except (OSError, OverflowError) as error:
        # What is left would be taken for a disk.
        with contextlib.suppress(OSError):
            os.unlink(name)
        if isinstance(error, OverflowError):
            error = OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        suggestion = "Give a size that the file system holds."
        raise make_posix(error, _DESCRIPTION.format(os.fsdecode(name)), suggestion, name) from error
    finally:
        os.close(descriptor)


def write_disk_image(path: PathLike, data: bytes, overwrite: bool, same_is_right: bool = False) -> None:
    """Makes a raw disk image with that data, whole or not at all, which only this user may use.

    A file that exists stays, and raises `POSIXError`, which is a `FileExistsError` then: unless it is to be replaced,
    or has that data already and that is right.
    """
    name = path_argument("path", path)
    temporary = name + b".%d.new" % os.getpid()
    if same_is_right and _has_data(name, data):
        return
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o600)
                file.write(data)
            if overwrite:
                os.replace(temporary, name)
            else:
                os.link(temporary, name, follow_symlinks=False)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    except OSError as error:
        suggestion = "Name a new file in a folder that is there and that this user may write."
        raise make_posix(error, _DESCRIPTION.format(os.fsdecode(name)), suggestion, name) from error


def _has_data(name: bytes, data: bytes) -> bool:
    try:
        with open(os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            return os.fstat(file.fileno()).st_size == len(data) and file.read(len(data) + 1) == data
    except OSError:
        return False
