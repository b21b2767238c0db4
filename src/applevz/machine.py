# SPDX-License-Identifier: Apache-2.0
"""A virtual machine and its life.

    STOPPED ──start──▶ STARTING ──▶ RUNNING ──pause──▶ PAUSING ──▶ PAUSED
       ▲                             │  ▲                            │
       └──────── STOPPING ◀───stop───┘  └──── RESUMING ◀───resume────┘

    PAUSED ──save_state──▶ SAVING ──▶ PAUSED        STOPPED ──restore_state──▶ RESTORING ──▶ PAUSED

The guest can stop by itself at any moment, and a failure of the host leads to ERROR. The states, and which verb each
accepts, are those of Apple's `VZVirtualMachine`; the verbs `start`, `shutdown` and `suspend` ask for a result instead:
what is so already is no error.
"""

from __future__ import annotations

import enum
import functools
import operator
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Final

from ._arguments import PathLike, boolean, instance, items
from ._arguments import path as path_argument
from ._builder import native_configuration
from ._deadline import Deadline
from ._native import Reference, ffi, lib
from ._operation import begin, wait
from .configuration import VirtualMachineConfiguration
from .console import Console
from .errors import (
    Error,
    ForkedError,
    InvalidArgumentError,
    InvalidStateError,
    InvalidVirtualMachineStateError,
    InvalidVirtualMachineStateTransitionError,
    TimeoutError,
    check,
    exception_of,
    make,
)

__all__ = ["ShutdownPolicy", "VirtualMachine", "VirtualMachineState"]


class VirtualMachineState(enum.IntEnum):
    """Where a machine is in its life (`VZVirtualMachineState`)."""

    STOPPED = lib.APPLEVZ_MACHINE_STATE_STOPPED
    RUNNING = lib.APPLEVZ_MACHINE_STATE_RUNNING
    PAUSED = lib.APPLEVZ_MACHINE_STATE_PAUSED
    ERROR = lib.APPLEVZ_MACHINE_STATE_ERROR
    STARTING = lib.APPLEVZ_MACHINE_STATE_STARTING
    PAUSING = lib.APPLEVZ_MACHINE_STATE_PAUSING
    RESUMING = lib.APPLEVZ_MACHINE_STATE_RESUMING
    STOPPING = lib.APPLEVZ_MACHINE_STATE_STOPPING
    SAVING = lib.APPLEVZ_MACHINE_STATE_SAVING
    RESTORING = lib.APPLEVZ_MACHINE_STATE_RESTORING


STOPPED: Final = VirtualMachineState.STOPPED
RUNNING: Final = VirtualMachineState.RUNNING
PAUSED: Final = VirtualMachineState.PAUSED
ERROR: Final = VirtualMachineState.ERROR

# The states in which a machine stays until something is done or happens. From the others it leads to one of these.
_LASTING: Final = (STOPPED, RUNNING, PAUSED, ERROR)

# The state is read often, and looking a value up in an enumeration takes longer than reading it.
_STATES: Final[tuple[VirtualMachineState, ...]] = tuple(
    VirtualMachineState(value) for value in range(len(VirtualMachineState))
)
_machine_state: Final[Callable[[Reference], int]] = lib.applevz_machine_state

# Of the time for POWEROFF, and of this many seconds at most, the framework's own stop may take half.
_STOP_AT_MOST: Final = 10.0


class ShutdownPolicy(enum.Enum):
    """How `VirtualMachine.shutdown` ends a machine."""

    POWERDOWN = "powerdown"
    """Asks the guest, as a power button does, and waits until it stopped by itself."""
    HALT = "halt"
    """Stops the machine without asking the guest, from the states that the framework stops machines from."""
    POWEROFF = "poweroff"
    """Stops the machine from any state."""


