# SPDX-License-Identifier: Apache-2.0
"""What Python reads of a guest, and how it is begun with: its agents, trees of files, console and counters."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
import struct
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from unittest import mock

from native_seeds import line, tree

from agent_protocol import DATA, DONE, END, EXITED, FAILED, HELLO, LONGEST, STARTED, TOLD
from applevz._core import logs, panics, statistics
from applevz._core.console import _finder
from applevz._core.deadline import Deadline
from applevz._core.guest import connection, files, frames, open_files, process, qemu_calls, trees
from applevz._core.guest.datagrams import DatagramReader
from applevz._core.guest.guest import BaseGuest
from applevz._core.guest.qemu_agent import QEMUAgent
from fake_agent import port

__all__ = [
    "frame_seeds",
    "qemu_agent_seeds",
    "read_console",
    "read_datagrams",
    "read_frames",
    "read_qemu_agent",
    "read_statistics",
    "read_tree",
]

_ROUNDS: Final = 400
_PATH: Final = b"/file"


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="applevz-fuzz-") as name:
        yield Path(name)


# ---- The agent in the guest


def step(operation: int, payload: bytes = b"", *, channel: int = 0, stream: int = 1) -> bytes:
    return struct.pack("<BBBH", operation, channel, stream, len(payload)) + payload


def frames_in(data: bytes) -> Iterator[bytes]:
    """Frames that are whole, or bytes that may be none: those of an operation that is there twice over."""
    while len(data) >= 5:
        operation, channel, stream, length = struct.unpack_from("<BBBH", data)
        payload, data = data[5 : 5 + length][:LONGEST], data[5 + length :]
        yield payload if operation >= 128 else frames.frame(operation, stream % 8, payload, channel)


def drive(steps: Generator[Any, None, Any], turn: Callable[[], bool]) -> Any:
    """Goes through the steps of a call as a face does it, without waiting. Each turn says whether there is one more."""
    is_over = False
    for _ in range(_ROUNDS):
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        if is_over:
            break
        is_over = not turn()
    steps.close()
    return None


def call_of(guest: BaseGuest, kind: int, target: Path) -> Generator[Any, None, Any]:
    """A call that is under way in the guest."""
    session, deadline = guest._session, Deadline(60)

    def ran() -> Generator[Any, None, Any]:
        what = process.start_of(
            ["x"], stdin=process.PIPE, stdout=process.PIPE, stderr=process.PIPE, shell=False, cwd=None, env=None,
            user=None, quiet=kind == 0,
        )  # fmt: skip
        stream = yield from process.start(session, what, deadline)
        one = process.BaseProcess(session, what, stream)
        yield from one._communicate(b"input", deadline)
        return one.returncode, repr(one)

    def received(protocol: str) -> Generator[Any, None, Any]:
        place = connection.port_target(22, "localhost", protocol)
        stream = yield from connection.connect(session, place, deadline)
        one = connection.BaseConnection(session, stream, place)
        while (yield from one._receive(100, deadline)):
            pass
        one._end()

    def opened() -> Generator[Any, None, Any]:
        file = yield from open_files.open_file(session, "/file", open_files.mode_of("rb"), 0o644, deadline)
        while (yield from file.read(100, deadline)):
            pass

    calls: list[Callable[[], Generator[Any, None, Any]]] = [
        ran,
        lambda: files.read_file(session, _PATH, deadline),
        ran,
        lambda: received("tcp"),
        lambda: received("udp"),
        lambda: trees.copy_out(session, "/tree", target / "tree", None, deadline),
        lambda: guest._info(deadline),
        opened,
        lambda: files.write_file(session, _PATH, b"data" * 100, 0o644, deadline),
        lambda: trees.copy_in(session, target / "given", "/tree", None, deadline),
    ]
    return calls[kind % len(calls)]()


def read_frames(data: bytes) -> None:
    if not data:
        return
    with folder() as target:
        (target / "given").write_bytes(b"given")
        reference, agent = port()
        guest = BaseGuest(reference, None)
        parts, is_closed = frames_in(data[1:]), False

        def turn() -> bool:
            nonlocal is_closed
            with contextlib.suppress(BlockingIOError, OSError):
                while agent.end.recv(1 << 16, socket.MSG_DONTWAIT):
                    pass
            part = next(parts, None)
            if part is not None:
                with contextlib.suppress(OSError):
                    agent.end.send(part, socket.MSG_DONTWAIT)
            elif not is_closed:
                is_closed = True
                agent.close()
            guest._session.pump()
            return True

        with agent:
            steps = call_of(guest, data[0], target)
            next(steps)
            agent.greet()
            guest._session.pump()
            agent.end.setblocking(False)
            try:
                drive(steps, turn)
            finally:
                guest._session.lose("It is over.")
        if (target / "tree").is_dir():
            open_all(target / "tree")


def frame_seeds() -> list[bytes]:
    started, done, nothing = step(STARTED, struct.pack("<I", 17)), step(DONE, bytes(4)), struct.pack("<I", 2)
    exited = step(EXITED, bytes(5)) + step(END, channel=1) + step(END, channel=2)
    output = step(DATA, b"out", channel=1) + step(DATA, b"err", channel=2)
    whole = step(DATA, tree(), channel=1) + step(END, channel=1) + done
    told = b"hostname=a\nload=0.1 0.2 0.3\nmemory.total=5\naddress=eth0 10.0.2.15\nos.ID=debian\n"
    datagram = struct.pack("<H", 5) + b"hello"
    answers = [
        started + output + exited, started + output + step(END, channel=1) + done, started + output + exited,
        started + output + step(END, channel=1), started + step(DATA, datagram, channel=1) + step(END, channel=1),
        started + whole, step(TOLD, told, stream=0, channel=1) + step(TOLD, told, stream=0),
        step(STARTED, struct.pack("<QIQI", 5, 0o100644, 0, 0)) + output + step(END, channel=1) + done,
        started + step(frames.CREDIT, struct.pack("<I", 5)) + done, started + step(END) + done,
    ]  # fmt: skip
    failures = [step(FAILED, nothing + b"program"), step(HELLO, bytes(24)), step(200, frames.MARKER + bytes(16))]
    return [bytes([kind]) + answer for kind, answer in enumerate(answers)] + [
        bytes([kind]) + failure for kind in range(10) for failure in failures
    ]


def open_all(root: Path) -> None:
    """Has all folders be ones that can be removed."""
    root.chmod(0o700)
    for path in root.iterdir():
        if path.is_dir() and not path.is_symlink():
            open_all(path)


def read_tree(data: bytes) -> None:
    """The first byte says how long the pieces are in which the records come."""
    with folder() as target:
        canary = target / "canary"
        canary.write_bytes(b"alive")
        before = canary.stat()
        maker = trees.TreeMaker(os.fsencode(target / "tree"), lambda size: None)
        size = data[0] * 16 + 1 if data else 1
        try:
            for begin in range(1, len(data), size):
                maker.feed(data[begin : begin + size])
            maker.finish()
        finally:
            maker.close()
            now = canary.lstat()
            names = set(os.listdir(target))
            if (target / "tree").is_dir() and not (target / "tree").is_symlink():
                open_all(target / "tree")
        assert names <= {"canary", "tree"}, names
        assert (now.st_ino, now.st_size, now.st_mode, now.st_nlink, now.st_mtime_ns) == (
            before.st_ino, before.st_size, before.st_mode, before.st_nlink, before.st_mtime_ns,
        )  # fmt: skip


def read_datagrams(data: bytes) -> None:
    reader = DatagramReader(peers=bool(data[:1] > b"\x7f"))
    for begin in range(1, len(data), 100):
        for peer, content in reader.read(data[begin : begin + 100]):
            assert len(peer) in (0, 28)
            assert len(content) <= 65527


# ---- QEMU's agent


class _Port:
    """Answers each request with the next line."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        self._lines = list(lines)
        self._came = b""
        self.is_out = False

    @property
    def reference(self) -> Any:
        raise AssertionError

    def send(self, data: bytes) -> int:
        for request in data.replace(b"\xff", b"").splitlines():
            said = json.loads(request)
            if said["execute"] == "guest-sync-delimited":
                self._came += b"\xff" + line({"return": said["arguments"]["id"]})
            elif self._lines:
                self._came += self._lines.pop(0) + b"\n"
            else:
                self.is_out = True
        return len(data)

    def receive(self) -> bytes:
        came, self._came = self._came, b""
        return came


