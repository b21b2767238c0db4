# SPDX-License-Identifier: Apache-2.0
"""Whether a saved state is whole: all of it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .._builder import native_configuration
from .._core.console import BaseConsole
from .._images.task import Progress, Task
from .._native import ffi, lib
from .._values.arguments import PathLike, instance, shown
from .._values.arguments import path as path_argument
from ..configuration.machine import VirtualMachineConfiguration
from ..errors import check
from .saved_state import SavedState, description_of, state_at

__all__ = ["Check", "check_configuration_of", "check_state"]

# What is read between two looks at the time.
_PART: Final = 32 << 20


class Check(Task):
    """One check of a file."""

    def __init__(self, timeout: float | None, progress: Callable[[Progress], object] | None, path: PathLike) -> None:
        super().__init__(timeout, progress, f"the check of {shown(path)}", "has not ended", "Give it more time.")


def check_configuration_of(path: PathLike, configuration: VirtualMachineConfiguration) -> SavedState:
    instance("configuration", configuration, (VirtualMachineConfiguration,))
    name = path_argument("path", path)
    state = state_at(name)
    with native_configuration(configuration, BaseConsole) as native:
        check(lib.applevz_saved_state_check_configuration(state, native.configuration))
    return description_of(state, name)


def check_state(task: Check, path: PathLike) -> SavedState:
    name = path_argument("path", path)
    state = state_at(name)
    found = description_of(state, name)
    done = ffi.new("uint64_t *")
    while done[0] < found.size:
        task.tell("verify", done[0], found.size)
        check(lib.applevz_saved_state_check_next(state, _PART, done))
    task.tell("verify", found.size, found.size)
    return found
