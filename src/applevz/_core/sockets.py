# SPDX-License-Identifier: Apache-2.0
"""The sockets between a guest and this process: what both faces share, which is all but the waiting."""

from __future__ import annotations

from typing import Any, Final

from .._native import Reference, ffi, lib
from .._values.arguments import integer
from .._values.unique import Unique
from ..errors import InvalidArgumentError, TimeoutError, check, handle_of, make
from .deadline import Deadline
from .devices.device import MachineDevice
from .operation import Steps, begin

__all__ = ["BaseSocketListener", "BaseVirtioSocketDevice"]

# A port has 32 bits; the last one stands for any (VMADDR_PORT_ANY).
_LAST: Final = 2**32 - 2


def _port(port: int) -> int:
    suggestion = f"Give a number from 0 to {_LAST}."
    number = integer("port", port, suggestion)
    if number > _LAST:
        raise make(InvalidArgumentError, f"port is {number}.", "", suggestion)
    return number


class BaseSocketListener(Unique):
    """The connections that a guest makes to one port. It keeps its machine. Its last reference closes it."""

    __slots__ = ("_handle", "_machine", "_port")

    def __init__(self, machine: Any, handle: Reference, index: int, port: int) -> None:
        """A socket device makes it: `VirtioSocketDevice.listen`."""
        self._machine = machine
        self._port = _port(port)
        self._handle: Reference = handle_of(lib.applevz_machine_socket_listen, handle, index, self._port)

    @property
    def port(self) -> int:
        """The port that the guest connects to."""
        return self._port

    def close(self) -> None:
        """Stops listening. Pending `accept` calls raise `InvalidStateError`; calling it again does nothing.

        Connections that nobody has accepted are closed. Those that were accepted stay.
        """
        check(lib.applevz_socket_listener_close(self._handle))

    def _accept(self, deadline: Deadline) -> Steps[int]:
        """The descriptor of a connected socket, the caller's."""
        descriptor = ffi.new("int *")
        while True:
            check(lib.applevz_socket_listener_take(self._handle, descriptor))
            if descriptor[0] >= 0:
                return int(descriptor[0])
            if (yield begin(lib.applevz_socket_listener_wait, self._handle), deadline) is None:
                words = f"The guest did not connect to port {self._port} within {deadline}."
                raise make(TimeoutError, words, "", "Allow more time.")

    def __repr__(self) -> str:
        return f"<SocketListener on port {self._port}>"


class BaseVirtioSocketDevice(MachineDevice):
    """The host's end of a machine's sockets. It keeps its machine."""

    __slots__ = ()

    def _connect(self, port: int, deadline: Deadline) -> Steps[int]:
        """The descriptor of a connected socket, the caller's."""
        number = _port(port)

        def steps() -> Steps[int]:
            operation = begin(lib.applevz_machine_socket_connect, self._handle, self._index, number)
            descriptor = yield operation, deadline
            if descriptor is None:
                raise make(
                    TimeoutError,
                    f"The guest's port {number} did not answer within {deadline}.",
                    "Nothing in the guest listens to it, or the guest's driver is not there.",
                    "See to it that something there listens, or allow more time.",
                )
            return descriptor

        return steps()

    def __repr__(self) -> str:
        return "<VirtioSocketDevice>"
