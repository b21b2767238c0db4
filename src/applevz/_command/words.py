# SPDX-License-Identifier: Apache-2.0
"""Sizes, times and other people's words, as they are shown."""

from __future__ import annotations

import time

__all__ = ["day", "mebibytes", "one_line"]


def one_line(text: str) -> str:
    """What somebody else wrote, on one line of a terminal."""
    words = "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)
    return words if len(words) <= 200 else f"{words[:160]}…{words[-30:]}"


def mebibytes(length: int | None) -> str:
    return "-" if length is None else f"{length / (1 << 20):.0f} MiB"


def day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
