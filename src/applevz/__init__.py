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

from .capabilities import Capabilities, Capability, capabilities
from .errors import (
    CFError,
    DeviceAlreadyAttachedError,
    DeviceInitializationFailureError,
    DeviceNotFoundError,
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
    NetworkBlockDeviceDisconnectedError,
    NetworkBlockDeviceNegotiationFailedError,
    NetworkError,
    NotSupportedError,
    OperationCancelledError,
    OutOfDiskSpaceError,
    POSIXError,
    RestoreError,
    SaveError,
    TimeoutError,
    USBControllerNotFoundError,
    VirtualMachineLimitExceededError,
)

# typing's own name and value for it: importing `typing` would be a quarter of this package's import, and only checkers
# of types need what it has.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from ._console_devices import VirtioConsoleDevice, VirtioConsolePort, VirtioConsolePorts
    from ._directory_sharing_devices import VirtioFileSystemDevice
    from ._disk_images import create_disk_image
    from ._displays import VirtioGraphicsScanout
    from ._events import Event, EventCause, EventKind, EventPort
    from ._identifiers import command_line_additions
    from ._keys import Key, PointerButton
    from ._limits import Limits, limits
    from ._machine import ShutdownPolicy, VirtualMachineState
    from ._memory_balloons import VirtioTraditionalMemoryBalloonDevice
    from ._network_devices import NetworkDevice, bridged_network_interfaces
    from .configuration import (
        BridgedNetworkDeviceAttachment,
        BridgedNetworkInterface,
        DiskBlockDeviceStorageDeviceAttachment,
        DiskImageCachingMode,
        DiskImageStorageDeviceAttachment,
        DiskImageSynchronizationMode,
        DiskSynchronizationMode,
        EFIBootLoader,
        EFIVariableStore,
        FileHandleNetworkDeviceAttachment,
        FileHandleSerialPortAttachment,
        FileSerialPortAttachment,
        GenericMachineIdentifier,
        GenericPlatformConfiguration,
        LinuxBootLoader,
        MACAddress,
        MultipleDirectoryShare,
        NATNetworkDeviceAttachment,
        NetworkBlockDeviceStorageDeviceAttachment,
        NVMExpressControllerDeviceConfiguration,
        PseudoTerminalSerialPortAttachment,
        SharedDirectory,
        SingleDirectoryShare,
        SpiceAgentPortAttachment,
        USBKeyboardConfiguration,
        USBMassStorageDeviceConfiguration,
        USBScreenCoordinatePointingDeviceConfiguration,
        VirtioBlockDeviceConfiguration,
        VirtioConsoleDeviceConfiguration,
        VirtioConsoleDeviceSerialPortConfiguration,
        VirtioConsolePortConfiguration,
        VirtioEntropyDeviceConfiguration,
        VirtioFileSystemDeviceConfiguration,
        VirtioGraphicsDeviceConfiguration,
        VirtioGraphicsScanoutConfiguration,
        VirtioNetworkDeviceConfiguration,
        VirtioSocketDeviceConfiguration,
        VirtioTraditionalMemoryBalloonDeviceConfiguration,
        VirtualMachineConfiguration,
        XHCIControllerConfiguration,
    )
    from .console import Console
    from .events import Events
    from .input_devices import Keyboard, Pointer
    from .machine import VirtualMachine
    from .sockets import SocketListener, VirtioSocketDevice
    from .usb import USBController, USBMassStorageDevice

__version__ = "0.1.0"

