# SPDX-License-Identifier: Apache-2.0
"""The virtual machine whose calls are awaited: what each decides stands in `applevz._machine`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType

from .._deadline import Deadline
from .._machine import BaseVirtualMachine, ShutdownPolicy, VirtualMachineState
from ..errors import ForkedError
from ._loop import run
from .console import Console
from .events import Events

__all__ = ["VirtualMachine"]


class VirtualMachine(BaseVirtualMachine[Console, Events]):
    """A machine made from a configuration, stopped at first: `applevz.VirtualMachine` with calls that are awaited.

    As an asynchronous context manager it is stopped at the end of the `async with` block, whatever its state; entering
    does not start it. A machine that is dropped while it runs is ended with its last reference; its consoles hold one,
    too.

    A call begins when it is awaited, and takes `timeout`, in seconds, None for no limit; when the time is over
    `applevz.TimeoutError` is raised and the machine goes on with what it was told. Cancelling a call ends its wait the
    same way. No call needs a thread. Several loops in several threads may use one machine.
    Every verb raises `Error`: what its machine refuses as `InvalidVirtualMachineStateTransitionError`.
    """

    __slots__ = ()

    _console_kind = Console
    _events_kind = Events

    async def __aenter__(self) -> VirtualMachine:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A process that was forked inside the block leaves it too, and the machine is not its own to stop.
        with suppress(ForkedError):
            await self.shutdown(ShutdownPolicy.POWEROFF)

    # ---- The framework's verbs ----

    async def pause(self, timeout: float | None = None) -> None:
        """Pauses a running machine (`pauseWithCompletionHandler:`)."""
        await run(self._pause(Deadline(timeout)))

    async def resume(self, timeout: float | None = None) -> None:
        """Resumes a paused machine (`resumeWithCompletionHandler:`)."""
        await run(self._resume(Deadline(timeout)))

    async def stop(self, timeout: float | None = None) -> None:
        """Stops a running or paused machine without asking its guest (`stopWithCompletionHandler:`)."""
        await run(self._stop(Deadline(timeout)))

    async def request_stop(self, timeout: float | None = None) -> None:
        """Asks the guest of a running machine to stop, and returns when it was asked (`requestStopWithError:`)."""
        await run(self._request_stop(Deadline(timeout)))

    async def wait(
        self, state: VirtualMachineState | Iterable[VirtualMachineState], timeout: float | None = None
    ) -> VirtualMachineState:
        """Waits until the machine is in `state`, or in one of several, and returns the state it is in then.

        A machine that is or comes into the state ERROR, where that is not waited for, ends the wait with its
        `stop_error`: no other state follows by itself. A stopped machine does not end it, since another task may
        start it. Raises `TimeoutError`.
        """
        return await run(self._wait(state, Deadline(timeout)))

    # ---- The verbs that ask for a result ----

    async def start(self, timeout: float | None = None) -> None:
        """Sees to it that the machine runs: starts a stopped one (or one in ERROR), resumes a paused one, waits for one
        that is on its way, does nothing to a running one."""
        await run(self._start(Deadline(timeout)))

    async def suspend(self, timeout: float | None = None) -> None:
        """Sees to it that the machine is paused; its memory stays where it is. Does nothing to a paused one; one that
        neither runs nor is on its way to it cannot be paused."""
        await run(self._suspend(Deadline(timeout)))

    async def shutdown(self, policy: ShutdownPolicy = ShutdownPolicy.POWERDOWN, timeout: float | None = 60.0) -> None:
        """Sees to it that the machine is stopped. Does nothing to a stopped one.

        POWERDOWN asks the guest and waits until it stopped. A guest may ignore that: `TimeoutError`. A paused one
        would not notice: `InvalidVirtualMachineStateTransitionError`. HALT stops a running or paused machine without
        asking. POWEROFF stops it from any state. A machine in ERROR does not run: only POWEROFF does something to it,
        and leaves it stopped.
        """
        await run(self._shutdown(policy, Deadline(timeout)))
