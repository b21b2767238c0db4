# SPDX-License-Identifier: Apache-2.0
"""Files that are opened, and datagrams, by the host's side with the real agent, which runs on this host."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import socket
import threading
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import applevz
import applevz.aio
from agent_on_this_host import PATIENCE, Agents, needs_agent
from applevz._blocking.guest import Guest
from applevz.aio.guest import Guest as AwaitedGuest
from fake_agent import port

pytestmark = needs_agent


def test_a_file_of_bytes_is_written_and_read_as_by_open(guest: Guest, tmp_path: Path) -> None:
    path, data = tmp_path / "file", os.urandom(3_000_000)
    with guest.open(path, "wb", permissions=0o600, timeout=PATIENCE) as file:
        assert isinstance(file, io.BufferedWriter)
        assert (file.writable(), file.readable(), file.seekable(), file.mode) == (True, False, False, "wb")
        assert file.write(data) == len(data)
        file.flush()
        # Behind a flush the guest's programs see it.
        assert guest.run(["wc", "-c", path], timeout=PATIENCE).stdout.split()[0] == b"%d" % len(data)
    assert file.closed
    assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o600
    with guest.open(path, "rb", timeout=PATIENCE) as file:
        assert isinstance(file, io.BufferedReader)
        assert (file.readable(), file.writable(), file.seekable(), file.name) == (True, False, True, path)
        assert file.read(10) + file.read() == data
        assert file.read() == b""
    with guest.open(path, "ab") as file:
        file.write(b"more\nlines")
    with guest.open(path, "rb", buffering=0) as raw:
        assert isinstance(raw, applevz.GuestFile)
        assert raw.seek(-10, os.SEEK_END) == len(data)
        assert list(raw) == [b"more\n", b"lines"]
        # What comes behind the end is there, as in a log.
        with path.open("ab") as log:
            log.write(b"later")
        assert raw.read() == b"later"
    with pytest.raises(ValueError, match="closed"):
        raw.read()


def test_positions_of_a_file_that_is_read(guest: Guest, tmp_path: Path) -> None:
    data = os.urandom(2_000_000)
    (tmp_path / "file").write_bytes(data)
    with guest.open(tmp_path / "file", "rb") as file:
        for place in (0, 1_999_999, 5, 6, 100, 300_000, 299_999, 2_000_000, 3_000_000):
            assert file.seek(place) == place
            assert (file.read(3), file.tell()) == (data[place : place + 3], max(place, min(place + 3, len(data))))
        assert file.seek(-5, os.SEEK_END) == len(data) - 5
        assert file.seek(2, os.SEEK_CUR) == len(data) - 3
        assert file.read() == data[-3:]
        with pytest.raises(ValueError, match="-1"):
            file.seek(-1)
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("member", data)
    with guest.open(tmp_path / "zip", "rb") as file, zipfile.ZipFile(file) as archive:
        assert archive.read("member") == data
    with guest.open("/dev/zero", "rb") as file:
        assert not file.seekable()
        with pytest.raises(io.UnsupportedOperation):
            file.seek(1)
        assert file.read(5) == bytes(5)


def test_a_file_of_text_is_written_and_read_as_by_open(guest: Guest, tmp_path: Path) -> None:
    path = tmp_path / "text"
    with guest.open(path, "w") as file:
        assert isinstance(file, io.TextIOWrapper)
        file.write("ü\nsecond\r\n")
        print("third", file=file)
    assert path.read_bytes() == "ü\nsecond\r\nthird\n".encode()
    with guest.open(path) as file:
        assert list(file) == ["ü\n", "second\n", "third\n"]
        file.seek(0)
        assert file.readline() == "ü\n"
        position = file.tell()
        file.readline()
        file.seek(position)
        assert file.readline() == "second\n"
    with guest.open(path, newline="") as file:
        assert file.read() == "ü\nsecond\r\nthird\n"
    with guest.open(path, "w", encoding="latin-1") as file:
        file.write("ü")
    assert path.read_bytes() == b"\xfc"
    with guest.open(path) as file, pytest.raises(UnicodeDecodeError):
        file.read()


# What nobody could encode or decode, and the field that the error names.
NO_TEXTS: list[tuple[dict[str, Any], str]] = [
    ({"encoding": "nonsense"}, "encoding is 'nonsense'"),
    ({"encoding": "hex"}, "encoding is 'hex'"),
    ({"encoding": "utf-8\0"}, "encoding is "),
    ({"encoding": 8}, "encoding is 8"),
    ({"errors": "nonsense"}, "errors is 'nonsense'"),
    ({"encoding": "utf-8", "errors": b"strict"}, "errors is b'strict'"),
]


@pytest.mark.parametrize(("fields", "words"), NO_TEXTS)
def test_an_encoding_that_is_none_is_refused_before_the_guest_is_asked(fields: dict[str, Any], words: str) -> None:
    reference, agent = port()
    with agent:  # which answers nothing
        guest = Guest(reference, None)
        calls: list[Callable[[], Any]] = [
            lambda: guest.run(["true"], timeout=0.1, **fields),
            lambda: guest.open("/x", "w", timeout=0.1, **fields),
            lambda: guest.read_text("/x", timeout=0.1, **fields),
            lambda: guest.write_text("/x", "text", timeout=0.1, **fields),
        ]
        for call in calls:
            with pytest.raises((applevz.InvalidArgumentError, applevz.InvalidArgumentTypeError), match=words):
                call()


@pytest.mark.parametrize(("fields", "words"), NO_TEXTS)
def test_an_awaited_call_refuses_such_an_encoding_as_early(fields: dict[str, Any], words: str) -> None:
    async def main() -> None:
        reference, agent = port()
        with agent:
            guest = AwaitedGuest(reference, None)
            calls: list[Callable[[], Any]] = [
                lambda: guest.run(["true"], timeout=0.1, **fields),
                lambda: guest.open("/x", "w", timeout=0.1, **fields),
                lambda: guest.read_text("/x", timeout=0.1, **fields),
                lambda: guest.write_text("/x", "text", timeout=0.1, **fields),
            ]
            for call in calls:
                with pytest.raises((applevz.InvalidArgumentError, applevz.InvalidArgumentTypeError), match=words):
                    await call()

    asyncio.run(main())


def test_what_cannot_be_opened_or_done_says_why(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    for path, mode, builtin in [
        (tmp_path / "none", "r", FileNotFoundError),
        (tmp_path, "rb", IsADirectoryError),
        (tmp_path / "there", "x", FileExistsError),
        (tmp_path / "none" / "x", "w", FileNotFoundError),
    ]:
        with pytest.raises(builtin) as caught:
            guest.open(path, mode)
        assert caught.value.filename == str(path)
    for mode in ("", "b", "rw", "rr", "rbt", "z", "U"):
        with pytest.raises(applevz.InvalidArgumentError, match="mode"):
            guest.open("/x", mode)
    for mode in ("r+", "wb+", "a+"):
        with pytest.raises(ValueError, match="not both"):
            guest.open("/x", mode)
    with pytest.raises(TypeError):
        guest.open("/x", 3)  # type: ignore[arg-type]
    for fields in ({"encoding": "utf-8"}, {"errors": "strict"}, {"newline": "\n"}):
        with pytest.raises(ValueError, match=next(iter(fields))):
            guest.open("/x", "rb", **fields)  # type: ignore[arg-type]
    for newline in ("x", "\n\r", 1):
        with pytest.raises((ValueError, TypeError), match="newline is"):
            guest.open(tmp_path / "there", "r", newline=newline)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="buffering"):
        guest.open(tmp_path / "there", "r", buffering=0)
    with guest.open(tmp_path / "there", "wb") as file, pytest.raises(io.UnsupportedOperation):
        file.read()
    with guest.open(tmp_path / "there", "rb") as file, pytest.raises(io.UnsupportedOperation):
        file.write(b"")
    # What the guest's disk does not take is told at the latest when it is closed.
    full = guest.open("/dev/full", "wb")
    full.write(b"x")
    with pytest.raises(OSError, match="No space") as told:
        full.close()
    assert told.value.errno == errno.ENOSPC
    assert full.closed
    assert len(guest._session._streams) == 0


def test_a_file_that_does_not_come_in_time_and_one_whose_agent_went(
    served: Agents, guest: Guest, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo")
    # As long as somebody may write to it, there is no end.
    writer = os.open(tmp_path / "fifo", os.O_RDWR)
    with guest.open(tmp_path / "fifo", "rb", buffering=0, timeout=0.1) as file:
        with pytest.raises(applevz.TimeoutError):
            file.read(1)
        os.write(writer, b"x")
        assert file.read(1) == b"x"
    os.close(writer)
    file = guest.open(tmp_path / "file", "wb", buffering=0)
    served.kill()
    served.start()

    def writes() -> bool:
        try:
            file.write(b"x")
            guest.wait(PATIENCE)
        except applevz.GuestConnectionLostError:
            return False
        return True

    while writes():
        pass
    with pytest.raises(applevz.GuestConnectionLostError):
        file.close()
    assert guest.read_bytes(tmp_path / "file", timeout=PATIENCE).strip(b"x") == b""


class EchoOfDatagrams:
    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            data, peer = self.socket.recvfrom(70_000)
            if data == b"end":
                return
            self.socket.sendto(data, peer)


@pytest.fixture
def datagrams() -> Iterator[EchoOfDatagrams]:
    made = EchoOfDatagrams()
    yield made
    made.socket.sendto(b"end", ("127.0.0.1", made.port))
    made.socket.close()


def test_a_connection_of_udp_has_the_names_of_a_socket(guest: Guest, datagrams: EchoOfDatagrams) -> None:
    with guest.connect(datagrams.port, protocol="udp", timeout=PATIENCE) as connection:
        connection.settimeout(PATIENCE)
        for size in (0, 1, 40_000, 65_507):
            data = os.urandom(size)
            assert connection.send(data) == size
            assert connection.recv(70_000) == data
        for number in range(10):
            connection.sendall(b"%d" % number * 2)
        # One each, and what is not taken of one is lost.
        assert [connection.recv(1) for _ in range(10)] == [b"%d" % number for number in range(10)]
        with pytest.raises(OSError, match="65508 bytes") as caught:
            connection.send(bytes(65_508))
        assert caught.value.errno == errno.EMSGSIZE
        connection.settimeout(0.05)
        with pytest.raises(applevz.TimeoutError):
            connection.recv(1)
    with pytest.raises(applevz.InvalidArgumentError, match="protocol is 'sctp'"):
        guest.connect(1, protocol="sctp")
    assert len(guest._session._streams) == 0


def in_a_loop(served: Agents, test: Callable[[AwaitedGuest], Awaitable[Any]]) -> None:
    async def main() -> None:
        guest = AwaitedGuest(served.port.host, None)
        await test(guest)
        assert len(guest._session._streams) == 0
        assert guest._pump._watch is None

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_files_in_a_loop(served: Agents, tmp_path: Path) -> None:
    path, data = tmp_path / "file", os.urandom(1_000_000)

    async def test(guest: AwaitedGuest) -> None:
        async with await guest.open(path, "wb") as file:
            assert isinstance(file, applevz.aio.GuestFile)
            assert await file.write(data) == len(data)
            with pytest.raises(io.UnsupportedOperation):
                await file.read()
        assert file.closed
        assert path.read_bytes() == data
        async with await guest.open(path, "rb") as file:
            assert await file.read(10) + await file.read() == data
            assert await file.read() == b""
            assert (await file.seek(7), await file.read(3), file.tell()) == (7, data[7:10], 10)
            assert (await file.seek(-1, os.SEEK_CUR), await file.read(1)) == (9, data[9:10])
            await file.seek(0)
            assert [line async for line in file] == io.BytesIO(data).readlines()
        async with await guest.open(path, "w") as file:
            assert await file.write("ü\nb\r\n" * 100_000 + "last") == 500_004
            await file.flush()
        async with await guest.open(path) as file:
            assert [line async for line in file] == ["ü\n", "b\n"] * 100_000 + ["last"]
            await file.seek(0)
            assert await file.read(3) == "ü\nb"
            with pytest.raises(io.UnsupportedOperation):
                await file.seek(1)
        async with await guest.open(path, newline="\r\n") as file:
            assert await file.readline() == "ü\nb\r\n"
        with pytest.raises(FileNotFoundError):
            await guest.open(tmp_path / "none")
        full = await guest.open("/dev/full", "wb")
        await full.write(b"x")
        with pytest.raises(OSError, match="No space"):
            await full.close()
        await full.close()
        with pytest.raises(ValueError, match="closed"):
            await full.write(b"")

    in_a_loop(served, test)


def test_datagrams_in_a_loop(served: Agents, datagrams: EchoOfDatagrams) -> None:
    async def test(guest: AwaitedGuest) -> None:
        async with await guest.connect(datagrams.port, protocol="udp") as connection:
            connection.settimeout(PATIENCE)
            for size in (0, 1, 65_507):
                await connection.send(bytes(size))
                assert await connection.recv(70_000) == bytes(size)

    in_a_loop(served, test)
