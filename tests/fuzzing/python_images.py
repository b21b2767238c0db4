# SPDX-License-Identifier: Apache-2.0
"""What Python reads of disk images, servers, the cache and saved states, and how it is begun with."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import saved_state_files
from applevz._host import guest_services
from applevz._images import catalog, chains, checksums, conversion, disk_formats, image, pulling, signatures, transport
from applevz._images.task import Task
from applevz._states.saved_state import inspect_state
from applevz.errors import Error

__all__ = [
    "image_seeds",
    "read_address",
    "read_catalog",
    "read_checksums",
    "read_description",
    "read_image",
    "read_index",
    "read_keys",
    "read_packed",
    "read_qemu_img",
    "read_saved_state",
    "state_seeds",
]


def _files() -> Path:
    """A folder that is there as long as the process."""
    global _kept  # noqa: PLW0603  # made once
    if _kept is None:
        _kept = tempfile.TemporaryDirectory(prefix="applevz-fuzz-")
    return Path(_kept.name)


_kept: tempfile.TemporaryDirectory[str] | None = None


def file_of(data: bytes) -> Path:
    """A file with those bytes, the same each time."""
    path = _files() / "input"
    path.write_bytes(data)
    return path


# ---- Disk images


def read_image(data: bytes) -> None:
    path = file_of(data)
    number = os.open(path, os.O_RDONLY)
    try:
        for kind in disk_formats.FORMATS:
            with contextlib.suppress(Error):
                disk_formats.read_header(number, "image", kind)
        disk_formats.find_format(number, "image")
    finally:
        os.close(number)
    with chains.Chain(str(path), None, None) as chain:
        json.dumps(chain.options())


def image_seeds() -> list[bytes]:
    numbers = (3, 512, 4, 16, 1 << 30, 0, 1, 1 << 16, 1 << 17, 1, 0, 0, 0, 0, 0, 4, 112)
    qcow2 = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", *numbers).ljust(112, b"\0")
    qcow2 = (qcow2 + struct.pack(">II4s4x", 0xE2792ACA, 3, b"raw") + bytes(8)).ljust(512, b"\0") + b"base"
    vdi = bytearray(512)
    vdi[64:68] = b"\x7f\x10\xda\xbe"
    vdi[76:80] = (1).to_bytes(4, "little")
    vdi[368:392] = struct.pack("<QIIII", 1 << 20, 1 << 20, 0, 1, 0)
    vmdk = (b"KDMV" + struct.pack("<II4Q", 1, 3, 2048, 128, 1, 1)).ljust(512, b"\0") + b"parentCID=ffffffff\n"
    vhdx = b"vhdxfile".ljust(4096, b"\0")
    return [qcow2, bytes(vdi), vmdk.ljust(1024, b"\0"), vhdx, bytes(512), b"COWD", gzip.compress(b"x"), b"QED\0"]


class _Said:
    """What qemu-img would have said."""

    def __init__(self, status: int, output: bytes) -> None:
        self.status = status
        self.output = output
        self.reason = "It gave no reason."

    def finish(self, task: Task) -> int:
        return self.status


def read_qemu_img(data: bytes) -> None:
    status = (0, 1, 2, 3, 63)[data[0] % 5] if data else 0

    @contextlib.contextmanager
    def said(words: list[str], chain: chains.Chain, largest: int) -> Iterator[_Said]:
        yield _Said(status, data[1:])

    with mock.patch.object(conversion, "_qemu_img", said), chains.Chain(str(file_of(bytes(512))), None, None) as chain:
        conversion._percent(data)
        with contextlib.suppress(Error):
            conversion._check_whole(Task(60), chain, chain.links[0])
        size = conversion._size(Task(60), "image", chain)
        conversion.Limits(1 << 40, 1 << 40).check_size("image", size)


def read_packed(data: bytes) -> None:
    """What is packed: it is unpacked within limits."""
    kind = ("gz", "xz")[data[0] % 2] if data else "gz"
    target = _files() / "unpacked"
    target.unlink(missing_ok=True)
    number = os.open(file_of(data[1:]), os.O_RDONLY)
    try:
        conversion.decompress(Task(60), "image", number, kind, target, conversion.Limits(1 << 22, 1 << 22))
        assert target.stat().st_size <= 1 << 22
    finally:
        os.close(number)


# ---- What servers give out, and what lies in the cache


def read_checksums(data: bytes) -> None:
    for name, checksum in checksums.checksums_in(data, "SHA256SUMS").items():
        assert re.fullmatch(r"[0-9a-f]{64,128}", checksum.digest), name
        checksum.new_hash()


def read_catalog(data: bytes) -> None:
    for name, one in catalog.read_catalog(file_of(data)).items():
        wanted = catalog.Wanted(one, one.default, next(iter(one.architectures), ""))
        if wanted.architecture:
            for text in (*one.folders, *one.files, one.checksums):
                wanted.filled(text, name)


def read_description(data: bytes) -> None:
    found = image.image_of_json(data, "/cache/disk.raw")
    if found is not None:
        assert image.image_of_json(json.dumps(image.json_of_image(found)).encode(), "/cache/disk.raw") == found


def read_index(data: bytes) -> None:
    names = [link.decode("ascii", "replace") for link in pulling._LINK.findall(data)]
    found = pulling._newest(["image-*.qcow2", "*.raw"], names, "a server")
    assert "/" not in found


def read_address(data: bytes) -> None:
    text = data.decode("latin-1")
    try:
        target = transport.redirected("https://server/folder/", text)
    except transport.UnreachableError:
        return
    assert target.startswith("https://")
    transport.check_url("location", target)


def read_keys(data: bytes) -> None:
    signatures._keys(data)
    guest_services._machine_of(data)


def read_saved_state(data: bytes) -> None:
    """A description of a state that is whole otherwise: what the native library makes of it is read by Python."""
    path = _files() / "state"
    saved_state_files.make_state(path)
    saved_state_files.forge(path, description=data)
    state = inspect_state(path)
    for text in (state.machine_type, state.processor, state.accelerator, state.cpu_count, repr(state)):
        str(text)
    for disk in state.disks:
        disk.fits()


def state_seeds() -> list[bytes]:
    fields = [
        ["memorySize", "134217728"], ["CPUCount", "2"], ["QEMU's machine type", "microvm,rtc=on"],
        ["the size of storageDevices[0].attachment", "512"],
        ["the time when storageDevices[0].attachment was written last", "1.000000002 s"],
    ]  # fmt: skip
    origin = {"identifier": f"{0:032x}", "made": 1, "qemu": "7.2", "fields": fields, "disks": []}
    images = [{"name": "storageDevices[0].attachment", "path": "/a%20b"}]
    both = ({**origin, "images": []}, {**origin, "images": images, "parent": "f" * 32})
    return [json.dumps(one).encode() for one in both]
