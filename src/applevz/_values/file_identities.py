# SPDX-License-Identifier: Apache-2.0
"""What tells a file, with what is in it, from others, without reading it."""

from __future__ import annotations

import os
import time
from typing import Final

__all__ = ["STEP", "identity_of", "is_settled"]

STEP: Final = 2_000_000_000
"""Nanoseconds: a file system counts times in steps, of some milliseconds mostly and of two seconds at most."""


def identity_of(status: os.stat_result) -> tuple[int, ...]:
    """What changes with what is in the file. No program sets the last of it back."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def is_settled(status: os.stat_result) -> bool:
    """Whether the identity is good for later. A file that was written just now may be written again at the same time,
    as the file system counts it."""
    return time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > STEP
