# SPDX-License-Identifier: Apache-2.0
"""The removal of a saved state."""

from __future__ import annotations

import os

from .._values.arguments import PathLike
from .._values.arguments import path as path_argument
from ..errors import make_posix
from .saved_state import SavedState, description_of, state_at
from .tree import list_states, tree_of

__all__ = ["remove_state"]


def remove_state(path: PathLike) -> list[SavedState]:
    name = path_argument("path", path)
    # Nothing else is removed.
    state = description_of(state_at(name), name)
    # Before, so that what cannot be told is no half of a removal.
    others = list_states(os.path.dirname(name), None)
    try:
        os.unlink(name)
    except OSError as error:
        suggestion = "Name a file in a folder that this user may write."
        words = f"The saved state {os.fsdecode(name)!r} cannot be removed."
        raise make_posix(error, words, suggestion, name) from error
    left = [other for other in others if os.path.lexists(other.path)]
    if any(other.identifier == state.identifier for other in left):
        return []  # a copy of it is still there
    return tree_of([other for other in left if other.parent == state.identifier])
