# SPDX-License-Identifier: Apache-2.0
"""Real guests whose kernel panics, or that are reset: who is told, and what fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

import applevz
import applevz.aio
from applevz import EventKind, VirtualMachineState
from fixtures import Configure
from guest_machine import PATIENCE, with_agent

pytestmark = pytest.mark.skipif(not applevz.capabilities.guest_agent, reason="this package was built without the agent")

CRASH = "echo c > /proc/sysrq-trigger"
# The kernel's driver for QEMU's device, which the default guest loads for nobody else.
LOAD_DRIVER = "for module in $(cat /modules/pvpanic-mmio.order); do insmod /modules/$module.ko || exit 1; done"


@pytest.fixture
def boot(configure: Configure) -> Iterator[Callable[..., applevz.VirtualMachine]]:
    with ExitStack() as stack:

        def make(**fields: Any) -> applevz.VirtualMachine:
            vm = stack.enter_context(applevz.VirtualMachine(with_agent(configure(**fields))))
            vm.start(timeout=PATIENCE)
            vm.guest.wait(timeout=PATIENCE)
            return vm

        yield make


def told(vm: applevz.VirtualMachine, last: EventKind) -> list[applevz.Event]:
    """The guest's events, up to the first of that kind."""
    events: list[applevz.Event] = []
    while not events or events[-1].kind is not last:
        event = vm.events.next(timeout=PATIENCE)
        if event.kind in (EventKind.GUEST_PANICKED, EventKind.GUEST_RESET, EventKind.GUEST_STOPPED):
            events.append(event)
    return events


def test_a_panic_ends_all_that_was_under_way(boot: Callable[..., applevz.VirtualMachine]) -> None:
    vm = boot()
    with ThreadPoolExecutor(3) as pool:
        waiting = pool.submit(vm.wait, VirtualMachineState.STOPPED, timeout=PATIENCE, panic=True)
        calls: list[Future[Any]] = [
            waiting,
            *(pool.submit(vm.guest.run, ["sleep", "999"], timeout=PATIENCE) for _ in range(2)),
        ]
        with pytest.raises(applevz.GuestPanickedError, match="sysrq triggered crash"):
            vm.guest.run(CRASH, shell=True, timeout=PATIENCE)
        for call in calls:
            with pytest.raises(applevz.GuestPanickedError, match="sysrq triggered crash"):
                call.result(PATIENCE)
    (event,) = told(vm, EventKind.GUEST_PANICKED)
    assert event.console is not None
    assert "Kernel panic - not syncing: sysrq triggered crash" in event.console
    vm.console.read_until("---[ end Kernel panic", timeout=PATIENCE)
    # It does nothing more: nobody waits for it.
    with pytest.raises(applevz.GuestPanickedError, match="end Kernel panic"):
        vm.guest.wait(timeout=PATIENCE)
    assert vm.state is VirtualMachineState.RUNNING
    vm.stop(timeout=PATIENCE)
    vm.start(timeout=PATIENCE)
    assert vm.guest.run(["echo", "anew"], timeout=PATIENCE).stdout == b"anew\n"


@pytest.mark.skipif(not applevz.capabilities.guest_resets, reason="this host tells of no resets")
def test_a_guest_that_starts_anew_after_its_panic_is_reached_again(
    boot: Callable[..., applevz.VirtualMachine],
) -> None:
    vm = boot(words="panic=1")
    with pytest.raises(applevz.GuestPanickedError, match="sysrq triggered crash"):
        vm.guest.run(CRASH, shell=True, timeout=PATIENCE)
    assert [event.kind for event in told(vm, EventKind.GUEST_RESET)] == [
        EventKind.GUEST_PANICKED,
        EventKind.GUEST_RESET,
    ]
    # By the device this time, which no console is needed for, and once.
    assert vm.guest.run(LOAD_DRIVER, shell=True, timeout=PATIENCE).returncode == 0
    with pytest.raises(applevz.GuestPanickedError):
        vm.guest.run(CRASH, shell=True, timeout=PATIENCE)
    assert [event.kind for event in told(vm, EventKind.GUEST_RESET)] == [
        EventKind.GUEST_PANICKED,
        EventKind.GUEST_RESET,
    ]
    assert vm.guest.run(["echo", "anew"], timeout=PATIENCE).stdout == b"anew\n"


@pytest.mark.skipif(not applevz.capabilities.guest_resets, reason="there is no such device under Apple's framework")
@pytest.mark.parametrize("additions", [True, False], ids=["microvm", "q35"])
def test_the_device_tells_of_a_panic_without_a_console(
    boot: Callable[..., applevz.VirtualMachine], additions: bool
) -> None:
    vm = boot(serial_ports=[], command_line_additions=additions)
    assert vm.guest.run(LOAD_DRIVER, shell=True, timeout=PATIENCE).returncode == 0
    with pytest.raises(applevz.GuestPanickedError, match="printed nothing"):
        vm.guest.run(CRASH, shell=True, timeout=PATIENCE)
    (event,) = told(vm, EventKind.GUEST_PANICKED)
    assert event.console == ""
    with pytest.raises(applevz.GuestPanickedError):
        vm.guest.wait(timeout=PATIENCE)


def test_words_that_a_program_of_the_guest_prints_stop_nothing(boot: Callable[..., applevz.VirtualMachine]) -> None:
    vm = boot()
    with pytest.raises(applevz.GuestPanickedError):
        vm.guest.run("echo 'Kernel panic - not syncing: no' > /dev/hvc0; sleep 999", shell=True, timeout=PATIENCE)
    (event,) = told(vm, EventKind.GUEST_PANICKED)
    assert event.state is VirtualMachineState.RUNNING
    assert vm.guest.run(["echo", "still here"], timeout=PATIENCE).stdout == b"still here\n"


@pytest.mark.skipif(not applevz.capabilities.guest_resets, reason="this host tells of no resets")
def test_a_reset_stops_the_machine_if_that_is_wanted(boot: Callable[..., applevz.VirtualMachine]) -> None:
    vm = boot(stop_at_reset=True)
    vm.guest.popen(["reboot", "-f"], detached=True, timeout=PATIENCE)
    assert vm.wait(VirtualMachineState.STOPPED, timeout=PATIENCE) is VirtualMachineState.STOPPED
    assert [event.kind for event in told(vm, EventKind.GUEST_STOPPED)] == [
        EventKind.GUEST_RESET,
        EventKind.GUEST_STOPPED,
    ]


def test_an_event_loop_is_told_of_a_panic(configure: Configure) -> None:
    async def main() -> None:
        async with applevz.aio.VirtualMachine(with_agent(configure())) as vm:
            await vm.start(timeout=PATIENCE)
            await vm.guest.wait(timeout=PATIENCE)
            running = asyncio.ensure_future(vm.guest.run(["sleep", "999"], timeout=PATIENCE))
            with pytest.raises(applevz.GuestPanickedError, match="sysrq triggered crash"):
                await vm.guest.run(CRASH, shell=True, timeout=PATIENCE)
            with pytest.raises(applevz.GuestPanickedError):
                await running
            kinds = [EventKind.STATE_CHANGED]
            while kinds[-1] is not EventKind.GUEST_PANICKED:
                kinds.append((await vm.events.next(timeout=PATIENCE)).kind)

    asyncio.run(main())
