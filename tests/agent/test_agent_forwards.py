# SPDX-License-Identifier: Apache-2.0
"""What the guest agent has listen for the host, and the datagrams that it carries."""

from __future__ import annotations

import errno
import itertools
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from agent_protocol import (
    CLOSED,
    DATA,
    END,
    LONGEST,
    STARTED,
    TCP,
    UDP,
    UNIX,
    WINDOW,
    Speaker,
    Stream,
    datagrams,
    frame,
)

Client = Callable[..., socket.socket]


@pytest.mark.parametrize("address", ["", "127.0.0.1", "::1", "0.0.0.0"])  # noqa: S104 - for a moment
def test_each_connection_goes_to_who_asked_for_one(agent: Speaker, client: Client, address: str) -> None:
    listener, port = agent.listen(address=address)
    where = "::1" if address == "::1" else "127.0.0.1"
    # Some come before anybody asks, some behind.
    first = client(port, where)
    streams = [agent.accept(listener) for _ in range(3)]
    agent.wait(lambda: streams[0].answers)
    second = client(port, where)
    agent.wait(lambda: streams[1].answers)
    for number, (stream, peer) in enumerate([(streams[0], first), (streams[1], second)]):
        assert stream.answers == [(STARTED, b"")]
        agent.send(DATA, stream.number, b"in%d" % number)
        agent.wait(lambda: not agent._to_send)
        assert peer.recv(10) == b"in%d" % number
        peer.sendall(b"out%d" % number)
        peer.shutdown(socket.SHUT_WR)
        agent.wait(lambda stream=stream: 1 in stream.ended)  # type: ignore[misc]
        assert stream.data[1] == b"out%d" % number
        agent.send(END, stream.number)
        agent.wait(lambda: not agent._to_send)
        assert peer.recv(10) == b""
    assert streams[2].answers == []


def test_much_goes_through_what_was_accepted(agent: Speaker, client: Client) -> None:
    listener, port = agent.listen()
    stream = agent.accept(listener)
    peer = client(port)
    agent.wait(lambda: stream.answers)
    data = os.urandom(3 * WINDOW)
    import threading

    sender = threading.Thread(target=lambda: (peer.sendall(data), peer.shutdown(socket.SHUT_WR)))
    sender.start()
    agent.wait(lambda: 1 in stream.ended)
    sender.join()
    assert stream.data[1] == data


