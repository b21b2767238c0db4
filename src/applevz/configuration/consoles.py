# SPDX-License-Identifier: Apache-2.0
"""Serial ports, console devices, and what their ports are connected to."""

from __future__ import annotations

import os
import tty
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

from .._native import descriptors
from .._values.arguments import HasFileDescriptor, PathLike
from .._values.unique import Unique

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
    """Connects a port to file descriptors, or to objects that have one. None leaves a direction out.

    The guest reads from `file_handle_for_reading` and writes to `file_handle_for_writing`. The machine has duplicates.
    The objects stay the caller's, and this object keeps them alive. Each may be a pipe, a regular file or a terminal; a
    socket, or the master of a pseudo-terminal, then serves both directions.

    A regular file is written to where its descriptor stands. Once the machine is stopped, the descriptor stands behind
    what was written. If it stands at the file's end, or was opened to append, the file is appended to.
    """

    file_handle_for_reading: int | HasFileDescriptor | None = None
    file_handle_for_writing: int | HasFileDescriptor | None = None


@dataclass
class FileSerialPortAttachment:
    """Writes the guest's output to a file. The guest can read nothing.

    A missing file is made, for this user alone. Without `append` the file is emptied when the machine starts, and only
    then: a machine that is restored goes on behind what it wrote before it was saved.
    """

    path: PathLike
    append: bool = False


class PseudoTerminalSerialPortAttachment(Unique):
    """A pseudo-terminal. Other programs (`screen`, `picocom`, `cu`) open its `path`, as they open a serial line.

    It is made with this object, and is raw: bytes go through as they are. It stays open until `close`, or until this
    object and the last machine that was made with it are gone, so programs can open and close it any number of times.
    While no program has it open, some KiB of the guest's output wait in it. One port of one machine at a time can have
    it.
    """

    def __init__(self) -> None:
        """Makes the pseudo-terminal. Raises `POSIXError` if the system has none left."""
        from ..errors import make_posix

        try:
            # The terminal's own end stays open here: without one a pseudo-terminal hangs up.
            self.descriptor, self._terminal = descriptors(os.openpty)
        except OSError as error:
            raise make_posix(error, "No pseudo-terminal can be made.", "Close those that are not needed.") from None
        self._closed = False
        with self._terminal as terminal:
            tty.setraw(terminal)
            self._path = os.ttyname(terminal)

    @property
    def path(self) -> str:
        """The terminal's name, like `"/dev/pts/3"`."""
        return self._path

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def fileno(self) -> int:
        """The descriptor of the machine's end. Raises `ValueError` if it is closed."""
        if self._closed:
            raise ValueError("The pseudo-terminal was closed")
        with self.descriptor as number:
            return number  # type: ignore[no-any-return]

    def close(self) -> None:
        """Closes the descriptors. A machine that was made with it keeps its own."""
        self._closed = True
        self.descriptor.release()
        self._terminal.release()

    def __repr__(self) -> str:
        return f"<PseudoTerminalSerialPortAttachment {self._path}{' (closed)' if self.closed else ''}>"


@dataclass
class SpiceAgentPortAttachment:
    """Answers the SPICE agent of a guest (package spice-vdagent there), which shares the guest's clipboard with the
    display that shows it.

    It is for a `VirtioConsolePortConfiguration` with the name `PORT_NAME`, by which the agent finds it. On a Mac the
    display is a window of a program that shows the machine. On Linux QEMU shares the clipboard among its own displays
    (its character device qemu-vdagent), and these machines have none: the agent is answered, and nothing is shared. A
    machine that has one cannot be saved there.
    """

    PORT_NAME: ClassVar[str] = "com.redhat.spice.0"

    shares_clipboard: bool = True


if TYPE_CHECKING:

    class AnyConsole(Protocol):
        """A `Console` of either face."""

        @property
        def attachment(self) -> FileHandleSerialPortAttachment: ...

    Attachment: TypeAlias = (
        FileHandleSerialPortAttachment | FileSerialPortAttachment | PseudoTerminalSerialPortAttachment | AnyConsole
    )
    PortAttachment: TypeAlias = Attachment | SpiceAgentPortAttachment


@dataclass
class VirtioConsoleDeviceSerialPortConfiguration:
    """A serial port. Linux knows the first one as `/dev/hvc0`, the next as `/dev/hvc1`; it has eight of them.

    A guest's kernel could not go on while its console waited, so QEMU drops output that the attachment's pipe or file
    does not hold (hw/char/virtio-console.c). What must not be lost goes through a port of a
    `VirtioConsoleDeviceConfiguration`.

    Without an attachment the machine makes a `Console` for it, a new one each time: `VirtualMachine.console`.
    """

    attachment: Attachment | None = None


@dataclass
class VirtioConsolePortConfiguration:
    """A port of a console device: a stream in both directions, in which nothing is lost.

    Linux has it as `/dev/vport<device>p<number>`. If udev runs there, it is also `/dev/virtio-ports/<name>`; otherwise
    look for the name in `/sys/class/virtio-ports/*/name`. A `name` has 1 to 255 bytes of UTF-8, without control
    characters, and differs from those of the machine's other ports. With `is_console` Linux takes the port for a
    further console, `/dev/hvc<number>`, and QEMU drops output that nobody takes, as with a serial port.

    Without an attachment the machine makes a `Console` for it, a new one each time.
    """

    name: str | None = None
    is_console: bool = False
    attachment: PortAttachment | None = None


@dataclass
class VirtioConsoleDeviceConfiguration:
    """A virtio device with ports: `VirtualMachine.console_devices`.

    `ports` is a list of `VirtioConsolePortConfiguration`, or a mapping of names to attachments, None for a `Console`:
    `VirtioConsoleDeviceConfiguration(ports={"org.example.log": None})`. `maximum_port_count` is the number of places
    that the guest sees, at least as many as there are ports, which is the default.
    """

    ports: Mapping[str, PortAttachment | None] | Sequence[VirtioConsolePortConfiguration] = field(default_factory=list)
    maximum_port_count: int | None = None
