# SPDX-License-Identifier: Apache-2.0
"""The whole machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .._arguments import PathLike
from .._sizes import Size
from .boot_loaders import EFIBootLoader, LinuxBootLoader
from .consoles import VirtioConsoleDeviceConfiguration, VirtioConsoleDeviceSerialPortConfiguration
from .directory_sharing import VirtioFileSystemDeviceConfiguration
from .entropy import VirtioEntropyDeviceConfiguration
from .graphics import VirtioGraphicsDeviceConfiguration
from .input_devices import USBKeyboardConfiguration, USBScreenCoordinatePointingDeviceConfiguration
from .memory_balloons import VirtioTraditionalMemoryBalloonDeviceConfiguration
from .network import VirtioNetworkDeviceConfiguration
from .platforms import GenericPlatformConfiguration
from .sockets import VirtioSocketDeviceConfiguration
from .storage import (
    NVMExpressControllerDeviceConfiguration,
    USBMassStorageDeviceConfiguration,
    VirtioBlockDeviceConfiguration,
)
from .usb import XHCIControllerConfiguration

__all__ = ["VirtualMachineConfiguration"]


def _one_console() -> Sequence[VirtioConsoleDeviceSerialPortConfiguration]:
    return [VirtioConsoleDeviceSerialPortConfiguration()]


@dataclass
class VirtualMachineConfiguration:
    """A machine that can be made, any number of times.

    `memory_size` is in bytes, or text like `"512MiB"`; `applevz.limits()` tells what the host allows for it and for
    `cpu_count`. By default the machine has one serial port with a `Console`; `serial_ports=[]` leaves it out.

    `memory_directory` is a folder in whose file system the guest's memory is a file, without a name, while the machine
    runs: `suspend(to=…)` a path of the same file system then hands it over as it is, without copying it. On a disk the
    host writes such memory back all the time, and where the disk is full the machine ends with an error; a folder of a
    file system in memory (tmpfs) has neither trouble. It needs `capabilities.memory_directory` and a file system with
    nameless files (O_TMPFILE). None leaves the memory where the platform has it.

    `guest_agent` gives the machine a console device more, after those of `console_devices`, with one port, named
    `org.qemu.guest_agent.0`, where the guest's QEMU agent (qemu-ga) listens by itself. Through it the guest's clock is
    set when the machine runs for the first time after a `restore_state`, which `EventKind.GUEST_CLOCK_SET` tells of.
    (https://www.qemu.org/docs/master/interop/qemu-ga.html)
    """

    boot_loader: LinuxBootLoader | EFIBootLoader | None = None
    cpu_count: int = 1
    memory_size: Size = "512MiB"
    platform: GenericPlatformConfiguration = field(default_factory=GenericPlatformConfiguration)
    serial_ports: Sequence[VirtioConsoleDeviceSerialPortConfiguration] = field(default_factory=_one_console)
    storage_devices: Sequence[
        VirtioBlockDeviceConfiguration | NVMExpressControllerDeviceConfiguration | USBMassStorageDeviceConfiguration
    ] = ()
    console_devices: Sequence[VirtioConsoleDeviceConfiguration] = ()
    usb_controllers: Sequence[XHCIControllerConfiguration] = ()
    network_devices: Sequence[VirtioNetworkDeviceConfiguration] = ()
    directory_sharing_devices: Sequence[VirtioFileSystemDeviceConfiguration] = ()
    entropy_devices: Sequence[VirtioEntropyDeviceConfiguration] = ()
    memory_balloon_devices: Sequence[VirtioTraditionalMemoryBalloonDeviceConfiguration] = ()
    memory_directory: PathLike | None = None
    socket_devices: Sequence[VirtioSocketDeviceConfiguration] = ()
    graphics_devices: Sequence[VirtioGraphicsDeviceConfiguration] = ()
    keyboards: Sequence[USBKeyboardConfiguration] = ()
    pointing_devices: Sequence[USBScreenCoordinatePointingDeviceConfiguration] = ()
    guest_agent: bool = False

    def validate(self) -> None:
        """Looks whether a machine can be made of this on this host; returns nothing if one can.

        Raises `InvalidArgumentError` for values that no machine could have, and what the framework refuses as
        `InvalidVirtualMachineConfigurationError`, `InvalidDiskImageError` or another `Error`, which says which field
        and which value. (`-[VZVirtualMachineConfiguration validateWithError:]`)
        """
        # The builder knows the classes of this folder.
        from .._builder import validate

        validate(self)

    def validate_save_restore_support(self) -> None:
        """Looks whether a machine of this could be saved to a file and restored; returns nothing if it could.

        Raises the errors of `validate`, and `NotSupportedError` where the host saves no machines.
        (`-[VZVirtualMachineConfiguration validateSaveRestoreSupportWithError:]`)
        """
        from .._builder import validate_save_restore_support

        validate_save_restore_support(self)
