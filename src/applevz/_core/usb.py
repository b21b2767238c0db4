# SPDX-License-Identifier: Apache-2.0
"""The USB controllers of a machine and their devices: what both faces share, which is all but the waiting."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from .._builder.owned import Owned
from .._builder.usb import usb_device
from .._native import Reference, ffi, lib, take_text
from .._values.unique import Unique
from ..configuration.storage import USBMassStorageDeviceConfiguration
from ..errors import Error, TimeoutError, check, handle_of, make
from .deadline import Deadline
from .devices.device import MachineDevice
from .operation import Steps, begin

__all__ = ["BaseUSBController", "BaseUSBMassStorageDevice"]


class BaseUSBMassStorageDevice(Unique):
    """A USB disk of a machine, for a face to detach."""

    __slots__ = ("_controller", "_device", "_uuid")

    def __init__(self, controller: BaseUSBController[Any], device: Reference) -> None:
        """A controller makes it."""
        self._controller = controller
        self._device = device
        text, length = ffi.new("char **"), ffi.new("size_t *")
        check(lib.applevz_usb_device_uuid(device, text, length))
        self._uuid = UUID(take_text(text[0], length[0]))

    @property
    def uuid(self) -> UUID:
        """The device's UUID: that of its configuration, or a new one if the configuration has none."""
        return self._uuid

    @property
    def attached(self) -> bool:
        """Whether the device is attached to its controller."""
        return self._controller._has(self._device)

    def _detach(self, deadline: Deadline) -> Steps[None]:
        return self._controller._detach(self._device, deadline)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BaseUSBMassStorageDevice):
            return NotImplemented
        return bool(self._device == other._device)

    def __hash__(self) -> int:
        return hash(self._uuid)

    def __repr__(self) -> str:
        return f"<USBMassStorageDevice {self._uuid}>"


def _late(word: str, deadline: Deadline) -> Error:
    return make(TimeoutError, f"The USB device was not {word} within {deadline}.", "", "Allow more time.")


DeviceKind = TypeVar("DeviceKind", bound=BaseUSBMassStorageDevice)


class BaseUSBController(MachineDevice, Generic[DeviceKind]):
    """A USB controller of a machine, for a face to attach to."""

    __slots__ = ()

    _device_kind: ClassVar[type[BaseUSBMassStorageDevice]]

    @property
    def usb_devices(self) -> tuple[DeviceKind, ...]:
        """The devices that are attached (`usbDevices`). A machine starts with those of its configuration; a stopped one
        has none."""
        count = ffi.new("size_t *")
        check(lib.applevz_machine_usb_device_count(self._handle, self._index, count))
        devices = []
        for index in range(count[0]):
            device = handle_of(lib.applevz_machine_usb_device, self._handle, self._index, index)
            if device is not None:
                devices.append(self._made(device))
        return tuple(devices)

    def _made(self, device: Reference) -> DeviceKind:
        return self._device_kind(self, device)  # type: ignore[return-value]

    def _has(self, device: Reference) -> bool:
        attached = ffi.new("bool *")
        check(lib.applevz_machine_has_usb_device(self._handle, self._index, device, attached))
        return bool(attached[0])

    def _attach(self, configuration: USBMassStorageDeviceConfiguration, deadline: Deadline) -> Steps[DeviceKind]:
        with Owned() as owned:
            device, attachment = usb_device(owned, configuration)
            attaching = begin(lib.applevz_machine_attach_usb_device, self._handle, self._index, device, attachment)
        if (yield attaching, deadline) is None:
            raise _late("attached", deadline)
        return self._made(device)

    def _detach(self, device: Reference, deadline: Deadline) -> Steps[None]:
        if (yield begin(lib.applevz_machine_detach_usb_device, self._handle, self._index, device), deadline) is None:
            raise _late("detached", deadline)

    def __repr__(self) -> str:
        return f"<USBController {len(self.usb_devices)} devices>"
