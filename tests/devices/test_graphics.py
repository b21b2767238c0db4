# SPDX-License-Identifier: Apache-2.0
"""Displays: what a guest draws is what a screenshot shows."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import ShutdownPolicy, aio
from fixtures import Configure, MakeMachine, Script
from guest_machine import PATIENCE, Guest
from png import Picture
from processes import eventually

linux = pytest.mark.skipif(sys.platform != "linux", reason="the test's guest is made on Linux, and no Mac has these")

WIDTH, HEIGHT = 64, 240
RED, GREEN, BLUE = (255, 2, 1), (3, 250, 4), (5, 6, 240)


def card(width: Any = WIDTH, height: Any = HEIGHT) -> applevz.VirtioGraphicsDeviceConfiguration:
    return applevz.VirtioGraphicsDeviceConfiguration([applevz.VirtioGraphicsScanoutConfiguration(width, height)])


def fields(**more: Any) -> dict[str, Any]:
    """The kernel for PCs, which has the display's driver, and a display."""
    return {"kernel": "desktop/vmlinux", "graphics_devices": [card()], **more}


def band(colour: Sequence[int]) -> str:
    """A command that prints a third of the picture in one colour: of each pixel blue, green, red and something."""
    pixel = "".join(f"\\{value:03o}" for value in reversed(colour))
    return f'yes "$(printf "{pixel}")" | head -c {WIDTH * HEIGHT // 3 * 4}'


def draw(guest: Guest, *colours: Sequence[int]) -> None:
    guest.run(f"({'; '.join(map(band, colours))}) > /picture")
    # At once: of a picture in pieces this kernel forgets the last column (6.1, drm_fb_helper).
    guest.run(f"dd if=/picture of=/dev/fb0 bs={WIDTH * HEIGHT * 4}")


