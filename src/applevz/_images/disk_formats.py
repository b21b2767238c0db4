# SPDX-License-Identifier: Apache-2.0
"""The headers of disk images, read without QEMU: what a file is, how large its disk is, and which files it names.

An image may come from somebody who means harm. What is read here has a bounded length, and nothing that it names is
opened. qcow2 is described in QEMU's docs/interop/qcow2.txt, VMDK in VMware's Virtual Disk Format 1.1, VHDX in
[MS-VHDX], VDI in the sources of VirtualBox.
"""

from __future__ import annotations

import os
import re
import struct
import uuid
from dataclasses import dataclass
from typing import Final

from ..errors import InvalidDiskImageError, make

__all__ = ["COMPRESSIONS", "DECRYPT", "FORMATS", "Header", "find_format", "read_header", "refused"]

# What can be imported, with the name that QEMU's driver has.
FORMATS: Final = ("raw", "qcow2", "vmdk", "vdi", "vhdx")
# The formats of a compressed file, with what it begins with.
COMPRESSIONS: Final = {"gz": b"\x1f\x8b", "xz": b"\xfd7zXZ\0", "zst": b"\x28\xb5\x2f\xfd"}
_BEGINNINGS: Final = {"qcow2": b"QFI\xfb", "vmdk": b"KDMV", "vhdx": b"vhdxfile"}
# What is known, and not imported.
_OTHERS: Final = {
    b"COWD": "a VMDK of ESX",
    b"# Disk DescriptorFile": "the description of a VMDK whose data is in other files",
    b"conectix": "a VHD",
    b"QED\0": "a QED image",
    b"WithoutFreeSpace": "an image of Parallels",
    b"WithouFreSpacExt": "an image of Parallels",
    b"LUKS\xba\xbe": "encrypted by LUKS",
}
_SECTOR: Final = 512
DECRYPT: Final = "Decrypt it: qemu-img convert, with the secret, makes a plain image of it."
_LONGEST_NAME: Final = 1023
_LONGEST_DESCRIPTION: Final = 1 << 20
_CHILD: Final = "It has only what differs from another image."
_MERGE: Final = "Merge the two with the program that made them."
_VHDX_METADATA: Final = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_VHDX_PARAMETERS: Final = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
_QCOW2_BACKING_FORMAT: Final = 0xE2792ACA
# The features without which nobody may read an image: those that change nothing about which files it has.
_QCOW2_COMPRESSION, _QCOW2_EXTENDED_L2 = 1 << 3, 1 << 4


@dataclass(frozen=True)
class Header:
    """`size` is the disk's, in bytes; None where QEMU is asked. `backing` is the name of the file beneath, as it stands
    there, and `backing_format` its format, if the header tells it. `cluster` are the bytes that are reserved at once:
    the last ones may not be there."""

    format: str
    size: int | None
    backing: str | None = None
    backing_format: str | None = None
    cluster: int = _SECTOR


def refused(name: str, reason: str, suggestion: str = "") -> Exception:
    """The error for an image that is not imported."""
    return make(
        InvalidDiskImageError,
        f"The image {name!r} is not imported.",
        reason,
        suggestion or "Import another image, or make a raw one of it, if you know where it comes from.",
    )


def find_format(number: int, name: str) -> str | None:
    """The format or the compression of an open file, by its beginning; None if it may be raw."""
    begin = os.pread(number, 128, 0)
    for found, words in (*_BEGINNINGS.items(), *COMPRESSIONS.items()):
        if begin.startswith(words):
            return found
    if begin[64:68] == b"\x7f\x10\xda\xbe":
        return "vdi"
    for words, what in _OTHERS.items():
        if begin.startswith(words):
            suggestion = "Make one file of it: qemu-img convert -O qcow2 IMAGE NEW.qcow2."
            raise refused(name, f"It is {what}.", suggestion)
    return None


def read_header(number: int, name: str, kind: str) -> Header:
    """The header of an image of that format. Raises `InvalidDiskImageError` for one that is wrong, or asks for more
    than to be read."""
    if kind == "raw":
        size = os.fstat(number).st_size
        if size == 0 or size % _SECTOR:
            suggestion = "Name a file that is a disk image."
            raise refused(name, f"It has {size} bytes, and a raw disk has sectors of {_SECTOR}.", suggestion)
        return Header("raw", size)
    if kind == "vdi":
        return _vdi(number, name)
    begin = os.pread(number, 4096, 0)
    if not begin.startswith(_BEGINNINGS[kind]):
        raise _is_no(name, kind)
    if kind == "qcow2":
        return _qcow2(number, name, begin)
    if kind == "vmdk":
        return _vmdk(number, name, begin)
    if _vhdx_has_parent(number):
        raise refused(name, _CHILD, _MERGE)
    return Header("vhdx", None)


def _is_no(name: str, kind: str) -> Exception:
    return refused(name, f"It does not begin as an image of the format {kind} does.", "Name the format that it has.")


