# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .. import _arguments as arguments
from .._console import BaseConsole, console_of
from .._console_devices import ConsolePort
from .._native import Reference, ffi, lib
from ..configuration.consoles import (
    FileHandleSerialPortAttachment,
    FileSerialPortAttachment,
    PseudoTerminalSerialPortAttachment,
    SpiceAgentPortAttachment,
    VirtioConsoleDeviceConfiguration,
    VirtioConsoleDeviceSerialPortConfiguration,
    VirtioConsolePortConfiguration,
)
from ..errors import InvalidArgumentError, check, make
from .owned import Owned

__all__ = ["add_console_devices", "add_guest_agent", "add_serial_ports"]

GUEST_AGENT_PORT: Final = "org.qemu.guest_agent.0"
_SUGGESTION: Final = "Give a number from 1 to 2**32 - 1, or None for as many as there are ports."


def add_serial_ports(
    owned: Owned, handle: Reference, ports: object, console_kind: type[BaseConsole]
) -> list[BaseConsole]:
    """The consoles of the ports that have one."""
    consoles: list[BaseConsole] = []
    kinds = (VirtioConsoleDeviceSerialPortConfiguration,)
    for index, port in enumerate(arguments.items("serial_ports", ports, kinds)):
        field = f"serial_ports[{index}].attachment"
        if isinstance(port.attachment, SpiceAgentPortAttachment):
            raise make(
                InvalidArgumentError,
                f"{field} is a SpiceAgentPortAttachment.",
                "A guest's SPICE agent does not look for its port there.",
                "Give it to a VirtioConsolePortConfiguration with the name SpiceAgentPortAttachment.PORT_NAME.",
            )
        attachment = _serial_port_attachment(owned, field, port.attachment, consoles, console_kind)
        check(lib.applevz_configuration_add_virtio_console_device_serial_port(handle, attachment))
    return consoles


def add_console_devices(
    owned: Owned, handle: Reference, devices: object, consoles: list[BaseConsole], console_kind: type[BaseConsole]
) -> list[list[ConsolePort]]:
    """The ports of each device. Their consoles are not those of `consoles`, which have a serial port already."""
    found: list[list[ConsolePort]] = []
    taken = list(consoles)
    for index, device in enumerate(arguments.items("console_devices", devices, (VirtioConsoleDeviceConfiguration,))):
        field = f"console_devices[{index}]"
        maximum = 0
        if device.maximum_port_count is not None:
            maximum = arguments.integer(f"{field}.maximum_port_count", device.maximum_port_count, _SUGGESTION)
            if not 1 <= maximum < 2**32:
                raise make(InvalidArgumentError, f"{field}.maximum_port_count is {maximum}.", "", _SUGGESTION)
        check(lib.applevz_configuration_add_virtio_console_device(handle, maximum))
        ports: list[ConsolePort] = []
        for place, port in enumerate(_ports(f"{field}.ports", device.ports)):
            ports.append(_add_console_port(owned, handle, f"{field}.ports[{place}]", place, port, taken, console_kind))
        found.append(ports)
    return found


def add_guest_agent(owned: Owned, handle: Reference) -> Reference:
    """The host's end of the port, on a console device of its own."""
    agent = owned.make("guest_agent", lib.applevz_guest_agent_create)
    create = lib.applevz_serial_port_attachment_create_with_guest_agent
    attachment = owned.make("serial_port_attachment", create, agent)
    check(lib.applevz_configuration_add_virtio_console_device(handle, 1))
    name = GUEST_AGENT_PORT.encode()
    check(lib.applevz_configuration_set_virtio_console_port(handle, 0, name, len(name), False, attachment))
    return agent


def _ports(field: str, ports: object) -> list[VirtioConsolePortConfiguration]:
    if isinstance(ports, Mapping):
        return [VirtioConsolePortConfiguration(name, attachment=attachment) for name, attachment in ports.items()]
    return arguments.items(field, ports, (VirtioConsolePortConfiguration,))


def _add_console_port(
    owned: Owned,
    handle: Reference,
    field: str,
    place: int,
    port: VirtioConsolePortConfiguration,
    taken: list[BaseConsole],
    console_kind: type[BaseConsole],
) -> ConsolePort:
    name = b""
    if port.name is not None:
        name = arguments.text(f"{field}.name", port.name)
        if not name:
            raise make(InvalidArgumentError, f"{field}.name is empty.", "", "Give the port a name, or None.")
    is_console = arguments.boolean(f"{field}.is_console", port.is_console)
    before = len(taken)
    attachment = _serial_port_attachment(owned, f"{field}.attachment", port.attachment, taken, console_kind)
    add = lib.applevz_configuration_set_virtio_console_port
    check(add(handle, place, name or ffi.NULL, len(name), is_console, attachment))
    return ConsolePort(port.name, taken[-1] if len(taken) > before else None)


def _serial_port_attachment(
    owned: Owned, field: str, attachment: object, consoles: list[BaseConsole], console_kind: type[BaseConsole]
) -> Reference:
    """The attachment; its console, if it is one's, is added to `consoles`."""
    kinds = (
        FileHandleSerialPortAttachment,
        FileSerialPortAttachment,
        PseudoTerminalSerialPortAttachment,
        SpiceAgentPortAttachment,
        BaseConsole,
        type(None),
    )
    if not isinstance(attachment, kinds):
        raise arguments.wrong_type(
            field,
            attachment,
            "FileHandleSerialPortAttachment or FileSerialPortAttachment or PseudoTerminalSerialPortAttachment or "
            "SpiceAgentPortAttachment or Console or None",
        )
    if isinstance(attachment, SpiceAgentPortAttachment):
        shares = arguments.boolean(f"{field}.shares_clipboard", attachment.shares_clipboard)
        create = lib.applevz_serial_port_attachment_create_with_spice_agent
        return owned.make("serial_port_attachment", create, shares)
    if isinstance(attachment, PseudoTerminalSerialPortAttachment):
        attachment = FileHandleSerialPortAttachment(attachment, attachment)
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
