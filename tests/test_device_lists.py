# SPDX-License-Identifier: Apache-2.0
"""Any devices together: a configuration is either refused with a reason, or its machine starts."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from guest_machine import PATIENCE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbd_server import Server
from processes import children, eventually

import applevz

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a machine that never runs its guest is QEMU's")

IDENTIFIERS = st.sampled_from(
    [None, None, None, None, "", "disk", "another disk", "x" * 20, "x" * 21, "ä", "a,b=c", '"', "\x00"]
)
ADDRESSES = st.sampled_from(
    [None, None, None, "52:54:00:00:03:01", "52:54:00:00:03:02", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"]
)

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
    "fileHandle is",
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
def urls() -> Iterator[list[str]]:
    """Of disks that servers give out, and of none."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        served = [stack.enter_context(Server(folder, export)).url for export in ("disk", "a ,b=c")]
        yield [*served * 3, served[0].replace("///disk?", "///d%69sk?"), "nbd://", "nbds://host/disk"]


@pytest.fixture(scope="module")
def block_devices() -> Iterator[list[int]]:
    """Descriptors: of block devices, where this host makes one of a file, and of what is none."""
    with ExitStack() as stack:
        image = stack.enter_context(tempfile.NamedTemporaryFile())
        image.truncate(1 << 20)
        made = subprocess.run(["losetup", "--find", "--show", image.name], capture_output=True, text=True, check=False)
        descriptors = [image.fileno()]
        if made.returncode == 0:
            device = made.stdout.strip()
            stack.callback(subprocess.run, ["losetup", "--detach", device], check=True)
            for flags in (os.O_RDWR, os.O_RDONLY):
                descriptors += [os.open(device, flags | os.O_CLOEXEC)] * 3
            stack.callback(lambda: [os.close(descriptor) for descriptor in set(descriptors[1:])])
        yield descriptors


@st.composite
def disks(draw, folder: Path, urls: list[str], block_devices: list[int]):
    source = draw(st.sampled_from(["image", "image", "image", "server", "block device"]))
    synchronization = draw(st.sampled_from(applevz.DiskSynchronizationMode))
    if source == "server":
        attachment = applevz.NetworkBlockDeviceStorageDeviceAttachment(
            draw(st.sampled_from(urls)),
            forced_read_only=draw(st.booleans()),
            synchronization_mode=synchronization,
        )
    elif source == "block device":
        attachment = applevz.DiskBlockDeviceStorageDeviceAttachment(
            draw(st.sampled_from(block_devices)),
            read_only=draw(st.booleans()),
            synchronization_mode=synchronization,
        )
    else:
        name = draw(st.sampled_from([*["first", "second", "third"] * 4, "odd", "missing"]))
        attachment = applevz.DiskImageStorageDeviceAttachment(
            folder / name,
            read_only=draw(st.booleans()),
            caching_mode=draw(st.sampled_from(applevz.DiskImageCachingMode)),
            synchronization_mode=draw(st.sampled_from(applevz.DiskImageSynchronizationMode)),
        )
    kind = draw(st.sampled_from(["virtio", "NVMe", "USB"]))
    if kind == "NVMe":
        return applevz.NVMExpressControllerDeviceConfiguration(attachment)
    if kind == "USB":
        return applevz.USBMassStorageDeviceConfiguration(attachment)
    return applevz.VirtioBlockDeviceConfiguration(attachment, draw(IDENTIFIERS))


@st.composite
def usb_controllers(draw, folder: Path):
    attachment = applevz.DiskImageStorageDeviceAttachment
    sticks = st.builds(
        applevz.USBMassStorageDeviceConfiguration,
        st.builds(attachment, st.sampled_from([folder / "second", folder / "third", folder / "odd"]), st.booleans()),
        st.sampled_from([None, None, None, "00112233-4455-6677-8899-AABBCCDDEEFF", "no UUID"]),
    )
    return applevz.XHCIControllerConfiguration(draw(st.lists(sticks, max_size=2)))


