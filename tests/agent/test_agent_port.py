# SPDX-License-Identifier: Apache-2.0
"""The guest agent's port: beginnings at any byte, credit, what is no frame, and its end."""

from __future__ import annotations

import os
import random
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_builds import sanitized_agent
from agent_protocol import (
    ACCEPT,
    CLOSE,
    CONNECT,
    CREDIT,
    DATA,
    END,
    FILLER,
    HEADER,
    INFORMATION,
    LISTEN,
    LONGEST,
    MAGIC,
    MARKER,
    OPEN,
    RECEIVE_TREE,
    RESIZE,
    SEND_TREE,
    SIGNAL,
    START,
    WINDOW,
    Speaker,
    agent_process,
    beginning,
    frame,
    start_payload,
)


@contextmanager
def speaking(**keywords: Any) -> Iterator[tuple[Speaker, subprocess.Popen[bytes]]]:
    with agent_process(sanitized_agent(), **keywords) as (port, process):
        yield Speaker(port), process
        port.close()
        assert process.wait(30) == 0


def test_an_agent_says_first_that_it_is_there() -> None:
    with agent_process(sanitized_agent()) as (port, process):
        port.settimeout(20)
        said = b""
        while len(said) < len(FILLER) + 32:
            said += port.recv(1 << 16)
        assert said == FILLER + MARKER + bytes(16)
        port.close()
        assert process.wait(20) == 0


def test_hello_says_who_is_there_and_what_was_ended(agent: Speaker) -> None:
    version, window, killed, closed, process = struct.unpack("<IIIII", agent.hello[:20])
    assert (version, window, killed, closed) == (1, WINDOW, 0, 0)
    assert Path(f"/proc/{process}/exe").resolve() == sanitized_agent().resolve()
    import applevz

    assert agent.hello[20:].decode() == applevz.__version__
    streams = [agent.start(["sleep", "1000"]) for _ in range(3)]
    streams.append(agent.open_file("/dev/zero", 1))
    agent.wait(lambda: all(stream.answers for stream in streams))
    agent.begin()
    assert struct.unpack("<II", agent.hello[8:16]) == (3, 1)


def test_a_later_version_is_answered_with_the_lower_one(agent: Speaker) -> None:
    agent.nonce, agent._speaking, agent.hello = os.urandom(16), False, b""
    agent.send_bytes(beginning(agent.nonce, version=7))
    agent.wait(lambda: agent.hello)
    assert agent.hello[:4] == b"\1\0\0\0"


def test_a_beginning_s_marker_with_no_nonce_or_version_is_no_beginning(agent: Speaker) -> None:
    agent.nonce, agent._speaking, agent.hello = os.urandom(16), False, b""
    agent.send_bytes(beginning(bytes(16)) + beginning(os.urandom(16), version=0))
    agent.send_bytes(MARKER[:7] + MARKER + struct.pack("<I", 1) + agent.nonce)
    agent.wait(lambda: agent.hello)
    assert agent.run(["true"]).status == 0


def whole_frames(number: int) -> dict[str, bytes]:
    """One of each kind that a host sends, with what it takes."""
    return {
        "data": frame(DATA, number, os.urandom(300)),
        "long data": frame(DATA, number, os.urandom(LONGEST)),
        "start": frame(START, number + 1, start_payload(["sleep", "1000"])),
        "part of start": frame(START, number + 2, bytes(100), channel=1),
        "end": frame(END, number),
        "credit": frame(CREDIT, number, b"\1\0\0\0", channel=1),
        "signal": frame(SIGNAL, number, b"\x0f\0\0\0"),
        "resize": frame(RESIZE, number, b"\1\0\1\0"),
        "close": frame(CLOSE, number),
        "open": frame(OPEN, number + 3, b"\1\0\0\0" + bytes(12) + b"/etc/passwd"),
        "connect": frame(CONNECT, number + 4, b"\0\1\0"),
        "send tree": frame(SEND_TREE, number + 5, b"\0\0\0\0/etc"),
        "receive tree": frame(RECEIVE_TREE, number + 6, b"\0\0\0\0/no/such/folder"),
        "listen": frame(LISTEN, number + 7, b"\0\0\0"),
        "listen to datagrams": frame(LISTEN, number + 8, b"\2\0\0"),
        "accept": frame(ACCEPT, number + 9, struct.pack("<I", number + 7)),
        "information": frame(INFORMATION, 0),
    }


@pytest.mark.parametrize("kind", whole_frames(1))
def test_a_host_that_ends_within_a_frame_is_followed_by_another(agent: Speaker, kind: str) -> None:
    length = len(whole_frames(1)[kind])
    # Each byte offset of the short ones, and of the long one those around its parts.
    offsets = (
        range(1, length) if length < 1000 else [*range(1, 20), *range(4000, length, 4095), *range(length - 20, length)]
    )
    for offset in offsets:
        stream = agent.start(["cat"])
        agent.send_bytes(whole_frames(stream.number)[kind][:offset])
        agent.begin()
        # What was begun is ended, and what was half said was not done.
        assert struct.unpack("<II", agent.hello[8:16]) == (1, 0), offset
        assert agent.run(["echo", "on"]).data[1] == b"on\n"


