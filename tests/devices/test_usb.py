# SPDX-License-Identifier: Apache-2.0
"""USB disks that are attached to a machine, and detached from it, while it is there."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import aio
from fixtures import Configure, MakeMachine, Script
from guest_machine import PATIENCE, Guest
from nbd_server import CONNECTED, FAILED, Server, next_event
from processes import children, eventually

linux = pytest.mark.skipif(sys.platform != "linux", reason="the test's guest is made on Linux")

MIB = 1 << 20
FIRST, SECOND = str(uuid.uuid4()), uuid.uuid4()


def image(path: Path, size: str = "1MiB", **fields: Any) -> applevz.DiskImageStorageDeviceAttachment:
    if not path.exists():
        applevz.create_disk_image(path, size)
    return applevz.DiskImageStorageDeviceAttachment(path, **fields)


def stick(path: Path, size: str = "1MiB", uuid: Any = None, **fields: Any) -> applevz.USBMassStorageDeviceConfiguration:
    return applevz.USBMassStorageDeviceConfiguration(image(path, size, **fields), uuid)


def find(guest: Guest, device: applevz.USBMassStorageDevice) -> str:
    """The name that the guest has for a disk, once it is ready to be read."""
    serial = str(device.uuid).upper()
    ports = "/sys/bus/usb/devices/*-*"
    script = (
        f"until d=$(grep -il {serial} {ports}/serial 2>/dev/null) && ls -d ${{d%/serial}}/*/host*/target*/*/block/sd*"
    )
    guest.run(f"{script} >/dev/null 2>&1; do usleep 10000; done")
    name = guest.run("basename ${d%/serial}/*/host*/target*/*/block/sd*")
    guest.wait_for_disk(name)
    return name


def disks(guest: Guest) -> list[str]:
    return [name for name in guest.run("ls /sys/block").split() if name.startswith("sd")]


def open_files(path: Path) -> int:
    """How many descriptors of this process and its children are of that file."""
    count = 0
    for process in (os.getpid(), *children()):
        for link in Path(f"/proc/{process}/fd").iterdir():
            count += os.path.lexists(link) and os.readlink(link) == str(path)
    return count


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sticks")


@pytest.fixture(scope="module")
def guest(configure: Configure, folder: Path) -> Iterator[Guest]:
    controllers = [
        applevz.XHCIControllerConfiguration([stick(folder / "first", "1MiB", FIRST)]),
        applevz.XHCIControllerConfiguration(),
    ]
    boot_disk = applevz.VirtioBlockDeviceConfiguration(image(folder / "disk", read_only=True))
    # Its kernel says on the console what it thinks of a device that goes while it looks at it.
    words = "loglevel=1"
    configuration = configure(
        kernel="desktop/vmlinux", words=words, usb_controllers=controllers, storage_devices=[boot_disk]
    )
    with applevz.VirtualMachine(configuration) as vm:
        assert [controller.usb_devices for controller in vm.usb_controllers] == [(), ()]
        yield Guest(vm).start()


# ---- In a guest ----


@linux
def test_a_disk_comes_is_written_and_goes_and_the_host_has_what_was_written(guest: Guest, folder: Path) -> None:
    first, second = guest.machine.usb_controllers
    (configured,) = first.usb_devices
    assert str(configured.uuid) == FIRST
    assert guest.run(f"cat /sys/block/{find(guest, configured)}/size") == "2048"

    device = second.attach(stick(folder / "second", "2MiB", SECOND), timeout=PATIENCE)
    assert device.uuid == SECOND
    assert device.attached
    assert second.usb_devices == (device,)
    name = find(guest, device)
    assert guest.run(f"cat /sys/block/{name}/size /sys/block/{name}/ro").split() == ["4096", "0"]
    assert guest.run(f"echo written | dd of=/dev/{name} bs=512 conv=sync,fsync 2>/dev/null; echo $?") == "0"
    assert open_files(folder / "second") > 0

    device.detach(timeout=PATIENCE)
    # It is the host's again, to be locked, unmounted or removed, as this returns.
    assert open_files(folder / "second") == 0
    assert (folder / "second").read_bytes().startswith(b"written\n")
    assert not device.attached
    assert second.usb_devices == ()
    assert eventually(lambda: name not in disks(guest), seconds=PATIENCE)

    again = second.attach(stick(folder / "second", read_only=True), timeout=PATIENCE)
    name = find(guest, again)
    assert guest.run(f"head -c 7 /dev/{name}; cat /sys/block/{name}/ro") == "written1"
    again.detach(timeout=PATIENCE)


@linux
@pytest.mark.parametrize("ephemeral", [False, True])
def test_a_disk_that_passes_by_the_page_cache_comes_and_goes(guest: Guest, folder: Path, ephemeral: bool) -> None:
    path = folder / f"direct-{ephemeral}"
    applevz.create_disk_image(path, "2MiB")
    attachment = applevz.DiskImageStorageDeviceAttachment(
        path, ephemeral=ephemeral, caching_mode=applevz.DiskImageCachingMode.UNCACHED
    )
    device = guest.machine.usb_controllers[1].attach(
        applevz.USBMassStorageDeviceConfiguration(attachment), timeout=PATIENCE
    )
    name = find(guest, device)
    assert guest.run(f"echo written | dd of=/dev/{name} bs=512 conv=sync,fsync 2>/dev/null; echo $?") == "0"
    assert guest.run(f"dd if=/dev/{name} bs=512 count=1 iflag=direct 2>/dev/null | head -c 7") == "written"
    device.detach(timeout=PATIENCE)
    assert open_files(path) == 0
    assert path.read_bytes().startswith(b"written\n") is not ephemeral


@linux
def test_a_disk_goes_while_the_guest_writes_to_it(guest: Guest, folder: Path) -> None:
    (_, controller) = guest.machine.usb_controllers
    device = controller.attach(stick(folder / "busy", "64MiB"), timeout=PATIENCE)
    name = find(guest, device)
    guest.run(f"(dd if=/dev/zero of=/dev/{name} bs=64k oflag=direct >/dev/null 2>&1 &)")
    assert eventually(lambda: (folder / "busy").stat().st_blocks > 0, seconds=PATIENCE)
    device.detach(timeout=PATIENCE)
    assert open_files(folder / "busy") == 0
    assert eventually(lambda: name not in disks(guest), seconds=PATIENCE)
    assert guest.run("echo obeys") == "obeys"


@linux
def test_a_device_of_the_configuration_can_go_and_another_take_its_port(guest: Guest, folder: Path) -> None:
    (controller, _) = guest.machine.usb_controllers
    (configured,) = controller.usb_devices
    configured.detach(timeout=PATIENCE)
    with pytest.raises(applevz.DeviceNotFoundError, match=r"not attached to usbControllers\[0\]"):
        configured.detach(timeout=PATIENCE)
    assert open_files(folder / "first") == 0

    guest.machine.pause(timeout=PATIENCE)
    with pytest.raises(applevz.SaveError, match=f"The device {FIRST.upper()} of the configuration was detached"):
        guest.machine.save_state(folder / "state", timeout=PATIENCE)
    other = controller.attach(stick(folder / "other", "3MiB"), timeout=PATIENCE)
    words = "The device .* of the configuration was detached|which is not of the configuration"
    with pytest.raises(applevz.SaveError, match=words):
        guest.machine.save_state(folder / "state", timeout=PATIENCE)
    assert not (folder / "state").exists()
    guest.machine.resume(timeout=PATIENCE)
    assert guest.run(f"cat /sys/block/{find(guest, other)}/size") == "6144"
    other.detach(timeout=PATIENCE)
    back = controller.attach(stick(folder / "first", uuid=FIRST), timeout=PATIENCE)
    assert guest.run(f"cat /sys/block/{find(guest, back)}/size") == "2048"


@linux
@pytest.mark.skipif(not shutil.which("qemu-nbd"), reason="there is no qemu-nbd (package qemu-utils)")
def test_the_server_of_a_disk_that_was_attached_is_told_of_until_the_disk_is_detached(
    guest: Guest, tmp_path: Path
) -> None:
    vm = guest.machine
    (_, controller) = vm.usb_controllers
    with Server(tmp_path) as server:
        remote = applevz.NetworkBlockDeviceStorageDeviceAttachment(server.url, timeout=0.5)
        configuration = applevz.USBMassStorageDeviceConfiguration(remote)
        device = controller.attach(configuration, timeout=PATIENCE)
        event = next_event(vm, CONNECTED, FAILED)
        assert (event.kind, event.device, event.usb_device, event.error) == (CONNECTED, None, device.uuid, None)
        # One that is refused, for the identifier that it shares, leaves the other's events as they are.
        with pytest.raises(applevz.Error, match="uuid"):
            controller.attach(applevz.USBMassStorageDeviceConfiguration(remote, device.uuid), timeout=PATIENCE)
        name = find(guest, device)
        server.kill()
        guest.run(
            f"head -c 4096 /dev/{name} >/dev/null 2>&1 || dd if=/dev/{name} iflag=direct bs=4k count=1 2>/dev/null"
        )
        event = next_event(vm, CONNECTED, FAILED)
        assert (event.kind, event.usb_device, event.cause) == (FAILED, device.uuid, applevz.EventCause.HOST)
        assert isinstance(event.error, applevz.NetworkBlockDeviceDisconnectedError)
        server.start()
        event = next_event(vm, CONNECTED, FAILED)
        assert (event.kind, event.usb_device) == (CONNECTED, device.uuid)
        device.detach(timeout=PATIENCE)
        again = controller.attach(configuration, timeout=PATIENCE)
        assert next_event(vm, CONNECTED, FAILED).usb_device == again.uuid != device.uuid
        again.detach(timeout=PATIENCE)


@linux
@pytest.mark.skipif(not shutil.which("qemu-nbd"), reason="there is no qemu-nbd (package qemu-utils)")
def test_the_servers_of_a_configuration_s_usb_disks_are_told_by_the_disks_identifiers_at_each_start(
    machine: MakeMachine, tmp_path: Path
) -> None:
    with (
        Server(tmp_path, "one", "--read-only") as one,
        Server(tmp_path, "two", "--read-only") as two,
        Server(tmp_path, "three", "--read-only") as three,
    ):
        *sticks, another = [
            applevz.USBMassStorageDeviceConfiguration(
                applevz.NetworkBlockDeviceStorageDeviceAttachment(server.url, forced_read_only=True), identifier
            )
            for server, identifier in ((one, FIRST), (two, SECOND), (three, str(uuid.uuid4())))
        ]
        vm = machine(usb_controllers=[applevz.XHCIControllerConfiguration(sticks)])
        for _ in range(2):
            vm.start(timeout=PATIENCE)
            events = [next_event(vm, CONNECTED, FAILED) for _ in sticks]
            assert {(event.kind, event.usb_device) for event in events} == {
                (CONNECTED, uuid.UUID(FIRST)),
                (CONNECTED, SECOND),
            }
            # So is one that is attached at each start, and goes with the machine's end.
            device = vm.usb_controllers[0].attach(another, timeout=PATIENCE)
            event = next_event(vm, CONNECTED, FAILED)
            assert (event.kind, event.usb_device) == (CONNECTED, device.uuid)
            # One that was detached comes with the next start, and is told of then as well.
            next(stick for stick in vm.usb_controllers[0].usb_devices if stick.uuid == SECOND).detach(timeout=PATIENCE)
            vm.stop(timeout=PATIENCE)


@linux
def test_what_cannot_be_attached_is_refused_in_words_and_leaves_nothing(guest: Guest, folder: Path) -> None:
    _, controller = guest.machine.usb_controllers

    def refused(device: Any, words: str, kind: type[Exception] = applevz.DeviceInitializationFailureError) -> None:
        with pytest.raises(kind, match=words):
            controller.attach(device, timeout=PATIENCE)
        assert controller.usb_devices == ()

    refused(
        stick(folder / "first"), r"device\.attachment\.URL is .*the same image as usbControllers\[0\]\.usbDevices\[0\]"
    )
    refused(stick(folder / "disk"), r"the same image as storageDevices\[0\]\.attachment\.URL")
    refused(stick(folder / "new", uuid=FIRST), f"Another device has its uuid, {FIRST.upper()}")
    refused(stick(folder / "new", uuid="one"), 'uuid is "one"', applevz.InvalidArgumentError)
    (folder / "odd").write_bytes(bytes(513))
    refused(stick(folder / "odd"), "not a multiple of 512", applevz.InvalidDiskImageError)
    refused("new", "device is 'new'", applevz.InvalidArgumentTypeError)
    missing = applevz.NetworkBlockDeviceStorageDeviceAttachment("nbd+unix:///?socket=/nowhere", timeout=0.1)
    refused(
        applevz.USBMassStorageDeviceConfiguration(missing), "there is no such disk: Failed to connect to '/nowhere'"
    )
    # A file that somebody else has locked is QEMU's to refuse.
    held = stick(folder / "held")
    holder = subprocess.Popen(["qemu-nbd", "--format=raw", "-t", "-k", folder / "nbd socket", folder / "held"])
    try:
        assert eventually((folder / "nbd socket").exists)
        refused(held, "which another process uses")
    finally:
        holder.kill()
        holder.wait()
    controller.attach(held, timeout=PATIENCE).detach(timeout=PATIENCE)
    assert [open_files(folder / name) for name in ("new", "odd", "held")] == [0, 0, 0]


@linux
def test_a_disk_that_qemu_lets_go_of_too_late_stays_until_it_does(
    machine: MakeMachine, script: Script, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted = '{"event": "DEVICE_DELETED", "data": {"device": "%id", "path": "/"}, "timestamp": {}}'
    script(after={"stop": "tell"}, events=[deleted])
    vm = machine(usb_controllers=[applevz.XHCIControllerConfiguration([stick(folder / "late")])])
    vm.start(timeout=PATIENCE)
    (device,) = vm.usb_controllers[0].usb_devices
    monkeypatch.setenv("APPLEVZ_QEMU_TIMEOUT", "2")
    with pytest.raises(applevz.InternalError, match=r"QEMU did not let it go within 2 s"):
        device.detach(timeout=PATIENCE)
    assert device.attached
    monkeypatch.delenv("APPLEVZ_QEMU_TIMEOUT")
    vm.pause(timeout=PATIENCE)
    assert eventually(lambda: not device.attached)
    assert vm.usb_controllers[0].usb_devices == ()


@linux
def test_a_controller_has_15_ports_and_gives_them_again(guest: Guest, folder: Path) -> None:
    _, controller = guest.machine.usb_controllers
    attachment = image(folder / "many", read_only=True)

    def attach() -> applevz.USBMassStorageDevice:
        return controller.attach(applevz.USBMassStorageDeviceConfiguration(attachment), timeout=PATIENCE)

    devices = [attach() for _ in range(15)]
    with pytest.raises(applevz.DeviceInitializationFailureError, match="All 15 ports of the controller are taken"):
        attach()
    devices[7].detach(timeout=PATIENCE)
    devices[7] = attach()
    assert len(controller.usb_devices) == 15
    for device in devices:
        device.detach(timeout=PATIENCE)
    assert open_files(folder / "many") == 0
    assert guest.run("echo obeys") == "obeys"


@linux
def test_a_block_device_s_descriptor_is_handed_over_and_closed(guest: Guest, folder: Path) -> None:
    if not shutil.which("losetup"):
        pytest.skip("there is no losetup")
    image(folder / "loop")
    made = subprocess.run(["losetup", "-f", "--show", folder / "loop"], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"losetup cannot make a block device here: {made.stderr.strip()}")
    loop = Path(made.stdout.strip())
    try:
        _, controller = guest.machine.usb_controllers
        for attempt in range(2):
            with open(loop, "r+b") as file:
                attachment = applevz.DiskBlockDeviceStorageDeviceAttachment(file)
                device = controller.attach(applevz.USBMassStorageDeviceConfiguration(attachment), timeout=PATIENCE)
            name = find(guest, device)
            assert guest.run(f"echo {attempt} | dd of=/dev/{name} bs=512 conv=sync,fsync 2>/dev/null; echo $?") == "0"
            device.detach(timeout=PATIENCE)
            # This one's duplicate goes with the device's last reference.
            del device
            assert eventually(lambda: open_files(loop) == 0)
        assert (folder / "loop").read_bytes().startswith(b"1\n")
    finally:
        subprocess.run(["losetup", "--detach", loop], check=True)


@linux
def test_both_faces_attach_and_detach_and_a_machine_that_ends_has_no_devices(
    configure: Configure, folder: Path
) -> None:
    async def walk() -> None:
        configuration = configure(usb_controllers=[applevz.XHCIControllerConfiguration()], memory_size="128MiB")
        async with aio.VirtualMachine(configuration) as vm:
            (controller,) = vm.usb_controllers
            with pytest.raises(
                applevz.InvalidVirtualMachineStateError, match='state "stopped" is invalid for attaching a device'
            ):
                await controller.attach(stick(folder / "asynchronous"))
            await vm.start(timeout=PATIENCE)
            await vm.pause(timeout=PATIENCE)
            device = await controller.attach(stick(folder / "asynchronous"), timeout=PATIENCE)
            assert controller.usb_devices == (device,)
            await device.detach(timeout=PATIENCE)
            device = await controller.attach(stick(folder / "asynchronous"), timeout=PATIENCE)
            await vm.stop(timeout=PATIENCE)
            assert controller.usb_devices == ()
            assert not device.attached
            with pytest.raises(applevz.DeviceNotFoundError):
                await device.detach(timeout=PATIENCE)
            await vm.start(timeout=PATIENCE)
            assert controller.usb_devices == ()

    asyncio.run(walk())


# ---- Saved states ----


@linux
def test_a_machine_is_restored_with_its_devices_and_not_with_others(configure: Configure, tmp_path: Path) -> None:
    def make(**fields: Any) -> applevz.VirtualMachine:
        device = stick(tmp_path / "stick", **{"uuid": FIRST, **fields})
        return applevz.VirtualMachine(
            configure(
                kernel="desktop/vmlinux",
                usb_controllers=[applevz.XHCIControllerConfiguration([device])],
                platform=applevz.GenericPlatformConfiguration(identifier),
            )
        )

    identifier = applevz.GenericMachineIdentifier.random()
    state = tmp_path / "state"
    with make() as vm:
        guest = Guest(vm).start()
        name = find(guest, vm.usb_controllers[0].usb_devices[0])
        vm.pause(timeout=PATIENCE)
        vm.save_state(state, timeout=PATIENCE)
        with pytest.raises(applevz.InvalidVirtualMachineStateError, match="The virtual machine is saved"):
            vm.usb_controllers[0].attach(stick(tmp_path / "more"), timeout=PATIENCE)
    with make(uuid=SECOND) as vm, pytest.raises(applevz.RestoreError, match=r"usbDevices\[0\]\.uuid") as caught:
        vm.restore_state(state, timeout=PATIENCE)
    assert FIRST.upper() in str(caught.value)
    with (
        make(read_only=True) as vm,
        pytest.raises(applevz.RestoreError, match=r"usbDevices\[0\]\.attachment\.readOnly"),
    ):
        vm.restore_state(state, timeout=PATIENCE)
    with make() as vm:
        vm.restore_state(state, timeout=PATIENCE)
        (device,) = vm.usb_controllers[0].usb_devices
        vm.resume(timeout=PATIENCE)
        guest = Guest(vm)
        assert guest.run(f"echo later | dd of=/dev/{name} bs=512 conv=sync,fsync 2>/dev/null; echo $?") == "0"
        assert (tmp_path / "stick").read_bytes().startswith(b"later\n")
        device.detach(timeout=PATIENCE)
        assert eventually(lambda: name not in disks(guest), seconds=PATIENCE)


# ---- Configurations ----


@linux
def test_configurations_that_no_machine_could_have_are_refused_in_words(configure: Configure, tmp_path: Path) -> None:
    def refused(devices: Any, words: str) -> None:
        controllers = [applevz.XHCIControllerConfiguration(devices)]
        with pytest.raises(applevz.Error, match=words):
            configure(usb_controllers=controllers).validate()

    reader = image(tmp_path / "reader", read_only=True)
    many = [applevz.USBMassStorageDeviceConfiguration(reader) for _ in range(16)]
    refused(many, r"usbControllers\[0\]\.usbDevices has 16 devices.*15 ports")
    twice = [applevz.USBMassStorageDeviceConfiguration(reader, FIRST) for _ in range(2)]
    refused(twice, rf"usbDevices\[1\]\.uuid is {FIRST.upper()}, as is usbControllers\[0\]\.usbDevices\[0\]\.uuid")
    refused(
        [stick(tmp_path / "one"), stick(tmp_path / "one")], r"usbDevices\[1\]\.attachment\.URL is .* the same image"
    )
    refused([stick(tmp_path / "one", uuid="x,y=z")], 'uuid is "x,y=z"')
    refused([stick(tmp_path / "one", uuid=5)], r"usb_controllers\[0\]\.usb_devices\[0\]\.uuid is 5")
    refused(["one"], r"usb_controllers\[0\]\.usb_devices\[0\] is 'one'")
    with pytest.raises(applevz.InvalidArgumentTypeError, match=r"usb_controllers\[0\] is 'one'"):
        configure(usb_controllers=["one"]).validate()
    with pytest.raises(applevz.Error, match="31 devices together"):
        configure(usb_controllers=[applevz.XHCIControllerConfiguration()] * 30).validate()


def test_a_machine_without_a_controller_has_none(machine: MakeMachine) -> None:
    assert machine().usb_controllers == ()
