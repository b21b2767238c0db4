# SPDX-License-Identifier: Apache-2.0
"""The configuration of a whole machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .._builder import validate, validate_save_restore_support
from .._values.arguments import PathLike
from .._values.sizes import Size
from .boot_loaders import EFIBootLoader, LinuxBootLoader
from .confinement import ConfinementPolicy
from .consoles import VirtioConsoleDeviceConfiguration, VirtioConsoleDeviceSerialPortConfiguration
from .directory_sharing import VirtioFileSystemDeviceConfiguration
from .entropy import VirtioEntropyDeviceConfiguration
from .graphics import VirtioGraphicsDeviceConfiguration
from .input_devices import USBKeyboardConfiguration, USBScreenCoordinatePointingDeviceConfiguration
from .memory_balloons import VirtioTraditionalMemoryBalloonDeviceConfiguration
from .network import VirtioNetworkDeviceConfiguration
from .platforms import GenericPlatformConfiguration
from .resource_limits import ResourceLimits
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
    """All that a machine is made of. Any number of machines can be made of one configuration.

    `memory_size` is in bytes, or text like `"512MiB"`. `applevz.limits()` returns the limits of the host for it and for
    `cpu_count`. By default the machine has one serial port with a `Console`; `serial_ports=[]` leaves it out.

    `memory_directory` is a folder. While the machine runs, the guest's memory is a file without a name in that folder's
    file system, and `suspend(to=…)` a path of the same file system hands it over as it is, without copying it. If the
    folder is on a disk, the host writes the memory back all the time, and a full disk ends the machine with an error; a
    file system in memory (tmpfs) has neither trouble. It needs `capabilities.memory_directory` and a file system with
    nameless files (O_TMPFILE). None leaves the memory where the platform has it.

    A guest that resets starts anew in place. With `stop_at_reset` it stops the machine instead, as one that turns it
    off. That needs `capabilities.guest_resets`.

    `confinement` is what must keep the program that runs the machine from the rest of the host, and what is left out of
    it. Without it, it is as much as there can be: `VirtualMachine.confinement`.

    `resource_limits` is what the machine may take of the host. Without it, it has no limits but those of its devices.

    `guest_agent` gives the machine two more console devices, after those of `console_devices`. The one port of the
    first is named `org.qemu.guest_agent.0`: there the guest's QEMU agent (qemu-ga) listens by itself. Through it the
    guest's clock is set when the machine runs for the first time after a `restore_state`, which is an event,
    `EventKind.GUEST_CLOCK_SET`. (https://www.qemu.org/docs/master/interop/qemu-ga.html) The port of the second is named
    `org.applevz.agent.0`, and is this package's agent's, for `VirtualMachine.guest`.
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
    stop_at_reset: bool = False
    confinement: ConfinementPolicy = field(default_factory=ConfinementPolicy)
    resource_limits: ResourceLimits = field(default_factory=ResourceLimits)

    def validate(self) -> None:
        """Checks that a machine can be made of this on this host
        (`-[VZVirtualMachineConfiguration validateWithError:]`).

        Raises `InvalidArgumentError` for a value that no machine could have. Raises
        `InvalidVirtualMachineConfigurationError`, `InvalidDiskImageError` or another `Error` for a value that the
        framework refuses. The error names the field and the value.
        """
        validate(self)

    def validate_save_restore_support(self) -> None:
        """Checks that a machine of this could be saved and restored
        (`-[VZVirtualMachineConfiguration validateSaveRestoreSupportWithError:]`).

        Raises the errors of `validate`, and `NotSupportedError` if the host saves no machines.
        """
        validate_save_restore_support(self)
