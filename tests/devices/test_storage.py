# SPDX-License-Identifier: Apache-2.0
"""Disks: images that are made, NVM Express controllers, and the order in which a guest finds them all."""

from __future__ import annotations

import dataclasses
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import applevz
from fixtures import Boot, Configure, MakeMachine
from guest_machine import PATIENCE, Guest
from processes import children

linux = pytest.mark.skipif(sys.platform != "linux", reason="the test's guest is made on Linux")

MIB = 1 << 20


def image(path: Path, size: str = "1MiB", **fields: Any) -> applevz.DiskImageStorageDeviceAttachment:
    applevz.create_disk_image(path, size)
    return applevz.DiskImageStorageDeviceAttachment(path, **fields)


def megabytes(guest: Guest, disk: str) -> int:
    return int(guest.run(f"cat /sys/block/{disk}/size")) * 512 // MIB


def usb_disk(guest: Guest, port: int, controller: int = 1) -> str:
    """The name that the guest has for the disk on that port, once it is ready to be read."""
    # Each controller has two buses, of which the second is that of the fast devices.
    device = f"{2 * controller}-{port}"
    disk = f"/sys/bus/usb/devices/{device}/{device}:1.0/host*/target*/*/block/sd*"
    guest.run(f"until ls {disk} >/dev/null 2>&1; do usleep 10000; done")
    name = guest.run(f"basename {disk}")
    guest.wait_for_disk(name)
    return name


# ---- Images ----


def test_an_image_is_as_long_as_it_was_asked_for_and_takes_no_room(tmp_path: Path) -> None:
    applevz.create_disk_image(tmp_path / "disk", "4GiB")
    status = (tmp_path / "disk").stat()
    assert status.st_size == 4 << 30
    assert status.st_blocks * 512 < MIB


def test_an_image_that_is_there_is_refused_and_stays(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"mine")
    with pytest.raises(applevz.POSIXError, match="cannot be made") as caught:
        applevz.create_disk_image(tmp_path / "disk", "1MiB")
    assert isinstance(caught.value, FileExistsError)
    assert (tmp_path / "disk").read_bytes() == b"mine"


@pytest.mark.parametrize("size", [0, 511, 513, "1kB"])
def test_a_size_that_no_disk_has_is_refused_with_one_that_would_do(tmp_path: Path, size: Any) -> None:
    with pytest.raises(applevz.InvalidArgumentError, match=r"size is \d+ bytes.*multiple of 512"):
        applevz.create_disk_image(tmp_path / "disk", size)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("size", [1 << 62, 1 << 63])
def test_a_size_that_no_file_has_leaves_no_file(tmp_path: Path, size: Any) -> None:
    with pytest.raises(applevz.POSIXError, match="File too large"):
        applevz.create_disk_image(tmp_path / "disk", size)
    assert os.listdir(tmp_path) == []


def test_a_limit_on_files_leaves_no_file(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, before[1]))
    try:
        with pytest.raises(applevz.POSIXError, match="File too large"):
            applevz.create_disk_image(tmp_path / "disk", "2MiB")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("size", [-512, -1, None, 1.5, "much", True])
def test_what_is_no_size_is_refused_by_name(tmp_path: Path, size: Any) -> None:
    with pytest.raises(applevz.InvalidArgumentError, match="size"):
        applevz.create_disk_image(tmp_path / "disk", size)
    assert os.listdir(tmp_path) == []


def test_a_folder_and_a_folder_that_is_not_there_are_the_system_s_to_refuse(tmp_path: Path) -> None:
    with pytest.raises(applevz.POSIXError) as caught:
        applevz.create_disk_image(tmp_path, "1MiB")
    assert isinstance(caught.value, FileExistsError)
    with pytest.raises(applevz.POSIXError) as caught:
        applevz.create_disk_image(tmp_path / "nowhere" / "disk", "1MiB")
    assert isinstance(caught.value, FileNotFoundError)
    assert os.listdir(tmp_path) == []


# ---- NVM Express ----


def nvme_disks(guest: Guest) -> list[str]:
    """The names of the disks, in the order of their controllers: Linux gives names to several at once, in any order."""
    return guest.run("for disk in /sys/bus/pci/devices/*/nvme/nvme*/nvme*n1; do echo ${disk##*/}; done").split()


