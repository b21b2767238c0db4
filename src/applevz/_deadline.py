# SPDX-License-Identifier: Apache-2.0
"""The end of a wait, which stays where it is however often the wait is interrupted."""

from __future__ import annotations

import time

from ._arguments import seconds

__all__ = ["Deadline"]


class Deadline:
    """A moment so many seconds from now, or never."""

    __slots__ = ("_end", "duration")

    def __init__(self, timeout: float | None) -> None:
        """`timeout` in seconds, None for never; refused by name where it is no duration."""
        self.duration = seconds("timeout", timeout)
        self._end = None if self.duration is None else time.monotonic() + self.duration

    def remaining(self, at_most: float) -> float:
        """The seconds that are left, from 0 to `at_most`."""
        if self._end is None:
            return at_most
        return min(max(self._end - time.monotonic(), 0.0), at_most)

    @property
    def passed(self) -> bool:
        return self._end is not None and time.monotonic() >= self._end

    def __str__(self) -> str:
        return "no limit" if self.duration is None else f"{self.duration:g} s"
