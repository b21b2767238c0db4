# SPDX-License-Identifier: Apache-2.0
"""A thread that works for an object in the background, and neither keeps it alive nor outlives it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, Protocol

__all__ = ["Background", "Worker"]

# The seconds that the end of the thread is waited for.
_END: Final = 1.0


class Worker(Protocol):
    def _work(self) -> bool:
        """One piece of work. Returns whether there was one. Raises nothing."""


class Background:
    """The thread of one worker. It is made when it is needed first, and anew if a mistake of ours ended it."""

    def __init__(self, worker: Worker, name: str) -> None:
        # Whether there may be work; False is the end. A finalizer or a signal's handler may put something there in the
        # middle of another call of `put`: the queue is made for that.
        self._wishes = wishes = SimpleQueue[bool]()
        self._worker = weakref.ref(worker, lambda _: wishes.put(False))
        self._name = name
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """There may be work. Raises `RuntimeError` if the system has no thread for it."""
        if self._thread is None or not self._thread.is_alive():
            thread = threading.Thread(target=_serve, args=(self._worker, self._wishes), name=self._name, daemon=True)
            thread.start()
            self._thread = thread
        self._wishes.put(True)

    def end(self) -> None:
        """The thread ends once it has done what it is doing."""
        self._wishes.put(False)

    def join(self) -> None:
        """Waits for its end, for a second at most. On the thread itself it returns at once."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_END)


def _serve(worker: Callable[[], Worker | None], wishes: SimpleQueue[bool]) -> None:
    while wishes.get():
        while (one := worker()) is not None and one._work():
            # The thread keeps it alive for as long as one piece takes.
            del one
        one = None
