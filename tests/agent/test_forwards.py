# SPDX-License-Identifier: Apache-2.0
"""Forwards through the real agent, which runs on this host over a pair of sockets."""

from __future__ import annotations

import errno
import gc
import os
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

import applevz
from agent_on_this_host import PATIENCE, PROGRAM, Agents, agents, needs_agent
from agent_protocol import WINDOW
from applevz._blocking.forward import Forward
from applevz._blocking.guest import Guest
from applevz._core.guest import datagram_forwards, forward_heads
from echoing import exchanged_over
from forwards import DIRECTIONS, forward, refused
from processes import eventually, is_interrupted, open_descriptors

pytestmark = needs_agent


class Echo:
    """A server that answers with what comes, and ends when its client does."""

    def __init__(self, server: socket.socket) -> None:
        self.server = server
        self.open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.getsockname()[1])

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            self.open.append(connection)
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    @staticmethod
    def _echo(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(1 << 16):
                    connection.sendall(data)
            except OSError:
                return

    def close(self) -> None:
        # Closing alone does not end what waits in `accept`.
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo(socket.create_server(("127.0.0.1", 0)))
    yield made
    made.close()


def side(to: str) -> str:
    """The argument that names where a forward leads."""
    return f"{to}_port"


def exchanged(connection: socket.socket, data: bytes) -> bytes:
    """What comes back, with an end behind it."""
    connection.settimeout(PATIENCE)
    return exchanged_over(connection, data)


def connected(forward: Forward) -> socket.socket:
    return socket.create_connection(("127.0.0.1", forward.port), timeout=PATIENCE)


@DIRECTIONS
def test_connections_go_through_whole_and_leave_nothing(guest: Guest, echo: Echo, to: str) -> None:
    guest.wait(PATIENCE)
    threads, descriptors = set(threading.enumerate()), open_descriptors()
    with forward(guest, to=to, **{side(to): echo.port}) as made:
        with connected(made) as connection:
            data = os.urandom(5_000_000)
            assert exchanged(connection, data) == data
        with ExitStack() as stack:
            all_of_them = [stack.enter_context(connected(made)) for _ in range(20)]
            for number, one in enumerate(all_of_them):
                one.sendall(b"%d" % number)
            assert [one.recv(10) for one in all_of_them] == [b"%d" % number for number in range(20)]
            assert made.connections == 20
            # One thread for all of them.
            assert len([thread for thread in threading.enumerate() if thread.name == "applevz forwards"]) == 1
        assert eventually(lambda: made.connections == 0, PATIENCE)
        assert made.error is None
        port = made.port
    assert made.closed
    made.close()
    # A guest that listens learns of the end a little later.
    assert refused(port) or (to == "host" and eventually(lambda: refused(port), PATIENCE))
    assert guest._pump.carrier is None
    assert "applevz forwards" not in [thread.name for thread in set(threading.enumerate()) - threads]
    assert len(guest._session._streams) == 0
    assert eventually(lambda: open_descriptors() <= descriptors, PATIENCE)


@DIRECTIONS
def test_unix_sockets_are_at_either_side(guest: Guest, echo: Echo, tmp_path: Path, to: str) -> None:
    listening, leading = ("host_path", "guest_path") if to == "guest" else ("guest_path", "host_path")
    path, target = tmp_path / "listens", tmp_path / "leads"
    both: dict[str, Any] = {listening: path, leading: target}
    port: dict[str, Any] = {listening: path, side(to): echo.port}
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))  # by a program that is gone
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(target))
        server.listen()
        unix = Echo(server)
        with forward(guest, to=to, **both) as made, socket.socket(socket.AF_UNIX) as one:
            assert (made.port, os.fspath(made.path)) == (0, str(path))
            one.connect(str(path))
            assert exchanged(one, b"both ways") == b"both ways"
        assert not path.exists()
        with forward(guest, to=to, **port), socket.socket(socket.AF_UNIX) as one:
            one.connect(str(path))
            assert exchanged(one, b"and a port") == b"and a port"
        unix.close()
    path.write_text("no socket")
    with pytest.raises(OSError, match="in use") as caught:
        forward(guest, to=to, **both)
    assert caught.value.errno == errno.EADDRINUSE
    assert path.read_text() == "no socket"


