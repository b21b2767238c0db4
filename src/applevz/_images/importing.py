# SPDX-License-Identifier: Apache-2.0
"""Images from files that people have: looked at, unpacked, converted, kept."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .._values.arguments import PathLike, shown, wrong_type
from .._values.arguments import path as path_argument
from .._values.sizes import Size
from .._values.sizes import size as size_argument
from ..errors import InvalidArgumentError, InvalidDiskImageError, make
from .catalog import architecture_argument
from .chains import Chain
from .checksums import Checksum, checksum_argument
from .conversion import Limits, convert, decompress
from .disk_formats import COMPRESSIONS, FORMATS
from .image import Image
from .store import Store, image_name
from .task import Task

__all__ = ["convert_chain", "hash_file", "import_file", "limits_argument", "name_of_file", "path_of_file_url"]

_BLOCK: Final = 1 << 20
# Where the first sector that describes a CD has its name, behind the type.
_CD: Final = 16 * 2048 + 1
# What is packed in a file with such a name is raw, whatever it begins with.
_RAW: Final = re.compile(r"\.raw\.(gz|xz|zst)$", re.IGNORECASE)


def limits_argument(maximum_size: Size, maximum_data: Size) -> Limits:
    return Limits(size_argument("maximum_size", maximum_size), size_argument("maximum_data", maximum_data))


def name_of_file(path: str) -> str:
    """What the image of a file is listed as, if it has no other name."""
    return re.sub(r"[^A-Za-z0-9._+@-]", "-", os.path.basename(path)).lstrip("._+@-")[:128] or "image"


def path_of_file_url(field: str, url: str) -> str:
    """The path of an address of `file:`, on this host."""
    try:
        parts = urllib.parse.urlsplit(url)
        path = urllib.request.url2pathname(parts.path) if parts.netloc in ("", "localhost") else ""
    except ValueError:
        path = ""
    if not path.startswith("/") or "\0" in path:
        suggestion = 'Give it as "file:///folder/disk.qcow2".'
        raise make(InvalidArgumentError, f"{field} is {shown(url)}, which names no file of this host.", "", suggestion)
    return path


def import_file(
    task: Task,
    path: PathLike,
    *,
    file_format: str | None,
    name: str | None,
    architecture: str | None,
    user: str | None,
    boot: str | None,
    checksum: str | None,
    backing_folders: Sequence[PathLike],
    maximum_size: Size,
    maximum_data: Size,
    cache: PathLike | None,
) -> Image:
    """See `applevz.images.of`."""
    given = os.fsdecode(path_argument("path", path))
    real = os.path.realpath(given)
    limits = limits_argument(maximum_size, maximum_data)
    wanted = None if checksum is None else checksum_argument("checksum", checksum)
    processor = None if architecture is None else architecture_argument(architecture)
    formats = None, *FORMATS, *COMPRESSIONS
    for field, value, values in (("file_format", file_format, formats), ("boot", boot, (None, "efi", "kernel"))):
        if value not in values:
            words = ", ".join(repr(one) for one in values)
            raise make(InvalidArgumentError, f"{field} is {shown(value)}.", "", f"Give one of {words}.")
    if user is not None and not isinstance(user, str):
        raise wrong_type("user", user, "text (str)")
    named = name_of_file(given) if name is None else image_name("name", name)
    if isinstance(backing_folders, str | bytes | os.PathLike):
        raise wrong_type("backing_folders", backing_folders, "a list of folders")
    folders = [os.path.dirname(real)]
    for index, folder in enumerate(backing_folders):
        folders.append(os.path.realpath(os.fsdecode(path_argument(f"backing_folders[{index}]", folder))))
    store = Store(cache)
    # What is an image already becomes no second one, unless that has another name or its bytes are to be looked at.
    if wanted is None and file_format in (None, "raw") and (found := store.at(real)) and name in (None, found.name):
        limits.check_size(given, found.size)
        return dataclasses.replace(
            found,
            user=found.user if user is None else user,
            architecture=found.architecture if processor is None else processor,
            boot=found.boot if boot is None else boot,
        )
    with Chain(given, file_format, folders) as chain:
        told = None if wanted is None else str(wanted)
        identity = [real, file_format, told, [link.identity for link in chain.links]]
        key = f"import {named} {processor} {json.dumps(identity)}"
        image = Image(
            path="",
            name=named,
            version=None,
            architecture=processor,
            size=0,
            checksum=told,
            source=real,
            user=user,
            boot=boot or "",
            signed_by=None,
            unsigned_reason="it was imported from a file",
            made=0.0,
        )
        return _import(task, store, chain, key, image, wanted, limits)


def _import(
    task: Task, store: Store, chain: Chain, key: str, image: Image, wanted: Checksum | None, limits: Limits
) -> Image:
    def cached() -> Image | None:
        found = store.by_key(key)
        # What is only noted makes no other disk of it: one that lasts may be made on this one.
        return dataclasses.replace(found, user=image.user, boot=image.boot or boot_of(found.path)) if found else None

    if found := cached():
        return found
    lock_name = f"{image.name} {image.architecture}"
    with store.lock(task, lock_name), store.work(lock_name) as work:
        if found := cached():
            return found
        if wanted is not None:
            hash_file(task, image.source, chain.links[0].number, wanted)
        disk = store.disk_in(work)
        size = convert_chain(task, chain, image.source, work, disk, limits)
        boot = image.boot or boot_of(str(disk))
        values = {**vars(image), "size": size, "path": str(disk), "boot": boot, "made": time.time()}
        return store.publish(work, Image(**values), key)


def boot_of(disk: str) -> str:
    """What a raw disk looks as if it were booted by. EFI firmware looks for its program in a partition, on a CD or in a
    FAT file system without partitions, whose first sector ends like a table's."""
    with open(disk, "rb") as file:
        data = file.read(_CD + 5)
    table = any(data[size : size + 8] == b"EFI PART" for size in (512, 4096))
    return "efi" if table or data[510:512] == b"\x55\xaa" or data[_CD:] == b"CD001" else "kernel"


