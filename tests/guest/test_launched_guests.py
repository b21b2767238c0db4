# SPDX-License-Identifier: Apache-2.0
"""Guests that were launched: each is ready when the call returns, on a disk of its own."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

import alpine
import applevz
import applevz.aio
from applevz import images
from guest_machine import PATIENCE, READY
from processes import children, eventually

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="a Mac's framework has no disks that go with their machine"),
    pytest.mark.skipif(not applevz.capabilities.guest_agent, reason="this package was built without the agent"),
    pytest.mark.timeout(1200),
]
pytest.importorskip("filelock")
pytest.importorskip("pycdlib")

# An image of a distribution, emulated on a busy host.
IMAGE_PATIENCE = 600.0


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """An image that a launch converts to one in the cache."""
    path = tmp_path / "disk.img"
    applevz.create_disk_image(path, "8MiB")
    return path


@pytest.fixture
def given(guest_files: Path, tmp_path: Path) -> dict[str, Any]:
    """What has a launch boot the default guest."""
    return {
        "kernel": guest_files / "vmlinux",
        "initial_ramdisk": guest_files / "initrd.cpio.gz",
        "command_line": "console=hvc0 quiet",
        "memory_size": "256MiB",
        "timeout": PATIENCE,
        "cache": tmp_path / "cache",
    }


WRITE = "echo words | dd of=/dev/vda bs=512 count=1 conv=sync,fsync 2>/dev/null; "
READ = "dd if=/dev/vda bs=512 count=1 iflag=direct 2>/dev/null | tr -d '\\0'"


def printed(machine: applevz.VirtualMachine, command: str) -> str:
    return str(machine.guest.run(command, shell=True, text=True, check=True, timeout=PATIENCE).stdout)


def test_what_a_guest_writes_is_gone_unless_its_disk_lasts(
    disk: Path, given: dict[str, Any], tmp_path: Path
) -> None:
    lasting = tmp_path / "lasting.img"
    with applevz.launch(disk, **given) as machine:
        # Its initial RAM disk is its root: the agent answers before that has found the disk.
        machine.console.read_until(READY, timeout=PATIENCE)
        assert printed(machine, WRITE + READ) == "words\n"
        # The other face beside it, on the same image.
        asyncio.run(check_awaited(disk, {**given, "internet": None, "cpu_count": 1}))
    with applevz.launch(disk, disk=lasting, **given) as machine:
        machine.console.read_until(READY, timeout=PATIENCE)
        assert printed(machine, READ) == ""
        printed(machine, WRITE)
    with applevz.launch(disk, disk=lasting, **given) as machine:
        machine.console.read_until(READY, timeout=PATIENCE)
        assert printed(machine, READ) == "words\n"
    assert disk.read_bytes() == bytes(8 << 20)


async def check_awaited(disk: Path, given: dict[str, Any]) -> None:
    async with await applevz.aio.launch(disk, **given) as machine:
        await machine.console.read_until(READY, timeout=PATIENCE)
        command = READ + "; ls /sys/class/net; grep -c ^processor /proc/cpuinfo"
        done = await machine.guest.run(command, shell=True, text=True, timeout=PATIENCE)
        assert done.stdout == "lo\n1\n"


def test_firmware_boots_an_image_with_a_seed_beside_it(guest_files: Path, tmp_path: Path) -> None:
    if not applevz.capabilities.efi:
        pytest.skip(applevz.capabilities.efi.reason or "")
    # This guest has no cloud-init, which would install the agent.
    given: dict[str, Any] = {"memory_size": "256MiB", "cache": tmp_path / "cache"}
    with applevz.launch(guest_files / "efi.img", packages=["git"], wait=False, **given) as machine:
        console = machine.console
        for again in (False, True):
            if again:
                # Its store and its seed are there still, whatever the configuration says.
                machine.configuration.storage_devices = []
                machine.configuration.boot_loader = None
                machine.stop(timeout=PATIENCE)
                machine.start(timeout=PATIENCE)
            console.read_until(READY, timeout=PATIENCE)
            console.read_until(b"guest# ", timeout=PATIENCE)
            console.write(b"dd if=/dev/vdb bs=1 skip=32808 count=6 2>/dev/null; echo\n", timeout=PATIENCE)
            assert b"cidata" in console.read_until(b"guest# ", timeout=PATIENCE)


def test_a_guest_whose_root_does_not_come_is_not_ready_and_its_console_is_shown(
    disk: Path, given: dict[str, Any]
) -> None:
    before = children()
    # This guest stays in its initial file system, and its agent answers from there.
    given |= {"command_line": "console=hvc0 quiet root=/dev/vda", "timeout": 5}
    with pytest.raises(applevz.GuestNotAnsweringError, match="[Ii]ts console") as caught:
        applevz.launch(disk, **given)
    assert isinstance(caught.value, TimeoutError)
    assert eventually(lambda: children() <= before, PATIENCE)


def test_a_kernel_that_panics_ends_the_launch_with_its_words(disk: Path, given: dict[str, Any]) -> None:
    if not applevz.capabilities.early_console:
        pytest.skip(applevz.capabilities.early_console.reason or "")
    before = children()

    def early(configuration: applevz.VirtualMachineConfiguration) -> None:
        assert isinstance(configuration.boot_loader, applevz.LinuxBootLoader)
        configuration.boot_loader.early_console = True

    # Without an initial RAM disk it finds no root.
    given |= {"initial_ramdisk": None, "command_line": "console=hvc0 root=/dev/vda", "configure": early}
    with pytest.raises(applevz.GuestPanickedError, match="Unable to mount root"):
        applevz.launch(disk, **given)
    assert eventually(lambda: children() <= before, PATIENCE)


def test_alpine_is_ready_on_its_own_root_and_goes_on_there(tmp_path: Path) -> None:
    files = alpine.image_files()

    def launched() -> applevz.VirtualMachine:
        return applevz.launch(
            files / "disk.img",
            kernel=files / "kernel",
            initial_ramdisk=files / "initrd",
            command_line=alpine.COMMAND_LINE,
            timeout=IMAGE_PATIENCE,
            cache=tmp_path / "cache",
            cached=True,
            prepare=lambda guest: guest.write_text("/root/prepared", "once", timeout=IMAGE_PATIENCE),
            prepare_key="1",
        )

    with launched() as machine:
        # The first that is run is of the disk.
        done = machine.guest.run(["/sbin/openrc", "--version"], text=True, timeout=IMAGE_PATIENCE)
        assert "OpenRC" in done.stdout
        mounts = machine.guest.read_text("/proc/mounts", timeout=IMAGE_PATIENCE)
        assert "/dev/vda / ext4" in mounts
        machine.guest.write_text("/root/later", "of this one", timeout=IMAGE_PATIENCE)
        machine.guest.run(["sync"], check=True, timeout=IMAGE_PATIENCE)
    with launched() as machine:
        done = machine.guest.run("ls /root; cat /root/prepared", shell=True, text=True, timeout=IMAGE_PATIENCE)
        assert done.stdout == "prepared\nonce"
    assert len(images.cached_states(cache=tmp_path / "cache")) == 1
