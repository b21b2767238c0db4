# SPDX-License-Identifier: Apache-2.0
"""From the plain objects of `configuration.py` to the native configuration.

The one place that says which field goes to which native function. Whatever is refused is refused by its field's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from . import _arguments as arguments
from ._console import BaseConsole, console_of
from ._native import Reference, ffi, lib, release
from ._sizes import size
from .configuration import (
    DiskImageCachingMode,
    DiskImageStorageDeviceAttachment,
    DiskImageSynchronizationMode,
    FileHandleSerialPortAttachment,
    FileSerialPortAttachment,
    GenericMachineIdentifier,
    GenericPlatformConfiguration,
    LinuxBootLoader,
    MACAddress,
    NATNetworkDeviceAttachment,
    VirtioBlockDeviceConfiguration,
    VirtioConsoleDeviceSerialPortConfiguration,
    VirtioEntropyDeviceConfiguration,
    VirtioNetworkDeviceConfiguration,
    VirtioTraditionalMemoryBalloonDeviceConfiguration,
    VirtualMachineConfiguration,
)
from .errors import InvalidArgumentError, check, make

__all__ = ["native_configuration", "validate", "validate_save_restore_support"]


class _Owned(ExitStack):
    """The native objects that are made on the way; each is released on every path out."""

    def make(self, kind: str, create: Callable[..., Reference], *values: Any) -> Reference:
        out = ffi.new(f"applevz_{kind} **")
        check(create(*values, out))
        handle = ffi.gc(out[0], getattr(lib, f"applevz_{kind}_release"))
        self.callback(release, handle)
        return handle


@contextmanager
def native_configuration(
    configuration: VirtualMachineConfiguration, console_kind: type[BaseConsole]
) -> Iterator[tuple[Reference, list[BaseConsole]]]:
    """The native configuration, which lives until the context ends, and the consoles of its serial ports, in order.

    Each is of `console_kind`: a console of one face cannot be waited for by the other.
    """
    arguments.instance("configuration", configuration, (VirtualMachineConfiguration,))
    consoles: list[BaseConsole] = []
    with _Owned() as owned:
        handle = owned.make("configuration", lib.applevz_configuration_create)
        cpu_count = arguments.integer("cpu_count", configuration.cpu_count)
        check(lib.applevz_configuration_set_cpu_count(handle, cpu_count))
        memory_size = size("memory_size", configuration.memory_size)
        check(lib.applevz_configuration_set_memory_size(handle, memory_size))
        if configuration.boot_loader is not None:
            _set_boot_loader(handle, configuration.boot_loader)
        _set_platform(handle, configuration.platform)

        ports = (VirtioConsoleDeviceSerialPortConfiguration,)
        for index, port in enumerate(arguments.items("serial_ports", configuration.serial_ports, ports)):
            field = f"serial_ports[{index}].attachment"
            attachment = _serial_port_attachment(owned, field, port.attachment, consoles, console_kind)
            check(lib.applevz_configuration_add_virtio_console_device_serial_port(handle, attachment))

        disks = (VirtioBlockDeviceConfiguration,)
        for index, disk in enumerate(arguments.items("storage_devices", configuration.storage_devices, disks)):
            _add_block_device(owned, handle, f"storage_devices[{index}]", disk)

        cards = (VirtioNetworkDeviceConfiguration,)
        for index, card in enumerate(arguments.items("network_devices", configuration.network_devices, cards)):
            _add_network_device(owned, handle, f"network_devices[{index}]", card)

        entropy = (VirtioEntropyDeviceConfiguration,)
        for _ in arguments.items("entropy_devices", configuration.entropy_devices, entropy):
            check(lib.applevz_configuration_add_virtio_entropy_device(handle))

        balloons = (VirtioTraditionalMemoryBalloonDeviceConfiguration,)
        for _ in arguments.items("memory_balloon_devices", configuration.memory_balloon_devices, balloons):
            check(lib.applevz_configuration_add_virtio_traditional_memory_balloon_device(handle))

        yield handle, consoles


def validate(configuration: VirtualMachineConfiguration) -> None:
    """Raises what `VirtualMachineConfiguration.validate` says."""
    with native_configuration(configuration, BaseConsole) as (handle, _):
        check(lib.applevz_configuration_validate(handle))


def validate_save_restore_support(configuration: VirtualMachineConfiguration) -> None:
    """Raises what `VirtualMachineConfiguration.validate_save_restore_support` says."""
    with native_configuration(configuration, BaseConsole) as (handle, _):
        check(lib.applevz_configuration_validate_save_restore_support(handle))


def _set_boot_loader(handle: Reference, boot_loader: LinuxBootLoader) -> None:
    arguments.instance("boot_loader", boot_loader, (LinuxBootLoader,))
    kernel = arguments.path("boot_loader.kernel", boot_loader.kernel)
    initial_ramdisk = b""
    if boot_loader.initial_ramdisk is not None:
        initial_ramdisk = arguments.path("boot_loader.initial_ramdisk", boot_loader.initial_ramdisk)
    command_line = arguments.text("boot_loader.command_line", boot_loader.command_line)
    additions = arguments.boolean("boot_loader.command_line_additions", boot_loader.command_line_additions)
    check(
        lib.applevz_configuration_set_linux_boot_loader(
            handle,
            kernel,
            len(kernel),
            initial_ramdisk,
            len(initial_ramdisk),
            command_line,
            len(command_line),
            additions,
        )
    )


def _set_platform(handle: Reference, platform: GenericPlatformConfiguration) -> None:
    arguments.instance("platform", platform, (GenericPlatformConfiguration,))
    data = b""
    if platform.machine_identifier is not None:
        field = "platform.machine_identifier"
        identifier = arguments.instance(field, platform.machine_identifier, (GenericMachineIdentifier,))
        data = arguments.instance(f"{field}.data_representation", identifier.data_representation, (bytes,))
        if not data:
            raise make(
                InvalidArgumentError,
                f"{field}.data_representation is empty.",
                "",
                "Give the bytes of an identifier that was stored, or no identifier to get a new one.",
            )
    check(lib.applevz_configuration_set_generic_platform(handle, data, len(data)))


def _serial_port_attachment(
    owned: _Owned,
    field: str,
    attachment: FileHandleSerialPortAttachment | FileSerialPortAttachment | BaseConsole | None,
    consoles: list[BaseConsole],
    console_kind: type[BaseConsole],
) -> Reference:
    kinds = (FileHandleSerialPortAttachment, FileSerialPortAttachment, BaseConsole, type(None))
    if not isinstance(attachment, kinds):
        raise arguments.wrong_type(
            field, attachment, "FileHandleSerialPortAttachment or FileSerialPortAttachment or Console or None"
        )
    if isinstance(attachment, FileSerialPortAttachment):
        path = arguments.path(f"{field}.path", attachment.path)
        append = arguments.boolean(f"{field}.append", attachment.append)
        create = lib.applevz_serial_port_attachment_create_with_file
        return owned.make("serial_port_attachment", create, path, len(path), append)

    if attachment is None:
        attachment = console_kind()
    handles = attachment.attachment if isinstance(attachment, BaseConsole) else attachment
    console = console_of(handles)
    if console is not None:
        if not isinstance(console, console_kind):
            face = "applevz.aio" if console_kind.__module__.startswith("applevz.aio") else "applevz"
            raise arguments.wrong_type(field, console, f"a Console of {face}, as the machine is")
        if console in consoles or console.has_machine:
            raise make(
                InvalidArgumentError,
                f"{field} is a Console that has a machine or a serial port already.",
                "What two guests print would come out mixed.",
                "Make a Console for each serial port, or leave the attachment out: the machine then makes one.",
            )
        consoles.append(console)
    reading, writing = handles.file_handle_for_reading, handles.file_handle_for_writing
    create = lib.applevz_serial_port_attachment_create_with_file_handles
    return owned.make(
        "serial_port_attachment",
        create,
        arguments.descriptor(f"{field}.file_handle_for_reading", reading),
        arguments.descriptor(f"{field}.file_handle_for_writing", writing),
    )


def _add_block_device(owned: _Owned, handle: Reference, field: str, disk: VirtioBlockDeviceConfiguration) -> None:
    image = arguments.instance(f"{field}.attachment", disk.attachment, (DiskImageStorageDeviceAttachment,))
    path = arguments.path(f"{field}.attachment.path", image.path)
    attachment = owned.make(
        "storage_device_attachment",
        lib.applevz_storage_device_attachment_create_with_disk_image,
        path,
        len(path),
        arguments.boolean(f"{field}.attachment.read_only", image.read_only),
        arguments.instance(f"{field}.attachment.caching_mode", image.caching_mode, (DiskImageCachingMode,)),
        arguments.instance(
            f"{field}.attachment.synchronization_mode", image.synchronization_mode, (DiskImageSynchronizationMode,)
        ),
    )
    identifier = b""
    if disk.block_device_identifier is not None:
        identifier = arguments.text(f"{field}.block_device_identifier", disk.block_device_identifier)
    check(lib.applevz_configuration_add_virtio_block_device(handle, attachment, identifier, len(identifier)))


def _add_network_device(owned: _Owned, handle: Reference, field: str, card: VirtioNetworkDeviceConfiguration) -> None:
    arguments.instance(f"{field}.attachment", card.attachment, (NATNetworkDeviceAttachment,))
    attachment = owned.make("network_device_attachment", lib.applevz_network_device_attachment_create_with_nat)
    address = b""
    if card.mac_address is not None:
        given = card.mac_address.string if isinstance(card.mac_address, MACAddress) else card.mac_address
        address = arguments.text(f"{field}.mac_address", given)
        if not address:
            raise make(
                InvalidArgumentError,
                f"{field}.mac_address is empty.",
                "",
                'Give an address like "0a:1b:2c:3d:4e:5f", or none to get a random one.',
            )
    check(lib.applevz_configuration_add_virtio_network_device(handle, attachment, address, len(address)))
