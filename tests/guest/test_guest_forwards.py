# SPDX-License-Identifier: Apache-2.0
"""Forwards into a real guest and back, across a saved state; files of the guest that are opened."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

import applevz
import applevz.aio
from applevz import ShutdownPolicy
from echoing import echoing, exchanged
from fixtures import Configure
from guest_machine import PATIENCE, with_agent
from processes import eventually

pytestmark = pytest.mark.skipif(not applevz.capabilities.guest_agent, reason="this package was built without the agent")


@pytest.fixture(scope="module")
def machine(configure: Callable[..., applevz.VirtualMachineConfiguration]) -> Iterator[applevz.VirtualMachine]:
    with applevz.VirtualMachine(with_agent(configure())) as machine:
        machine.start(timeout=PATIENCE)
        machine.guest.run(["ip", "link", "set", "lo", "up"], timeout=PATIENCE, check=True)
        yield machine


@pytest.fixture
def echo() -> Iterator[tuple[int, int]]:
    with echoing() as ports:
        yield ports


def test_connections_go_into_the_guest_and_out_of_it(machine: applevz.VirtualMachine, echo: tuple[int, int]) -> None:
    data = os.urandom(1_000_000)
    # From the host into the guest, and there to what leads back to the host.
    with machine.forward(to="host", host_port=echo[0], timeout=PATIENCE) as out:
        with machine.forward(guest_port=out.port) as into:
            assert exchanged(into.port, data) == data
        listening = machine.guest.run("cat /proc/net/tcp", shell=True, text=True).stdout
        # On the guest's loopback.
        assert f"0100007F:{out.port:04X}" in listening
    assert f":{out.port:04X}" not in [
        line.split()[1][8:]
        for line in machine.guest.run(["cat", "/proc/net/tcp"], text=True).stdout.splitlines()[1:]
        if line.split()[3] == "0A"
    ]


def test_a_service_of_the_guest_s_own_is_reached(machine: applevz.VirtualMachine) -> None:
    with (
        machine.guest.popen(["nc", "-l", "-p", "77", "-e", "sed", "s/^/echo /"]),
        machine.forward(guest_port=77) as made,
    ):

        def answered() -> bool:
            try:
                return exchanged(made.port, b"hello\n") == b"echo hello\n"
            except ConnectionError:
                assert isinstance(made.error, ConnectionRefusedError)
                return False

        assert eventually(answered, PATIENCE)


def test_a_program_of_the_guest_s_reaches_the_host(machine: applevz.VirtualMachine, echo: tuple[int, int]) -> None:
    with machine.forward(to="host", guest_port=4321, host_port=echo[0], timeout=PATIENCE) as made:
        assert made.port == 4321
        done = machine.guest.run("echo question | nc 127.0.0.1 4321", shell=True, timeout=PATIENCE)
        assert done.stdout == b"question\n"
    assert machine.guest.run("echo question | nc 127.0.0.1 4321", shell=True, timeout=PATIENCE).returncode != 0


def test_datagrams_go_into_the_guest_and_out_of_it(machine: applevz.VirtualMachine, echo: tuple[int, int]) -> None:
    with ExitStack() as stack:
        out = stack.enter_context(machine.forward(to="host", host_port=echo[1], protocol="udp", timeout=PATIENCE))
        into = stack.enter_context(machine.forward(guest_port=out.port, protocol="udp"))
        peers = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(3)]
        for number, peer in enumerate(peers):
            peer.settimeout(PATIENCE)
            peer.connect(("127.0.0.1", into.port))
            peer.send(b"%d" % number * 2000)
        assert [peer.recv(9999) for peer in peers] == [b"%d" % number * 2000 for number in range(3)]
        peers[0].send(bytes(60_000))
        assert peers[0].recv(70_000) == bytes(60_000)
        with machine.guest.connect(out.port, protocol="udp", timeout=PATIENCE) as connection:
            connection.settimeout(PATIENCE)
            connection.send(b"from the host, as the guest's own")
            assert connection.recv(100) == b"from the host, as the guest's own"


def test_a_file_of_the_guest_is_opened(machine: applevz.VirtualMachine) -> None:
    with machine.guest.open("/tmp/lines", "w", timeout=PATIENCE) as file:
        file.writelines(f"line {number}\n" for number in range(10_000))
    assert machine.guest.run(["wc", "-l", "/tmp/lines"], text=True).stdout.split()[0] == "10000"
    with machine.guest.open("/tmp/lines", "rb", timeout=PATIENCE) as file:
        file.seek(-10, os.SEEK_END)
        assert file.read() == b"line 9999\n"
        file.seek(0)
        assert sum(1 for _ in file) == 10_000
    with machine.guest.open("/proc/self/stat") as file:
        assert file.read().split()[1].startswith("(")


@pytest.mark.skipif(not applevz.capabilities.save_restore, reason="this host saves no machines")
def test_a_forward_lasts_over_a_saved_state_and_a_stopped_machine(
    configure: Configure, tmp_path: Path, echo: tuple[int, int]
) -> None:
    identifier = applevz.GenericMachineIdentifier.random()
    configuration = with_agent(configure(platform=applevz.GenericPlatformConfiguration(machine_identifier=identifier)))
    with ExitStack() as stack, applevz.VirtualMachine(configuration) as machine:
        # Before it runs, one way can be made.
        into = machine.forward(guest_port=4321)
        # The reset may come before `connect` has returned, which then says so.
        with (
            pytest.raises(ConnectionResetError),
            socket.create_connection(("127.0.0.1", into.port), timeout=PATIENCE) as early,
        ):
            early.recv(1)
        assert isinstance(into.error, applevz.GuestUnreachableError)
        with pytest.raises(applevz.GuestUnreachableError):
            machine.forward(to="host", host_port=echo[0], timeout=PATIENCE)
        machine.start(timeout=PATIENCE)
        waiting = stack.enter_context(socket.create_connection(("127.0.0.1", into.port), timeout=PATIENCE))
        machine.guest.run(["ip", "link", "set", "lo", "up"], timeout=PATIENCE, check=True)
        out = machine.forward(to="host", guest_port=4321, host_port=echo[0], timeout=PATIENCE)
        # The agent answered meanwhile, and nobody listened yet.
        with suppress(ConnectionResetError):
            waiting.sendall(b"x")
            waiting.recv(1)
        assert exchanged(into.port, b"first") == b"first"
        held = stack.enter_context(socket.create_connection(("127.0.0.1", into.port), timeout=PATIENCE))
        held.sendall(b"held")
        assert held.recv(4) == b"held"
        machine.suspend(timeout=PATIENCE)
        machine.save_state(tmp_path / "state", timeout=PATIENCE)
        machine.resume(timeout=PATIENCE)
        # A pause ends nothing.
        held.sendall(b"on")
        assert held.recv(4) == b"on"
        machine.shutdown(ShutdownPolicy.POWEROFF)
        with pytest.raises(ConnectionResetError):
            held.recv(1)
        machine.restore_state(tmp_path / "state", timeout=PATIENCE)
        machine.start(timeout=PATIENCE)

        def works() -> bool:
            with suppress(ConnectionError):
                return exchanged(into.port, b"again") == b"again"
            return False

        # Nobody has called the guest since.
        assert eventually(works, PATIENCE)
        assert (out.port, into.closed, out.closed) == (4321, False, False)
        into.close()
        out.close()
        assert machine.guest.run(["echo", "on"], timeout=PATIENCE).stdout == b"on\n"


def test_forwards_in_a_loop(configure: Configure, echo: tuple[int, int]) -> None:
    async def main() -> None:
        async with applevz.aio.VirtualMachine(with_agent(configure())) as machine:
            await machine.start(timeout=PATIENCE)
            await machine.guest.run(["ip", "link", "set", "lo", "up"], timeout=PATIENCE, check=True)
            async with (
                await machine.forward(to="host", host_port=echo[0], timeout=PATIENCE) as out,
                await machine.forward(guest_port=out.port) as into,
            ):
                reader, writer = await asyncio.open_connection("127.0.0.1", into.port)
                data = os.urandom(100_000)
                writer.write(data)
                writer.write_eof()
                assert await reader.read() == data
                writer.close()
                await writer.wait_closed()
            assert len(asyncio.all_tasks()) == 1
            async with await machine.guest.open("/proc/version") as file:
                assert "Linux" in await file.readline()

    asyncio.run(main())
