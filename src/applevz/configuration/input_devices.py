# SPDX-License-Identifier: Apache-2.0
"""Keyboards and pointing devices."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["USBKeyboardConfiguration", "USBScreenCoordinatePointingDeviceConfiguration"]


@dataclass
class USBKeyboardConfiguration:
    """A keyboard on the USB: `VirtualMachine.keyboard`. On Linux a machine has at most one."""


@dataclass
class USBScreenCoordinatePointingDeviceConfiguration:
    """A pointing device on the USB that tells the guest where on the screen it points: `VirtualMachine.pointer`. On
    Linux a machine has at most one."""
