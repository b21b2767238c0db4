# SPDX-License-Identifier: Apache-2.0
"""Connections that are carried: bytes between a socket of the host and a connection in the guest, both ways.

A half that one side ends is ended on the other. Nothing is read that the other side would not take: what it does not
take yet waits in its own system's buffers. A connection that breaks on one side is reset on the other.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from typing import Final, Protocol

from ...errors import Error
from .relay import Link, Relay
from .streams import OUTPUT, Stream, Waits

__all__ = ["Carried", "Head"]

_AT_A_TIME: Final = 1 << 16
# A link that has much to carry lets others step after so many bytes.
_ENOUGH: Final = 1 << 19
_RESET: Final = struct.pack("ii", 1, 0)


class Head(Protocol):
    """The forward of a connection."""

    def opened(self, link: Carried) -> socket.socket | None:
        """Gives the host's socket for a connection that the guest has got; it may be connecting. None if it has one."""

    def ended(self, link: Link, error: Error | OSError | None) -> None:
        """Says that a link is over."""


class Carried(Link):
    """A connection."""

    def __init__(self, relay: Relay, head: Head, steps: Waits[Stream], accepted: socket.socket | None = None) -> None:
        """`steps` are those that make the guest's connection."""
        super().__init__(relay)
        self._head: Head | None = head
        self._steps = steps
        self._stream: Stream | None = None
        self._connecting = False
        # What was received and not sent, which is less than a read takes.
        self._rest: memoryview[int] = memoryview(b"")
        self._received_all = False
        self._sent_all = False
        if accepted is not None:
            relay.own(self, accepted)

    @property
    def is_open(self) -> bool:
        """Whether the guest has the connection."""
        return self._stream is not None

    def step(self) -> None:
        if self._stream is None:
            self._begin()
        stream, own = self._stream, self.socket
        if stream is None or own is None:
            return
        if self._connecting and not self._is_connected(own):
            self.reading, self.writing = False, True
            return
        if stream.lost is not None or (stream.over and not (stream.output_ended and stream.all_came)):
            self._reset()
            return
        more = self._carry_out(own, stream)
        more |= self._carry_in(own, stream)
        if self._received_all and self._sent_all and not self._rest:
            self.end()
        elif more:
            self.wake()

    def _begin(self) -> None:
        """Goes on until the guest has the connection, and then has the host's."""
        stream = self._go_on()
        if stream is None:
            return
        self._stream = stream
        stream.waiting.append(self.wake)
        made = None if self._head is None else self._head.opened(self)
        if made is not None:
            self._relay.own(self, made)
            self._connecting = True

    def _is_connected(self, own: socket.socket) -> bool:
        if number := own.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(number, os.strerror(number))
        try:
            own.getpeername()
        except OSError:
            return False
        self._connecting = False
        return True

    def _carry_out(self, own: socket.socket, stream: Stream) -> bool:
        """From the guest to the host. Returns whether there is more to do."""
        incoming = stream.incoming[OUTPUT]
        carried, self.writing = 0, False
        while incoming.size and carried < _ENOUGH and not self.writing:
            data = incoming.take(_AT_A_TIME)
            sent = 0
            try:
                sent = own.send(data)
            except BlockingIOError:
                self.writing = True
            finally:
                incoming.give_back(data[sent:])
            carried += sent
        self.session.took(stream, OUTPUT)
        if incoming.ended and not incoming.size and not self._sent_all:
            self._sent_all = True
            with suppress(OSError):
                own.shutdown(socket.SHUT_WR)
        return incoming.size > 0 and not self.writing

    def _carry_in(self, own: socket.socket, stream: Stream) -> bool:
        """From the host to the guest. Returns whether there is more to do."""
        carried = 0
        while carried < _ENOUGH:
            if self._rest:
                sent = self.session.send(stream, self._rest)
                carried += sent
                self._rest = self._rest[sent:]
            if self._rest or self._received_all or not stream.credit:
                break
            try:
                data = own.recv(min(_AT_A_TIME, stream.credit))
            except BlockingIOError:
                break
            self._rest = memoryview(data)
            self._received_all = not data
        if self._received_all and not self._rest:
            self.session.end(stream)
        self.reading = not self._received_all and not self._rest and stream.credit > 0
        return carried >= _ENOUGH

    def _reset(self) -> None:
        if self.socket is not None:
            # Whoever is there is to see that it broke, and not an end.
            with suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if self._stream is not None:
            self.session.close(self._stream, reset=True)
        self.end()

    def failed(self, error: Error | OSError) -> None:
        head = self._head
        self._head = None
        if head is not None:
            # First: whoever sees the reset may ask why.
            head.ended(self, error)
        self._reset()

    def end(self) -> None:
        super().end()
        stream = self._stream
        if stream is not None:
            self._stream = None
            self.close_stream(stream)
        self._rest = memoryview(b"")
        head = self._head
        if head is not None:
            self._head = None
            head.ended(self, None)
