# SPDX-License-Identifier: Apache-2.0
"""The marker `applevz_requires`: why a test is skipped."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from .. import Capabilities, Capability, capabilities
from .._values.arguments import shown
from ..errors import InvalidArgumentError, make

__all__ = ["missing_capability"]


def missing_capability(names: Sequence[object], more: Mapping[str, object]) -> str | None:
    """What the host lacks of those capabilities, in words; None if it lacks nothing.

    Raises `InvalidArgumentError` for a name that is none of a capability, and for a marker without one.
    """
    there = [name for name, value in vars(Capabilities).items() if isinstance(value, property)]
    if not names or more:
        raise make(
            InvalidArgumentError,
            f"applevz_requires was given {shown(more) if more else 'no name'}.",
            "It takes the names of capabilities, one or more.",
            'Name them, as in applevz_requires("save_restore").',
        )
    for name in names:
        if not isinstance(name, str) or name not in there:
            raise make(
                InvalidArgumentError,
                f"applevz_requires was given {shown(name)}.",
                "There is no such capability.",
                f"Name one or more of these: {', '.join(there)}.",
            )
    for name in names:
        capability = _look_up(str(name))
        if not capability:
            return f"this host has no {name}: {capability.reason}"
    return None


@functools.cache
def _look_up(name: str) -> Capability:
    """Once in a process: some are looked up by running a program."""
    found: Capability = getattr(capabilities, name)
    return found
