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

    def __init__(self, what: str, fill: Callable[[BinaryIO], object]) -> None:
        """`what` is what the system lists it as. `fill` writes what is in it. Raises `OSError`."""
        self._descriptor: Reference | None = None
        if hasattr(os, "memfd_create"):
            (self._descriptor,) = descriptors(lambda: (os.memfd_create(f"applevz {what}"),))
            with self._descriptor as number:
                self.path = b"/proc/self/fd/%d" % number
                with open(number, "wb", closefd=False) as file:
                    fill(file)
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


def _remove(name: str) -> None:
    Path(name).unlink(missing_ok=True)
