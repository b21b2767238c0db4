# SPDX-License-Identifier: Apache-2.0
"""Files and connections of a guest that are dropped without being closed: nothing is left of them on either side, what
was written is written, and nobody waits for a guest that does not answer."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import applevz
from agent_on_this_host import PATIENCE, Agents, needs_agent
from applevz._blocking import files
from applevz._blocking.guest import Guest
from applevz.aio.guest import Guest as AwaitedGuest
from processes import eventually

pytestmark = needs_agent


def open_in(served: Agents) -> int:
    """How many descriptors the agent has."""
    assert served._process is not None
    return len(os.listdir(f"/proc/{served._process.pid}/fd"))


@pytest.mark.parametrize("in_a_cycle", [False, True])
def test_a_connection_that_is_dropped_is_closed(served: Agents, guest: Guest, in_a_cycle: bool) -> None:
    guest.wait(timeout=PATIENCE)
    before = open_in(served)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        for _ in range(3):
            connection = guest.connect(server.getsockname()[1], timeout=PATIENCE)
            connection.sendall(b"the last words")
            if in_a_cycle:
                connection.me = connection  # type: ignore[attr-defined]  # a program may do that
            del connection
            gc.collect()
            # Without another call for the guest.
            accepted, _ = server.accept()
            with accepted:
                accepted.settimeout(PATIENCE)
                received = b""
                while data := accepted.recv(100):
                    received += data
                assert received == b"the last words"
    guest.info(timeout=PATIENCE)
    assert open_in(served) == before
    assert guest._session._streams == {}


def test_what_is_dropped_in_the_middle_of_a_call_goes_after_it(
    served: Agents, guest: Guest, tmp_path: Path
) -> None:
    """A finalizer cannot wait for what its own thread has to do first."""
    guest.wait(timeout=PATIENCE)
    before = open_in(served)
    (tmp_path / "read").write_text("something")
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[Any] = [
            guest.connect(server.getsockname()[1], timeout=PATIENCE),
            guest.open(tmp_path / "read", "rb", timeout=PATIENCE),
            guest.open(tmp_path / "written", "w", timeout=PATIENCE),
            guest.open(tmp_path / "written at once", "wb", buffering=0, timeout=PATIENCE),
        ]
        kept[2].write("all of it")
        kept[3].write(b"this, too")
        guest.copy_in(tmp_path / "read", tmp_path / "copied", progress=lambda *_: kept.clear(), timeout=PATIENCE)
        assert kept == []
        guest.info(timeout=PATIENCE)
    assert (tmp_path / "written").read_text() == "all of it"
    assert (tmp_path / "written at once").read_text() == "this, too"
    assert guest._session._streams == {}
    assert eventually(lambda: open_in(served) == before)


def test_what_is_dropped_in_the_middle_may_be_more_than_the_guest_takes_at_once(
    guest: Guest, tmp_path: Path
) -> None:
    (tmp_path / "read").write_text("something")
    data = os.urandom(3 << 20)
    kept = [guest.open(tmp_path / "written", "wb", buffering=4 << 20, timeout=PATIENCE)]
    kept[0].write(data)
    guest.copy_in(tmp_path / "read", tmp_path / "copied", progress=lambda *_: kept.clear(), timeout=PATIENCE)

    def is_written() -> bool:
        guest.info(timeout=PATIENCE)
        return (tmp_path / "written").read_bytes() == data

    assert eventually(is_written)
    assert guest._session._streams == {}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("buffering", [-1, 0])
def test_dropping_a_file_does_not_wait_for_ever(
    served: Agents, guest: Guest, tmp_path: Path, buffering: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_PATIENCE", 0.5)
    file = guest.open(tmp_path / "written", "wb", buffering=buffering)
    file.write(b"something")
    assert served._process is not None
    os.kill(served._process.pid, signal.SIGSTOP)
    begun = time.monotonic()
    del file
    assert time.monotonic() - begun < 20
    os.kill(served._process.pid, signal.SIGCONT)
    guest.info(timeout=PATIENCE)
    assert (tmp_path / "written").read_bytes() == b"something"
    assert guest._session._streams == {}


def test_what_tasks_drop_is_closed(served: Agents, tmp_path: Path) -> None:
    guest = AwaitedGuest(served.port.host, None)
    (tmp_path / "read").write_text("something")

    async def main() -> None:
        await guest.wait(timeout=PATIENCE)
        before = open_in(served)
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            connection = await guest.connect(server.getsockname()[1], timeout=PATIENCE)
            accepted, _ = await asyncio.get_running_loop().sock_accept(server)
            del connection
            with accepted:
                assert await asyncio.get_running_loop().sock_recv(accepted, 1) == b""
        read = await guest.open(tmp_path / "read", "rb", timeout=PATIENCE)
        assert await read.read(4) == b"some"
        written = await guest.open(tmp_path / "written", "w", timeout=PATIENCE)
        await written.write("all of it")
        del read, written
        await guest.info(timeout=PATIENCE)
        assert guest._session._streams == {}
        assert open_in(served) == before

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert (tmp_path / "written").read_text() == "all of it"


def test_what_another_thread_drops_is_closed_by_the_loop(served: Agents) -> None:
    """The garbage collector runs on whatever thread it likes, and a guest's session is one loop's."""
    guest = AwaitedGuest(served.port.host, None)
    stepped: list[threading.Thread] = []

    async def main() -> None:
        await guest.wait(timeout=PATIENCE)
        with socket.create_server(("127.0.0.1", 0)) as server:
            kept = [await guest.connect(server.getsockname()[1], timeout=PATIENCE)]
            pump = guest._session.pump

            def look() -> None:
                stepped.append(threading.current_thread())
                pump()

            guest._session.pump = look  # type: ignore[method-assign]
            await asyncio.to_thread(kept.clear)
            assert guest._session._streams != {}
            await guest.info(timeout=PATIENCE)
        assert guest._session._streams == {}

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert set(stepped) == {threading.main_thread()}


def test_a_file_that_was_closed_or_lost_is_dropped_without_a_word(
    served: Agents, guest: Guest, tmp_path: Path
) -> None:
    with guest.open(tmp_path / "written", "wb", timeout=PATIENCE) as file:
        file.write(bytes(4 << 20))  # more than comes before somebody takes it
    raw = guest.open(tmp_path / "written", "rb", buffering=0, timeout=PATIENCE)
    served.kill()
    served.start()
    guest.wait(timeout=PATIENCE)
    with pytest.raises(applevz.GuestConnectionLostError):
        raw.read()
    del raw, file
    assert guest._session._abandoned == []
    assert guest._session._streams == {}
