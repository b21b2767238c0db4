# SPDX-License-Identifier: Apache-2.0
"""The host's side of the agent's port, with an agent that the test plays."""

from __future__ import annotations

import os
import random
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

import applevz
from applevz._blocking import _pump
from applevz._blocking.guest import Guest
from applevz._core.guest import frames
from applevz._core.guest.information import information_of
from fake_agent import WINDOW, FakeAgent, port

PATIENCE = 20.0

Later = Callable[..., Future[Any]]


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    reference, agent = port()
    agent.guest = Guest(reference, None)
    with agent:
        yield agent


@pytest.fixture
def later() -> Iterator[Later]:
    """Calls in another thread."""
    with ThreadPoolExecutor(32) as pool:
        yield pool.submit


def ready(agent: FakeAgent, later: Later) -> Guest:
    begun: Future[Guest] = later(agent.guest.wait, PATIENCE)
    agent.greet()
    return begun.result(PATIENCE)


def test_a_program_is_run(agent: FakeAgent, later: Later) -> None:
    done = later(agent.guest.run, ["echo", "hello"], input=b"input", cwd="/tmp", env={"A": "b=c"}, user="me", timeout=9)
    agent.greet()
    _, stream, payload = agent.expect(frames.START)
    flags, rows, columns, arguments, variables = struct.unpack_from("<IHHII", payload)
    texts, place = [], 16
    while place < len(payload):
        (length,) = struct.unpack_from("<I", payload, place)
        texts.append(payload[place + 4 : place + 4 + length])
        place += 4 + length
    assert (flags, rows, columns, arguments, variables) == (128 | 14, 24, 80, 2, 1)
    assert texts == [b"me", b"/tmp", b"echo", b"hello", b"A=b=c"]
    agent.send(frames.STARTED, stream, struct.pack("<I", 17))
    assert agent.expect(frames.DATA) == (0, stream, b"input")
    agent.expect(frames.END)
    agent.send(frames.DATA, stream, b"hello\n", 1)
    agent.send(frames.DATA, stream, b"oh", 2)
    agent.exit(stream, 3)
    completed = done.result(PATIENCE)
    assert (completed.returncode, completed.stdout, completed.stderr) == (3, b"hello\n", b"oh")
    assert completed.args == ["echo", "hello"]


def test_text_check_and_signals_are_those_of_subprocess(agent: FakeAgent, later: Later) -> None:
    guest = ready(agent, later)
    done = later(guest.run, "true", text=True, check=True)
    stream = agent.start()
    agent.send(frames.DATA, stream, "a\r\nü\n".encode(), 1)
    agent.exit(stream, 9, kind=1)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        done.result(PATIENCE)
    assert (caught.value.returncode, caught.value.stdout, caught.value.cmd) == (-9, "a\nü\n", "true")


@pytest.mark.parametrize(
    ("name", "builtin", "words"),
    [("program", FileNotFoundError, "nothing"), ("directory", FileNotFoundError, "/src"), ("user", OSError, "me")],
)
def test_what_cannot_be_started_says_so(
    agent: FakeAgent, later: Later, name: str, builtin: type[OSError], words: str
) -> None:
    guest = ready(agent, later)
    done = later(guest.run, ["nothing"], cwd="/src", user="me")
    _, stream, _ = agent.expect(frames.START)
    agent.send(frames.FAILED, stream, struct.pack("<i", 2) + name.encode())
    with pytest.raises(applevz.POSIXError, match=words) as caught:
        done.result(PATIENCE)
    assert isinstance(caught.value, builtin)
    assert caught.value.errno == 2
    if name != "user":
        assert caught.value.filename == words


