# SPDX-License-Identifier: Apache-2.0
"""Graphics devices and their displays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["VirtioGraphicsDeviceConfiguration", "VirtioGraphicsScanoutConfiguration"]


@dataclass
class VirtioGraphicsScanoutConfiguration:
    """A display of a graphics device. The guest is told that it prefers this size."""

    width_in_pixels: int = 1024
    height_in_pixels: int = 768


def _one_display() -> Sequence[VirtioGraphicsScanoutConfiguration]:
    return [VirtioGraphicsScanoutConfiguration()]


@dataclass
class VirtioGraphicsDeviceConfiguration:
    """A graphics device with one display, of 1024 by 768 pixels by default. A machine has at most one.

    No window shows the display: `VirtualMachine.screenshot` does.
    """

    scanouts: Sequence[VirtioGraphicsScanoutConfiguration] = field(default_factory=_one_display)
