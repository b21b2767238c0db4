# SPDX-License-Identifier: Apache-2.0
"""Files without a name, which are there as long as something refers to them: what is made for a machine alone."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from .._native import Reference, descriptors

__all__ = ["NamelessFile"]


class NamelessFile:
    """A file in the host's memory. As a path it leads there, in this process.

    A host without such files (a Mac) has one with a name, which goes with this object.
    """

    __slots__ = ("__weakref__", "_descriptor", "path")

    def __init__(self, what: str, fill: Callable[[BinaryIO], object], *, sealed: bool = False) -> None:
        """`what` is what the system lists it as. `fill` writes what is in it. With `sealed` it stays so: nobody who has
        the file can open it for writing, whatever it may do otherwise. Raises `OSError`."""
        self._descriptor: Reference | None = None
        if hasattr(os, "memfd_create"):
            flags = os.MFD_CLOEXEC | (os.MFD_ALLOW_SEALING if sealed else 0)
            (self._descriptor,) = descriptors(lambda: (os.memfd_create(f"applevz {what}", flags),))
            with self._descriptor as number:
                self.path = b"/proc/self/fd/%d" % number
                with open(number, "wb", closefd=False) as file:
                    fill(file)
                if sealed:
                    _seal(number)
            return
        number, name = tempfile.mkstemp(prefix=f".applevz-{what.replace(' ', '-')}-")
        weakref.finalize(self, _remove, name)
        self.path = os.fsencode(name)
        with open(number, "wb") as file:
            fill(file)

    def __fspath__(self) -> bytes:
        return self.path

    def __repr__(self) -> str:
        return f"<NamelessFile {os.fsdecode(self.path)}>"


def _seal(number: int) -> None:
    import fcntl

    fcntl.fcntl(
        number, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    )


def _remove(name: str) -> None:
    Path(name).unlink(missing_ok=True)
