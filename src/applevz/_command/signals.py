# SPDX-License-Identifier: Apache-2.0
"""Handlers of signals, for as long as a command needs them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

__all__ = ["SignalHandlers"]


class SignalHandlers:
    """Handlers that take the place of others, until those are put back. Only in the main thread."""

    def __init__(self) -> None:
        self._former: dict[int, Any] = {}

    def set(self, handlers: Mapping[int, Callable[[int, FrameType | None], object]]) -> None:
        """Sets all of them. What raises meanwhile, as a handler's Ctrl-C, leaves those that were there before."""
        try:
            for number, handler in handlers.items():
                self._former[number] = signal.signal(number, handler)
        except BaseException:
            self.put_back()
            raise

    def put_back(self) -> None:
        for number, handler in self._former.items():
            # One that Python did not set cannot be set by it again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._former.clear()
