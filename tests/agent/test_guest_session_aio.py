# SPDX-License-Identifier: Apache-2.0
"""The host's side of the agent's port in an event loop, with an agent that the test plays in a thread."""

from __future__ import annotations

import asyncio
import gc
import os
import struct
import subprocess
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import applevz
from applevz._core.guest import frames
from applevz.aio.guest import Guest
from fake_agent import WINDOW, FakeAgent, port

PATIENCE = 20.0

By = Callable[..., Awaitable[Any]]


def play(test: Callable[[Guest, FakeAgent, By], Awaitable[None]]) -> None:
    """Runs a test with a guest, its agent, and what calls the agent in a thread."""

    async def main() -> None:
        reference, agent = port()
        guest = Guest(reference, None)
        loop = asyncio.get_running_loop()

        def by(function: Callable[..., Any], *arguments: Any) -> Awaitable[Any]:
            return loop.run_in_executor(None, function, *arguments)

        with agent:
            begun = asyncio.ensure_future(guest.wait(PATIENCE))
            await by(agent.greet)
            assert await begun is guest
            await test(guest, agent, by)
        # Nothing of the guest is left in the loop.
        assert guest._pump._watch is None

    asyncio.run(asyncio.wait_for(main(), 3 * PATIENCE))


def test_many_tasks_run_programs_at_once() -> None:
    async def test(guest: Guest, agent: FakeAgent, by: By) -> None:
        calls = [asyncio.ensure_future(guest.run(["echo", str(n)], timeout=PATIENCE, text=True)) for n in range(50)]

        def answer() -> None:
            streams = {}
            for _ in calls:
                _, stream, payload = agent.expect(frames.START)
                streams[stream] = payload.rpartition(b"\0")[2]
            for stream, text in reversed(streams.items()):
                agent.send(frames.STARTED, stream, struct.pack("<I", 1))
                agent.send(frames.DATA, stream, text, 1)
                agent.exit(stream)

        await by(answer)
        assert [(await call).stdout for call in calls] == [str(number) for number in range(50)]

    play(test)


def test_a_call_that_is_cancelled_ends_what_it_began() -> None:
    async def test(guest: Guest, agent: FakeAgent, by: By) -> None:
        running = asyncio.ensure_future(guest.run(["sleep", "9"]))
        stream = await by(agent.start)
        await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (await by(agent.expect, frames.CLOSE))[1] == stream
        with pytest.raises(applevz.GuestProcessTimeoutError):
            await guest.run(["sleep", "9"], timeout=0.1)
        starting = asyncio.ensure_future(guest.run("true"))
        # It was never started, and is closed all the same.
        assert (await by(agent.receive))[0] == frames.START
        assert (await by(agent.receive))[0] == frames.CLOSE
        agent.exit(await by(agent.start))
        assert (await starting).returncode == 0

    play(test)


def test_streams_have_back_pressure_both_ways() -> None:
    async def test(guest: Guest, agent: FakeAgent, by: By) -> None:
        starting = asyncio.ensure_future(guest.popen("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        stream = await by(agent.start)
        data = os.urandom(3 * WINDOW)

        def echo() -> None:
            received = credit = 0
            while True:
                operation, channel, _, payload = agent.receive()
                if operation == frames.END:
                    break
                if operation == frames.CREDIT:
                    assert channel == 1
                    credit += struct.unpack("<I", payload)[0]
                    continue
                received += len(payload)
                agent.send(frames.DATA, stream, payload, 1)
                agent.send(frames.CREDIT, stream, struct.pack("<I", len(payload)))
            assert received == len(data)
            assert credit > 0
            agent.exit(stream, channels=(1,))

        async with await starting as process:
            echoing = by(echo)

            async def write() -> None:
                assert await process.stdin.write(data, timeout=PATIENCE) == len(data)
                process.stdin.close()

            writing = asyncio.ensure_future(write())
            assert await process.stdout.read(100, timeout=PATIENCE) == data[:100]
            assert await process.stdout.read(timeout=PATIENCE) == data[100:]
            await writing
            await echoing
            assert await process.wait(PATIENCE) == 0

    play(test)


def test_connections_and_files_and_lines() -> None:
    async def test(guest: Guest, agent: FakeAgent, by: By) -> None:
        connecting = asyncio.ensure_future(guest.connect(80))
        _, stream, _ = await by(agent.expect, frames.CONNECT)
        agent.send(frames.STARTED, stream)
        async with await connecting as connection:
            await connection.sendall(b"x")
            assert (await by(agent.expect, frames.DATA))[2] == b"x"
            agent.send(frames.DATA, stream, b"y", 1)
            assert await connection.recv(5) == b"y"
            agent.send(frames.DONE, stream, struct.pack("<i", 104))
            with pytest.raises(ConnectionResetError):
                await connection.recv(5)
        starting = asyncio.ensure_future(guest.popen("lines", stdout=subprocess.PIPE))
        stream = await by(agent.start)
        process = await starting
        agent.send(frames.DATA, stream, b"a\nb\nc", 1)
        agent.exit(stream, channels=(1,))
        assert [line async for line in process.stdout] == [b"a\n", b"b\n", b"c"]
        reading = asyncio.ensure_future(guest.read_bytes("/x", timeout=PATIENCE))
        await by(agent.expect, frames.OPEN)
        agent.say(b"\xff" * 32784)
        with pytest.raises(applevz.GuestConnectionLostError):
            await reading

    play(test)


def test_a_second_loop_uses_a_guest_after_the_first_was_closed_with_tasks_in_it() -> None:
    reference, agent = port()
    guest = Guest(reference, None)
    first = asyncio.new_event_loop()
    waiting = first.create_task(guest.wait())
    first.run_until_complete(asyncio.sleep(0.05))
    first.close()

    wrong: list[dict[str, Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: wrong.append(context))
        begun = asyncio.ensure_future(guest.wait(PATIENCE))
        await asyncio.sleep(0)  # it waits
        await loop.run_in_executor(None, agent.greet)
        await begun

    with agent:
        asyncio.run(main())
        assert not wrong
        assert guest._pump._watch is None
    del waiting
    gc.collect()
