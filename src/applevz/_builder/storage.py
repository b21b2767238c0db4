# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from .. import _arguments as arguments
from .._native import Reference, lib
from ..configuration.storage import (
    DiskImageCachingMode,
    DiskImageStorageDeviceAttachment,
    DiskImageSynchronizationMode,
    NVMExpressControllerDeviceConfiguration,
    USBMassStorageDeviceConfiguration,
    VirtioBlockDeviceConfiguration,
)
from ..errors import check
from .owned import Owned

__all__ = ["add_storage_devices"]


def add_storage_devices(owned: Owned, handle: Reference, devices: object) -> None:
    kinds = (
        VirtioBlockDeviceConfiguration,
        NVMExpressControllerDeviceConfiguration,
        USBMassStorageDeviceConfiguration,
    )
    for index, disk in enumerate(arguments.items("storage_devices", devices, kinds)):
        field = f"storage_devices[{index}]"
        attachment = _attachment(owned, field, disk.attachment)
        if isinstance(disk, NVMExpressControllerDeviceConfiguration):
            check(lib.applevz_configuration_add_nvm_express_controller(handle, attachment))
        elif isinstance(disk, USBMassStorageDeviceConfiguration):
            check(lib.applevz_configuration_add_usb_mass_storage_device(handle, attachment))
        else:
            _add_block_device(handle, field, disk, attachment)


def _attachment(owned: Owned, field: str, given: object) -> Reference:
    image = arguments.instance(f"{field}.attachment", given, (DiskImageStorageDeviceAttachment,))
    path = arguments.path(f"{field}.attachment.path", image.path)
    return owned.make(
        "storage_device_attachment",
        lib.applevz_storage_device_attachment_create_with_disk_image,
        path,
        len(path),
        arguments.boolean(f"{field}.attachment.read_only", image.read_only),
        arguments.instance(f"{field}.attachment.caching_mode", image.caching_mode, (DiskImageCachingMode,)),
        arguments.instance(
            f"{field}.attachment.synchronization_mode", image.synchronization_mode, (DiskImageSynchronizationMode,)
        ),
    )


def _add_block_device(
    handle: Reference, field: str, disk: VirtioBlockDeviceConfiguration, attachment: Reference
) -> None:
    identifier = b""
    if disk.block_device_identifier is not None:
        identifier = arguments.text(f"{field}.block_device_identifier", disk.block_device_identifier)
    check(lib.applevz_configuration_add_virtio_block_device(handle, attachment, identifier, len(identifier)))
