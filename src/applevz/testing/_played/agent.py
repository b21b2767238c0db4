# SPDX-License-Identifier: Apache-2.0
"""A guest's agent that answers as it is told: docs/guest-agent-protocol.md from the guest's side.

It runs nothing. The programs of the guest are a table of command lines, its files a table of contents.
"""

from __future__ import annotations

import errno
import struct
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

# Those of the host's side, which has the same frames. The program finds them without the package.
if TYPE_CHECKING:
    from applevz._core.guest import frames
else:
    import frames

_WINDOW = 1 << 20
_BEGINNING = len(frames.MARKER) + 20
_HEADER = struct.Struct("<HBBII")
_START = struct.Struct("<IHHII")
_OPEN = struct.Struct("<IIQ")
_OUTPUT, _ERRORS = 1, 2
_PIPED_OUTPUT, _PIPED_ERRORS, _MERGED, _QUIET = 4, 8, 16, 128
_TERMINAL = 1
_WRITE, _APPEND, _EXCLUSIVE = 2, 32, 16


class _Stream:
    """One that the host began, and that is not over."""

    def __init__(self) -> None:
        self.message = bytearray()
        self.queues: dict[int, bytearray] = {}
        self.channels: list[int] = []
        self.credit: dict[int, int] = {}
        self.end: Callable[[], None] | None = None
        self.path: str | None = None
        self.written = bytearray()


