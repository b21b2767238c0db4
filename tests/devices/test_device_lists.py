# SPDX-License-Identifier: Apache-2.0
"""Any devices together: a configuration is either refused with a reason, or its machine starts."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import applevz
from fixtures import Configure
from guest_machine import PATIENCE
from nbd_server import Server
from processes import children, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a machine that never runs its guest is QEMU's")

IDENTIFIERS = ([None, "", "disk", "another disk", "x" * 20], ["x" * 21, "ä", "a,b=c", '"', "\x00"])
ADDRESSES = ([None, None, None, "52:54:00:00:03:01", "52:54:00:00:03:02"], ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"])


class Choices:
    """Draws what is refused, too, or, for as many examples as not, only what by itself is not: with so many devices
    hardly any list would be sound otherwise."""

    def __init__(self, draw: Callable[..., Any]) -> None:
        self.draw = draw
        self.careful = draw(st.booleans())

    def of(self, sound: Iterable[Any], refused: Iterable[Any] = ()) -> Any:
        return self.draw(st.sampled_from([*sound] if self.careful else [*sound, *refused]))

    def some(self, make: Callable[[Choices], Any], most: int) -> list[Any]:
        return [make(self) for _ in range(self.draw(st.integers(0, most)))]


# What a refusal names: the field, as Python or the framework spells it; an attachment, which has no place yet when it
# is refused, its file.
FIELDS = (
    "directory_?Sharing_?Devices",
    "console_?Devices",
    "storage_?Devices",
    "usb_?Controllers",
    "network_?Devices",
    "serial_?Ports",
    "memory_?Balloon_?Devices",
    "entropy_?Devices",
    "graphics_?Devices",
    "keyboards",
    "pointing_?Devices",
    "socket_?Devices",
)
VALUES = (
    "URL is",
    "fileHandle has",
    "interface is",
    "blockDeviceIdentifier is",
    "MACAddress",
    "MAC address",
    "tag is",
    "shared directory is",
    "uuid is",
)
NAMES = re.compile("|".join((*FIELDS, *VALUES)), re.I)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        for image in ("first", "second", "third"):
            applevz.create_disk_image(Path(name) / image, "1MiB")
        (Path(name) / "odd").write_bytes(bytes(513))
        (Path(name) / "shared").mkdir()
        yield Path(name)


@pytest.fixture(scope="module")
def urls() -> Iterator[tuple[list[str], list[str]]]:
    """Of disks that servers give out, and of none."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        served = [stack.enter_context(Server(folder, export)).url for export in ("disk", "a ,b=c")]
        yield [*served, served[0].replace("///disk?", "///d%69sk?")], ["nbd://", "nbds://host/disk"]


@pytest.fixture(scope="module")
def block_devices() -> Iterator[tuple[list[int], list[int]]]:
    """Descriptors: of block devices, where this host makes one of a file, and of what is none."""
    with ExitStack() as stack:
        image = stack.enter_context(tempfile.NamedTemporaryFile())
        image.truncate(1 << 20)
        made = subprocess.run(["losetup", "--find", "--show", image.name], capture_output=True, text=True, check=False)
        descriptors = []
        if made.returncode == 0:
            device = made.stdout.strip()
            stack.callback(subprocess.run, ["losetup", "--detach", device], check=True)
            for flags in (os.O_RDWR, os.O_RDONLY):
                descriptors.append(os.open(device, flags | os.O_CLOEXEC))
                stack.callback(os.close, descriptors[-1])
        yield descriptors, [image.fileno()]


def disk(
    choices: Choices, folder: Path, urls: tuple[list[str], list[str]], block_devices: tuple[list[int], list[int]]
) -> object:
    source = choices.of(["image", "image", "image", "server", "block device"])
    attachment: Any
    flags: dict[str, Any] = {"synchronization_mode": choices.of(applevz.DiskSynchronizationMode)}
    if source == "server":
        attachment = applevz.NetworkBlockDeviceStorageDeviceAttachment(
            choices.of(*urls), forced_read_only=choices.of([False, True]), **flags
        )
    elif source == "block device" and block_devices[0]:
        attachment = applevz.DiskBlockDeviceStorageDeviceAttachment(
            choices.of(*block_devices), read_only=choices.of([False, True]), **flags
        )
    else:
        attachment = applevz.DiskImageStorageDeviceAttachment(
            folder / choices.of(["first", "second", "third"], ["odd", "missing"]),
            read_only=choices.of([True, True, False]),
            caching_mode=choices.of(applevz.DiskImageCachingMode),
            synchronization_mode=choices.of(applevz.DiskImageSynchronizationMode),
        )
    kind = choices.of(["virtio", "NVMe"], ["USB"])
    if kind == "NVMe":
        return applevz.NVMExpressControllerDeviceConfiguration(attachment)
    if kind == "USB":
        return applevz.USBMassStorageDeviceConfiguration(attachment)
    return applevz.VirtioBlockDeviceConfiguration(attachment, choices.of(*IDENTIFIERS))


def usb_controller(choices: Choices, folder: Path) -> applevz.XHCIControllerConfiguration:
    def stick(choices: Choices) -> applevz.USBMassStorageDeviceConfiguration:
        image = folder / choices.of(["second", "third"], ["odd"])
        attachment = applevz.DiskImageStorageDeviceAttachment(image, choices.of([True, True, False]))
        uuid = choices.of([None, None, None, "00112233-4455-6677-8899-AABBCCDDEEFF"], ["no UUID"])
        return applevz.USBMassStorageDeviceConfiguration(attachment, uuid)

    return applevz.XHCIControllerConfiguration(choices.some(stick, 2))


