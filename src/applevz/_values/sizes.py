# SPDX-License-Identifier: Apache-2.0
"""Sizes: a number of bytes, or text like `"512MiB"`."""

from __future__ import annotations

from typing import Final

from ..errors import InvalidArgumentError, make
from .arguments import integer, shown

__all__ = ["Size", "size"]

# A number of bytes, or text: a number and a unit.
Size = int | str

_UNITS: Final = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SUGGESTION: Final = (
    "Give a number of bytes, or a number with one of the units B, KiB, MiB, GiB, TiB (powers of 1024), kB, MB, GB, TB "
    '(powers of 1000), as "512MiB".'
)


def size(field: str, value: Size) -> int:
    """The number of bytes that `value` stands for.

    Raises `InvalidArgumentError` for text that is no size and for a number that 64 bits do not hold, and
    `InvalidArgumentTypeError` for a value that is neither text nor a whole number.
    """
    if not isinstance(value, str):
        return integer(field, value, _SUGGESTION)
    text = value.strip()
    number = text.rstrip("BKMGTikmgt").rstrip()
    unit = text[len(number) :].strip()
    factor = _UNITS.get(unit)
    if factor is None:
        reason = f"{unit!r} is not a unit." if unit else "It has no unit."
        raise make(InvalidArgumentError, f"{field} is {shown(value)}, which is not a size.", reason, _SUGGESTION)
    whole, point, fraction = number.partition(".")
    digits = whole + fraction
    # isdecimal alone would take the digits of every script; a limit of length keeps int() linear.
    if not (whole and (fraction or not point) and digits.isascii() and digits.isdecimal() and len(digits) <= 40):
        reason = f"{shown(number)} is not a number."
        raise make(InvalidArgumentError, f"{field} is {shown(value)}, which is not a size.", reason, _SUGGESTION)
    scaled, rest = divmod(int(digits) * factor, 10 ** len(fraction))
    if rest:
        reason = "It is not a whole number of bytes."
        raise make(InvalidArgumentError, f"{field} is {shown(value)}, which is not a size.", reason, _SUGGESTION)
    return integer(field, scaled, _SUGGESTION)
