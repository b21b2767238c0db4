# SPDX-License-Identifier: Apache-2.0
"""What is a value can be copied and pickled; what stands for one thing outside of Python cannot, and says so."""

from __future__ import annotations

import copy
import functools
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import applevz
from applevz import aio
from fixtures import Configure

WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {protocol}": functools.partial(pickle.dumps, protocol=protocol) for protocol in range(6)},
}
# Of a machine with one of each.
PARTS: dict[str, Callable[[Any], Any]] = {
    "VirtualMachine": lambda machine: machine,
    "Console": lambda machine: machine.console,
    "Events": lambda machine: machine.events,
    "Keyboard": lambda machine: machine.keyboard,
    "Pointer": lambda machine: machine.pointer,
    "NetworkDevice": lambda machine: machine.network_devices[0],
    "VirtioFileSystemDevice": lambda machine: machine.directory_sharing_devices[0],
    "VirtioGraphicsScanout": lambda machine: machine.displays[0],
    "VirtioTraditionalMemoryBalloonDevice": lambda machine: machine.memory_balloon_devices[0],
    "USBController": lambda machine: machine.usb_controllers[0],
    "VirtioConsoleDevice": lambda machine: machine.console_devices[0],
    "VirtioConsolePorts": lambda machine: machine.console_devices[0].ports,
    "VirtioConsolePort": lambda machine: machine.console_devices[0].ports[0],
}


@pytest.fixture(scope="module", params=[applevz, aio], ids=["blocking", "awaited"])
def machine(request: pytest.FixtureRequest, configure: Configure, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("copies")
    tag = applevz.VirtioFileSystemDeviceConfiguration(
        "tag", applevz.SingleDirectoryShare(applevz.SharedDirectory(folder))
    )
    return request.param.VirtualMachine(
        configure(
            console_devices=[applevz.VirtioConsoleDeviceConfiguration([applevz.VirtioConsolePortConfiguration("a")])],
            network_devices=[applevz.VirtioNetworkDeviceConfiguration(applevz.NATNetworkDeviceAttachment())],
            directory_sharing_devices=[tag] if applevz.capabilities.shared_directories else [],
            graphics_devices=[
                applevz.VirtioGraphicsDeviceConfiguration([applevz.VirtioGraphicsScanoutConfiguration(640, 480)])
            ],
            memory_balloon_devices=[applevz.VirtioTraditionalMemoryBalloonDeviceConfiguration()],
            usb_controllers=[applevz.XHCIControllerConfiguration()],
        )
    )


def refused(way: str, value: object, name: str) -> None:
    with pytest.raises(TypeError) as caught:
        WAYS[way](value)
    assert isinstance(caught.value, applevz.InvalidArgumentTypeError)
    assert caught.value.localized_description == f"{name} objects can neither be copied nor pickled."
    assert "of which there is one" in caught.value.failure_reason


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PARTS)
def test_a_machine_and_its_parts_cannot_be_copied(machine: Any, name: str, way: str) -> None:
    if name == "VirtioFileSystemDevice" and not machine.directory_sharing_devices:
        pytest.skip("this host shares no directories")
    part = PARTS[name](machine)
    assert type(part).__name__ == name
    refused(way, part, name)
    refused(way, {"deep": [part]} if way != "copy" else part, name)


@pytest.mark.parametrize("way", WAYS)
def test_all_that_stands_for_something_is_of_one_kind(way: str) -> None:
    # One that no machine here may have: the class decides.
    for name in ("SocketListener", "VirtioSocketDevice", "USBMassStorageDevice"):
        for kind in (getattr(applevz, name), getattr(aio, name)):
            refused(way, kind.__new__(kind), name)
    refused(way, applevz.PseudoTerminalSerialPortAttachment(), "PseudoTerminalSerialPortAttachment")


@pytest.mark.parametrize("kind", [applevz.Console, aio.Console])
def test_a_configuration_is_a_value_as_far_as_its_attachments_are(configure: Configure, kind: Any) -> None:
    plain = configure()
    assert copy.copy(plain) == copy.deepcopy(plain) == pickle.loads(pickle.dumps(plain)) == plain
    port = applevz.VirtioConsoleDeviceSerialPortConfiguration(kind())
    configuration = configure(serial_ports=[port])
    assert copy.copy(configuration).serial_ports[0] is port
    for attached in (kind(), kind().attachment):
        port.attachment = attached
        refused("deepcopy", configuration, "Console")
        refused("pickle 5", configuration, "Console")


@pytest.mark.parametrize("way", ["copy", "deepcopy"])
def test_what_is_copied_of_an_error_is_the_error(way: str) -> None:
    with pytest.raises(applevz.InvalidArgumentError) as caught:
        applevz.create_disk_image("/nowhere/at all", 3)
    error = caught.value
    assert WAYS[way](error.error) is error.error
    again = WAYS[way](error)
    assert type(again) is type(error)
    assert again.error is error.error


def test_events_are_values(machine: Any) -> None:
    event = applevz.Event(
        number=1,
        dropped=0,
        time=0.0,
        monotonic_time=0.0,
        kind=applevz.EventKind.STATE_CHANGED,
        cause=applevz.EventCause.START,
        state_before=applevz.VirtualMachineState.STOPPED,
        state=applevz.VirtualMachineState.STARTING,
        error=None,
    )
    assert copy.deepcopy(event) == pickle.loads(pickle.dumps(event)) == event
