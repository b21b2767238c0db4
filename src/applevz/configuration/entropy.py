# SPDX-License-Identifier: Apache-2.0
"""Random numbers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["VirtioEntropyDeviceConfiguration"]


@dataclass
class VirtioEntropyDeviceConfiguration:
    """Random numbers from the host."""
