# SPDX-License-Identifier: Apache-2.0
"""What a guest makes the host do has an end: how much it writes, and how fast."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import states
from fixtures import Boot, Configure, MakeMachine
from guest_machine import PATIENCE, Guest
from processes import children

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a Mac's framework has no such limits")

KIB, MIB = 1 << 10, 1 << 20
LIMIT = 4 * MIB


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.img"
    applevz.create_disk_image(path, "64MiB")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "overlays"
    path.mkdir()
    return path


def limits(**fields: Any) -> applevz.ResourceLimits:
    return applevz.ResourceLimits(**fields)


def ephemeral(path: Path, folder: Path) -> applevz.DiskImageStorageDeviceAttachment:
    return applevz.DiskImageStorageDeviceAttachment(path, ephemeral=True, overlay_directory=folder)


def overlay(folder: Path) -> os.stat_result:
    """Of the one file without a name in that folder that this process's QEMU has."""
    (qemu,) = children()
    for name in os.listdir(f"/proc/{qemu}/fd"):
        target = os.readlink(f"/proc/{qemu}/fd/{name}")
        if target.startswith(str(folder)) and target.endswith("(deleted)"):
            return os.stat(f"/proc/{qemu}/fd/{name}")
    raise AssertionError("there is no overlay")


def write(guest: Guest, place: int, count: int, disk: str = "vda") -> str:
    """Writes so many mebibytes of noise at that one; "done", or what the guest says."""
    command = f"dd if=/dev/urandom of=/dev/{disk} bs=1M seek={place} count={count} conv=fsync,notrunc 2>&1 && echo done"
    words = guest.run(command)
    return "done" if words.endswith("done") else words


def seconds_to_read(guest: Guest, size: str, count: int, disk: str = "vda") -> float:
    begin = time.monotonic()
    command = f"dd if=/dev/{disk} of=/dev/null bs={size} count={count} iflag=direct 2>/dev/null && echo done"
    assert guest.run(command) == "done"
    return time.monotonic() - begin


def told_of_full_disks(machine: applevz.VirtualMachine) -> list[applevz.Event]:
    """All events are taken."""
    found: list[applevz.Event] = []
    while True:
        try:
            event = machine.events.next(timeout=0.5)
        except applevz.TimeoutError:
            return found
        if event.kind is applevz.EventKind.DISK_FULL:
            found.append(event)


# ---- How much a guest writes ----


def test_a_guest_that_writes_more_than_it_may_gets_errors_and_the_host_s_disk_stays_as_it_was(
    boot: Boot, base: Path, tmp_path: Path
) -> None:
    """On whatever bus a disk is: one machine has one of each, and one that comes while it runs."""
    folders = {name: tmp_path / name for name in ("vda", "nvme0n1", "sda")}
    for path in folders.values():
        path.mkdir()
    guest = boot(
        kernel="desktop/vmlinux",
        storage_devices=[
            applevz.VirtioBlockDeviceConfiguration(ephemeral(base, folders["vda"])),
            applevz.NVMExpressControllerDeviceConfiguration(ephemeral(base, folders["nvme0n1"])),
        ],
        usb_controllers=[applevz.XHCIControllerConfiguration()],
        resource_limits=limits(overlay_size=LIMIT),
    )
    usb = applevz.USBMassStorageDeviceConfiguration(ephemeral(base, folders["sda"]))
    guest.machine.usb_controllers[0].attach(usb, timeout=PATIENCE)
    for name in folders:
        guest.wait_for_disk(name)
        assert write(guest, 0, 2, name) == "done"
    assert told_of_full_disks(guest.machine) == []
    for name, folder in folders.items():
        assert "error" in write(guest, 8, 16, name)
        assert "error" in write(guest, 24, 8, name)
        # Once, though it went on; of a disk of NVM Express QEMU tells nothing.
        told = told_of_full_disks(guest.machine)
        assert len(told) == (0 if name == "nvme0n1" else 1)
        for event in told:
            assert event.device == (None if name == "sda" else 0)
            assert (event.usb_device is None) == (name != "sda")
            assert isinstance(event.error, applevz.OutOfDiskSpaceError)
            assert f"the {LIMIT} bytes of resourceLimits.overlaySize" in str(event.error)
        found = overlay(folder)
        assert found.st_size == LIMIT
        assert 3 * MIB < found.st_blocks * 512 <= LIMIT
        # What it wrote before is there, and what it gives back it may write again. No disk on the USB is given back to.
        there = f"dd if=/dev/{name} bs=1M count=2 iflag=direct 2>/dev/null | tr -d '\\0' | wc -c"
        assert int(guest.run(there)) > MIB
        if name != "sda":
            assert guest.run(f"blkdiscard -o 8388608 -l 16777216 /dev/{name} && echo done") == "done"
            assert write(guest, 40, 1, name) == "done"
    assert guest.machine.state is applevz.VirtualMachineState.RUNNING
    assert base.stat().st_blocks == 0
    guest.machine.stop(timeout=PATIENCE)


