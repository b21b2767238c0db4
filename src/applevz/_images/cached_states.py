# SPDX-License-Identifier: Apache-2.0
"""Saved states in the cache, from which guests are launched.

    states/KEY.state    the state of a guest that was ready; its key is a digest of all that decided what it is
    states/KEY.used     empty: it was written last when the state was used last

A state is made in `work`, and gets its name in one step. It may be removed at any time: a machine that runs from it has
the file open, and a launch that does not find it boots its guest.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .._states.saved_state import SavedState, inspect_state
from .._states.tree import list_states
from .._values.arguments import PathLike
from ..errors import Error
from .store import Store
from .task import Task

__all__ = ["CachedState", "list_cached_states", "prune_cached_states", "remove_states_needing"]

_STATE: Final = ".state"
_USED: Final = ".used"
# Each takes the room of what its guest uses of its memory.
_MOST_STATES: Final = 16


class CachedState:
    """The place of one state."""

    def __init__(self, cache: PathLike | None, key: str) -> None:
        self._store = Store(cache)
        self._name = f"state {key}"
        self.path = _folder(self._store) / f"{key}{_STATE}"
        self._refused: tuple[int, ...] | None = None

    def found(self) -> SavedState | None:
        """The state that is there; None if there is none, or one that is damaged or was refused."""
        identity = self._identity()
        if identity is None or identity == self._refused:
            return None
        try:
            return inspect_state(self.path)
        except Error:
            return None

    def refuse(self) -> None:
        """The state that is there does not fit. One that takes its place may."""
        self._refused = self._identity()

    def _identity(self) -> tuple[int, ...] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def use(self) -> None:
        """Those that were not used for longest make room for others."""
        with contextlib.suppress(OSError):
            self.path.with_suffix(_USED).touch(mode=0o600)

    @contextlib.contextmanager
    def lock(self, task: Task) -> Iterator[None]:
        """Nobody else makes this state."""
        with self._store.lock(task, self._name, "wait"):
            yield

    @contextlib.contextmanager
    def work(self) -> Iterator[Path]:
        """Where the state is saved, under the lock. It is gone when this ends, unless it was published."""
        with self._store.work(self._name) as folder:
            yield folder / f"new{_STATE}"

    def publish(self, made: Path, task: Task) -> None:
        """Gives a state its name, in the place of one that is there. Others that are of no more use make room."""
        with self._store.errors(made):
            made.replace(self.path)
        self.use()
        self._store.remove_work(task)
        with self._store.errors(self.path.parent):
            _remove_useless(self._store)
            files = [path for path in self.path.parent.glob(f"*{_STATE}") if not path.is_dir()]
            states = sorted(files, key=_last_use, reverse=True)
            for path in states[_MOST_STATES:]:
                _remove(path)


def _folder(store: Store) -> Path:
    return store.folder / "states"


def _last_use(path: Path) -> float:
    for name in (path.with_suffix(_USED), path):
        with contextlib.suppress(OSError):
            return name.stat().st_mtime
    return 0.0


def _remove(path: Path) -> None:
    for name in (path, path.with_suffix(_USED)):
        name.unlink(missing_ok=True)


def _remove_useless(store: Store) -> None:
    """Removes the states that cannot be restored any more, and all that is none."""
    # First: one that is made meanwhile stays.
    files = sorted(_folder(store).iterdir())
    whole = {
        Path(state.path).name
        for state in list_states(_folder(store), None)
        if all(disk.path is None or disk.fits() for disk in state.disks)
    }
    for path in files:
        if path.suffix not in (_STATE, _USED) or path.with_suffix(_STATE).name not in whole:
            with contextlib.suppress(OSError):
                path.unlink()


def list_cached_states(cache: PathLike | None) -> list[SavedState]:
    store = Store(cache)
    return sorted(list_states(_folder(store), None), key=lambda state: -_last_use(Path(state.path)))


def remove_states_needing(store: Store, image: str) -> None:
    """Removes the states of guests that have that disk. It is there still."""
    needed = os.path.realpath(image)
    for state in list_states(_folder(store), None):
        if any(disk.path is not None and os.path.realpath(disk.path) == needed for disk in state.disks):
            with store.errors(Path(state.path)):
                _remove(Path(state.path))


def prune_cached_states(store: Store) -> None:
    """Removes the states whose image is gone or was changed, and all that is none."""
    with store.errors(_folder(store)):
        _remove_useless(store)
