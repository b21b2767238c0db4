# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from uuid import UUID

from .._native import Reference, lib
from .._values import arguments
from ..configuration.storage import USBMassStorageDeviceConfiguration
from ..configuration.usb import XHCIControllerConfiguration
from ..errors import check, check_in, handle_of
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
            add = lib.applevz_configuration_add_device_to_usb_controller
            check_in(f"{field}[{number}]", add(handle, index, attachment, uuid, len(uuid)))


def usb_device(owned: Owned, device: USBMassStorageDeviceConfiguration) -> tuple[Reference, Reference]:
    """The native device, which the caller releases, and its attachment."""
    arguments.instance("device", device, (USBMassStorageDeviceConfiguration,))
    attachment, uuid = _parts(owned, "device", device)
    return handle_of(lib.applevz_usb_device_create, attachment, uuid, len(uuid), field="device"), attachment


def _parts(owned: Owned, field: str, device: USBMassStorageDeviceConfiguration) -> tuple[Reference, bytes]:
    attachment = storage_attachment(owned, field, device.attachment)
    given = str(device.uuid) if isinstance(device.uuid, UUID) else device.uuid
    return attachment, b"" if given is None else arguments.text(f"{field}.uuid", given)
