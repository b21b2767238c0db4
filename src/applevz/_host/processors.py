# SPDX-License-Identifier: Apache-2.0
"""The host's processor, as far as a guest that runs on it comes to know it."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Final

__all__ = ["processor_identity"]

_DESCRIPTION: Final = Path("/proc/cpuinfo")
# Not its speed, which changes all the time. The names are those of either architecture.
_LASTING: Final = {
    *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features"),
}


def processor_identity() -> str:
    """A text that differs if the model of the processor does, or what it can do."""
    try:
        first = _DESCRIPTION.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        first = ""
    lines = [line for line in first.splitlines() if line.partition(":")[0].strip() in _LASTING]
    return "\n".join([platform.machine(), *(lines or [platform.processor()])])
