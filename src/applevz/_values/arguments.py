# SPDX-License-Identifier: Apache-2.0
"""Arguments: each function takes a caller's value and returns it as the native library wants it.

A value that does not fit raises `InvalidArgumentError`, or `InvalidArgumentTypeError` if its type does not fit. The
error names the field and the value.
"""

from __future__ import annotations

import codecs
import operator
import os
from collections.abc import Sequence
from typing import Any, Final, Protocol

from ..errors import InvalidArgumentError, InvalidArgumentTypeError, make

__all__ = [
    "HasFileDescriptor",
    "PathLike",
    "boolean",
    "descriptor",
    "encoding",
    "instance",
    "integer",
    "items",
    "native_paths",
    "path",
    "paths",
    "seconds",
    "shown",
    "text",
    "wrong_type",
]

# The name of a file: text, bytes, or an object that has one.
PathLike = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class HasFileDescriptor(Protocol):
    """An object with a descriptor: a file, a socket, a pipe."""

    def fileno(self) -> int: ...


_MAXIMUM: Final = 2**64 - 1


def shown(value: object) -> str:
    """The value as an error shows it: its `repr`, shortened if it is long."""
    try:
        words = repr(value)
    except Exception:  # noqa: BLE001  # a foreign __repr__ may raise anything
        words = f"<{type(value).__name__}>"
    return words if len(words) <= 200 else f"{words[:160]}…{words[-30:]}"


def wrong_type(field: str, value: object, wanted: str) -> Exception:
    """The error for a value of the wrong type. `wanted` says in words what it has to be."""
    return make(
        InvalidArgumentTypeError,
        f"{field} is {shown(value)}, of type {type(value).__name__}.",
        f"It has to be {wanted}.",
    )


def text(field: str, value: str) -> bytes:
    """The text in UTF-8."""
    if not isinstance(value, str):
        raise wrong_type(field, value, "text (str)")
    try:
        data = value.encode()
    except UnicodeEncodeError as error:
        raise make(
            InvalidArgumentError,
            f"{field} is {shown(value)}, which is not text in UTF-8.",
            f"At position {error.start} is what UTF-8 does not have: {error.reason}.",
            "Use text that UTF-8 can encode.",
        ) from None
    _refuse_nul(field, value, data)
    return data


def encoding(name: str | None, errors: str | None = None) -> None:
    """Raises for an `encoding` and `errors` that Python does not have for text. None stands for a default."""
    for field, value in (("encoding", name), ("errors", errors)):
        if value is not None and not isinstance(value, str):
            raise wrong_type(field, value, "text (str)")
    if name is not None:
        try:
            # As `bytes.decode` has it, which refuses "hex".
            is_for_text = getattr(codecs.lookup(name), "_is_text_encoding", True)
        except (LookupError, ValueError):
            is_for_text = False
        if not is_for_text:
            raise make(
                InvalidArgumentError,
                f"encoding is {shown(name)}, which is none of text.",
                "",
                'Give one that Python has, as "utf-8" or "latin-1".',
            )
    if errors is not None:
        try:
            codecs.lookup_error(errors)
        except (LookupError, ValueError):
            raise make(
                InvalidArgumentError,
                f"errors is {shown(errors)}, which Python does not know.",
                "",
                'Give what `bytes.decode` takes, as "strict", "replace" or "surrogateescape".',
            ) from None


def path(field: str, value: PathLike) -> bytes:
    """The path's bytes, absolute from the working directory of this moment. Symbolic links stay as they are.

    Text is what `os.fsencode` makes of it, as for every other file of this process.
    """
    try:
        data = os.fsencode(value)
    except TypeError:
        raise wrong_type(field, value, "a path (str, bytes or os.PathLike)") from None
    except UnicodeEncodeError as error:
        raise make(
            InvalidArgumentError,
            f"{field} is {shown(value)}, which cannot be the name of a file.",
            f"At position {error.start} is what the encoding of file names, {error.encoding}, does not have.",
            "Use text that it has, or the bytes of the path.",
        ) from None
    _refuse_nul(field, value, data)
    if not data:
        raise make(InvalidArgumentError, f"{field} is {shown(value)}, which is empty.", "", "Give the path of a file.")
    if data.startswith(b"/"):
        return data
    try:
        directory = os.getcwdb()
    except OSError as error:
        raise make(
            InvalidArgumentError,
            f"{field} is {shown(value)}, a relative path.",
            f"The working directory cannot be told: {error.strerror}.",
            "Give an absolute path.",
        ) from error
    return os.path.join(directory, data)


