# SPDX-License-Identifier: Apache-2.0
"""Graphics cards and their displays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["VirtioGraphicsDeviceConfiguration", "VirtioGraphicsScanoutConfiguration"]


@dataclass
class VirtioGraphicsScanoutConfiguration:
    """A display of a graphics card. Its size is what the guest is told that it likes best."""

    width_in_pixels: int = 1024
    height_in_pixels: int = 768


def _one_display() -> Sequence[VirtioGraphicsScanoutConfiguration]:
    return [VirtioGraphicsScanoutConfiguration()]


@dataclass
class VirtioGraphicsDeviceConfiguration:
    """A graphics card with a display, of 1024 by 768 pixels where nothing else is said. A machine has at most one, with
    at most one display.

    No window shows it: `VirtualMachine.screenshot` does.
    """

    scanouts: Sequence[VirtioGraphicsScanoutConfiguration] = field(default_factory=_one_display)
