# SPDX-License-Identifier: Apache-2.0
"""A real guest that has QEMU's agent alone, or both agents."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import applevz
import applevz.aio
from applevz import EventKind
from fixtures import Configure
from guest_machine import PATIENCE

pytestmark = pytest.mark.skipif(not applevz.capabilities.virtualization, reason="this host runs no machines")

# Its port is on the first console device behind the serial port.
START = "mkdir -p /run /var/run; qemu-ga -m virtio-serial -p /dev/vport1p1 -t /run -d; echo started $?\n"


@pytest.fixture(scope="module")
def configure_with_agent(
    configure: Configure, guest_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., applevz.VirtualMachineConfiguration]:
    ramdisk = tmp_path_factory.mktemp("qemu-agent") / "initrd"
    parts = [(guest_files / name).read_bytes() for name in ("initrd.cpio.gz", "agent.cpio.gz")]
    ramdisk.write_bytes(b"".join(part + bytes(-len(part) % 4) for part in parts))

    def make(*, both: bool = False, **fields: object) -> applevz.VirtualMachineConfiguration:
        configuration = configure(guest_agent=True, **fields)
        assert isinstance(configuration.boot_loader, applevz.LinuxBootLoader)
        loader = dataclasses.replace(configuration.boot_loader, initial_ramdisk=ramdisk, guest_agent=both)
        configuration.boot_loader = loader
        return configuration

    return make


def begin(machine: applevz.VirtualMachine) -> None:
    machine.start(timeout=PATIENCE)
    machine.console.read_until("guest# ", timeout=PATIENCE)
    machine.console.write(START)
    machine.console.read_until("started 0", timeout=PATIENCE)


@pytest.fixture(scope="module")
def guest(
    configure_with_agent: Callable[..., applevz.VirtualMachineConfiguration],
) -> Iterator[applevz.Guest]:
    with applevz.VirtualMachine(configure_with_agent()) as machine:
        begin(machine)
        yield machine.guest.wait(timeout=PATIENCE)


def test_a_program_is_run(guest: applevz.Guest) -> None:
    done = guest.run(["uname", "-s"], timeout=PATIENCE, text=True, check=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Linux\n", "")
    done = guest.run(
        'cat; echo "$WORD $(pwd)" >&2; exit 3',
        shell=True,
        input=b"in\0\xff",
        env={"WORD": "a b"},
        cwd="/proc",
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, b"in\0\xff", b"a b /proc\n")
    both = guest.run("echo a; echo b >&2", shell=True, stderr=subprocess.STDOUT, timeout=PATIENCE)
    assert both.stdout == b"a\nb\n"
    assert guest.run("kill -TERM $$", shell=True, timeout=PATIENCE).returncode == -signal.SIGTERM
    with pytest.raises(FileNotFoundError) as caught:
        guest.run(["nonesuch"], timeout=PATIENCE)
    assert (caught.value.errno, caught.value.filename) == (2, "nonesuch")


def test_a_program_whose_time_is_over_is_killed(guest: applevz.Guest) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        guest.run(["sleep", "987"], timeout=1.0)
    printed = guest.run(["ps", "-o", "args"], timeout=PATIENCE).stdout
    assert b"sleep 987" not in printed
    assert b"ps -o args" in printed


def test_files_go_both_ways(guest: applevz.Guest) -> None:
    data = os.urandom(200_000)
    assert guest.write_bytes("/tmp/a b", data, timeout=PATIENCE) == len(data)
    assert guest.read_bytes("/tmp/a b", timeout=PATIENCE) == data
    guest.write_bytes("/tmp/a b", b"", timeout=PATIENCE)
    assert guest.read_bytes("/tmp/a b", timeout=PATIENCE) == b""
    with pytest.raises(FileNotFoundError) as caught:
        guest.read_bytes("/tmp/nonesuch", timeout=PATIENCE)
    assert caught.value.filename == "/tmp/nonesuch"
    with pytest.raises(IsADirectoryError):
        guest.read_bytes("/tmp", timeout=PATIENCE)


def test_it_tells_of_its_guest(guest: applevz.Guest) -> None:
    information = guest.info(timeout=PATIENCE)
    assert information.kernel == guest.run(["uname", "-r"], text=True, timeout=PATIENCE).stdout.strip()
    assert information.processors == 1
    assert 150 << 20 < information.memory_total <= 256 << 20
    assert information.uptime > 0
    assert information.agent.startswith("QEMU ")


def test_what_it_cannot_do_is_said(guest: applevz.Guest) -> None:
    with pytest.raises(applevz.NotSupportedError, match="QEMU's agent"):
        guest.popen(["cat"], timeout=PATIENCE)
    with pytest.raises(applevz.NotSupportedError, match="QEMU's agent"):
        guest.connect(80, timeout=PATIENCE)


@pytest.mark.skipif(not applevz.capabilities.save_restore, reason="this host saves no machines")
def test_it_serves_a_restored_guest_once_the_clock_is_set(
    configure_with_agent: Callable[..., applevz.VirtualMachineConfiguration], tmp_path: Path
) -> None:
    platform = applevz.GenericPlatformConfiguration(machine_identifier=applevz.GenericMachineIdentifier.random())
    with applevz.VirtualMachine(configure_with_agent(platform=platform)) as machine:
        begin(machine)
        assert machine.guest.run(["echo", "before"], timeout=PATIENCE).stdout == b"before\n"
        machine.suspend(to=tmp_path / "state", timeout=PATIENCE)
        machine.restore_state(tmp_path / "state", timeout=PATIENCE)
        machine.start(timeout=PATIENCE)
        assert machine.guest.run(["echo", "after"], timeout=PATIENCE).stdout == b"after\n"
        event = machine.events.next(timeout=PATIENCE)
        while event.kind is not EventKind.GUEST_CLOCK_SET:
            event = machine.events.next(timeout=PATIENCE)
        assert event.error is None
        machine.stop(timeout=PATIENCE)
        with pytest.raises(applevz.GuestUnreachableError, match="not running"):
            machine.guest.run(["true"], timeout=PATIENCE)


@pytest.mark.skipif(not applevz.capabilities.guest_agent, reason="this package was built without the agent")
def test_this_package_s_agent_is_the_one_that_is_spoken_to(
    configure_with_agent: Callable[..., applevz.VirtualMachineConfiguration],
) -> None:
    async def main() -> None:
        async with applevz.aio.VirtualMachine(configure_with_agent(both=True)) as machine:
            await machine.start(timeout=PATIENCE)
            await machine.console.read_until("guest# ", timeout=PATIENCE)
            await machine.console.write(START)
            await machine.console.read_until("started 0", timeout=PATIENCE)
            await machine.guest.wait(timeout=PATIENCE)
            async with await machine.guest.popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
                assert (await process.communicate(b"through", timeout=PATIENCE))[0] == b"through"
            assert (await machine.guest.info(timeout=PATIENCE)).agent == applevz.__version__

    asyncio.run(main())


def test_an_event_loop_is_served(configure_with_agent: Callable[..., applevz.VirtualMachineConfiguration]) -> None:
    async def main() -> None:
        async with applevz.aio.VirtualMachine(configure_with_agent()) as machine:
            await machine.start(timeout=PATIENCE)
            await machine.console.read_until("guest# ", timeout=PATIENCE)
            # It is waited for while it is not there yet.
            waiting = asyncio.ensure_future(machine.guest.run(["echo", "x"], timeout=PATIENCE))
            await asyncio.sleep(0)
            await machine.console.write(START)
            assert (await waiting).stdout == b"x\n"
            await machine.guest.write_bytes("/tmp/x", b"data", timeout=PATIENCE)
            assert await machine.guest.read_bytes("/tmp/x", timeout=PATIENCE) == b"data"

    asyncio.run(main())
