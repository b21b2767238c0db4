# SPDX-License-Identifier: Apache-2.0
"""The keyboard and the pointing device of a machine: what both faces share, which is all but the waiting.

A guest takes some milliseconds to fetch an event, and a device keeps the last sixteen. What is sent faster than that
for long is lost, so there is a pause after each event.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from .._native import Reference, ffi, lib
from .._values.arguments import instance, integer, seconds, wrong_type
from .._values.keys import Key, PointerButton, keys_of, strokes_of
from .._values.unique import Unique
from ..errors import InvalidArgumentError, InvalidStateError, TimeoutError, make
from .deadline import Deadline
from .operation import Steps, begin

if TYPE_CHECKING:
    from typing import Protocol

    from .devices.displays import VirtioGraphicsScanout

    class HasDisplays(Protocol):
        """A machine, as far as its pointer has to know it."""

        @property
        def displays(self) -> tuple[VirtioGraphicsScanout, ...]: ...

__all__ = ["INTERVAL", "BaseKeyboard", "BasePointer"]

# Seconds.
INTERVAL: Final = 0.02

# A kind, a code, and where the pointer is.
_Event = tuple[int, int, float, float]


class _Device(Unique):
    """A device that sends events to one machine. It keeps its machine."""

    __slots__ = ("_handle", "_machine")

    def __init__(self, machine: HasDisplays, handle: Reference) -> None:
        """A machine makes it."""
        self._machine = machine
        self._handle = handle

    def _send(self, events: list[_Event], interval: float, deadline: Deadline) -> Steps[None]:
        if not events:
            return
        array = ffi.new("applevz_input_event[]", events)
        if (yield begin(lib.applevz_machine_send_input, self._handle, array, len(events), interval), deadline) is None:
            raise make(
                TimeoutError,
                f"The guest was not sent all of it within {deadline}.",
                f"There are {len(events)} events, {interval:g} s after each other.",
                "Allow more time.",
            )


def _key_events(kind: int, keys: Iterable[Key]) -> list[_Event]:
    return [(kind, int(key), 0.0, 0.0) for key in keys]


def _stroke(keys: tuple[Key, ...]) -> list[_Event]:
    return [
        *_key_events(lib.APPLEVZ_INPUT_KIND_KEY_DOWN, keys),
        *_key_events(lib.APPLEVZ_INPUT_KIND_KEY_UP, reversed(keys)),
    ]


class BaseKeyboard(_Device):
    __slots__ = ()

    def __repr__(self) -> str:
        return "<Keyboard>"

    def _press(self, keys: str | Key | Iterable[Key], deadline: Deadline) -> Steps[None]:
        return self._send(_stroke(keys_of(keys)), INTERVAL, deadline)

    def _down(self, keys: str | Key | Iterable[Key], deadline: Deadline) -> Steps[None]:
        return self._send(_key_events(lib.APPLEVZ_INPUT_KIND_KEY_DOWN, keys_of(keys)), INTERVAL, deadline)

    def _up(self, keys: str | Key | Iterable[Key], deadline: Deadline) -> Steps[None]:
        return self._send(_key_events(lib.APPLEVZ_INPUT_KIND_KEY_UP, reversed(keys_of(keys))), INTERVAL, deadline)

    def _type(self, text: str, interval: float, deadline: Deadline) -> Steps[None]:
        moment = seconds("interval", interval)
        if moment is None or moment > 60:
            raise make(InvalidArgumentError, f"interval is {interval}.", "", "Give a number of seconds from 0 to 60.")
        events = [event for keys in strokes_of(text) for event in _stroke(keys)]
        return self._send(events, moment, deadline)


class BasePointer(_Device):
    __slots__ = ()

    def __repr__(self) -> str:
        return "<Pointer>"

    def _move(self, x: int, y: int, deadline: Deadline) -> Steps[None]:
        displays = self._machine.displays
        if not displays:
            raise make(
                InvalidStateError,
                "There is no display to point at.",
                "The machine has none.",
                "Add a VirtioGraphicsDeviceConfiguration to graphics_devices of the configuration.",
            )
        width, height = displays[0].size_in_pixels
        place = _part("x", x, width), _part("y", y, height)
        return self._send([(lib.APPLEVZ_INPUT_KIND_POINTER_MOVED, 0, *place)], INTERVAL, deadline)

    def _click(self, button: PointerButton, count: int, deadline: Deadline) -> Steps[None]:
        once = [
            *_button_event(lib.APPLEVZ_INPUT_KIND_BUTTON_DOWN, button),
            *_button_event(lib.APPLEVZ_INPUT_KIND_BUTTON_UP, button),
        ]
        suggestion = "Give a number from 1 to 100."
        times = integer("count", count, suggestion)
        if not 1 <= times <= 100:
            raise make(InvalidArgumentError, f"count is {times}.", "", suggestion)
        return self._send(once * times, INTERVAL, deadline)

    def _down(self, button: PointerButton, deadline: Deadline) -> Steps[None]:
        return self._send(_button_event(lib.APPLEVZ_INPUT_KIND_BUTTON_DOWN, button), INTERVAL, deadline)

    def _up(self, button: PointerButton, deadline: Deadline) -> Steps[None]:
        return self._send(_button_event(lib.APPLEVZ_INPUT_KIND_BUTTON_UP, button), INTERVAL, deadline)

    def _scroll(self, notches: int, deadline: Deadline) -> Steps[None]:
        if isinstance(notches, bool) or not isinstance(notches, int):
            raise wrong_type("notches", notches, "a whole number (int)")
        if not -100 <= notches <= 100:
            raise make(InvalidArgumentError, f"notches is {notches}.", "", "Give a number from -100 to 100.")
        kind = lib.APPLEVZ_INPUT_KIND_SCROLLED_UP if notches > 0 else lib.APPLEVZ_INPUT_KIND_SCROLLED_DOWN
        return self._send([(kind, 0, 0.0, 0.0)] * abs(notches), INTERVAL, deadline)


def _button_event(kind: int, button: PointerButton) -> list[_Event]:
    return [(kind, int(instance("button", button, (PointerButton,))), 0.0, 0.0)]


def _part(name: str, pixel: int, length: int) -> float:
    """The place of the pixel's middle, as a part of the whole length."""
    suggestion = f"Give a number from 0 to {length - 1}: the display has {length} pixels there."
    number = integer(name, pixel, suggestion)
    if number >= length:
        raise make(InvalidArgumentError, f"{name} is {number}, which is not on the display.", "", suggestion)
    return (number + 0.5) / length
