# SPDX-License-Identifier: Apache-2.0
"""What a call on another host comes to, as bytes: what it returned, or the exception, of its own type.

Ray would raise an exception of a class that it makes up, without the native error. So none is raised there: it is
returned. Whoever unpickles runs what the other side says: both sides trust each other, as all do who reach a cluster.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from typing import Any

__all__ = ["Dumps", "RemoteTracebackError", "failure", "outcome_of", "result_of", "success"]

Dumps = Callable[[Any], bytes]


class RemoteTracebackError(Exception):
    """Where an exception was raised on another host: the cause of the exception here."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}" if self.args else ""


def outcome_of(function: Callable[[], Any], dumps: Dumps = pickle.dumps) -> bytes:
    """Calls a function, and returns what it comes to."""
    try:
        value = function()
    except BaseException as error:  # noqa: BLE001  # it is the caller's
        return failure(error, dumps)
    return success(value, dumps)


def success(value: Any, dumps: Dumps = pickle.dumps) -> bytes:
    try:
        return dumps((True, value))
    except Exception as error:  # noqa: BLE001  # whatever a `__reduce__` raises
        return failure(error, dumps)


def failure(error: BaseException, dumps: Dumps = pickle.dumps) -> bytes:
    words = "".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip()
    try:
        data = dumps((False, (error, words)))
        # Many a class of exceptions is pickled without an error, and cannot be made again from that.
        pickle.loads(data)  # noqa: S301  # pickled the line before
    except Exception as reason:  # noqa: BLE001
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        another = pickle.PicklingError(f"A {kind} was raised, which cannot be pickled: {reason!r}.")
        return pickle.dumps((False, (another, words)))
    return data


def result_of(outcome: bytes) -> Any:
    """Returns what the call returned, or raises what it raised, with where that was as the cause."""
    is_value, value = pickle.loads(outcome)  # noqa: S301  # of a host that runs this program's code in any case
    if is_value:
        return value
    error, words = value
    error.__cause__ = RemoteTracebackError(words)
    raise error
