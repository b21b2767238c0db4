# SPDX-License-Identifier: Apache-2.0
"""The agent's end of a port, for a test to play: what a guest's agent would say, and what none would."""

from __future__ import annotations

import socket
import struct

from applevz._blocking.guest import Guest
from applevz._core.guest import frames
from applevz._native import Reference, descriptors

HEADER = struct.Struct("<HBBII")
WINDOW = 262_144


def port() -> tuple[Reference, FakeAgent]:
    """The host's end of a port, and an agent at its other end."""
    host, guest = socket.socketpair()
    host.setblocking(False)
    guest.settimeout(20)
    (reference,) = descriptors(lambda: (host.detach(),))
    return reference, FakeAgent(guest)


class FakeAgent:
    # Set by the test that plays it.
    guest: Guest

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._received = bytearray()

    def close(self) -> None:
        self.end.close()

    def __enter__(self) -> FakeAgent:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _more(self) -> None:
        data = self.end.recv(1 << 16)
        if not data:
            raise EOFError
        self._received += data

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            self._more()
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def nonce(self) -> bytes:
        """Waits for a beginning, and returns its nonce."""
        while (found := self._received.find(frames.MARKER)) < 0:
            self._more()
        del self._received[: found + len(frames.MARKER)]
        assert self._take(4) == b"\1\0\0\0"
        return self._take(16)

    def say(self, data: bytes) -> None:
        self.end.sendall(data)

    def send(self, operation: int, stream: int = 0, payload: bytes = b"", channel: int = 0) -> None:
        self.say(frames.frame(operation, stream, payload, channel))

    def greet(self, nonce: bytes | None = None, window: int = WINDOW, version: int = 1) -> None:
        """Answers a beginning."""
        nonce = self.nonce() if nonce is None else nonce
        hello = struct.pack("<IIIII", version, window, 3, 2, 4711) + b"fake"
        self.say(frames.MARKER + nonce + frames.frame(frames.HELLO, 0, hello))

    def receive(self) -> tuple[int, int, int, bytes]:
        """The next frame: operation, channel, stream, payload."""
        magic, operation, channel, stream, length = HEADER.unpack(self._take(HEADER.size))
        assert magic == 0x7641
        assert length <= 32768
        payload = self._take(length)
        assert self._take(4) == struct.pack("<I", (stream ^ length ^ operation) & 0x7FFFFFFF)
        return operation, channel, stream, payload

    def expect(self, operation: int) -> tuple[int, int, bytes]:
        """The next frame, which is of that operation: channel, stream, payload."""
        found, channel, stream, payload = self.receive()
        assert found == operation, f"{found} came in place of {operation}"
        return channel, stream, payload

    def start(self, identifier: int = 17) -> int:
        """Starts what it is told to start. Returns the number of the stream."""
        _, stream, _ = self.expect(frames.START)
        self.send(frames.STARTED, stream, struct.pack("<I", identifier))
        return stream

    def exit(self, stream: int, value: int = 0, kind: int = 0, channels: tuple[int, ...] = (1, 2)) -> None:
        """Ends a process."""
        self.send(frames.EXITED, stream, struct.pack("<BI", kind, value))
        for channel in channels:
            self.send(frames.END, stream, channel=channel)
