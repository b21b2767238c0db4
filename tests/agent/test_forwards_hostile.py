# SPDX-License-Identifier: Apache-2.0
"""Forwards with an agent that the test plays: what it may not do ends the session, and what it may is bounded."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import pytest

import applevz
from applevz._blocking.forward import Forward
from applevz._blocking.guest import Guest
from applevz._core.guest import frames
from fake_agent import WINDOW, FakeAgent, port
from forwards import DIRECTIONS, forward
from processes import eventually

PATIENCE = 20.0


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    reference, agent = port()
    agent.guest = Guest(reference, None)
    with agent:
        yield agent


def forwarded(agent: FakeAgent, listening: int = 1, **places: Any) -> Forward:
    """A forward to the host, which the agent listens for."""
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(forward, agent.guest, PATIENCE, to="host", **places)
        agent.greet()
        _, stream, payload = agent.expect(frames.LISTEN)
        assert payload[1:3] == b"\0\0"
        assert stream == listening
        agent.send(frames.STARTED, stream, struct.pack("<H", 4000))
        made = begun.result(PATIENCE)
    assert made.port == 4000
    return made


def asked(agent: FakeAgent, listening: int) -> int:
    """The next stream that asks for a connection."""
    while True:
        operation, _, stream, payload = agent.receive()
        if operation == frames.ACCEPT:
            assert payload == struct.pack("<I", listening)
            return stream


def listening(agent: FakeAgent) -> int:
    """The next stream that is to listen."""
    while True:
        operation, _, stream, payload = agent.receive()
        if operation == frames.LISTEN:
            assert payload == b"\0" + struct.pack("<H", 4000) + b"127.0.0.1"
            return stream


def lost(guest: Guest) -> bool:
    return not guest._session.is_ready


def test_a_stream_that_was_never_begun_ends_the_session(agent: FakeAgent) -> None:
    with socket.create_server(("127.0.0.1", 0)) as target:
        with forwarded(agent, host_port=target.getsockname()[1]):
            agent.send(frames.STARTED, 1000)
            # The forward asks anew, of whoever is there.
            agent.nonce()
        target.settimeout(0.1)
        with pytest.raises(TimeoutError):
            target.accept()


@pytest.mark.parametrize("number", [0, 0xFFFFFFFF])
@pytest.mark.parametrize("operation", [frames.DATA, frames.STARTED, frames.ACCEPT, frames.END])
def test_no_frame_opens_anything(agent: FakeAgent, number: int, operation: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as target, forwarded(agent, host_port=target.getsockname()[1]):
        agent.send(operation, number, b"\1\0\0\0", 1)
        agent.nonce()


def test_a_connection_is_told_of_once(agent: FakeAgent) -> None:
    with socket.create_server(("127.0.0.1", 0)) as target, forwarded(agent, host_port=target.getsockname()[1]):
        stream = asked(agent, 1)
        agent.send(frames.STARTED, stream)
        taken, _ = target.accept()
        with taken:
            agent.send(frames.STARTED, stream)
            agent.nonce()
            with pytest.raises(ConnectionResetError):
                taken.recv(1)


def test_connections_that_nobody_stops_are_so_many_and_no_more(agent: FakeAgent) -> None:
    target = socket.create_server(("127.0.0.1", 0), backlog=512)
    with target, forwarded(agent, host_port=target.getsockname()[1]) as made:
        # It says of each at once that there is one.
        for _ in range(256):
            agent.send(frames.STARTED, asked(agent, 1))
        assert eventually(lambda: made.connections == 256, PATIENCE)
        agent.end.settimeout(0.3)
        with pytest.raises(TimeoutError):
            asked(agent, 1)
        assert made.connections == 256
    assert agent.guest._pump.carrier is None


def test_more_than_the_credit_of_a_connection_ends_the_session(agent: FakeAgent) -> None:
    with socket.create_server(("127.0.0.1", 0)) as target, forwarded(agent, host_port=target.getsockname()[1]):
        stream = asked(agent, 1)
        agent.send(frames.STARTED, stream)
        taken, _ = target.accept()
        with taken:
            sent = 0
            # Nobody takes it: at most what the systems hold is given back as credit.
            with suppress(OSError):
                while sent < 100 * WINDOW and not lost(agent.guest):
                    agent.send(frames.DATA, stream, bytes(32_768), 1)
                    sent += 32_768
            assert eventually(lambda: lost(agent.guest), PATIENCE)
            assert sent < 100 * WINDOW


@pytest.mark.parametrize("error", [11, 24, 0, -1])
def test_an_agent_that_has_no_connection_is_not_asked_without_a_pause(agent: FakeAgent, error: int) -> None:
    target = socket.create_server(("127.0.0.1", 0))
    with target, forwarded(agent, host_port=target.getsockname()[1]) as made:
        for _ in range(16):
            agent.send(frames.FAILED, asked(agent, 1), struct.pack("<i", error) + b"accept")
        assert eventually(lambda: made.error is not None, PATIENCE)
        assert isinstance(made.error, applevz.POSIXError)


def test_what_listens_and_is_lost_listens_again_at_the_same_port(agent: FakeAgent) -> None:
    target = socket.create_server(("127.0.0.1", 0))
    with target, forwarded(agent, host_port=target.getsockname()[1]) as made:
        agent.send(frames.FAILED, 1, struct.pack("<i", 12) + b"memory")
        number = listening(agent)
        agent.send(frames.FAILED, number, struct.pack("<i", 98) + b"listen")
        number = listening(agent)
        assert isinstance(made.error, applevz.POSIXError)
        agent.send(frames.STARTED, number, struct.pack("<H", 4001))
        assert asked(agent, number) > number
        assert made.port == 4000


def test_datagrams_of_peers_without_number_take_no_more_than_so_many_sockets(agent: FakeAgent) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))
        with forwarded(agent, host_port=target.getsockname()[1], protocol="udp") as made:
            for number in range(1000):
                record = struct.pack("<H", 4) + struct.pack("<I", number) * 7 + struct.pack("<I", number)
                agent.send(frames.DATA, 1, record, 1)
            target.settimeout(PATIENCE)
            seen = set()
            while 999 not in seen:
                seen.add(struct.unpack("<I", target.recv(100))[0])
            assert made.connections == 256
            sockets = len(agent.guest._pump.carrier.relay.sockets)
            assert sockets == 256
            # One that is longer than any.
            agent.send(frames.DATA, 1, b"\xff\xff" + bytes(28), 1)
            agent.nonce()


def test_answers_that_the_agent_does_not_take_are_lost_and_grow_nothing(agent: FakeAgent) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))
        target.settimeout(PATIENCE)
        with forwarded(agent, host_port=target.getsockname()[1], protocol="udp") as made:
            agent.send(frames.DATA, 1, struct.pack("<H", 1) + bytes(28) + b"x", 1)
            _, peer = target.recvfrom(100)
            head = made._forwarding

            def held() -> bool:
                # A busy host loses some before they are read: so there are always more.
                for _ in range(100):
                    target.sendto(bytes(1000), peer)
                return bool(head._outgoing._held > 0)  # type: ignore[attr-defined]

            assert eventually(held, PATIENCE)
            assert head._outgoing._held <= (1 << 18) + 65_536  # type: ignore[attr-defined]
            assert agent.guest._session._queued <= 1 << 20


@DIRECTIONS
def test_a_forward_is_closed_while_its_agent_says_nothing(agent: FakeAgent, to: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as target:
        if to == "host":
            made = forwarded(agent, host_port=target.getsockname()[1])
        else:
            made = forward(agent.guest, guest_port=80)
            waiting = socket.create_connection(("127.0.0.1", made.port))
            agent.greet()
            assert agent.expect(frames.CONNECT)[2] == b"\0\x50\0" + b"127.0.0.1"
        assert agent.guest._pump.carrier is not None
        thread = agent.guest._pump.carrier.selector.thread
        made.close()
        assert agent.guest._pump.carrier is None
        assert thread not in threading.enumerate()
        if to == "guest":
            assert agent.expect(frames.CLOSE)[2] == b""
            with waiting, suppress(ConnectionResetError):
                assert waiting.recv(1) == b""


def test_what_an_agent_takes_late_is_whole_and_waits_in_the_systems_buffers(agent: FakeAgent) -> None:
    contents = [bytes([number]) * (WINDOW + 100_000) for number in range(12)]
    with forward(agent.guest, guest_port=80) as made, ThreadPoolExecutor(len(contents)) as pool:
        clients = [socket.create_connection(("127.0.0.1", made.port)) for _ in contents]
        agent.greet()
        came = {agent.expect(frames.CONNECT)[1]: bytearray() for _ in contents}
        for stream in came:
            agent.send(frames.STARTED, stream)
        for client, content in zip(clients, contents, strict=True):
            pool.submit(client.sendall, content)
        # All windows together are more than what waits for the port at once.
        session = agent.guest._session
        assert eventually(lambda: not session.has_room, PATIENCE)
        assert session._queued < (1 << 19) + 40_000
        while any(len(part) < WINDOW + 100_000 for part in came.values()):
            operation, _, stream, payload = agent.receive()
            if operation == frames.DATA:
                came[stream] += payload
                agent.send(frames.CREDIT, stream, struct.pack("<I", len(payload)))
        assert sorted(came.values()) == contents
        for client in clients:
            client.close()


def test_whatever_an_agent_sends_forwards_neither_crash_nor_hang_nor_grow(agent: FakeAgent) -> None:
    choose = random.Random(17)  # noqa: S311  # the same each time
    session = agent.guest._session
    with socket.create_server(("127.0.0.1", 0)) as target, ExitStack() as stack:
        port = target.getsockname()[1]
        made = [stack.enter_context(forwarded(agent, host_port=port))]
        with ThreadPoolExecutor(1) as pool:
            begun = pool.submit(forward, agent.guest, to="host", host_port=port, protocol="udp")
            while (told := agent.receive())[0] != frames.LISTEN:
                pass
            agent.send(frames.STARTED, told[2], b"\1\1")
            made.append(stack.enter_context(begun.result(PATIENCE)))
        made.append(stack.enter_context(forward(agent.guest, guest_port=80)))
        for _ in range(20):
            # With somebody who wants a connection.
            client = stack.enter_context(socket.create_connection(("127.0.0.1", made[2].port)))
            client.settimeout(PATIENCE)
            client.sendall(b"x")
            with suppress(BrokenPipeError):
                for _ in range(2000):
                    operation = choose.choice((2, 2, 3, 4, 17, 17, 17, 18, 19, 20, 21))
                    number = choose.randrange(1, session._last_stream + 1)
                    payload = choose.choice((bytes(choose.randrange(40)), struct.pack("<I", choose.randrange(40))))
                    agent.send(operation, number, payload, choose.choice((0, 1, 1, 1, 2)))
            assert len(session._streams) <= 3 * (256 + 8)
            assert all(one.connections <= 256 for one in made)
            agent.say(b"\xff" * 32_784)
            agent._received.clear()
            agent.greet()
        # Whoever comes now keeps to the protocol.
        for one in made:
            one.close()
        assert agent.guest._pump.carrier is None
        assert len(session._streams) == 0
