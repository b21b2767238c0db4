# SPDX-License-Identifier: Apache-2.0
"""Disks, and what holds their data."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from .._native import lib
from .._values.arguments import PathLike

__all__ = [
    "DiskBlockDeviceStorageDeviceAttachment",
    "DiskImageCachingMode",
    "DiskImageStorageDeviceAttachment",
    "DiskImageSynchronizationMode",
    "DiskSynchronizationMode",
    "NVMExpressControllerDeviceConfiguration",
    "NetworkBlockDeviceStorageDeviceAttachment",
    "USBMassStorageDeviceConfiguration",
    "VirtioBlockDeviceConfiguration",
]


class DiskImageCachingMode(enum.IntEnum):
    """Whether the host's cache stands between the guest and the image (`VZDiskImageCachingMode`)."""

    AUTOMATIC = lib.APPLEVZ_DISK_IMAGE_CACHING_MODE_AUTOMATIC
    UNCACHED = lib.APPLEVZ_DISK_IMAGE_CACHING_MODE_UNCACHED
    CACHED = lib.APPLEVZ_DISK_IMAGE_CACHING_MODE_CACHED


class DiskImageSynchronizationMode(enum.IntEnum):
    """How far a guest's flush reaches on the host (`VZDiskImageSynchronizationMode`).

    `FULL` reaches the medium, `FSYNC` as far as the host's fsync() goes. With `NONE` the image cannot be used again
    after a failure of the host.
    """

    FULL = lib.APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_FULL
    FSYNC = lib.APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_FSYNC
    NONE = lib.APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_NONE


@dataclass
class DiskImageStorageDeviceAttachment:
    """Data in an image file, which is raw. Its size is a multiple of 512 bytes.

    The default of `caching_mode` is `CACHED`. Apple's is `AUTOMATIC`, under which Linux guests are known to corrupt
    their disks on macOS.

    With `base` the image is one that `create_disk_image` made of that image: it holds what differs. The base is raw; or
    `base` is a list of up to 16 images, each of which holds what differs from the next one, and the last of which is
    raw. They are only read, and must stay as they were. Which of the two an image is, is never found out by looking
    into it, since a guest can write into its disk what it likes.

    With `ephemeral` the image is only read, and what the guest writes is gone with the machine. Any number of machines
    can run on one image so. What they write is in files without names in the folder `overlay_directory`, until they
    end, however they end. Without one the folder is /var/tmp, which is refused if it is in the host's memory. What is
    written to a disk with a `base` is there, too, if its machine is restored with `private=True`.

    A saved state holds what was written to a disk that is `ephemeral`, or has a `base`.

    `base` and `ephemeral` need `capabilities.disk_overlays`: they are not on a Mac.
    """

    path: PathLike
    read_only: bool = False
    caching_mode: DiskImageCachingMode = DiskImageCachingMode.CACHED
    synchronization_mode: DiskImageSynchronizationMode = DiskImageSynchronizationMode.FULL
    ephemeral: bool = False
    overlay_directory: PathLike | None = None
    base: PathLike | Sequence[PathLike] | None = None


class DiskSynchronizationMode(enum.IntEnum):
    """How far a guest's flush reaches (`VZDiskSynchronizationMode`).

    `FULL` passes each flush on to the disk. With `NONE` the disk cannot be used again after a failure of the host.
    """

    FULL = lib.APPLEVZ_DISK_SYNCHRONIZATION_MODE_FULL
    NONE = lib.APPLEVZ_DISK_SYNCHRONIZATION_MODE_NONE


@dataclass
class DiskBlockDeviceStorageDeviceAttachment:
    """Data on a block device of the host, such as a whole disk or a partition. Needs macOS 14.

    `file_handle` is a file that was opened on it, or the number of its descriptor: for reading, and for writing unless
    the disk is `read_only`. It is duplicated when a machine is made, and stays yours. On Linux a machine that has one
    cannot be saved.
    """

    file_handle: Any
    read_only: bool = False
    synchronization_mode: DiskSynchronizationMode = DiskSynchronizationMode.FULL


@dataclass
class NetworkBlockDeviceStorageDeviceAttachment:
    """Data on a server that gives it out by the NBD protocol, in plain text. Needs macOS 14.

    `url` has one of the forms `nbd://host:port/export`, in which the port may be left out, and
    `nbd+unix:///export?socket=/path` (the NBD project's `doc/uri.md`). The machine connects as it starts. That raises
    `NetworkBlockDeviceNegotiationFailedError` if the server does not answer within `timeout` seconds, or does not have
    that export. The server decides whether the guest can write, unless the disk is `forced_read_only`.

    If the connection breaks, on Linux, the guest's requests wait for as long as `timeout`, and are made again if the
    server is back by then. Otherwise they fail, and so do later ones, which is an event,
    `EventKind.NETWORK_BLOCK_DEVICE_FAILED`. The machine connects again as soon as the server is back, which is an event
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
    """A virtio disk. Linux knows it as `/dev/vda`.

    `block_device_identifier`, of up to 20 ASCII characters, is its serial number there.
    """

    attachment: StorageDeviceAttachment
    block_device_identifier: str | None = None


@dataclass
class NVMExpressControllerDeviceConfiguration:
    """A disk behind an NVM Express controller of its own. Linux knows it as `/dev/nvme0n1`. Needs macOS 14.

    On Linux a machine that has one cannot be saved, and starts slower.
    """

    attachment: StorageDeviceAttachment


@dataclass
class USBMassStorageDeviceConfiguration:
    """A USB disk. Linux knows it as `/dev/sda`.

    Linux looks for several of them at the same time, and may name them in another order than the configuration's. Their
    ports of the machine's USB controller have the configuration's order: `/sys/block/sda` leads to the port.

    A disk of `storage_devices` stays as long as the machine. A disk of a controller in `usb_controllers` can be
    detached, and attached at any time: `USBController.attach`. It has a `uuid`, text like
    `"00112233-4455-6677-8899-AABBCCDDEEFF"`, which on Linux is its serial number in the guest. Without one it gets a
    new one each time a machine is made: name it for a machine that is to be restored.
    """

    attachment: StorageDeviceAttachment
    uuid: str | UUID | None = None
