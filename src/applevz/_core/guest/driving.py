# SPDX-License-Identifier: Apache-2.0
"""How one thread goes through the steps of a session that nobody else knows. Each face has a pump for those that many
use at once; that of threads sleeps as this one does."""

from __future__ import annotations

import select
from contextlib import ExitStack
from typing import Final

from ..deadline import Deadline
from .session import Session
from .streams import Result, Waits

__all__ = ["drive", "sleep_in_poll"]

# The end of a machine is announced by no descriptor: it is looked for once in so many seconds.
_LOOK_AGAIN: Final = 0.05


def drive(session: Session, waits: Waits[Result]) -> Result:
    """Goes through the steps, blocks this thread while they wait, and returns their result."""
    try:
        while True:
            subject, deadline = next(waits)
            changes = subject.changes
            while subject.changes == changes and not deadline.passed:
                sleep_in_poll(session, deadline)
                session.pump()
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        waits.close()


def sleep_in_poll(session: Session, deadline: Deadline) -> None:
    """Sleeps until something came for the session, or can be sent, or it is time to look for other reasons."""
    with ExitStack() as stack:
        number = stack.enter_context(session.port)
        poll = select.poll()
        poll.register(number, select.POLLIN | (select.POLLOUT if session.has_to_send else 0))
        if (second := session.second_port) is not None:
            poll.register(stack.enter_context(second), select.POLLIN)
        # Rounded up: a wait of less than a millisecond is not a loop without one.
        poll.poll(deadline.remaining(_LOOK_AGAIN) * 1000 + 1)