def _qcow2(number: int, name: str, begin: bytes) -> Header:
    if len(begin) < 72:
        raise refused(name, "It ends in its header.")
    version, offset, length, cluster_bits, size, encryption = struct.unpack(">IQIIQI", begin[4:36])
    if version not in (2, 3):
        raise refused(name, f"It is a qcow2 image of the version {version}, and 2 and 3 are known.")
    if encryption:
        raise refused(name, "It is encrypted.", DECRYPT)
    if not 9 <= cluster_bits <= 21:
        raise refused(name, f"Its clusters are of 2**{cluster_bits} bytes, and qcow2 has 2**9 to 2**21.")
    header_length = 72
    if version == 3:
        if len(begin) < 104:
            raise refused(name, "It ends in its header.")
        features, header_length = struct.unpack(">Q", begin[72:80])[0], struct.unpack(">I", begin[100:104])[0]
        _check_features(name, features)
    backing = None
    if offset:
        if not 1 <= length <= _LONGEST_NAME or offset > 1 << cluster_bits:
            raise refused(name, f"The name of its backing file has {length} bytes at the place {offset}.")
        data = os.pread(number, length, offset)
        if len(data) < length or b"\0" in data:
            raise refused(name, "The name of its backing file is none.")
        backing = os.fsdecode(data)
    extensions = os.pread(number, 1 << cluster_bits, header_length) if header_length <= 1 << cluster_bits else b""
    backing_format = _backing_format(extensions) if backing is not None else None
    return Header("qcow2", size, backing, backing_format, 1 << cluster_bits)


def _check_features(name: str, features: int) -> None:
    if features & 2:
        raise refused(name, "It is marked as corrupt.", "Repair it: qemu-img check -r all IMAGE.")
    if features & 4:
        reason = "Its data is in another file, which it names."
        raise refused(name, reason, "Make one file of it: qemu-img convert -O qcow2 IMAGE NEW.qcow2.")
    if features & 1:
        raise refused(name, "It was not closed.", "Repair it: qemu-img check -r all IMAGE.")
    if unknown := features & ~(_QCOW2_COMPRESSION | _QCOW2_EXTENDED_L2):
        raise refused(name, f"It takes features of qcow2 that are not known: {unknown:#x}.")


def _backing_format(extensions: bytes) -> str | None:
    place = 0
    while place + 8 <= len(extensions):
        kind, length = struct.unpack(">II", extensions[place : place + 8])
        if kind == 0:
            break
        if kind == _QCOW2_BACKING_FORMAT:
            return extensions[place + 8 : place + 8 + min(length, 64)].decode("ascii", "replace")
        place += 8 + (length + 7) // 8 * 8
    return None


def _vdi(number: int, name: str) -> Header:
    begin = os.pread(number, 512, 0)
    if find_format(number, name) != "vdi":
        raise _is_no(name, "vdi")
    if len(begin) < 512:
        raise refused(name, "It ends in its header.")
    kind = struct.unpack("<I", begin[76:80])[0]
    if kind not in (1, 2):
        raise refused(name, _CHILD if kind == 4 else f"It is a VDI of the type {kind}, and 1 and 2 are known.", _MERGE)
    data = struct.unpack("<I", begin[344:348])[0]
    size, block, _, _, allocated = struct.unpack("<QIIII", begin[368:392])
    # The last block may be shorter.
    end, length = data + max(allocated - 1, 0) * block, os.fstat(number).st_size
    if length < end + bool(allocated):
        raise refused(name, f"It ends early: it has {length} bytes of more than {end}.", "Bring the whole file.")
    return Header("vdi", size)


def _vmdk(number: int, name: str, begin: bytes) -> Header:
    if len(begin) < _SECTOR:
        raise refused(name, "It ends in its header.")
    capacity, _, description, sectors = struct.unpack("<4Q", begin[12:44])
    if capacity == 0:
        # QEMU would go on with the description in it, which names files.
        raise refused(name, "It has no size, so its data would be in files that it names.")
    if capacity >= 1 << 54:
        raise refused(name, f"Its disk has {capacity} sectors.")
    if description < 1 << 40:
        text = os.pread(number, min(sectors * _SECTOR, _LONGEST_DESCRIPTION), description * _SECTOR)
        if any(one.lower() != b"ffffffff" for one in re.findall(rb"parentCID\s*=\s*(\w*)", text)):
            raise refused(name, _CHILD, _MERGE)
    return Header("vmdk", capacity * _SECTOR)


def _vhdx_has_parent(number: int) -> bool:
    """What the flag of the item "file parameters" says; False if it is not found where it should be.

    The region table tells where the metadata is, and that has a table of its items ([MS-VHDX], 2.2.3 and 2.6).
    """
    table = os.pread(number, 64 << 10, 192 << 10)
    for place in range(16, min(len(table) - 31, 16 + 2047 * 32), 32):
        if table[place : place + 16] == _VHDX_METADATA:
            region = struct.unpack("<Q", table[place + 16 : place + 24])[0]
            break
    else:
        return False
    items = os.pread(number, 64 << 10, region) if region < 1 << 60 else b""
    for place in range(32, min(len(items) - 31, 32 + 2047 * 32), 32):
        if items[place : place + 16] == _VHDX_PARAMETERS:
            value = os.pread(number, 8, region + struct.unpack("<I", items[place + 16 : place + 20])[0])
            return len(value) == 8 and bool(value[4] & 2)
    return False
