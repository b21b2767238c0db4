# SPDX-License-Identifier: Apache-2.0
"""Serial ports and console devices."""

from __future__ import annotations

import os
import tty
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from .._arguments import HasFileDescriptor, PathLike

if TYPE_CHECKING:
    from .._console import BaseConsole

__all__ = [
    "FileHandleSerialPortAttachment",
    "FileSerialPortAttachment",
    "PseudoTerminalSerialPortAttachment",
    "SpiceAgentPortAttachment",
    "VirtioConsoleDeviceConfiguration",
    "VirtioConsoleDeviceSerialPortConfiguration",
    "VirtioConsolePortConfiguration",
]


@dataclass
class FileHandleSerialPortAttachment:
    """A serial port over file descriptors or objects that have one, None for a direction that is not wanted.

    The guest reads from `file_handle_for_reading` and writes to `file_handle_for_writing`. The machine has duplicates;
    the objects are kept alive by this one, and stay the caller's. A pipe, a regular file, a terminal will do, and a
    socket or the master of a pseudo-terminal, which then serves both directions. A regular file is written to where its
    descriptor stands, and that then stands after what was written once the machine is stopped; at its end, or if it was
    opened to append, it is appended to.
    """

    file_handle_for_reading: int | HasFileDescriptor | None = None
    file_handle_for_writing: int | HasFileDescriptor | None = None


@dataclass
class FileSerialPortAttachment:
    """What the guest writes goes to a file, which is made where it is missing; it can read nothing."""

    path: PathLike
    append: bool = False


class PseudoTerminalSerialPortAttachment:
    """A pseudo-terminal, which other programs open by its `path` as they do a serial line: `screen`, `picocom`, `cu`.

    It is made with this object and raw: bytes go through as they are. It stays open until `close`, or until this object
    and the last machine that was made with it are gone, so that programs can open it and close it any number of times;
    what the guest prints while none has it open waits in it, some KiB. One port of one machine at a time can have it.
    """

    def __init__(self) -> None:
        """Raises `POSIXError` where there is no pseudo-terminal."""
        from ..errors import make_posix

        try:
            # The terminal's own end stays open here: without one a pseudo-terminal hangs up.
            master, terminal = os.openpty()
        except OSError as error:
            raise make_posix(error, "No pseudo-terminal can be made.", "Close those that are not needed.") from None
        self._master = os.fdopen(master, "rb+", buffering=0)
        self._terminal = os.fdopen(terminal, "rb+", buffering=0)
        tty.setraw(terminal)
        self._path = os.ttyname(terminal)

    @property
    def path(self) -> str:
        """The terminal's name, like `"/dev/pts/3"`."""
        return self._path

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._master.closed

    def fileno(self) -> int:
        """The descriptor of the machine's end. Raises `ValueError` once it is closed."""
        return self._master.fileno()

    def close(self) -> None:
        """Gives the descriptors back. A machine that was made with it keeps its own."""
        self._master.close()
        self._terminal.close()

    def __repr__(self) -> str:
        return f"<PseudoTerminalSerialPortAttachment {self._path}{' (closed)' if self.closed else ''}>"


@dataclass
class SpiceAgentPortAttachment:
    """What answers the SPICE agent of a guest (package spice-vdagent there), which shares the guest's clipboard with
    the display that shows it. For a `VirtioConsolePortConfiguration` with the name `PORT_NAME`, by which the agent
    finds it.

    On a Mac the display is a window of a program that shows the machine. On Linux QEMU shares the clipboard among its
    own displays (its character device qemu-vdagent), of which these machines have none: the agent is answered, and
    nothing is shared. A machine that has one cannot be saved there.
    """

    PORT_NAME: ClassVar[str] = "com.redhat.spice.0"

    shares_clipboard: bool = True


if TYPE_CHECKING:
    Attachment: TypeAlias = (
        FileHandleSerialPortAttachment
        | FileSerialPortAttachment
        | PseudoTerminalSerialPortAttachment
        | BaseConsole
    )
    PortAttachment: TypeAlias = Attachment | SpiceAgentPortAttachment


@dataclass
class VirtioConsoleDeviceSerialPortConfiguration:
    """A serial port that Linux knows as `/dev/hvc0` (the next as `/dev/hvc1`; it has eight of them).

    QEMU drops what a guest prints and nobody takes, beyond what the attachment's pipe or file holds: a guest's kernel
    could not go on while its console waited (hw/char/virtio-console.c). What must not be lost goes through a port of a
    `VirtioConsoleDeviceConfiguration`.

    Without an attachment the machine makes a `Console` for it, a new one each time: `VirtualMachine.console`.
    """

    attachment: Attachment | None = None


@dataclass
class VirtioConsolePortConfiguration:
    """A port of a console device: a stream in both directions, in which nothing is lost.

    Linux has it as `/dev/vport<device>p<number>`, and by its `name` as `/dev/virtio-ports/<name>` where udev runs; else
    look for the name in `/sys/class/virtio-ports/*/name`. A name is 1 to 255 bytes of UTF-8 without control characters,
    and no other port's of the machine. With `is_console` Linux takes it as a further console, `/dev/hvc<number>`: then
    QEMU drops what the guest prints and nobody takes, as with a serial port.

    Without an attachment the machine makes a `Console` for it, a new one each time.
    """

    name: str | None = None
    is_console: bool = False
    attachment: PortAttachment | None = None


@dataclass
class VirtioConsoleDeviceConfiguration:
    """A virtio device with ports, which a running machine has as `VirtualMachine.console_devices`.

    `ports` is a list of `VirtioConsolePortConfiguration`, or a mapping of names to attachments, None for a `Console`:
    `VirtioConsoleDeviceConfiguration(ports={"org.example.log": None})`. `maximum_port_count` is the number of places
    that the guest sees, at least as many as there are ports, which is the default.
    """

    ports: Mapping[str, PortAttachment | None] | Sequence[VirtioConsolePortConfiguration] = field(default_factory=list)
    maximum_port_count: int | None = None
