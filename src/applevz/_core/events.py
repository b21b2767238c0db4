# SPDX-License-Identifier: Apache-2.0
"""The events of a machine: numbered, in order, each with its cause."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .._native import Reference, ffi, lib
from .._values.unique import Unique
from ..errors import Error, TimeoutError, check, exception_in, make
from .deadline import Deadline
from .operation import DAY, Steps, begin
from .panics import last_words

if TYPE_CHECKING:
    from uuid import UUID

    from .console import BaseConsole
    from .states import VirtualMachineState

__all__ = ["CAPACITY", "BaseEvents", "Event", "EventCause", "EventKind", "EventPort"]

CAPACITY: Final[int] = lib.APPLEVZ_EVENT_CAPACITY
# What a kernel prints on a console that nobody reads is seen once in so many seconds.
_LOOK_AGAIN: Final = 0.25


class EventKind(enum.Enum):
    """What happened."""

    STATE_CHANGED = lib.APPLEVZ_EVENT_KIND_STATE_CHANGED
    """The machine came from `state_before` into `state`."""
    GUEST_STOPPED = lib.APPLEVZ_EVENT_KIND_GUEST_STOPPED
    """The guest turned the machine off (`guestDidStopVirtualMachine:`)."""
    STOPPED_WITH_ERROR = lib.APPLEVZ_EVENT_KIND_STOPPED_WITH_ERROR
    """The machine stopped by an error (`virtualMachine:didStopWithError:`)."""
    NETWORK_DISCONNECTED = lib.APPLEVZ_EVENT_KIND_NETWORK_DISCONNECTED
    """A network card lost its attachment (`virtualMachine:networkDevice:attachmentWasDisconnectedWithError:`)."""
    NETWORK_BLOCK_DEVICE_CONNECTED = lib.APPLEVZ_EVENT_KIND_NETWORK_BLOCK_DEVICE_CONNECTED
    """A network block device's server was connected to, at the start or again (`attachmentWasConnected:`)."""
    NETWORK_BLOCK_DEVICE_FAILED = lib.APPLEVZ_EVENT_KIND_NETWORK_BLOCK_DEVICE_FAILED
    """A network block device's server is gone (`attachment:didEncounterError:`)."""
    PORT_OPENED = lib.APPLEVZ_EVENT_KIND_PORT_OPENED
    """A program of the guest opened a console device's port, `Event.port` (`consoleDevice:didOpenPort:`)."""
    PORT_CLOSED = lib.APPLEVZ_EVENT_KIND_PORT_CLOSED
    """The program that had a console device's port open closed it (`consoleDevice:didClosePort:`).

    QEMU reports a port at most once a second. If a guest is faster, some of these events come later, and pairs of them
    are left out.
    """
    GUEST_PANICKED = lib.APPLEVZ_EVENT_KIND_GUEST_PANICKED
    """The guest's kernel panicked. `Event.console` is the last that it printed.

    QEMU tells it, if the guest's kernel has a driver for its device (pvpanic). Otherwise the kernel's words tell it,
    "Kernel panic - not syncing", on a `Console` of a serial port. They are seen by whoever reads the console, takes an
    event, waits for a panic, or calls the guest's agent. A guest may print them without any panic.
    """
    GUEST_RESET = lib.APPLEVZ_EVENT_KIND_GUEST_RESET
    """The guest was reset, and starts anew, or stops the machine: `VirtualMachineConfiguration.stop_at_reset`. It needs
    `capabilities.guest_resets`."""
    DISK_FULL = lib.APPLEVZ_EVENT_KIND_DISK_FULL
    """What the guest wrote to a disk found no room on this host, and failed: the disk's overlay has
    `ResourceLimits.overlay_size`, or the file system that it is in is full. `Event.error` is an `OutOfDiskSpaceError`.
    It is told once for each disk until the machine is started again. QEMU tells it of virtio and USB disks, not of NVM
    Express; Apple's framework does not."""
    GUEST_CLOCK_SET = lib.APPLEVZ_EVENT_KIND_GUEST_CLOCK_SET
    """The guest's agent set the clock after the machine was restored, or refused to, with `Event.error`
    (`VirtualMachineConfiguration.guest_agent`)."""


