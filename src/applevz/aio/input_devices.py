# SPDX-License-Identifier: Apache-2.0
"""The keyboard and the pointing device whose calls are awaited: what each decides stands in `applevz._input`."""

from __future__ import annotations

from collections.abc import Iterable

from .._deadline import Deadline
from .._input import INTERVAL, BaseKeyboard, BasePointer
from .._keys import Key, PointerButton
from ._loop import run

__all__ = ["Keyboard", "Pointer"]


class Keyboard(BaseKeyboard):
    """The keyboard of a machine, which it keeps; its guest's hands. There is none on a Mac, where only a window takes
    keys: `capabilities.input_events`.

    A call is done when all of it was sent; what is sent by one call is not mixed with another's. `timeout`, in seconds,
    ends the wait, and the rest is sent all the same. Raises `InvalidVirtualMachineStateError` where the machine is not
    running, or ceases to be, `InvalidArgumentError` for keys that there are not, and `NotSupportedError`.
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
        """Types text as on a US keyboard, a key going down or up each `interval` seconds. A newline is Return.

        Raises `InvalidArgumentError` for a character that such a keyboard has not, before anything is typed.
        """
        await run(self._type(text, interval, Deadline(timeout)))


class Pointer(BasePointer):
    """The pointing device of a machine, which it keeps; its guest's other hand. As `Keyboard` in all that it does not
    say.
    """

    __slots__ = ()

    async def move(self, x: int, y: int, timeout: float | None = None) -> None:
        """Moves to a pixel of the first display, counted from 0 at the left and at the top, of the size that
        the configuration has for it. Raises `InvalidStateError` for a machine without a display."""
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
        """Turns the wheel by so many notches: up where the number is positive, down where it is negative."""
        await run(self._scroll(notches, Deadline(timeout)))
