# SPDX-License-Identifier: Apache-2.0
"""The native objects that a configuration is made of, while it is made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from .._native import Reference
from ..errors import handle_of

__all__ = ["Owned"]


class Owned(ExitStack):
    """Native objects that are released at the end of the `with` block, however it ends."""

    def make(self, create: Callable[..., Any], *values: Any, field: str = "") -> Reference:
        """The handle that a native function makes. A refusal names `field`, if that is given."""
        handle: Reference = handle_of(create, *values, field=field)
        self.callback(handle.release)
        return handle
