# SPDX-License-Identifier: Apache-2.0
"""USB controllers of a machine, and what is attached to them."""

from __future__ import annotations

from ._deadline import Deadline
from ._operation import run
from ._usb import BaseUSBController, BaseUSBMassStorageDevice
from .configuration.storage import USBMassStorageDeviceConfiguration

__all__ = ["USBController", "USBMassStorageDevice"]


class USBMassStorageDevice(BaseUSBMassStorageDevice):
    """A USB disk that is, or was, attached to a machine (`VZUSBMassStorageDevice`). It keeps its machine."""

    __slots__ = ()

    def detach(self, timeout: float | None = None) -> None:
        """Detaches it, without a word to the guest, which should have let go of it before
        (`detachDevice:completionHandler:`). Nothing of it is open any more when this returns.

        Raises `DeviceNotFoundError` for one that is not attached, and `InvalidVirtualMachineStateError` for a machine
        that neither runs nor is paused, or was saved and has not run since.
        """
        run(self._detach(Deadline(timeout)))


class USBController(BaseUSBController[USBMassStorageDevice]):
    """A USB controller of a machine (`VZXHCIController`). It keeps its machine."""

    __slots__ = ()

    _device_kind = USBMassStorageDevice

    def attach(self, device: USBMassStorageDeviceConfiguration, timeout: float | None = None) -> USBMassStorageDevice:
        """Attaches a device to a machine that runs or is paused (`attachDevice:completionHandler:`).

        Raises `DeviceInitializationFailureError` for one that cannot be attached, as for an image that is a disk of the
        machine already; what can be told of it beforehand is refused as in a configuration. A machine to which one is
        attached, or from which one of the configuration was detached, cannot be saved, on Linux.
        """
        return run(self._attach(device, Deadline(timeout)))
