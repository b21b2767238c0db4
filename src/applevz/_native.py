# SPDX-License-Identifier: Apache-2.0
"""The only module that imports the extensions. It has cffi's `ffi`, the functions of the header in `lib`, and the
functions that take texts and handles over.

Every rule of ownership stands at the top of `applevz.h`. Here each handle and each error is a `Reference`, from before
any other Python code runs until the last object that refers to it is gone:

    lib.applevz_machine_create(configuration)   returns (error, machine): the caller passes no place for the handle
    lib.applevz_machine_start(machine)          returns (error, operation)
    lib.applevz_capability_check(number)        returns the error alone, None for success
    lib.applevz_machine_state(machine)          returns anything else as cffi does

A function takes References as they are, and borrows them for the call. If another thread releases one meanwhile, it is
given back when the function returns. One that was released before is refused with `InvalidStateError`. The top of
`references.c` says why no finalizer can do that.
"""

from __future__ import annotations

# The extensions import it. What collects a program's modules by reading Python, as PyInstaller does, finds it here.
import _cffi_backend  # noqa: F401

from . import _references
from ._references import Reference, descriptors, errors

try:
    from ._applevz import ffi
    from ._applevz import lib as _library
except ImportError as error:
    # The dynamic linker's words for a library that is missing: "libgnustep-base.so.1.28: cannot open …".
    library, separator, version = str(error).partition(": cannot open shared object file")[0].partition(".so.")
    if not separator or not library.startswith("lib") or not version.replace(".", "").isdigit():
        raise
    package = f"{library}-{version}" if library[-1].isdigit() else library + version
    raise ImportError(
        f"applevz needs the library {library}.so.{version}, which is missing: on Debian and Ubuntu "
        f"`apt-get install {package}` installs it. Where there is no such package, this applevz was built for another "
        "release: build it here, from its source.",
        name=error.name,
        path=error.path,
    ) from None

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    # cffi knows its type; Python's type checkers do not.
    Pointer = Any
else:
    Any = Pointer = object

__all__ = [
    "NULL",
    "Pointer",
    "Reference",
    "adopt_error",
    "descriptors",
    "errors",
    "ffi",
    "lib",
    "set_up_references",
    "take_bytes",
    "take_text",
]

NULL: Final[Pointer] = ffi.NULL

_ERROR: Final = ffi.typeof(_library.applevz_error_create).result
_RELEASE_ERROR: Final = ffi.addressof(_library, "applevz_error_release")


def set_up_references(ended: Callable[[], Exception]) -> None:
    """Says how the exception is made for a reference that is used after its end. The module of errors does, once."""
    _references.set_up(ffi.new, ffi.typeof("void *"), ended)


class _Library:
    """The functions and the constants of the header. Each is wrapped when it is first asked for."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(_library, name)
        if callable(found):
            found = _function(found)
        self.__dict__[name] = found
        return found

    def __dir__(self) -> list[str]:
        return dir(_library)


def _function(function: Any) -> Any:
    kind = ffi.typeof(function)
    if kind.result is not _ERROR:
        return _references.function(function, None, None, None)
    last = kind.args[-1] if kind.args else None
    handle = last.item.item if last and last.kind == "pointer" and last.item.kind == "pointer" else None
    if handle is None or handle.kind != "struct":
        return _references.function(function, _RELEASE_ERROR, None, None)
    release = ffi.addressof(_library, f"{handle.cname.removeprefix('struct ')}_release")
    return _references.function(function, _RELEASE_ERROR, last, release)


lib: Final[Any] = _Library()


def adopt_error(pointer: Pointer) -> Reference | None:
    """Takes over an error that the native library gave away in a structure. None for a null pointer."""
    return _references.adopt(pointer, _RELEASE_ERROR)


def take_bytes(memory: Pointer, length: int) -> bytes:
    """The bytes of memory that the native library gave away. Frees the memory."""
    try:
        return bytes(ffi.buffer(memory, length))
    finally:
        _library.applevz_free(memory)


def take_text(memory: Pointer, length: int) -> str:
    """The text in memory that the native library gave away. Frees the memory."""
    return take_bytes(memory, length).decode("utf-8", "replace")
