# SPDX-License-Identifier: Apache-2.0
"""Operations: calls that take time. A call begins one at once, and each face of the package waits in its own way.

The decisions of a call are written once, for both faces, as a generator: its steps. The generator yields each operation
that it has to wait for, and is sent the outcome. `run` waits by blocking; `applevz.aio` has a `run` of its own.

A wait ends by completion, by its deadline or by a signal. After a signal Python runs the signal's handlers, and the
wait goes on unless one of them raised, as Ctrl-C's does. Giving up a wait gives up the result; the machine goes on with
the verb.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final, TypeVar

from .._native import Reference, lib
from ..errors import Error, check, handle_of
from .deadline import Deadline

__all__ = ["DAY", "Steps", "begin", "result", "run"]

Result = TypeVar("Result")

# Yields an operation and its deadline. Is sent None if the operation did not complete in time, otherwise its value (0
# if it has none). Its error is thrown in. The operation is released when the wait is over.
Steps = Generator[tuple[Reference, Deadline], "int | None", Result]

# A wait is asked for a day at a time: a duration of centuries has no meaning to a clock.
DAY: Final = 86400.0


def begin(verb: Callable[..., Any], *arguments: object) -> Reference:
    """Calls a native function that makes an operation. Raises `Error` if the machine refuses at once."""
    operation: Reference = handle_of(verb, *arguments)
    return operation


def result(operation: Reference) -> int:
    """Returns the value of a completed operation, or raises its error. A descriptor is the caller's from here on."""
    check(lib.applevz_operation_copy_error(operation))
    value: int = lib.applevz_operation_take_value(operation)
    return value


def run(steps: Steps[Result]) -> Result:
    """Goes through the steps, blocks this thread while they wait, and returns their result."""
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
        operation.release()
