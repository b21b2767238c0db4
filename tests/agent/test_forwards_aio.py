# SPDX-License-Identifier: Apache-2.0
"""Forwards in an event loop, through the real agent, which runs on this host over a pair of sockets."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import applevz
from agent_on_this_host import PATIENCE, Agents, needs_agent
from applevz.aio.forward import Forward
from applevz.aio.guest import Guest
from forwards import DIRECTIONS, PLACES, refused
from processes import open_descriptors

pytestmark = needs_agent


async def forward(guest: Guest, **places: Any) -> Forward:
    return await guest._forward(places.pop("timeout", PATIENCE), **{**PLACES, **places})


def in_a_loop(served: Agents, test: Callable[[Guest, int], Awaitable[None]]) -> None:
    """Runs a test with a guest, and a port where what comes is sent back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            await test(Guest(served.port.host, None), server.sockets[0].getsockname()[1])

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


async def exchanged(forward: Forward, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", forward.port)

    async def send() -> None:
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    sending = asyncio.ensure_future(send())
    try:
        return await reader.read()
    finally:
        await sending
        writer.close()


@DIRECTIONS
def test_connections_go_through_whole_and_leave_nothing(served: Agents, to: str) -> None:
    async def test(guest: Guest, port: int) -> None:
        await guest.wait(PATIENCE)
        descriptors, tasks = open_descriptors(), len(asyncio.all_tasks())
        async with await forward(guest, to=to, **{f"{to}_port": port}) as made:
            data = os.urandom(2_000_000)
            came = await asyncio.gather(*(exchanged(made, data[number:]) for number in range(10)))
            assert came == [data[number:] for number in range(10)]
            assert [task.get_name() for task in asyncio.all_tasks()].count("applevz forwards") == 1
            done = await asyncio.gather(*(guest.run(["echo", str(n)], timeout=PATIENCE) for n in range(20)))
            assert [int(one.stdout) for one in done] == list(range(20))
        assert made.closed
        made.close()
        while not refused(made.port):
            # A guest that listens learns of the end a little later.
            assert to == "host"
            await asyncio.sleep(0.01)
        assert (guest._pump.carrier, guest._pump._watch, len(guest._session._streams)) == (None, None, 0)
        # Those of the server end with its connections.
        while len(asyncio.all_tasks()) > tasks or not open_descriptors() <= descriptors:
            await asyncio.sleep(0.01)

    in_a_loop(served, test)


@DIRECTIONS
def test_datagrams_go_both_ways(served: Agents, to: str) -> None:
    async def test(guest: Guest, _: int) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.settimeout(PATIENCE)
            places = {f"{to}_port": server.getsockname()[1]}
            async with await forward(guest, protocol="udp", to=to, **places) as made:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                    peer.settimeout(PATIENCE)
                    peer.connect(("127.0.0.1", made.port))
                    for size in (0, 1, 65_507):
                        peer.send(bytes(size))
                        data, behind = await loop.run_in_executor(None, server.recvfrom, 70_000)
                        assert data == bytes(size)
                        server.sendto(data, behind)
                        assert await loop.run_in_executor(None, peer.recv, 70_000) == bytes(size)

    in_a_loop(served, test)


def test_a_loop_that_ends_takes_its_forwards_along_and_another_has_its_own(served: Agents) -> None:
    made: list[Forward] = []
    guests: list[Guest] = []

    async def first(guest: Guest, port: int) -> None:
        made.append(await forward(guest, guest_port=port))
        guests.append(guest)
        assert await exchanged(made[0], b"first") == b"first"

    async def second(_: Guest, port: int) -> None:
        made.append(await forward(guests[0], guest_port=port))
        assert await exchanged(made[1], b"second") == b"second"

    for test in (first, second):
        in_a_loop(served, test)
        assert made[-1].closed
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", made[-1].port))


def test_a_loop_that_was_closed_with_forwards_in_it_is_no_hindrance_to_another(served: Agents) -> None:
    guest = Guest(served.port.host, None)
    loop = asyncio.new_event_loop()
    left = loop.run_until_complete(forward(guest, guest_port=9))
    loop.run_until_complete(asyncio.sleep(0))
    task = guest._pump.carrier.task
    loop.close()

    async def main() -> None:
        async with await forward(guest, guest_port=9) as made:
            assert made.port != left.port
            assert left.closed
        assert (await guest.run(["echo", "on"], timeout=PATIENCE)).stdout == b"on\n"

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", left.port))
    assert task is not None
    task._log_destroy_pending = False  # it was left on purpose


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_loop_that_is_garbage_with_its_forwards_is_no_error(served: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: errors.append(told.exc_value))

    async def leave() -> None:
        guest = Guest(served.port.host, None)
        made = await forward(guest, guest_port=9)
        await forward(guest, to="host", host_port=9)
        await forward(guest, guest_port=9, protocol="udp")
        _, writer = await asyncio.open_connection("127.0.0.1", made.port)
        await asyncio.sleep(0.05)  # what is accepted is under way, or was refused
        writer.close()
        guest._pump.carrier.task._log_destroy_pending = False  # it is left on purpose

    gc.collect()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    loop.close()
    del loop
    gc.collect()
    assert errors == []


def test_a_call_that_is_cancelled_before_the_guest_listens_leaves_nothing(served: Agents) -> None:
    async def test(guest: Guest, port: int) -> None:
        await guest.wait(PATIENCE)
        for _ in range(20):
            making = asyncio.ensure_future(forward(guest, to="host", host_port=port))
            for _ in range(3):
                await asyncio.sleep(0)
            if making.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await making
        assert (await guest.run(["true"], timeout=PATIENCE)).returncode == 0
        assert (guest._pump.carrier, len(guest._session._streams)) == (None, 0)
        with pytest.raises(applevz.InvalidArgumentError):
            await forward(guest)

    in_a_loop(served, test)
