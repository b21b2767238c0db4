# SPDX-License-Identifier: Apache-2.0
"""The native objects that a configuration is made of, while it is being made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from .._native import Reference, ffi, lib, release
from ..errors import check

__all__ = ["Owned"]


class Owned(ExitStack):
    """The native objects that are made on the way; each is released on every path out."""

    def make(self, kind: str, create: Callable[..., Reference], *values: Any) -> Reference:
        out = ffi.new(f"applevz_{kind} **")
        check(create(*values, out))
        handle = ffi.gc(out[0], getattr(lib, f"applevz_{kind}_release"))
        self.callback(release, handle)
        return handle
