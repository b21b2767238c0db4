# SPDX-License-Identifier: Apache-2.0
"""Warming up: a spare whose guest is emulated runs a program before anybody has it.

An emulator translates each instruction of a guest when it runs first, and in a machine that was restored nothing is
translated. The first program that runs there takes a tenth of a second of the processor's time, the second one some
milliseconds.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from ..errors import Error
from .deadline import Deadline
from .guest.driving import drive
from .guest.process import PIPE, BaseProcess, start, start_of
from .guest.session import Session
from .guest.streams import Waits
from .operation import run
from .spare import Machine, Spare

__all__ = ["warm_up"]

# The seconds that the agent, and the program, may take. A guest that takes longer is handed out as it is.
_PATIENCE: Final = 10.0


def warm_up(spare: Spare[Machine]) -> bool:
    """Blocks this thread until the spare's guest has run a program, and is paused again. Returns whether it has run.

    Raises `Error` if the machine cannot be restored, or ends meanwhile.
    """
    run(spare.run(Deadline(None)))
    try:
        return _runs_a_program(spare.machine)
    finally:
        run(spare.machine._pause(Deadline(_PATIENCE)))


def _runs_a_program(machine: Machine) -> bool:
    # A session of its own. To whoever has the machine later the guest is one that was restored and never spoken to.
    session = Session(machine.guest._session.port, machine._handle)
    session.restored()
    try:
        drive(session, _program(session, Deadline(_PATIENCE)))
    except Error:
        # Whether the guest has such a program does not matter.
        return session.is_ready
    return True


def _program(session: Session, deadline: Deadline) -> Waits[None]:
    what = start_of(
        ["true"], stdin=None, stdout=PIPE, stderr=PIPE, shell=False, cwd=None, env=None, user=None, quiet=True
    )
    process = BaseProcess(session, what, (yield from start(session, what, deadline)))
    with suppress(Error):
        yield from process._communicate(None, deadline)
    process._end()
