# SPDX-License-Identifier: Apache-2.0
"""`applevz.states` for asyncio: the same functions, awaited. Each has a thread, since files are read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from .._images.task import Progress
from .._states.checking import Check, check_configuration_of, check_state
from .._states.removal import remove_state
from .._states.saved_state import SavedDisk, SavedState, inspect_state
from .._states.tree import list_states, states_needing
from .._values.arguments import PathLike
from ..configuration.machine import VirtualMachineConfiguration
from ..errors import Error
from ._threads import called_in_loop, run_in_thread

__all__ = [
    "Progress", "SavedDisk", "SavedState", "check", "check_configuration", "inspect", "list", "needing", "remove",
]  # fmt: skip


async def inspect(path: PathLike) -> SavedState:
    """As `applevz.states.inspect`."""
    return await run_in_thread(None, functools.partial(inspect_state, path))


async def list(folder: PathLike, *, refused: Callable[[str, Error], object] | None = None) -> Sequence[SavedState]:
    """As `applevz.states.list`. `refused` is called in the loop."""
    tell = None if refused is None else called_in_loop(refused)
    return await run_in_thread(None, functools.partial(list_states, folder, tell))


async def needing(image: PathLike, folder: PathLike) -> Sequence[SavedState]:
    """As `applevz.states.needing`."""
    return await run_in_thread(None, functools.partial(states_needing, image, folder))


async def check(
    path: PathLike, *, progress: Callable[[Progress], object] | None = None, timeout: float | None = None
) -> SavedState:
    """As `applevz.states.check`. `progress` is called in the loop. Cancelling ends the check."""
    task = Check(timeout, None if progress is None else called_in_loop(progress), path)
    return await run_in_thread(task, functools.partial(check_state, task, path))


async def check_configuration(path: PathLike, configuration: VirtualMachineConfiguration) -> SavedState:
    """As `applevz.states.check_configuration`."""
    return await run_in_thread(None, functools.partial(check_configuration_of, path, configuration))


async def remove(path: PathLike) -> Sequence[SavedState]:
    """As `applevz.states.remove`."""
    return await run_in_thread(None, functools.partial(remove_state, path))
