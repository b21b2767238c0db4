# SPDX-License-Identifier: Apache-2.0
"""Keyboards and pointing devices: what is sent arrives in the guest, as the key, character and place that was meant."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import struct
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import Key, PointerButton, ShutdownPolicy, aio
from fixtures import Configure, MakeMachine, Script
from guest_machine import PATIENCE, Guest
from processes import eventually

linux = pytest.mark.skipif(sys.platform != "linux", reason="the test's guest is made on Linux, and no Mac has these")

SIZE = (800, 600)
# linux/input-event-codes.h
SYN, KEY, REL, ABS, MSC = 0, 1, 2, 3, 4
REL_WHEEL, MSC_SCAN = 8, 4
BUTTONS = {PointerButton.LEFT: 0x110, PointerButton.RIGHT: 0x111, PointerButton.MIDDLE: 0x112}


def fields(**more: Any) -> dict[str, Any]:
    scanout = applevz.VirtioGraphicsScanoutConfiguration(*SIZE)
    return {
        "kernel": "desktop/vmlinux",
        "graphics_devices": [applevz.VirtioGraphicsDeviceConfiguration([scanout])],
        "keyboards": [applevz.USBKeyboardConfiguration()],
        "pointing_devices": [applevz.USBScreenCoordinatePointingDeviceConfiguration()],
        **more,
    }


class Desk:
    """A guest that keeps what its keyboard and its pointing device say."""

    def __init__(self, vm: applevz.VirtualMachine) -> None:
        self.guest = Guest(vm)
        self.vm = vm

    def start(self) -> Desk:
        self.guest.start()
        for name, file in (("Keyboard", "keys"), ("Tablet", "pointer")):
            assert eventually(lambda name=name: self.node(name) != "")  # type: ignore[misc]
            self.guest.run(f"cat /dev/input/{self.node(name)} > /{file} &")
            self.guest.run(f"until ls -l /proc/[0-9]*/fd 2> /dev/null | grep -q '{self.node(name)}$'; do :; done")
        return self

    def node(self, name: str) -> str:
        return self.guest.run(f"sed -n '/USB {name}/,/Handlers/s/.*\\(event[0-9]*\\).*/\\1/p' /proc/bus/input/devices")

    def events(self, file: str) -> list[tuple[int, int, int]]:
        """The type, code and value of each event so far."""
        data = bytes.fromhex(self.guest.run(f"od -A n -v -t x1 /{file}").replace("\n", " "))
        return [struct.unpack_from("<HHi", data, place + 16) for place in range(0, len(data) - 23, 24)]

    def keys(self) -> list[tuple[int, int]]:
        """Each key that went down (1) or up (0), by its usage."""
        events = [event for event in self.events("keys") if event != (0, 0, 0)]
        found = []
        for first, second in itertools.pairwise(events):
            if first[:2] == (MSC, MSC_SCAN) and second[0] == KEY:
                found.append((first[2] & 0xFFFF, second[2]))
        return found


@pytest.fixture(scope="module")
def identifier() -> applevz.GenericMachineIdentifier:
    return applevz.GenericMachineIdentifier.random()


@pytest.fixture(scope="module")
def desk(configure: Configure, identifier: applevz.GenericMachineIdentifier) -> Iterator[Desk]:
    with applevz.VirtualMachine(configure(**fields(platform=applevz.GenericPlatformConfiguration(identifier)))) as vm:
        yield Desk(vm).start()


def down_and_up(*keys: int) -> list[tuple[int, int]]:
    return [(key, 1) for key in keys] + [(key, 0) for key in reversed(keys)]


@linux
def test_every_key_arrives_as_what_it_is(desk: Desk) -> None:
    """By its usage, which the guest's driver tells of each."""
    before = desk.keys()
    for key in Key:
        desk.vm.keyboard.press(key, timeout=PATIENCE)
    expected = [stroke for key in Key for stroke in down_and_up(key)]
    assert eventually(lambda: desk.keys()[len(before) :] == expected), desk.keys()[len(before) :]
    # Locks are as before.
    for key in (Key.CAPS_LOCK, Key.NUM_LOCK, Key.SCROLL_LOCK):
        desk.vm.keyboard.press(key, timeout=PATIENCE)


