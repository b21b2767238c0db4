# SPDX-License-Identifier: Apache-2.0
"""The virtual machine whose calls block. `_core/machine.py` decides what each call does."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from .._core.deadline import Deadline
from .._core.machine import BaseVirtualMachine, connected_socket
from .._core.operation import run
from .._core.states import ShutdownPolicy, VirtualMachineState
from .._values.arguments import PathLike
from ..errors import Error, ForkedError
from .console import Console
from .events import Events
from .forward import Forward
from .guest import Guest
from .input_devices import Keyboard, Pointer
from .sockets import VirtioSocketDevice
from .usb import USBController

if TYPE_CHECKING:
    import socket

    from .._core.statistics import MachineStatistics

__all__ = ["VirtualMachine"]


class VirtualMachine(BaseVirtualMachine[Console, Events, Guest, Keyboard, Pointer, USBController, VirtioSocketDevice]):
    """A machine made from a configuration, stopped at first.

    As a context manager it is stopped at the end of the `with` block, whatever its state. Entering does not start it. A
    machine that is dropped while it runs is ended with its last reference; its consoles hold one, too.

    Any thread may use it. A call that waits takes `timeout`, in seconds, None for no limit. When the time is over it
    raises `TimeoutError`, and the machine goes on with what it was told. Ctrl-C ends a wait in the same way.
    Every verb raises `Error`. If the machine's state does not allow a verb, that is an
    `InvalidVirtualMachineStateTransitionError`, and of `request_stop` and `save_state` an
    `InvalidVirtualMachineStateError`.
    """

    __slots__ = ()

    _console_kind = Console
    _events_kind = Events
    _guest_kind = Guest
    _keyboard_kind = Keyboard
    _pointer_kind = Pointer
    _usb_controller_kind = USBController
    _socket_device_kind = VirtioSocketDevice

    def __enter__(self) -> VirtualMachine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A process that was forked inside the block leaves it too, and the machine is not its own to stop.
        with suppress(ForkedError):
            self.shutdown(ShutdownPolicy.POWEROFF)

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
        """Asks the guest of a running machine to stop (`requestStopWithError:`). Returns when the guest was asked."""
        run(self._request_stop(Deadline(timeout)))

    def connect(self, port: int, timeout: float | None = None) -> socket.socket:
        """Connects to a TCP port of a running machine's guest, and returns the socket.

        The machine needs a network card with a `NATNetworkDeviceAttachment`; the first one is used. The guest needs the
        address that it gets by DHCP. On Linux QEMU listens for the connection on an address of the loopback interface
        (127.64.0.0/12), for a moment, in which another program of this host could use it. On a Mac the guest is found
        by its card's MAC address among the leases of the host's DHCP server (/var/db/dhcpd_leases). It may not be found
        if it asks for its lease by another identifier, as systemd-networkd does without `ClientIdentifier=mac`.

        Raises `NetworkError` if the guest does not answer, or refuses, which is a `ConnectionRefusedError` then. Raises
        `InvalidVirtualMachineStateError` if the machine is not running, and `NotSupportedError` without such a card.
        """
        return connected_socket(run(self._connect(port, Deadline(timeout))))

    def forward(
        self,
        *,
        host_port: int | None = None,
        guest_port: int | None = None,
        host_address: str = "127.0.0.1",
        guest_address: str = "127.0.0.1",
        host_path: PathLike | None = None,
        guest_path: PathLike | None = None,
        protocol: str = "tcp",
        to: str = "guest",
        timeout: float | None = None,
    ) -> Forward:
        """Has a port or a path of the host lead into the guest, or with `to="host"` one of the guest to the host.

        It goes through the guest's agent and takes no network card. Both sides are ports, or Unix sockets if a path is
        given. `host_address` and `guest_address` are numbers, the loopback by default. The side that is listened to has
        a port of the system's choice unless one is given: `Forward.port`. `protocol` is `"tcp"` or `"udp"`.

            with machine.forward(guest_port=80) as forward:
                connection = socket.create_connection(("127.0.0.1", forward.port))

        A forward to the guest can be made before the machine runs. What connects while the machine runs waits until the
        agent answers, and is reset if it does not run. With `to="host"` it is the guest that listens: its agent has to
        answer, up to `timeout`, in seconds, None for no limit. The guest reaches nothing of the host's but that port.

        The forward lasts until it is closed, over a save and a restore, and over an agent that starts again; open
        connections are reset then. Up to 256 connections, or peers of UDP, go through it at once. More wait, and of UDP
        the one that was silent for longest is forgotten, as is one that was silent for two minutes.

        Raises `POSIXError` if a port is not free, with its `errno`, `GuestUnreachableError` and `TimeoutError`, and
        `InvalidStateError` if the machine has no port for an agent.
        """
        return self.guest._forward(
            timeout,
            host_port=host_port,
            guest_port=guest_port,
            host_address=host_address,
            guest_address=guest_address,
            host_path=host_path,
            guest_path=guest_path,
            protocol=protocol,
            to=to,
        )

    def statistics(self, timeout: float | None = None) -> MachineStatistics:
        """Returns the figures of the machine at this moment: processor time, memory, disks, network.

        The documentation of `MachineStatistics` says where each comes from. What this platform, this configuration or
        this state cannot tell is None, and no error: of a machine that does not run nearly all of it is. The guest's
        agent is asked only if it has answered before, and for two seconds at most. `timeout` is in seconds, None for
        no limit. Raises `TimeoutError` if the hypervisor does not answer in time.
        """
        deadline = Deadline(timeout)
        taken = run(self._statistics(deadline))
        more = self._guest_statistics(taken, deadline)
        if more is not None:
            # A signal's handler may be in the middle of another call for the guest.
            with suppress(Error):
                return self.guest._go(more)
        return taken.statistics

    def screenshot(self, path: PathLike | None = None, timeout: float | None = None) -> bytes:
        """Returns what the first display of a running or paused machine shows, as a PNG image.

        With `path` the image is also written there, in place of a file that exists. The machine needs a
        `VirtioGraphicsDeviceConfiguration`. Until the guest has a driver for it, the picture says so in words.

        Raises `InvalidVirtualMachineStateError` if the machine is in another state. Raises `NotSupportedError` without
        such a device, if `capabilities.screenshots` is false, and if QEMU cannot make PNG images. Raises `POSIXError`
        if the file cannot be written.
        """
        return run(self._screenshot(path, Deadline(timeout)))

    def save_state(self, path: PathLike, timeout: float | None = None, overwrite: bool = False) -> None:
        """Saves a paused machine to a new file, and leaves it paused (`saveMachineStateToURL:completionHandler:`).

        The file is whole or not there, whatever happens meanwhile. It holds the memory that the guest has used, and
        takes about as long to write as that. It does not hold the disks: a machine is restored with its disks as they
        were when it was saved. Saving that outlasts `timeout` goes on.

        A file that exists raises `SaveError`, which is a `FileExistsError` then; with `overwrite` it is replaced once
        the new one is whole. A symbolic link is a name like another: it is in the way, or is replaced. Everything else
        that goes wrong is a `SaveError`, too, after which the machine is paused as before. A state other than PAUSED
        raises `InvalidVirtualMachineStateError`.

        A process that ends while it saves leaves nothing on Linux. On a Mac it leaves what it has written, in a hidden
        file, `.applevz-saving-…`. The next process of the same user that saves into the folder removes that file, once
        it is a minute old.
        """
        run(self._save_state(path, overwrite, Deadline(timeout)))

    def restore_state(self, path: PathLike, timeout: float | None = None, private: bool = False) -> None:
        """Brings a stopped machine into a saved state, and leaves it paused
        (`restoreMachineStateFromURL:completionHandler:`).

        The configuration must be that of the machine that was saved: processors, memory, devices and their order, MAC
        addresses, disks, and the machine identifier. So name the identifier and the addresses rather than leave them
        out. QEMU's version must be the same, too. If something differs, or the file is damaged, it raises
        `RestoreError`, whose `failure_reason` says what, and the machine is stopped as before.

        The machine gets a copy of the memory that is in the file. With `private`, on Linux, it runs on the file itself,
        mapped privately. That is faster. Any number of machines run from one file at once, and share what they only
        read of it. The file is never changed. It must stay as it is while they run, but may be removed. The more memory
        such a machine has, the longer it takes to save.

        All machines that are restored from one file take themselves for the same machine, with the same random numbers
        to come. If the platform has a `generation_identifier`, each is another one, with MAC addresses of its own if
        its configuration has others.

        The guest goes on as if no time had passed, and so does its clock. The guest's agent sets the clock, if there is
        one (`VirtualMachineConfiguration.guest_agent`). Without an agent, `hwclock -s` in the guest sets it by the
        machine's own clock, which has gone on.
        """
        run(self._restore_state(path, private, Deadline(timeout)))

    def wait(
        self,
        state: VirtualMachineState | Iterable[VirtualMachineState],
        timeout: float | None = None,
        panic: bool = False,
    ) -> VirtualMachineState:
        """Waits until the machine is in `state`, or in one of several, and returns the one that it came to.

        Raises `TimeoutError`. If the machine is in ERROR, or comes there, and that is not waited for, the wait raises
        the machine's `stop_error`: no other state follows by itself. A stopped machine does not end the wait, since
        another thread may start it.

        With `panic` it raises `GuestPanickedError` if the guest's kernel panics meanwhile, or has panicked and does
        nothing more, unless the machine has come into `state`: `EventKind.GUEST_PANICKED` says how that is noticed.
        """
        return run(self._wait(state, Deadline(timeout), panic))

    # ---- The verbs that ask for a result ----

    def start(self, timeout: float | None = None) -> None:
        """Makes the machine run: starts it if it is stopped or in ERROR, and resumes it if it is paused.

        Does nothing if it runs. If its state is on its way to another, waits for that first.
        """
        run(self._start(Deadline(timeout)))

    def suspend(self, timeout: float | None = None, to: PathLike | None = None, overwrite: bool = False) -> None:
        """Pauses the machine; its memory stays where it is. With `to` it is also saved to that file, and stopped.

        Does nothing to a paused machine without `to`. A machine that neither runs nor is about to run cannot be paused:
        `InvalidVirtualMachineStateTransitionError`.

        A machine that was saved goes on by `restore_state`, at another time, in another process. The file gets a copy
        of the memory, as `save_state` writes it. If the configuration's `memory_directory` is in the same file system,
        it gets the memory itself. A file that exists is refused, or with `overwrite` replaced, as `save_state` does it.
        If the machine cannot be saved, that raises the errors of `save_state`, and the machine is left paused.
        """
        run(self._suspend(Deadline(timeout), to, overwrite))

    def shutdown(self, policy: ShutdownPolicy = ShutdownPolicy.POWERDOWN, timeout: float | None = 60.0) -> None:
        """Stops the machine, in the way of `policy`. Does nothing to a stopped one.

        POWERDOWN asks the guest and waits until it stopped. A guest may ignore that, which raises `TimeoutError`; the
        guest of a paused machine would not notice, which raises `InvalidVirtualMachineStateTransitionError`. HALT stops
        a running or paused machine without asking. POWEROFF stops it from any state. A machine in ERROR does not run:
        only POWEROFF does something to it, and leaves it stopped.
        """
        run(self._shutdown(policy, Deadline(timeout)))