class Agent:
    """The guest's end of the port."""

    def __init__(self, guest: Mapping[str, Any], send: Callable[[bytes], None], ran: list[list[str]]) -> None:
        self._guest = guest
        self._send = send
        self._ran = ran
        self.files: dict[str, bytes] = {path: text.encode("latin-1") for path, text in guest["files"].items()}
        self._received = bytearray()
        self._hunting = True
        self._streams: dict[int, _Stream] = {}
        self._processes = 100

    def come(self) -> None:
        """It has just opened the port: whoever spoke to another one learns of that."""
        self._hunting = True
        self._streams.clear()
        self._received.clear()
        self._send(b"\xff" * (_HEADER.size + frames.MOST + 4) + frames.MARKER + frames.NO_NONCE)

    def receive(self, data: bytes) -> None:
        self._received += data
        while self._hunt() if self._hunting else self._take_frame():
            pass

    def _hunt(self) -> bool:
        place = self._received.find(frames.MARKER)
        if place < 0:
            del self._received[: -len(frames.MARKER)]
            return False
        if len(self._received) - place < _BEGINNING:
            return False
        nonce = bytes(self._received[place + len(frames.MARKER) + 4 : place + _BEGINNING])
        del self._received[: place + _BEGINNING]
        killed = len(self._streams)
        self._streams.clear()
        self._hunting = False
        hello = struct.pack("<IIIII", frames.VERSION, _WINDOW, killed, 0, 1) + b"played"
        self._send(frames.MARKER + nonce + frames.frame(frames.HELLO, 0, hello))
        return True

    def _take_frame(self) -> bool:
        if len(self._received) < _HEADER.size:
            return False
        magic, operation, channel, stream, length = _HEADER.unpack_from(self._received)
        if magic != 0x7641 or length > frames.MOST:
            self._hunting = True
            return True
        whole = _HEADER.size + length + 4
        if len(self._received) < whole:
            return False
        payload = bytes(self._received[_HEADER.size : _HEADER.size + length])
        (end,) = struct.unpack_from("<I", self._received, _HEADER.size + length)
        if end != (stream ^ length ^ operation) & 0x7FFFFFFF:
            self._hunting = True
            return True
        del self._received[:whole]
        self._act(operation, channel, stream, payload)
        return True

    def _act(self, operation: int, channel: int, number: int, payload: bytes) -> None:
        known = self._streams.get(number)
        if operation == frames.INFORMATION:
            self._tell()
        elif operation == frames.START:
            stream = self._streams.setdefault(number, _Stream())
            stream.message += payload
            if channel == 0:
                self._start(number, stream)
        elif operation == frames.OPEN:
            self._open(number, payload)
        elif operation in _REFUSED:
            what, code = _REFUSED[operation]
            self._fail(number, code, what)
        elif operation == frames.CLOSE:
            self._streams.pop(number, None)
            self._say(frames.CLOSED, number)
        elif known is not None and operation == frames.CREDIT:
            known.credit[channel] = known.credit.get(channel, 0) + int.from_bytes(payload[:4], "little")
            self._flush(number, known)
        elif known is not None and operation == frames.DATA:
            known.written += payload
            self._say(frames.CREDIT, number, len(payload).to_bytes(4, "little"), channel)
        elif known is not None and operation == frames.END and known.path is not None:
            self.files[known.path] = bytes(known.written)
            self._over(number, frames.DONE, struct.pack("<i", 0))
        elif known is not None and operation == frames.SIGNAL:
            known.queues.clear()
            self._exit(number, known, 1, int.from_bytes(payload[:4], "little"))

    def _say(self, operation: int, number: int, payload: bytes = b"", channel: int = 0) -> None:
        self._send(frames.frame(operation, number, payload, channel))

    def _over(self, number: int, operation: int, payload: bytes) -> None:
        self._streams.pop(number, None)
        self._say(operation, number, payload)

    def _fail(self, number: int, code: int, what: str) -> None:
        self._over(number, frames.FAILED, struct.pack("<i", code) + what.encode())

    def _tell(self) -> None:
        lines = "".join(f"{key}={value}\n" for key, value in self._guest["information"].items())
        self._send(frames.frame(frames.TOLD, 0, lines.encode()[: frames.MOST]))

    # ---- Processes ----

    def _start(self, number: int, stream: _Stream) -> None:
        flags, _, _, count, _ = _START.unpack_from(stream.message)
        texts, place = [], _START.size
        for _ in range(2 + count):
            length = int.from_bytes(stream.message[place : place + 4], "little")
            texts.append(stream.message[place + 4 : place + 4 + length].decode("utf-8", "surrogateescape"))
            place += 4 + length
        arguments = texts[2:]
        self._ran.append(arguments)
        result = self._result(arguments)
        if result is None:
            self._fail(number, errno.ENOENT, "program")
            return
        self._processes += 1
        if not flags & _QUIET or result["hangs"]:
            self._say(frames.STARTED, number, self._processes.to_bytes(4, "little"))
        output, errors = result["stdout"].encode("latin-1"), result["stderr"].encode("latin-1")
        if flags & (_MERGED | _TERMINAL):
            output, errors = output + errors, b""
        piped = [_OUTPUT] if flags & (_PIPED_OUTPUT | _TERMINAL) else []
        piped += [_ERRORS] if flags & _PIPED_ERRORS else []
        stream.queues = {channel: bytearray(output if channel == _OUTPUT else errors) for channel in piped}
        stream.credit = dict.fromkeys(piped, _WINDOW)
        stream.channels = piped
        if not result["hangs"]:
            stream.end = lambda: self._exit(number, stream, 0, result["returncode"])
        self._flush(number, stream)

    def _result(self, arguments: list[str]) -> dict[str, Any] | None:
        """What the table has for a command line: as it was given, or as a shell was given it."""
        commands: dict[str, dict[str, Any]] = self._guest["commands"]
        shell = arguments[2] if arguments[:2] == ["/bin/sh", "-c"] and len(arguments) > 2 else None
        for words in (["sh", shell], arguments, [arguments[0]]):
            found = commands.get("\0".join(word for word in words if word is not None))
            if found is not None and words[-1] is not None:
                return found
        return None

    def _flush(self, number: int, stream: _Stream) -> None:
        for channel, queue in stream.queues.items():
            while queue and stream.credit[channel] > 0:
                part = bytes(queue[: min(frames.MOST, stream.credit[channel])])
                del queue[: len(part)]
                stream.credit[channel] -= len(part)
                self._say(frames.DATA, number, part, channel)
        if stream.end is not None and not any(stream.queues.values()):
            end, stream.end = stream.end, None
            end()

    def _exit(self, number: int, stream: _Stream, kind: int, value: int) -> None:
        self._over(number, frames.EXITED, struct.pack("<BI", kind, value & 0xFFFFFFFF))
        for channel in stream.channels:
            self._say(frames.END, number, channel=channel)

    # ---- Files ----

    def _open(self, number: int, payload: bytes) -> None:
        flags, _, offset = _OPEN.unpack_from(payload)
        path = payload[_OPEN.size :].decode("utf-8", "surrogateescape")
        there = self.files.get(path)
        if there is None and not flags & _WRITE:
            self._fail(number, errno.ENOENT, "open")
            return
        if there is not None and flags & _EXCLUSIVE:
            self._fail(number, errno.EEXIST, "open")
            return
        stream = self._streams[number] = _Stream()
        if flags & _WRITE:
            stream.path = path
            stream.written += (there or b"") if flags & _APPEND else (there or b"")[:offset]
            self._say(frames.STARTED, number)
            return
        content = (there or b"")[offset:]
        self._say(frames.STARTED, number, struct.pack("<QIQI", len(there or b""), 0o100644, int(time.time()), 0))
        stream.queues = {_OUTPUT: bytearray(content)}
        stream.credit = {_OUTPUT: _WINDOW}
        stream.end = lambda: self._end_of_file(number)
        self._flush(number, stream)

    def _end_of_file(self, number: int) -> None:
        self._say(frames.END, number, channel=_OUTPUT)
        self._over(number, frames.DONE, struct.pack("<i", 0))


# What no guest is there for: by whom it is refused, and with what.
_REFUSED: dict[int, tuple[str, int]] = {
    frames.CONNECT: ("connect", errno.ECONNREFUSED),
    frames.LISTEN: ("listen", errno.EADDRNOTAVAIL),
    frames.ACCEPT: ("listener", errno.EINVAL),
    frames.SEND_TREE: ("open", errno.ENOSYS),
    frames.RECEIVE_TREE: ("open", errno.ENOSYS),
}
