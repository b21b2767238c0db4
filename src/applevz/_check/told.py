# SPDX-License-Identifier: Apache-2.0
"""Errors, and what a framework told a machine, as values of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from .. import CFError, Error, VirtualMachineState
from .._core.machine import BaseVirtualMachine
from .._native import ffi, lib
from ..errors import check, exception_in
from .item import Seen, Value

__all__ = ["Notice", "attempt", "chain_of", "error_value", "keep_notices", "notices_value", "take_notices"]

# Nobody nests causes deeper than this; an error that is its own cause ends too.
_DEPTH: Final = 16

_KINDS: Final = {
    lib.APPLEVZ_NOTICE_KIND_CALLED: "called",
    lib.APPLEVZ_NOTICE_KIND_RETURNED: "returned",
    lib.APPLEVZ_NOTICE_KIND_COMPLETED: "completed",
    lib.APPLEVZ_NOTICE_KIND_STATE_OBSERVED: "observed",
    lib.APPLEVZ_NOTICE_KIND_GUEST_STOPPED: "guest did stop",
    lib.APPLEVZ_NOTICE_KIND_STOPPED_WITH_ERROR: "did stop with error",
}


def attempt(seen: Seen, key: str, action: Callable[[], object]) -> Exception | None:
    """What the action raised, None if it succeeded. Sees that, and what the framework itself said, if it differs."""
    check(lib.applevz_keep_refusals(True))
    raised = None
    try:
        action()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what is to be seen
        raised = error
    seen(key, "accepted" if raised is None else error_value(raised))
    known = raised.error if isinstance(raised, Error) else None
    for refusal in _refusals():
        if refusal != known:
            seen(f"{key}: the framework itself", {"chain": chain_of(refusal)})
    return raised


def _refusals() -> Iterator[CFError]:
    while (reference := lib.applevz_next_refusal()) is not None:
        yield CFError(reference)


def error_value(error: BaseException) -> Value:
    """An exception by its classes, and each native error in its chain of causes."""
    if not isinstance(error, Error):
        return f"{type(error).__name__}: {error}"
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
    # The last of them are those of every exception.
    value: dict[str, Value] = {"exception": [type(error).__name__, *kinds[: kinds.index("Exception")]]}
    if isinstance(error, OSError) and error.errno is not None:
        value["errno"] = error.errno
    return {**value, "chain": chain_of(error.error)}


def chain_of(error: CFError | None) -> list[Value]:
    """Each error, then its cause. Of the user info the keys: its values may have names of files in them."""
    chain: list[Value] = []
    while error is not None and len(chain) < _DEPTH:
        chain.append(
            {
                "domain": error.domain,
                "code": error.code,
                "description": error.localized_description,
                "reason": error.failure_reason,
                "suggestion": error.recovery_suggestion,
                "keys": sorted(error.user_info),
            }
        )
        error = error.underlying
    return chain


class Notice(NamedTuple):
    """What a framework told a machine at one moment (`applevz_notice`)."""

    what: str
    state: VirtualMachineState
    """What the framework's machine said of itself then."""
    turn: int
    time: float
    call: int
    on_queue: bool
    error: Error | None


def keep_notices(machine: BaseVirtualMachine) -> None:  # type: ignore[type-arg]  # of whatever face
    """Before it is used."""
    check(lib.applevz_machine_keep_notices(machine._handle))


def take_notices(machine: BaseVirtualMachine) -> list[Notice]:  # type: ignore[type-arg]
    """Those that came since they were taken last."""
    notices: list[Notice] = []
    while True:
        notice = ffi.new("applevz_notice *")
        check(lib.applevz_machine_next_notice(machine._handle, notice))
        if notice.number == 0:
            return notices
        notices.append(
            Notice(
                _KINDS[notice.kind],
                VirtualMachineState(notice.state),
                notice.turn,
                notice.monotonic_time,
                notice.call,
                notice.on_queue,
                exception_in(notice.error),
            )
        )


def notices_value(notices: list[Notice]) -> list[Value]:
    """One row for each; times and turns are counted from the first."""
    rows: list[Value] = []
    for notice in notices:
        row: dict[str, Value] = {
            "ms": round((notice.time - notices[0].time) * 1000, 3),
            "turn": notice.turn - notices[0].turn,
            "what": notice.what,
            "state": notice.state.name,
        }
        if notice.error is not None:
            row["error"] = f"{notice.error.domain} {notice.error.code}"
        if not notice.on_queue:
            row["queue"] = "another than the machine's"
        rows.append(row)
    return rows