def branch(path: Path, base: Path) -> applevz.VirtioBlockDeviceConfiguration:
    return applevz.VirtioBlockDeviceConfiguration(applevz.create_disk_image(path, base=base, clone=False))


def test_a_disk_that_holds_what_differs_is_whole_after_it_was_full(boot: Boot, base: Path, tmp_path: Path) -> None:
    image = tmp_path / "branch.img"
    disk = branch(image, base)
    guest = boot(storage_devices=[disk], resource_limits=limits(overlay_size=LIMIT))
    assert "error" in write(guest, 0, 16)
    guest.run("echo words | dd of=/dev/vda bs=512 conv=sync,notrunc,fsync 2>/dev/null")
    guest.machine.stop(timeout=PATIENCE)
    assert image.stat().st_size == LIMIT
    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", image], check=True)
    # Without a limit it goes on.
    guest = boot(storage_devices=[disk])
    assert guest.run("dd if=/dev/vda bs=512 count=1 2>/dev/null | tr -d '\\0'") == "words"
    assert write(guest, 0, 16) == "done"
    guest.machine.stop(timeout=PATIENCE)
    assert image.stat().st_size > 16 * MIB
    with pytest.raises(applevz.InvalidDiskImageError) as caught:
        boot(storage_devices=[disk], resource_limits=limits(overlay_size=LIMIT))
    assert f'storageDevices[0].attachment is "{image}"' in str(caught.value)
    assert f"more already than the {LIMIT} bytes of resourceLimits.overlaySize" in str(caught.value)


def test_an_overlay_that_could_not_be_so_long_is_as_without_a_limit(boot: Boot, base: Path, folder: Path) -> None:
    disk = applevz.VirtioBlockDeviceConfiguration(ephemeral(base, folder))
    guest = boot(storage_devices=[disk], resource_limits=limits(overlay_size="1TiB"))
    assert overlay(folder).st_size < MIB
    assert write(guest, 0, 64) == "done"


@pytest.mark.parametrize("private", [False, True])
def test_a_saved_state_has_what_was_written_and_not_what_might_have_been(
    machine: MakeMachine, base: Path, folder: Path, tmp_path: Path, private: bool
) -> None:
    platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random())

    def configured(size: str | None) -> applevz.VirtualMachine:
        disks = [applevz.VirtioBlockDeviceConfiguration(ephemeral(base, folder))]
        given = limits(overlay_size=size)
        return machine(memory_size="128MiB", platform=platform, storage_devices=disks, resource_limits=given)

    state = tmp_path / "state"
    saved = Guest(configured("40MiB")).start()
    assert write(saved, 0, 6) == "done"
    saved.machine.pause(timeout=PATIENCE)
    saved.machine.save_state(state, timeout=PATIENCE)
    saved.machine.stop(timeout=PATIENCE)
    assert state.stat().st_size < (128 + 6 + 8) * MIB
    states.check(state)
    guest = Guest(configured("9MiB"))
    guest.machine.restore_state(state, private=private, timeout=PATIENCE)
    guest.machine.resume(timeout=PATIENCE)
    assert guest.run("dd if=/dev/vda bs=1M count=6 iflag=direct 2>/dev/null | wc -c") == str(6 * MIB)
    # Restored privately it lies beneath an overlay of its own, with a limit of its own.
    assert write(guest, 20, 6) == "done" if private else "error" in write(guest, 20, 6)
    assert "error" in write(guest, 40, 10)
    guest.machine.stop(timeout=PATIENCE)
    other = configured("5MiB")
    if private:
        other.restore_state(state, private=True, timeout=PATIENCE)
        return
    with pytest.raises(applevz.RestoreError, match=r"more already than the 5242880 bytes"):
        other.restore_state(state, timeout=PATIENCE)


# ---- How fast its disks are ----


