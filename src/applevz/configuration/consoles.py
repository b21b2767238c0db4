# SPDX-License-Identifier: Apache-2.0
"""Serial ports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._arguments import HasFileDescriptor, PathLike

if TYPE_CHECKING:
    from .._console import BaseConsole

__all__ = ["FileHandleSerialPortAttachment", "FileSerialPortAttachment", "VirtioConsoleDeviceSerialPortConfiguration"]


@dataclass
class FileHandleSerialPortAttachment:
    """A serial port over file descriptors or objects that have one, None for a direction that is not wanted.

    The guest reads from `file_handle_for_reading` and writes to `file_handle_for_writing`. The machine has duplicates;
    the objects are kept alive by this one, and stay the caller's.
    """

    file_handle_for_reading: int | HasFileDescriptor | None = None
    file_handle_for_writing: int | HasFileDescriptor | None = None


@dataclass
class FileSerialPortAttachment:
    """What the guest writes goes to a file, which is made where it is missing; it can read nothing."""

    path: PathLike
    append: bool = False


@dataclass
class VirtioConsoleDeviceSerialPortConfiguration:
    """A serial port that Linux knows as `/dev/hvc0` (the next as `/dev/hvc1`).

    Without an attachment the machine makes a `Console` for it, a new one each time: `VirtualMachine.console`.
    """

    attachment: FileHandleSerialPortAttachment | FileSerialPortAttachment | BaseConsole | None = None
