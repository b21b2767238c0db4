# SPDX-License-Identifier: Apache-2.0
"""Datagrams in the bytes of a channel: each with its length before it, and its peer, where there are several."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from .frames import BrokenFrameError

__all__ = ["LONGEST", "PEER", "DatagramReader", "datagram"]

# As UDP has them over IPv4; what the guest gets over IPv6 may be a little longer.
LONGEST: Final = 65507
_LONGEST_RECEIVED: Final = 65527
# So many bytes are a peer's name, which is for the agent to understand.
PEER: Final = 28
_LENGTH: Final = struct.Struct("<H")


def datagram(data: bytes | memoryview[int], peer: bytes = b"") -> bytes:
    """A datagram as the channel has it. It has at most `LONGEST` bytes."""
    return b"".join((_LENGTH.pack(len(data)), peer, data))


class DatagramReader:
    """Finds datagrams in the bytes that came. Never holds more than one of which a part is missing."""

    __slots__ = ("_head", "_held")

    def __init__(self, *, peers: bool) -> None:
        self._head = _LENGTH.size + (PEER if peers else 0)
        self._held = bytearray()

    def read(self, came: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The peer and the content of each that is there as a whole. Raises `BrokenFrameError`."""
        held = self._held
        held += came
        place = 0
        try:
            while len(held) - place >= self._head:
                (length,) = _LENGTH.unpack_from(held, place)
                if length > _LONGEST_RECEIVED:
                    raise BrokenFrameError
                behind = place + self._head + length
                if behind > len(held):
                    return
                peer = bytes(held[place + _LENGTH.size : place + self._head])
                content = bytes(held[place + self._head : behind])
                place = behind
                yield peer, content
        finally:
            del held[:place]
