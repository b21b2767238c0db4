# SPDX-License-Identifier: Apache-2.0
"""USB controllers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .storage import USBMassStorageDeviceConfiguration

__all__ = ["XHCIControllerConfiguration"]


@dataclass
class XHCIControllerConfiguration:
    """A USB controller with 15 ports. Devices can be attached to it while the machine runs. Needs macOS 15.

    `usb_devices` are attached when the machine starts. On Linux a machine that has one starts slower.
    """

    usb_devices: Sequence[USBMassStorageDeviceConfiguration] = ()
