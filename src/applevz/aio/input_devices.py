# SPDX-License-Identifier: Apache-2.0
"""The keyboard and the pointing device whose calls are awaited. `_core/input.py` decides what each call does."""

from __future__ import annotations

from collections.abc import Iterable

from .._core.deadline import Deadline
from .._core.input import INTERVAL, BaseKeyboard, BasePointer
from .._values.keys import Key, PointerButton
from ._loop import run

__all__ = ["Keyboard", "Pointer"]


class Keyboard(BaseKeyboard):
    """The keyboard of a machine: it presses the guest's keys. It keeps its machine.

    A call is done when all of it was sent; the keys of two calls are not mixed. `timeout`, in seconds, ends the wait,
    and the rest is sent all the same. Raises `InvalidVirtualMachineStateError` if the machine does not run, or stops
    running; `InvalidArgumentError` for an unknown key; and `NotSupportedError` if the machine has no keyboard, or
    `capabilities.input_events` is false, as on a Mac, where only a window takes keys.
    """

    __slots__ = ()

    async def press(self, keys: str | Key | Iterable[Key], timeout: float | None = None) -> None:
        """Presses keys, each held while the next go down, and lets go of them: `"ctrl-alt-f1"`, `Key.RETURN`."""
        await run(self._press(keys, Deadline(timeout)))

    async def down(self, keys: str | Key | Iterable[Key], timeout: float | None = None) -> None:
        """Presses keys and holds them, until `up`."""
        await run(self._down(keys, Deadline(timeout)))

    async def up(self, keys: str | Key | Iterable[Key], timeout: float | None = None) -> None:
        """Lets go of keys, the last first."""
        await run(self._up(keys, Deadline(timeout)))

    async def type(self, text: str, interval: float = INTERVAL, timeout: float | None = None) -> None:
        """Types text as on a US keyboard. Each `interval` seconds a key goes down or up. A newline is Return.

        Raises `InvalidArgumentError` for a character that such a keyboard does not have, before anything is typed.
        """
        await run(self._type(text, interval, Deadline(timeout)))


class Pointer(BasePointer):
    """The pointing device of a machine: it moves, clicks and scrolls. It keeps its machine.

    Its calls wait, and raise errors, as those of `Keyboard` do.
    """

    __slots__ = ()

    async def move(self, x: int, y: int, timeout: float | None = None) -> None:
        """Moves to a pixel of the first display. The left column and the top row are 0.

        The display has the size of the configuration. Raises `InvalidStateError` if the machine has no display.
        """
        await run(self._move(x, y, Deadline(timeout)))

    async def click(
        self, button: PointerButton = PointerButton.LEFT, count: int = 1, timeout: float | None = None
    ) -> None:
        """Presses a button and lets go of it, `count` times."""
        await run(self._click(button, count, Deadline(timeout)))

    async def down(self, button: PointerButton = PointerButton.LEFT, timeout: float | None = None) -> None:
        """Presses a button and holds it, until `up`."""
        await run(self._down(button, Deadline(timeout)))

    async def up(self, button: PointerButton = PointerButton.LEFT, timeout: float | None = None) -> None:
        """Lets go of a button."""
        await run(self._up(button, Deadline(timeout)))

    async def scroll(self, notches: int, timeout: float | None = None) -> None:
        """Turns the wheel by so many notches: up if the number is positive, down if it is negative."""
        await run(self._scroll(notches, Deadline(timeout)))
