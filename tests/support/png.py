# SPDX-License-Identifier: Apache-2.0
"""Pictures as their pixels: as much of the PNG format as QEMU writes (8 bits a sample, without interlacing)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAMPLES = {0: 1, 2: 3, 6: 4}  # by the format's colour type: grey, RGB, RGBA


class Picture:
    def __init__(self, data: bytes) -> None:
        assert data.startswith(SIGNATURE)
        chunks = list(_chunks(data))
        assert [chunks[0][0], chunks[-1]] == [b"IHDR", (b"IEND", b"")]
        self.width, self.height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
        assert (bits, interlaced) == (8, 0)
        self._samples = SAMPLES[colour]
        rows = zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT"))
        self._rows = _unfiltered(rows, self.width * self._samples, self._samples)
        assert len(self._rows) == self.height

    def __getitem__(self, place: tuple[int, int]) -> tuple[int, ...]:
        """Red, green and blue of the pixel at x, y."""
        x, y = place
        sample = self._rows[y][x * self._samples : (x + 1) * self._samples]
        return tuple(sample[:3]) if self._samples > 1 else tuple(sample) * 3

    def colours(self) -> dict[tuple[int, ...], int]:
        """How many pixels of each colour there are."""
        counts: dict[tuple[int, ...], int] = {}
        for y in range(self.height):
            for x in range(self.width):
                colour = self[x, y]
                counts[colour] = counts.get(colour, 0) + 1
        return counts


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(SIGNATURE)
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        content = data[place + 8 : place + 8 + length]
        (check,) = struct.unpack_from(">I", data, place + 8 + length)
        assert check == zlib.crc32(kind + content)
        yield kind, content
        place += length + 12


def _unfiltered(data: bytes, length: int, step: int) -> list[bytes]:
    rows = []
    above = bytearray(length)
    for start in range(0, len(data), length + 1):
        kind, row = data[start], bytearray(data[start + 1 : start + 1 + length])
        for i in range(length if kind else 0):
            left = row[i - step] if i >= step else 0
            corner = above[i - step] if i >= step else 0
            row[i] = row[i] + (0, left, above[i], (left + above[i]) // 2, _paeth(left, above[i], corner))[kind] & 255
        rows.append(bytes(row))
        above = row
    return rows


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda value: abs(guess - value))
