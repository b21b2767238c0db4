# SPDX-License-Identifier: Apache-2.0
"""A speaker of the guest agent's protocol for tests, which has nothing of the library's host side: what both get wrong
in the same way would be seen by neither."""

from __future__ import annotations

import itertools
import os
import select
import socket
import struct
import subprocess
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HEADER = struct.Struct("<HBBII")
MAGIC = 0x7641
LONGEST = 32768
WINDOW = 1048576
MARKER = b"\0applevz agent\r\n"
FILLER = b"\xff" * (LONGEST + 16)

START, DATA, END, CREDIT, SIGNAL, RESIZE, CLOSE, OPEN, CONNECT, SEND_TREE, RECEIVE_TREE, INFORMATION = range(1, 13)
LISTEN, ACCEPT = 13, 14
HELLO, STARTED, FAILED, EXITED, DONE, CLOSED, TOLD = range(16, 23)

TERMINAL, INPUT, OUTPUT, ERRORS, ERRORS_TO_OUTPUT, DETACHED, WHOLE_ENVIRONMENT, QUIET = (1 << bit for bit in range(8))
READ, WRITE, CREATE, TRUNCATE, EXCLUSIVE, APPEND = (1 << bit for bit in range(6))
TCP, UNIX, UDP = range(3)
# So many bytes name a peer of datagrams.
PEER = 28


def frame(operation: int, stream: int, payload: bytes = b"", channel: int = 0) -> bytes:
    end = (stream ^ len(payload) ^ operation) & 0x7FFFFFFF
    return HEADER.pack(MAGIC, operation, channel, stream, len(payload)) + payload + struct.pack("<I", end)


def beginning(nonce: bytes, version: int = 1) -> bytes:
    return FILLER + MARKER + struct.pack("<I", version) + nonce


def text(value: bytes | str) -> bytes:
    data = os.fsencode(value)
    return struct.pack("<I", len(data)) + data


def start_payload(
    arguments: Sequence[bytes | str],
    flags: int = INPUT | OUTPUT | ERRORS,
    variables: Sequence[bytes | str] = (),
    user: str = "",
    directory: bytes | str = "",
    size: tuple[int, int] = (24, 80),
) -> bytes:
    head = struct.pack("<IHHII", flags, *size, len(arguments), len(variables))
    return head + b"".join(map(text, [user, directory, *arguments, *variables]))


@dataclass
class Stream:
    """What came for one stream."""

    number: int
    data: dict[int, bytearray] = field(default_factory=lambda: defaultdict(bytearray))
    ended: set[int] = field(default_factory=set)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    credit: int = WINDOW

    def answer(self, operation: int) -> bytes | None:
        return next((payload for name, payload in self.answers if name == operation), None)

    @property
    def failed(self) -> tuple[int, str] | None:
        payload = self.answer(FAILED)
        return None if payload is None else (struct.unpack("<I", payload[:4])[0], payload[4:].decode())

    @property
    def done(self) -> tuple[int, bytes] | None:
        payload = self.answer(DONE)
        return None if payload is None else (struct.unpack("<I", payload[:4])[0], payload[4:])

    @property
    def status(self) -> int | None:
        """As subprocess.Popen.returncode has it."""
        payload = self.answer(EXITED)
        if payload is None:
            return None
        kind: int
        value: int
        kind, value = struct.unpack("<BI", payload)
        return -value if kind else value