@linux
def test_keys_are_held_together_and_let_go_in_turn(desk: Desk) -> None:
    before = len(desk.keys())
    keyboard = desk.vm.keyboard
    keyboard.press("ctrl-Shift-page_up", timeout=PATIENCE)
    keyboard.press([Key.RIGHT_ALT, Key.X], timeout=PATIENCE)
    keyboard.down("shift", timeout=PATIENCE)
    keyboard.press("/", timeout=PATIENCE)
    keyboard.up(Key.SHIFT, timeout=PATIENCE)
    expected = [
        *down_and_up(Key.CONTROL, Key.SHIFT, Key.PAGE_UP),
        *down_and_up(Key.RIGHT_ALT, Key.X),
        (Key.SHIFT, 1),
        *down_and_up(Key.SLASH),
        (Key.SHIFT, 0),
    ]
    assert eventually(lambda: desk.keys()[before:] == expected), desk.keys()[before:]


@linux
def test_text_is_typed_on_the_guest_s_terminal(desk: Desk) -> None:
    text = "Hello, wor1d: ~`!@#$%^&*()_+-=[]{}\\|;'\"<>./?"
    desk.guest.run("cat /dev/tty1 > /typed &")
    desk.guest.run("until ls -l /proc/[0-9]*/fd 2> /dev/null | grep -q 'tty1$'; do :; done")
    lines = [text, "THE QUICK BROWN FOX jumps over the lazy dog 0123456789"]

    def arrived() -> bool:
        # What other tests pressed last may be the beginning of a line.
        desk.vm.keyboard.press("ctrl-u", timeout=PATIENCE)
        desk.vm.keyboard.type(lines[0] + "\n", timeout=PATIENCE)
        desk.vm.keyboard.type(lines[1] + "\n", interval=0.02, timeout=PATIENCE)
        return eventually(lambda: desk.guest.run("tail -n 2 /typed").splitlines() == lines, 10)

    # The guest itself repeats a key that is down for a quarter of a second, and a busy host may take that long.
    assert any(arrived() for _ in range(5)), desk.guest.run("cat /typed")


@linux
def test_what_two_send_at_once_is_not_mixed(desk: Desk) -> None:
    before = len(desk.keys())
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(desk.vm.keyboard.press, f"shift-{key}-{key}", timeout=PATIENCE) for key in "ab" * 2]
        for future in done:
            future.result()

    def groups() -> list[tuple[int, ...]]:
        keys = desk.keys()[before:]
        return sorted({tuple(usage for usage, _ in keys[place : place + 4]) for place in range(0, len(keys), 4)})

    # A key that is down goes down no more, and up once.
    wanted = [(Key.SHIFT, key, key, Key.SHIFT) for key in (Key.A, Key.B)]
    assert eventually(lambda: len(desk.keys()) - before == 16 and groups() == sorted(wanted)), desk.keys()[before:]


