# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from .. import _arguments as arguments
from .._console import BaseConsole, console_of
from .._native import Reference, lib
from ..configuration.consoles import (
    FileHandleSerialPortAttachment,
    FileSerialPortAttachment,
    VirtioConsoleDeviceSerialPortConfiguration,
)
from ..errors import InvalidArgumentError, check, make
from .owned import Owned

__all__ = ["add_serial_ports"]


def add_serial_ports(
    owned: Owned, handle: Reference, ports: object, console_kind: type[BaseConsole]
) -> list[BaseConsole]:
    """The consoles of the ports that have one."""
    consoles: list[BaseConsole] = []
    kinds = (VirtioConsoleDeviceSerialPortConfiguration,)
    for index, port in enumerate(arguments.items("serial_ports", ports, kinds)):
        field = f"serial_ports[{index}].attachment"
        attachment = _serial_port_attachment(owned, field, port.attachment, consoles, console_kind)
        check(lib.applevz_configuration_add_virtio_console_device_serial_port(handle, attachment))
    return consoles


def _serial_port_attachment(
    owned: Owned,
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
