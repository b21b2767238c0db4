# SPDX-License-Identifier: Apache-2.0
"""Disks."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from .._arguments import PathLike
from .._native import lib

__all__ = [
    "DiskImageCachingMode",
    "DiskImageStorageDeviceAttachment",
    "DiskImageSynchronizationMode",
    "NVMExpressControllerDeviceConfiguration",
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


@dataclass
class VirtioBlockDeviceConfiguration:
    """A disk that Linux knows as `/dev/vda`. The identifier, up to 20 ASCII characters, is its serial number there."""

    attachment: DiskImageStorageDeviceAttachment
    block_device_identifier: str | None = None


@dataclass
class NVMExpressControllerDeviceConfiguration:
    """A disk behind an NVM Express controller of its own, which Linux knows as `/dev/nvme0n1`. Needs macOS 14.

    On Linux a machine that has one cannot be saved, and starts slower.
    """

    attachment: DiskImageStorageDeviceAttachment


@dataclass
class USBMassStorageDeviceConfiguration:
    """A USB disk, which Linux knows as `/dev/sda`.

    Linux looks for several of them at the same time, and may name them in another order than the configuration's. Their
    ports of the machine's USB controller have that order: `/sys/block/sda` leads to the port.
    """

    attachment: DiskImageStorageDeviceAttachment