def test_a_process_whose_time_is_over_is_closed_and_what_came_is_kept(agent: FakeAgent, later: Later) -> None:
    guest = ready(agent, later)
    done = later(guest.run, ["sleep", "9"], timeout=0.2)
    stream = agent.start()
    agent.send(frames.DATA, stream, b"so far", 1)
    assert agent.expect(frames.CLOSE)[1] == stream
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        done.result(PATIENCE)
    assert isinstance(caught.value, applevz.TimeoutError)
    assert isinstance(caught.value, applevz.GuestProcessTimeoutError)
    assert (caught.value.output, caught.value.stderr, caught.value.cmd) == (b"so far", b"", ["sleep", "9"])
    assert caught.value.timeout == 0.2
    # What was under way is dropped.
    agent.send(frames.DATA, stream, b"late", 1)
    agent.send(frames.CLOSED, stream)
    again = later(guest.run, "true")
    agent.exit(agent.start())
    assert again.result(PATIENCE).returncode == 0


def test_an_agent_that_does_not_answer_is_not_waited_for_longer_than_allowed(agent: FakeAgent) -> None:
    with pytest.raises(applevz.GuestNotAnsweringError, match="within 0.1 s") as caught:
        agent.guest.run("true", timeout=0.1)
    assert isinstance(caught.value, applevz.TimeoutError)
    assert isinstance(caught.value, applevz.GuestUnreachableError)
    assert isinstance(caught.value, ConnectionError)


def test_an_agent_that_comes_late_is_begun_with_again(agent: FakeAgent, later: Later) -> None:
    begun = later(agent.guest.wait, PATIENCE)
    first = agent.nonce()
    agent.say(b"\xff" * 32784 + frames.MARKER + frames.NO_NONCE)
    second = agent.nonce()
    assert first != second
    # It answers to the first beginning, too: only the last one counts.
    agent.say(frames.MARKER + first + frames.frame(frames.HELLO, 0, b"nothing"))
    agent.greet(second)
    begun.result(PATIENCE)


def test_an_agent_that_went_is_noticed_before_anything_is_begun(agent: FakeAgent, later: Later) -> None:
    guest = ready(agent, later)
    # It is replaced while nobody looks; its last frame is left by half.
    agent.say(frames.frame(frames.DATA, 9, b"half of it", 1)[:15])
    agent.say(b"\xff" * 32784 + frames.MARKER + frames.NO_NONCE)
    done = later(guest.run, "true", timeout=PATIENCE)
    agent.greet()
    agent.exit(agent.start())
    assert done.result(PATIENCE).returncode == 0


def test_what_was_under_way_is_lost_with_its_agent(agent: FakeAgent, later: Later) -> None:
    guest = ready(agent, later)
    running, starting = later(guest.run, "one"), later(guest.run, "two")
    agent.start()
    agent.expect(frames.START)
    agent.say(b"\xff" * 32784 + frames.MARKER + frames.NO_NONCE)
    for call in (running, starting):
        with pytest.raises(applevz.GuestConnectionLostError, match="not known") as caught:
            call.result(PATIENCE)
        assert isinstance(caught.value, ConnectionError)
        assert not isinstance(caught.value, applevz.GuestUnreachableError)
    done = later(guest.info, PATIENCE)
    agent.greet()
    agent.expect(frames.INFORMATION)
    agent.send(frames.TOLD, 0, b"hostname=gu", 1)
    lines = ['os.ID="alpine"', "load=0.5 1 x", "memory.total=12", "nonsense", "address=eth0 10.0.2.15"]
    agent.send(frames.TOLD, 0, "\n".join(["est", *lines]).encode())
    information = done.result(PATIENCE)
    assert (information.hostname, information.os, information.load) == ("guest", {"ID": "alpine"}, (0.5, 1.0, 0.0))
    assert information.memory_total == 12
    assert [(one.interface, one.address) for one in information.addresses] == [("eth0", "10.0.2.15")]


def test_a_port_that_is_closed_is_an_unreachable_guest(agent: FakeAgent, later: Later) -> None:
    agent.close()
    with pytest.raises(applevz.GuestUnreachableError):
        agent.guest.wait(PATIENCE)


