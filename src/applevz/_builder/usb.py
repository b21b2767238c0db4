# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from uuid import UUID

from .. import _arguments as arguments
from .._native import Reference, ffi, lib
from ..configuration.storage import USBMassStorageDeviceConfiguration
from ..configuration.usb import XHCIControllerConfiguration
from ..errors import check
from .owned import Owned
from .storage import storage_attachment

__all__ = ["add_usb_controllers", "usb_device"]


def add_usb_controllers(owned: Owned, handle: Reference, controllers: object) -> None:
    kinds = (XHCIControllerConfiguration,)
    for index, controller in enumerate(arguments.items("usb_controllers", controllers, kinds)):
        check(lib.applevz_configuration_add_xhci_controller(handle))
        field = f"usb_controllers[{index}].usb_devices"
        devices = arguments.items(field, controller.usb_devices, (USBMassStorageDeviceConfiguration,))
        for number, device in enumerate(devices):
            attachment, uuid = _parts(owned, f"{field}[{number}]", device)
            check(lib.applevz_configuration_add_device_to_usb_controller(handle, index, attachment, uuid, len(uuid)))


def usb_device(owned: Owned, device: USBMassStorageDeviceConfiguration) -> tuple[Reference, Reference]:
    """The native device, the caller's, and its attachment."""
    arguments.instance("device", device, (USBMassStorageDeviceConfiguration,))
    out = ffi.new("applevz_usb_device **")
    attachment, uuid = _parts(owned, "device", device)
    check(lib.applevz_usb_device_create(attachment, uuid, len(uuid), out))
    return ffi.gc(out[0], lib.applevz_usb_device_release), attachment


def _parts(owned: Owned, field: str, device: USBMassStorageDeviceConfiguration) -> tuple[Reference, bytes]:
    attachment = storage_attachment(owned, field, device.attachment)
    given = str(device.uuid) if isinstance(device.uuid, UUID) else device.uuid
    return attachment, b"" if given is None else arguments.text(f"{field}.uuid", given)
