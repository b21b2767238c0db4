# SPDX-License-Identifier: Apache-2.0
"""Connections to a port or a socket in a guest: what both faces share, which is all but the waiting."""

from __future__ import annotations

import struct
from collections import deque
from typing import Any, Final

from ..._values.arguments import integer, shown
from ..._values.unique import Unique
from ...errors import Error, InvalidArgumentError, InvalidStateError, TimeoutError, make
from ..deadline import Deadline
from . import frames
from .conditions import condition_error
from .datagrams import LONGEST, DatagramReader, datagram
from .files import path_in_guest
from .frames import BrokenFrameError
from .process import bytes_of, text_of
from .session import Session, look, started
from .streams import OUTPUT, Stream, Waits

__all__ = ["BaseConnection", "connect", "is_of_datagrams", "port_target", "unix_target"]

_CONNECT: Final = struct.Struct("<BH")
_TCP, _UNIX, _UDP = 0, 1, 2
_KINDS: Final = {"tcp": _TCP, "udp": _UDP}
_TOO_LONG: Final = 90
_BROKEN_PIPE: Final = 32


def port_target(port: Any, host: Any, protocol: Any = "tcp") -> tuple[str, bytes]:
    """What an error calls the port, and the message that connects to it."""
    suggestion = "Give a number from 1 to 65535."
    number = integer("port", port, suggestion)
    if not 1 <= number <= 65535:
        raise make(InvalidArgumentError, f"port is {number}, which no service has.", "", suggestion)
    address = text_of("host", host)
    if len(address) > 255:
        raise make(InvalidArgumentError, f"host has {len(address)} bytes.", "", "Give an address in numbers.")
    if protocol not in _KINDS:
        raise make(InvalidArgumentError, f"protocol is {shown(protocol)}.", "", 'Give "tcp" or "udp".')
    return f"port {number} of {host}", _CONNECT.pack(_KINDS[protocol], number) + address


def unix_target(path: Any) -> tuple[str, bytes]:
    """What an error calls the socket, and the message that connects to it."""
    return f"socket {path!r}", _CONNECT.pack(_UNIX, 0) + path_in_guest("path", path)


def is_of_datagrams(target: tuple[str, bytes]) -> bool:
    return target[1][0] == _UDP


def connect(session: Session, target: tuple[str, bytes], deadline: Deadline) -> Waits[Stream]:
    """Until the connection is there."""
    name, payload = target
    yield from session.ready(deadline)
    stream = session.open(frames.CONNECT, payload, [OUTPUT], halves=True)
    yield from started(
        session,
        stream,
        "while a connection was being made",
        lambda number, _: condition_error(number, f"The guest's {name} cannot be connected to."),
        f"The guest's {name} did not answer",
        deadline,
    )
    return stream


