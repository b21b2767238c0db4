# SPDX-License-Identifier: Apache-2.0
"""A guest that panics, or is reset, is told once: by QEMU's device, by the words on a console, or by both."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import applevz
import applevz.aio
from applevz import EventKind, VirtualMachineState
from applevz._core.panics import panics_in
from fixtures import Configure, MakeMachine, Script
from guest_machine import PATIENCE
from processes import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no QEMU under Apple's framework")

WORDS = b"[ 1.0] Kernel panic - not syncing: sysrq triggered crash\r\n"
END = b"[ 1.1] ---[ end Kernel panic - not syncing: sysrq triggered crash ]---\r\n"


def message(name: str, **data: Any) -> str:
    return json.dumps({"event": name, "data": data, "timestamp": {"seconds": 0, "microseconds": 0}})


PANIC = message("GUEST_PANICKED", action="run")
RESET = message("RESET", guest=True, reason="guest-reset")
NOT_OF_GUEST = message("RESET", guest=False, reason="host-qmp-system-reset")
STOP_AT_RESET = message("SHUTDOWN", guest=True, reason="guest-reset")


def prints(console: applevz.Console | applevz.aio.Console, data: bytes) -> None:
    """The guest prints."""
    with console._guest_writing as number:
        assert os.write(number, data) == len(data)


def told(vm: applevz.VirtualMachine) -> list[applevz.Event]:
    """The events of the guest that are there."""
    events: list[applevz.Event] = []
    while True:
        try:
            event = vm.events.next(timeout=0)
        except applevz.TimeoutError:
            return events
        if event.kind in (EventKind.GUEST_PANICKED, EventKind.GUEST_RESET):
            events.append(event)


@pytest.fixture
def started(machine: MakeMachine, script: Script) -> Callable[..., applevz.VirtualMachine]:
    def make(*events: str, **fields: Any) -> applevz.VirtualMachine:
        # QEMU answers to `system_powerdown` with the events.
        script(after={"system_powerdown": "tell"}, events=list(events))
        vm = machine(**fields)
        vm.start(timeout=PATIENCE)
        told(vm)
        return vm

    return make


def tell(vm: applevz.VirtualMachine) -> None:
    """Has QEMU send its events, and waits until they are through."""
    vm.request_stop(timeout=PATIENCE)
    vm.pause(timeout=PATIENCE)
    vm.resume(timeout=PATIENCE)


@pytest.mark.parametrize("place", range(0, len(WORDS + END), 3))
def test_words_are_seen_wherever_a_read_ends(place: int) -> None:
    data = WORDS + END
    received = bytearray()
    begun = ended = 0
    for part in (data[:place], data[place:]):
        received += part
        begins, ends = panics_in(received, len(part))
        begun += begins
        ended += ends
    assert (begun, ended) == (1, 1)


def test_words_of_another_kind_are_none() -> None:
    for data in (b"", b"Kernel panic", b"kernel panic - not syncing", b"x" * 100000):
        assert panics_in(bytearray(data), len(data)) == (False, False)


def test_the_words_on_a_console_are_an_event_with_what_was_printed(
    started: Callable[..., applevz.VirtualMachine],
) -> None:
    vm = started()
    prints(vm.console, b"before\r\n" + WORDS[:20])
    assert told(vm) == []
    prints(vm.console, WORDS[20:] + b"behind\r\n" + END)
    event = vm.events.next(timeout=PATIENCE)
    assert (event.kind, event.state, event.cause) == (
        EventKind.GUEST_PANICKED,
        VirtualMachineState.RUNNING,
        applevz.EventCause.GUEST,
    )
    assert event.console == (b"before\r\n" + WORDS + b"behind\r\n" + END).decode().replace("\r\n", "\n")
    # Nothing was taken from whoever reads.
    assert vm.console.read_until("]---\r\n", timeout=PATIENCE) == b"before\r\n" + WORDS + b"behind\r\n" + END
    assert told(vm) == []


def test_a_reader_sees_the_words_too(started: Callable[..., applevz.VirtualMachine]) -> None:
    vm = started()
    prints(vm.console, WORDS)
    assert vm.console.readline(timeout=PATIENCE) == WORDS
    assert [event.console for event in told(vm)] == [WORDS.decode().replace("\r\n", "\n")]


def test_who_waits_for_an_agent_is_told_when_the_last_words_of_a_panic_come(
    started: Callable[..., applevz.VirtualMachine],
) -> None:
    """The first ones were told to somebody before."""
    vm = started(guest_agent=True)
    prints(vm.console, WORDS + END[:30])
    assert vm.console.read_until(END[:30], timeout=PATIENCE) == WORDS + END[:30]
    assert len(told(vm)) == 1
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(vm.guest.wait, timeout=PATIENCE)
        assert eventually(lambda: not vm.guest._session.is_idle)
        prints(vm.console, END[30:])
        with pytest.raises(applevz.GuestPanickedError, match="end Kernel panic"):
            waiting.result(PATIENCE)


def test_an_event_that_is_waited_for_comes_by_the_console(started: Callable[..., applevz.VirtualMachine]) -> None:
    vm = started()
    timer = threading.Timer(0.2, prints, (vm.console, WORDS))
    timer.start()
    assert vm.events.next(timeout=PATIENCE).kind is EventKind.GUEST_PANICKED


def test_a_panic_of_the_device_and_the_console_is_told_once(started: Callable[..., applevz.VirtualMachine]) -> None:
    vm = started(PANIC)
    prints(vm.console, WORDS)
    vm.console.read(timeout=PATIENCE)
    tell(vm)
    assert len(told(vm)) == 1
    # The other way round, in the next run.
    vm.stop(timeout=PATIENCE)
    vm.start(timeout=PATIENCE)
    tell(vm)
    prints(vm.console, WORDS)
    assert len(told(vm)) == 1


def test_a_guest_that_starts_anew_may_panic_again(started: Callable[..., applevz.VirtualMachine]) -> None:
    vm = started(PANIC, RESET, NOT_OF_GUEST, PANIC)
    tell(vm)
    kinds = [event.kind for event in told(vm)]
    assert kinds == [EventKind.GUEST_PANICKED, EventKind.GUEST_RESET, EventKind.GUEST_PANICKED]
    with pytest.raises(applevz.GuestPanickedError):
        vm.wait(VirtualMachineState.STOPPED, timeout=PATIENCE, panic=True)


def test_two_consoles_tell_of_one_panic(started: Callable[..., applevz.VirtualMachine]) -> None:
    port = applevz.VirtioConsolePortConfiguration(is_console=True)
    data = applevz.VirtioConsolePortConfiguration("org.example.log")
    vm = started(
        serial_ports=[applevz.VirtioConsoleDeviceSerialPortConfiguration()] * 2,
        console_devices=[applevz.VirtioConsoleDeviceConfiguration([port, data])],
    )
    # What a program of the guest writes to a port of its own says nothing of the kernel.
    prints(vm.console_devices[0].ports[1].console, WORDS)
    vm.console_devices[0].ports[1].console.read(timeout=PATIENCE)
    assert told(vm) == []
    for console in (*vm.consoles, vm.console_devices[0].ports[0].console):
        prints(console, WORDS)
    assert len(told(vm)) == 1


def test_a_console_s_error_shows_what_the_others_printed(started: Callable[..., applevz.VirtualMachine]) -> None:
    vm = started(serial_ports=[applevz.VirtioConsoleDeviceSerialPortConfiguration()] * 2)
    prints(vm.consoles[1], b"there")
    with pytest.raises(applevz.TimeoutError, match=r"On consoles\[1\]: b'there'"):
        vm.consoles[0].read_until("here", timeout=0)
    with pytest.raises(applevz.TimeoutError) as caught:
        vm.consoles[1].read_until("nowhere", timeout=0)
    assert "On consoles" not in str(caught.value)
    assert vm.consoles[1].read(timeout=PATIENCE) == b"there"


def test_a_wait_ends_with_a_panic_if_it_is_told_to(started: Callable[..., applevz.VirtualMachine]) -> None:
    vm = started()
    timer = threading.Timer(0.2, prints, (vm.console, WORDS))
    timer.start()
    with pytest.raises(applevz.GuestPanickedError, match="sysrq triggered crash") as caught:
        vm.wait(VirtualMachineState.STOPPED, timeout=PATIENCE, panic=True)
    assert isinstance(caught.value, applevz.GuestConnectionLostError)
    # It may have started anew: only its last words say that it has not.
    with pytest.raises(applevz.TimeoutError):
        vm.wait(VirtualMachineState.STOPPED, timeout=0.1, panic=True)
    prints(vm.console, END)
    with pytest.raises(applevz.GuestPanickedError):
        vm.wait(VirtualMachineState.STOPPED, timeout=PATIENCE, panic=True)
    assert vm.wait(VirtualMachineState.RUNNING, timeout=PATIENCE, panic=True) is VirtualMachineState.RUNNING
    # What a former guest printed is not the next one's.
    vm.stop(timeout=PATIENCE)
    prints(vm.console, WORDS + END)
    vm.start(timeout=PATIENCE)
    with pytest.raises(applevz.TimeoutError):
        vm.wait(VirtualMachineState.STOPPED, timeout=0.1, panic=True)


def test_what_nobody_reads_does_not_grow_without_a_bound(started: Callable[..., applevz.VirtualMachine]) -> None:
    vm = started()
    for _ in range(100):
        prints(vm.console, b"x" * 60_000)
        told(vm)
        if len(vm.console._received) >= 1 << 20:
            break
    told(vm)
    assert len(vm.console._received) < (1 << 20) + (1 << 16)


def test_a_guest_that_prints_the_words_for_ever_causes_one_event(
    started: Callable[..., applevz.VirtualMachine],
) -> None:
    vm = started()
    for _ in range(10):
        prints(vm.console, WORDS * 1000)
        vm.console.read(timeout=PATIENCE)
    assert len(told(vm)) == 1


def test_a_reset_at_which_the_machine_stops_is_told_before(machine: MakeMachine, script: Script, tmp_path: Any) -> None:
    record = tmp_path / "arguments"
    script(after={"system_powerdown": "events"}, events=[STOP_AT_RESET], record=str(record))
    vm = machine(stop_at_reset=True)
    vm.start(timeout=PATIENCE)
    arguments = json.loads(record.read_text())
    assert arguments[arguments.index("-action") + 1] == "panic=none,reboot=shutdown"
    vm.shutdown(timeout=PATIENCE)
    kinds = [vm.events.next(timeout=PATIENCE).kind for _ in range(5)]
    assert kinds[2:] == [EventKind.GUEST_RESET, EventKind.STATE_CHANGED, EventKind.GUEST_STOPPED]


def test_an_event_loop_waits_for_a_panic(configure: Configure, script: Script) -> None:
    script()

    async def main() -> None:
        async with applevz.aio.VirtualMachine(configure()) as vm:
            await vm.start(timeout=PATIENCE)
            waiting = asyncio.ensure_future(vm.wait(VirtualMachineState.STOPPED, timeout=PATIENCE, panic=True))
            await asyncio.sleep(0)
            prints(vm.console, WORDS)
            with pytest.raises(applevz.GuestPanickedError, match="sysrq triggered crash"):
                await waiting
            kinds = []
            while EventKind.GUEST_PANICKED not in kinds:
                kinds.append((await vm.events.next(timeout=PATIENCE)).kind)
            assert await vm.console.readline(timeout=PATIENCE) == WORDS

    asyncio.run(main())
