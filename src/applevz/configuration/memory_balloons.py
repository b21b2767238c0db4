# SPDX-License-Identifier: Apache-2.0
"""Memory balloons: memory that the host can take back."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["VirtioTraditionalMemoryBalloonDeviceConfiguration"]


@dataclass
class VirtioTraditionalMemoryBalloonDeviceConfiguration:
    """Lets the host take back memory from the guest."""