class Speaker:
    """A host's side, over a socket. Whatever is waited for, it reads and writes at once."""

    def __init__(self, port: socket.socket, begin: bool = True) -> None:
        self.port = port
        port.setblocking(False)
        self.numbers = itertools.count(1)
        self.streams: dict[int, Stream] = {}
        self.told = bytearray()
        self.hello = b""
        self.nonce = b""
        self.gives_credit = True
        self._came = bytearray()
        self._to_send: deque[memoryview] = deque()
        self._speaking = False
        if begin:
            self.begin()

    def begin(self, timeout: float = 30) -> None:
        self.streams.clear()
        self._speaking = False
        self.hello = b""
        self.nonce = os.urandom(16)
        self.send_bytes(beginning(self.nonce))
        self.wait(lambda: self.hello, timeout)

    def send_bytes(self, data: bytes) -> None:
        self._to_send.append(memoryview(data))

    def send(self, operation: int, stream: int, payload: bytes = b"", channel: int = 0) -> None:
        self.send_bytes(frame(operation, stream, payload, channel))

    def open_stream(self, operation: int, payload: bytes) -> Stream:
        stream = Stream(next(self.numbers))
        self.streams[stream.number] = stream
        pieces = [payload[at : at + LONGEST] for at in range(0, len(payload), LONGEST)] or [b""]
        for index, piece in enumerate(pieces):
            self.send(operation, stream.number, piece, channel=int(index + 1 < len(pieces)))
        return stream

    def wait(self, condition: Callable[[], object], timeout: float = 30) -> None:
        """Reads and writes until the condition holds."""
        limit = time.monotonic() + timeout
        while not condition():
            left = limit - time.monotonic()
            if left <= 0:
                raise TimeoutError("the agent did not answer in time")
            # The condition may be of something else than what comes here.
            self.pump(min(left, 0.05))

    def pump(self, timeout: float) -> None:
        readable, writable, _ = select.select([self.port], [self.port] if self._to_send else [], [], timeout)
        if readable:
            data = self.port.recv(1 << 20)
            if not data:
                raise ConnectionError("the agent closed its port")
            self._came += data
            self._take()
        if writable:
            piece = self._to_send[0]
            count = self.port.send(piece[: 1 << 18])
            if count == len(piece):
                self._to_send.popleft()
            else:
                self._to_send[0] = piece[count:]

    def _take(self) -> None:
        if not self._speaking:
            place = self._came.find(MARKER + self.nonce)
            if place < 0:
                del self._came[: -len(MARKER + self.nonce)]
                return
            del self._came[: place + len(MARKER + self.nonce)]
            self._speaking = True
        place = 0
        while len(self._came) - place >= 16:
            magic, operation, channel, number, length = HEADER.unpack_from(self._came, place)
            assert magic == MAGIC, f"no frame: {bytes(self._came[place : place + 16])!r}"
            assert length <= LONGEST
            if len(self._came) - place < 16 + length:
                break
            payload = bytes(self._came[place + 12 : place + 12 + length])
            (end,) = struct.unpack_from("<I", self._came, place + 12 + length)
            assert end == (number ^ length ^ operation) & 0x7FFFFFFF
            place += 16 + length
            self._act(operation, channel, number, payload)
        del self._came[:place]

    def _act(self, operation: int, channel: int, number: int, payload: bytes) -> None:
        if operation == HELLO:
            self.hello = payload
        elif operation == TOLD:
            self.told += payload
        elif number in self.streams:
            stream = self.streams[number]
            if operation == DATA:
                assert payload
                assert channel not in stream.ended
                stream.data[channel] += payload
                if self.gives_credit:
                    self.send(CREDIT, number, struct.pack("<I", len(payload)), channel)
            elif operation == END:
                assert channel not in stream.ended
                stream.ended.add(channel)
            elif operation == CREDIT:
                stream.credit += struct.unpack("<I", payload)[0]
            else:
                stream.answers.append((operation, payload))

    # What tests do.

    def start(self, arguments: Sequence[bytes | str], **keywords: Any) -> Stream:
        return self.open_stream(START, start_payload(arguments, **keywords))

    def write(self, stream: Stream, data: bytes, end: bool = True, timeout: float = 60) -> None:
        """Sends bytes as the credit allows."""
        place = 0
        while place < len(data):
            self.wait(lambda: stream.credit > 0 or 0 in stream.ended or stream.done, timeout)
            if 0 in stream.ended or stream.done:
                return
            piece = data[place : place + min(LONGEST, stream.credit)]
            self.send(DATA, stream.number, piece)
            stream.credit -= len(piece)
            place += len(piece)
        if end:
            self.send(END, stream.number)
        self.wait(lambda: not self._to_send, timeout)

    def finish(self, stream: Stream, timeout: float = 60) -> Stream:
        """Waits until a process ended and said all."""
        channels = set(stream.ended)
        self.wait(lambda: stream.failed or (stream.status is not None and {1, 2} <= stream.ended | channels), timeout)
        return stream

    def run(self, arguments: Sequence[bytes | str], data: bytes = b"", timeout: float = 60, **keywords: Any) -> Stream:
        stream = self.start(arguments, **keywords)
        self.write(stream, data, timeout=timeout)
        return self.finish(stream, timeout)

    def close(self, stream: Stream, timeout: float = 30) -> None:
        self.send(CLOSE, stream.number)
        self.wait(lambda: stream.answer(CLOSED) is not None, timeout)

    def open_file(self, path: str | bytes | os.PathLike[str], flags: int, mode: int = 0o666, offset: int = 0) -> Stream:
        return self.open_stream(OPEN, struct.pack("<IIQ", flags, mode, offset) + os.fsencode(path))

    def read_file(self, path: str | bytes | os.PathLike[str], timeout: float = 60) -> Stream:
        stream = self.open_file(path, READ)
        self.wait(lambda: stream.failed or stream.done, timeout)
        return stream

    def write_file(
        self,
        path: str | bytes | os.PathLike[str],
        data: bytes,
        flags: int = WRITE | CREATE | TRUNCATE,
        mode: int = 0o666,
    ) -> Stream:
        stream = self.open_file(path, flags, mode)
        self.write(stream, data)
        self.wait(lambda: stream.failed or stream.done)
        return stream

    def connect(self, port: int, address: str = "", unix: bytes | None = None, kind: int = TCP) -> Stream:
        return self.open_stream(CONNECT, place(port, address, unix, kind))

    def listen(
        self, port: int = 0, address: str = "", unix: bytes | None = None, kind: int = TCP
    ) -> tuple[Stream, int]:
        """A stream that listens, and its port."""
        stream = self.open_stream(LISTEN, place(port, address, unix, kind))
        self.wait(lambda: stream.answers)
        started = stream.answer(STARTED)
        return stream, struct.unpack("<H", started)[0] if started else 0

    def accept(self, listener: Stream) -> Stream:
        return self.open_stream(ACCEPT, struct.pack("<I", listener.number))


