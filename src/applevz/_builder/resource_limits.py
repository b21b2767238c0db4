# SPDX-License-Identifier: Apache-2.0
"""What a machine may take of the host, made native."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, SupportsFloat

from .._native import Reference, ffi, lib
from .._values.arguments import instance, integer, path, shown, wrong_type
from .._values.sizes import size
from ..configuration.resource_limits import ResourceLimits
from ..errors import InvalidArgumentError, check_in, make

__all__ = ["native_limits", "set_resource_limits"]


def set_resource_limits(configuration: Reference, limits: ResourceLimits) -> None:
    values, group = native_limits(limits)
    if group or any(values.values()):
        native = ffi.new("applevz_resource_limits *", values)
        error = lib.applevz_configuration_set_resource_limits(configuration, native, group, len(group))
        check_in("resource_limits", error)


def native_limits(limits: ResourceLimits) -> tuple[dict[str, float], bytes]:
    """As the native library has them: numbers, of which 0 is no limit, and the group's folder, or nothing."""
    instance("resource_limits", limits, (ResourceLimits,))
    values = {
        "processors": _limit("processors", limits.processors, _processors),
        "memory": _limit("memory", limits.memory, size),
        "overlay_size": _limit("overlay_size", limits.overlay_size, size),
        "disk_bytes_per_second": _limit("disk_bytes_per_second", limits.disk_bytes_per_second, size),
        "disk_operations_per_second": _limit("disk_operations_per_second", limits.disk_operations_per_second, integer),
    }
    group = b"" if limits.control_group is None else path("resource_limits.control_group", limits.control_group)
    return values, group


def _processors(field: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, SupportsFloat):
        raise wrong_type(field, value, "a number of processors (float), or None for no limit")
    number = float(value)
    if not 0 <= number < float("inf"):
        what = "negative" if number < 0 else "not a number" if number != number else "infinite"
        raise make(
            InvalidArgumentError, f"{field} is {shown(value)}, which is {what}.", "", "Give a number such as 1.5."
        )
    return number


def _limit(name: str, value: object, number: Callable[[str, Any], float]) -> float:
    """As the native library has it, for which 0 is no limit."""
    if value is None:
        return 0
    result = number(f"resource_limits.{name}", value)
    if result == 0:
        raise make(
            InvalidArgumentError,
            f"resource_limits.{name} is {value!r}, with which no machine gets anywhere.",
            "",
            "Give more, or None for no limit.",
        )
    return result
