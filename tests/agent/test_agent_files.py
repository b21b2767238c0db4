# SPDX-License-Identifier: Apache-2.0
"""Files that the guest agent reads and writes, and connections that it makes."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent_protocol import (
    APPEND,
    CLOSE,
    CLOSED,
    CREATE,
    DATA,
    DONE,
    END,
    EXCLUSIVE,
    LONGEST,
    OPEN,
    READ,
    STARTED,
    TRUNCATE,
    WINDOW,
    WRITE,
    Speaker,
    Stream,
    frame,
)


def test_a_file_is_read(agent: Speaker, tmp_path: Path) -> None:
    data = os.urandom(3_000_001)
    (tmp_path / "file").write_bytes(data)
    (tmp_path / "file").chmod(0o640)
    os.utime(tmp_path / "file", ns=(0, 1_234_567_890_123_456_789))
    stream = agent.read_file(tmp_path / "file")
    assert (stream.data[1], stream.ended, stream.done) == (data, {1}, (0, b""))
    size, mode, seconds, nanoseconds = struct.unpack("<QIqI", stream.answer(STARTED) or b"")
    assert (size, mode, seconds, nanoseconds) == (len(data), 0o100640, 1_234_567_890, 123_456_789)


def test_a_file_of_no_length_that_has_bytes_all_the_same(agent: Speaker) -> None:
    assert agent.read_file("/proc/version").data[1] == Path("/proc/version").read_bytes()


@pytest.mark.parametrize("length", [0, 1, LONGEST, 3_000_001])
def test_a_file_is_written(agent: Speaker, tmp_path: Path, length: int) -> None:
    data = os.urandom(length)
    stream = agent.write_file(tmp_path / "file", data, mode=0o640)
    assert (stream.failed, stream.done) == (None, (0, b""))
    assert (tmp_path / "file").read_bytes() == data
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640 & ~0o022


def test_how_a_file_is_opened(agent: Speaker, tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert agent.write_file(path, b"x", WRITE).failed == (errno.ENOENT, "open")
    assert agent.write_file(path, b"12345", WRITE | CREATE | EXCLUSIVE).done == (0, b"")
    assert agent.write_file(path, b"x", WRITE | CREATE | EXCLUSIVE).failed == (errno.EEXIST, "open")
    assert agent.write_file(path, b"ab", WRITE).done == (0, b"")
    assert path.read_bytes() == b"ab345"
    assert agent.write_file(path, b"6", WRITE | APPEND).done == (0, b"")
    assert path.read_bytes() == b"ab3456"
    assert agent.write_file(path, b"new", WRITE | TRUNCATE).done == (0, b"")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("flags", [0, READ | WRITE])
def test_a_file_is_either_read_or_written(agent: Speaker, tmp_path: Path, flags: int) -> None:
    stream = agent.open_file(tmp_path, flags)
    agent.wait(lambda: stream.failed)
    assert stream.failed == (errno.EINVAL, "open")


def test_what_cannot_be_opened_says_why(agent: Speaker, tmp_path: Path) -> None:
    assert agent.read_file(tmp_path / "none").failed == (errno.ENOENT, "open")
    assert agent.read_file(tmp_path).failed == (errno.EISDIR, "open")
    assert agent.write_file(tmp_path, b"").failed == (errno.EISDIR, "open")
    assert agent.read_file(b"a\0b").failed == (errno.EINVAL, "path")
    assert agent.read_file(b"").failed == (errno.EINVAL, "path")
    stream = agent.open_stream(OPEN, b"\1\0\0\0")
    agent.wait(lambda: stream.failed)
    assert stream.failed == (errno.EPROTO, "path")


def test_a_name_of_every_byte(agent: Speaker, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/" + bytes(set(range(1, 256)) - {0x2F})
    assert agent.write_file(path, b"data").done == (0, b"")
    assert agent.read_file(path).data[1] == b"data"


def test_a_device_that_is_full_ends_the_writing(agent: Speaker) -> None:
    stream = agent.write_file("/dev/full", bytes(2 * WINDOW))
    assert stream.done == (errno.ENOSPC, b"")
    assert agent.run(["true"]).status == 0


def test_a_device_is_neither_made_nor_truncated(agent: Speaker) -> None:
    assert agent.write_file("/dev/null", b"x" * 100_000).done == (0, b"")
    assert Path("/dev/null").is_char_device()


def test_an_endless_file_can_be_closed(agent: Speaker) -> None:
    stream = agent.open_file("/dev/zero", READ)
    agent.wait(lambda: len(stream.data[1]) > 5 * WINDOW)
    agent.close(stream)
    assert agent.run(["true"]).status == 0


def test_a_fifo_that_nobody_writes_to_holds_up_no_other(agent: Speaker, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    keep = os.open(tmp_path / "fifo", os.O_RDWR)
    stream = agent.open_file(tmp_path / "fifo", READ)
    assert agent.run(["true"]).status == 0
    os.write(keep, b"data")
    agent.wait(lambda: stream.data[1] == b"data")
    os.close(keep)
    agent.wait(lambda: stream.done)
    assert stream.done == (0, b"")


# ---- Connections ----


@contextmanager
def connected(
    agent: Speaker, family: int = socket.AF_INET, address: str = "127.0.0.1"
) -> Iterator[tuple[Stream, socket.socket]]:
    with socket.create_server((address, 0), family=family) as server:
        server.settimeout(30)
        stream = agent.connect(server.getsockname()[1], "" if family == socket.AF_INET else address)
        agent.wait(lambda: stream.answers)
        assert stream.failed is None
        peer, _ = server.accept()
        with peer:
            peer.settimeout(30)
            yield stream, peer


def received(peer: socket.socket) -> bytes:
    whole = b""
    while piece := peer.recv(1 << 20):
        whole += piece
    return whole


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_connection_carries_both_ways(agent: Speaker, family: int, address: str) -> None:
    with connected(agent, family, address) as (stream, peer):
        data = os.urandom(2_000_000)
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(received(peer)))
        reader.start()
        agent.write(stream, data)
        agent.wait(lambda: not reader.is_alive())
        assert got == [data]
        # The other half is still open.
        peer.sendall(b"answer")
        agent.wait(lambda: stream.data[1] == b"answer")
        peer.close()
        agent.wait(lambda: 1 in stream.ended)
        assert [operation for operation, _ in stream.answers] == [STARTED]


def test_an_end_of_the_peer_leaves_the_other_half_open(agent: Speaker) -> None:
    with connected(agent) as (stream, peer):
        peer.shutdown(socket.SHUT_WR)
        agent.wait(lambda: 1 in stream.ended)
        agent.send(DATA, stream.number, b"late")
        agent.send(END, stream.number)
        agent.run(["true"])
        assert received(peer) == b"late"


def test_a_connection_that_breaks_says_why(agent: Speaker) -> None:
    with connected(agent) as (stream, peer):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        agent.wait(lambda: stream.done)
        assert stream.done == (errno.ECONNRESET, b"")
        assert [operation for operation, _ in stream.answers] == [STARTED, DONE]


def test_a_peer_that_reads_nothing_is_given_no_more_than_the_window(agent: Speaker) -> None:
    with connected(agent) as (stream, peer):
        agent.gives_credit = False
        sent = 0
        while stream.credit >= LONGEST and sent < 64 << 20:
            agent.send(DATA, stream.number, bytes(LONGEST))
            stream.credit -= LONGEST
            sent += LONGEST
            agent.run(["true"])
        # The kernel's buffers for the two sockets and the window; then there is no more credit.
        assert sent < 64 << 20
        total = 0
        agent.send(END, stream.number)
        while total < sent:
            total += len(peer.recv(1 << 20))
            agent.pump(0.01)
        assert total == sent


def test_a_closed_connection_is_closed_for_the_peer(agent: Speaker) -> None:
    with connected(agent) as (stream, peer):
        agent.close(stream)
        assert received(peer) == b""


@pytest.mark.parametrize("reset", [False, True])
def test_what_comes_together_with_the_end_of_a_connection_is_written(agent: Speaker, reset: bool) -> None:
    with connected(agent) as (stream, peer):
        end = frame(DATA, stream.number, b"the last words") + frame(CLOSE, stream.number, channel=int(reset))
        agent.send_bytes(end)
        agent.wait(lambda: stream.answer(CLOSED) is not None)
        if reset:
            with pytest.raises(ConnectionResetError):
                peer.recv(100)
        else:
            assert received(peer) == b"the last words"


def test_where_nobody_listens(agent: Speaker, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    stream = agent.connect(port)
    agent.wait(lambda: stream.failed)
    assert stream.failed == (errno.ECONNREFUSED, "connect")
    stream = agent.connect(0, unix=os.fsencode(tmp_path / "none"))
    agent.wait(lambda: stream.failed)
    assert stream.failed == (errno.ENOENT, "connect")


@pytest.mark.parametrize("address", ["example.org", "1.2.3", "256.1.1.1", "x" * 300, "127.0.0.1\0"])
def test_what_is_no_address(agent: Speaker, address: str) -> None:
    stream = agent.connect(80, address)
    agent.wait(lambda: stream.failed)
    assert stream.failed == (errno.EINVAL, "address")


@pytest.mark.parametrize("abstract", [False, True])
def test_a_unix_socket(agent: Speaker, tmp_path: Path, abstract: bool) -> None:
    path = b"\0applevz-test-%d" % os.getpid() if abstract else os.fsencode(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        stream = agent.connect(0, unix=path)
        agent.wait(lambda: stream.answers)
        peer, _ = server.accept()
        with peer:
            agent.write(stream, b"hello")
            assert received(peer) == b"hello"
            peer.sendall(b"bye")
        agent.wait(lambda: 1 in stream.ended)
        assert stream.data[1] == b"bye"


@pytest.mark.parametrize("path", [b"", b"x" * 108, b"a\0b"])
def test_what_is_no_path_of_a_socket(agent: Speaker, path: bytes) -> None:
    stream = agent.open_stream(9, b"\1\0\0" + path)
    agent.wait(lambda: stream.failed)
    assert stream.failed == (errno.EINVAL, "address")
