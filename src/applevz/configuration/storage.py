# SPDX-License-Identifier: Apache-2.0
"""Disks."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from .._arguments import PathLike
from .._native import lib

__all__ = [
    "DiskBlockDeviceStorageDeviceAttachment",
    "DiskImageCachingMode",
    "DiskImageStorageDeviceAttachment",
    "DiskImageSynchronizationMode",
    "DiskSynchronizationMode",
    "NVMExpressControllerDeviceConfiguration",
    "NetworkBlockDeviceStorageDeviceAttachment",
    "StorageDeviceAttachment",
    "USBMassStorageDeviceConfiguration",
    "VirtioBlockDeviceConfiguration",
]


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


class DiskSynchronizationMode(enum.IntEnum):
    """What a guest's flush does on a block device (`VZDiskSynchronizationMode`)."""

    FULL = lib.APPLEVZ_DISK_SYNCHRONIZATION_MODE_FULL
    NONE = lib.APPLEVZ_DISK_SYNCHRONIZATION_MODE_NONE


@dataclass
class DiskBlockDeviceStorageDeviceAttachment:
    """A block device of the host, such as a whole disk or a partition. Needs macOS 14.

    `file_handle` is a file that was opened on it, or the number of its descriptor, for reading and, for a disk that is
    not `read_only`, for writing; it is duplicated when a machine is made, and stays yours. On Linux a machine that has
    one cannot be saved.
    """

    file_handle: Any
    read_only: bool = False
    synchronization_mode: DiskSynchronizationMode = DiskSynchronizationMode.FULL


@dataclass
class NetworkBlockDeviceStorageDeviceAttachment:
    """A disk that a server gives out by the NBD protocol, in plain text. Needs macOS 14.

    `url` has one of the forms `nbd://host:port/export`, where the port may be left out, and
    `nbd+unix:///export?socket=/path` (the NBD project's `doc/uri.md`). The machine connects as it starts, which fails
    with `NetworkBlockDeviceNegotiationFailedError` where the server does not answer within `timeout` seconds or does
    not have that export. Whether the guest can write is the server's to say, unless it is `forced_read_only`.

    When the connection breaks, on Linux, the guest's requests wait for as long as `timeout`, and are made again if the
    server is back by then. Otherwise they fail, and so do later ones, which is told as an event of
    `EventKind.NETWORK_BLOCK_DEVICE_FAILED`; the machine connects again as soon as the server is back, which is one of
    `NETWORK_BLOCK_DEVICE_CONNECTED`, as is the connection at the start. A machine that has one cannot be saved there.
    """

    url: str
    timeout: float = 5.0
    forced_read_only: bool = False
    synchronization_mode: DiskSynchronizationMode = DiskSynchronizationMode.FULL


StorageDeviceAttachment = (
    DiskImageStorageDeviceAttachment
    | DiskBlockDeviceStorageDeviceAttachment
    | NetworkBlockDeviceStorageDeviceAttachment
)


@dataclass
class VirtioBlockDeviceConfiguration:
    """A disk that Linux knows as `/dev/vda`. The identifier, up to 20 ASCII characters, is its serial number there."""

    attachment: StorageDeviceAttachment
    block_device_identifier: str | None = None


@dataclass
class NVMExpressControllerDeviceConfiguration:
    """A disk behind an NVM Express controller of its own, which Linux knows as `/dev/nvme0n1`. Needs macOS 14.

    On Linux a machine that has one cannot be saved, and starts slower.
    """

    attachment: StorageDeviceAttachment


@dataclass
class USBMassStorageDeviceConfiguration:
    """A USB disk, which Linux knows as `/dev/sda`.

    Linux looks for several of them at the same time, and may name them in another order than the configuration's. Their
    ports of the machine's USB controller have that order: `/sys/block/sda` leads to the port.

    In `storage_devices` it is there as long as the machine. On a controller of `usb_controllers` it can be detached,
    and attached at any time: `USBController.attach`. There it has a `uuid`, text like
    `"00112233-4455-6677-8899-AABBCCDDEEFF"`, which is its serial number in the guest on Linux, and a new one each time
    a machine is made where none is given: name it for a machine that is to be restored.
    """

    attachment: StorageDeviceAttachment
    uuid: str | UUID | None = None