def test_a_host_that_ends_within_its_beginning_is_followed_by_another(agent: Speaker) -> None:
    whole = beginning(os.urandom(16))
    for offset in [*range(1, 20), *range(len(whole) - 60, len(whole))]:
        stream = agent.start(["sleep", "1000"])
        agent.send_bytes(whole[:offset])
        agent.begin()
        assert agent.run(["echo", "on"]).data[1] == b"on\n", offset
        assert stream.number not in agent.streams


def test_a_host_that_ends_while_the_agent_sends_is_followed_by_another(agent: Speaker) -> None:
    for _ in range(20):
        streams = [agent.start(["cat", "/dev/zero"]) for _ in range(5)]
        agent.wait(lambda streams=streams: all(stream.data[1] for stream in streams))  # type: ignore[misc]
        agent.begin()
        assert struct.unpack("<II", agent.hello[8:16]) == (5, 0)


def test_what_a_marker_is_hidden_in_is_not_a_beginning(agent: Speaker) -> None:
    data = (MARKER + struct.pack("<I", 1) + os.urandom(16)) * 1000
    assert agent.run(["cat"], data).data[1] == data


@pytest.mark.parametrize(
    "wrong",
    [
        b"\x42\x76" + bytes(30),
        HEADER.pack(MAGIC, DATA, 0, 1, LONGEST + 1) + bytes(20),
        HEADER.pack(MAGIC, DATA, 0, 1, 0xFFFFFFFF) + bytes(20),
        frame(DATA, 1, b"data")[:-1] + b"\xff",
        b"\n",
        b"\xff" * 100_000,
    ],
)
def test_what_is_no_frame_is_dropped_until_the_next_beginning(agent: Speaker, wrong: bytes, tmp_path: Path) -> None:
    agent.send_bytes(wrong)
    agent.send(START, 1000, start_payload(["touch", str(tmp_path / "made")]))
    agent.begin()
    assert agent.run(["true"]).status == 0
    assert not (tmp_path / "made").exists()


def test_a_full_port_holds_back_and_loses_nothing() -> None:
    with speaking() as (agent, _process):
        streams = [agent.start(["sh", "-c", "head -c 200000 /dev/zero; exit 3"]) for _ in range(50)]
        while agent._to_send:
            agent.pump(1)
        # Longer than the port's buffers need to be full.
        time.sleep(1)
        for stream in streams:
            assert agent.finish(stream).status == 3
            assert len(stream.data[1]) == 200_000