def place(port: int, address: str = "", unix: bytes | None = None, kind: int = TCP) -> bytes:
    """Where something is connected to, or listens."""
    return struct.pack("<BH", kind if unix is None else UNIX, port) + (unix or address.encode())


def datagrams(data: bytes, peers: bool = False) -> list[tuple[bytes, bytes]]:
    """The peer and the content of each datagram of a channel."""
    found, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<H", data, at)
        at += 2
        peer = data[at : at + PEER] if peers else b""
        at += len(peer)
        assert len(data) - at >= length, "a datagram that is not whole"
        found.append((peer, data[at : at + length]))
        at += length
    return found


@contextmanager
def agent_process(
    program: Path, starter: Sequence[str] = (), kind: int = socket.SOCK_STREAM, **keywords: Any
) -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    """An agent on this host, and the host's end of its port. A starter is a command that executes its arguments."""
    ours, theirs = socket.socketpair(type=kind)
    command: list[str | Path] = [*starter, program, "--descriptor", str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], **keywords)
    theirs.close()
    try:
        yield ours, process
    finally:
        ours.close()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait()


# ---- Trees ----

RECORD = struct.Struct("<cIIIqIQ")


@dataclass
class Record:
    """A record of a tree. Of an error the mode is its errno."""

    kind: bytes
    path: bytes
    mode: int = 0o644
    user: int = 0
    group: int = 0
    modified: int = 0  # nanoseconds
    size: int | None = None  # that of the extents by default
    target: bytes = b""
    extents: list[tuple[int, bytes]] = field(default_factory=list)

    def pack(self) -> bytes:
        ends = [offset + len(data) for offset, data in self.extents]
        size = max(ends, default=0) if self.size is None else self.size
        seconds, nanoseconds = divmod(self.modified, 10**9)
        head = RECORD.pack(self.kind, self.mode, self.user, self.group, seconds, nanoseconds, size)
        whole = head + text(self.path) + text(self.target)
        if size > 0:
            for offset, data in self.extents:
                whole += struct.pack("<QQ", offset, len(data)) + data
            whole += struct.pack("<QQ", size, 0)
        return whole

    @property
    def content(self) -> bytes:
        content = bytearray(self.size or 0)
        for offset, data in self.extents:
            content[offset : offset + len(data)] = data
        return bytes(content)


def records(data: bytes) -> list[Record]:
    """Takes a tree apart."""
    found, place = [], 0

    def take(count: int) -> bytes:
        nonlocal place
        assert len(data) - place >= count, "a tree that ends in the middle of a record"
        place += count
        return data[place - count : place]

    while place < len(data):
        kind, mode, user, group, seconds, nanoseconds, size = RECORD.unpack(take(RECORD.size))
        path = take(struct.unpack("<I", take(4))[0])
        target = take(struct.unpack("<I", take(4))[0])
        record = Record(kind, path, mode, user, group, seconds * 10**9 + nanoseconds, size, target)
        while size > 0:
            offset, length = struct.unpack("<QQ", take(16))
            if length == 0:
                break
            record.extents.append((offset, take(length)))
        found.append(record)
    return found


def send_tree(agent: Speaker, path: str | bytes | os.PathLike[str], flags: int = 0, timeout: float = 60) -> Stream:
    stream = agent.open_stream(SEND_TREE, struct.pack("<I", flags) + os.fsencode(path))
    agent.wait(lambda: stream.failed or stream.done, timeout)
    return stream


def receive_tree(
    agent: Speaker, path: str | bytes | os.PathLike[str], data: bytes, flags: int = 0, timeout: float = 60
) -> Stream:
    stream = agent.open_stream(RECEIVE_TREE, struct.pack("<I", flags) + os.fsencode(path))
    agent.write(stream, data, timeout=timeout)
    agent.wait(lambda: stream.failed or stream.done, timeout)
    return stream
