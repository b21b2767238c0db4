# SPDX-License-Identifier: Apache-2.0
"""Forwards of connections: of TCP, and of Unix sockets."""

from __future__ import annotations

import socket
import struct
import time
from typing import Final

from ...errors import Error
from . import frames
from .carrying import Carried
from .conditions import condition_error
from .connection import connect
from .forward_heads import MOST_LINKS, FromGuest, FromHost
from .relay import NEVER, Link
from .session import started
from .streams import OUTPUT, Stream, Waits

__all__ = ["ConnectionsToGuest", "ConnectionsToHost"]

_NUMBER: Final = struct.Struct("<I")
# So many connections does the guest give out before they are asked for one by one.
_ACCEPTING: Final = 8
# Without descriptors to spare nothing is accepted for so many seconds.
_REST: Final = 0.1


class ConnectionsToGuest(FromHost):
    """What connects to the host is connected to the guest. It waits there until the guest's agent answers."""

    def step(self) -> None:
        while self.socket is not None and len(self.links) < MOST_LINKS:
            try:
                accepted, _ = self.socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                break
            steps = connect(self.session, (str(self.guest), self.guest.payload), NEVER)
            self.added(Carried(self.relay, self, steps, accepted))
        self.reading = len(self.links) < MOST_LINKS

    def failed(self, error: Error | OSError) -> None:
        self.error = error
        self.reading = False
        self.due = time.monotonic() + _REST

    def opened(self, link: Carried) -> socket.socket | None:
        return None


class ConnectionsToHost(FromGuest):
    """What connects to the guest is connected to the host."""

    # Until when it rests.
    _rests = 0.0

    def serve(self, stream: Stream) -> None:
        if time.monotonic() < self._rests:
            self.due = self._rests
            return
        while len(self.links) < MOST_LINKS and len(self._accepting) < _ACCEPTING:
            self.added(Carried(self.relay, self, self._accept(stream)))

    @property
    def open_links(self) -> int:
        return len(self.links) - len(self._accepting)

    @property
    def _accepting(self) -> list[Link]:
        """Those that wait for a connection."""
        return [link for link in self.links if isinstance(link, Carried) and not link.is_open]

    def lose(self) -> None:
        super().lose()
        # Nobody is left to give them one.
        for link in self._accepting:
            link.end()

    def _accept(self, listening: Stream) -> Waits[Stream]:
        session = self.session
        stream = session.open(frames.ACCEPT, _NUMBER.pack(listening.number), [OUTPUT], halves=True)
        yield from started(
            session,
            stream,
            "while the guest was asked for a connection",
            lambda number, _: condition_error(number, f"The guest has no connection at {self.guest}."),
            f"The guest had no connection at {self.guest}",
            NEVER,
        )
        return stream

    def opened(self, link: Carried) -> socket.socket | None:
        # Another one may be asked for.
        self.wake()
        return self.host.connect()

    def ended(self, link: Link, error: Error | OSError | None) -> None:
        if error is not None:
            # A guest without descriptors would fail again and again.
            self._rests = time.monotonic() + _REST
        super().ended(link, error)