def pixel(events: list[tuple[int, int, int]], length: int, axis: int) -> list[int]:
    """The last place on that axis, as the guest's desktop would take it: 0 to 32767 for the whole display."""
    return [value * length // 32768 for kind, code, value in events if (kind, code) == (ABS, axis)][-1:]


@linux
def test_the_pointer_goes_where_it_was_sent_clicks_and_scrolls(desk: Desk) -> None:
    pointer = desk.vm.pointer
    for place in [(0, 0), (799, 599), (400, 300), (1, 598)]:
        pointer.move(*place, timeout=PATIENCE)
        arrived = eventually(
            lambda place=place: (  # type: ignore[misc]
                [*pixel(desk.events("pointer"), 800, 0), *pixel(desk.events("pointer"), 600, 1)] == list(place)
            )
        )
        assert arrived, desk.events("pointer")[-6:]
    before = len(desk.events("pointer"))
    for button in PointerButton:
        pointer.click(button, timeout=PATIENCE)
    pointer.click(count=2, timeout=PATIENCE)
    pointer.down(PointerButton.RIGHT, timeout=PATIENCE)
    pointer.move(10, 10, timeout=PATIENCE)
    pointer.up(PointerButton.RIGHT, timeout=PATIENCE)
    pointer.scroll(2, timeout=PATIENCE)
    pointer.scroll(-3, timeout=PATIENCE)
    buttons = [(BUTTONS[button], value) for button in (*PointerButton, *[PointerButton.LEFT] * 2) for value in (1, 0)]
    buttons += [(BUTTONS[PointerButton.RIGHT], 1), (BUTTONS[PointerButton.RIGHT], 0)]

    def found(kind: int) -> list[tuple[int, int]]:
        return [event[1:] for event in desk.events("pointer")[before:] if event[0] == kind]

    assert eventually(lambda: found(KEY) == buttons), found(KEY)
    assert eventually(lambda: sum(value for code, value in found(REL) if code == REL_WHEEL) == -1), found(REL)


@linux
def test_a_restored_machine_has_its_keyboard_and_its_pointer(
    desk: Desk, machine: MakeMachine, identifier: applevz.GenericMachineIdentifier, tmp_path: Path
) -> None:
    vm = desk.vm
    vm.pause(timeout=PATIENCE)
    with pytest.raises(applevz.InvalidVirtualMachineStateError, match='state "paused" is invalid for input'):
        vm.keyboard.press("a", timeout=PATIENCE)
    picture = vm.screenshot(timeout=PATIENCE)
    vm.save_state(tmp_path / "state", timeout=PATIENCE)
    vm.resume(timeout=PATIENCE)
    platform = applevz.GenericPlatformConfiguration(identifier)
    change: dict[str, Any]
    for change, words in (({"keyboards": []}, "keyboards.count"), ({"pointing_devices": []}, "pointingDevices.count")):
        with pytest.raises(applevz.RestoreError, match=words):
            machine(**fields(platform=platform, **change)).restore_state(tmp_path / "state", timeout=PATIENCE)
    other = Desk(machine(**fields(platform=platform)))
    other.vm.restore_state(tmp_path / "state", timeout=PATIENCE)
    assert other.vm.screenshot(timeout=PATIENCE) == picture
    other.vm.resume(timeout=PATIENCE)
    keys, pointer = len(other.keys()), len(other.events("pointer"))
    other.vm.keyboard.press("shift-q", timeout=PATIENCE)
    other.vm.pointer.click(PointerButton.MIDDLE, timeout=PATIENCE)
    other.vm.pointer.move(77, 88, timeout=PATIENCE)
    assert eventually(lambda: other.keys()[keys:] == down_and_up(Key.SHIFT, Key.Q)), other.keys()[keys:]
    assert eventually(lambda: pixel(other.events("pointer"), 800, 0) == [77])
    clicks = [event[1:] for event in other.events("pointer")[pointer:] if event[0] == KEY]
    assert clicks == [(0x112, 1), (0x112, 0)]


# ---- What a machine or a caller lacks ----


@linux
def test_a_machine_without_them_says_so(machine: MakeMachine) -> None:
    vm = machine()
    with pytest.raises(
        applevz.NotSupportedError, match=r"The machine has no keyboard\. keyboards of its configuration"
    ):
        vm.keyboard.press("a", timeout=PATIENCE)
    with pytest.raises(applevz.NotSupportedError, match=r"The machine has no pointing device\. pointingDevices of its"):
        vm.pointer.click(timeout=PATIENCE)
    with pytest.raises(applevz.InvalidStateError, match=r"no display to point at.*graphics_devices"):
        vm.pointer.move(0, 0, timeout=PATIENCE)
    with pytest.raises(applevz.InvalidVirtualMachineStateError, match='state "stopped" is invalid for input'):
        machine(**fields()).keyboard.type("a", timeout=PATIENCE)


@linux
def test_more_than_one_of_a_kind_is_refused_in_words(configure: Configure) -> None:
    for name, property, one in (
        ("keyboards", "keyboards has 2 keyboards", applevz.USBKeyboardConfiguration()),
        ("pointing_devices", "pointingDevices has 2 dev", applevz.USBScreenCoordinatePointingDeviceConfiguration()),
    ):
        with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=f"{property}.*at most one"):
            configure(**{name: [one, one]}).validate()
        with pytest.raises(applevz.InvalidArgumentTypeError, match=rf"{name}\[0\]"):
            configure(**{name: ["one"]}).validate()


