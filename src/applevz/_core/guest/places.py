# SPDX-License-Identifier: Apache-2.0
"""Where a forward listens, and where it leads: a port or the path of a Unix socket, on the host or in the guest."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from contextlib import suppress
from typing import Any, Final

from ..._values.arguments import integer, shown
from ..._values.arguments import path as path_argument
from ...errors import Error, InvalidArgumentError, make, make_posix
from .files import path_in_guest
from .process import text_of

__all__ = ["GuestPlace", "HostPlace", "guest_payload", "numeric_address", "port_number", "protocol_kind"]

_PLACE: Final = struct.Struct("<BH")
_TCP, _UNIX, _UDP = 0, 1, 2
_KINDS: Final = {"tcp": _TCP, "udp": _UDP}
_BACKLOG: Final = 128
# That of Apple's systems; Linux has a few bytes more.
_LONGEST_SOCKET_PATH: Final = 103
_CONNECTING: Final = (0, errno.EINPROGRESS, errno.EINTR)


def protocol_kind(protocol: Any) -> int:
    """The agent's number of a protocol."""
    if not isinstance(protocol, str) or protocol not in _KINDS:
        raise make(InvalidArgumentError, f"protocol is {shown(protocol)}.", "", 'Give "tcp" or "udp".')
    return _KINDS[protocol]


def port_number(field: str, value: Any, *, least: int = 1) -> int:
    """A port; with `least` 0 it may be left to the system."""
    suggestion = f"Give a number from {least} to 65535."
    number = integer(field, value, suggestion)
    if not least <= number <= 65535:
        raise make(InvalidArgumentError, f"{field} is {number}, which no service has.", "", suggestion)
    return number


def numeric_address(field: str, value: Any) -> str:
    """An address in numbers; names are not looked up, which could take long."""
    text = text_of(field, value).decode("utf-8", "surrogateescape")
    if text == "localhost":
        return "127.0.0.1"
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError, ValueError):
            socket.inet_pton(family, text)
            return text
    raise make(
        InvalidArgumentError,
        f"{field} is {shown(value)}, which is no address in numbers.",
        "Names are not looked up.",
        'Give an address like "127.0.0.1" or "::1".',
    )


def guest_payload(kind: int, port: int, rest: bytes) -> bytes:
    """A place as the agent reads it."""
    return _PLACE.pack(kind, port) + rest


class GuestPlace:
    """A place in the guest."""

    def __init__(self, kind: int, address: Any, port: Any, path: Any, *, listens: bool) -> None:
        self.port = 0
        if path is not None:
            self._kind, self._rest = _UNIX, path_in_guest("guest_path", path)
            self._words = repr(path)
        else:
            self._kind = kind
            self.port = port_number("guest_port", port, least=0 if listens else 1)
            address = numeric_address("guest_address", address)
            self._rest = address.encode()
            self._words = f"[{address}]" if ":" in address else address
        self.path = path

    @property
    def payload(self) -> bytes:
        return guest_payload(self._kind, self.port, self._rest)

    def __str__(self) -> str:
        return self._words if self.path is not None else f"{self._words}:{self.port}"


class HostPlace:
    """A place on the host."""

    def __init__(self, kind: int, address: Any, port: Any, path: Any, *, listens: bool) -> None:
        self.port = 0
        self.path: str | None = None
        self._kind = socket.SOCK_DGRAM if kind == _UDP else socket.SOCK_STREAM
        self._file: tuple[int, int] | None = None
        if path is not None:
            self._path = path_argument("host_path", path)
            self.path = os.fsdecode(self._path)
            if len(self._path) > _LONGEST_SOCKET_PATH:
                raise make(
                    InvalidArgumentError,
                    f"host_path is {shown(path)}, which has {len(self._path)} bytes.",
                    f"The path of a Unix socket has {_LONGEST_SOCKET_PATH} at most.",
                    "Give a shorter path.",
                )
            self._family: int = socket.AF_UNIX
        else:
            self.port = port_number("host_port", port, least=0 if listens else 1)
            self._address = numeric_address("host_address", address)
            self._family = socket.AF_INET6 if ":" in self._address else socket.AF_INET

    def _new(self) -> socket.socket:
        made = socket.socket(self._family, self._kind)
        made.setblocking(False)
        if self._kind == socket.SOCK_STREAM and self.path is None:
            with suppress(OSError):
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    @property
    def _target(self) -> Any:
        return (self._address, self.port) if self.path is None else self._path

    def connect(self) -> socket.socket:
        """A socket that is connected, or on its way to that. Raises `OSError`."""
        made = self._new()
        try:
            number = made.connect_ex(self._target)
            if number not in _CONNECTING:
                raise OSError(number, os.strerror(number))
        except BaseException:
            made.close()
            raise
        return made

    def listen(self) -> socket.socket:
        """A socket that listens, or of datagrams one that is bound. Raises `Error`."""
        made = self._new()
        try:
            if self._kind == socket.SOCK_STREAM and self.path is None:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._bind(made)
            if self._kind == socket.SOCK_STREAM:
                made.listen(_BACKLOG)
        except BaseException as error:
            made.close()
            if isinstance(error, OSError) and not isinstance(error, Error) and error.errno:
                # A path that is too long has no number: it is refused before.
                raise make_posix(error, f"Nothing can listen at {self} of the host.") from None
            raise
        if self.path is None:
            self.port = made.getsockname()[1]
        else:
            status = os.stat(self._path)
            self._file = status.st_dev, status.st_ino
        return made

    def _bind(self, made: socket.socket) -> None:
        try:
            made.bind(self._target)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not self._is_stale():
                raise
            os.unlink(self._path)
            made.bind(self._target)

    def _is_stale(self) -> bool:
        """Whether the file of a Unix socket was left by a program that is gone."""
        if self.path is None or not stat.S_ISSOCK(os.stat(self._path).st_mode):
            return False
        # Of another type than the one that may listen: nobody is to be told of a connection.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            return other.connect_ex(self._path) == errno.ECONNREFUSED

    def leave(self) -> None:
        """Removes the file of the Unix socket that listened, unless it has become another one."""
        if self._file is None:
            return
        with suppress(OSError):
            status = os.stat(self._path)
            if (status.st_dev, status.st_ino) == self._file:
                os.unlink(self._path)
        self._file = None

    def __str__(self) -> str:
        if self.path is not None:
            return repr(self.path)
        return f"[{self._address}]:{self.port}" if ":" in self._address else f"{self._address}:{self.port}"
