# SPDX-License-Identifier: Apache-2.0
"""The saved states of a folder: which came of which, and which need an image."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from .._values.arguments import PathLike, wrong_type
from .._values.arguments import path as path_argument
from ..errors import Error, make_posix
from .saved_state import SavedState, description_of, open_state

__all__ = ["list_states", "states_needing", "tree_of"]

# How the names of files begin that are being written.
_TEMPORARY = b".applevz-"


def list_states(folder: PathLike, refused: Callable[[str, Error], object] | None) -> list[SavedState]:
    if refused is not None and not callable(refused):
        raise wrong_type("refused", refused, "a function of a path and an error")
    return tree_of(list(_states_in(path_argument("folder", folder), refused)))


def states_needing(image: PathLike, folder: PathLike) -> list[SavedState]:
    name = path_argument("image", image)
    try:
        os.stat(name)
    except OSError as error:
        suggestion = "Name the file of an image."
        raise make_posix(error, f"The image {os.fsdecode(name)!r} cannot be looked at.", suggestion, name) from error
    return [state for state in list_states(folder, None) if any(disk.fits(name) for disk in state.disks)]


def _states_in(folder: bytes, refused: Callable[[str, Error], object] | None) -> Iterator[SavedState]:
    try:
        with os.scandir(folder) as entries:
            # A link is another folder's file.
            files = sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    except OSError as error:
        suggestion = "Name a folder that this user may read."
        words = f"The saved states in {os.fsdecode(folder)!r} cannot be listed."
        raise make_posix(error, words, suggestion, folder) from error
    for file in files:
        if file.startswith(_TEMPORARY):
            continue
        name = os.path.join(folder, file)
        try:
            state = open_state(name)
            if state is not None:
                yield description_of(state, name)
        except Error as error:
            # It is no longer there, or is damaged, or of another version, or another user's.
            if refused is not None and not isinstance(error, FileNotFoundError):
                refused(os.fsdecode(name), error)


def tree_of(states: Sequence[SavedState]) -> list[SavedState]:
    """The states in the order of the tree: each comes right before those that came of it, the older ones first.

    A state whose parent is not there is a root. So is the oldest of those that are said to come of each other.
    """
    ordered = sorted(states, key=lambda state: (state.made, state.path))
    first: dict[str, int] = {}
    for number, state in enumerate(ordered):
        first.setdefault(state.identifier, number)
    children: dict[int, list[int]] = {}
    roots = []
    for number, state in enumerate(ordered):
        above = None if state.parent is None else first.get(state.parent)
        if above is None or above == number:
            roots.append(number)
        else:
            children.setdefault(above, []).append(number)
    found: dict[int, SavedState] = {}
    # What no root leads to came of itself, by others.
    for root in [*roots, *range(len(ordered))]:
        waiting = [(root, 0)]
        while waiting:
            number, depth = waiting.pop()
            if number not in found:
                found[number] = replace(ordered[number], depth=depth)
                waiting += [(child, depth + 1) for child in reversed(children.get(number, ()))]
    return list(found.values())
