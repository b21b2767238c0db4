# SPDX-License-Identifier: Apache-2.0
"""What a machine is made of.

The classes have the names of Apple's Virtualization framework without `VZ`, and their fields those of its properties in
Python's spelling; what each means, and what the framework refuses, stands in Apple's documentation:
https://developer.apple.com/documentation/virtualization/vzvirtualmachineconfiguration

A configuration is a plain object until a machine is made of it, or `validate` is called. Only then values are looked
at, files are opened and relative paths are resolved. The machine has its own copy.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ._arguments import PathLike
from ._identifiers import random_mac_address, random_machine_identifier
from ._native import lib
from ._sizes import Size

if TYPE_CHECKING:
    from ._console import BaseConsole

__all__ = [
    "DiskImageCachingMode",
    "DiskImageStorageDeviceAttachment",
    "DiskImageSynchronizationMode",
    "FileHandleSerialPortAttachment",
    "FileSerialPortAttachment",
    "GenericMachineIdentifier",
    "GenericPlatformConfiguration",
    "LinuxBootLoader",
    "MACAddress",
    "NATNetworkDeviceAttachment",
    "VirtioBlockDeviceConfiguration",
    "VirtioConsoleDeviceSerialPortConfiguration",
    "VirtioEntropyDeviceConfiguration",
    "VirtioNetworkDeviceConfiguration",
    "VirtioTraditionalMemoryBalloonDeviceConfiguration",
    "VirtualMachineConfiguration",
]


class HasFileDescriptor(Protocol):
    """A file, a socket, a pipe: what has a descriptor."""

    def fileno(self) -> int: ...


# ---- Boot loader and platform --------------------------------------------------------------------------------------


@dataclass
class LinuxBootLoader:
    """Boots a Linux kernel without firmware.

    `kernel` and `initial_ramdisk` are files. On Linux hosts the platform may add words to the kernel's command line
    that make it boot faster and without fail (`applevz.command_line_additions()` tells them);
    `command_line_additions=False` turns that off.
    """

    kernel: PathLike
    initial_ramdisk: PathLike | None = None
    command_line: str = ""
    command_line_additions: bool = True


@dataclass(frozen=True)
class GenericMachineIdentifier:
    """What tells one machine from another to its guest. The bytes can be stored and given again."""

    data_representation: bytes

    @classmethod
    def random(cls) -> GenericMachineIdentifier:
        """A new one. Raises `Error` where the host has none to give (macOS 12)."""
        return cls(random_machine_identifier())


@dataclass
class GenericPlatformConfiguration:
    """The platform of every guest but macOS. Without an identifier the machine gets a new one each time it is made."""

    machine_identifier: GenericMachineIdentifier | None = None


# ---- Serial ports --------------------------------------------------------------------------------------------------


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


# ---- Storage -------------------------------------------------------------------------------------------------------


class DiskImageCachingMode(enum.IntEnum):
    """Whether the host's cache stands between the guest and the image (`VZDiskImageCachingMode`)."""

    AUTOMATIC = lib.APPLEVZ_DISK_IMAGE_CACHING_MODE_AUTOMATIC
    UNCACHED = lib.APPLEVZ_DISK_IMAGE_CACHING_MODE_UNCACHED
    CACHED = lib.APPLEVZ_DISK_IMAGE_CACHING_MODE_CACHED


class DiskImageSynchronizationMode(enum.IntEnum):
    """What a guest's flush does (`VZDiskImageSynchronizationMode`)."""

    FULL = lib.APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_FULL
    FSYNC = lib.APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_FSYNC
    NONE = lib.APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_NONE


@dataclass
class DiskImageStorageDeviceAttachment:
    """A raw image, whose size is a multiple of 512 bytes.

    Apple's default caching is `AUTOMATIC`, under which Linux guests are known to corrupt their disks on macOS; here it
    is `CACHED`.
    """

    path: PathLike
    read_only: bool = False
    caching_mode: DiskImageCachingMode = DiskImageCachingMode.CACHED
    synchronization_mode: DiskImageSynchronizationMode = DiskImageSynchronizationMode.FULL


@dataclass
class VirtioBlockDeviceConfiguration:
    """A disk that Linux knows as `/dev/vda`. The identifier, up to 20 ASCII characters, is its serial number there."""

    attachment: DiskImageStorageDeviceAttachment
    block_device_identifier: str | None = None


# ---- Network -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MACAddress:
    """An Ethernet address as text, like `"0a:1b:2c:3d:4e:5f"`."""

    string: str

    @classmethod
    def random(cls) -> MACAddress:
        """A random locally administered unicast address."""
        return cls(random_mac_address())

    def __str__(self) -> str:
        return self.string


@dataclass
class NATNetworkDeviceAttachment:
    """The guest reaches the network through the host, with an address that it gets by DHCP."""


@dataclass
class VirtioNetworkDeviceConfiguration:
    """A network card. Without an address it gets a random one each time a machine is made."""

    attachment: NATNetworkDeviceAttachment = field(default_factory=NATNetworkDeviceAttachment)
    mac_address: MACAddress | str | None = None


# ---- The rest ------------------------------------------------------------------------------------------------------


@dataclass
class VirtioEntropyDeviceConfiguration:
    """Random numbers from the host."""


@dataclass
class VirtioTraditionalMemoryBalloonDeviceConfiguration:
    """Lets the host take back memory from the guest."""


def _one_console() -> Sequence[VirtioConsoleDeviceSerialPortConfiguration]:
    return [VirtioConsoleDeviceSerialPortConfiguration()]


@dataclass
class VirtualMachineConfiguration:
    """A machine that can be made, any number of times.

    `memory_size` is in bytes, or text like `"512MiB"`; `applevz.limits()` tells what the host allows for it and for
    `cpu_count`. By default the machine has one serial port with a `Console`; `serial_ports=[]` leaves it out.
    """

    boot_loader: LinuxBootLoader | None = None
    cpu_count: int = 1
    memory_size: Size = "512MiB"
    platform: GenericPlatformConfiguration = field(default_factory=GenericPlatformConfiguration)
    serial_ports: Sequence[VirtioConsoleDeviceSerialPortConfiguration] = field(default_factory=_one_console)
    storage_devices: Sequence[VirtioBlockDeviceConfiguration] = ()
    network_devices: Sequence[VirtioNetworkDeviceConfiguration] = ()
    entropy_devices: Sequence[VirtioEntropyDeviceConfiguration] = ()
    memory_balloon_devices: Sequence[VirtioTraditionalMemoryBalloonDeviceConfiguration] = ()

    def validate(self) -> None:
        """Looks whether a machine can be made of this on this host; returns nothing if one can.

        Raises `InvalidArgumentError` for values that no machine could have, and what the framework refuses as
        `InvalidVirtualMachineConfigurationError`, `InvalidDiskImageError` or another `Error`, which says which field
        and which value. (`-[VZVirtualMachineConfiguration validateWithError:]`)
        """
        # The builder knows the classes of this module.
        from ._builder import validate

        validate(self)

    def validate_save_restore_support(self) -> None:
        """Looks whether a machine of this could be saved to a file and restored; returns nothing if it could.

        Raises the errors of `validate`, and `NotSupportedError` where the host saves no machines.
        (`-[VZVirtualMachineConfiguration validateSaveRestoreSupportWithError:]`)
        """
        from ._builder import validate_save_restore_support

        validate_save_restore_support(self)
