# SPDX-License-Identifier: Apache-2.0
"""Items about processes: what a forked one may do."""

from __future__ import annotations

import gc
import os
import signal
import warnings
from collections.abc import Callable
from typing import Final

from .. import Error, VirtualMachine, capabilities
from .item import Item, Options, Seen
from .machines import configuration, needs_virtualization

__all__ = ["ITEMS"]

# A child that hangs is ended by its alarm.
_SECONDS: Final = 10


def _fork(seen: Seen, options: Options) -> None:
    needs_virtualization()
    # The only reference to it.
    machines = [VirtualMachine(configuration(options))]
    seen("a forked child that uses a machine", _child(lambda: _use(machines[0])))
    seen("a forked child that drops a machine", _child(lambda: _drop(machines)))
    seen("a forked child that asks for a capability", _child(_ask))
    seen("the machine of the parent", machines[0].state.name)


def _use(machine: VirtualMachine) -> str:
    try:
        machine.start(1.0)
    except Error as error:
        return type(error).__name__
    return "It starts."


def _drop(machines: list[VirtualMachine]) -> str:
    machines.clear()
    gc.collect()
    return "It goes on."


def _ask() -> str:
    error = capabilities.virtualization.error
    return "yes" if error is None else type(error).__name__


def _child(action: Callable[[], str]) -> str:
    """What becomes of a forked child that does this."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Of threads, which are what is looked at.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.alarm(_SECONDS)
        try:
            os.write(writing, action().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        said = file.read().decode()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        return f"It was ended by signal {-status} ({signal.Signals(-status).name})."
    return said or "It ended without a word."


ITEMS: Final = (
    Item(
        "fork",
        "A process that was forked from one with a machine",
        "Objective-C ends a forked child that sends the first message to a class while another thread may have been "
        "about to (OBJC_DISABLE_INITIALIZE_FORK_SAFETY). Apple's frameworks may be used in a child after exec only.",
        "A forked child is told so (ForkedError), and lives.",
        _fork,
        seconds=60.0,
    ),
)
