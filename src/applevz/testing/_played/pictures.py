# SPDX-License-Identifier: Apache-2.0
"""What a display shows, as a PNG image."""

from __future__ import annotations

import struct
import zlib


def picture(screen: str | None) -> bytes:
    """The picture that the test gave, or a black one."""
    if screen is not None:
        return screen.encode("latin-1")
    width, height = 640, 480

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(height * (width + 1)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
