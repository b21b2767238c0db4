# SPDX-License-Identifier: Apache-2.0
"""A virtual machine and its life: what both faces share, which is all but the waiting.

    STOPPED ──start──▶ STARTING ──▶ RUNNING ──pause──▶ PAUSING ──▶ PAUSED
       ▲                             │  ▲                            │
       └──────── STOPPING ◀───stop───┘  └──── RESUMING ◀───resume────┘

    PAUSED ──save_state──▶ SAVING ──▶ PAUSED        STOPPED ──restore_state──▶ RESTORING ──▶ PAUSED

The guest can stop by itself at any moment, and a failure of the host leads to ERROR. The states, and the verbs that
each accepts, are those of Apple's `VZVirtualMachine`. The verbs `start`, `shutdown` and `suspend` ask for a result
instead: if the machine is there already, they do nothing.
"""

from __future__ import annotations

import errno
import functools
import operator
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from .._builder import Native, native_configuration
from .._builder.consoles import AGENT_PORT, GUEST_AGENT_PORT
from .._native import Pointer, Reference, ffi, lib
from .._values.arguments import PathLike, boolean, instance, integer, items
from .._values.arguments import path as path_argument
from .._values.unique import Unique
from ..configuration.confinement import Confinement
from ..configuration.machine import VirtualMachineConfiguration
from ..errors import (
    Error,
    ForkedError,
    InvalidArgumentError,
    InvalidStateError,
    InvalidVirtualMachineStateError,
    InvalidVirtualMachineStateTransitionError,
    TimeoutError,
    check,
    exception_of,
    handle_of,
    make,
)
from .console import BaseConsole
from .deadline import Deadline
from .devices.consoles import VirtioConsoleDevice, VirtioConsolePort, VirtioConsolePorts
from .devices.directory_sharing import VirtioFileSystemDevice
from .devices.displays import VirtioGraphicsScanout, picture_of, write_picture
from .devices.memory_balloons import VirtioTraditionalMemoryBalloonDevice
from .devices.network import Attachments, NetworkDevice
from .events import BaseEvents
from .guest.guest import BaseGuest, no_guest
from .input import BaseKeyboard, BasePointer
from .logs import Life
from .operation import Steps, begin
from .panics import PanicWatch, panicked
from .sockets import BaseVirtioSocketDevice
from .states import ShutdownPolicy, VirtualMachineState
from .usb import BaseUSBController

if TYPE_CHECKING:
    import socket

    from .guest.streams import Waits
    from .statistics import MachineStatistics, Taken

__all__ = ["BaseVirtualMachine", "connected_socket"]


STOPPED: Final = VirtualMachineState.STOPPED
RUNNING: Final = VirtualMachineState.RUNNING
PAUSED: Final = VirtualMachineState.PAUSED
ERROR: Final = VirtualMachineState.ERROR

ConsoleKind = TypeVar("ConsoleKind", bound=BaseConsole)
EventsKind = TypeVar("EventsKind", bound=BaseEvents)
GuestKind = TypeVar("GuestKind", bound=BaseGuest)
KeyboardKind = TypeVar("KeyboardKind", bound=BaseKeyboard)
PointerKind = TypeVar("PointerKind", bound=BasePointer)
USBControllerKind = TypeVar("USBControllerKind", bound=BaseUSBController[Any])
SocketDeviceKind = TypeVar("SocketDeviceKind", bound=BaseVirtioSocketDevice)
Device = TypeVar("Device")

# A machine stays in these states until something is done or happens. All others lead to one of these.
_LASTING: Final = (STOPPED, RUNNING, PAUSED, ERROR)

# The state is read often, and looking a value up in an enumeration takes longer than reading it.
_STATES: Final[tuple[VirtualMachineState, ...]] = tuple(
    VirtualMachineState(value) for value in range(len(VirtualMachineState))
)

# Of the time for POWEROFF, and of this many seconds at most, the framework's own stop may take half.
_STOP_AT_MOST: Final = 10.0

# A panic is seen within so many seconds.
_LOOK_AGAIN: Final = 0.1


