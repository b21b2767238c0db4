# SPDX-License-Identifier: Apache-2.0
"""The host's side against the real agent, which runs on this host over a pair of sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz._blocking.guest import Guest
from applevz._core.guest.port import Port
from applevz.aio.guest import Guest as AwaitedGuest
from processes import eventually, is_interrupted, open_descriptors

PROGRAM = Path(applevz.__file__).with_name("guest-agent")
PATIENCE = 60.0

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the agent runs on Linux alone"),
    pytest.mark.skipif(not PROGRAM.is_file(), reason="this package was built without the agent"),
]


@pytest.fixture
def agent() -> Iterator[tuple[Port, int]]:
    """The host's end of its port, and the agent's process."""
    port = Port()
    with port.guest as number:
        process = subprocess.Popen([PROGRAM, "--descriptor", str(number)], pass_fds=[number])
    port.guest.release()
    yield port, process.pid
    process.kill()
    process.wait()


@pytest.fixture
def port(agent: tuple[Port, int]) -> Port:
    return agent[0]


@pytest.fixture
def guest(port: Port) -> Guest:
    return Guest(port.host, None).wait(timeout=PATIENCE)


def test_a_thousand_programs_in_turn_and_two_hundred_at_once_leave_nothing(guest: Guest) -> None:
    # Tests before this one may give theirs back meanwhile.
    descriptors = open_descriptors()
    for _ in range(1000):
        assert guest.run(["true"], timeout=PATIENCE).returncode == 0
    with ThreadPoolExecutor(200) as pool:
        calls = [pool.submit(guest.run, ["echo", str(number)], timeout=PATIENCE) for number in range(200)]
        assert [int(call.result().stdout) for call in calls] == list(range(200))
    session = guest._session
    assert (len(session._streams), session._queued, len(guest._pump._callers), len(guest._pump._sleeping)) == (0,) * 4
    assert open_descriptors() <= descriptors


def test_much_output_and_input_and_files_are_whole(guest: Guest, tmp_path: Path) -> None:
    data = os.urandom(20_000_000)
    assert guest.run(["cat"], input=data, timeout=PATIENCE).stdout == data
    assert guest.write_bytes(tmp_path / "file", data, timeout=PATIENCE) == len(data)
    assert (tmp_path / "file").read_bytes() == data
    assert guest.read_bytes(tmp_path / "file", timeout=PATIENCE) == data


def test_a_program_that_does_not_read_its_input_ends_the_call(guest: Guest) -> None:
    assert guest.run(["true"], input=bytes(5_000_000), timeout=PATIENCE).returncode == 0
    with guest.popen(["sleep", "9"], stdin=subprocess.PIPE) as process, pytest.raises(applevz.TimeoutError):
        process.stdin.write(bytes(5_000_000), timeout=0.3)
    with guest.popen("exec 0<&-; sleep 9", shell=True, stdin=subprocess.PIPE) as process:

        def writes() -> bool:
            try:
                process.stdin.write(bytes(100_000), timeout=PATIENCE)
            except BrokenPipeError:
                return False
            return True

        while writes():
            pass
        assert process.poll() is None


def test_another_host_takes_over_and_the_first_one_s_processes_are_killed(port: Port, guest: Guest) -> None:
    process = guest.popen(["sleep", "9"])
    detached = guest.popen(["sleep", "9"], detached=True)
    second = Guest(port.host, None).wait(timeout=PATIENCE)
    assert second._session.processes_killed == 1
    assert eventually(lambda: not Path(f"/proc/{process.pid}").exists(), PATIENCE)
    os.kill(detached.pid, signal.SIGKILL)
    assert second.run(["echo", "mine"], timeout=PATIENCE).stdout == b"mine\n"


def test_an_agent_that_is_killed_loses_what_was_under_way(agent: tuple[Port, int], guest: Guest) -> None:
    identifier = agent[1]
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(guest.run, ["sleep", "9"], timeout=PATIENCE)
        child = f"/proc/{identifier}/task/{identifier}/children"
        assert eventually(lambda: Path(child).read_text().strip(), PATIENCE)
        os.kill(identifier, signal.SIGKILL)
        with pytest.raises(applevz.GuestConnectionLostError, match="port was closed"):
            running.result(PATIENCE)
    with pytest.raises(applevz.GuestUnreachableError):
        guest.run(["true"], timeout=PATIENCE)


@pytest.mark.parametrize("name", ["-x", "a b", "\n", "\udcff", "ü"])
def test_a_tree_comes_back_as_it_went(guest: Guest, tmp_path: Path, name: str) -> None:
    source = tmp_path / "source"
    (source / name).mkdir(parents=True)
    (source / name / name).write_bytes(os.urandom(100_000))
    (source / "link").symlink_to(name)
    os.link(source / name / name, source / "hard")
    os.utime(source / name, ns=(1, 1_234_567_890_123_456_789))
    guest.copy_in(source, tmp_path / "in", timeout=PATIENCE)
    guest.copy_out(tmp_path / "in", tmp_path / "out", timeout=PATIENCE)
    out = tmp_path / "out"
    assert (out / name / name).read_bytes() == (source / name / name).read_bytes()
    assert (out / "hard").samefile(out / name / name)
    assert os.readlink(out / "link") == name
    assert (out / name).stat().st_mtime_ns == 1_234_567_890_123_456_789
    with pytest.raises(FileNotFoundError) as caught:
        guest.copy_out(tmp_path / "none", out)
    assert caught.value.filename == str(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        guest.copy_in(tmp_path / "none", out)
    with pytest.raises(ZeroDivisionError):
        guest.copy_in(source, tmp_path / "in", progress=lambda entries, size: 1 // 0)
    assert guest.run(["true"], timeout=PATIENCE).returncode == 0


def test_a_tree_is_ended_by_its_time_and_by_ctrl_c(guest: Guest, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        for _ in range(200):
            file.write(os.urandom(1 << 20))
    with pytest.raises(applevz.TimeoutError, match="entries"):
        guest.copy_in(tmp_path / "large", tmp_path / "copy", timeout=0.05)
    assert is_interrupted(lambda: guest.copy_out(tmp_path / "large", tmp_path / "copy"), 0.05, KeyboardInterrupt)
    assert guest.run(["true"], timeout=PATIENCE).returncode == 0


def test_an_interrupted_call_at_whatever_step_leaves_a_guest_that_goes_on(guest: Guest) -> None:
    """A signal every millisecond or so, for two hundred calls."""

    def call() -> None:
        guest.run(["echo", "x"], timeout=PATIENCE)

    interrupted = 0
    for number in range(200):
        try:
            interrupted += is_interrupted(call, 0.0002 + number % 40 * 0.0001, InterruptedError)
        except applevz.GuestConnectionLostError:
            interrupted += 1
    assert interrupted > 20
    assert guest.run(["echo", "on"], timeout=PATIENCE).stdout == b"on\n"


@pytest.mark.parametrize("error", [InterruptedError, TimeoutError, KeyboardInterrupt])
@pytest.mark.parametrize("name", ["readv", "writev"])
def test_what_a_handler_raises_behind_a_call_of_the_system_is_not_taken_for_the_port_s(
    guest: Guest, monkeypatch: pytest.MonkeyPatch, name: str, error: type[BaseException]
) -> None:
    real = getattr(os, name)

    def interrupted(*arguments: Any) -> None:
        real(*arguments)
        raise error

    monkeypatch.setattr(os, name, interrupted)
    with pytest.raises(error) as caught:
        guest.run(["echo", "x"], timeout=5)
    assert type(caught.value) is error
    monkeypatch.undo()
    assert guest.run(["echo", "on"], timeout=PATIENCE).stdout == b"on\n"


def test_an_event_loop_does_the_same(port: Port, tmp_path: Path) -> None:
    async def main() -> None:
        guest = await AwaitedGuest(port.host, None).wait(timeout=PATIENCE)
        done = await asyncio.gather(*(guest.run(["echo", str(number)], timeout=PATIENCE) for number in range(200)))
        assert [int(one.stdout) for one in done] == list(range(200))
        data = os.urandom(10_000_000)
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "file").write_bytes(data)
        copying = asyncio.gather(
            guest.copy_in(tmp_path / "source", tmp_path / "in", timeout=PATIENCE),
            guest.run(["cat"], input=data, timeout=PATIENCE),
            guest.write_bytes(tmp_path / "written", data, timeout=PATIENCE),
        )
        _, cat, _ = await copying
        assert cat.stdout == data == (tmp_path / "in" / "file").read_bytes() == (tmp_path / "written").read_bytes()
        running = asyncio.ensure_future(guest.run(["sleep", "9"]))
        await asyncio.sleep(0.2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (await guest.info(timeout=PATIENCE)).agent == applevz.__version__

    asyncio.run(main())
