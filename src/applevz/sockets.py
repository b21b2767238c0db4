# SPDX-License-Identifier: Apache-2.0
"""The sockets between a guest and this process, waited for by blocking: what a call does stands in `_sockets.py`."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from ._deadline import Deadline
from ._machine import connected_socket
from ._operation import run
from ._sockets import BaseSocketListener, BaseVirtioSocketDevice

if TYPE_CHECKING:
    import socket

__all__ = ["SocketListener", "VirtioSocketDevice"]


class SocketListener(BaseSocketListener):
    """The connections that a guest makes to one port: `VirtioSocketDevice.listen`.

    As a context manager it is closed at the end of the `with` block.
    """

    __slots__ = ()

    def accept(self, timeout: float | None = None) -> socket.socket:
        """The next connection of the guest's, as a socket; waits for one. Raises `TimeoutError`, and
        `InvalidStateError` once the listener is closed, also while it waits."""
        return connected_socket(run(self._accept(Deadline(timeout))))

    def __enter__(self) -> SocketListener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class VirtioSocketDevice(BaseVirtioSocketDevice):
    """The host's end of the sockets between a machine's guest and this process (`VZVirtioSocketDevice`)."""

    __slots__ = ()

    def connect(self, port: int, timeout: float | None = 60.0) -> socket.socket:
        """A connection to a port that something in the guest of a running machine listens to, as a socket
        (`connectToPort:completionHandler:`).

        While nothing listens there, as in a guest that is about to boot, it is tried again and again; at the end of the
        time `TimeoutError` is raised. Raises `InvalidVirtualMachineStateError` for a machine that is not running. Each
        direction ends by itself: `shutdown` of one leaves the other.
        """
        return connected_socket(run(self._connect(port, Deadline(timeout))))

    def listen(self, port: int) -> SocketListener:
        """Takes the guest's connections to that port from here on, whether the machine runs or not
        (`setSocketListener:forPort:`).

        On Linux the port is one of the host's, from 1024 on for those who are not root. Raises `NetworkError` where
        another program has it, and `InvalidArgumentError` where this machine listens to it already.
        """
        return SocketListener(self._machine, self._handle, self._index, port)
