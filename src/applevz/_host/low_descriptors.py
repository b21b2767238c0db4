# SPDX-License-Identifier: Apache-2.0
"""The numbers 0 to 2. A program that has closed its standard descriptors, as a daemon does, may give them to something
else at any time. What has one of them by then is closed by that. So nothing that lasts keeps one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    import socket

__all__ = ["made_high", "moved_high"]

_FIRST: Final = 3
Made = TypeVar("Made", bound=Any)


def moved_high(made: socket.socket) -> socket.socket:
    """The socket, under another number if its own is too low. It blocks then, or not, as is the system's default."""
    if not 0 <= made.fileno() < _FIRST:
        return made
    # Not with the package: few programs close their standard descriptors.
    import fcntl
    import socket

    number = fcntl.fcntl(made.fileno(), fcntl.F_DUPFD_CLOEXEC, _FIRST)
    with made:
        return socket.socket(made.family, made.type, made.proto, fileno=number)


def made_high(make: Callable[[], Made]) -> Made:
    """What a function makes that has a `fileno` and a `close`. If its number is too low it is made again, while the
    first one has that number."""
    with ExitStack() as low:
        while (made := make()).fileno() < _FIRST:
            low.callback(made.close)
    return made
