# SPDX-License-Identifier: Apache-2.0
"""The virtual machine whose calls block: what each decides stands in `_machine.py`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from ._arguments import PathLike
from ._deadline import Deadline
from ._machine import BaseVirtualMachine, ShutdownPolicy, VirtualMachineState, connected_socket
from ._operation import run
from ._sockets import socket_device_count
from .console import Console
from .errors import ForkedError
from .events import Events
from .input_devices import Keyboard, Pointer
from .sockets import VirtioSocketDevice
from .usb import USBController

if TYPE_CHECKING:
    import socket

__all__ = ["VirtualMachine"]


class VirtualMachine(BaseVirtualMachine[Console, Events, Keyboard, Pointer]):
    """A machine made from a configuration, stopped at first.

    As a context manager it is stopped at the end of the `with` block, whatever its state; entering does not start it.
    A machine that is dropped while it runs is ended with its last reference; its consoles hold one, too.

    Any thread may use it. What waits takes `timeout`, in seconds, None for no limit; when the time is over
    `TimeoutError` is raised and the machine goes on with what it was told. Ctrl-C ends a wait the same way.
    Every verb raises `Error`: what the machine's state does not allow as `InvalidVirtualMachineStateTransitionError`,
    and `request_stop` as `InvalidVirtualMachineStateError`.
    """

    __slots__ = ()

    _console_kind = Console
    _events_kind = Events
    _keyboard_kind = Keyboard
    _pointer_kind = Pointer

    @property
    def usb_controllers(self) -> tuple[USBController, ...]:
        """The machine's USB controllers, in the order of the configuration."""
        return tuple(USBController(self, self._handle, index) for index in range(self._usb_controller_count()))

    def __enter__(self) -> VirtualMachine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A process that was forked inside the block leaves it too, and the machine is not its own to stop.
        with suppress(ForkedError):
            self.shutdown(ShutdownPolicy.POWEROFF)

    @property
    def socket_devices(self) -> tuple[VirtioSocketDevice, ...]:
        """The machine's socket devices: one or none."""
        return tuple(
            VirtioSocketDevice(self, self._handle, index) for index in range(socket_device_count(self._handle))
        )

    # ---- The framework's verbs ----

    def pause(self, timeout: float | None = None) -> None:
        """Pauses a running machine (`pauseWithCompletionHandler:`)."""
        run(self._pause(Deadline(timeout)))

    def resume(self, timeout: float | None = None) -> None:
        """Resumes a paused machine (`resumeWithCompletionHandler:`)."""
        run(self._resume(Deadline(timeout)))

    def stop(self, timeout: float | None = None) -> None:
        """Stops a running or paused machine without asking its guest (`stopWithCompletionHandler:`)."""
        run(self._stop(Deadline(timeout)))

    def request_stop(self, timeout: float | None = None) -> None:
        """Asks the guest of a running machine to stop, and returns when it was asked (`requestStopWithError:`)."""
        run(self._request_stop(Deadline(timeout)))

    def connect(self, port: int, timeout: float | None = None) -> socket.socket:
        """A TCP connection to a port of a running machine's guest, as a socket.

        The machine needs a network card with a `NATNetworkDeviceAttachment`, of which the first counts, and the guest
        the address that it gets by DHCP. On Linux QEMU listens for the connection on an address of the loopback
        interface (127.64.0.0/12), which another program of this host could use in the moment that it takes. On a Mac
        the guest is found by its card's MAC address among the leases of the host's DHCP server
        (/var/db/dhcpd_leases); one that asks in another name, as systemd-networkd does without
        `ClientIdentifier=mac`, may not be. Raises `NetworkError` where the guest refuses (it is a
        `ConnectionRefusedError` then) or does not answer, `InvalidVirtualMachineStateError` for a machine that is not
        running, and `NotSupportedError` without such a card.
        """
        return connected_socket(run(self._connect(port, Deadline(timeout))))

    def screenshot(self, path: PathLike | None = None, timeout: float | None = None) -> bytes:
        """What the first display of a running or paused machine shows, as a PNG image; also written to `path`, where
        one is given, which replaces what is there.

        The machine needs a `VirtioGraphicsDeviceConfiguration`. Until the guest has a driver for it the picture says so
        in words. Raises `InvalidVirtualMachineStateError` for a machine in another state, `NotSupportedError` without
        such a device, where `capabilities.screenshots` is false, and on Linux with a QEMU that cannot make PNG images;
        what the system says about the file is a `POSIXError`.
        """
        return run(self._screenshot(path, Deadline(timeout)))

    def save_state(self, path: PathLike, timeout: float | None = None, overwrite: bool = False) -> None:
        """Saves a paused machine to a new file, and leaves it paused (`saveMachineStateToURL:completionHandler:`).

        The file is whole or not there, whatever happens meanwhile; one that is there already raises `SaveError`, which
        is a `FileExistsError` then, or with `overwrite` is replaced once the new one is whole. It holds the memory that
        the guest has used, and takes about as long to write as that does. It does not hold the disks: a machine is
        restored with its disks as they were when it was saved. What else can go wrong is a `SaveError`, too, after
        which the machine is paused as before. A state other than PAUSED raises `InvalidVirtualMachineStateError`.
        Saving that outlasts `timeout` goes on.
        """
        run(self._save_state(path, overwrite, Deadline(timeout)))

    def restore_state(self, path: PathLike, timeout: float | None = None, private: bool = False) -> None:
        """Brings a stopped machine into a saved state, and leaves it paused
        (`restoreMachineStateFromURL:completionHandler:`).

        The machine's configuration must be that of the one which was saved: processors, memory, devices and their
        order, MAC addresses, disks, and the machine identifier, so name that and the addresses rather than leave them
        out; so must QEMU's version. Otherwise, or where the file is damaged, it raises `RestoreError`, whose
        `failure_reason` says what differs, and the machine is stopped as before.

        The machine gets a copy of the memory that is in the file. With `private`, on Linux, it runs on the file itself,
        mapped privately: that is faster, and any number of machines run from one file at once and share what of it they
        only read. The file is never changed; it must stay as it is while they run, but may be removed. Such a machine
        takes longer to save, the longer the more memory it has. All that are restored from one file believe to be the
        same machine, with the same random numbers to come, unless its platform has a `generation_identifier`: that, and
        MAC addresses of its own, make each another one.

        The guest goes on as if no time had passed, and so does its clock, which its agent sets then if there is one
        (`VirtualMachineConfiguration.guest_agent`). Without it, `hwclock -s` in the guest sets the clock by the
        machine's own, which has gone on.
        """
        run(self._restore_state(path, private, Deadline(timeout)))

    def wait(
        self, state: VirtualMachineState | Iterable[VirtualMachineState], timeout: float | None = None
    ) -> VirtualMachineState:
        """Waits until the machine is in `state`, or in one of several, and returns the state it is in then.

        A machine that is or comes into the state ERROR, where that is not waited for, ends the wait with its
        `stop_error`: no other state follows by itself. A stopped machine does not end it, since another thread may
        start it. Raises `TimeoutError`.
        """
        return run(self._wait(state, Deadline(timeout)))

    # ---- The verbs that ask for a result ----

    def start(self, timeout: float | None = None) -> None:
        """Sees to it that the machine runs: starts a stopped one (or one in ERROR), resumes a paused one, waits for one
        that is on its way, does nothing to a running one."""
        run(self._start(Deadline(timeout)))

    def suspend(self, timeout: float | None = None, to: PathLike | None = None) -> None:
        """Sees to it that the machine is paused; its memory stays where it is. Does nothing to a paused one; one that
        neither runs nor is on its way to it cannot be paused.

        With `to` the machine is then saved to that new file and stopped, to go on by `restore_state` at another time,
        in another process. The file gets a copy of the memory, as `save_state` writes it; or the memory itself, where
        the configuration's `memory_directory` is in the same file system. Where it cannot be saved, the error is that
        of `save_state` and the machine is left paused.
        """
        run(self._suspend(Deadline(timeout), to))

    def shutdown(self, policy: ShutdownPolicy = ShutdownPolicy.POWERDOWN, timeout: float | None = 60.0) -> None:
        """Sees to it that the machine is stopped. Does nothing to a stopped one.

        POWERDOWN asks the guest and waits until it stopped. A guest may ignore that: `TimeoutError`. A paused one
        would not notice: `InvalidVirtualMachineStateTransitionError`. HALT stops a running or paused machine without
        asking. POWEROFF stops it from any state. A machine in ERROR does not run: only POWEROFF does something to it,
        and leaves it stopped.
        """
        run(self._shutdown(policy, Deadline(timeout)))
