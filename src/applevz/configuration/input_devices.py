# SPDX-License-Identifier: Apache-2.0
"""Keyboards and pointing devices."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["USBKeyboardConfiguration", "USBScreenCoordinatePointingDeviceConfiguration"]


@dataclass
class USBKeyboardConfiguration:
    """A USB keyboard: `VirtualMachine.keyboard`. On Linux a machine has at most one."""


@dataclass
class USBScreenCoordinatePointingDeviceConfiguration:
    """A USB pointing device that points to a place on the screen, as a tablet does: `VirtualMachine.pointer`. On Linux
    a machine has at most one."""