def read_qemu_agent(data: bytes) -> None:
    lines = _Port(data[1:].split(b"\n"))
    agent = QEMUAgent(lines)
    agent.begin()
    agent.pump()
    talk, deadline = agent.conversation, Deadline(60)

    def turn() -> bool:
        agent.pump()
        if lines.is_out:
            agent.lose("It went.")
        return True

    calls: list[Callable[[], Generator[Any, None, Any]]] = [
        lambda: qemu_calls.information(talk, deadline),
        lambda: qemu_calls.read_file(talk, _PATH, deadline),
        lambda: qemu_calls.write_file(talk, _PATH, b"data" * 100, 0o644, deadline),
        lambda: qemu_calls.run(talk, ["x"], ["x"], data=memoryview(b"in"), captured=(1, 2), deadline=deadline),
    ]
    with talk.trusted():
        drive(calls[data[0] % len(calls)]() if data else calls[0](), turn)


def qemu_agent_seeds() -> list[bytes]:
    text = base64.b64encode(b"MemTotal: 5 kB\n").decode()
    part = {"return": {"count": 15, "buf-b64": text, "eof": True}}
    interfaces = [{"name": "eth0", "ip-addresses": [{"ip-address": "10.0.2.15"}]}]
    file: list[dict[str, Any]] = [{"return": 3}, part, {"return": {}}]
    told: list[dict[str, Any]] = [
        {"return": {"host-name": "guest"}}, {"return": {"id": "debian", "kernel-release": "6.1", "machine": "x86_64"}},
        {"return": interfaces}, {"return": [{"online": True}]}, {"return": {"version": "7.2"}}, *file * 3,
    ]  # fmt: skip
    over = {"return": {"exited": True, "exitcode": 1, "out-data": text, "err-data": ""}}
    error = {"error": {"class": "GenericError", "desc": "No such file or directory"}}
    conversations: list[list[dict[str, Any]]] = [
        told, file, [{"return": 3}, {"return": {"count": 400}}, {"return": {}}],
        [{"return": {"pid": 5}}, {"return": {"exited": False}}, over],
    ]  # fmt: skip
    return [bytes([kind]) + b"".join(map(line, some)) for kind, some in enumerate(conversations)] + [
        bytes([kind]) + line(error) for kind in range(4)
    ]


# ---- What a guest prints, and what it counts


def read_console(data: bytes) -> None:
    received = bytearray()
    finders = [_finder(b"login: "), _finder("# "), _finder(re.compile(rb"[#$] $", re.MULTILINE))]
    for begin in range(0, len(data), 7):
        part = data[begin : begin + 7]
        searched = len(received)
        received += part
        panics.panics_in(received, len(part))
        for find in finders:
            assert -1 <= find(received, searched) <= len(received)
    text = data.decode("utf-8", "replace")
    panics.panicked(text, "while it ran")
    assert logs.shown_words(text).isprintable()


def read_statistics(data: bytes) -> None:
    """The guest's tables of its network cards, as its agent reads them."""
    parts = data.split(b"\0")

    def of_guest(session: Any, path: bytes, deadline: Deadline, at_most: int) -> Generator[Any, None, bytes]:
        return parts.pop(0)[:at_most] if parts else b""
        yield

    class _Guest:
        _session = None

    with mock.patch.object(statistics, "read_file", of_guest):
        drive(statistics._cards(_Guest(), Deadline(60)), lambda: True)  # type: ignore[arg-type]