class VirtualMachine:
    """A machine made from a configuration, stopped at first.

    As a context manager it is stopped at the end of the `with` block, whatever its state; entering does not start it.
    A machine that is dropped while it runs is ended with its last reference; its consoles hold one, too.

    Any thread may use it. What waits takes `timeout`, in seconds, None for no limit; when the time is over
    `TimeoutError` is raised and the machine goes on with what it was told. Ctrl-C ends a wait the same way.
    Every verb raises `Error`: what its machine refuses as `InvalidVirtualMachineStateTransitionError`.
    """

    __slots__ = ("__weakref__", "_configuration", "_consoles", "_handle")

    def __init__(self, configuration: VirtualMachineConfiguration) -> None:
        """Validates the configuration, with the errors of its `validate`, and makes a machine of it."""
        self._configuration = configuration
        with native_configuration(configuration) as (native, consoles):
            out = ffi.new("applevz_machine **")
            check(lib.applevz_machine_create(native, out))
            self._handle: Reference = ffi.gc(out[0], lib.applevz_machine_release)
        self._consoles = tuple(consoles)
        for console in self._consoles:
            console.attach(self._handle)

    def __enter__(self) -> VirtualMachine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A process that was forked inside the block leaves it too, and the machine is not its own to stop.
        with suppress(ForkedError):
            self.shutdown(ShutdownPolicy.POWEROFF)

    def __repr__(self) -> str:
        return f"<VirtualMachine {self.state.name}>"

    # ---- What it is, without waiting ----

    @property
    def configuration(self) -> VirtualMachineConfiguration:
        """The configuration that the machine was made from. Changing it does not change the machine."""
        return self._configuration

    @property
    def consoles(self) -> tuple[Console, ...]:
        """The consoles of the serial ports that have one, in their order."""
        return self._consoles

    @property
    def console(self) -> Console:
        """The first of `consoles`. Raises `InvalidStateError` if there is none."""
        if not self._consoles:
            raise make(
                InvalidStateError,
                "The machine has no console.",
                "None of its serial ports has a Console as its attachment.",
                "Leave `serial_ports` of the configuration out, or a serial port's `attachment`.",
            )
        return self._consoles[0]

    @property
    def state(self) -> VirtualMachineState:
        """The state that the machine announced last."""
        return _STATES[_machine_state(self._handle)]

    @property
    def stop_error(self) -> Error | None:
        """Why the machine stopped by an error since it was started last (`virtualMachine:didStopWithError:`)."""
        error = lib.applevz_machine_copy_stop_error(self._handle)
        return exception_of(error) if error else None

    @property
    def can_start(self) -> bool:
        """Whether the framework's `start` would be accepted now."""
        return self._accepts(lib.APPLEVZ_MACHINE_VERB_START)

    @property
    def can_pause(self) -> bool:
        """Whether `pause` would be accepted now."""
        return self._accepts(lib.APPLEVZ_MACHINE_VERB_PAUSE)

    @property
    def can_resume(self) -> bool:
        """Whether `resume` would be accepted now."""
        return self._accepts(lib.APPLEVZ_MACHINE_VERB_RESUME)

    @property
    def can_stop(self) -> bool:
        """Whether `stop` would be accepted now."""
        return self._accepts(lib.APPLEVZ_MACHINE_VERB_STOP)

    @property
    def can_request_stop(self) -> bool:
        """Whether `request_stop` would be accepted now."""
        return self._accepts(lib.APPLEVZ_MACHINE_VERB_REQUEST_STOP)

    def _accepts(self, verb: int) -> bool:
        verbs = ffi.new("uint32_t *")
        check(lib.applevz_machine_accepted_verbs(self._handle, verbs))
        return bool(verbs[0] & verb)

    # ---- The framework's verbs ----

    def pause(self, timeout: float | None = None) -> None:
        """Pauses a running machine (`pauseWithCompletionHandler:`)."""
        self._do(lib.applevz_machine_pause, "pause", Deadline(timeout))

    def resume(self, timeout: float | None = None) -> None:
        """Resumes a paused machine (`resumeWithCompletionHandler:`)."""
        self._do(lib.applevz_machine_resume, "resume", Deadline(timeout))

    def stop(self, timeout: float | None = None) -> None:
        """Stops a running or paused machine without asking its guest (`stopWithCompletionHandler:`)."""
        self._do(lib.applevz_machine_stop, "stop", Deadline(timeout))

    def request_stop(self, timeout: float | None = None) -> None:
        """Asks the guest of a running machine to stop, and returns when it was asked (`requestStopWithError:`)."""
        self._do(lib.applevz_machine_request_stop, "ask its guest to stop", Deadline(timeout))

    def save_state(self, path: PathLike, timeout: float | None = None, overwrite: bool = False) -> None:
        """Saves a paused machine to a new file, and leaves it paused (`saveMachineStateToURL:completionHandler:`).

        The file is whole or not there, whatever happens meanwhile; one that is there already raises `SaveError`, which
        is a `FileExistsError` then, or with `overwrite` is replaced once the new one is whole. It holds the memory that
        the guest has used, and takes about as long to write as that does. It does not hold the disks: a machine is
        restored with its disks as they were when it was saved. What else can go wrong is a `SaveError`, too, after
        which the machine is paused as before. A state other than PAUSED raises `InvalidVirtualMachineStateError`.
        Saving that outlasts `timeout` goes on.
        """
        arguments = _path_arguments(path)
        boolean("overwrite", overwrite)
        self._do(lib.applevz_machine_save_state, "save its state", Deadline(timeout), *arguments, overwrite)

    def restore_state(self, path: PathLike, timeout: float | None = None, private: bool = False) -> None:
        """Brings a stopped machine into a saved state, and leaves it paused
        (`restoreMachineStateFromURL:completionHandler:`).

        The machine's configuration must be that of the one which was saved: processors, memory, devices and their
        order, MAC addresses, disks, and the machine identifier, so name that and the addresses rather than leave them
        out; so must QEMU's version. Otherwise, or where the file is damaged, it raises `RestoreError`, whose
        `failure_reason` says what differs, and the machine is stopped as before. The guest's memory itself is checked
        for its length only.

        The machine gets a copy of the memory that is in the file. With `private`, on Linux, it runs on the file itself,
        mapped privately: that is faster, and any number of machines run from one file at once and share what of it they
        only read. The file is never changed; it must stay as it is while they run, but may be removed. Such a machine
        takes longer to save, the longer the more memory it has. All that are restored from one file believe to be the
        same machine, with the same MAC addresses and the same random numbers to come.

        The guest goes on as if no time had passed, and so does its clock: `hwclock -s` in the guest sets it by the
        machine's own, which has gone on.
        """
        arguments = _path_arguments(path)
        boolean("private", private)
        self._do(lib.applevz_machine_restore_state, "restore its state", Deadline(timeout), *arguments, private)

    def wait(
        self, state: VirtualMachineState | Iterable[VirtualMachineState], timeout: float | None = None
    ) -> VirtualMachineState:
        """Waits until the machine is in `state`, or in one of several, and returns the state it is in then.

        A machine that is or comes into the state ERROR, where that is not waited for, ends the wait with its
        `stop_error`: no other state follows by itself. A stopped machine does not end it, since another thread may
        start it. Raises `TimeoutError`.
        """
        states = _states(state)
        deadline = Deadline(timeout)
        reached = self._wait_for((*states, ERROR), deadline)
        if reached is None:
            names = " or ".join(one.name for one in states)
            raise self._late(f"The machine did not come into the state {names} within {deadline}.")
        if reached is ERROR and ERROR not in states:
            raise self.stop_error or make(InvalidVirtualMachineStateError, "The machine is in the state ERROR.")
        return reached

    # ---- The verbs that ask for a result ----

    def start(self, timeout: float | None = None) -> None:
        """Sees to it that the machine runs: starts a stopped one (or one in ERROR), resumes a paused one, waits for one
        that is on its way, does nothing to a running one."""

        deadline = Deadline(timeout)

        def step(state: VirtualMachineState) -> None:
            if state is PAUSED:
                self._do(lib.applevz_machine_resume, "resume", deadline)
            else:
                self._do(lib.applevz_machine_start, "start", deadline)

        self._bring_about((RUNNING,), step, deadline)

    def suspend(self, timeout: float | None = None, to: PathLike | None = None) -> None:
        """Sees to it that the machine is paused; its memory stays where it is. Does nothing to a paused one; one that
        neither runs nor is on its way to it cannot be paused.

        With `to` the machine is then saved to that new file and stopped, to go on by `restore_state` at another time,
        in another process. The file gets a copy of the memory, as `save_state` writes it. Where it cannot be saved, the
        error is that of `save_state` and the machine is left paused.
        """
        deadline = Deadline(timeout)
        arguments = _path_arguments(to) if to is not None else ()
        self._bring_about((PAUSED,), lambda _: self._do(lib.applevz_machine_pause, "pause", deadline), deadline)
        if to is not None:
            self._do(lib.applevz_machine_save_state, "save its state", deadline, *arguments, False)
            self._do(lib.applevz_machine_stop, "stop", deadline)

    def shutdown(self, policy: ShutdownPolicy = ShutdownPolicy.POWERDOWN, timeout: float | None = 60.0) -> None:
        """Sees to it that the machine is stopped. Does nothing to a stopped one.

        POWERDOWN asks the guest and waits until it stopped. A guest may ignore that: `TimeoutError`. A paused one
        would not notice: `InvalidVirtualMachineStateTransitionError`. HALT stops a running or paused machine without
        asking. POWEROFF stops it from any state. A machine in ERROR does not run: only POWEROFF does something to it,
        and leaves it stopped.
        """
        instance("policy", policy, (ShutdownPolicy,))
        deadline = Deadline(timeout)
        if policy is ShutdownPolicy.POWEROFF:
            self._power_off(deadline)
        elif policy is ShutdownPolicy.HALT:
            stop = lib.applevz_machine_stop
            self._bring_about((STOPPED, ERROR), lambda _: self._do(stop, "stop", deadline), deadline)
        else:
            self._bring_about((STOPPED, ERROR), lambda state: self._power_down(state, deadline), deadline)

    def _power_down(self, state: VirtualMachineState, deadline: Deadline) -> None:
        if state is PAUSED:
            raise make(
                InvalidVirtualMachineStateTransitionError,
                "The guest of a paused machine cannot be asked to stop.",
                "The machine is in the state PAUSED, in which its guest notices nothing.",
                "Start the machine first, which resumes it, or stop it without asking: HALT or POWEROFF.",
            )
        self._do(lib.applevz_machine_request_stop, "ask its guest to stop", deadline)
        if self._wait_for((STOPPED, ERROR), deadline) is None:
            raise make(
                TimeoutError,
                f"The guest did not stop within {deadline}.",
                f"It was asked to; the machine's state is {self.state.name}. A guest may ignore its power button, or "
                "not have come so far as to notice it.",
                "Allow more time, or stop the machine without asking: HALT or POWEROFF.",
            )

    def _power_off(self, deadline: Deadline) -> None:
        state = self.state
        if state is STOPPED:
            return
        # A stop that is refused, fails or takes too long is no reason to leave the machine running.
        with suppress(Error):
            if self.can_stop:
                stop = begin(lib.applevz_machine_stop, self._handle)
                wait(stop, Deadline(deadline.remaining(_STOP_AT_MOST) / 2))
        if self.state is not STOPPED:
            self._do(lib.applevz_machine_discard, "let go of what runs", deadline)

    # ---- Waiting ----

    def _do(self, verb: Callable[..., Reference], words: str, deadline: Deadline, *arguments: object) -> None:
        if not wait(begin(verb, self._handle, *arguments), deadline):
            raise self._late(f"The machine did not {words} within {deadline}.")

    def _wait_for(self, states: tuple[VirtualMachineState, ...], deadline: Deadline) -> VirtualMachineState | None:
        """One of `states` that the machine came to, and may have left since; None when the time is over."""
        bits = functools.reduce(operator.or_, (1 << state for state in states))
        if not wait(begin(lib.applevz_machine_wait_for_state, self._handle, bits), deadline):
            return None
        state = self.state
        return state if state in states else states[0]

    def _bring_about(
        self,
        goal: tuple[VirtualMachineState, ...],
        step: Callable[[VirtualMachineState], None],
        deadline: Deadline,
    ) -> None:
        """Takes `step` from a lasting state that is not of the `goal`; another is let lead to one of those first."""
        while (state := self.state) not in goal:
            if state not in _LASTING:
                if self._wait_for(_LASTING, deadline) is None:
                    raise self._late(f"The machine stayed in the state {state.name} for {deadline}.")
                continue
            try:
                step(state)
            except InvalidVirtualMachineStateTransitionError:
                # Another thread or the guest may have come first: then what the machine does now decides.
                if self.state is state:
                    raise
            else:
                return

    def _late(self, description: str) -> Error:
        return make(TimeoutError, description, f"Its state is {self.state.name}.", "Allow more time.")


def _path_arguments(path: PathLike) -> tuple[bytes, int]:
    name = path_argument("path", path)
    return name, len(name)


def _states(given: VirtualMachineState | Iterable[VirtualMachineState]) -> tuple[VirtualMachineState, ...]:
    if isinstance(given, VirtualMachineState):
        return (given,)
    states = tuple(items("state", given, (VirtualMachineState,)))
    if not states:
        raise make(InvalidArgumentError, "state is empty.", "", "Give a VirtualMachineState, or several.")
    return states
