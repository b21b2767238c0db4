# SPDX-License-Identifier: Apache-2.0
"""Guests whose kernel panicked: what their consoles say of it, and what fails because of it.

The framework tells of a panic where the guest has a driver for it. Otherwise the kernel's own words tell, on a console
that its machine knows for one of the kernel's. They are seen by whoever receives what came there: a reader, or whoever
waits for something of the machine meanwhile, who leaves the bytes to be read. Any program of the guest can print them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .._native import Reference, ffi, lib
from ..errors import Error, GuestPanickedError, check, make

if TYPE_CHECKING:
    from .console import BaseConsole

__all__ = ["WORDS", "PanicWatch", "Panicked", "last_words", "panicked", "panics_in"]

# kernel/panic.c: the first line of a panic, and the last one of a kernel that does nothing more.
WORDS: Final = b"Kernel panic - not syncing"
_END: Final = b"end " + WORDS
_BEGINNING: Final = re.compile(b"(?<!end )" + WORDS)

# So many bytes are told of a console, from before the words to behind them.
_BEFORE: Final = 2000
_BEHIND: Final = 6000
# So many seconds pass between two looks at consoles that nobody reads.
_LOOK_AGAIN: Final = 0.05


def panics_in(received: bytearray, size: int) -> tuple[bool, bool]:
    """Whether a panic begins in the last `size` bytes, with what came before them, and whether one ends there."""
    begin = max(len(received) - size - len(WORDS) + 1, 0)
    if received.find(WORDS, begin) < 0:
        return False, False
    return bool(_BEGINNING.search(received, begin)), received.find(_END, max(begin - len(_END) + len(WORDS), 0)) >= 0


def last_words(consoles: Sequence[BaseConsole]) -> str:
    """The last that the consoles printed: the panic, with what came before it, where one of them shows it."""
    tails = []
    for console in consoles:
        console.catch_up()
        tails.append(console.tail)
    for tail in tails:
        begin = max((match.start() for match in _BEGINNING.finditer(tail)), default=-1)
        if begin >= 0:
            return _text(tail[max(begin - _BEFORE, 0) : begin + _BEHIND])
    return "\n".join(_text(tail[-_BEFORE:]) for tail in tails if tail)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").replace("\r\n", "\n")


class Panicked(str):
    """What the consoles showed: the reason why something in the guest was lost."""

    __slots__ = ()


def panicked(console: str, what: str) -> Error:
    """The error for what was asked of a guest that panicked, or was under way in it."""
    return make(
        GuestPanickedError,
        f"The guest's kernel panicked {what}.",
        f"The last that its console printed: {console!r}" if console else "Its console has printed nothing.",
        "Start the machine again, if the guest does not start anew by itself.",
    )


class PanicWatch:
    """A look at the panics of a machine's guests, for somebody who waits."""

    def __init__(self, machine: Reference, consoles: Sequence[BaseConsole]) -> None:
        self._machine = machine
        self._consoles = tuple(consoles)
        self._number = ffi.new("uint64_t *")
        self._next = 0.0
        self._count = self._panics() >> 1

    def _panics(self) -> int:
        check(lib.applevz_machine_panics(self._machine, self._number))
        return int(self._number[0])

    def look(self) -> Panicked | None:
        """What the consoles show, if a guest panicked since the last look. Never waits."""
        self._catch_up()
        before, self._count = self._count, self._panics() >> 1
        return Panicked(last_words(self._consoles)) if before != self._count else None

    def _catch_up(self) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _LOOK_AGAIN
            for console in self._consoles:
                console.catch_up()

    def lasting(self) -> Panicked | None:
        """What the consoles show, if the present guest is one that panicked, and does nothing more. Never waits."""
        self._catch_up()
        return Panicked(last_words(self._consoles)) if self._panics() & 1 else None
