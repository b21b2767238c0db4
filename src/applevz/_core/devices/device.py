# SPDX-License-Identifier: Apache-2.0
"""The base of a machine's devices."""

from __future__ import annotations

from typing import Any

from ..._native import Reference
from ..._values.unique import Unique

__all__ = ["MachineDevice"]


class MachineDevice(Unique):
    """One device of a machine, by its place among those of its kind. It keeps its machine."""

    __slots__ = ("_handle", "_index", "_machine")

    def __init__(self, machine: Any, handle: Reference, index: int) -> None:
        self._machine = machine
        self._handle = handle
        self._index = index
