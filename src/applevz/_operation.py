# SPDX-License-Identifier: Apache-2.0
"""What takes time: begun at once, waited for by a face of this package in its own way.

What a call decides is written once, for both faces, as a generator. It yields what it has to wait for and is told how
that went; `run` is the blocking face's way to wait, `applevz.aio` has its own.

A wait ends by completion, by its deadline or by a signal. The last lets Python run the signal's handlers and goes on
waiting, unless one raised, as Ctrl-C does. Giving up a wait gives up the result; the machine goes on with the verb.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final, TypeVar

from ._deadline import Deadline
from ._native import Reference, ffi, lib, release
from .errors import Error, check

__all__ = ["DAY", "Steps", "begin", "result", "run"]

Result = TypeVar("Result")

# Yields an operation and until when to wait for it. Is sent None if it did not complete in time, otherwise what it
# completed with (0 without anything). What it failed with is thrown. The operation is released when the wait is over.
Steps = Generator[tuple[Reference, Deadline], "int | None", Result]

# A wait is asked for a day at a time: a duration of centuries has no meaning to a clock.
DAY: Final = 86400.0


def begin(verb: Callable[..., Reference], *arguments: object) -> Reference:
    """Calls a native function that makes an operation. Raises `Error` where the machine refuses at once."""
    out = ffi.new("applevz_operation **")
    check(verb(*arguments, out))
    return ffi.gc(out[0], lib.applevz_operation_release)


def result(operation: Reference) -> int:
    """Raises what a completed operation failed with; otherwise what it completed with. A descriptor is the caller's."""
    check(lib.applevz_operation_copy_error(operation))
    value: int = lib.applevz_operation_take_value(operation)
    return value


def run(steps: Steps[Result]) -> Result:
    """Goes through the steps, and blocks this thread where they wait."""
    try:
        operation, deadline = next(steps)
        while True:
            try:
                outcome = _wait(operation, deadline)
            except Error as error:  # noqa: PERF203  # each wait has an outcome of its own
                operation, deadline = steps.throw(error)
            else:
                operation, deadline = steps.send(outcome)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        steps.close()


def _wait(operation: Reference, deadline: Deadline) -> int | None:
    try:
        while True:
            ended = lib.applevz_operation_wait(operation, deadline.remaining(DAY))
            if ended == lib.APPLEVZ_WAIT_COMPLETED:
                return result(operation)
            if ended == lib.APPLEVZ_WAIT_TIMED_OUT and deadline.passed:
                return None
    finally:
        release(operation)
