# SPDX-License-Identifier: Apache-2.0
"""What happens to a machine: in order, numbered, and with who made it happen."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ._native import Reference, ffi, lib
from ._operation import Steps, begin
from .errors import Error, TimeoutError, check, exception_of, make

if TYPE_CHECKING:
    from uuid import UUID

    from ._deadline import Deadline
    from ._machine import VirtualMachineState

__all__ = ["CAPACITY", "BaseEvents", "Event", "EventCause", "EventKind", "EventPort"]

CAPACITY: Final[int] = lib.APPLEVZ_EVENT_CAPACITY


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

    QEMU tells of a port at most once a second: of what a guest does faster a part is told later, or left out in pairs.
    """
    GUEST_CLOCK_SET = lib.APPLEVZ_EVENT_KIND_GUEST_CLOCK_SET
    """The guest's agent set the clock after the machine was restored, or refused to, with `Event.error`
    (`VirtualMachineConfiguration.guest_agent`)."""


class EventCause(enum.Enum):
    """Who made it happen: one of the framework's verbs, or somebody who was not asked."""

    HOST = lib.APPLEVZ_EVENT_CAUSE_HOST
    """The host, or what runs the machine there: `Event.error` says why."""
    GUEST = lib.APPLEVZ_EVENT_CAUSE_GUEST
    """The guest, which may have been asked to stop before (`request_stop`, POWERDOWN)."""
    START = lib.APPLEVZ_EVENT_CAUSE_START
    PAUSE = lib.APPLEVZ_EVENT_CAUSE_PAUSE
    RESUME = lib.APPLEVZ_EVENT_CAUSE_RESUME
    STOP = lib.APPLEVZ_EVENT_CAUSE_STOP
    SAVE = lib.APPLEVZ_EVENT_CAUSE_SAVE
    RESTORE = lib.APPLEVZ_EVENT_CAUSE_RESTORE
    DISCARD = lib.APPLEVZ_EVENT_CAUSE_DISCARD
    """POWEROFF, from a state in which the framework stops no machine."""


@dataclass(frozen=True)
class EventPort:
    """Which port an event is about: the places of its device and of itself, from 0, and its name."""

    device: int
    index: int
    name: str | None


@dataclass(frozen=True)
class Event:
    """Something that happened to a machine, as its queue saw it.

    The numbers of a machine's events begin with 1 and leave none out; of what `dropped` counts the numbers are missing
    just before this one. `time` is in seconds since 1970, `monotonic_time` in those of the clock that
    `time.clock_gettime(time.CLOCK_MONOTONIC)` reads. The states are the same in an event that is no change of them.
    `error` is why a verb failed or the machine stopped, or what befell a device. `device` is whose event it is: an
    index in the configuration's `network_devices`, `storage_devices` or `console_devices`; None for the machine's own
    events, and for a USB device, which is told by its `usb_device`, the `uuid` that it has. `port` is the port of a
    console device that was opened or closed.
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


class BaseEvents:
    """A machine's events, for a face to wait for."""

    __slots__ = ("_handle", "_port_names")

    def __init__(self, handle: Reference, port_names: Sequence[Sequence[str | None]]) -> None:
        """Made by the machine whose `handle` this is, which lives as long, and whose console devices' ports have these
        names."""
        self._handle = handle
        self._port_names = port_names

    def _take(self) -> Event | None:
        from ._machine import VirtualMachineState

        event = ffi.new("applevz_event *")
        check(lib.applevz_machine_next_event(self._handle, event))
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
            error=exception_of(event.error) if event.error else None,
            device=event.device if event.device >= 0 else None,
            port=port,
            usb_device=usb_device,
        )

    def _next(self, deadline: Deadline) -> Steps[Event]:
        while (event := self._take()) is None:
            if (yield begin(lib.applevz_machine_wait_for_event, self._handle), deadline) is None:
                raise make(TimeoutError, f"Nothing happened to the machine within {deadline}.", "", "Allow more time.")
        return event