def paths(field: str, value: Any) -> list[bytes]:
    """One path or a list of some, each as `path` has it."""
    if not isinstance(value, list | tuple):
        return [path(field, value)]
    if not value:
        raise make(
            InvalidArgumentError,
            f"{field} is {shown(value)}.",
            "It names no file.",
            "Name one or several, or leave it out.",
        )
    return [path(f"{field}[{index}]", item) for index, item in enumerate(value)]


def native_paths(names: Sequence[bytes]) -> bytes:
    """Several paths as the native library takes them: each with a NUL behind it."""
    return b"".join(name + b"\0" for name in names)


def _refuse_nul(field: str, value: object, data: bytes) -> None:
    if 0 in data:
        raise make(
            InvalidArgumentError,
            f"{field} is {shown(value)}, which has a NUL character in it.",
            f"It stands at position {data.index(0)}, and no machine could be given what follows.",
            "Leave the NUL out.",
        )


def integer(field: str, value: int, suggestion: str = "Give a whole number from 0 to 2**64 - 1.") -> int:
    """The whole number, which fits in 64 bits without a sign. Truth values are no numbers here."""
    if isinstance(value, bool):
        raise wrong_type(field, value, "a whole number (int)")
    try:
        number = operator.index(value)
    except TypeError:
        raise wrong_type(field, value, "a whole number (int)") from None
    if not 0 <= number <= _MAXIMUM:
        what = "negative" if number < 0 else "more than 64 bits hold"
        # A number of very many digits cannot be shown in decimal.
        words = str(number) if number.bit_length() < 1000 else f"a number of {number.bit_length()} bits"
        raise make(InvalidArgumentError, f"{field} is {words}, which is {what}.", "", suggestion)
    return number


def boolean(field: str, value: bool) -> bool:
    """The truth value. Other objects, true or not, are refused: `"no"` would be true."""
    if not isinstance(value, bool):
        raise wrong_type(field, value, "True or False")
    return value


def seconds(field: str, value: float | None) -> float | None:
    """The duration in seconds; None for no limit."""
    if value is None:
        return None
    if isinstance(value, (bool, str, bytes)):
        raise wrong_type(field, value, "a number of seconds (float), or None for no limit")
    try:
        duration = float(value)
    except (TypeError, ValueError):
        raise wrong_type(field, value, "a number of seconds (float), or None for no limit") from None
    except OverflowError:
        return None
    if not duration >= 0:
        what = "negative" if duration < 0 else "not a number"
        raise make(
            InvalidArgumentError,
            f"{field} is {shown(value)}, which is {what}.",
            "",
            "Give a number of seconds, 0 to look once, or None for no limit.",
        )
    return None if duration == float("inf") else duration


def items(field: str, value: Any, kinds: tuple[type, ...]) -> list[Any]:
    """The elements of a sequence of `kinds`."""
    names = " or ".join(kind.__name__ for kind in kinds)
    if isinstance(value, (str, bytes)):
        raise wrong_type(field, value, f"a list of {names}")
    try:
        elements = list(value)
    except TypeError:
        raise wrong_type(field, value, f"a list of {names}") from None
    for index, element in enumerate(elements):
        instance(f"{field}[{index}]", element, kinds)
    return elements


def instance(field: str, value: Any, kinds: tuple[type, ...]) -> Any:
    """The value, which is of one of `kinds`."""
    if not isinstance(value, kinds):
        raise wrong_type(field, value, " or ".join(kind.__name__ for kind in kinds))
    return value


def descriptor(field: str, value: Any) -> int:
    """The descriptor of an object that has one, or that is its number; -1 for None."""
    if value is None:
        return -1
    number = value
    if hasattr(value, "fileno"):
        try:
            number = value.fileno()
        except (OSError, ValueError) as error:
            raise make(
                InvalidArgumentError,
                f"{field} is {shown(value)}, which has no file descriptor.",
                f"{error}.",
                "Give an open file, socket or pipe, or the number of a descriptor.",
            ) from error
    suggestion = "Give the number of an open file descriptor."
    number = integer(field, number, suggestion)
    if number > 2**31 - 1:
        raise make(InvalidArgumentError, f"{field} is {number}, which is no file descriptor.", "", suggestion)
    return number