REFUSED = {
    "no key": (lambda vm: vm.keyboard.press("ctrl-nokey"), "keys is 'ctrl-nokey', in which 'nokey' is no key"),
    "nothing": (lambda vm: vm.keyboard.press(""), "keys is '', in which '' is no key"),
    "no name": (lambda vm: vm.keyboard.down([]), "keys is empty"),
    "a number": (lambda vm: vm.keyboard.up(4), "keys is 4, of type int"),
    "numbers": (lambda vm: vm.keyboard.up([4]), "keys is 4, of type int"),
    "no such character": (
        lambda vm: vm.keyboard.type("naïve"),
        "text has 'ï' at position 2, which a US keyboard has not",
    ),
    "no text": (lambda vm: vm.keyboard.type(b"bytes"), "text is b'bytes', of type bytes"),
    "no interval": (lambda vm: vm.keyboard.type("a", interval=-1), "interval is -1"),
    "a long interval": (lambda vm: vm.keyboard.type("a", interval=61), "interval is 61"),
    "beyond the right": (lambda vm: vm.pointer.move(800, 0), "x is 800, which is not on the display.*from 0 to 799"),
    "beyond the bottom": (lambda vm: vm.pointer.move(0, 600), "y is 600, which is not on the display.*from 0 to 599"),
    "before the left": (lambda vm: vm.pointer.move(-1, 0), "x is -1, which is negative"),
    "no button": (lambda vm: vm.pointer.click("left"), "button is 'left', of type str"),
    "no clicks": (lambda vm: vm.pointer.click(count=0), "count is 0"),
    "no notches": (lambda vm: vm.pointer.scroll(1.5), "notches is 1.5, of type float"),
    "many notches": (lambda vm: vm.pointer.scroll(101), "notches is 101"),
}


@linux
@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_sent_is_refused_by_name(machine: MakeMachine, kind: str) -> None:
    call, words = REFUSED[kind]
    with pytest.raises(applevz.InvalidArgumentError) as caught:
        call(machine(**fields()))
    assert re.search(words, str(caught.value), re.S), caught.value


# ---- The rest of a life ----


@linux
def test_the_loop_s_keyboard_types_while_other_things_go_on_and_its_time_may_be_over(
    configure: Configure, script: Script
) -> None:
    """The scripted QEMU takes all; what a real guest makes of it is told above."""
    script()

    async def use() -> None:
        async with aio.VirtualMachine(configure(**fields())) as vm:
            await vm.start(timeout=PATIENCE)
            await asyncio.gather(
                vm.keyboard.type("abc", timeout=PATIENCE),
                vm.keyboard.press("ctrl-c", timeout=PATIENCE),
                vm.pointer.move(1, 2, timeout=PATIENCE),
                vm.pointer.click(timeout=PATIENCE),
                vm.pointer.scroll(-1, timeout=PATIENCE),
            )
            with pytest.raises(applevz.TimeoutError, match=r"was not sent all of it within 0\.05 s.*20000 events"):
                await vm.keyboard.type("x" * 10000, timeout=0.05)
            waiting = asyncio.create_task(vm.keyboard.press("a", timeout=PATIENCE))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    asyncio.run(use())


@linux
def test_a_machine_that_ends_ends_what_is_sent(machine: MakeMachine, script: Script) -> None:
    script()
    vm = machine(**fields())
    vm.start(timeout=PATIENCE)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(vm.keyboard.type, "x" * 10000, timeout=PATIENCE) for _ in range(2)]
        vm.shutdown(ShutdownPolicy.POWEROFF, timeout=PATIENCE)
        for future in waiting:
            with pytest.raises(applevz.Error, match='state "stopp(ed|ing)"|cancelled|ended|closed the connection'):
                future.result(timeout=PATIENCE)
    # And the next life begins with nothing that is left to be sent.
    vm.start(timeout=PATIENCE)
    vm.keyboard.press("a", timeout=PATIENCE)


@linux
def test_what_qemu_refuses_is_told_and_ends_the_rest(machine: MakeMachine, script: Script) -> None:
    refusal = json.dumps({"error": {"class": "GenericError", "desc": "no input"}, "id": 77}).replace("77", "%d")
    script(answers={"input-send-event": refusal + "\r\n"})
    vm = machine(**fields())
    vm.start(timeout=PATIENCE)
    with pytest.raises(applevz.InternalError, match="no input"):
        vm.keyboard.type("x" * 1000, timeout=PATIENCE)


def test_what_this_host_can_do_is_told() -> None:
    assert bool(applevz.capabilities.input_events) == (sys.platform == "linux")
