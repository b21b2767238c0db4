# SPDX-License-Identifier: Apache-2.0
"""The only module that imports the extension: its `ffi` and `lib`, and what carries texts and handles across.

Every rule of ownership stands at the top of `native/include/applevz.h`.
"""

from __future__ import annotations

from ._applevz import ffi, lib

__all__ = ["NULL", "Reference", "ffi", "lib", "release", "take_bytes", "take_text"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    # A handle or an error reference: a cdata pointer, whose type cffi knows and Python's type checkers do not.
    Reference = Any
else:
    Reference = object

NULL: Final[Reference] = ffi.NULL


def take_bytes(memory: Reference, length: int) -> bytes:
    """The bytes of memory that the native library gave away, which is freed here."""
    try:
        return bytes(ffi.buffer(memory, length))
    finally:
        lib.applevz_free(memory)


def take_text(memory: Reference, length: int) -> str:
    """The text of memory that the native library gave away, which is freed here."""
    return take_bytes(memory, length).decode("utf-8", "replace")


def release(reference: Reference) -> None:
    """Ends, now, a reference that `ffi.gc` guards; its finalizer does not run again."""
    ffi.release(reference)
