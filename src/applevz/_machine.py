# SPDX-License-Identifier: Apache-2.0
"""A virtual machine and its life, as far as that is the same for both faces: all but the waiting.

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
from typing import TYPE_CHECKING, ClassVar, Final, Generic, TypeVar

from ._arguments import PathLike, boolean, instance, integer, items
from ._arguments import path as path_argument
from ._builder import native_configuration
from ._builder.consoles import GUEST_AGENT_PORT
from ._console import BaseConsole
from ._console_devices import VirtioConsoleDevice, VirtioConsolePort, VirtioConsolePorts
from ._deadline import Deadline
from ._directory_sharing_devices import VirtioFileSystemDevice
from ._displays import VirtioGraphicsScanout, picture_of, write_picture
from ._events import BaseEvents
from ._input import BaseKeyboard, BasePointer
from ._memory_balloons import VirtioTraditionalMemoryBalloonDevice
from ._native import Reference, ffi, lib
from ._network_devices import Attachments, NetworkDevice
from ._operation import Steps, begin
from .configuration import VirtualMachineConfiguration
from .errors import (
    Error,
    InvalidArgumentError,
    InvalidStateError,
    InvalidVirtualMachineStateError,
    InvalidVirtualMachineStateTransitionError,
    TimeoutError,
    check,
    exception_of,
    make,
)

if TYPE_CHECKING:
    import socket

__all__ = ["BaseVirtualMachine", "ShutdownPolicy", "VirtualMachineState", "connected_socket"]


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

ConsoleKind = TypeVar("ConsoleKind", bound=BaseConsole)
EventsKind = TypeVar("EventsKind", bound=BaseEvents)
KeyboardKind = TypeVar("KeyboardKind", bound=BaseKeyboard)
PointerKind = TypeVar("PointerKind", bound=BasePointer)

# The states in which a machine stays until something is done or happens. From the others it leads to one of these.
_LASTING: Final = (STOPPED, RUNNING, PAUSED, ERROR)

# The state is read often, and looking a value up in an enumeration takes longer than reading it.
_STATES: Final[tuple[VirtualMachineState, ...]] = tuple(
    VirtualMachineState(value) for value in range(len(VirtualMachineState))
)

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


class BaseVirtualMachine(Generic[ConsoleKind, EventsKind, KeyboardKind, PointerKind]):
    """A machine, what can be told of it without waiting, and its verbs as steps for a face to go through."""

    __slots__ = (
        *("__weakref__", "_attachments", "_configuration", "_console_devices", "_consoles", "_events"),
        *("_handle", "_state_address"),
    )

    _console_kind: ClassVar[type[BaseConsole]]
    _events_kind: ClassVar[type[BaseEvents]]
    _keyboard_kind: ClassVar[type[BaseKeyboard]]
    _pointer_kind: ClassVar[type[BasePointer]]

    def __init__(self, configuration: VirtualMachineConfiguration) -> None:
        """Validates the configuration, with the errors of its `validate`, and makes a machine of it."""
        self._configuration = configuration
        with native_configuration(configuration, self._console_kind) as native:
            out = ffi.new("applevz_machine **")
            check(lib.applevz_machine_create(native.configuration, out))
            self._handle: Reference = ffi.gc(out[0], lib.applevz_machine_release)
            # Its memory is the handle's, which ends with this object and not before.
            self._state_address: Reference = lib.applevz_machine_state_address(self._handle)
            if native.guest_agent is not None:
                check(lib.applevz_machine_set_guest_agent(self._handle, native.guest_agent))
        consoles, ports = native.consoles, native.console_ports
        self._attachments = Attachments([card.attachment for card in configuration.network_devices])
        # The configuration was asked for consoles of that kind.
        self._consoles: tuple[ConsoleKind, ...] = tuple(consoles)  # type: ignore[arg-type]
        self._console_devices: tuple[VirtioConsoleDevice[ConsoleKind], ...] = tuple(
            VirtioConsoleDevice(
                VirtioConsolePorts(
                    [
                        VirtioConsolePort(place, port.name, port.console)  # type: ignore[arg-type]
                        for place, port in enumerate(device)
                    ]
                )
            )
            for device in ports
        )
        names = [[port.name for port in device] for device in ports]
        if native.guest_agent is not None:
            names.append([GUEST_AGENT_PORT])
        self._events: EventsKind = self._events_kind(self._handle, names)  # type: ignore[assignment]
        for console in [*consoles, *(port.console for device in ports for port in device)]:
            if console is not None:
                console.attach(self._handle)

    def __repr__(self) -> str:
        return f"<VirtualMachine {self.state.name}>"

    # ---- What it is, without waiting ----

    @property
    def configuration(self) -> VirtualMachineConfiguration:
        """The configuration that the machine was made from. Changing it does not change the machine."""
        return self._configuration

    @property
    def consoles(self) -> tuple[ConsoleKind, ...]:
        """The consoles of the serial ports that have one, in their order."""
        return self._consoles

    @property
    def console(self) -> ConsoleKind:
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
    def console_devices(self) -> tuple[VirtioConsoleDevice[ConsoleKind], ...]:
        """The machine's console devices, in the order of the configuration."""
        return self._console_devices

    @property
    def network_devices(self) -> tuple[NetworkDevice, ...]:
        """The machine's network cards, in the order of the configuration."""
        count = ffi.new("size_t *")
        check(lib.applevz_machine_network_device_count(self._handle, count))
        return tuple(NetworkDevice(self, self._handle, index, self._attachments) for index in range(count[0]))

    def _usb_controller_count(self) -> int:
        count = ffi.new("size_t *")
        check(lib.applevz_machine_usb_controller_count(self._handle, count))
        return int(count[0])

    @property
    def directory_sharing_devices(self) -> tuple[VirtioFileSystemDevice, ...]:
        """The machine's directory sharing devices, in the order of the configuration."""
        count = ffi.new("size_t *")
        check(lib.applevz_machine_directory_sharing_device_count(self._handle, count))
        return tuple(VirtioFileSystemDevice(self, self._handle, index) for index in range(count[0]))

    @property
    def keyboard(self) -> KeyboardKind:
        """The machine's keyboard. Without one in its configuration what is sent raises `NotSupportedError`."""
        return self._keyboard_kind(self, self._handle)  # type: ignore[return-value]  # the face's own kind

    @property
    def pointer(self) -> PointerKind:
        """The machine's pointing device. Without one in its configuration what is sent raises `NotSupportedError`."""
        return self._pointer_kind(self, self._handle)  # type: ignore[return-value]  # the face's own kind

    @property
    def displays(self) -> tuple[VirtioGraphicsScanout, ...]:
        """The displays of the machine's graphics devices, in the order of the configuration.

        Raises `NotSupportedError` before macOS 14.
        """
        count = ffi.new("size_t *")
        check(lib.applevz_machine_display_count(self._handle, count))
        return tuple(VirtioGraphicsScanout(self, self._handle, index) for index in range(count[0]))

    @property
    def memory_balloon_devices(self) -> tuple[VirtioTraditionalMemoryBalloonDevice, ...]:
        """The machine's memory balloons: one or none."""
        count = ffi.new("size_t *")
        check(lib.applevz_machine_memory_balloon_count(self._handle, count))
        return tuple(VirtioTraditionalMemoryBalloonDevice(self, self._handle, index) for index in range(count[0]))

    @property
    def events(self) -> EventsKind:
        """What happened to the machine, for whoever takes it."""
        return self._events

    @property
    def state(self) -> VirtualMachineState:
        """The state that the machine announced last."""
        return _STATES[self._state_address[0]]  # type: ignore[no-any-return]

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

    def _pause(self, deadline: Deadline) -> Steps[None]:
        return self._do(lib.applevz_machine_pause, "pause", deadline)

    def _resume(self, deadline: Deadline) -> Steps[None]:
        return self._do(lib.applevz_machine_resume, "resume", deadline)

    def _stop(self, deadline: Deadline) -> Steps[None]:
        return self._do(lib.applevz_machine_stop, "stop", deadline)

    def _request_stop(self, deadline: Deadline) -> Steps[None]:
        return self._do(lib.applevz_machine_request_stop, "ask its guest to stop", deadline)

    def _connect(self, port: int, deadline: Deadline) -> Steps[int]:
        """The descriptor of a connected socket, the caller's."""
        suggestion = "Give a number from 1 to 65535."
        number = integer("port", port, suggestion)
        if not 1 <= number <= 65535:
            raise make(InvalidArgumentError, f"port is {number}, which no service has.", "", suggestion)

        def steps() -> Steps[int]:
            descriptor = yield begin(lib.applevz_machine_connect, self._handle, number), deadline
            if descriptor is None:
                raise self._late(f"The guest's port {number} did not answer within {deadline}.")
            return descriptor

        return steps()

    def _screenshot(self, path: PathLike | None, deadline: Deadline) -> Steps[bytes]:
        name = None if path is None else path_argument("path", path)

        def steps() -> Steps[bytes]:
            descriptor = yield begin(lib.applevz_machine_take_screenshot, self._handle), deadline
            if descriptor is None:
                raise self._late(f"The display could not be seen within {deadline}.")
            picture = picture_of(descriptor)
            if name is not None:
                write_picture(name, picture)
            return picture

        return steps()

    def _save_state(self, path: PathLike, overwrite: bool, deadline: Deadline) -> Steps[None]:
        boolean("overwrite", overwrite)
        arguments = _path_arguments(path)
        return self._do(lib.applevz_machine_save_state, "save its state", deadline, *arguments, overwrite)

    def _restore_state(self, path: PathLike, private: bool, deadline: Deadline) -> Steps[None]:
        boolean("private", private)
        arguments = _path_arguments(path)
        return self._do(lib.applevz_machine_restore_state, "restore its state", deadline, *arguments, private)

    def _wait(
        self, state: VirtualMachineState | Iterable[VirtualMachineState], deadline: Deadline
    ) -> Steps[VirtualMachineState]:
        states = _states(state)
        reached = yield from self._wait_for((*states, ERROR), deadline)
        if reached is None:
            names = " or ".join(one.name for one in states)
            raise self._late(f"The machine did not come into the state {names} within {deadline}.")
        if reached is ERROR and ERROR not in states:
            raise self.stop_error or make(InvalidVirtualMachineStateError, "The machine is in the state ERROR.")
        return reached

    # ---- The verbs that ask for a result ----

    def _start(self, deadline: Deadline) -> Steps[None]:
        def step(state: VirtualMachineState) -> Steps[None]:
            if state is PAUSED:
                return self._resume(deadline)
            return self._do(lib.applevz_machine_start, "start", deadline)

        return self._bring_about((RUNNING,), step, deadline)

    def _suspend(self, deadline: Deadline, to: PathLike | None) -> Steps[None]:
        arguments = () if to is None else _path_arguments(to)

        def steps() -> Steps[None]:
            yield from self._bring_about((PAUSED,), lambda _: self._pause(deadline), deadline)
            if to is not None:
                yield from self._do(lib.applevz_machine_suspend_to_file, "save its state", deadline, *arguments)

        return steps()

    def _shutdown(self, policy: ShutdownPolicy, deadline: Deadline) -> Steps[None]:
        instance("policy", policy, (ShutdownPolicy,))
        if policy is ShutdownPolicy.POWEROFF:
            return self._power_off(deadline)
        if policy is ShutdownPolicy.HALT:
            return self._bring_about((STOPPED, ERROR), lambda _: self._stop(deadline), deadline)
        return self._bring_about((STOPPED, ERROR), lambda state: self._power_down(state, deadline), deadline)

    def _power_down(self, state: VirtualMachineState, deadline: Deadline) -> Steps[None]:
        if state is PAUSED:
            raise make(
                InvalidVirtualMachineStateTransitionError,
                "The guest of a paused machine cannot be asked to stop.",
                "The machine is in the state PAUSED, in which its guest notices nothing.",
                "Start the machine first, which resumes it, or stop it without asking: HALT or POWEROFF.",
            )
        yield from self._request_stop(deadline)
        if (yield from self._wait_for((STOPPED, ERROR), deadline)) is None:
            raise make(
                TimeoutError,
                f"The guest did not stop within {deadline}.",
                f"It was asked to; the machine's state is {self.state.name}. A guest may ignore its power button, or "
                "not have come so far as to notice it.",
                "Allow more time, or stop the machine without asking: HALT or POWEROFF.",
            )

    def _power_off(self, deadline: Deadline) -> Steps[None]:
        state = self.state
        if state is STOPPED:
            return
        # A stop that is refused, fails or takes too long is no reason to leave the machine running.
        if state in (RUNNING, PAUSED):
            with suppress(Error):
                yield begin(lib.applevz_machine_stop, self._handle), Deadline(deadline.remaining(_STOP_AT_MOST) / 2)
        if self.state is not STOPPED:
            yield from self._do(lib.applevz_machine_discard, "let go of what runs", deadline)

    # ---- Waiting ----

    def _do(self, verb: Callable[..., Reference], words: str, deadline: Deadline, *arguments: object) -> Steps[None]:
        if (yield begin(verb, self._handle, *arguments), deadline) is None:
            raise self._late(f"The machine did not {words} within {deadline}.")

    def _wait_for(
        self, states: tuple[VirtualMachineState, ...], deadline: Deadline
    ) -> Steps[VirtualMachineState | None]:
        """The one of `states` that the machine came to, and may have left since; None when the time is over."""
        bits = functools.reduce(operator.or_, (1 << state for state in states))
        reached = yield begin(lib.applevz_machine_wait_for_state, self._handle, bits), deadline
        return None if reached is None else _STATES[reached]

    def _bring_about(
        self,
        goal: tuple[VirtualMachineState, ...],
        step: Callable[[VirtualMachineState], Steps[None]],
        deadline: Deadline,
    ) -> Steps[None]:
        """Takes `step` from a lasting state that is not of the `goal`; another is let lead to one of those first."""
        while (state := self.state) not in goal:
            if state not in _LASTING:
                if (yield from self._wait_for(_LASTING, deadline)) is None:
                    raise self._late(f"The machine stayed in the state {state.name} for {deadline}.")
                continue
            try:
                yield from step(state)
            except (InvalidVirtualMachineStateTransitionError, InvalidVirtualMachineStateError):
                # Another thread or the guest may have come first: then what the machine does now decides.
                if self.state is state:
                    raise
            else:
                return

    def _late(self, description: str) -> Error:
        return make(TimeoutError, description, f"Its state is {self.state.name}.", "Allow more time.")


def connected_socket(descriptor: int) -> socket.socket:
    """The socket that a descriptor is, which is taken over."""
    # Not with the package: most programs connect to nothing.
    import socket

    return socket.socket(fileno=descriptor)


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