def test_answers_that_nobody_reads_grow_nothing() -> None:
    # What is freed is used again, without the sanitizer's delay.
    with speaking(env={**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=0"}) as (agent, process):
        status = Path(f"/proc/{process.pid}/statm")
        before = int(status.read_text().split()[1])
        port = agent.port
        sent, limit = 0, time.monotonic() + 3
        request = b"".join(frame(CLOSE, number) for number in range(1, 3000)) + frame(INFORMATION, 0) * 100
        while time.monotonic() < limit:
            try:
                sent += port.send(request)
            except BlockingIOError:
                time.sleep(0.01)
        # The agent took no more than it could answer.
        assert sent < 4 << 20
        assert (int(status.read_text().split()[1]) - before) * os.sysconf("SC_PAGE_SIZE") < 4 << 20
        agent.begin()
        assert agent.run(["true"]).status == 0


def malformed(random: random.Random) -> bytes:
    """A frame with something wrong in it, or of no sense."""
    operation = random.randrange(32) if random.random() < 0.2 else random.randrange(1, 15)
    number = random.choice([0, 1, 2, 3, 4, 5, 6, 7, random.getrandbits(32)])
    shape = random.random()
    payload: bytes | bytearray
    if shape < 0.3:
        # Whatever they open is in the folder where they run.
        payload = random.randbytes(random.randrange(80)).replace(b"/", b"a")
    elif operation == START:
        payload = bytearray(start_payload(["/no/such/program", "a"], flags=random.getrandbits(7), variables=["A=b"]))
        payload[random.randrange(len(payload))] = random.getrandbits(8)
    elif operation in (OPEN, SEND_TREE, RECEIVE_TREE):
        head = random.choice([1, 2, 3, 0, random.getrandbits(32)])
        rest = random.choice([b"/dev/null", b"/no/such/file", b"/proc/self/stat", b"\0", b"", b"/dev/zero"])
        payload = struct.pack("<I", head) + (bytes(12) if operation == OPEN else b"") + rest
        if operation == RECEIVE_TREE:
            payload = bytes(4) + b"/proc/no-such-folder"
    elif operation == CONNECT:
        payload = random.choice([b"\0\1\0", b"\1\0\0/no/socket", b"\1\0\0\0name", b"\0\1\0::1", b"\2\1\0", b"\0\0\0x"])
    elif operation == LISTEN:
        payload = random.choice([b"\0\0\0", b"\2\0\0", b"\2\0\0::1", b"\1\0\0socket", b"\1\0\0\0name", b"\0\0\0x"])
    elif operation == ACCEPT:
        payload = struct.pack("<I", random.randrange(8))
    else:
        payload = random.randbytes(random.choice([0, 1, 2, 4, 4, 4, 5, 100]))
    return frame(operation, number, bytes(payload), random.randrange(4))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("total", [100_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_malformed_messages(tmp_path: Path, total: int) -> None:
    """Of a host that knows the protocol and keeps to none of it; at times its bytes are wrong, too."""
    seed = random.randrange(1 << 32)  # noqa: S311
    generator = random.Random(seed)  # noqa: S311 - of messages, not of secrets
    # A set of them, put together in ever other orders: making each anew takes longer than the agent does.
    pool = [malformed(generator) for _ in range(total // 20)]
    count = 0
    with agent_process(sanitized_agent(), cwd=tmp_path) as (port, process):
        agent = Speaker(port)
        port.setblocking(True)
        port.settimeout(60)
        import threading

        def drain() -> None:
            while port.recv(1 << 20):
                pass

        reader = threading.Thread(target=drain)
        reader.start()
        while count < total:
            batch = generator.choices(pool, k=2000)
            count += len(batch)
            data = bytearray(b"".join(batch))
            if generator.random() < 0.2:
                data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
            port.sendall(data)
            if generator.random() < 0.5:
                port.sendall(beginning(generator.randbytes(16)))
        assert process.poll() is None, f"seed {seed}"
        port.shutdown(socket.SHUT_WR)
        reader.join(60)
        assert not reader.is_alive()
        assert process.wait(60) == 0, f"seed {seed}"
        assert agent.hello


def test_the_end_of_the_port_ends_the_agent_and_what_it_started() -> None:
    with agent_process(sanitized_agent()) as (port, process):
        agent = Speaker(port)
        stream = agent.start(["sleep", "1000"])
        agent.wait(lambda: stream.answers)
        child = struct.unpack("<I", stream.answers[0][1])[0]
        port.close()
        assert process.wait(20) == 0
        limit = time.monotonic() + 20
        while Path(f"/proc/{child}").exists() and time.monotonic() < limit:
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
            if state == "Z":
                break
            time.sleep(0.01)
        else:
            assert not Path(f"/proc/{child}").exists()


def test_signals_to_the_agent_do_not_end_it(agent: Speaker) -> None:
    process = struct.unpack_from("<I", agent.hello, 16)[0]
    import signal

    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGUSR1, signal.SIGCHLD, signal.SIGALRM):
        os.kill(process, number)
    assert agent.run(["true"]).status == 0


@pytest.mark.parametrize(
    "words", [["--wrong"], ["--descriptor", "2"], ["--descriptor", "x"], ["--port"], ["a", "b", "c"]]
)
def test_a_wrong_command_line_is_told(words: list[str]) -> None:
    done = subprocess.run([sanitized_agent(), *words], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: guest-agent")


def test_information(agent: Speaker) -> None:
    agent.send(INFORMATION, 0)
    agent.wait(lambda: agent.told.endswith(b"\n"))
    lines = [line.split("=", 1) for line in agent.told.decode().splitlines()]
    found = dict(lines)
    system = os.uname()
    assert (found["kernel"], found["machine"], found["hostname"]) == (system.release, system.machine, system.nodename)
    assert int(found["processors"]) == os.sysconf("SC_NPROCESSORS_ONLN")
    assert float(found["uptime"]) == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=30)
    assert len([float(word) for word in found["load"].split()]) == 3
    assert int(found["memory.total"]) == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < int(found["memory.available"]) < int(found["memory.total"])
    assert "lo 127.0.0.1" in [value for name, value in lines if name == "address"]
    release = subprocess.run(["sh", "-c", ". /etc/os-release; echo $ID"], capture_output=True, text=True).stdout.strip()
    assert found["os.ID"] == release


# ---- The first process ----

FIRST = """
import os, sys
os.execv(sys.argv[1], [sys.argv[1], "--descriptor", sys.argv[2]])
"""


def test_as_the_first_process_it_reaps_what_others_left() -> None:
    ours, theirs = socket.socketpair()
    number = str(theirs.fileno())
    unshare = ["unshare", "--fork", "--pid", "--mount-proc"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        pytest.skip("this host allows no namespace of processes")
    command = [*unshare, sys.executable, "-c", FIRST, str(sanitized_agent()), number]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    theirs.close()
    try:
        agent = Speaker(ours)
        assert struct.unpack_from("<I", agent.hello, 16)[0] == 1
        agent.run(["sh", "-c", "for i in $(seq 100); do (sleep 0.1 &) & done"])
        limit = time.monotonic() + 20
        while True:
            states = agent.run(["sh", "-c", "cat /proc/[0-9]*/stat"]).data[1].decode()
            if "sleep" not in states or time.monotonic() > limit:
                break
        assert states.count("(sleep)") == 0, states
    finally:
        ours.close()
        process.wait(20)
    assert process.returncode == 0
