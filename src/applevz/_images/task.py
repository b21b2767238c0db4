# SPDX-License-Identifier: Apache-2.0
"""A call that takes long: its deadline, who is told how far it is, and how another thread ends it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from .._core.deadline import Deadline
from .._values.arguments import wrong_type
from ..errors import OperationCancelledError, TimeoutError, make

__all__ = ["Progress", "Task"]

_LONG: Final = 1e6


@dataclass(frozen=True)
class Progress:
    """How far a call is.

    `stage` is `"download"`, `"verify"`, `"decompress"` or `"convert"`. `done` and `total` are bytes; `total` is None if
    nobody knows it. While a Debian is made, the stage is `"packages"`, `"install"` or `"disk"`, and they are steps.
    `"wait"` comes once, if a launch waits for another one that makes the same state, and `"boot"` once, if it started a
    guest and waits for its agent.
    """

    stage: str
    done: int
    total: int | None


class Task:
    """One call. `stop` ends it from another thread: it wakes up what the call waits for."""

    def __init__(
        self,
        timeout: float | None,
        progress: Callable[[Progress], object] | None = None,
        what: str = "the image",
        overdue: str = "is not there",
        suggestion: str = "Call again with more time: what was downloaded is kept.",
    ) -> None:
        if progress is not None and not callable(progress):
            raise wrong_type("progress", progress, "a function of one argument")
        self._deadline = Deadline(timeout)
        self._progress = progress
        self._what = what
        self._overdue = overdue
        self._suggestion = suggestion
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._wakers: list[Callable[[], object]] = []

    def stop(self) -> None:
        """Ends the call soon, with `OperationCancelledError`."""
        with self._lock:
            self._stopped.set()
            wakers = list(self._wakers)
        for waker in wakers:
            waker()

    @contextlib.contextmanager
    def woken_by(self, waker: Callable[[], object]) -> Iterator[None]:
        """While this lasts, `stop` calls `waker` from its own thread."""
        with self._lock:
            self._wakers.append(waker)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._wakers.remove(waker)

    def check(self) -> None:
        """Raises `OperationCancelledError` if the call was stopped, and `TimeoutError` if its time is over."""
        if self._stopped.is_set():
            raise make(OperationCancelledError, f"The call for {self._what} was cancelled.")
        if self._deadline.passed:
            raise make(
                TimeoutError,
                f"{self._what} {self._overdue} after {self._deadline}.",
                "The time that was allowed is over.",
                self._suggestion,
            )

    def pause(self, seconds: float) -> None:
        """Waits so long, or until the call is stopped or its time is over."""
        self._stopped.wait(self.remaining(seconds))
        self.check()

    def remaining(self, at_most: float = _LONG) -> float:
        """The seconds that are left, up to `at_most`."""
        return self._deadline.remaining(at_most)

    def tell(self, stage: str, done: int, total: int | None) -> None:
        """Checks whether to go on, and tells how far the call is."""
        self.check()
        if self._progress is not None:
            self._progress(Progress(stage, done, total))