@st.composite
def cards(draw, sockets: list[socket.socket]):
    attachment = applevz.NATNetworkDeviceAttachment()
    kind = draw(st.sampled_from(["NAT", "NAT", "file handle", "file handle", "bridged"]))
    if kind == "bridged":
        attachment = applevz.BridgedNetworkDeviceAttachment("no such bridge")
    elif kind == "file handle":
        unit = draw(st.sampled_from([1500, 1500, 9000, 65535, 1499]))
        attachment = applevz.FileHandleNetworkDeviceAttachment(draw(st.sampled_from(sockets)), unit)
    return applevz.VirtioNetworkDeviceConfiguration(attachment, draw(ADDRESSES))


@st.composite
def shares(draw, folder: Path):
    def directory() -> applevz.SharedDirectory:
        name = draw(st.sampled_from(["shared", "shared", "shared", "odd", "missing"]))
        return applevz.SharedDirectory(folder / name, read_only=draw(st.booleans()))

    kind = draw(st.sampled_from(["none", "single", "multiple"]))
    share = None
    if kind == "single":
        share = applevz.SingleDirectoryShare(directory())
    elif kind == "multiple":
        names = draw(st.sets(st.sampled_from(["a", "a,b=c", "ä \n", "..", "a/b"]), max_size=2))
        share = applevz.MultipleDirectoryShare({name: directory() for name in names})
    return applevz.VirtioFileSystemDeviceConfiguration(draw(st.sampled_from(["a", "b", "c,d=e", "", "x" * 36])), share)


@st.composite
def graphics_cards(draw):
    lengths = st.sampled_from([*[640, 8192] * 4, 0, 8193])
    displays = [applevz.VirtioGraphicsScanoutConfiguration(draw(lengths), draw(lengths))]
    return applevz.VirtioGraphicsDeviceConfiguration(displays * draw(st.sampled_from([1, 1, 1, 0, 2])))


@st.composite
def consoles(draw):
    names = st.sampled_from([None, None, "first", "second", 'a,b="c', "é" * 127, "é" * 128, "a\nb", "", "\x00"])
    ports = [
        applevz.VirtioConsolePortConfiguration(draw(names), is_console=draw(st.booleans()))
        for _ in range(draw(st.sampled_from([0, 1, 2, 2, 4])))
    ]
    return applevz.VirtioConsoleDeviceConfiguration(
        ports, draw(st.sampled_from([None, None, None, 4, 31, 510, 511, 0]))
    )


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
def test_any_devices_together_are_refused_with_a_reason_or_start(configure, folder, urls, block_devices, data):
    socket_counts = [0, 0, 1, 1, 2] if applevz.capabilities.sockets else [0] * 11 + [1]
    with ExitStack() as stack:
        sockets = [stack.enter_context(end) for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)]
        entropy = [applevz.VirtioEntropyDeviceConfiguration()] * data.draw(st.integers(0, 2))
        balloons = [applevz.VirtioTraditionalMemoryBalloonDeviceConfiguration()] * data.draw(
            st.sampled_from([0, 1, 1, 2])
        )
        ports = [applevz.VirtioConsoleDeviceSerialPortConfiguration()] * data.draw(st.sampled_from([0, 1, 2, 5, 20]))
        configuration = configure(
            platform=applevz.GenericPlatformConfiguration(generation_identifier=data.draw(st.booleans())),
            serial_ports=ports,
            console_devices=data.draw(st.lists(consoles(), max_size=2)),
            storage_devices=data.draw(st.lists(disks(folder, urls, block_devices), max_size=4)),
            usb_controllers=data.draw(st.lists(usb_controllers(folder), max_size=1)),
            network_devices=data.draw(st.lists(cards(sockets), max_size=3)),
            directory_sharing_devices=data.draw(st.one_of(st.just([]), st.lists(shares(folder), max_size=3))),
            entropy_devices=entropy,
            memory_balloon_devices=balloons,
            keyboards=[applevz.USBKeyboardConfiguration()] * data.draw(st.sampled_from([0, 0, 1, 1, 1, 2])),
            pointing_devices=[applevz.USBScreenCoordinatePointingDeviceConfiguration()]
            * data.draw(st.sampled_from([0, 0, 1, 1, 1, 2])),
            # Only where the host has them do they not refuse the whole list.
            socket_devices=[applevz.VirtioSocketDeviceConfiguration()] * data.draw(st.sampled_from(socket_counts)),
            graphics_devices=data.draw(st.lists(graphics_cards(), max_size=2)),
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