class BaseVirtualMachine(
    Unique, Generic[ConsoleKind, EventsKind, GuestKind, KeyboardKind, PointerKind, USBControllerKind, SocketDeviceKind]
):
    """A machine: what can be asked of it without waiting, and the steps of its verbs, for a face to go through."""

    __slots__ = (
        "__weakref__",
        "_attachments",
        "_configuration",
        "_console_devices",
        "_consoles",
        "_early_console",
        "_events",
        "_files",
        "_guest",
        "_handle",
        "_kernel_consoles",
        "_life",
        "_process",
        "_state_address",
    )

    _console_kind: ClassVar[type[BaseConsole]]
    _events_kind: ClassVar[type[BaseEvents]]
    _guest_kind: ClassVar[type[BaseGuest]]
    _keyboard_kind: ClassVar[type[BaseKeyboard]]
    _pointer_kind: ClassVar[type[BasePointer]]
    _usb_controller_kind: ClassVar[type[BaseUSBController[Any]]]
    _socket_device_kind: ClassVar[type[BaseVirtioSocketDevice]]

    def __init__(self, configuration: VirtualMachineConfiguration) -> None:
        """Makes a machine of the configuration. Raises the errors of its `validate`."""
        instance("configuration", configuration, (VirtualMachineConfiguration,))
        self._configuration = configuration
        self._process = os.getpid()
        self._life = Life()
        with native_configuration(configuration, self._console_kind) as native:
            self._handle: Reference = handle_of(lib.applevz_machine_create, native.configuration)
            # Its memory is the machine's: it is there as long as the handle.
            self._state_address: Pointer = lib.applevz_machine_state_address(self._handle)
            if native.guest_agent is not None:
                check(lib.applevz_machine_set_guest_agent(self._handle, native.guest_agent))
        consoles, ports = native.consoles, native.console_ports
        self._early_console: ConsoleKind | None = native.early_console  # type: ignore[assignment]  # the face's own kind
        if native.early_console is not None:
            consoles.append(native.early_console)
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
        if native.agent_port is not None:
            names.append([AGENT_PORT])
        kernels = _kernel_consoles(native)
        self._kernel_consoles = tuple(kernels.values())
        self._events: EventsKind = self._events_kind(self._handle, names, self._kernel_consoles)  # type: ignore[assignment]
        for console in [*consoles, *(port.console for device in ports for port in device)]:
            if console is not None:
                console.attach(self._handle, kernels)
        self._files = native.files
        self._guest: GuestKind | None = None
        if native.agent_port is not None:
            other = None
            if native.guest_agent is not None:
                # Not with the package: most machines have none.
                from .guest.qemu_agent import MachinePort, QEMUAgent

                other = QEMUAgent(MachinePort(self._handle), self._handle)
            host = native.agent_port.host
            self._guest = self._guest_kind(host, self._handle, self._kernel_consoles, other)  # type: ignore[assignment]  # the face's own kind

    def __repr__(self) -> str:
        return f"<VirtualMachine {self.state.name}>"

    # ---- Without waiting ----

    @property
    def configuration(self) -> VirtualMachineConfiguration:
        """The configuration that the machine was made from. Changing it does not change the machine."""
        return self._configuration

    @property
    def consoles(self) -> tuple[ConsoleKind, ...]:
        """The consoles of the serial ports that have one, in their order, and behind them the early one, if any."""
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
    def early_console(self) -> ConsoleKind:
        """Where the kernel prints until it has a driver for its console: `LinuxBootLoader.early_console`.

        Nothing is typed there. Raises `InvalidStateError` if there is none.
        """
        if self._early_console is None:
            raise make(
                InvalidStateError,
                "The machine has no early console.",
                "Its boot loader is none with `early_console=True`.",
                "Boot it by `LinuxBootLoader(…, early_console=True)`.",
            )
        return self._early_console

    @property
    def console_devices(self) -> tuple[VirtioConsoleDevice[ConsoleKind], ...]:
        """The machine's console devices, in the order of the configuration."""
        return self._console_devices

    @property
    def network_devices(self) -> tuple[NetworkDevice, ...]:
        """The machine's network cards, in the order of the configuration."""
        kind = functools.partial(NetworkDevice, attachments=self._attachments)
        return self._devices(lib.applevz_machine_network_device_count, kind)

    @property
    def usb_controllers(self) -> tuple[USBControllerKind, ...]:
        """The machine's USB controllers, in the order of the configuration."""
        kind = self._usb_controller_kind
        return self._devices(lib.applevz_machine_usb_controller_count, kind)  # type: ignore[arg-type]  # the face's own

    @property
    def socket_devices(self) -> tuple[SocketDeviceKind, ...]:
        """The machine's socket devices: one or none."""
        kind = self._socket_device_kind
        return self._devices(lib.applevz_machine_socket_device_count, kind)  # type: ignore[arg-type]  # the face's own

    @property
    def directory_sharing_devices(self) -> tuple[VirtioFileSystemDevice, ...]:
        """The machine's directory sharing devices, in the order of the configuration."""
        return self._devices(lib.applevz_machine_directory_sharing_device_count, VirtioFileSystemDevice)

    @property
    def keyboard(self) -> KeyboardKind:
        """The machine's keyboard. If the configuration has none, its calls raise `NotSupportedError`."""
        return self._keyboard_kind(self, self._handle)  # type: ignore[return-value]  # the face's own kind

    @property
    def pointer(self) -> PointerKind:
        """The machine's pointing device. If the configuration has none, its calls raise `NotSupportedError`."""
        return self._pointer_kind(self, self._handle)  # type: ignore[return-value]  # the face's own kind

    @property
    def displays(self) -> tuple[VirtioGraphicsScanout, ...]:
        """The displays of the machine's graphics devices, in the order of the configuration.

        Raises `NotSupportedError` before macOS 14.
        """
        return self._devices(lib.applevz_machine_display_count, VirtioGraphicsScanout)

    @property
    def memory_balloon_devices(self) -> tuple[VirtioTraditionalMemoryBalloonDevice, ...]:
        """The machine's memory balloons: one or none."""
        return self._devices(lib.applevz_machine_memory_balloon_count, VirtioTraditionalMemoryBalloonDevice)

    def _devices(
        self, count: Callable[..., Any], kind: Callable[[Any, Reference, int], Device]
    ) -> tuple[Device, ...]:
        """The devices of a kind, of which the native function counts the machine's."""
        number = ffi.new("size_t *")
        check(count(self._handle, number))
        return tuple(kind(self, self._handle, index) for index in range(number[0]))

    @property
    def guest(self) -> GuestKind:
        """What can be done inside of the guest, by its agent: run programs, move files, open connections.

        It is the same object each time, and is connected when it is first used. Raises `InvalidStateError` if the
        machine has no port for the agent: `VirtualMachineConfiguration.guest_agent` and `LinuxBootLoader.guest_agent`
        give it one.
        """
        if self._guest is None:
            raise no_guest()
        return self._guest

    @property
    def events(self) -> EventsKind:
        """The events of the machine, for whoever takes them."""
        return self._events

    @property
    def state(self) -> VirtualMachineState:
        """The state that the machine announced last."""
        # Referred to while its memory is read.
        handle = self._handle  # noqa: F841
        return _STATES[self._state_address[0]]  # type: ignore[no-any-return]

    @property
    def stop_error(self) -> Error | None:
        """The error by which the machine stopped (`virtualMachine:didStopWithError:`). None if it has stopped by none
        since it was started last."""
        error = lib.applevz_machine_copy_stop_error(self._handle)
        if error is None:
            return None
        exception = exception_of(error)
        if isinstance(exception, ForkedError):
            raise exception
        return exception

    @property
    def confinement(self) -> Confinement:
        """What kept the program that ran the machine from the rest of the host, at its last start or restore. Nothing
        before the first.

        Raises `NotSupportedError` on a Mac, whose framework tells nothing of it.
        """
        found = ffi.new("uint32_t *")
        check(lib.applevz_machine_confinement(self._handle, found))
        return Confinement(found[0])

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

    def _statistics(self, deadline: Deadline) -> Steps[Taken]:
        """The figures, without what a guest's agent tells."""
        if (yield begin(lib.applevz_machine_take_statistics, self._handle), deadline) is None:
            raise self._late(f"The machine's figures were not there within {deadline}.")
        # Not with the package: most programs ask for none.
        from .statistics import Taken

        return Taken(self._handle, self._configuration)

    def _guest_statistics(self, taken: Taken, deadline: Deadline) -> Waits[MachineStatistics] | None:
        """The steps until the guest's agent has told its part; None if it is not to be asked."""
        if self._guest is None or self.state is not RUNNING or not taken.lacks_of(self._guest, deadline):
            return None
        return taken.with_guest(self._guest, deadline)

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
        self._catch_up()
        return self._do(lib.applevz_machine_restore_state, "restore its state", deadline, *arguments, private)

    def _wait(
        self, state: VirtualMachineState | Iterable[VirtualMachineState], deadline: Deadline, panic: bool = False
    ) -> Steps[VirtualMachineState]:
        states = _states(state)
        if boolean("panic", panic):
            reached = yield from self._wait_for_panic_or((*states, ERROR), deadline)
        else:
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
            self._catch_up()
            return self._do(lib.applevz_machine_start, "start", deadline)

        return self._bring_about((RUNNING,), step, deadline)

    def _suspend(self, deadline: Deadline, to: PathLike | None, overwrite: bool) -> Steps[None]:
        boolean("overwrite", overwrite)
        arguments = () if to is None else _path_arguments(to)

        def steps() -> Steps[None]:
            yield from self._bring_about((PAUSED,), lambda _: self._pause(deadline), deadline)
            if to is not None:
                verb = lib.applevz_machine_suspend_to_file
                yield from self._do(verb, "save its state", deadline, *arguments, overwrite)

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
            with suppress(Error), self._life.verb("stop", self):
                yield begin(lib.applevz_machine_stop, self._handle), Deadline(deadline.remaining(_STOP_AT_MOST) / 2)
        if self.state is not STOPPED:
            yield from self._do(lib.applevz_machine_discard, "let go of what runs", deadline)

    # ---- Waiting ----

    def _do(self, verb: Callable[..., Any], words: str, deadline: Deadline, *arguments: object) -> Steps[None]:
        with self._life.verb(words, self):
            if (yield begin(verb, self._handle, *arguments), deadline) is None:
                raise self._late(f"The machine did not {words} within {deadline}.")

    def _wait_for(
        self, states: tuple[VirtualMachineState, ...], deadline: Deadline
    ) -> Steps[VirtualMachineState | None]:
        """The one of `states` that the machine came to, and may have left since. None if the time is over."""
        bits = functools.reduce(operator.or_, (1 << state for state in states))
        reached = yield begin(lib.applevz_machine_wait_for_state, self._handle, bits), deadline
        self._life.reached(self)
        return None if reached is None else _STATES[reached]

    def _wait_for_panic_or(
        self, states: tuple[VirtualMachineState, ...], deadline: Deadline
    ) -> Steps[VirtualMachineState | None]:
        """As `_wait_for`, and raises if the guest panics, or has panicked and does nothing more."""
        watch = PanicWatch(self._handle, self._kernel_consoles)
        while True:
            # One that panicked and has stopped has come there.
            reached = yield from self._wait_for(states, Deadline(deadline.remaining(_LOOK_AGAIN)))
            if reached is not None:
                return reached
            words = watch.look() or watch.lasting()
            if words is not None:
                raise panicked(words, "while its machine was waited for")
            if deadline.passed:
                return None

    def _catch_up(self) -> None:
        """What a former guest printed of its panic is not the next one's."""
        for console in self._kernel_consoles:
            console.catch_up()

    def _bring_about(
        self,
        goal: tuple[VirtualMachineState, ...],
        step: Callable[[VirtualMachineState], Steps[None]],
        deadline: Deadline,
    ) -> Steps[None]:
        """Takes `step` if the machine is not in a state of the `goal`. Waits for a lasting state before."""
        if self._process != os.getpid():
            # The state that a forked child sees never changes: it may be the goal no more.
            raise make(ForkedError, "The machine belongs to the process that this one was forked from.")
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


def _kernel_consoles(native: Native) -> dict[str, BaseConsole]:
    """The consoles on which a kernel prints, by what an error calls them."""
    found = {f"consoles[{place}]": console for place, console in enumerate(native.consoles)}
    if native.early_console is not None:
        found["the early console"] = found.popitem()[1]
    for device, ports in enumerate(native.console_ports):
        for place, port in enumerate(ports):
            if port.is_console and port.console is not None:
                found[f"console_devices[{device}].ports[{place}]"] = port.console
    return found


def connected_socket(descriptor: int) -> socket.socket:
    """The socket of a descriptor, which blocks. Takes the descriptor over, also where that is none of a socket.

    The family is what the system says: AF_INET of a network's, AF_VSOCK or, on a Mac, AF_UNIX of a socket device's.
    """
    # Not with the package: most programs connect to nothing.
    import socket

    try:
        connected = socket.socket(fileno=descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            os.close(descriptor)
            raise
        # A Mac tells no address, and with it no family, of a socket whose other end is gone already.
        connected = socket.socket(socket.AF_UNSPEC, socket.SOCK_STREAM, 0, fileno=descriptor)
    # The framework may have used the descriptor without blocking, and a duplicate has that of it.
    connected.setblocking(True)
    return connected


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
