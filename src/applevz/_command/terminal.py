# SPDX-License-Identifier: Apache-2.0
"""This process's terminal while a guest has it: raw, and put back whatever happens.

It is put back when the block ends, however it ends; when the process exits; and when the process is stopped (SIGTSTP)
for as long as that lasts. A signal that ends a process is to be caught by whoever has the terminal raw: then the block
ends. SIGKILL cannot be caught; shells put a terminal back after that.
"""

from __future__ import annotations

import atexit
import os
import signal
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Final

from ..errors import InvalidArgumentError, make
from .signals import SignalHandlers

__all__ = ["DETACH_KEY", "RawTerminal", "detach_key", "is_terminal", "size_of"]

DETACH_KEY: Final = "ctrl-]"
_SMALLEST: Final = (24, 80)


def is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def size_of(descriptor: int) -> tuple[int, int]:
    """Rows and columns of the terminal."""
    try:
        columns, rows = os.get_terminal_size(descriptor)
    except OSError:
        return _SMALLEST
    # A serial line knows neither.
    return (rows, columns) if rows and columns else _SMALLEST


def detach_key(words: str) -> bytes | None:
    """The byte of a key like "ctrl-]"; None for "none". Raises `InvalidArgumentError`."""
    text = words.lower()
    if text == "none":
        return None
    letter = text.removeprefix("ctrl-")
    if letter != text and len(letter) == 1 and ("a" <= letter <= "z" or letter in "@[\\]^_"):
        return bytes([ord(letter.upper()) & 0x1F])
    suggestion = "Give ctrl- and one of the letters or of @ [ \\ ] ^ _, as ctrl-]; or none."
    raise make(InvalidArgumentError, f"The detach key is {words!r}.", "", suggestion)


class RawTerminal:
    """As a context manager: the terminal of a descriptor, raw in the block. Only in the main thread."""

    def __init__(self, descriptor: int, resized: Callable[[], object]) -> None:
        """`resized` is called, in a signal's handler, when its size may be another one."""
        self._descriptor = descriptor
        self._resized = resized
        self._saved: list[Any] = []
        self._handlers = SignalHandlers()

    def __enter__(self) -> RawTerminal:
        self._saved = termios.tcgetattr(self._descriptor)
        atexit.register(self._put_back)
        try:
            self._handlers.set(
                {signal.SIGWINCH: self._size_changed, signal.SIGTSTP: self._stop, signal.SIGCONT: self._continue}
            )
            self._make_raw()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._put_back()
        self._handlers.put_back()
        atexit.unregister(self._put_back)

    def _make_raw(self) -> None:
        # What was typed ahead stays to be read. A terminal that was taken away has no modes.
        with suppress(termios.error):
            tty.setraw(self._descriptor, termios.TCSADRAIN)

    def _put_back(self) -> None:
        with suppress(termios.error):
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._saved)

    def _size_changed(self, number: int, frame: FrameType | None) -> None:
        self._resized()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Stops this process as it would have stopped without a handler."""
        self._put_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        # The signal comes to this thread, the process's first: it stops within this call.
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._stop)
        # A process that nobody could continue is not stopped; another one was continued, which has done this.
        self._make_raw()

    def _continue(self, number: int, frame: FrameType | None) -> None:
        """Another program had the terminal meanwhile: a shell, in its own modes and perhaps in another size."""
        self._make_raw()
        self._resized()
