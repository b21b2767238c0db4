# SPDX-License-Identifier: Apache-2.0
"""How far a call is, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from .._images.task import Progress

__all__ = ["progress_bars"]

_STAGES: Final = {
    "download": "downloaded",
    "verify": "looked at",
    "decompress": "unpacked",
    "convert": "converted",
    "wait": "waiting for another launch",
    "boot": "waiting for the guest",
}
# Of these, steps are told.
_STEPS: Final = {"packages": "getting packages", "install": "installing them", "disk": "making the disk"}
# Nobody knows how long these take.
_WITHOUT_LENGTH: Final = frozenset({"wait", "boot"})


@contextmanager
def progress_bars() -> Iterator[Callable[[Progress], object] | None]:
    """What is to be called with each step: it shows a bar for each stage, on standard error. None where that is no
    terminal: nothing is told there before the end."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}:"), BarColumn(), TextColumn("{task.fields[words]}"), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def show(step: Progress) -> None:
            if step.stage not in tasks:
                # The time beside a stage is that until the next one.
                for task in tasks.values():
                    bars.stop_task(task)
                title = _STEPS.get(step.stage) or _STAGES.get(step.stage, step.stage)
                tasks[step.stage] = bars.add_task(title, total=step.total, words="")
            bars.update(tasks[step.stage], completed=step.done, total=step.total, words=_words(step))

        yield show


def _words(step: Progress) -> str:
    if step.stage in _STEPS:
        return f"step {step.done} of {step.total}"
    if step.stage in _WITHOUT_LENGTH:
        return ""
    total = f" of {step.total / (1 << 20):.0f} MiB" if step.total is not None else ""
    return f"{step.done / (1 << 20):.0f} MiB{total}"
