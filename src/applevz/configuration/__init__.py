# SPDX-License-Identifier: Apache-2.0
"""What a machine is made of.

The classes have the names of Apple's Virtualization framework without `VZ`, and their fields those of its properties in
Python's spelling; what each means, and what the framework refuses, stands in Apple's documentation:
https://developer.apple.com/documentation/virtualization/vzvirtualmachineconfiguration

A configuration is a plain object until a machine is made of it, or `validate` is called. Only then values are looked
at, files are opened and relative paths are resolved. The machine has its own copy.
"""

from __future__ import annotations

from .boot_loaders import EFIBootLoader, EFIVariableStore, LinuxBootLoader
from .consoles import (
    FileHandleSerialPortAttachment,
    FileSerialPortAttachment,
    PseudoTerminalSerialPortAttachment,
    SpiceAgentPortAttachment,
    VirtioConsoleDeviceConfiguration,
    VirtioConsoleDeviceSerialPortConfiguration,
    VirtioConsolePortConfiguration,
)
from .directory_sharing import (
    MultipleDirectoryShare,
    SharedDirectory,
    SingleDirectoryShare,
    VirtioFileSystemDeviceConfiguration,
)
from .entropy import VirtioEntropyDeviceConfiguration
from .graphics import VirtioGraphicsDeviceConfiguration, VirtioGraphicsScanoutConfiguration
from .input_devices import USBKeyboardConfiguration, USBScreenCoordinatePointingDeviceConfiguration
from .machine import VirtualMachineConfiguration
from .memory_balloons import VirtioTraditionalMemoryBalloonDeviceConfiguration
from .network import (
    BridgedNetworkDeviceAttachment,
    BridgedNetworkInterface,
    FileHandleNetworkDeviceAttachment,
    MACAddress,
    NATNetworkDeviceAttachment,
    VirtioNetworkDeviceConfiguration,
)
from .platforms import GenericMachineIdentifier, GenericPlatformConfiguration
from .sockets import VirtioSocketDeviceConfiguration
from .storage import (
    DiskBlockDeviceStorageDeviceAttachment,
    DiskImageCachingMode,
    DiskImageStorageDeviceAttachment,
    DiskImageSynchronizationMode,
    DiskSynchronizationMode,
    NetworkBlockDeviceStorageDeviceAttachment,
    NVMExpressControllerDeviceConfiguration,
    USBMassStorageDeviceConfiguration,
    VirtioBlockDeviceConfiguration,
)
from .usb import XHCIControllerConfiguration

__all__ = [
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
    "VirtioSocketDeviceConfiguration",
    "VirtioTraditionalMemoryBalloonDeviceConfiguration",
    "VirtualMachineConfiguration",
    "XHCIControllerConfiguration",
]
