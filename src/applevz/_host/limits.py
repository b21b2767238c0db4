# SPDX-License-Identifier: Apache-2.0
"""Limits: how many processors and how much memory a machine may have."""

from __future__ import annotations

from dataclasses import dataclass

from .._native import ffi, lib
from ..errors import check

__all__ = ["Limits", "limits"]


@dataclass(frozen=True)
class Limits:
    """How many processors and how much memory this host allows a machine. Sizes are in bytes."""

    minimum_cpu_count: int
    maximum_cpu_count: int
    minimum_memory_size: int
    maximum_memory_size: int


def limits() -> Limits:
    """How many processors and how much memory this host allows a machine (the class properties
    `minimumAllowedCPUCount`, … of `VZVirtualMachineConfiguration`)."""
    found = ffi.new("applevz_limits *")
    check(lib.applevz_limits_get(found))
    return Limits(
        found.minimum_cpu_count, found.maximum_cpu_count, found.minimum_memory_size, found.maximum_memory_size
    )