def bands(data: bytes) -> list[tuple[int, ...]] | None:
    """The colours of the picture's thirds, each of which has to be of one colour throughout."""
    picture = Picture(data)
    assert (picture.width, picture.height) == (WIDTH, HEIGHT)
    if set(picture.colours().values()) != {WIDTH * HEIGHT // 3}:
        return None
    return [picture[WIDTH - 1, HEIGHT // 6 * n] for n in (1, 3, 5)]


@pytest.fixture(scope="module")
def identifier() -> applevz.GenericMachineIdentifier:
    return applevz.GenericMachineIdentifier.random()


@pytest.fixture(scope="module")
def painter(configure: Configure, identifier: applevz.GenericMachineIdentifier) -> Iterator[Guest]:
    """A guest with a display, on which it shows nothing by itself."""
    platform = applevz.GenericPlatformConfiguration(identifier)
    with applevz.VirtualMachine(configure(**fields(platform=platform))) as vm:
        guest = Guest(vm).start()
        # The console of the screen, with its cursor, lets go of it.
        guest.run("echo 0 > /sys/class/vtconsole/vtcon1/bind")
        yield guest


def files_in_memory() -> int:
    """How many descriptors of this process are those of files without a name, as pictures come in."""
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return sum(os.path.lexists(link) and os.readlink(link).startswith("/memfd:") for link in links)


@linux
def test_a_screenshot_shows_what_the_guest_draws(painter: Guest, tmp_path: Path) -> None:
    assert painter.run("cat /sys/class/graphics/fb0/virtual_size") == f"{WIDTH},{HEIGHT}"
    (display,) = painter.machine.displays
    assert display.size_in_pixels == (WIDTH, HEIGHT)
    draw(painter, RED, GREEN, BLUE)
    assert eventually(lambda: bands(painter.machine.screenshot(timeout=PATIENCE)) == [RED, GREEN, BLUE])
    draw(painter, BLUE, RED, GREEN)
    assert eventually(lambda: bands(painter.machine.screenshot(timeout=PATIENCE)) == [BLUE, RED, GREEN])

    path = tmp_path / "screen, shot.png"
    path.write_bytes(b"x" * 100000)
    data = painter.machine.screenshot(path, timeout=PATIENCE)
    assert path.read_bytes() == data
    with pytest.raises(applevz.POSIXError, match="cannot be written to") as caught:
        painter.machine.screenshot(tmp_path / "nowhere" / "shot.png", timeout=PATIENCE)
    assert isinstance(caught.value, FileNotFoundError)


@linux
def test_screenshots_at_once_are_each_whole_and_leave_no_descriptor(painter: Guest) -> None:
    draw(painter, GREEN, BLUE, RED)
    assert eventually(lambda: bands(painter.machine.screenshot(timeout=PATIENCE)) == [GREEN, BLUE, RED])
    before = files_in_memory()
    with ThreadPoolExecutor(4) as pool:
        pictures = list(pool.map(lambda _: painter.machine.screenshot(timeout=PATIENCE), range(12)))
    assert set(pictures) == {pictures[0]}
    assert bands(pictures[0]) == [GREEN, BLUE, RED]
    # Nobody waits for these, unless they come at once, and what comes of them is closed.
    for _ in range(5):
        with suppress(applevz.TimeoutError):
            painter.machine.screenshot(timeout=0)
    assert painter.machine.screenshot(timeout=PATIENCE) == pictures[0]
    assert eventually(lambda: files_in_memory() == before)


@linux
def test_a_paused_machine_shows_its_last_picture_and_so_does_a_restored_one(
    painter: Guest, machine: MakeMachine, identifier: applevz.GenericMachineIdentifier, tmp_path: Path
) -> None:
    draw(painter, RED, BLUE, GREEN)
    assert eventually(lambda: bands(painter.machine.screenshot(timeout=PATIENCE)) == [RED, BLUE, GREEN])
    painter.machine.pause(timeout=PATIENCE)
    picture = painter.machine.screenshot(timeout=PATIENCE)
    assert bands(picture) == [RED, BLUE, GREEN]
    painter.machine.save_state(tmp_path / "state", timeout=PATIENCE)
    assert painter.machine.screenshot(timeout=PATIENCE) == picture
    painter.machine.resume(timeout=PATIENCE)

    platform = applevz.GenericPlatformConfiguration(identifier)
    other = machine(**fields(platform=platform, graphics_devices=[card(WIDTH + 8, HEIGHT)]))
    with pytest.raises(applevz.RestoreError, match=r"graphicsDevices\[0\].scanouts\[0\].widthInPixels"):
        other.restore_state(tmp_path / "state", timeout=PATIENCE)
    other = machine(**fields(platform=platform, graphics_devices=[]))
    with pytest.raises(applevz.RestoreError, match=r"graphicsDevices.count"):
        other.restore_state(tmp_path / "state", timeout=PATIENCE)

    other = machine(**fields(platform=platform))
    other.restore_state(tmp_path / "state", timeout=PATIENCE)
    assert other.screenshot(timeout=PATIENCE) == picture
    other.resume(timeout=PATIENCE)
    guest = Guest(other)
    draw(guest, GREEN, RED, BLUE)
    assert eventually(lambda: bands(other.screenshot(timeout=PATIENCE)) == [GREEN, RED, BLUE])
    assert bands(painter.machine.screenshot(timeout=PATIENCE)) == [RED, BLUE, GREEN]


@linux
def test_a_screenshot_is_awaited_by_a_loop(configure: Configure) -> None:
    async def look() -> tuple[bytes, bytes]:
        async with aio.VirtualMachine(configure(graphics_devices=[card(640, 480)])) as vm:
            with pytest.raises(
                applevz.InvalidVirtualMachineStateError, match='state "stopped" is invalid for taking a screenshot'
            ):
                await vm.screenshot(timeout=PATIENCE)
            await vm.start(timeout=PATIENCE)
            return await asyncio.gather(vm.screenshot(timeout=PATIENCE), vm.screenshot(timeout=PATIENCE))

    first, second = asyncio.run(look())
    # The guest has no driver for it, so QEMU says in white on black that there is nothing yet.
    assert first == second
    assert len(Picture(first).colours()) == 2


@linux
def test_a_display_as_large_as_the_largest_starts(machine: MakeMachine) -> None:
    vm = machine(graphics_devices=[card(8192, 8192)])
    vm.start(timeout=PATIENCE)
    assert vm.displays[0].size_in_pixels == (8192, 8192)
    assert repr(vm.displays[0]) == "<VirtioGraphicsScanout 8192x8192>"


def test_a_machine_without_a_display_has_no_screenshot(machine: MakeMachine) -> None:
    vm = machine()
    assert vm.displays == ()
    with pytest.raises(applevz.NotSupportedError, match=r"The machine has no display.*graphicsDevices.*is empty"):
        vm.screenshot(timeout=PATIENCE)


REFUSED = {
    "no width": ([card(0, 600)], r"graphicsDevices\[0\].scanouts\[0\].widthInPixels is 0\..*from 64 to 8192"),
    "a small height": ([card(100, 199)], r"graphicsDevices\[0\].scanouts\[0\].heightInPixels is 199\."),
    "a large width": ([card(8193, 600)], r"widthInPixels is 8193\."),
    "a huge height": ([card(100, 2**31 - 1)], r"heightInPixels is 2147483647\."),
    "no display": ([applevz.VirtioGraphicsDeviceConfiguration([])], r"graphicsDevices\[0\].scanouts has 0 scanouts\."),
    "two displays": (
        [applevz.VirtioGraphicsDeviceConfiguration([applevz.VirtioGraphicsScanoutConfiguration()] * 2)],
        r"graphicsDevices\[0\].scanouts has 2 scanouts\.",
    ),
    "two cards": ([card(), card()], r"graphicsDevices has 2 devices\..*at most one graphics device"),
}


@linux
@pytest.mark.parametrize("kind", REFUSED)
def test_displays_that_no_machine_has_are_refused_in_words(configure: Configure, kind: str) -> None:
    devices, words = REFUSED[kind]
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError) as caught:
        configure(graphics_devices=devices).validate()
    assert re.search(words, str(caught.value), re.S), caught.value


@pytest.mark.parametrize("length", [-1, 2**31, 1.5, "800", None, True])
def test_lengths_that_are_none_are_refused_by_name(configure: Configure, length: Any) -> None:
    with pytest.raises(applevz.InvalidArgumentError, match=r"graphics_devices\[0\].scanouts\[0\].width_in_pixels is"):
        configure(graphics_devices=[card(length, 600)]).validate()


def test_a_display_is_no_card_and_a_card_no_display(configure: Configure) -> None:
    for devices in (
        [applevz.VirtioGraphicsScanoutConfiguration()],
        [applevz.VirtioGraphicsDeviceConfiguration([card()])],  # type: ignore[list-item]
    ):
        with pytest.raises(applevz.InvalidArgumentTypeError, match=r"graphics_devices\[0\]"):
            configure(graphics_devices=devices).validate()


# ---- What a QEMU may do instead ----


@linux
@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ("Enable PNG support with libpng for screendump", applevz.NotSupportedError, "built with libpng"),
        ("no surface", applevz.InternalError, "no surface"),
        (None, applevz.InternalError, "QEMU wrote no picture"),
    ],
)
def test_a_qemu_that_makes_no_picture_is_an_error_with_its_words(
    machine: MakeMachine, script: Script, answer: str | None, kind: type[Exception], words: str
) -> None:
    refusal = f'{{"error": {{"class": "GenericError", "desc": "{answer}"}}, "id": %d}}\r\n'
    script(answers={"screendump": refusal} if answer else {})
    vm = machine(graphics_devices=[card()])
    vm.start(timeout=PATIENCE)
    with pytest.raises(kind, match=words):
        vm.screenshot(timeout=PATIENCE)
    assert vm.state is applevz.VirtualMachineState.RUNNING