@linux
def test_disks_of_both_kinds_keep_their_order_and_hold_what_the_guest_wrote(boot: Boot, tmp_path: Path) -> None:
    devices = [
        applevz.NVMExpressControllerDeviceConfiguration(image(tmp_path / "first", "1MiB")),
        applevz.VirtioBlockDeviceConfiguration(image(tmp_path / "second", "2MiB"), "serial"),
        applevz.NVMExpressControllerDeviceConfiguration(image(tmp_path / "third", "3MiB", read_only=True)),
    ]
    guest = boot(storage_devices=devices)
    first, third = nvme_disks(guest)
    sizes = guest.run(f"cat /sys/block/{first}/size /sys/block/vda/size /sys/block/{third}/size").split()
    assert [int(size) * 512 // MIB for size in sizes] == [1, 2, 3]
    # QEMU's controller does not tell of a disk that is read-only: it fails what is written.
    refused = guest.run(f"echo written | dd of=/dev/{third} bs=512 conv=sync,fsync 2>&1 >/dev/null; echo $?")
    assert "error" in refused
    assert not any((tmp_path / "third").read_bytes())
    assert guest.run("cat /sys/block/vda/serial") == "serial"
    assert guest.run(f"echo written | dd of=/dev/{first} bs=512 conv=sync,fsync 2>/dev/null; echo done") == "done"
    # What was synced is the host's, even where QEMU has no time for a last word.
    (qemu,) = children()
    os.kill(qemu, signal.SIGKILL)
    assert (tmp_path / "first").read_bytes().startswith(b"written\n")


def test_a_disk_that_is_no_attachment_is_refused_by_name(configure: Configure) -> None:
    with pytest.raises(applevz.InvalidArgumentTypeError, match=r"storage_devices\[0\]\.attachment"):
        configure(storage_devices=[applevz.NVMExpressControllerDeviceConfiguration("disk")]).validate()  # type: ignore[arg-type]


# ---- USB ----


@linux
def test_disks_of_all_kinds_keep_their_order_and_what_was_synced_is_the_host_s_whatever_befalls_qemu(
    boot: Boot, tmp_path: Path
) -> None:
    devices = [
        applevz.USBMassStorageDeviceConfiguration(image(tmp_path / "first", "1MiB")),
        applevz.VirtioBlockDeviceConfiguration(image(tmp_path / "second", "2MiB")),
        applevz.USBMassStorageDeviceConfiguration(image(tmp_path / "third", "3MiB", read_only=True)),
        applevz.NVMExpressControllerDeviceConfiguration(image(tmp_path / "fourth", "4MiB")),
        applevz.VirtioBlockDeviceConfiguration(image(tmp_path / "fifth", "5MiB")),
        applevz.NVMExpressControllerDeviceConfiguration(image(tmp_path / "sixth", "6MiB")),
    ]
    guest = boot(kernel="desktop/vmlinux", storage_devices=devices)
    first, third = (usb_disk(guest, port) for port in (1, 2))
    fourth, sixth = nvme_disks(guest)
    found = (first, "vda", third, fourth, "vdb", sixth)
    assert [megabytes(guest, disk) for disk in found] == [1, 2, 3, 4, 5, 6]
    assert guest.run(f"cat /sys/block/{first}/ro /sys/block/{third}/ro").split() == ["0", "1"]
    for disk in (first, "vdb", sixth):
        assert guest.run(f"echo {disk} | dd of=/dev/{disk} bs=512 conv=sync,fsync 2>/dev/null; echo done") == "done"
    (qemu,) = children()
    os.kill(qemu, signal.SIGKILL)
    for disk, name in ((first, "first"), ("vdb", "fifth"), (sixth, "sixth")):
        assert (tmp_path / name).read_bytes().startswith(f"{disk}\n".encode())


@linux
def test_more_usb_disks_than_there_are_ports_are_refused(configure: Configure, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk", read_only=True)
    disks = [dataclasses.replace(disk) for _ in range(16)]
    devices = [applevz.USBMassStorageDeviceConfiguration(disk) for disk in disks]
    configure(storage_devices=devices[:15]).validate()
    words = "storageDevices have 16 USB devices together.*A USB controller has 15 ports"
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=words):
        configure(storage_devices=devices).validate()


# ---- Refusals, by their place ----


@linux
def test_a_disk_that_is_refused_is_named_by_its_place(configure: Configure, tmp_path: Path) -> None:
    sound = applevz.VirtioBlockDeviceConfiguration(image(tmp_path / "sound"))
    (tmp_path / "odd").write_bytes(bytes(7))
    kinds: dict[str, tuple[Callable[[Any], dict[str, Any]], str]] = {
        "storage_devices": (
            lambda disk: {"storage_devices": [sound, applevz.VirtioBlockDeviceConfiguration(disk)]},
            "storage_devices[1].attachment",
        ),
        "NVM Express": (
            lambda disk: {"storage_devices": [sound, applevz.NVMExpressControllerDeviceConfiguration(disk)]},
            "storage_devices[1].attachment",
        ),
        "USB": (
            lambda disk: {
                "usb_controllers": [
                    applevz.XHCIControllerConfiguration(),
                    applevz.XHCIControllerConfiguration([applevz.USBMassStorageDeviceConfiguration(disk)]),
                ]
            },
            "usb_controllers[1].usb_devices[0].attachment",
        ),
    }
    disks = [
        (applevz.DiskImageStorageDeviceAttachment(tmp_path / "missing"), "which cannot be found"),
        (applevz.DiskImageStorageDeviceAttachment(tmp_path / "odd"), "not a multiple of 512"),
        (applevz.DiskBlockDeviceStorageDeviceAttachment(10**6), "file_handle"),
        (applevz.NetworkBlockDeviceStorageDeviceAttachment("nbd://"), "which names no host"),
    ]
    for make, place in kinds.values():
        for disk, words in disks:
            with pytest.raises(applevz.Error) as caught:
                configure(**make(disk)).validate()
            assert caught.value.failure_reason.startswith(place + ": ") or place in str(caught.value)
            assert words in str(caught.value)
            assert str(caught.value).count(place) == 1
    with pytest.raises(applevz.InvalidDiskImageError) as caught:
        configure(**kinds["storage_devices"][0](disks[0][0])).validate()
    assert isinstance(caught.value, FileNotFoundError)
    assert caught.value.filename == str(tmp_path / "missing")


@linux
@pytest.mark.parametrize("kind", ["virtio", "NVM Express", "USB", "USB controller", "USB at run time"])
def test_a_disk_that_another_machine_writes_is_named_by_its_place(
    machine: MakeMachine, tmp_path: Path, kind: str
) -> None:
    used = image(tmp_path / "used")
    one = machine(memory_size="128MiB", storage_devices=[applevz.VirtioBlockDeviceConfiguration(used)])
    one.start(timeout=PATIENCE)
    first = applevz.VirtioBlockDeviceConfiguration(image(tmp_path / "first"))
    place = "storageDevices[1].attachment.URL"
    fields: dict[str, Any] = {}
    if kind == "virtio":
        fields = {"storage_devices": [first, applevz.VirtioBlockDeviceConfiguration(used)]}
    elif kind == "NVM Express":
        fields = {"storage_devices": [first, applevz.NVMExpressControllerDeviceConfiguration(used)]}
    elif kind == "USB":
        fields = {"storage_devices": [first, applevz.USBMassStorageDeviceConfiguration(used)]}
    elif kind == "USB controller":
        place = "usbControllers[0].usbDevices[0].attachment.URL"
        device = applevz.USBMassStorageDeviceConfiguration(used)
        fields = {"usb_controllers": [applevz.XHCIControllerConfiguration([device])]}
    else:
        place = "device.attachment.URL"
        fields = {"usb_controllers": [applevz.XHCIControllerConfiguration()]}
    other = machine(memory_size="128MiB", **fields)
    words = f'{place} is "{tmp_path}/used", which another process uses'
    at_start = kind != "USB at run time"

    def use() -> None:
        if at_start or other.state is applevz.VirtualMachineState.STOPPED:
            other.start(timeout=PATIENCE)
        if not at_start:
            other.usb_controllers[0].attach(applevz.USBMassStorageDeviceConfiguration(used), timeout=PATIENCE)

    with pytest.raises(applevz.Error) as caught:
        use()
    assert words in caught.value.failure_reason
    assert type(caught.value).__mro__[1] is applevz.InvalidDiskImageError or not at_start
    assert isinstance(caught.value, OSError)
    assert "{" not in str(caught.value)
    one.stop(timeout=PATIENCE)
    use()


@linux
def test_several_machines_may_read_one_image(machine: MakeMachine, tmp_path: Path) -> None:
    disk = image(tmp_path / "shared", read_only=True)
    vms = [
        machine(memory_size="128MiB", storage_devices=[applevz.VirtioBlockDeviceConfiguration(disk)]) for _ in range(2)
    ]
    for vm in vms:
        vm.start(timeout=PATIENCE)