def card(choices: Choices, sockets: list[socket.socket]) -> applevz.VirtioNetworkDeviceConfiguration:
    kind = choices.of(["NAT", "NAT", "file handle"], ["bridged"])
    attachment: Any = applevz.NATNetworkDeviceAttachment()
    if kind == "bridged":
        attachment = applevz.BridgedNetworkDeviceAttachment("no such bridge")
    elif kind == "file handle":
        attachment = applevz.FileHandleNetworkDeviceAttachment(
            choices.of(sockets), choices.of([1500, 1500, 9000, 65535], [1499])
        )
    return applevz.VirtioNetworkDeviceConfiguration(attachment, choices.of(*ADDRESSES))


def share(choices: Choices, folder: Path) -> applevz.VirtioFileSystemDeviceConfiguration:
    def directory() -> applevz.SharedDirectory:
        name = choices.of(["shared"], ["odd", "missing"])
        return applevz.SharedDirectory(folder / name, read_only=choices.of([False, True]))

    kind = choices.of(["none", "single", "multiple"])
    shared: Any = None
    if kind == "single":
        shared = applevz.SingleDirectoryShare(directory())
    elif kind == "multiple":
        names = {choices.of(["a", "a,b=c", "ä \n"], ["..", "a/b"]) for _ in range(choices.of([0, 1, 2]))}
        shared = applevz.MultipleDirectoryShare({name: directory() for name in names})
    return applevz.VirtioFileSystemDeviceConfiguration(choices.of(["a", "b", "c,d=e"], ["", "x" * 36]), shared)


def graphics_card(choices: Choices) -> applevz.VirtioGraphicsDeviceConfiguration:
    lengths = ([640, 8192], [0, 8193])
    displays = [applevz.VirtioGraphicsScanoutConfiguration(choices.of(*lengths), choices.of(*lengths))]
    return applevz.VirtioGraphicsDeviceConfiguration(displays * choices.of([1], [0, 2]))


def console(choices: Choices) -> applevz.VirtioConsoleDeviceConfiguration:
    names = ([None, None, "first", "second", 'a,b="c', "é" * 127], ["é" * 128, "a\nb", "", "\x00"])
    ports = [
        applevz.VirtioConsolePortConfiguration(
            choices.of(*names),
            is_console=choices.of([False, True]),
            attachment=choices.of([None, None, applevz.SpiceAgentPortAttachment()]),
        )
        for _ in range(choices.of([0, 1, 2, 2, 4]))
    ]
    return applevz.VirtioConsoleDeviceConfiguration(ports, choices.of([None, None, 4, 31], [510, 511, 0]))


def refusal(configuration: applevz.VirtualMachineConfiguration) -> applevz.Error | None:
    try:
        configuration.validate()
    except applevz.Error as error:
        return error
    return None


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_any_devices_together_are_refused_with_a_reason_or_start(
    configure: Configure,
    folder: Path,
    urls: tuple[list[str], list[str]],
    block_devices: tuple[list[int], list[int]],
    data: st.DataObject,
) -> None:
    choices = Choices(data.draw)
    # Where the host has none, one is refused.
    has_sockets = bool(applevz.capabilities.sockets)
    with ExitStack() as stack:
        sockets = [stack.enter_context(end) for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)]
        configuration = configure(
            platform=applevz.GenericPlatformConfiguration(generation_identifier=choices.of([False, True])),
            serial_ports=[applevz.VirtioConsoleDeviceSerialPortConfiguration()] * choices.of([0, 1, 2, 5], [20]),
            console_devices=choices.some(console, 2),
            storage_devices=choices.some(lambda choices: disk(choices, folder, urls, block_devices), 4),
            usb_controllers=choices.some(lambda choices: usb_controller(choices, folder), 1),
            network_devices=choices.some(lambda choices: card(choices, sockets), 3),
            directory_sharing_devices=choices.some(lambda choices: share(choices, folder), choices.of([0, 3])),
            entropy_devices=[applevz.VirtioEntropyDeviceConfiguration()] * choices.of([0, 1, 2]),
            memory_balloon_devices=[applevz.VirtioTraditionalMemoryBalloonDeviceConfiguration()]
            * choices.of([0, 1], [2]),
            keyboards=[applevz.USBKeyboardConfiguration()] * choices.of([0, 1], [2]),
            pointing_devices=[applevz.USBScreenCoordinatePointingDeviceConfiguration()] * choices.of([0, 1], [2]),
            socket_devices=[applevz.VirtioSocketDeviceConfiguration()]
            * choices.of([0, 1] if has_sockets else [0], [0, 0, 1, 2]),
            graphics_devices=choices.some(graphics_card, 1) * choices.of([1], [2]),
        )
        before = children()
        error = refusal(configuration)
        if error is not None:
            assert NAMES.search(str(error)), error
            with pytest.raises(type(error)):
                applevz.VirtualMachine(configuration)
            return
        with applevz.VirtualMachine(configuration) as vm:
            vm.start(timeout=PATIENCE)
            assert vm.state is applevz.VirtualMachineState.RUNNING
            vm.pause(timeout=PATIENCE)
        assert eventually(lambda: children() == before)
    assert (folder / "first").stat().st_size == 1 << 20
    assert sorted(os.listdir(folder)) == ["first", "odd", "second", "shared", "third"]
    assert os.listdir(folder / "shared") == []
