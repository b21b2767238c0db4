# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .._core.console import BaseConsole, End, console_of
from .._core.devices.consoles import ConsolePort
from .._core.guest.port import Port
from .._native import Reference, ffi, lib
from .._values import arguments
from ..configuration.consoles import (
    FileHandleSerialPortAttachment,
    FileSerialPortAttachment,
    PseudoTerminalSerialPortAttachment,
    SpiceAgentPortAttachment,
    VirtioConsoleDeviceConfiguration,
    VirtioConsoleDeviceSerialPortConfiguration,
    VirtioConsolePortConfiguration,
)
from ..errors import InvalidArgumentError, check, check_in, make
from .owned import Owned

__all__ = [
    "AGENT_PORT",
    "GUEST_AGENT_PORT",
    "add_agent",
    "add_console_devices",
    "add_early_console",
    "add_guest_agent",
    "add_serial_ports",
]

GUEST_AGENT_PORT: Final = "org.qemu.guest_agent.0"
AGENT_PORT: Final = "org.applevz.agent.0"
_SUGGESTION: Final = "Give a number from 1 to 2**32 - 1, or None for as many as there are ports."


def add_serial_ports(
    owned: Owned, handle: Reference, ports: object, console_kind: type[BaseConsole]
) -> list[BaseConsole]:
    """Adds the ports, and returns the consoles of those that have one."""
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
        check_in(field, lib.applevz_configuration_add_virtio_console_device_serial_port(handle, attachment))
    return consoles


def add_early_console(owned: Owned, handle: Reference, console_kind: type[BaseConsole]) -> BaseConsole:
    """The console on which the kernel prints until it has a driver for another one. Nothing is typed there."""
    console = console_kind()
    create = lib.applevz_serial_port_attachment_create_with_file_handles
    attachment = owned.make(create, -1, console.guest_writing)
    check(lib.applevz_configuration_set_early_console(handle, attachment))
    return console


def add_console_devices(
    owned: Owned, handle: Reference, devices: object, consoles: list[BaseConsole], console_kind: type[BaseConsole]
) -> list[list[ConsolePort]]:
    """Adds the devices, and returns the ports of each. The consoles of `consoles` have a port already."""
    found: list[list[ConsolePort]] = []
    taken = list(consoles)
    for index, device in enumerate(arguments.items("console_devices", devices, (VirtioConsoleDeviceConfiguration,))):
        field = f"console_devices[{index}]"
        maximum = 0
        if device.maximum_port_count is not None:
            maximum = arguments.integer(f"{field}.maximum_port_count", device.maximum_port_count, _SUGGESTION)
            if not 1 <= maximum < 2**32:
                raise make(InvalidArgumentError, f"{field}.maximum_port_count is {maximum}.", "", _SUGGESTION)
        check_in(field, lib.applevz_configuration_add_virtio_console_device(handle, maximum))
        ports: list[ConsolePort] = []
        for place, port in enumerate(_ports(f"{field}.ports", device.ports)):
            ports.append(_add_console_port(owned, handle, f"{field}.ports[{place}]", place, port, taken, console_kind))
        found.append(ports)
    return found


def add_guest_agent(owned: Owned, handle: Reference) -> Reference:
    """The host's end of the port of QEMU's agent, on a console device of its own."""
    agent = owned.make(lib.applevz_guest_agent_create)
    create = lib.applevz_serial_port_attachment_create_with_guest_agent
    _add_port(handle, GUEST_AGENT_PORT, owned.make(create, agent))
    return agent


def add_agent(owned: Owned, handle: Reference) -> Port:
    """The port of this package's agent, on a console device of its own."""
    port = Port()
    create = lib.applevz_serial_port_attachment_create_with_file_handles
    _add_port(handle, AGENT_PORT, owned.make(create, port.guest, port.guest))
    return port


def _add_port(handle: Reference, name: str, attachment: Reference) -> None:
    check(lib.applevz_configuration_add_virtio_console_device(handle, 1))
    data = name.encode()
    check(lib.applevz_configuration_set_virtio_console_port(handle, 0, data, len(data), False, attachment))


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
    check_in(field, add(handle, place, name or ffi.NULL, len(name), is_console, attachment))
    return ConsolePort(port.name, taken[-1] if len(taken) > before else None, is_console)


def _serial_port_attachment(
    owned: Owned, field: str, attachment: object, consoles: list[BaseConsole], console_kind: type[BaseConsole]
) -> Reference:
    """The native attachment. If it belongs to a console, that is added to `consoles`."""
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
        return owned.make(create, shares, field=field)
    if isinstance(attachment, PseudoTerminalSerialPortAttachment):
        attachment = FileHandleSerialPortAttachment(attachment, attachment)
    if isinstance(attachment, FileSerialPortAttachment):
        path = arguments.path(f"{field}.path", attachment.path)
        append = arguments.boolean(f"{field}.append", attachment.append)
        create = lib.applevz_serial_port_attachment_create_with_file
        return owned.make(create, path, len(path), append, field=field)

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
        create,
        _descriptor(f"{field}.file_handle_for_reading", reading),
        _descriptor(f"{field}.file_handle_for_writing", writing),
        field=field,
    )


def _descriptor(field: str, handle: Any) -> int | Reference:
    number = arguments.descriptor(field, handle)
    # One of ours is borrowed for the call: it may be closed in another thread.
    return handle.descriptor if isinstance(handle, (End, PseudoTerminalSerialPortAttachment)) else number