def test_the_disks_of_a_machine_share_what_they_may_read_in_a_second(boot: Boot, base: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.img"
    applevz.create_disk_image(other, "16MiB")
    disks = [
        applevz.VirtioBlockDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(base)),
        applevz.VirtioBlockDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(other, read_only=True)),
    ]
    guest = boot(storage_devices=disks, resource_limits=limits(disk_bytes_per_second="4MiB"))
    begin = time.monotonic()
    both = "for disk in vda vdb; do dd if=/dev/$disk of=/dev/null bs=64k count=96 iflag=direct 2>/dev/null & done; wait"
    assert guest.run(f"({both}); echo done") == "done"
    # 12 MiB at 4 in a second; a tenth of a second's worth is given at once.
    assert time.monotonic() - begin > 2.5
    # A read-only disk is one all the same, and a guest's own words reach the other.
    assert guest.run("cat /sys/block/vda/ro /sys/block/vdb/ro").split() == ["0", "1"]
    guest.run("echo words | dd of=/dev/vda bs=512 conv=sync,notrunc,fsync 2>/dev/null")
    guest.machine.stop(timeout=PATIENCE)
    assert base.read_bytes()[:6] == b"words\n"


def test_requests_are_counted_also_of_a_disk_that_is_attached_later(boot: Boot, base: Path) -> None:
    guest = boot(
        usb_controllers=[applevz.XHCIControllerConfiguration()],
        kernel="desktop/vmlinux",
        resource_limits=limits(disk_operations_per_second=40),
    )
    usb = applevz.USBMassStorageDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(base))
    device = guest.machine.usb_controllers[0].attach(usb, timeout=PATIENCE)
    guest.wait_for_disk("sda")
    # Large ones, which no guest joins.
    assert seconds_to_read(guest, "64k", 160, "sda") > 2.5
    device.detach(timeout=PATIENCE)


def test_a_machine_that_waits_for_its_disk_can_be_saved_and_goes_on(
    machine: MakeMachine, base: Path, tmp_path: Path
) -> None:
    platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random())

    def configured() -> applevz.VirtualMachine:
        disks = [applevz.VirtioBlockDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(base))]
        given = limits(disk_bytes_per_second="1MiB")
        return machine(memory_size="128MiB", platform=platform, storage_devices=disks, resource_limits=given)

    guest = Guest(configured()).start()
    read = "(dd if=/dev/vda of=/dev/null bs=64k count=64 iflag=direct 2>/dev/null; echo read > /tmp/done)"
    # In a shell of its own, whose jobs this one says nothing of.
    guest.run(f"({read} &)")
    guest.machine.pause(timeout=PATIENCE)
    guest.machine.save_state(tmp_path / "state", timeout=PATIENCE)
    guest.machine.stop(timeout=PATIENCE)
    guest = Guest(configured())
    guest.machine.restore_state(tmp_path / "state", timeout=PATIENCE)
    guest.machine.resume(timeout=PATIENCE)
    assert guest.run("until [ -e /tmp/done ]; do sleep 0.1; done; cat /tmp/done") == "read"


def test_what_is_discarded_behind_a_limit_of_time_gives_its_room_back(boot: Boot, base: Path, folder: Path) -> None:
    disk = applevz.VirtioBlockDeviceConfiguration(ephemeral(base, folder))
    guest = boot(storage_devices=[disk], resource_limits=limits(disk_bytes_per_second="100MiB"))
    assert write(guest, 0, 16) == "done"
    full = overlay(folder).st_blocks * 512
    assert guest.run("blkdiscard /dev/vda && echo done") == "done"
    assert full - overlay(folder).st_blocks * 512 > 15 * MIB


# ---- What is no limit ----


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"overlay_size": 0}, "resource_limits.overlay_size is 0, with which no machine gets anywhere"),
        ({"overlay_size": "64KiB"}, "resourceLimits.overlaySize is 65536 bytes"),
        ({"overlay_size": 2**63}, "resourceLimits.overlaySize is 9223372036854775808 bytes"),
        ({"overlay_size": "much"}, "resource_limits.overlay_size is 'much', which is not a size"),
        ({"disk_bytes_per_second": "0"}, "resource_limits.disk_bytes_per_second is '0'"),
        ({"disk_bytes_per_second": 10**15 + 1}, "resourceLimits.diskBytesPerSecond is 1000000000000001 bytes"),
        ({"disk_operations_per_second": -1}, "resource_limits.disk_operations_per_second is -1, which is negative"),
        ({"disk_operations_per_second": 2.5}, "resource_limits.disk_operations_per_second is 2.5, of type float"),
    ],
)
def test_a_limit_that_is_none_is_refused_by_its_name(configure: Configure, fields: dict[str, Any], words: str) -> None:
    with pytest.raises((applevz.InvalidArgumentError, applevz.InvalidVirtualMachineConfigurationError)) as caught:
        configure(resource_limits=limits(**fields)).validate()
    assert words in str(caught.value)


def test_limits_are_of_their_own_kind(configure: Configure) -> None:
    with pytest.raises(applevz.InvalidArgumentTypeError, match=r"resource_limits is \{\}, of type dict"):
        configure(resource_limits={}).validate()
