# SPDX-License-Identifier: Apache-2.0
"""The USB controllers of a machine and their devices, with calls that block. `_core/usb.py` decides what each does."""

from __future__ import annotations

from .._core.deadline import Deadline
from .._core.operation import run
from .._core.usb import BaseUSBController, BaseUSBMassStorageDevice
from ..configuration.storage import USBMassStorageDeviceConfiguration

__all__ = ["USBController", "USBMassStorageDevice"]


class USBMassStorageDevice(BaseUSBMassStorageDevice):
    """A USB disk that is, or was, attached to a machine (`VZUSBMassStorageDevice`). It keeps its machine."""

    __slots__ = ()

    def detach(self, timeout: float | None = None) -> None:
        """Detaches the device (`detachDevice:completionHandler:`). When this returns, nothing of it is open any more.

        The guest is not asked: it should have let go of the device before. Raises `DeviceNotFoundError` if the device
        is not attached. Raises `InvalidVirtualMachineStateError` if the machine neither runs nor is paused, or was
        saved and has not run since.
        """
        run(self._detach(Deadline(timeout)))


class USBController(BaseUSBController[USBMassStorageDevice]):
    """A USB controller of a machine (`VZXHCIController`). It keeps its machine."""

    __slots__ = ()

    _device_kind = USBMassStorageDevice

    def attach(self, device: USBMassStorageDeviceConfiguration, timeout: float | None = None) -> USBMassStorageDevice:
        """Attaches a device to a machine that runs or is paused (`attachDevice:completionHandler:`).

        Raises the errors of a configuration for a device that no configuration could have, and
        `DeviceInitializationFailureError` if it cannot be attached, as an image that is a disk of the machine already.
        On Linux a machine cannot be saved while such a device is attached, or one of its configuration is detached.
        """
        return run(self._attach(device, Deadline(timeout)))