@DIRECTIONS
def test_datagrams_go_both_ways_for_each_peer(guest: Guest, to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:

        def made(port: int = 0) -> socket.socket:
            one = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            one.settimeout(PATIENCE)
            one.bind(("127.0.0.1", 0))
            if port:
                one.connect(("127.0.0.1", port))
            return one

        server = made()
        carried = stack.enter_context(forward(guest, protocol="udp", to=to, **{side(to): server.getsockname()[1]}))
        peers = [made(carried.port) for _ in range(3)]
        for number, peer in enumerate(peers):
            for size in (0, 1, 40_000, 65_507):
                data = bytes([number]) * size
                peer.send(data)
                came, behind = server.recvfrom(70_000)
                assert came == data
                server.sendto(data + b"!" if size < 65_507 else data, behind)
                assert peer.recv(70_000) == (data + b"!" if size < 65_507 else data)
        assert carried.connections == 3
        # The one that was idle for longest makes room.
        monkeypatch.setattr(datagram_forwards, "MOST_LINKS", 3)
        fourth = made(carried.port)
        fourth.send(b"fourth")
        assert server.recv(100) == b"fourth"
        assert carried.connections == 3
        carried.close()
        # One that is silent goes in time.
        monkeypatch.setattr(datagram_forwards, "_IDLE", 0.05)
        carried = stack.enter_context(forward(guest, protocol="udp", to=to, **{side(to): server.getsockname()[1]}))
        for _ in range(2):
            peer = made(carried.port)
            peer.send(b"once")
            assert server.recv(100) == b"once"
        assert eventually(lambda: carried.connections == 0, PATIENCE)
    assert guest._pump.carrier is None
    assert len(guest._session._streams) == 0


def test_a_datagram_to_nobody_ends_nothing(guest: Guest) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for to in ("guest", "host"):
        made = forward(guest, protocol="udp", to=to, **{side(to): port})
        with (
            made,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late,
        ):
            peer.connect(("127.0.0.1", made.port))
            for _ in range(3):
                peer.send(b"to nobody")
                assert guest.run(["true"], timeout=PATIENCE).returncode == 0
            late.bind(("127.0.0.1", port))
            late.settimeout(0.2)

            def came(late: socket.socket = late, peer: socket.socket = peer) -> bool:
                peer.send(b"to somebody")
                try:
                    return late.recv(100) == b"to somebody"
                except TimeoutError:
                    return False

            assert eventually(came, PATIENCE)


@DIRECTIONS
def test_where_nobody_listens_a_connection_is_reset_and_the_forward_says_why(guest: Guest, to: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with forward(guest, to=to, **{side(to): port}) as made:
        # It comes while it connects, or after. An end without a reset would be an answer.
        with pytest.raises(ConnectionResetError), connected(made) as connection:
            connection.recv(1)
        assert eventually(lambda: made.error is not None, PATIENCE)
        assert isinstance(made.error, ConnectionRefusedError)
        late = Echo(socket.create_server(("127.0.0.1", port)))
        with connected(made) as connection:
            assert exchanged(connection, b"now") == b"now"
        late.close()


@DIRECTIONS
def test_who_reads_nothing_holds_up_his_own_connection_alone(guest: Guest, echo: Echo, to: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        places = {side(to): silent.getsockname()[1]}
        with forward(guest, to=to, **places) as made, connected(made) as stuck:
            taker, _ = silent.accept()
            stuck.settimeout(1.0)
            sent = 0
            with taker:
                with suppress(TimeoutError):
                    while sent < 100_000_000:
                        sent += stuck.send(bytes(1 << 16))
                assert sent < 100_000_000
                # What the library holds is a window, and what was read at once.
                held = [stream.incoming[1].size for stream in guest._session._streams.values() if 1 in stream.incoming]
                assert sum(held) <= WINDOW
                assert guest._session._queued <= (1 << 19) + 40_000
                assert guest.run(["echo", "on"], timeout=PATIENCE).stdout == b"on\n"
                with forward(guest, to=to, **{side(to): echo.port}) as other, connected(other) as connection:
                    assert exchanged(connection, b"beside") == b"beside"
                # Nothing of it was lost.
                stuck.shutdown(socket.SHUT_WR)
                taker.settimeout(PATIENCE)
                came = 0
                while part := taker.recv(1 << 20):
                    came += len(part)
                assert came == sent


@DIRECTIONS
def test_each_half_ends_by_itself(guest: Guest, to: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        places = {side(to): server.getsockname()[1]}
        with forward(guest, to=to, **places) as made, connected(made) as client:
            taken, _ = server.accept()
            with taken:
                taken.settimeout(PATIENCE)
                taken.sendall(b"greeting")
                taken.shutdown(socket.SHUT_WR)
                assert client.recv(100) == b"greeting"
                assert client.recv(100) == b""
                client.sendall(b"late")
                assert taken.recv(100) == b"late"
                client.close()
                assert taken.recv(100) == b""
                assert eventually(lambda: made.connections == 0, PATIENCE)


@DIRECTIONS
def test_a_client_that_breaks_off_ends_what_it_had(guest: Guest, to: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        places = {side(to): server.getsockname()[1]}
        with forward(guest, to=to, **places) as made:
            client = connected(made)
            taken, _ = server.accept()
            with taken:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.close()
                taken.settimeout(PATIENCE)
                with pytest.raises(ConnectionResetError):
                    taken.recv(1)
                assert eventually(lambda: made.connections == 0, PATIENCE)


@DIRECTIONS
def test_an_agent_that_starts_again_serves_the_same_forward(served: Agents, guest: Guest, echo: Echo, to: str) -> None:
    with forward(guest, to=to, **{side(to): echo.port}) as made:
        port = made.port
        with connected(made) as connection:
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
            served.kill()
            served.start()
            # The guest's own system ends what its agent had.
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""

        def works() -> bool:
            try:
                with connected(made) as again:
                    return exchanged(again, b"anew") == b"anew"
            except ConnectionError:
                return False

        assert eventually(works, PATIENCE)
        assert made.port == port
        assert guest.run(["echo", "on"], timeout=PATIENCE).stdout == b"on\n"


def test_what_connects_before_the_agent_is_there_waits_for_it(echo: Echo) -> None:
    with agents() as late:
        guest = Guest(late.port.host, None)
        with forward(guest, guest_port=echo.port) as made, connected(made) as connection:
            connection.sendall(b"early")
            with pytest.raises(applevz.GuestNotAnsweringError):
                forward(guest, to="host", host_port=echo.port, timeout=0.1)
            late.start()
            assert connection.recv(10) == b"early"


def test_a_port_that_is_taken_says_so(guest: Guest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        descriptors = open_descriptors()
        for places in ({"host_port": port, "guest_port": 1}, {"guest_port": port, "host_port": 1, "to": "host"}):
            with pytest.raises(applevz.POSIXError, match=str(port)) as caught:
                forward(guest, **places)
            assert caught.value.errno == errno.EADDRINUSE
        with pytest.raises(applevz.POSIXError) as caught:
            forward(guest, host_address="192.0.2.1", guest_port=1)
        assert caught.value.errno == errno.EADDRNOTAVAIL
        assert open_descriptors() <= descriptors
    assert guest._pump.carrier is None


def test_calls_of_many_threads_go_on_beside_forwards(guest: Guest, echo: Echo) -> None:
    with forward(guest, guest_port=echo.port) as made, ThreadPoolExecutor(32) as pool:
        data = os.urandom(300_000)

        def through(_: int) -> bool:
            with connected(made) as connection:
                return exchanged(connection, data) == data

        calls = [pool.submit(guest.run, ["echo", str(number)], timeout=PATIENCE) for number in range(100)]
        carried = [pool.submit(through, number) for number in range(30)]
        assert [int(call.result().stdout) for call in calls] == list(range(100))
        assert all(one.result() for one in carried)


def test_forwards_come_and_go_from_many_threads(guest: Guest, echo: Echo) -> None:
    def once(number: int) -> bool:
        to = ("guest", "host")[number % 2]
        with forward(guest, to=to, **{side(to): echo.port}) as made, connected(made) as connection:
            return exchanged(connection, b"%d" % number) == b"%d" % number

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(once, range(80)))
    assert guest._pump.carrier is None
    assert len(guest._session._streams) == 0


def test_more_connections_than_there_may_be_wait(guest: Guest, echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    from applevz._core.guest import stream_forwards

    monkeypatch.setattr(stream_forwards, "MOST_LINKS", 4)
    assert forward_heads.MOST_LINKS == 256
    for to in ("guest", "host"):
        with forward(guest, to=to, **{side(to): echo.port}) as made, ExitStack() as stack:
            first = [stack.enter_context(connected(made)) for _ in range(4)]
            for one in first:
                one.sendall(b"x")
                assert one.recv(1) == b"x"
            waiting = stack.enter_context(connected(made))
            waiting.sendall(b"y")
            waiting.settimeout(0.2)
            with pytest.raises(TimeoutError):
                waiting.recv(1)
            first[0].close()
            waiting.settimeout(PATIENCE)
            assert waiting.recv(1) == b"y"


def test_a_guest_that_is_dropped_takes_its_forwards_along(served: Agents, echo: Echo) -> None:
    guest = Guest(served.port.host, None)
    made = forward(guest, guest_port=echo.port)
    with connected(made) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        assert guest._pump.carrier is not None
        port, thread = made.port, guest._pump.carrier.selector.thread
        assert thread is not None
        del guest, made
        gc.collect()
        thread.join(PATIENCE)
        assert not thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_forked_child_has_none_of_it(guest: Guest, echo: Echo) -> None:
    made = forward(guest, guest_port=echo.port)
    with connected(made) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        going, gone = os.pipe()
        child = os.fork()
        if not child:
            status = 1
            try:
                os.close(gone)
                made.close()
                os.read(going, 1)
                status = 0
            finally:
                os._exit(status)
        os.close(going)
        # The child's copies are closed: the connection ends for real, and the port is free.
        connection.sendall(b"y")
        assert connection.recv(1) == b"y"
        made.close()
        connection.settimeout(PATIENCE)
        assert connection.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", made.port))
    os.close(gone)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


EXIT = """
import sys
sys.path[:0] = sys.argv[1:]
from agent_on_this_host import agents
from applevz._blocking.guest import Guest
from forwards import forward
context = agents()
served = context.__enter__()
served.start()
guest = Guest(served.port.host, None).wait(60)
made = forward(guest, guest_port=9)
other = forward(guest, to="host", host_port=9)
served.kill()
print("over")
"""


def test_a_program_ends_with_its_forwards_open() -> None:
    words = [sys.executable, "-X", "dev", "-c", EXIT, *sys.path]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (0, "over\n"), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("places", "field"),
    [
        ({}, "guest_port"),
        ({"to": "host"}, "host_port"),
        ({"guest_port": 0}, "guest_port is 0"),
        ({"guest_port": 65_536}, "guest_port is 65536"),
        ({"guest_port": -1}, "guest_port is -1"),
        ({"guest_port": "80"}, "guest_port is '80'"),
        ({"guest_port": True}, "guest_port is True"),
        ({"guest_port": 80, "host_port": 65_536}, "host_port is 65536"),
        ({"guest_port": 80, "guest_path": "/x"}, "guest_path is '/x'"),
        ({"guest_port": 80, "host_port": 0, "host_path": "/x"}, "host_path is '/x'"),
        ({"guest_port": 80, "protocol": "sctp"}, "protocol is 'sctp'"),
        ({"guest_path": "/x", "protocol": "udp"}, "protocol is 'udp'"),
        ({"guest_port": 80, "to": "mars"}, "to is 'mars'"),
        ({"guest_port": 80, "host_address": "host.example"}, "host_address is 'host.example'"),
        ({"guest_port": 80, "guest_address": "::g"}, "guest_address is '::g'"),
        ({"guest_port": 80, "host_path": "/" + "x" * 104}, "host_path"),
        ({"guest_path": ""}, "guest_path"),
        ({"guest_path": "a\0b"}, "guest_path"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(guest: Guest, places: dict[str, Any], field: str) -> None:
    with pytest.raises(applevz.InvalidArgumentError) as caught:
        forward(guest, **places)
    assert field in str(caught.value)


def test_interrupted_calls_leave_a_forward_that_goes_on(guest: Guest, echo: Echo) -> None:
    """A signal at whatever step of the main thread's calls, while another thread carries."""

    def call() -> None:
        with forward(guest, to="host", host_port=echo.port):
            guest.run(["echo", "x"], timeout=PATIENCE)

    interrupted = 0
    with forward(guest, guest_port=echo.port) as made:
        for number in range(100):
            try:
                # As Ctrl-C does: no error of a socket.
                interrupted += is_interrupted(call, 0.0002 + number % 20 * 0.0001, KeyboardInterrupt)
            except applevz.GuestConnectionLostError:
                interrupted += 1
        assert interrupted > 10

        def works() -> bool:
            with suppress(ConnectionError), connected(made) as connection:
                return exchanged(connection, b"on") == b"on"
            return False

        assert eventually(works, PATIENCE)
    assert guest.run(["echo", "on"], timeout=PATIENCE).stdout == b"on\n"


def test_an_error_of_a_connection_keeps_nothing_alive(served: Agents) -> None:
    """With the frames through which it came it would keep all that carries it, and so a machine that is dropped."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]

    def use() -> weakref.ref[Any]:
        guest = Guest(served.port.host, None)
        made = forward(guest, guest_port=port)
        with suppress(ConnectionError), connected(made) as connection:
            assert connection.recv(1) == b""
        assert eventually(lambda: made.error is not None, PATIENCE)
        assert eventually(lambda: made.connections == 0, PATIENCE)
        assert isinstance(made.error, ConnectionRefusedError)
        return weakref.ref(guest._session)

    gc.disable()
    try:
        session = use()
        assert eventually(lambda: session() is None)
    finally:
        gc.enable()


IN_PLACE_OF_STANDARD_DESCRIPTORS = """
import os, socket, subprocess, sys, time
told = os.dup2(1, 50)
from applevz._blocking.guest import Guest
from applevz._core.guest.port import Port
from forwards import forward
port = Port()
with port.guest as number:
    agent = subprocess.Popen([sys.argv[1], "--descriptor", str(number)], pass_fds=[number])
guest = Guest(port.host, None)
guest.wait(60)
server = socket.create_server(("127.0.0.1", 0))
for number in range(3):
    os.close(number)
made = [
    forward(guest, guest_port=server.getsockname()[1]),
    forward(guest, to="host", host_port=server.getsockname()[1]),
    forward(guest, guest_port=9, protocol="udp"),
]
clients = []
for one in made[:2]:
    clients.append(socket.create_connection(("127.0.0.1", one.port)))
    clients[-1].sendall(b"x")
    accepted, _ = server.accept()
    assert accepted.recv(1) == b"x"
    clients.append(accepted)
# The program's own have what was free: it may do with that what it likes.
own = {client.fileno() for client in clients}
taken = [number for number in range(3) if number not in own and os.path.exists(f"/proc/self/fd/{number}")]
os.write(told, f"{sorted(own)[:3]} {taken}".encode())
agent.kill()
os._exit(0)
"""


def test_forwards_leave_the_numbers_of_closed_standard_descriptors_alone() -> None:
    """A program that gives them to something else later closes what has them."""
    support = os.pathsep.join(path for path in sys.path if path)
    found = subprocess.run(
        [sys.executable, "-c", IN_PLACE_OF_STANDARD_DESCRIPTORS, PROGRAM],
        env={**os.environ, "PYTHONPATH": support},
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=True,
    )
    assert found.stdout == b"[0, 1, 2] []"