@linux
def test_a_machine_that_ends_ends_the_screenshots_that_wait(machine: MakeMachine, script: Script) -> None:
    script(answers={"screendump": ""})
    vm = machine(graphics_devices=[card()])
    vm.start(timeout=PATIENCE)
    with pytest.raises(applevz.TimeoutError, match=r"The display could not be seen within 0\.05 s"):
        vm.screenshot(timeout=0.05)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(vm.screenshot, timeout=PATIENCE) for _ in range(3)]
        vm.shutdown(ShutdownPolicy.POWEROFF, timeout=PATIENCE)
        for future in waiting:
            with pytest.raises(applevz.Error):
                future.result(timeout=PATIENCE)


@linux
def test_a_qemu_that_is_killed_ends_the_screenshots_that_wait(machine: MakeMachine, script: Script) -> None:
    script(answers={"screendump": ""}, after={"screendump": "kill"})
    vm = machine(graphics_devices=[card()])
    vm.start(timeout=PATIENCE)
    with pytest.raises(applevz.Error, match=r"screenshot could not be taken\. .* It closed the connection"):
        vm.screenshot(timeout=PATIENCE)
    assert vm.wait([applevz.VirtualMachineState.ERROR], timeout=PATIENCE) is applevz.VirtualMachineState.ERROR


def test_what_this_host_can_do_is_told() -> None:
    assert bool(applevz.capabilities.screenshots) == (sys.platform == "linux")
    assert not applevz.capabilities.sound
    if sys.platform == "linux":
        assert "sound" in applevz.capabilities.sound.reason
