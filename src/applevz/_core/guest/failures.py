# SPDX-License-Identifier: Apache-2.0
"""Why a call into a guest fails that was not refused there."""

from __future__ import annotations

from ...errors import Error, GuestConnectionLostError, NotSupportedError, make
from ..panics import Panicked, panicked

__all__ = ["lost", "not_supported"]


def lost(words: str, what: str) -> Error:
    """The error for what was under way when its session was lost."""
    if isinstance(words, Panicked):
        return panicked(words, what)
    return make(
        GuestConnectionLostError,
        f"The connection to the guest's agent was lost {what}.",
        words,
        "How that ended in the guest is not known.",
    )


def not_supported(reason: str) -> Error:
    """The exception for what QEMU's agent cannot do."""
    return make(
        NotSupportedError,
        "QEMU's agent in the guest cannot do this.",
        reason,
        "Start this package's agent in the guest, the program `applevz/guest-agent`, which can.",
    )
