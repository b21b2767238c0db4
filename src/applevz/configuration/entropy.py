# SPDX-License-Identifier: Apache-2.0
"""Entropy devices: random numbers for the guest."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["VirtioEntropyDeviceConfiguration"]


@dataclass
class VirtioEntropyDeviceConfiguration:
    """Gives the guest random numbers from the host."""