class EventCause(enum.Enum):
    """Who caused an event: one of the framework's verbs, or somebody who was not asked."""

    HOST = lib.APPLEVZ_EVENT_CAUSE_HOST
    """The host, or QEMU on it. `Event.error` says why."""
    GUEST = lib.APPLEVZ_EVENT_CAUSE_GUEST
    """The guest. It may have been asked to stop before (`request_stop`, POWERDOWN)."""
    START = lib.APPLEVZ_EVENT_CAUSE_START
    PAUSE = lib.APPLEVZ_EVENT_CAUSE_PAUSE
    RESUME = lib.APPLEVZ_EVENT_CAUSE_RESUME
    STOP = lib.APPLEVZ_EVENT_CAUSE_STOP
    SAVE = lib.APPLEVZ_EVENT_CAUSE_SAVE
    RESTORE = lib.APPLEVZ_EVENT_CAUSE_RESTORE
    DISCARD = lib.APPLEVZ_EVENT_CAUSE_DISCARD
    """POWEROFF, in a state from which the framework stops no machine."""


@dataclass(frozen=True)
class EventPort:
    """The port that an event is about: the place of its device, its own place in that, both from 0, and its name."""

    device: int
    index: int
    name: str | None


@dataclass(frozen=True)
class Event:
    """Something that happened to a machine, as its queue saw it.

    `number` counts a machine's events from 1, without gaps. `dropped` counts the events just before this one that
    nobody took in time: their numbers are missing. `time` is in seconds since 1970, and `monotonic_time` in seconds of
    the clock that `time.clock_gettime(time.CLOCK_MONOTONIC)` reads. `state_before` and `state` are the same unless the
    state changed. `error` says why a verb failed, why the machine stopped, or what befell a device.

    `device` says whose event it is: an index in the configuration's `network_devices`, `storage_devices` or
    `console_devices`. It is None for the machine's own events, and for a USB device, whose `uuid` is in `usb_device`.
    `port` is the port of a console device that was opened or closed. `console` is, of a panic, the last that the guest
    printed on its consoles.
    """

    number: int
    dropped: int
    time: float
    monotonic_time: float
    kind: EventKind
    cause: EventCause
    state_before: VirtualMachineState
    state: VirtualMachineState
    error: Error | None
    device: int | None = None
    port: EventPort | None = None
    usb_device: UUID | None = None
    console: str | None = None


class BaseEvents(Unique):
    """A machine's events: what both faces share, which is all but the waiting."""

    __slots__ = ("_consoles", "_handle", "_port_names")

    def __init__(
        self, handle: Reference, port_names: Sequence[Sequence[str | None]], consoles: Sequence[BaseConsole]
    ) -> None:
        """A machine makes it. `handle` is the machine's, which lives as long; `port_names` are the names of its console
        devices' ports, and `consoles` those of its kernel."""
        self._handle = handle
        self._port_names = port_names
        self._consoles = tuple(consoles)

    def _take(self) -> Event | None:
        from .states import VirtualMachineState

        event = ffi.new("applevz_event *")
        check(lib.applevz_machine_next_event(self._handle, event))
        error = exception_in(event.error)
        if not event.number:
            return None
        kind = EventKind(event.kind)
        port = usb_device = None
        if event.usb_device[0] != b"\0":
            # Not with the package: it takes long, and few machines have such a device.
            from uuid import UUID

            usb_device = UUID(ffi.string(event.usb_device).decode())
        if kind in (EventKind.PORT_OPENED, EventKind.PORT_CLOSED):
            port = EventPort(event.device, event.port, self._port_names[event.device][event.port])
        return Event(
            number=event.number,
            dropped=event.dropped,
            time=event.time,
            monotonic_time=event.monotonic_time,
            kind=kind,
            cause=EventCause(event.cause),
            state_before=VirtualMachineState(event.state_before),
            state=VirtualMachineState(event.state),
            error=error,
            device=event.device if event.device >= 0 else None,
            port=port,
            usb_device=usb_device,
            console=last_words(self._consoles) if kind is EventKind.GUEST_PANICKED else None,
        )

    def _next(self, deadline: Deadline) -> Steps[Event]:
        while True:
            # Before and after: an event that comes by them is there, too.
            for console in self._consoles:
                console.catch_up()
            if (event := self._take()) is not None:
                return event
            pause = Deadline(deadline.remaining(_LOOK_AGAIN if self._consoles else DAY))
            if (yield begin(lib.applevz_machine_wait_for_event, self._handle), pause) is None and deadline.passed:
                raise make(TimeoutError, f"Nothing happened to the machine within {deadline}.", "", "Allow more time.")
