# SPDX-License-Identifier: Apache-2.0
"""Deadlines: the end of a wait. It stays the same however often the wait is interrupted."""

from __future__ import annotations

import time

from .._values.arguments import seconds

__all__ = ["Deadline"]


class Deadline:
    """A moment so many seconds from now, or never."""

    __slots__ = ("_end", "duration")

    def __init__(self, timeout: float | None) -> None:
        """`timeout` is in seconds, None for never. Raises `InvalidArgumentError` for what is no duration."""
        self.duration = seconds("timeout", timeout)
        self._end = None if self.duration is None else time.monotonic() + self.duration

    def remaining(self, at_most: float) -> float:
        """The seconds that are left, from 0 to `at_most`."""
        if self._end is None:
            return at_most
        return min(max(self._end - time.monotonic(), 0.0), at_most)

    @property
    def passed(self) -> bool:
        """Whether the moment is over."""
        return self._end is not None and time.monotonic() >= self._end

    def __str__(self) -> str:
        return "no limit" if self.duration is None else f"{self.duration:g} s"