def hash_file(task: Task, name: str, number: int, wanted: Checksum) -> None:
    """Raises `InvalidDiskImageError` unless the open file has that checksum."""
    made, place = wanted.new_hash(), 0
    total = os.fstat(number).st_size
    while data := os.pread(number, _BLOCK, place):
        made.update(data)
        place += len(data)
        task.tell("verify", place, total)
    found = Checksum(wanted.algorithm, made.hexdigest())
    if found != wanted:
        reason = f"Its checksum is {found}, and should be {wanted}."
        raise make(InvalidDiskImageError, f"The file {name!r} is not the one that was wanted.", reason)


def convert_chain(task: Task, chain: Chain, name: str, work: Path, disk: Path, limits: Limits) -> int:
    """Makes the raw disk of a chain, whose outermost file may be compressed. Returns the disk's size."""
    outer = chain.links[0]
    if outer.header.format not in COMPRESSIONS:
        return convert(task, name, chain, disk, limits)
    unpacked = work / "unpacked"
    decompress(task, name, outer.number, outer.header.format, unpacked, limits)
    chain.check_unchanged()
    # What was packed has no files beneath it: nobody would know where they are.
    with Chain(str(unpacked), "raw" if _RAW.search(outer.path) or _RAW.search(name) else None, None) as inner:
        if inner.links[0].header.format in COMPRESSIONS:
            suggestion = "Unpack it yourself first."
            raise make(InvalidDiskImageError, f"The image {name!r} is packed twice.", "", suggestion)
        if inner.links[0].header.format == "raw":
            size = inner.links[0].header.size or 0
            limits.check_size(name, size)
            unpacked.rename(disk)
            return size
        size = convert(task, name, inner, disk, limits)
    unpacked.unlink()
    return size
