# SPDX-License-Identifier: Apache-2.0
"""How far a call is, for those who type."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

from .task import Progress

__all__ = ["Line"]

_STAGES: Final = {"download": "downloaded", "verify": "looked at", "decompress": "unpacked", "convert": "converted"}
# Of these, steps are told.
_STEPS: Final = {"packages": "getting packages", "install": "installing them", "disk": "making the disk"}


class Line:
    """One line on a terminal that tells how far it is. Elsewhere nothing is told before the end."""

    def __init__(self) -> None:
        self._is_open = False
        self._next = 0.0

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_open:
            print(file=sys.stderr)

    @property
    def show(self) -> Callable[[Progress], object] | None:
        return self._show if sys.stderr.isatty() else None

    def _show(self, step: Progress) -> None:
        if time.monotonic() < self._next and step.done != step.total:
            return
        self._next = time.monotonic() + 0.1
        if step.stage in _STEPS:
            words = f"{_STEPS[step.stage]}: step {step.done} of {step.total}"
        else:
            words = f"{_STAGES[step.stage]}: {_mebibytes(step)}"
        print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)
        self._is_open = True


def _mebibytes(step: Progress) -> str:
    total = f" of {step.total / (1 << 20):.0f} MiB" if step.total is not None else ""
    return f"{step.done / (1 << 20):.0f} MiB{total}"
