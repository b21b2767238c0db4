# SPDX-License-Identifier: Apache-2.0
"""From the plain objects of `configuration` to the native configuration, with a module for each of its modules.

The one place that says which field goes to which native function. Whatever is refused is refused by its field's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from .. import _arguments as arguments
from .._console import BaseConsole
from .._console_devices import ConsolePort
from .._native import Reference, lib
from .._sizes import size
from ..configuration.entropy import VirtioEntropyDeviceConfiguration
from ..configuration.input_devices import (
    USBKeyboardConfiguration,
    USBScreenCoordinatePointingDeviceConfiguration,
)
from ..configuration.machine import VirtualMachineConfiguration
from ..configuration.memory_balloons import VirtioTraditionalMemoryBalloonDeviceConfiguration
from ..configuration.sockets import VirtioSocketDeviceConfiguration
from ..errors import check
from .boot_loaders import set_boot_loader
from .consoles import add_console_devices, add_guest_agent, add_serial_ports
from .directory_sharing import add_directory_sharing_devices
from .graphics import add_graphics_devices
from .network import add_network_devices
from .owned import Owned
from .platforms import set_platform
from .storage import add_storage_devices
from .usb import add_usb_controllers

__all__ = ["native_configuration", "validate", "validate_save_restore_support"]


class Native(NamedTuple):
    """A native configuration, and what else its machine needs."""

    configuration: Reference
    consoles: list[BaseConsole]
    """Those of its serial ports, in order."""
    console_ports: list[list[ConsolePort]]
    """Of each of its console devices."""
    guest_agent: Reference | None


@contextmanager
def native_configuration(
    configuration: VirtualMachineConfiguration, console_kind: type[BaseConsole]
) -> Iterator[Native]:
    """The native objects, which live until the context ends.

    Each console is of `console_kind`: a console of one face cannot be waited for by the other.
    """
    arguments.instance("configuration", configuration, (VirtualMachineConfiguration,))
    with Owned() as owned:
        handle = owned.make("configuration", lib.applevz_configuration_create)
        cpu_count = arguments.integer("cpu_count", configuration.cpu_count)
        check(lib.applevz_configuration_set_cpu_count(handle, cpu_count))
        memory_size = size("memory_size", configuration.memory_size)
        check(lib.applevz_configuration_set_memory_size(handle, memory_size))
        if configuration.memory_directory is not None:
            folder = arguments.path("memory_directory", configuration.memory_directory)
            check(lib.applevz_configuration_set_memory_directory(handle, folder, len(folder)))
        if configuration.boot_loader is not None:
            set_boot_loader(handle, configuration.boot_loader)
        set_platform(handle, configuration.platform)
        consoles = add_serial_ports(owned, handle, configuration.serial_ports, console_kind)
        devices = configuration.console_devices
        console_ports = add_console_devices(owned, handle, devices, consoles, console_kind)
        agent = None
        if arguments.boolean("guest_agent", configuration.guest_agent):
            agent = add_guest_agent(owned, handle)
        add_storage_devices(owned, handle, configuration.storage_devices)
        add_usb_controllers(owned, handle, configuration.usb_controllers)
        add_network_devices(owned, handle, configuration.network_devices)
        add_directory_sharing_devices(owned, handle, configuration.directory_sharing_devices)
        entropy = (VirtioEntropyDeviceConfiguration,)
        for _ in arguments.items("entropy_devices", configuration.entropy_devices, entropy):
            check(lib.applevz_configuration_add_virtio_entropy_device(handle))
        balloons = (VirtioTraditionalMemoryBalloonDeviceConfiguration,)
        for _ in arguments.items("memory_balloon_devices", configuration.memory_balloon_devices, balloons):
            check(lib.applevz_configuration_add_virtio_traditional_memory_balloon_device(handle))
        add_graphics_devices(handle, configuration.graphics_devices)
        for _ in arguments.items("keyboards", configuration.keyboards, (USBKeyboardConfiguration,)):
            check(lib.applevz_configuration_add_usb_keyboard(handle))
        pointers = (USBScreenCoordinatePointingDeviceConfiguration,)
        for _ in arguments.items("pointing_devices", configuration.pointing_devices, pointers):
            check(lib.applevz_configuration_add_usb_screen_coordinate_pointing_device(handle))
        for _ in arguments.items("socket_devices", configuration.socket_devices, (VirtioSocketDeviceConfiguration,)):
            check(lib.applevz_configuration_add_virtio_socket_device(handle))
        yield Native(handle, consoles, console_ports, agent)


def validate(configuration: VirtualMachineConfiguration) -> None:
    """Raises what `VirtualMachineConfiguration.validate` says."""
    with native_configuration(configuration, BaseConsole) as native:
        check(lib.applevz_configuration_validate(native.configuration))


def validate_save_restore_support(configuration: VirtualMachineConfiguration) -> None:
    """Raises what `VirtualMachineConfiguration.validate_save_restore_support` says."""
    with native_configuration(configuration, BaseConsole) as native:
        check(lib.applevz_configuration_validate_save_restore_support(native.configuration))
