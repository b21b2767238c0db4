# SPDX-License-Identifier: Apache-2.0
"""Files of saved states, as somebody makes them who knows their format: QEMUSavedStateFormat.h."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

TRAILER = 88
PATTERN = "<QQQQQQQQQ16s"
MASK = (1 << 64) - 1


def checksum(data: bytes) -> int:
    """As QEMUSavedStateFormat.c has it: whoever makes a file so can make its checksums, too."""
    total = 1
    for start in range(0, len(data), 8):
        total = (total ^ int.from_bytes(data[start : start + 8], "little")) * 0x9E3779B97F4A7C15 & MASK
        total ^= total >> 32
    return total


def description_of(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        size = file.seek(-TRAILER, os.SEEK_END)
        length = struct.unpack(PATTERN, file.read())[2]
        file.seek(size - length)
        description: dict[str, Any] = json.loads(file.read(length))
        return description


def forge(path: Path, *, description: bytes | None = None, stream: int | None = None, **lengths: int) -> None:
    """Another description, a stream of that length without data, or lengths that the trailer tells of, each with the
    checksums that belong to it."""
    with path.open("r+b") as file:
        size = file.seek(-TRAILER, os.SEEK_END)
        fields = list(struct.unpack(PATTERN, file.read()))
        file.seek(size - fields[2])
        words = file.read(fields[2]) if description is None else description
        if stream is not None:
            os.truncate(path, fields[0])
            os.truncate(path, fields[0] + stream)
            fields[1] = stream
        place = fields[0] + fields[6] + fields[1]
        os.truncate(path, place)
        fields[2] = len(words)
        fields[5] = checksum(words)
        for name, value in lengths.items():
            fields[["memory", "stream", "description"].index(name.removesuffix("_length"))] = value
        fields[7] = checksum(struct.pack("<7Q", *fields[:7]))
        file.seek(place)
        file.write(words + struct.pack(PATTERN, *fields))


def make_state(path: Path, *, memory: int = 0, stream: bytes = b"stream", **description: Any) -> Path:
    """A whole state without disks, whose memory holds nothing. What is given is in its description; None leaves it out.
    """
    said = {
        "identifier": f"{0:032x}",
        "made": 1_000_000,
        "qemu": "10.0",
        "fields": [["memorySize", str(memory or 128 << 20)], ["CPUCount", "1"]],
        "images": [],
        "disks": [],
        **description,
    }
    words = json.dumps({name: value for name, value in said.items() if value is not None}).encode()
    numbers = [memory, len(stream), len(words), 0, checksum(stream), checksum(words), 0]
    trailer = struct.pack(PATTERN, *numbers, checksum(struct.pack("<7Q", *numbers)), 5, b"applevz state\r\n")
    with path.open("wb") as file:
        file.truncate(memory)
        file.seek(memory)
        file.write(stream + words + trailer)
    return path
