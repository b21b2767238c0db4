# SPDX-License-Identifier: Apache-2.0
"""A guest that has QEMU's agent alone is served by it, with its limits, by the same calls; what it says is not trusted.
The agent is one that the test plays."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import applevz
import applevz.aio
from applevz._blocking.guest import Guest
from applevz._core.deadline import Deadline
from applevz._core.guest import session
from applevz._core.guest.failures import lost
from applevz._core.guest.qemu_agent import Conversation, QEMUAgent
from applevz.aio.guest import Guest as AsyncGuest
from fake_agent import port
from fake_qemu_agent import FakeQEMUAgent, RawError, RefusalError, exited
from processes import eventually

PATIENCE = 20.0


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeQEMUAgent]:
    monkeypatch.setattr(session, "_GRACE", 0.05)
    agent = FakeQEMUAgent()
    yield agent
    agent.close()


@pytest.fixture
def guest(agent: FakeQEMUAgent) -> Iterator[Guest]:
    reference, own = port()
    with own:
        yield Guest(reference, None, (), QEMUAgent(agent.port))


def runs(agent: FakeQEMUAgent, *statuses: Any) -> None:
    """Has it run a program, which has these statuses one after the other."""
    left = list(statuses)
    agent.on("guest-exec", lambda **_: {"pid": 4711})
    agent.on("guest-exec-status", lambda pid: left.pop(0) if len(left) > 1 else left[0])
    agent.start()


def test_a_program_is_run_to_its_end(agent: FakeQEMUAgent, guest: Guest) -> None:
    runs(agent, {"exited": False}, {"exited": False}, exited(3, b"out\0\xff", b"err"))
    assert guest.wait(PATIENCE) is guest
    done = guest.run(["cat", "-"], input=b"in\0", timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\0\xff", b"err")
    assert agent.asked[0] == (
        "guest-exec",
        {"path": "cat", "arg": ["-"], "capture-output": True, "input-data": base64.b64encode(b"in\0").decode()},
    )
    with pytest.raises(subprocess.CalledProcessError):
        guest.run(["false"], timeout=PATIENCE, check=True)
    assert guest.run(["x"], stderr=subprocess.DEVNULL, text=True, timeout=PATIENCE, errors="replace").stderr is None


def test_an_answer_without_an_id_is_one_too(agent: FakeQEMUAgent, guest: Guest) -> None:
    agent.with_id = False
    runs(agent, exited())
    assert guest.run(["true"], timeout=PATIENCE).returncode == 0


def test_a_signal_a_directory_and_variables(agent: FakeQEMUAgent, guest: Guest) -> None:
    runs(agent, {"exited": True, "signal": 15})
    done = guest.run("x y", shell=True, cwd="/a b", env={"A": "b c"}, stderr=subprocess.STDOUT, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (-15, b"", None)
    words = agent.asked[0][1]
    assert words["path"] == "/bin/sh"
    # Each wraps the next.
    assert words["arg"][:3] == ["-c", 'exec "$@" 2>&1', "sh"]
    assert words["arg"][3:5] == ["/bin/sh", "-c"]
    assert words["arg"][6:] == ["sh", "/a b", "env", "A=b c", "/bin/sh", "-c", "x y"]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Failed to execute child process “x” (No such file or directory)", FileNotFoundError),
        ("Failed to execute child process “x” (Permission denied)", PermissionError),
        ("Command guest-exec has been disabled: the command is not allowed", applevz.NotSupportedError),
        ("something else", applevz.POSIXError),
    ],
)
def test_a_program_that_cannot_be_run(agent: FakeQEMUAgent, guest: Guest, words: str, kind: type) -> None:
    def refuse(**_: Any) -> Any:
        raise RefusalError(words)

    agent.on("guest-exec", refuse)
    agent.start()
    with pytest.raises(kind):
        guest.run(["x"], timeout=PATIENCE)


def test_a_program_whose_time_is_over_is_killed(agent: FakeQEMUAgent, guest: Guest) -> None:
    runs(agent, {"exited": False})
    with pytest.raises(applevz.GuestProcessTimeoutError, match="was killed; what it has started was not killed"):
        guest.run(["sleep", "99"], timeout=0.2)
    kills = [words["arg"] for command, words in agent.asked if command == "guest-exec" and words["path"] == "/bin/sh"]
    assert kills == [["-c", 'kill -9 "$1"', "sh", "4711"]]


def test_a_program_that_starts_after_its_time_is_killed(agent: FakeQEMUAgent, guest: Guest) -> None:
    go_on = threading.Event()

    def slow(**words: Any) -> Any:
        go_on.wait(PATIENCE)
        return {"pid": 4711}

    agent.on("guest-exec", slow)
    agent.on("guest-get-host-name", lambda: {"host-name": "it"})
    agent.start()
    guest.wait(PATIENCE)
    with pytest.raises(applevz.GuestProcessTimeoutError):
        guest.run(["sleep", "99"], timeout=0.1)
    go_on.set()
    assert guest.info(timeout=PATIENCE).hostname == "it"
    assert agent.asked[-1][0] in ("guest-exec", "guest-file-open", "guest-info", "guest-get-vcpus")
    assert ["-c", 'kill -9 "$1"', "sh", "4711"] in [words.get("arg") for _, words in agent.asked]


def test_what_it_cannot_do_is_said(agent: FakeQEMUAgent, guest: Guest) -> None:
    runs(agent, {**exited(), "out-truncated": True})
    refused: list[Callable[[], Any]] = [
        lambda: guest.popen(["true"], timeout=PATIENCE),
        lambda: guest.connect(80, timeout=PATIENCE),
        lambda: guest.copy_in("/etc/hostname", "/tmp/x", timeout=PATIENCE),
        lambda: guest.copy_out("/etc", "/nowhere", timeout=PATIENCE),
        lambda: guest.run(["true"], user="me", timeout=PATIENCE),
        lambda: guest.run(["true"], timeout=PATIENCE),
        lambda: guest.run([b"\xff"], timeout=PATIENCE),
        lambda: guest.run(["true"], input=bytes(2 << 20), timeout=PATIENCE),
        lambda: guest.write_bytes("/x", b"", mode=0o600, timeout=PATIENCE),
        lambda: guest.read_bytes(b"/\xff", timeout=PATIENCE),
    ]
    for call in refused:
        with pytest.raises(applevz.NotSupportedError) as caught:
            call()
        assert "guest-agent" in (caught.value.recovery_suggestion or "")


def files(agent: FakeQEMUAgent, there: dict[str, bytes]) -> None:
    """Has it have files."""
    opened: dict[int, list[Any]] = {}

    def open_file(path: str, mode: str) -> int:
        if mode == "r" and path not in there:
            raise RefusalError(f"failed to open file '{path}' (mode: 'r'): No such file or directory")
        opened[1000 + len(opened)] = [path, 0]
        if mode == "w":
            there[path] = b""
        return 999 + len(opened)

    def read(handle: int, count: int) -> Any:
        path, place = opened[handle]
        part = there[path][place : place + count]
        opened[handle][1] += len(part)
        return {"count": len(part), "buf-b64": base64.b64encode(part).decode(), "eof": len(part) < count}

    def write(handle: int, buf_b64: str) -> Any:
        # Never all of it.
        part = base64.b64decode(buf_b64)[:40_000]
        there[opened[handle][0]] += part
        return {"count": len(part), "eof": False}

    agent.on("guest-file-open", open_file)
    agent.on("guest-file-read", read)
    agent.on("guest-file-write", write)
    agent.on("guest-file-flush", lambda handle: {})
    agent.on("guest-file-close", lambda handle: {})
    agent.start()


def test_files_go_both_ways(agent: FakeQEMUAgent, guest: Guest) -> None:
    there: dict[str, bytes] = {}
    files(agent, there)
    data = random.Random(1).randbytes(300_000)  # noqa: S311  # the same each time
    for content in (b"", b"x", data):
        assert guest.write_bytes("/a b", content, timeout=PATIENCE) == len(content)
        assert there["/a b"] == content
        assert guest.read_bytes("/a b", timeout=PATIENCE) == content
    with pytest.raises(FileNotFoundError) as caught:
        guest.read_bytes("/nonesuch", timeout=PATIENCE)
    assert caught.value.filename == "/nonesuch"
    names = [command for command, _ in agent.asked]
    assert names.count("guest-file-open") == 7
    assert names.count("guest-file-close") == 6


def test_it_tells_of_its_guest(agent: FakeQEMUAgent, guest: Guest) -> None:
    agent.on("guest-get-host-name", lambda: {"host-name": "it"})
    agent.on("guest-get-osinfo", lambda: {"kernel-release": "6.1", "machine": "x86_64", "id": "debian", "name": 7})
    addresses = [{"ip-address": "10.0.2.15", "ip-address-type": "ipv4", "prefix": 24}, 7, {"ip-address": None}]
    agent.on("guest-network-get-interfaces", lambda: [{"name": "eth0", "ip-addresses": addresses}, None])
    agent.on("guest-get-vcpus", lambda: [{"online": True}, {"online": False}, 3])
    agent.on("guest-info", lambda: {"version": "7.2.0"})
    proc = {
        "/proc/uptime": b"12.50 3.00\n",
        "/proc/loadavg": b"0.10 0.20 0.30 1/99 7\n",
        "/proc/meminfo": b"MemTotal:  1000 kB\nMemAvailable:  500 kB\nHuge: x\n",
    }
    files(agent, proc)
    information = guest.info(timeout=PATIENCE)
    assert (information.hostname, information.kernel, information.machine) == ("it", "6.1", "x86_64")
    assert information.os == {"ID": "debian"}
    assert (information.uptime, information.load) == (12.5, (0.1, 0.2, 0.3))
    assert (information.memory_total, information.memory_available) == (1024000, 512000)
    assert information.processors == 1
    assert information.addresses == (applevz.GuestAddress("eth0", "10.0.2.15"),)
    assert information.agent == "QEMU 7.2.0"


def test_what_it_tells_of_the_kernel_is_taken_with_care(agent: FakeQEMUAgent, guest: Guest) -> None:
    # A digit of which Python makes no number, and a file without an end.
    files(agent, {"/proc/loadavg": b"0.5 0.5 0.5", "/proc/meminfo": "MemTotal: ² kB\nMemAvailable: 7 kB\n".encode()})
    opens, read = agent.commands["guest-file-open"], agent.commands["guest-file-read"]
    part = {"count": 48 << 10, "buf-b64": base64.b64encode(b"1" * (48 << 10)).decode(), "eof": False}
    agent.on("guest-file-open", lambda path, mode: 1 if path == "/proc/uptime" else opens(path, mode))
    agent.on("guest-file-read", lambda handle, count: part if handle == 1 else read(handle, count))
    information = guest.info(timeout=PATIENCE)
    assert (information.memory_total, information.memory_available, information.load[0]) == (0, 7168, 0.5)
    assert sum(arguments == {"handle": 1, "count": 48 << 10} for _, arguments in agent.asked) == 2


def test_this_package_s_agent_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_GRACE", PATIENCE)
    other = FakeQEMUAgent()
    runs(other, exited(0, b"of QEMU's"))
    reference, own = port()
    guest = Guest(reference, None, (), QEMUAgent(other.port))
    with own, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(guest.run, ["x"], timeout=PATIENCE)
        nonce = own.nonce()
        own.greet(nonce)
        own.exit(own.start())
        assert waiting.result(PATIENCE).stdout == b""
    assert other.asked == []
    other.close()


def test_what_it_said_before_is_dropped(agent: FakeQEMUAgent, guest: Guest) -> None:
    agent.before = b'{"return": 7}\n' * 50_000 + b'\xff{"return": 12345}\n{"return": {}}\n'
    runs(agent, exited(0, b"now"))
    assert guest.run(["x"], timeout=PATIENCE).stdout == b"now"


HOSTILE: list[bytes] = [
    b"\n" * 10 + b"null\n",
    b"{}\n",
    b"[1]\n",
    b"[" * 100_000 + b"\n",
    b'{"return": {"pid": 1}, "error": {}}\n',
    b'{"return": {"pid": 1}, "id": 7000}\n',
    b'{"return": {"pid": 1}, "id": [[]]}\n',
    b'{"return": {"pid": true}}\n',
    b'{"return": {"pid": -1}}\n',
    b'{"return": {"pid": 1e9}}\n',
    b'{"return": {"pid": ' + b"9" * 10_000 + b"}}\n",
    b'{"return": {}}\n',
    b'{"return": []}\n',
    b'{"return": null}\n',
    b'{"return": {"pid": 1}}\n{"return": {"pid": 1}}\n{"return": {"pid": 1}}\n',
    b"x" * 1_000_000,
    b'{"return": [' + b"0," * 60_000 + b"0]}\n",
    b"\x80\x81\n",
    b'{"return": "\xff"}\n' * 3 + b"no\n",
]


@pytest.mark.parametrize("said", HOSTILE, ids=range(len(HOSTILE)))
def test_no_answer_is_believed(agent: FakeQEMUAgent, guest: Guest, said: bytes) -> None:
    def say(**_: Any) -> Any:
        raise RawError(said)

    agent.on("guest-exec", say)
    agent.on("guest-exec-status", say)
    agent.start()
    with pytest.raises((applevz.GuestConnectionLostError, applevz.GuestProcessTimeoutError)):
        guest.run(["x"], timeout=2 if b"\xff" in said else PATIENCE)
    # It is spoken to anew.
    agent.on("guest-get-host-name", lambda: {"host-name": "it"})
    assert guest.info(timeout=PATIENCE).hostname == "it"


def test_what_follows_an_answer_that_is_none_answers_nothing(agent: FakeQEMUAgent, guest: Guest) -> None:
    """The rest of it comes late, when something else has been asked."""

    def execute(path: str, **_: Any) -> Any:
        if path == "x":
            return {"pid": 1}
        time.sleep(0.3)
        raise RawError(b'{"return": {"pid": 1}}\n' * 3)

    agent.on("guest-exec", execute)
    agent.on("guest-exec-status", lambda pid: {"pid": pid})
    agent.on("guest-get-host-name", lambda: {"host-name": "it"})
    agent.start()
    with pytest.raises(applevz.GuestConnectionLostError, match="without exited"):
        guest.run(["x"], timeout=PATIENCE)
    assert guest.info(timeout=PATIENCE).hostname == "it"


def begin(host: QEMUAgent) -> Conversation:
    host.begin()

    def answered() -> bool:
        host.pump()
        return host.is_ready

    assert eventually(answered, PATIENCE)
    return host.conversation


def test_what_one_conversation_began_is_not_asked_of_in_the_next(agent: FakeQEMUAgent) -> None:
    agent.start()
    host = QEMUAgent(agent.port)
    before = begin(host)
    host.lose("It went.")
    after = begin(host)
    assert not before.is_on
    assert after.is_on
    assert before.ask("guest-exec-status", pid=1).lost == "It went."
    with before.trusted(), pytest.raises(applevz.GuestConnectionLostError, match=r"It went\."):
        next(before.answer("here", Deadline(PATIENCE), "guest-info"))
    # An end that it had already is no end of the next.
    with pytest.raises(applevz.GuestConnectionLostError), before.trusted():
        raise lost("It went.", "here")
    assert after.is_on
    assert agent.asked == []


def test_an_answer_for_which_nobody_waits_is_no_failure_of_who_takes_it(agent: FakeQEMUAgent) -> None:
    agent.on("guest-exec", lambda: {"pid": -1})
    agent.start()
    host = QEMUAgent(agent.port)
    request = begin(host).ask("guest-exec")

    def none(_: Any) -> None:
        raise lost("It is no number.", "here")

    def answered() -> bool:
        host.pump()
        return bool(request.changes)

    request.after = none
    assert eventually(answered, PATIENCE)
    assert host.is_idle


STATUSES: list[Any] = [
    {"exited": True},
    {"exited": 1},
    {"exited": True, "exitcode": "0"},
    {"exited": True, "exitcode": 1 << 70},
    {"exited": True, "exitcode": True},
    {"exited": True, "signal": -3},
    {"exited": True, "signal": 1 << 40},
    exited(0) | {"out-data": "not base64!"},
    exited(0) | {"out-data": 7},
    exited(0) | {"out-truncated": "x"},
    [],
    None,
]


@pytest.mark.parametrize("status", STATUSES, ids=range(len(STATUSES)))
def test_no_end_of_a_program_is_believed(agent: FakeQEMUAgent, guest: Guest, status: Any) -> None:
    runs(agent, status)
    with pytest.raises(applevz.GuestConnectionLostError, match="protocol"):
        guest.run(["x"], timeout=PATIENCE)


@pytest.mark.parametrize(
    "answer",
    [
        {"count": 0, "eof": False, "buf-b64": ""},
        {"count": 5, "eof": False, "buf-b64": "eA=="},
        {"count": 1 << 20, "eof": False, "buf-b64": base64.b64encode(bytes(100_000)).decode()},
        {"count": 3, "eof": "no", "buf-b64": "eA=="},
        {"count": -1, "eof": True, "buf-b64": 1},
        [],
    ],
)
def test_no_part_of_a_file_is_believed(agent: FakeQEMUAgent, guest: Guest, answer: Any) -> None:
    agent.on("guest-file-open", lambda **_: 7)
    agent.on("guest-file-read", lambda **_: answer)
    agent.on("guest-file-write", lambda **_: answer)
    agent.on("guest-file-close", lambda **_: {})
    agent.start()
    with pytest.raises(applevz.GuestConnectionLostError, match="protocol"):
        guest.read_bytes("/x", timeout=PATIENCE)
    with pytest.raises(applevz.GuestConnectionLostError, match="protocol"):
        guest.write_bytes("/x", b"ab", timeout=PATIENCE)
    agent.on("guest-file-open", lambda **_: True)
    with pytest.raises(applevz.GuestConnectionLostError, match="protocol"):
        guest.read_bytes("/x", timeout=PATIENCE)


def test_a_million_bytes_of_anything_end_nothing_but_the_call(agent: FakeQEMUAgent, guest: Guest) -> None:
    generator = random.Random(7)  # noqa: S311  # the same each time
    pieces = [b'{"return": ', b'{"error": ', b"{}", b"[]", b"}", b"\n", b"\xff", b'"', b"1", b"\0", b'{"id": 1}', b","]

    def say(**_: Any) -> Any:
        raise RawError(b"".join(generator.choices(pieces, k=20_000)) + b"\n")

    agent.on("guest-exec", say)
    agent.on("guest-get-host-name", lambda: {"host-name": "it"})
    agent.start()
    for _ in range(20):
        with pytest.raises((applevz.GuestConnectionLostError, applevz.GuestProcessTimeoutError)):
            guest.run(["x"], timeout=2)
    assert guest.info(timeout=PATIENCE).hostname == "it"


def test_many_threads_use_it(agent: FakeQEMUAgent, guest: Guest) -> None:
    numbers = iter(range(1, 1000))
    said: dict[int, bytes] = {}

    def begin(path: str, **_: Any) -> Any:
        number = next(numbers)
        said[number] = path.encode()
        return {"pid": number}

    agent.on("guest-exec", begin)
    agent.on("guest-exec-status", lambda pid: exited(0, said[pid]))
    agent.start()
    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(guest.run, [str(number)], timeout=PATIENCE) for number in range(100)]
        assert [int(call.result(PATIENCE).stdout) for call in calls] == list(range(100))


def test_an_event_loop_uses_it(agent: FakeQEMUAgent) -> None:
    there: dict[str, bytes] = {}
    agent.on("guest-exec", lambda **_: {"pid": 5})
    agent.on("guest-exec-status", lambda pid: exited(0, b"out"))
    files(agent, there)

    async def main() -> None:
        reference, own = port()
        with own:
            guest = AsyncGuest(reference, None, (), QEMUAgent(agent.port))
            await guest.wait(PATIENCE)
            done = await asyncio.gather(*(guest.run(["x"], timeout=PATIENCE) for _ in range(20)))
            assert {one.stdout for one in done} == {b"out"}
            assert await guest.write_bytes("/x", b"data", timeout=PATIENCE) == 4
            assert await guest.read_bytes("/x", timeout=PATIENCE) == b"data"
            with pytest.raises(applevz.NotSupportedError):
                await guest.popen(["x"], timeout=PATIENCE)
            agent.on("guest-exec-status", lambda pid: {"exited": False})
            running = asyncio.ensure_future(guest.run(["x"], timeout=PATIENCE))
            while not any(command == "guest-exec-status" for command, _ in agent.asked[40:]):
                await asyncio.sleep(0.01)
            before = len(agent.asked)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            # What was begun is killed.
            while not any(words.get("path") == "/bin/sh" for _, words in agent.asked[before:]):
                await asyncio.sleep(0.01)
            assert guest._pump._watch is None

    asyncio.run(asyncio.wait_for(main(), 3 * PATIENCE))


def test_the_requests_are_json_of_one_line(agent: FakeQEMUAgent, guest: Guest) -> None:
    runs(agent, exited())
    guest.run(['"\n\\ü\U0001f600'], timeout=PATIENCE)
    assert agent.asked[0][1]["path"] == '"\n\\ü\U0001f600'
    assert json.dumps(agent.asked[0][1])