def test_what_cannot_listen_says_why(agent: Speaker, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        stream, _ = agent.listen(taken.getsockname()[1])
    assert stream.failed == (errno.EADDRINUSE, "listen")
    assert agent.listen(address="192.0.2.1")[0].failed == (errno.EADDRNOTAVAIL, "listen")
    assert agent.listen(address="host.example")[0].failed == (errno.EINVAL, "address")
    assert agent.listen(unix=bytes(tmp_path / "none" / "socket"))[0].failed == (errno.ENOENT, "listen")
    (tmp_path / "file").write_text("kept")
    assert agent.listen(unix=bytes(tmp_path / "file"))[0].failed == (errno.EADDRINUSE, "listen")
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("payload", [b"", b"\1\0\0", b"\1\0\0\0\0", b"\xff\xff\xff\xff"])
def test_nobody_is_asked_for_a_connection_but_a_listener(agent: Speaker, payload: bytes) -> None:
    stream = agent.open_stream(14, payload)
    agent.wait(lambda: stream.answers)
    assert stream.failed == (errno.EINVAL, "listener")
    _, port = agent.listen(kind=UDP)
    assert port > 0


def test_those_that_wait_may_leave_the_line(agent: Speaker, client: Client) -> None:
    listener, port = agent.listen()
    for leaving in ([0], [1], [3], [0, 3], [1, 2], [3, 2], [0, 1, 2, 3]):
        waiting = [agent.accept(listener) for _ in range(4)]
        for place in leaving:
            agent.close(waiting[place])
        waiting = [stream for place, stream in enumerate(waiting) if place not in leaving]
        waiting.append(agent.accept(listener))
        for stream in waiting:
            peer = client(port)
            agent.wait(lambda stream=stream: stream.answers)  # type: ignore[misc]
            assert stream.answers == [(STARTED, b"")]
            peer.close()


def test_a_listener_that_is_closed_is_over_for_those_that_wait(agent: Speaker, client: Client) -> None:
    listener, port = agent.listen()
    waiting, closed = agent.accept(listener), agent.accept(listener)
    agent.close(closed)
    agent.close(listener)
    agent.wait(lambda: waiting.answers)
    assert waiting.failed == (errno.ECANCELED, "listener")
    assert closed.answers == [(CLOSED, b"")]
    with pytest.raises(ConnectionRefusedError):
        client(port)
    # Its port is free.
    again, _ = agent.listen(port)
    assert again.failed is None


def test_a_new_host_frees_what_the_last_one_had_listen(agent: Speaker, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listener, port = agent.listen()
    agent.listen(unix=bytes(path))
    agent.listen(kind=UDP)
    agent.accept(listener)
    assert path.is_socket()
    agent.begin()
    assert struct.unpack("<II", agent.hello[8:16]) == (0, 4)
    assert not path.exists()
    with pytest.raises(ConnectionRefusedError):
        client(port)


def test_a_unix_socket_listens_also_where_one_was_left(agent: Speaker, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    listener, port = agent.listen(unix=bytes(path))
    assert (listener.failed, port) == (None, 0)
    other, _ = agent.listen(unix=bytes(path))
    assert other.failed == (errno.EADDRINUSE, "listen")
    stream = agent.accept(listener)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(path))
        peer.sendall(b"data")
        agent.wait(lambda: stream.data[1])
    agent.close(listener)
    assert not path.exists()


# ---- Datagrams ----

SIZES = [0, 1, 1000, LONGEST, 65_507]


def send_record(agent: Speaker, stream: Stream, data: bytes, peer: bytes = b"") -> None:
    record = struct.pack("<H", len(data)) + peer + data
    agent.write(stream, record, end=False)


def test_datagrams_keep_their_bounds_both_ways(agent: Speaker) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        stream = agent.connect(server.getsockname()[1], kind=UDP)
        agent.wait(lambda: stream.answers)
        assert stream.answers == [(STARTED, b"")]
        for size in SIZES:
            data = os.urandom(size)
            send_record(agent, stream, data)
            came, peer = server.recvfrom(70_000)
            assert came == data
            before = len(stream.data[1])
            server.sendto(data[::-1], peer)
            agent.wait(lambda size=size, before=before: len(stream.data[1]) == before + 2 + size)  # type: ignore[misc]
            assert datagrams(bytes(stream.data[1][before:])) == [(b"", data[::-1])]
    # Nobody is there any more: that ends nothing.
    for _ in range(3):
        send_record(agent, stream, b"lost")
    assert agent.run(["true"]).status == 0
    assert stream.answers == [(STARTED, b"")]
    agent.close(stream)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_peers_of_a_port_are_told_apart(agent: Speaker, client: Client, address: str) -> None:
    stream, port = agent.listen(address=address, kind=UDP)
    peers = [client(port, address, socket.SOCK_DGRAM) for _ in range(3)]
    for number, peer in enumerate(peers):
        peer.send(b"%d" % number * 3000)
        agent.wait(lambda number=number: len(datagrams(bytes(stream.data[1]), peers=True)) > number)  # type: ignore[misc]
    came = datagrams(bytes(stream.data[1]), peers=True)
    assert [data for _, data in came] == [b"%d" % number * 3000 for number in range(3)]
    assert len({peer for peer, _ in came}) == 3
    for name, data in reversed(came):
        send_record(agent, stream, data[:2], name)
    agent.wait(lambda: not agent._to_send)
    assert [peer.recv(100) for peer in peers] == [b"00", b"11", b"22"]
    # A name of nobody's is as a datagram that is lost.
    send_record(agent, stream, b"x", b"\xff" * 28)
    assert agent.run(["true"]).status == 0


def test_datagrams_that_the_host_does_not_take_are_lost_and_hold_up_nobody(agent: Speaker, client: Client) -> None:
    agent.gives_credit = False
    stream, port = agent.listen(kind=UDP)
    peer = client(port, kind=socket.SOCK_DGRAM)
    numbers = itertools.count()

    def is_full() -> bool:
        for number in itertools.islice(numbers, 100):
            peer.send(struct.pack("<I", number) * 250)
        return len(stream.data[1]) == WINDOW

    agent.wait(is_full)
    # What comes now finds no room, in the end.
    for _ in range(20):
        assert is_full()
    assert agent.run(["true"]).status == 0
    assert len(stream.data[1]) == WINDOW
    agent.gives_credit = True
    agent.send(4, stream.number, struct.pack("<I", WINDOW), channel=1)
    peer.send(b"last")
    agent.wait(lambda: stream.data[1].endswith(b"last"))
    whole = datagrams(bytes(stream.data[1]), peers=True)
    assert all(data in (b"last", data[:4] * 250) for _, data in whole)


def test_a_datagram_longer_than_any_ends_its_stream(agent: Speaker) -> None:
    stream = agent.connect(9, kind=UDP)
    agent.send(DATA, stream.number, b"\xff\xff")
    agent.wait(lambda: stream.failed)
    assert stream.failed == (errno.EPROTO, "message")


def test_a_datagram_in_pieces_of_any_size_is_one(agent: Speaker) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        stream = agent.connect(server.getsockname()[1], kind=UDP)
        whole = b"".join(struct.pack("<H", size) + os.urandom(size) for size in (0, 5, 300, 2))
        for size in (1, 3, 100):
            for at in range(0, len(whole), size):
                agent.send(DATA, stream.number, whole[at : at + size])
            agent.wait(lambda: not agent._to_send)
            assert (
                b"".join(struct.pack("<H", len(data)) + data for data in (server.recv(999) for _ in range(4))) == whole
            )


def test_what_no_host_of_the_protocol_says_to_a_listener_is_dropped(agent: Speaker) -> None:
    listener, port = agent.listen()
    waiting = agent.accept(listener)
    for stream in (listener, waiting):
        agent.send_bytes(frame(DATA, stream.number, b"data") + frame(END, stream.number))
        agent.send_bytes(frame(4, stream.number, b"\xff" * 4, 1))
    with socket.create_connection(("127.0.0.1", port)) as peer:
        agent.wait(lambda: waiting.answers)
        peer.sendall(b"on")
        agent.wait(lambda: waiting.data[1] == b"on")


def test_more_wait_for_a_connection_than_there_may_be_streams(agent: Speaker) -> None:
    listener, _ = agent.listen()
    count = 16_384
    for number in range(10_000, 10_000 + count):
        agent.send(14, number, struct.pack("<I", listener.number))
    late = agent.accept(listener)
    agent.wait(lambda: late.answers, 60)
    assert late.failed == (errno.ENOMEM, "memory")
    agent.close(listener)
    assert agent.run(["true"]).status == 0


def test_kinds_of_places(agent: Speaker) -> None:
    for kind in (TCP, UNIX, UDP, 3, 255):
        stream = agent.open_stream(13, struct.pack("<BH", kind, 0) + b"/a\0b")
        agent.wait(lambda stream=stream: stream.answers)  # type: ignore[misc]
        assert stream.failed == (errno.EINVAL, "address")


def test_a_file_is_read_from_where_it_is_asked(agent: Speaker, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    for offset in (0, 3, 10, 11, 1 << 40):
        stream = agent.open_file(tmp_path / "file", 1, offset=offset)
        agent.wait(lambda stream=stream: stream.done)  # type: ignore[misc]
        assert stream.data[1] == b"0123456789"[offset:]
    os.mkfifo(tmp_path / "fifo")
    stream = agent.open_file(tmp_path / "fifo", 1, offset=1)
    agent.wait(lambda: stream.failed)
    assert stream.failed == (errno.ESPIPE, "open")
