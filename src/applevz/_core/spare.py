# SPDX-License-Identifier: Apache-2.0
"""A machine whose restore was begun, for whoever will need one. Nobody waits for it: the framework restores it while
the program does other things, and it is paused then.

Who waits for it all the same claims it: one who wants the machine, or the thread that warms it up for him.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from .._native import Reference, lib
from .._values.arguments import PathLike
from ..errors import Error, TimeoutError, make
from .deadline import Deadline
from .operation import Steps
from .states import ShutdownPolicy, VirtualMachineState

if TYPE_CHECKING:
    from .machine import BaseVirtualMachine

    Machine = TypeVar("Machine", bound=BaseVirtualMachine[Any, Any, Any, Any, Any, Any, Any])
else:
    Machine = TypeVar("Machine")

__all__ = ["Machine", "Spare", "not_restored"]

_GONE: Final = (VirtualMachineState.STOPPED, VirtualMachineState.ERROR)
# The seconds that the end of one may take, as that of any machine.
_END: Final = 60.0


class Spare(Generic[Machine]):
    """A machine that is being restored, or was, and is paused then."""

    def __init__(self, machine: Machine, path: PathLike) -> None:
        self.machine = machine
        self._steps = machine._restore_state(path, True, Deadline(None))
        self._operation: Reference = next(self._steps)[0]
        self._is_over = False
        self.is_claimed = False
        """Whether somebody waits for its restore, or did: the operation is his."""
        self.is_cold = False
        """Whether it is to be warmed up, and was not yet."""
        self.is_warming = False
        """Whether a thread warms it up. All that its restore is made of is that thread's until then."""

    @property
    def is_gone(self) -> bool:
        """Whether it ended. One that is being restored has not, whatever its state is as yet."""
        return self._is_done and not self.is_warming and self.machine.state in _GONE

    @property
    def is_ready(self) -> bool:
        return self._is_done and not self.is_cold and self.machine.state is VirtualMachineState.PAUSED

    @property
    def _is_done(self) -> bool:
        if self.is_claimed:
            return self._is_over
        ended = lib.applevz_operation_wait(self._operation, 0.0)
        return bool(ended == lib.APPLEVZ_WAIT_COMPLETED)

    def run(self, deadline: Deadline) -> Steps[None]:
        """Until it runs. Its guest's agent, if there is one, is told that it goes on elsewhere before it is asked for
        anything. Raises the error of its restore."""
        if not self._is_over:
            yield from self._restored(deadline)
        yield from self.machine._resume(deadline)
        if self.machine._guest is not None:
            self.machine._guest._will_go_on()

    def _restored(self, deadline: Deadline) -> Steps[None]:
        self.is_claimed = True  # by whom the operation is released
        try:
            try:
                outcome = yield self._operation, deadline
            except Error as error:
                self._steps.throw(error)
                raise
            if outcome is None:
                raise not_restored(deadline)
            with suppress(StopIteration):
                self._steps.send(outcome)
        finally:
            self._steps.close()
            self._is_over = True

    def drop(self) -> None:
        """Nobody waits for its restore any more. The machine ends with its last reference, or by `end`."""
        if self.is_warming:
            return
        self._steps.close()
        if not self.is_claimed:
            self.is_claimed = True
            self._operation.release()

    def end(self) -> Steps[None]:
        """Until there is nothing of it, whether it is being restored, is ready, or runs. Raises no `Error`."""
        self.drop()
        with suppress(Error):
            yield from self.machine._shutdown(ShutdownPolicy.POWEROFF, Deadline(_END))


def not_restored(deadline: Deadline) -> Error:
    return make(TimeoutError, f"No machine was restored within {deadline}.", "", "Allow more time.")
