# SPDX-License-Identifier: Apache-2.0
"""What takes time: begun at once, waited for here and nowhere else.

A wait ends by completion, by its deadline or by a signal. The last lets Python run the signal's handlers and goes on
waiting, unless one raised, as Ctrl-C does. Giving up a wait gives up the result; the machine goes on with the verb.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ._deadline import Deadline
from ._native import Reference, ffi, lib
from .errors import check

__all__ = ["begin", "wait"]

# The native wait is asked for a day at a time: a duration of centuries has no meaning to a clock.
_DAY: Final = 86400.0


def begin(verb: Callable[..., Reference], *arguments: object) -> Reference:
    """Calls a native function that makes an operation. Raises `Error` where the machine refuses at once."""
    out = ffi.new("applevz_operation **")
    check(verb(*arguments, out))
    return ffi.gc(out[0], lib.applevz_operation_release)


def wait(operation: Reference, deadline: Deadline) -> bool:
    """Whether the operation completed before the deadline. Raises `Error` where it failed."""
    while True:
        result = lib.applevz_operation_wait(operation, deadline.remaining(_DAY))
        if result == lib.APPLEVZ_WAIT_COMPLETED:
            check(lib.applevz_operation_copy_error(operation))
            return True
        if result == lib.APPLEVZ_WAIT_TIMED_OUT and deadline.passed:
            return False
