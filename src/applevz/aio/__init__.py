# SPDX-License-Identifier: Apache-2.0
"""`applevz` for asyncio: the same names, with calls that are awaited where they wait.

    from applevz.aio import LinuxBootLoader, VirtualMachine, VirtualMachineConfiguration

    configuration = VirtualMachineConfiguration(LinuxBootLoader("vmlinux", "initrd", "console=hvc0"))
    async with VirtualMachine(configuration) as machine:
        await machine.start()
        print((await machine.console.read_until("ready", timeout=30)).decode())
        await machine.shutdown()

`VirtualMachine`, `Console` and `Events` are this module's own; the rest is that of `applevz`. There is no thread for a
machine or a call: a loop watches one descriptor for all that it waits for, and one for each console that is read.
Cancelling a call ends its wait; the machine goes on with what it was told.
"""

from __future__ import annotations

from .. import (
    Capabilities,
    Capability,
    CFError,
    DiskImageCachingMode,
    DiskImageStorageDeviceAttachment,
    DiskImageSynchronizationMode,
    EndOfConsoleError,
    Error,
    Event,
    EventCause,
    EventKind,
    FileHandleSerialPortAttachment,
    FileSerialPortAttachment,
    ForeignExceptionError,
    ForkedError,
    GenericMachineIdentifier,
    GenericPlatformConfiguration,
    InternalError,
    InvalidArgumentError,
    InvalidArgumentTypeError,
    InvalidDiskImageError,
    InvalidStateError,
    InvalidVirtualMachineConfigurationError,
    InvalidVirtualMachineStateError,
    InvalidVirtualMachineStateTransitionError,
    Limits,
    LinuxBootLoader,
    MACAddress,
    NATNetworkDeviceAttachment,
    NetworkError,
    NotSupportedError,
    OperationCancelledError,
    OutOfDiskSpaceError,
    POSIXError,
    RestoreError,
    SaveError,
    ShutdownPolicy,
    TimeoutError,
    VirtioBlockDeviceConfiguration,
    VirtioConsoleDeviceSerialPortConfiguration,
    VirtioEntropyDeviceConfiguration,
    VirtioNetworkDeviceConfiguration,
    VirtioTraditionalMemoryBalloonDeviceConfiguration,
    VirtualMachineConfiguration,
    VirtualMachineLimitExceededError,
    VirtualMachineState,
    __version__,
    capabilities,
    command_line_additions,
    limits,
)
from .console import Console
from .events import Events
from .machine import VirtualMachine

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
