# SPDX-License-Identifier: Apache-2.0
"""The native configuration that is made of the plain objects of `configuration`.

This package alone says which field goes to which native function. It has a module for each module of `configuration`.
Every refusal names the field.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from .._core.console import BaseConsole
from .._core.devices.consoles import ConsolePort
from .._core.guest.port import Port
from .._native import Reference, lib
from .._values import arguments
from .._values.sizes import size
from ..configuration.boot_loaders import EFIBootLoader, LinuxBootLoader
from ..configuration.entropy import VirtioEntropyDeviceConfiguration
from ..configuration.input_devices import (
    USBKeyboardConfiguration,
    USBScreenCoordinatePointingDeviceConfiguration,
)
from ..configuration.memory_balloons import VirtioTraditionalMemoryBalloonDeviceConfiguration
from ..configuration.sockets import VirtioSocketDeviceConfiguration
from ..configuration.storage import DiskImageStorageDeviceAttachment
from ..errors import check
from .boot_loaders import set_boot_loader
from .confinement import set_confinement
from .consoles import add_agent, add_console_devices, add_early_console, add_guest_agent, add_serial_ports
from .directory_sharing import add_directory_sharing_devices
from .graphics import add_graphics_devices
from .network import add_network_devices
from .owned import Owned
from .platforms import set_platform
from .resource_limits import set_resource_limits
from .storage import add_storage_devices
from .usb import add_usb_controllers

if TYPE_CHECKING:
    from .._host.nameless_files import NamelessFile
    from ..configuration.machine import VirtualMachineConfiguration

__all__ = ["Native", "native_configuration", "validate", "validate_save_restore_support"]


class Native(NamedTuple):
    """A native configuration, and the other objects that its machine needs."""

    configuration: Reference
    consoles: list[BaseConsole]
    """The consoles of its serial ports, in their order."""
    early_console: BaseConsole | None
    console_ports: list[list[ConsolePort]]
    """The ports of each of its console devices."""
    guest_agent: Reference | None
    """The host's end of the port of QEMU's agent."""
    agent_port: Port | None
    """The port of this package's agent."""
    files: list[object]
    """What holds the files that were made for it, and has to be there for as long as it may be started."""


@contextmanager
def native_configuration(
    configuration: VirtualMachineConfiguration, console_kind: type[BaseConsole]
) -> Iterator[Native]:
    """The native objects of a configuration. They live until the context ends.

    Each console is of `console_kind`: one face cannot wait for a console of the other.
    """
    with Owned() as owned:
        handle = owned.make(lib.applevz_configuration_create)
        cpu_count = arguments.integer("cpu_count", configuration.cpu_count)
        check(lib.applevz_configuration_set_cpu_count(handle, cpu_count))
        memory_size = size("memory_size", configuration.memory_size)
        check(lib.applevz_configuration_set_memory_size(handle, memory_size))
        if configuration.memory_directory is not None:
            folder = arguments.path("memory_directory", configuration.memory_directory)
            check(lib.applevz_configuration_set_memory_directory(handle, folder, len(folder)))
        set_confinement(handle, configuration.confinement)
        set_resource_limits(handle, configuration.resource_limits)
        if arguments.boolean("stop_at_reset", configuration.stop_at_reset):
            check(lib.applevz_configuration_set_stops_at_reset(handle, True))
        initial_ramdisk: NamelessFile | None = None
        if configuration.boot_loader is not None:
            initial_ramdisk = set_boot_loader(handle, configuration.boot_loader)
        set_platform(handle, configuration.platform)
        consoles = add_serial_ports(owned, handle, configuration.serial_ports, console_kind)
        early_console = None
        if isinstance(configuration.boot_loader, LinuxBootLoader) and arguments.boolean(
            "boot_loader.early_console", configuration.boot_loader.early_console
        ):
            early_console = add_early_console(owned, handle, console_kind)
        devices = configuration.console_devices
        console_ports = add_console_devices(owned, handle, devices, consoles, console_kind)
        agent = None
        if arguments.boolean("guest_agent", configuration.guest_agent):
            agent = add_guest_agent(owned, handle)
        # Behind all others: what a guest knew by its place stays there.
        brought = isinstance(configuration.boot_loader, LinuxBootLoader) and configuration.boot_loader.guest_agent
        port = add_agent(owned, handle) if agent is not None or brought else None
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
        files = [initial_ramdisk, *_paths(configuration)]
        yield Native(handle, consoles, early_console, console_ports, agent, port, files)


def _paths(configuration: VirtualMachineConfiguration) -> list[object]:
    """The objects by which the configuration names its files. Some of them own theirs."""
    attachments = [disk.attachment for disk in configuration.storage_devices]
    paths: list[object] = [one.path for one in attachments if isinstance(one, DiskImageStorageDeviceAttachment)]
    if isinstance(configuration.boot_loader, EFIBootLoader):
        paths.append(configuration.boot_loader.variable_store.path)
    return paths


def validate(configuration: VirtualMachineConfiguration) -> None:
    """Raises the errors that `VirtualMachineConfiguration.validate` documents."""
    with native_configuration(configuration, BaseConsole) as native:
        check(lib.applevz_configuration_validate(native.configuration))


def validate_save_restore_support(configuration: VirtualMachineConfiguration) -> None:
    """Raises the errors that `VirtualMachineConfiguration.validate_save_restore_support` documents."""
    with native_configuration(configuration, BaseConsole) as native:
        check(lib.applevz_configuration_validate_save_restore_support(native.configuration))
