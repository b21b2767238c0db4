# SPDX-License-Identifier: Apache-2.0
"""Taking turns, first come, first served, up to a deadline."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

from .._deadline import Deadline
from ._loop import Future, settle, until

__all__ = ["Turn"]


class Turn:
    """A lock whose holder hands it over to whoever waited longest. It belongs to no loop while nobody waits."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting: deque[Future] = deque()

    async def take(self, deadline: Deadline) -> bool:
        """Whether it was one's turn before the deadline."""
        if not self._taken:
            self._taken = True
            return True
        future: Future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            return await until(future, deadline)
        except BaseException:
            # The turn may have been handed over in the moment in which the task was cancelled.
            if future.done() and not future.cancelled() and future.result():
                self.release()
            raise
        finally:
            with suppress(ValueError):
                self._waiting.remove(future)

    def release(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                settle(future)
                return
        self._taken = False
