# SPDX-License-Identifier: Apache-2.0
"""The sockets between a guest and this process, with calls that block. `_core/sockets.py` decides what each does."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from .._core.deadline import Deadline
from .._core.machine import connected_socket
from .._core.operation import run
from .._core.sockets import BaseSocketListener, BaseVirtioSocketDevice

if TYPE_CHECKING:
    import socket

__all__ = ["SocketListener", "VirtioSocketDevice"]


class SocketListener(BaseSocketListener):
    """The connections that a guest makes to one port: `VirtioSocketDevice.listen`.

    As a context manager it is closed at the end of the `with` block.
    """

    __slots__ = ()

    def accept(self, timeout: float | None = None) -> socket.socket:
        """Returns the guest's next connection, as a socket. Waits for one.

        Raises `TimeoutError`. Raises `InvalidStateError` if the listener is closed, also while it waits.
        """
        return connected_socket(run(self._accept(Deadline(timeout))))

    def __enter__(self) -> SocketListener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class VirtioSocketDevice(BaseVirtioSocketDevice):
    """The host's end of the sockets between a guest and this process (`VZVirtioSocketDevice`)."""

    __slots__ = ()

    def connect(self, port: int, timeout: float | None = 60.0) -> socket.socket:
        """Connects to a port of the guest's, and returns the socket (`connectToPort:completionHandler:`).

        If nothing in the guest listens there yet, as while it boots, it tries again until the time is over, and then
        raises `TimeoutError`. Raises `InvalidVirtualMachineStateError` if the machine is not running. Each direction
        ends by itself: `shutdown` of one leaves the other.
        """
        return connected_socket(run(self._connect(port, Deadline(timeout))))

    def listen(self, port: int) -> SocketListener:
        """Takes the guest's connections to that port from here on, whether the machine runs or not
        (`setSocketListener:forPort:`).

        On Linux the port is one of the host's; without root it must be 1024 or more. Raises `NetworkError` if another
        program has it, and `InvalidArgumentError` if this machine listens to it already.
        """
        return SocketListener(self._machine, self._handle, self._index, port)