class BaseConnection(Unique):
    """A connection, and the steps of its calls, for a face to go through."""

    def __init__(self, session: Session, stream: Stream, target: tuple[str, bytes]) -> None:
        self._session = session
        self._stream = stream
        self._name = target[0]
        self._closed = False
        # Of datagrams: what finds them, those that were found, and what is left of one that was sent in part.
        self._reader = DatagramReader(peers=False) if is_of_datagrams(target) else None
        self._found: deque[bytes] = deque()
        self._rest: memoryview[int] = memoryview(b"")

    def __del__(self) -> None:
        # One whose making failed has none of it.
        if not getattr(self, "_closed", True):
            self._session.abandon(self._stream)

    def __repr__(self) -> str:
        return f"<GuestConnection to {self._name}{' (closed)' if self._closed else ''}>"

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _look(self) -> None:
        if self._closed:
            raise make(InvalidStateError, "The connection was closed.")
        if self._stream.done is not None and self._stream.done[0]:
            raise self._broken(self._stream.done[0])
        # One whose halves have both ended is over by the protocol.
        if self._stream.done is None and not (self._stream.output_ended and self._stream.all_came):
            look(self._stream, "while a connection was open", self._broken)

    def _broken(self, number: int, _: str = "") -> Error:
        return condition_error(number, f"The connection to the guest's {self._name} broke.")

    def _receive(self, size: Any, deadline: Deadline) -> Waits[bytes]:
        wanted = integer("size", size, "Give a number of bytes.")

        def steps() -> Waits[bytes]:
            incoming = self._stream.incoming[OUTPUT]
            while wanted:
                if self._reader is not None and self._finds(self._reader):
                    return self._found.popleft()[:wanted]
                if incoming.size and self._reader is None and not self._closed:
                    data = incoming.take(wanted)
                    self._session.took(self._stream, OUTPUT)
                    return data
                self._look()
                if incoming.ended or self._stream.done is not None:
                    return b""
                if deadline.passed:
                    raise make(TimeoutError, f"Nothing came over the connection within {deadline}.")
                yield self._stream, deadline
            return b""

        return steps()

    def _finds(self, reader: DatagramReader) -> bool:
        """Whether a datagram is there to be taken."""
        if not self._found and not self._closed:
            # Less than a window waits there: more is taken only when all of that was.
            data = self._stream.incoming[OUTPUT].take(-1)
            self._session.took(self._stream, OUTPUT)
            try:
                self._found.extend(content for _, content in reader.read(data))
            except BrokenFrameError:
                self._session.lose("The agent does not keep to the protocol.")
        return bool(self._found) and not self._closed

    def _send_datagram(self, view: memoryview[int], deadline: Deadline) -> Waits[int]:
        if len(view) > LONGEST:
            raise condition_error(_TOO_LONG, f"A datagram of {len(view)} bytes is longer than any.")
        record: memoryview[int] | None = memoryview(datagram(view))
        while True:
            self._look()
            # One that was begun goes before all others.
            while self._rest or record:
                if not self._rest and record:
                    self._rest, record = record, None
                sent = self._session.send(self._stream, self._rest)
                self._rest = self._rest[sent:]
                if self._rest:
                    break
            if record is None:
                if not self._rest:
                    yield from self._session.sent(self._stream, deadline)
                if not self._rest or deadline.passed:
                    return len(view)
            if deadline.passed:
                raise make(TimeoutError, f"The datagram was not sent within {deadline}.")
            yield self._stream, deadline

    def _send(self, data: Any, deadline: Deadline, *, all_of_it: bool) -> Waits[int]:
        view = bytes_of("data", data)
        if self._reader is not None:
            return self._send_datagram(view, deadline)

        def steps() -> Waits[int]:
            sent = 0
            while True:
                self._look()
                if self._stream.output_ended or self._stream.done is not None:
                    raise condition_error(_BROKEN_PIPE, f"The connection to the guest's {self._name} takes no more.")
                sent += self._session.send(self._stream, view[sent:])
                if sent == len(view) or (sent and not all_of_it):
                    yield from self._session.sent(self._stream, deadline)
                    return sent
                if deadline.passed:
                    raise make(
                        TimeoutError,
                        f"The connection did not take its data within {deadline}.",
                        f"{sent} of {len(view)} bytes were sent.",
                    )
                yield self._stream, deadline

        return steps()

    def _shutdown(self, how: int) -> None:
        import socket

        self._look()
        if how not in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
            raise make(InvalidArgumentError, f"how is {how!r}.", "", "Give socket.SHUT_RD, SHUT_WR or SHUT_RDWR.")
        if how != socket.SHUT_RD:
            self._session.end(self._stream)
        if how != socket.SHUT_WR:
            # What comes is taken and dropped, as a socket does it.
            self._stream.incoming[OUTPUT].drop()
            self._session.took(self._stream, OUTPUT)

    def _end(self) -> None:
        if not self._closed:
            self._closed = True
            self._session.close(self._stream)