__all__ = [
    "BridgedNetworkDeviceAttachment",
    "BridgedNetworkInterface",
    "CFError",
    "Capabilities",
    "Capability",
    "Console",
    "DeviceAlreadyAttachedError",
    "DeviceInitializationFailureError",
    "DeviceNotFoundError",
    "DiskBlockDeviceStorageDeviceAttachment",
    "DiskImageCachingMode",
    "DiskImageStorageDeviceAttachment",
    "DiskImageSynchronizationMode",
    "DiskSynchronizationMode",
    "EFIBootLoader",
    "EFIVariableStore",
    "EndOfConsoleError",
    "Error",
    "Event",
    "EventCause",
    "EventKind",
    "EventPort",
    "Events",
    "FileHandleNetworkDeviceAttachment",
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
    "Key",
    "Keyboard",
    "Limits",
    "LinuxBootLoader",
    "MACAddress",
    "MultipleDirectoryShare",
    "NATNetworkDeviceAttachment",
    "NVMExpressControllerDeviceConfiguration",
    "NetworkBlockDeviceDisconnectedError",
    "NetworkBlockDeviceNegotiationFailedError",
    "NetworkBlockDeviceStorageDeviceAttachment",
    "NetworkDevice",
    "NetworkError",
    "NotSupportedError",
    "OperationCancelledError",
    "OutOfDiskSpaceError",
    "POSIXError",
    "Pointer",
    "PointerButton",
    "PseudoTerminalSerialPortAttachment",
    "RestoreError",
    "SaveError",
    "SharedDirectory",
    "ShutdownPolicy",
    "SingleDirectoryShare",
    "SocketListener",
    "SpiceAgentPortAttachment",
    "TimeoutError",
    "USBController",
    "USBControllerNotFoundError",
    "USBKeyboardConfiguration",
    "USBMassStorageDevice",
    "USBMassStorageDeviceConfiguration",
    "USBScreenCoordinatePointingDeviceConfiguration",
    "VirtioBlockDeviceConfiguration",
    "VirtioConsoleDevice",
    "VirtioConsoleDeviceConfiguration",
    "VirtioConsoleDeviceSerialPortConfiguration",
    "VirtioConsolePort",
    "VirtioConsolePortConfiguration",
    "VirtioConsolePorts",
    "VirtioEntropyDeviceConfiguration",
    "VirtioFileSystemDevice",
    "VirtioFileSystemDeviceConfiguration",
    "VirtioGraphicsDeviceConfiguration",
    "VirtioGraphicsScanout",
    "VirtioGraphicsScanoutConfiguration",
    "VirtioNetworkDeviceConfiguration",
    "VirtioSocketDevice",
    "VirtioSocketDeviceConfiguration",
    "VirtioTraditionalMemoryBalloonDevice",
    "VirtioTraditionalMemoryBalloonDeviceConfiguration",
    "VirtualMachine",
    "VirtualMachineConfiguration",
    "VirtualMachineLimitExceededError",
    "VirtualMachineState",
    "XHCIControllerConfiguration",
    "__version__",
    "bridged_network_interfaces",
    "capabilities",
    "command_line_additions",
    "create_disk_image",
    "limits",
]

# What is imported when it is first asked for: a program that only may come to use machines, as a test runner's plug-in,
# should not wait for them. The native library and the errors come at once, so that an installation that does not work
# says so at the import.
_LATER: Final[dict[str, str]] = {
    name: module
    for module, names in {
        "_console_devices": ("VirtioConsoleDevice", "VirtioConsolePort", "VirtioConsolePorts"),
        "_directory_sharing_devices": ("VirtioFileSystemDevice",),
        "_disk_images": ("create_disk_image",),
        "_displays": ("VirtioGraphicsScanout",),
        "_events": ("Event", "EventCause", "EventKind", "EventPort"),
        "_identifiers": ("command_line_additions",),
        "_keys": ("Key", "PointerButton"),
        "_limits": ("Limits", "limits"),
        "_machine": ("ShutdownPolicy", "VirtualMachineState"),
        "_memory_balloons": ("VirtioTraditionalMemoryBalloonDevice",),
        "_network_devices": ("NetworkDevice", "bridged_network_interfaces"),
        "configuration": (
            "VirtioSocketDeviceConfiguration",
            "BridgedNetworkDeviceAttachment",
            "BridgedNetworkInterface",
            "DiskBlockDeviceStorageDeviceAttachment",
            "DiskImageCachingMode",
            "DiskImageStorageDeviceAttachment",
            "DiskImageSynchronizationMode",
            "DiskSynchronizationMode",
            "EFIBootLoader",
            "EFIVariableStore",
            "FileHandleNetworkDeviceAttachment",
            "FileHandleSerialPortAttachment",
            "FileSerialPortAttachment",
            "GenericMachineIdentifier",
            "GenericPlatformConfiguration",
            "LinuxBootLoader",
            "MACAddress",
            "MultipleDirectoryShare",
            "NATNetworkDeviceAttachment",
            "NVMExpressControllerDeviceConfiguration",
            "NetworkBlockDeviceStorageDeviceAttachment",
            "PseudoTerminalSerialPortAttachment",
            "SharedDirectory",
            "SingleDirectoryShare",
            "SpiceAgentPortAttachment",
            "USBKeyboardConfiguration",
            "USBMassStorageDeviceConfiguration",
            "USBScreenCoordinatePointingDeviceConfiguration",
            "VirtioBlockDeviceConfiguration",
            "VirtioConsoleDeviceConfiguration",
            "VirtioConsoleDeviceSerialPortConfiguration",
            "VirtioConsolePortConfiguration",
            "VirtioEntropyDeviceConfiguration",
            "VirtioFileSystemDeviceConfiguration",
            "VirtioGraphicsDeviceConfiguration",
            "VirtioGraphicsScanoutConfiguration",
            "VirtioNetworkDeviceConfiguration",
            "VirtioTraditionalMemoryBalloonDeviceConfiguration",
            "VirtualMachineConfiguration",
            "XHCIControllerConfiguration",
        ),
        "console": ("Console",),
        "events": ("Events",),
        "input_devices": ("Keyboard", "Pointer"),
        "machine": ("VirtualMachine",),
        "sockets": ("SocketListener", "VirtioSocketDevice"),
        "usb": ("USBController", "USBMassStorageDevice"),
    }.items()
    for name in names
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f".{_LATER[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
