# SPDX-License-Identifier: Apache-2.0
"""The frames of the agent's protocol: they are made here, and found again in the bytes of the port.

All that comes from the guest is hostile. What is no frame ends the session (`BrokenFrameError`), and a frame never
takes more room than the buffer that is there from the beginning.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

__all__ = [
    "ACCEPT",
    "CLOSE",
    "CLOSED",
    "CONNECT",
    "CREDIT",
    "DATA",
    "DONE",
    "END",
    "EXITED",
    "FAILED",
    "HELLO",
    "INFORMATION",
    "LISTEN",
    "MARKER",
    "MOST",
    "NO_NONCE",
    "OPEN",
    "RECEIVE_TREE",
    "RESIZE",
    "RESTORED",
    "SEND_TREE",
    "SIGNAL",
    "START",
    "STARTED",
    "TOLD",
    "VERSION",
    "BrokenFrameError",
    "Frame",
    "FrameReader",
    "beginning",
    "frame",
    "frames_of",
]

VERSION: Final = 1
START: Final = 1
DATA: Final = 2
END: Final = 3
CREDIT: Final = 4
SIGNAL: Final = 5
RESIZE: Final = 6
CLOSE: Final = 7
OPEN: Final = 8
CONNECT: Final = 9
SEND_TREE: Final = 10
RECEIVE_TREE: Final = 11
INFORMATION: Final = 12
LISTEN: Final = 13
ACCEPT: Final = 14
RESTORED: Final = 15
HELLO: Final = 16
STARTED: Final = 17
FAILED: Final = 18
EXITED: Final = 19
DONE: Final = 20
CLOSED: Final = 21
TOLD: Final = 22

# Operation, channel, stream, payload. The payload is a view of the reader's buffer, until more is received.
Frame = tuple[int, int, int, memoryview]

_MAGIC: Final = 0x7641
_HEADER: Final = struct.Struct("<HBBII")
_END: Final = struct.Struct("<I")
# So many bytes has a payload at most.
MOST: Final = 32768
_LONGEST: Final = _HEADER.size + MOST + _END.size
_FILLER: Final = b"\xff" * _LONGEST
MARKER: Final = b"\0applevz agent\r\n"
_NONCE_SIZE: Final = 16
NO_NONCE: Final = bytes(_NONCE_SIZE)
_BUFFER: Final = 1 << 19


class BrokenFrameError(Exception):
    """What came is no frame."""


def beginning(nonce: bytes) -> bytes:
    """What the host sends first, and again whenever it begins anew."""
    return b"".join((_FILLER, MARKER, VERSION.to_bytes(4, "little"), nonce))


def frame(operation: int, stream: int, payload: bytes | bytearray | memoryview[int] = b"", channel: int = 0) -> bytes:
    """A frame. The payload has at most `MOST` bytes."""
    length = len(payload)
    header = _HEADER.pack(_MAGIC, operation, channel, stream, length)
    return b"".join((header, payload, _END.pack((stream ^ length ^ operation) & 0x7FFFFFFF)))


def frames_of(operation: int, stream: int, payload: bytes) -> list[bytes]:
    """The frames of a payload that may be longer: those before the last one say so in the place of the channel."""
    view = memoryview(payload)
    starts = range(0, len(view), MOST) or (0,)
    last = starts[-1]
    return [frame(operation, stream, view[start : start + MOST], int(start != last)) for start in starts]


class FrameReader:
    """Bytes that came from the guest, and the frames in them."""

    __slots__ = ("_begin", "_buffer", "_end", "_view")

    def __init__(self) -> None:
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._begin = self._end = 0

    def room(self) -> memoryview[int]:
        """Where more bytes go. Ends the payloads that were read before. Never empty: what is left to read is less than
        a frame."""
        if self._begin:
            left = self._end - self._begin
            self._buffer[:left] = self._view[self._begin : self._end]
            self._begin, self._end = 0, left
        return self._view[self._end :]

    def received(self, size: int) -> None:
        """Says that so many bytes are in the room."""
        self._end += size

    def drop(self) -> None:
        """Drops all bytes."""
        self._begin = self._end = 0

    def find(self, nonce: bytes) -> bytes | None:
        """Drops all bytes up to and with a marker and `nonce` behind it, or `NO_NONCE`, which an agent sends that has
        just come. Returns which of them was found, or None."""
        while (found := self._buffer.find(MARKER, self._begin, self._end)) >= 0:
            behind = found + len(MARKER)
            if behind + _NONCE_SIZE > self._end:
                self._begin = found
                return None
            self._begin = behind
            seen = bytes(self._view[behind : behind + _NONCE_SIZE])
            if seen in (nonce, NO_NONCE):
                self._begin = behind + _NONCE_SIZE
                return seen
        # A marker may have begun.
        self._begin = max(self._begin, self._end - len(MARKER) + 1)
        return None

    def frames(self) -> Iterator[Frame]:
        """The frames that are there as a whole. Raises `BrokenFrameError`."""
        while self._end - self._begin >= _HEADER.size:
            magic, operation, channel, stream, length = _HEADER.unpack_from(self._buffer, self._begin)
            if magic != _MAGIC or length > MOST:
                raise BrokenFrameError
            payload = self._begin + _HEADER.size
            behind = payload + length
            if behind + _END.size > self._end:
                return
            (end,) = _END.unpack_from(self._buffer, behind)
            if end != (stream ^ length ^ operation) & 0x7FFFFFFF:
                raise BrokenFrameError
            self._begin = behind + _END.size
            yield operation, channel, stream, self._view[payload:behind]
