# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from .._native import Reference, lib
from .._values import arguments
from .._values.arguments import native_paths
from ..configuration.storage import (
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
from ..errors import check_in
from .owned import Owned

__all__ = ["add_storage_devices", "storage_attachment"]


def add_storage_devices(owned: Owned, handle: Reference, devices: object) -> None:
    kinds = (
        VirtioBlockDeviceConfiguration,
        NVMExpressControllerDeviceConfiguration,
        USBMassStorageDeviceConfiguration,
    )
    for index, disk in enumerate(arguments.items("storage_devices", devices, kinds)):
        field = f"storage_devices[{index}]"
        attachment = storage_attachment(owned, field, disk.attachment)
        if isinstance(disk, NVMExpressControllerDeviceConfiguration):
            check_in(field, lib.applevz_configuration_add_nvm_express_controller(handle, attachment))
        elif isinstance(disk, USBMassStorageDeviceConfiguration):
            check_in(field, lib.applevz_configuration_add_usb_mass_storage_device(handle, attachment))
        else:
            _add_block_device(handle, field, disk, attachment)


def storage_attachment(owned: Owned, field: str, given: object) -> Reference:
    kinds = (
        DiskImageStorageDeviceAttachment,
        DiskBlockDeviceStorageDeviceAttachment,
        NetworkBlockDeviceStorageDeviceAttachment,
    )
    image = arguments.instance(f"{field}.attachment", given, kinds)
    if isinstance(image, DiskBlockDeviceStorageDeviceAttachment):
        return _block_device(owned, f"{field}.attachment", image)
    if isinstance(image, NetworkBlockDeviceStorageDeviceAttachment):
        return _network_block_device(owned, f"{field}.attachment", image)
    return _disk_image(owned, f"{field}.attachment", image)


def _disk_image(owned: Owned, field: str, image: DiskImageStorageDeviceAttachment) -> Reference:
    path = arguments.path(f"{field}.path", image.path)
    ephemeral = arguments.boolean(f"{field}.ephemeral", image.ephemeral)
    folder = _optional_path(f"{field}.overlay_directory", image.overlay_directory)
    bases = b"" if image.base is None else native_paths(arguments.paths(f"{field}.base", image.base))
    modes = (
        arguments.boolean(f"{field}.read_only", image.read_only),
        arguments.instance(f"{field}.caching_mode", image.caching_mode, (DiskImageCachingMode,)),
        arguments.instance(
            f"{field}.synchronization_mode", image.synchronization_mode, (DiskImageSynchronizationMode,)
        ),
    )
    if not ephemeral and not folder and not bases:
        create = lib.applevz_storage_device_attachment_create_with_disk_image
        return owned.make(create, path, len(path), *modes, field=field)
    create = lib.applevz_storage_device_attachment_create_with_disk_overlay
    return owned.make(create, path, len(path), bases, len(bases), ephemeral, folder, len(folder), *modes, field=field)


def _optional_path(field: str, given: arguments.PathLike | None) -> bytes:
    return b"" if given is None else arguments.path(field, given)


def _block_device(owned: Owned, field: str, device: DiskBlockDeviceStorageDeviceAttachment) -> Reference:
    if device.file_handle is None:
        raise arguments.wrong_type(f"{field}.file_handle", None, "an open file, or the number of a descriptor")
    return owned.make(
        lib.applevz_storage_device_attachment_create_with_block_device,
        arguments.descriptor(f"{field}.file_handle", device.file_handle),
        arguments.boolean(f"{field}.read_only", device.read_only),
        _synchronization_mode(field, device.synchronization_mode),
        field=field,
    )


def _network_block_device(owned: Owned, field: str, device: NetworkBlockDeviceStorageDeviceAttachment) -> Reference:
    url = arguments.text(f"{field}.url", device.url)
    timeout = arguments.seconds(f"{field}.timeout", device.timeout)
    if timeout is None:
        raise arguments.wrong_type(f"{field}.timeout", device.timeout, "a number of seconds (float)")
    return owned.make(
        lib.applevz_storage_device_attachment_create_with_network_block_device,
        url,
        len(url),
        timeout,
        arguments.boolean(f"{field}.forced_read_only", device.forced_read_only),
        _synchronization_mode(field, device.synchronization_mode),
        field=field,
    )


def _synchronization_mode(field: str, mode: object) -> int:
    return int(arguments.instance(f"{field}.synchronization_mode", mode, (DiskSynchronizationMode,)))


def _add_block_device(
    handle: Reference, field: str, disk: VirtioBlockDeviceConfiguration, attachment: Reference
) -> None:
    identifier = b""
    if disk.block_device_identifier is not None:
        identifier = arguments.text(f"{field}.block_device_identifier", disk.block_device_identifier)
    check_in(field, lib.applevz_configuration_add_virtio_block_device(handle, attachment, identifier, len(identifier)))
