# SPDX-License-Identifier: Apache-2.0
"""Saved states as files: listed as a tree, looked into, checked and removed, without a machine.

    from applevz import states

    for state in states.list("states"):
        print("  " * state.depth, state.path, state.qemu_version)

`applevz.aio.states` has the same functions, which are awaited. On Linux: `capabilities.saved_state_inspection`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ._images.task import Progress
from ._states.checking import Check, check_configuration_of, check_state
from ._states.removal import remove_state
from ._states.saved_state import SavedDisk, SavedState, inspect_state
from ._states.tree import list_states, states_needing
from ._values.arguments import PathLike
from .configuration.machine import VirtualMachineConfiguration
from .errors import Error

__all__ = [
    "Progress", "SavedDisk", "SavedState", "check", "check_configuration", "inspect", "list", "needing", "remove",
]  # fmt: skip


def inspect(path: PathLike) -> SavedState:
    """What a saved state says of itself. Its memory and its disks are not read: `check` does that.

    It takes no QEMU, and no right to write the file. Raises `RestoreError` for a file that is no saved state, is
    damaged or of another version, which for an error of the system is also the builtin that fits, and
    `NotSupportedError` without `capabilities.saved_state_inspection`.
    """
    return inspect_state(path)


def list(folder: PathLike, *, refused: Callable[[str, Error], object] | None = None) -> Sequence[SavedState]:
    """The saved states in a folder, as a tree: each comes right before those that came of it, and has its `depth`.

    A state whose parent is not in the folder is a root. Other files, links, folders below, and files that are being
    written, are left out. `refused` is called with the path and the error of each saved state that cannot be read.
    Raises `POSIXError` for a folder that cannot be read, and `NotSupportedError`.
    """
    return list_states(folder, refused)


def needing(image: PathLike, folder: PathLike) -> Sequence[SavedState]:
    """The saved states in a folder that need a disk's image, as it is now: they cannot be restored once it is removed,
    or written to.

    Raises `POSIXError` for an image or a folder that cannot be looked at, and `NotSupportedError`.
    """
    return states_needing(image, folder)


def check(
    path: PathLike, *, progress: Callable[[Progress], object] | None = None, timeout: float | None = None
) -> SavedState:
    """Reads all of a saved state, and whether it is as it was saved: the memory, the disks, the devices' state.

    Takes as long as the disk takes for what the file holds. `progress` is called with each `Progress`, in this thread.
    Raises `RestoreError`, which says what is wrong, `TimeoutError`, and what `inspect` raises.
    """
    return check_state(Check(timeout, progress, path), path)


def check_configuration(path: PathLike, configuration: VirtualMachineConfiguration) -> SavedState:
    """Looks whether a machine of the configuration could be restored from a saved state now, with `private=True`, and
    returns what the state says of itself.

    No machine is made. The same is looked at as by a restore, and the state's devices are read; of its memory and its
    disks only how much there is: `check` reads them. Raises `RestoreError` with the words of the restore, which name
    the first thing that differs, and what `inspect` and `VirtualMachineConfiguration.validate` raise.
    """
    return check_configuration_of(path, configuration)


def remove(path: PathLike) -> Sequence[SavedState]:
    """Removes a saved state. Returns the states in its folder that came of it.

    They stay whole: a state holds all of its own, and needs no other one. They have no parent then. Machines that were
    restored from it go on. A file that is no saved state, or is damaged, stays: that is a `RestoreError`. Raises
    `POSIXError`, and what `inspect` raises.
    """
    return remove_state(path)