@pytest.mark.parametrize("hello", [b"", *(struct.pack("<IIIII", *two, 0, 0, 0) for two in ((2, WINDOW), (1, 1)))])
def test_an_agent_that_greets_in_another_way_is_refused(agent: FakeAgent, later: Later, hello: bytes) -> None:
    begun = later(agent.guest.wait, PATIENCE)
    agent.say(frames.MARKER + agent.nonce() + frames.frame(frames.HELLO, 0, hello))
    with pytest.raises(applevz.GuestUnreachableError, match="cannot be spoken to"):
        begun.result(PATIENCE)


def test_input_waits_for_credit_and_output_for_a_reader(agent: FakeAgent, later: Later) -> None:
    guest = ready(agent, later)
    starting = later(guest.popen, "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    stream = agent.start()
    process = starting.result(PATIENCE)
    data = os.urandom(WINDOW + 100_000)
    with pytest.raises(applevz.TimeoutError, match=f"{WINDOW} of {len(data)} bytes"):
        process.stdin.write(data, timeout=0.2)
    received = b""
    writing = later(process.stdin.write, data[WINDOW:])
    while len(received) < WINDOW:
        received += agent.expect(frames.DATA)[2]
    assert received == data[:WINDOW]
    agent.send(frames.CREDIT, stream, struct.pack("<I", 100_000))
    assert writing.result(PATIENCE) == 100_000
    while len(received) < len(data):
        received += agent.expect(frames.DATA)[2]
    assert received == data
    # Nobody reads: the agent may send a window and no more.
    for start in range(0, WINDOW, 32768):
        agent.send(frames.DATA, stream, received[start : start + 32768], 1)
        assert process.poll() is None
    assert process.stdout.read(10) == data[:10]
    assert process.stdout.read(WINDOW // 4 - 10) == data[10 : WINDOW // 4]
    assert agent.expect(frames.CREDIT) == (1, stream, struct.pack("<I", WINDOW // 4))
    assert process.stdout.read1() == data[WINDOW // 4 : WINDOW]
    assert agent.expect(frames.CREDIT)[0] == 1
    with pytest.raises(applevz.TimeoutError):
        process.stdout.read(5, timeout=0.05)
    agent.send(frames.DATA, stream, b"one\ntwo", 1)
    with pytest.raises(applevz.TimeoutError):
        process.stdout.read(10, timeout=0.05)
    agent.exit(stream, channels=(1,))
    assert list(process.stdout) == [b"one\n", b"two"]
    assert process.wait(PATIENCE) == 0
    with pytest.raises(BrokenPipeError):
        process.stdin.write(b"more")


def test_more_than_the_credit_ends_the_session(agent: FakeAgent, later: Later) -> None:
    guest = ready(agent, later)
    starting = later(guest.popen, "yes", stdout=subprocess.PIPE)
    stream = agent.start()
    process = starting.result(PATIENCE)
    waiting = later(process.wait, PATIENCE)
    for _ in range(9):
        agent.send(frames.DATA, stream, bytes(32768), 1)
    with pytest.raises(applevz.GuestConnectionLostError):
        waiting.result(PATIENCE)


def test_a_closed_process_is_killed_and_one_that_ended_is_not(agent: FakeAgent, later: Later) -> None:
    guest = ready(agent, later)
    starting = later(guest.popen, ["sleep", "9"])
    stream = agent.start(99)
    with starting.result(PATIENCE) as process:
        assert (process.pid, process.poll(), process.stdin, process.stdout) == (99, None, None, None)
        process.send_signal(signal.SIGUSR1)
        assert agent.expect(frames.SIGNAL) == (0, stream, struct.pack("<I", 10))
        process.resize(10, 20)
        assert agent.expect(frames.RESIZE) == (0, stream, struct.pack("<HH", 10, 20))
    assert agent.expect(frames.CLOSE)[1] == stream
    assert process.returncode == -9
    starting = later(guest.popen, "true")
    stream = agent.start()
    agent.exit(stream, channels=())
    with starting.result(PATIENCE) as process:
        assert process.wait(PATIENCE) == 0
    agent.say(b"")
    last = later(guest.run, "true")
    agent.exit(agent.start())
    last.result(PATIENCE)


def test_files_are_read_and_written(agent: FakeAgent, later: Later) -> None:
    guest = ready(agent, later)
    reading = later(guest.read_bytes, "/etc/\udcff")
    _, stream, payload = agent.expect(frames.OPEN)
    assert payload == struct.pack("<IIQ", 1, 0, 0) + b"/etc/\xff"
    agent.send(frames.STARTED, stream, struct.pack("<QIqI", 5, 0o644, 0, 0))
    agent.send(frames.DATA, stream, b"12345", 1)
    agent.send(frames.END, stream, channel=1)
    agent.send(frames.DONE, stream, struct.pack("<i", 0))
    assert reading.result(PATIENCE) == b"12345"

    writing = later(guest.write_text, "/new", "text", mode=0o600)
    _, stream, payload = agent.expect(frames.OPEN)
    assert payload == struct.pack("<IIQ", 2 | 4 | 8, 0o600, 0) + b"/new"
    agent.send(frames.STARTED, stream)
    assert agent.expect(frames.DATA) == (0, stream, b"text")
    agent.expect(frames.END)
    agent.send(frames.DONE, stream, struct.pack("<i", 28))
    with pytest.raises(applevz.POSIXError, match="cannot be written") as caught:
        writing.result(PATIENCE)
    assert (caught.value.errno, caught.value.filename) == (28, "/new")

    missing = later(guest.read_text, "/missing")
    _, stream, _ = agent.expect(frames.OPEN)
    agent.send(frames.FAILED, stream, struct.pack("<i", 13) + b"open")
    with pytest.raises(PermissionError):
        missing.result(PATIENCE)


def test_a_connection_goes_both_ways_and_ends_by_halves(agent: FakeAgent, later: Later) -> None:
    guest = ready(agent, later)
    connecting = later(guest.connect, 8080)
    _, stream, payload = agent.expect(frames.CONNECT)
    assert payload == b"\0" + struct.pack("<H", 8080) + b"127.0.0.1"
    agent.send(frames.STARTED, stream)
    with connecting.result(PATIENCE) as connection:
        connection.sendall(b"question")
        assert agent.expect(frames.DATA)[2] == b"question"
        agent.send(frames.DATA, stream, b"answer", 1)
        assert connection.recv(3) + connection.recv(100) == b"answer"
        connection.settimeout(0.05)
        with pytest.raises(applevz.TimeoutError):
            connection.recv(1)
        connection.shutdown(1)
        agent.expect(frames.END)
        agent.send(frames.END, stream, channel=1)
        connection.settimeout(PATIENCE)
        assert connection.recv(1) == b""
    refused = later(guest.connect_unix, "/run/x")
    _, stream, payload = agent.expect(frames.CONNECT)
    assert payload == b"\1\0\0/run/x"
    agent.send(frames.FAILED, stream, struct.pack("<i", 111) + b"connect")
    with pytest.raises(ConnectionRefusedError):
        refused.result(PATIENCE)


def test_a_connection_that_the_agent_cannot_go_on_with_is_waited_for_no_more(agent: FakeAgent, later: Later) -> None:
    guest = ready(agent, later)
    for operation, payload, words in [
        (frames.FAILED, struct.pack("<i", 12) + b"memory", "broke"),
        (frames.EXITED, struct.pack("<BI", 0, 0), "protocol"),
    ]:
        connecting = later(guest.connect, 8080)
        _, stream, _ = agent.expect(frames.CONNECT)
        agent.send(frames.STARTED, stream)
        connection = connecting.result(PATIENCE)
        receiving = later(connection.recv, 1)
        if operation == frames.EXITED:
            # As nothing of a connection ends, once both halves of a process's output have.
            agent.send(frames.END, stream, channel=1)
            assert receiving.result(PATIENCE) == b""
            agent.send(operation, stream, payload)
            guest_knows = later(connection.sendall, b"x" * 1_000_000)
        else:
            agent.send(operation, stream, payload)
            guest_knows = receiving
        with pytest.raises(applevz.Error, match=words):
            guest_knows.result(PATIENCE)
        connection.close()


@pytest.mark.parametrize("verb", ["read_bytes", "write_bytes"])
def test_a_file_that_ends_otherwise_than_by_the_protocol_is_waited_for_no_more(
    agent: FakeAgent, later: Later, verb: str
) -> None:
    guest = ready(agent, later)
    call = later(guest.read_bytes, "/f") if verb == "read_bytes" else later(guest.write_bytes, "/f", b"data")
    _, stream, _ = agent.expect(frames.OPEN)
    agent.send(frames.STARTED, stream)
    if verb == "read_bytes":
        agent.send(frames.END, stream, channel=1)
    agent.send(frames.EXITED, stream, struct.pack("<BI", 0, 0))
    with pytest.raises(applevz.GuestConnectionLostError, match="protocol"):
        call.result(PATIENCE)


def test_many_threads_use_one_guest_and_each_gets_its_own(agent: FakeAgent, later: Later) -> None:
    guest = ready(agent, later)
    calls = [later(guest.run, ["echo", str(number)], timeout=PATIENCE) for number in range(30)]
    streams = {}
    for _ in calls:
        _, stream, payload = agent.expect(frames.START)
        streams[stream] = payload.rpartition(b"\0")[2]
    for stream in random.sample(sorted(streams), len(streams)):
        agent.send(frames.STARTED, stream, struct.pack("<I", 1))
        agent.send(frames.DATA, stream, streams[stream], 1)
        agent.exit(stream)
    assert [call.result(PATIENCE).stdout for call in calls] == [str(number).encode() for number in range(30)]


def test_a_beginning_that_a_signals_handler_ended_is_sent_by_the_next_call(
    agent: FakeAgent, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(_: int) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "urandom", raising)
        with pytest.raises(KeyboardInterrupt):
            agent.guest.wait(PATIENCE)
    ready(agent, later)


def test_who_waits_learns_of_a_lost_session_though_a_signals_handler_raised_while_they_were_told(
    agent: FakeAgent, later: Later
) -> None:
    guest = ready(agent, later)
    calls = [later(guest.run, ["sleep", str(number)], timeout=PATIENCE) for number in range(5)]
    for _ in calls:
        agent.start()
    session = guest._session
    raised: list[bool] = []

    def raising() -> None:
        if not raised:
            raised.append(True)
            raise KeyboardInterrupt

    next(iter(session._streams.values())).waiting.insert(0, raising)
    with guest._pump._steps, pytest.raises(KeyboardInterrupt):
        session.lose("It went.")
    for call in calls:
        with pytest.raises(applevz.GuestConnectionLostError):
            call.result(PATIENCE)


def test_a_signals_handler_cannot_use_the_guest_that_its_thread_uses_and_may_end_the_call(
    agent: FakeAgent, later: Later
) -> None:
    guest = ready(agent, later)
    seen: list[BaseException] = []

    def handler(*_: object) -> None:
        try:
            guest.run("inner", timeout=1)
        except applevz.Error as error:
            seen.append(error)
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGUSR1, handler)
    stream: list[int] = []

    def play() -> None:
        stream.append(agent.start())
        time.sleep(0.1)
        identifier = threading.main_thread().ident
        assert identifier is not None
        signal.pthread_kill(identifier, signal.SIGUSR1)

    try:
        playing = later(play)
        with pytest.raises(KeyboardInterrupt):
            guest.run("outer", timeout=PATIENCE)
        playing.result(PATIENCE)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert [type(error) for error in seen] == [applevz.InvalidStateError]
    assert agent.expect(frames.CLOSE)[1] == stream[0]
    again = later(guest.run, "true")
    agent.exit(agent.start())
    assert again.result(PATIENCE).returncode == 0


def test_a_thread_goes_on_when_the_one_that_moved_the_bytes_is_gone(
    agent: FakeAgent, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is woken: it does not have to look.
    monkeypatch.setattr(_pump, "_LOOK_FOR_LEADER", 1000.0)
    guest = ready(agent, later)
    first = later(guest.run, "first", timeout=3)
    agent.start()
    second = later(guest.run, "second", timeout=PATIENCE)
    stream = agent.start()
    with pytest.raises(applevz.TimeoutError):
        first.result(PATIENCE)
    agent.exit(stream)
    assert second.result(PATIENCE).returncode == 0


def test_a_forked_child_is_told_so(agent: FakeAgent, later: Later) -> None:
    guest = ready(agent, later)
    child = os.fork()
    if not child:
        try:
            guest.run("true", timeout=1)
        except applevz.ForkedError:
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"args": []}, {"args": 5}, {"args": ["a\0b"]}, {"args": "x" * (1 << 22)}, {"env": {"A=": "b"}}, {"env": [1]},
        {"cwd": 3}, {"stdin": 5}, {"stdout": -2}, {"timeout": -1}, {"input": "text"}, {"input": b"", "stdin": -3},
        {"check": 1}, {"shell": "no"}, {"user": ""}, {"cwd": ""}, {"cwd": b""},
    ],
    ids=str,
)  # fmt: skip
def test_what_no_process_could_be_given_is_refused_before_anything_is_sent(
    agent: FakeAgent, wrong: dict[str, Any]
) -> None:
    with pytest.raises(applevz.InvalidArgumentError):
        agent.guest.run(**{"args": ["true"], **wrong})
    agent.end.setblocking(False)
    with pytest.raises(BlockingIOError):
        agent.end.recv(1)


def test_whatever_an_agent_sends_neither_crashes_nor_hangs_nor_grows(agent: FakeAgent, later: Later) -> None:
    """A million hostile frames, whole by their ends, of every operation."""
    choose = random.Random(16)  # noqa: S311  # the same each time
    guest = agent.guest
    frames_sent = 0
    # As if so many streams had been begun, and were over.
    guest._session._highest_stream = 0xFFFFFFF2

    def play() -> int:
        count = 0
        try:
            while count < 1_000_000:
                nonce = agent.nonce()
                agent.greet(nonce)
                for _ in range(40):
                    burst = bytearray()
                    for _ in range(250):
                        operation = choose.choice((2, 3, 4, 16, 17, 18, 19, 20, 21, 22, choose.randrange(256)))
                        # Of streams that are over, mostly: these are dropped, and the session goes on.
                        stream = choose.choice((0xFFFFFFF0, 0xFFFFFFF1, 0xFFFFFFF2))
                        if not choose.randrange(2000):
                            stream = choose.randrange(300)
                        burst += frames.frame(operation, stream, bytes(choose.randrange(24)), choose.randrange(4))
                        count += 1
                    agent.say(bytes(burst))
                agent.say(b"\0" * choose.randrange(20) + b"\xff" * 32784)
                agent._received.clear()
        except (OSError, EOFError):
            pass
        return count

    playing = later(play)
    ended: dict[str, int] = {}
    while not playing.done():
        try:
            guest.run("true", timeout=0.5)
        except applevz.Error as error:
            ended[type(error).__name__] = ended.get(type(error).__name__, 0) + 1
    frames_sent = playing.result()
    assert frames_sent >= 1_000_000
    assert ended
    session = guest._session
    assert len(session._streams) < 5
    assert session._queued < 1 << 20


@pytest.mark.parametrize("told", ["nan", "inf", "1e999", "-1", "x", ""])
def test_what_is_no_duration_and_no_load_is_left_out(told: str) -> None:
    """Who compares it would never come to an end with it."""
    information = information_of(f"uptime={told}\nload=0.5 {told} 0.25\n".encode())
    assert information.uptime == 0.0
    assert information.load[0] == 0.5
    assert all(0.0 <= load < 100 for load in information.load)
