# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from .._native import Reference, ffi, lib
from .._values import arguments
from ..configuration.graphics import VirtioGraphicsDeviceConfiguration, VirtioGraphicsScanoutConfiguration
from ..errors import InvalidArgumentError, check_in, make

__all__ = ["add_graphics_devices"]


def add_graphics_devices(handle: Reference, devices: object) -> None:
    kinds = (VirtioGraphicsDeviceConfiguration,)
    for index, device in enumerate(arguments.items("graphics_devices", devices, kinds)):
        field = f"graphics_devices[{index}].scanouts"
        scanouts = arguments.items(field, device.scanouts, (VirtioGraphicsScanoutConfiguration,))
        sizes = ffi.new("applevz_display_size[]", len(scanouts))
        for number, scanout in enumerate(scanouts):
            sizes[number].width = _length(f"{field}[{number}].width_in_pixels", scanout.width_in_pixels)
            sizes[number].height = _length(f"{field}[{number}].height_in_pixels", scanout.height_in_pixels)
        check_in(field, lib.applevz_configuration_add_virtio_graphics_device(handle, sizes, len(scanouts)))


def _length(field: str, value: object) -> int:
    suggestion = "Give a number of pixels, such as 1024."
    number = arguments.integer(field, value, suggestion)  # type: ignore[arg-type]  # which it looks at
    if number >= 2**31:
        raise make(InvalidArgumentError, f"{field} is {number}, which no display has.", "", suggestion)
    return number
