# SPDX-License-Identifier: Apache-2.0
"""Virtual machines: Apple's Virtualization framework on macOS, and the same classes over QEMU on Linux.

    from applevz import LinuxBootLoader, VirtualMachine, VirtualMachineConfiguration

    configuration = VirtualMachineConfiguration(LinuxBootLoader("vmlinux", "initrd", "console=hvc0"))
    with VirtualMachine(configuration) as machine:
        machine.start()
        print(machine.console.read_until("ready", timeout=30).decode())
        machine.shutdown()

`applevz.aio` has the same names, with calls that are awaited.

Importing the package starts no thread and no process, and changes nothing in the process.
"""

from __future__ import annotations

from ._events import Event, EventCause, EventKind
from ._identifiers import command_line_additions
from ._machine import ShutdownPolicy, VirtualMachineState
from .capabilities import Capabilities, Capability, Limits, capabilities, limits
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
from .console import Console
from .errors import (
    CFError,
    EndOfConsoleError,
    Error,
    ForeignExceptionError,
    ForkedError,
    InternalError,
    InvalidArgumentError,
    InvalidArgumentTypeError,
    InvalidDiskImageError,
    InvalidStateError,
    InvalidVirtualMachineConfigurationError,
    InvalidVirtualMachineStateError,
    InvalidVirtualMachineStateTransitionError,
    NetworkError,
    NotSupportedError,
    OperationCancelledError,
    OutOfDiskSpaceError,
    POSIXError,
    RestoreError,
    SaveError,
    TimeoutError,
    VirtualMachineLimitExceededError,
)
from .events import Events
from .machine import VirtualMachine

__version__ = "0.1.0"

__all__ = [
    "CFError",
    "Capabilities",
    "Capability",
    "Console",
    "DiskImageCachingMode",
    "DiskImageStorageDeviceAttachment",
    "DiskImageSynchronizationMode",
    "EndOfConsoleError",
    "Error",
    "Event",
    "EventCause",
    "EventKind",
    "Events",
    "FileHandleSerialPortAttachment",
    "FileSerialPortAttachment",
    "ForeignExceptionError",
    "ForkedError",
    "GenericMachineIdentifier",
    "GenericPlatformConfiguration",
    "InternalError",
    "InvalidArgumentError",
    "InvalidArgumentTypeError",
    "InvalidDiskImageError",
    "InvalidStateError",
    "InvalidVirtualMachineConfigurationError",
    "InvalidVirtualMachineStateError",
    "InvalidVirtualMachineStateTransitionError",
    "Limits",
    "LinuxBootLoader",
    "MACAddress",
    "NATNetworkDeviceAttachment",
    "NetworkError",
    "NotSupportedError",
    "OperationCancelledError",
    "OutOfDiskSpaceError",
    "POSIXError",
    "RestoreError",
    "SaveError",
    "ShutdownPolicy",
    "TimeoutError",
    "VirtioBlockDeviceConfiguration",
    "VirtioConsoleDeviceSerialPortConfiguration",
    "VirtioEntropyDeviceConfiguration",
    "VirtioNetworkDeviceConfiguration",
    "VirtioTraditionalMemoryBalloonDeviceConfiguration",
    "VirtualMachine",
    "VirtualMachineConfiguration",
    "VirtualMachineLimitExceededError",
    "VirtualMachineState",
    "__version__",
    "capabilities",
    "command_line_additions",
    "limits",
]
