# SPDX-License-Identifier: Apache-2.0
"""The files that a configuration names, and the same configuration on a host that has them elsewhere.

Carried are the kernel, the initial RAM disk, and the images of disks that are only read: those that are ephemeral, have
a base, or are read-only. Any other path means the same path on each host.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._values.arguments import PathLike
from .._values.arguments import paths as paths_argument
from ..configuration.boot_loaders import LinuxBootLoader
from ..configuration.machine import VirtualMachineConfiguration
from ..configuration.storage import DiskImageStorageDeviceAttachment
from ..errors import InvalidArgumentError, make
from ._contents import Content, content_of

__all__ = ["CarriedFile", "carried_files", "pathless", "with_files"]


@dataclass(frozen=True)
class CarriedFile:
    """A file of a configuration, and what is in it."""

    place: str
    """Where the configuration names it, as `"boot_loader.kernel"`."""
    content: Content


def carried_files(configuration: VirtualMachineConfiguration) -> list[tuple[CarriedFile, bytes]]:
    """The files that go with a configuration, with their paths here. All of them are read.

    Raises `InvalidArgumentError` for a disk that its machine writes to, and the errors of `content_of`.
    """
    read: dict[tuple[bytes, bool], Content] = {}
    found = []
    for place, path, dated in _files(configuration):
        name = os.fsencode(path)
        if (name, dated) not in read:
            read[name, dated] = content_of(name, dated=dated)
        found.append((CarriedFile(place, read[name, dated]), name))
    return found


def with_files(
    configuration: VirtualMachineConfiguration, paths: Mapping[str, PathLike]
) -> VirtualMachineConfiguration:
    """The configuration with other paths at the places of its files."""
    loader = configuration.boot_loader
    if isinstance(loader, LinuxBootLoader):
        ramdisk = loader.initial_ramdisk
        loader = replace(
            loader,
            kernel=paths["boot_loader.kernel"],
            initial_ramdisk=None if ramdisk is None else paths["boot_loader.initial_ramdisk"],
        )
    return replace(
        configuration,
        boot_loader=loader,
        storage_devices=_with_disks("storage_devices", configuration.storage_devices, paths),
        usb_controllers=[
            replace(controller, usb_devices=_with_disks(_usb(number), controller.usb_devices, paths))
            for number, controller in enumerate(configuration.usb_controllers)
        ],
    )


def _files(configuration: VirtualMachineConfiguration) -> Iterator[tuple[str, PathLike, bool]]:
    """The place and the path of each file, and whether a saved state knows it by its date."""
    loader = configuration.boot_loader
    if isinstance(loader, LinuxBootLoader):
        yield "boot_loader.kernel", loader.kernel, False
        if loader.initial_ramdisk is not None:
            yield "boot_loader.initial_ramdisk", loader.initial_ramdisk, False
    yield from _disk_files("storage_devices", configuration.storage_devices)
    for number, controller in enumerate(configuration.usb_controllers):
        yield from _disk_files(_usb(number), controller.usb_devices)


def _usb(number: int) -> str:
    return f"usb_controllers[{number}].usb_devices"


def _disk_files(field: str, devices: Any) -> Iterator[tuple[str, PathLike, bool]]:
    for place, image in _images(field, devices):
        if not (image.ephemeral or image.read_only or image.base is not None):
            raise make(
                InvalidArgumentError,
                f"{place} is an image that its machine writes to.",
                "Each host would have another one.",
                "Make it ephemeral or read_only, or give it a base.",
            )
        yield f"{place}.path", image.path, True
        if image.base is not None:
            for index, path in enumerate(paths_argument(f"{place}.base", image.base)):
                yield f"{place}.base[{index}]", path, True


def _images(field: str, devices: Any) -> Iterator[tuple[str, DiskImageStorageDeviceAttachment]]:
    for index, device in enumerate(devices):
        if isinstance(device.attachment, DiskImageStorageDeviceAttachment):
            yield f"{field}[{index}].attachment", device.attachment


def _with_disks(field: str, devices: Any, paths: Mapping[str, PathLike]) -> list[Any]:
    found = list(devices)
    for index, device in enumerate(found):
        image = device.attachment
        if not isinstance(image, DiskImageStorageDeviceAttachment):
            continue
        place = f"{field}[{index}].attachment"
        moved = replace(image, path=paths[f"{place}.path"])
        if image.base is not None:
            count = len(paths_argument(f"{place}.base", image.base))
            bases = [paths[f"{place}.base[{number}]"] for number in range(count)]
            moved = replace(moved, base=bases if isinstance(image.base, list | tuple) else bases[0])
        found[index] = replace(device, attachment=moved)
    return found


def pathless(configuration: VirtualMachineConfiguration) -> VirtualMachineConfiguration:
    """The configuration without this host's paths, to be sent: what is at a place comes there with its file."""
    places = {place: place for place, _, _ in _files(configuration)}
    return with_files(configuration, places)
