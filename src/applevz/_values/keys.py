# SPDX-License-Identifier: Apache-2.0
"""The keys of a keyboard, their names, and the characters that a US keyboard types with them."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final

from .._native import lib
from ..errors import InvalidArgumentError, make
from .arguments import shown, wrong_type

__all__ = ["Key", "PointerButton", "keys_of", "strokes_of"]


class Key(enum.IntEnum):
    """A key of a PC's keyboard, by its place (USB HID Usage Tables, page 7).

    It is named for what a US keyboard has there. The guest's keyboard layout decides which character it types.
    """

    A = lib.APPLEVZ_KEY_A
    B = lib.APPLEVZ_KEY_B
    C = lib.APPLEVZ_KEY_C
    D = lib.APPLEVZ_KEY_D
    E = lib.APPLEVZ_KEY_E
    F = lib.APPLEVZ_KEY_F
    G = lib.APPLEVZ_KEY_G
    H = lib.APPLEVZ_KEY_H
    I = lib.APPLEVZ_KEY_I  # noqa: E741  # there is no other name for it
    J = lib.APPLEVZ_KEY_J
    K = lib.APPLEVZ_KEY_K
    L = lib.APPLEVZ_KEY_L
    M = lib.APPLEVZ_KEY_M
    N = lib.APPLEVZ_KEY_N
    O = lib.APPLEVZ_KEY_O  # noqa: E741
    P = lib.APPLEVZ_KEY_P
    Q = lib.APPLEVZ_KEY_Q
    R = lib.APPLEVZ_KEY_R
    S = lib.APPLEVZ_KEY_S
    T = lib.APPLEVZ_KEY_T
    U = lib.APPLEVZ_KEY_U
    V = lib.APPLEVZ_KEY_V
    W = lib.APPLEVZ_KEY_W
    X = lib.APPLEVZ_KEY_X
    Y = lib.APPLEVZ_KEY_Y
    Z = lib.APPLEVZ_KEY_Z
    DIGIT_1 = lib.APPLEVZ_KEY_DIGIT_1
    DIGIT_2 = lib.APPLEVZ_KEY_DIGIT_2
    DIGIT_3 = lib.APPLEVZ_KEY_DIGIT_3
    DIGIT_4 = lib.APPLEVZ_KEY_DIGIT_4
    DIGIT_5 = lib.APPLEVZ_KEY_DIGIT_5
    DIGIT_6 = lib.APPLEVZ_KEY_DIGIT_6
    DIGIT_7 = lib.APPLEVZ_KEY_DIGIT_7
    DIGIT_8 = lib.APPLEVZ_KEY_DIGIT_8
    DIGIT_9 = lib.APPLEVZ_KEY_DIGIT_9
    DIGIT_0 = lib.APPLEVZ_KEY_DIGIT_0
    RETURN = lib.APPLEVZ_KEY_RETURN
    ESCAPE = lib.APPLEVZ_KEY_ESCAPE
    BACKSPACE = lib.APPLEVZ_KEY_BACKSPACE
    TAB = lib.APPLEVZ_KEY_TAB
    SPACE = lib.APPLEVZ_KEY_SPACE
    MINUS = lib.APPLEVZ_KEY_MINUS
    EQUAL = lib.APPLEVZ_KEY_EQUAL
    LEFT_BRACKET = lib.APPLEVZ_KEY_LEFT_BRACKET
    RIGHT_BRACKET = lib.APPLEVZ_KEY_RIGHT_BRACKET
    BACKSLASH = lib.APPLEVZ_KEY_BACKSLASH
    SEMICOLON = lib.APPLEVZ_KEY_SEMICOLON
    APOSTROPHE = lib.APPLEVZ_KEY_APOSTROPHE
    GRAVE = lib.APPLEVZ_KEY_GRAVE
    COMMA = lib.APPLEVZ_KEY_COMMA
    PERIOD = lib.APPLEVZ_KEY_PERIOD
    SLASH = lib.APPLEVZ_KEY_SLASH
    CAPS_LOCK = lib.APPLEVZ_KEY_CAPS_LOCK
    F1 = lib.APPLEVZ_KEY_F1
    F2 = lib.APPLEVZ_KEY_F2
    F3 = lib.APPLEVZ_KEY_F3
    F4 = lib.APPLEVZ_KEY_F4
    F5 = lib.APPLEVZ_KEY_F5
    F6 = lib.APPLEVZ_KEY_F6
    F7 = lib.APPLEVZ_KEY_F7
    F8 = lib.APPLEVZ_KEY_F8
    F9 = lib.APPLEVZ_KEY_F9
    F10 = lib.APPLEVZ_KEY_F10
    F11 = lib.APPLEVZ_KEY_F11
    F12 = lib.APPLEVZ_KEY_F12
    PRINT_SCREEN = lib.APPLEVZ_KEY_PRINT_SCREEN
    SCROLL_LOCK = lib.APPLEVZ_KEY_SCROLL_LOCK
    PAUSE = lib.APPLEVZ_KEY_PAUSE
    INSERT = lib.APPLEVZ_KEY_INSERT
    HOME = lib.APPLEVZ_KEY_HOME
    PAGE_UP = lib.APPLEVZ_KEY_PAGE_UP
    DELETE = lib.APPLEVZ_KEY_DELETE
    END = lib.APPLEVZ_KEY_END
    PAGE_DOWN = lib.APPLEVZ_KEY_PAGE_DOWN
    RIGHT = lib.APPLEVZ_KEY_RIGHT
    LEFT = lib.APPLEVZ_KEY_LEFT
    DOWN = lib.APPLEVZ_KEY_DOWN
    UP = lib.APPLEVZ_KEY_UP
    NUM_LOCK = lib.APPLEVZ_KEY_NUM_LOCK
    KEYPAD_DIVIDE = lib.APPLEVZ_KEY_KEYPAD_DIVIDE
    KEYPAD_MULTIPLY = lib.APPLEVZ_KEY_KEYPAD_MULTIPLY
    KEYPAD_SUBTRACT = lib.APPLEVZ_KEY_KEYPAD_SUBTRACT
    KEYPAD_ADD = lib.APPLEVZ_KEY_KEYPAD_ADD
    KEYPAD_ENTER = lib.APPLEVZ_KEY_KEYPAD_ENTER
    KEYPAD_1 = lib.APPLEVZ_KEY_KEYPAD_1
    KEYPAD_2 = lib.APPLEVZ_KEY_KEYPAD_2
    KEYPAD_3 = lib.APPLEVZ_KEY_KEYPAD_3
    KEYPAD_4 = lib.APPLEVZ_KEY_KEYPAD_4
    KEYPAD_5 = lib.APPLEVZ_KEY_KEYPAD_5
    KEYPAD_6 = lib.APPLEVZ_KEY_KEYPAD_6
    KEYPAD_7 = lib.APPLEVZ_KEY_KEYPAD_7
    KEYPAD_8 = lib.APPLEVZ_KEY_KEYPAD_8
    KEYPAD_9 = lib.APPLEVZ_KEY_KEYPAD_9
    KEYPAD_0 = lib.APPLEVZ_KEY_KEYPAD_0
    KEYPAD_DECIMAL = lib.APPLEVZ_KEY_KEYPAD_DECIMAL
    NON_US_BACKSLASH = lib.APPLEVZ_KEY_NON_US_BACKSLASH
    APPLICATION = lib.APPLEVZ_KEY_APPLICATION
    CONTROL = lib.APPLEVZ_KEY_CONTROL
    SHIFT = lib.APPLEVZ_KEY_SHIFT
    ALT = lib.APPLEVZ_KEY_ALT
    META = lib.APPLEVZ_KEY_META
    RIGHT_CONTROL = lib.APPLEVZ_KEY_RIGHT_CONTROL
    RIGHT_SHIFT = lib.APPLEVZ_KEY_RIGHT_SHIFT
    RIGHT_ALT = lib.APPLEVZ_KEY_RIGHT_ALT
    RIGHT_META = lib.APPLEVZ_KEY_RIGHT_META


class PointerButton(enum.IntEnum):
    """A button of a pointing device."""

    LEFT = lib.APPLEVZ_POINTER_BUTTON_LEFT
    RIGHT = lib.APPLEVZ_POINTER_BUTTON_RIGHT
    MIDDLE = lib.APPLEVZ_POINTER_BUTTON_MIDDLE


# The characters of each key of a US keyboard: alone, and with Shift.
_CHARACTERS: Final = {
    **{key: (key.name.lower(), key.name) for key in Key if len(key.name) == 1},
    **{Key[f"DIGIT_{digit}"]: (digit, shifted) for digit, shifted in zip("1234567890", "!@#$%^&*()", strict=True)},
    Key.RETURN: ("\n", ""),
    Key.TAB: ("\t", ""),
    Key.SPACE: (" ", ""),
    Key.MINUS: ("-", "_"),
    Key.EQUAL: ("=", "+"),
    Key.LEFT_BRACKET: ("[", "{"),
    Key.RIGHT_BRACKET: ("]", "}"),
    Key.BACKSLASH: ("\\", "|"),
    Key.SEMICOLON: (";", ":"),
    Key.APOSTROPHE: ("'", '"'),
    Key.GRAVE: ("`", "~"),
    Key.COMMA: (",", "<"),
    Key.PERIOD: (".", ">"),
    Key.SLASH: ("/", "?"),
}

_STROKES: Final = {
    **{alone: (key,) for key, (alone, _) in _CHARACTERS.items()},
    **{shifted: (Key.SHIFT, key) for key, (_, shifted) in _CHARACTERS.items() if shifted},
}

# Names beside those of `Key` in small letters, with `_` or `-` left out or not.
_NAMES: Final = {
    **{key.name.lower().replace("_", ""): key for key in Key},
    **{alone: key for key, (alone, _) in _CHARACTERS.items() if alone.strip() and alone != "-"},
    "ctrl": Key.CONTROL,
    "rightctrl": Key.RIGHT_CONTROL,
    "altgr": Key.RIGHT_ALT,
    "option": Key.ALT,
    "command": Key.META,
    "cmd": Key.META,
    "super": Key.META,
    "win": Key.META,
    "esc": Key.ESCAPE,
    "enter": Key.RETURN,
    "del": Key.DELETE,
    "ins": Key.INSERT,
    "pgup": Key.PAGE_UP,
    "pgdn": Key.PAGE_DOWN,
    "print": Key.PRINT_SCREEN,
    "menu": Key.APPLICATION,
}


def keys_of(given: str | Key | Iterable[Key]) -> tuple[Key, ...]:
    """The keys of a name like `"ctrl-alt-f1"`, of a `Key`, or of several. Raises `InvalidArgumentError`."""
    if isinstance(given, Key):
        return (given,)
    if isinstance(given, str):
        return tuple(_key_of_name(name, given) for name in given.split("-"))
    try:
        keys = tuple(given)
    except TypeError:
        raise wrong_type("keys", given, "a name like 'ctrl-alt-f1', a Key, or several") from None
    for key in keys:
        if not isinstance(key, Key):
            raise wrong_type("keys", key, "a Key")
    if not keys:
        raise make(InvalidArgumentError, "keys is empty.", "", "Give a name like 'ctrl-alt-f1', a Key, or several.")
    return keys


def _key_of_name(name: str, whole: str) -> Key:
    key = _NAMES.get(name.strip().lower().replace("_", "").replace(" ", ""))
    if key is None:
        raise make(
            InvalidArgumentError,
            f"keys is {shown(whole)}, in which {shown(name)} is no key.",
            "",
            "Give names of applevz.Key with '-' between them, as in 'ctrl-alt-f1' or 'shift-page_up'.",
        )
    return key


def strokes_of(text: str) -> list[tuple[Key, ...]]:
    """The keys that type each character on a US keyboard. Raises `InvalidArgumentError` for a character without one."""
    if not isinstance(text, str):
        raise wrong_type("text", text, "text (str)")
    strokes = []
    for place, character in enumerate(text):
        keys = _STROKES.get(character)
        if keys is None:
            raise make(
                InvalidArgumentError,
                f"text has {shown(character)} at position {place}, which a US keyboard has not.",
                "",
                "Type what ASCII has, with '\\n' for Return and '\\t' for Tab; press other keys by name.",
            )
        strokes.append(keys)
    return strokes
