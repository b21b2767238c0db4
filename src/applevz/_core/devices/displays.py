# SPDX-License-Identifier: Apache-2.0
"""The displays of a machine, and their screenshots."""

from __future__ import annotations

import os

from ..._native import ffi, lib
from ...errors import check, make_posix
from .device import MachineDevice

__all__ = ["VirtioGraphicsScanout", "picture_of", "write_picture"]


class VirtioGraphicsScanout(MachineDevice):
    """A display of a machine (`VZVirtioGraphicsScanout`). It keeps its machine."""

    __slots__ = ()

    @property
    def size_in_pixels(self) -> tuple[int, int]:
        """Width and height, as the configuration has them (`VZGraphicsDisplay.sizeInPixels`).

        The guest learns of this size, and may show pictures of another one.
        """
        size = ffi.new("applevz_display_size *")
        check(lib.applevz_machine_display_size(self._handle, self._index, size))
        return int(size.width), int(size.height)

    def __repr__(self) -> str:
        width, height = self.size_in_pixels
        return f"<VirtioGraphicsScanout {width}x{height}>"


def picture_of(descriptor: int) -> bytes:
    """The contents of the file. Closes its descriptor."""
    with open(descriptor, "rb", buffering=0) as file:
        return file.readall()


def write_picture(path: bytes, picture: bytes) -> None:
    try:
        with open(path, "wb") as file:
            file.write(picture)
    except OSError as error:
        where = os.fsdecode(path)
        raise make_posix(
            error, f"The screenshot cannot be written to {where}.", "Name a file in a folder that is there.", path
        ) from error
