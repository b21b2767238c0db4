# SPDX-License-Identifier: Apache-2.0
"""What the devices of a machine have in common."""

from __future__ import annotations

from typing import Any

from ._native import Reference

__all__ = ["MachineDevice"]


class MachineDevice:
    """One device of a machine, by its place among those of its kind. It keeps its machine."""

    __slots__ = ("_handle", "_index", "_machine")

    def __init__(self, machine: Any, handle: Reference, index: int) -> None:
        self._machine = machine
        self._handle = handle
        self._index = index
