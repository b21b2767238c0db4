# SPDX-License-Identifier: Apache-2.0
"""Forwards of UDP. Each peer has something of its own to answer to, as behind a NAT, until it was silent for a while.

A datagram for which there is no room is lost.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from ...errors import Error
from .connection import connect
from .datagrams import LONGEST, DatagramReader, datagram
from .forward_heads import MOST_LINKS, Forwarding, FromGuest, FromHost
from .frames import BrokenFrameError
from .places import GuestPlace, HostPlace
from .relay import NEVER, Link, Relay
from .session import Session
from .streams import OUTPUT, Stream

__all__ = ["DatagramsToGuest", "DatagramsToHost"]

# A peer that was silent for so many seconds is forgotten.
_IDLE: Final = 120.0
# So many bytes, and datagrams, wait for the guest.
_MOST_HELD: Final = 1 << 18
_MOST_QUEUED: Final = 256
_AT_ONCE: Final = 64


class _Outgoing:
    """Datagrams on their way to a stream. Those that find no room are dropped."""

    def __init__(self) -> None:
        self._records: deque[memoryview[int]] = deque()
        self._held = 0

    def put(self, record: bytes) -> None:
        if self._held < _MOST_HELD and len(self._records) < _MOST_QUEUED:
            self._records.append(memoryview(record))
            self._held += len(record)

    def send(self, session: Session, stream: Stream) -> None:
        """Sends what goes. The rest of one that was begun goes before all others."""
        records = self._records
        while records:
            sent = session.send(stream, records[0])
            self._held -= sent
            if sent < len(records[0]):
                records[0] = records[0][sent:]
                return
            records.popleft()

    def clear(self) -> None:
        self._records.clear()
        self._held = 0


def _came(session: Session, stream: Stream, reader: DatagramReader) -> Iterator[tuple[bytes, bytes]]:
    """What came from the guest."""
    data = stream.incoming[OUTPUT].take(-1)
    session.took(stream, OUTPUT)
    try:
        yield from reader.read(data)
    except BrokenFrameError:
        session.lose("The agent does not keep to the protocol.")


class _Peer(Link):
    """Somebody who sends and is answered."""

    def __init__(self, head: Forwarding) -> None:
        super().__init__(head.relay)
        self._head: Forwarding | None = head
        self.last = time.monotonic()

    def used(self) -> None:
        self.last = time.monotonic()

    def look_whether_idle(self) -> bool:
        """Ends it if it was silent for too long, and else says when to look again."""
        self.due = self.last + _IDLE
        if time.monotonic() < self.due:
            return False
        self.end()
        return True

    def failed(self, error: Error | OSError) -> None:
        head = self._head
        self._head = None
        if head is not None:
            head.ended(self, error)
        self.end()

    def end(self) -> None:
        super().end()
        head = self._head
        self._head = None
        if head is not None:
            head.ended(self, None)


class _PeerOfHost(_Peer):
    """One of the host's, with a socket of its own in the guest."""

    def __init__(self, head: DatagramsToGuest, address: Any) -> None:
        super().__init__(head)
        self.address = address
        self._steps = connect(head.session, (str(head.guest), head.guest.payload), NEVER)
        self._stream: Stream | None = None
        self._outgoing = _Outgoing()
        self._reader = DatagramReader(peers=False)

    def send(self, data: bytes) -> None:
        self.used()
        self._outgoing.put(datagram(data))
        self.wake()

    def step(self) -> None:
        if self.look_whether_idle():
            return
        if self._stream is None:
            self._stream = self._go_on()
            if self._stream is None:
                return
            self._stream.waiting.append(self.wake)
        if self._stream.over:
            self.end()
            return
        self._outgoing.send(self.session, self._stream)
        for _, data in _came(self.session, self._stream, self._reader):
            self.used()
            if isinstance(self._head, DatagramsToGuest):
                self._head.answer(data, self.address)

    def end(self) -> None:
        super().end()
        stream = self._stream
        if stream is not None:
            self._stream = None
            self.close_stream(stream)
        self._outgoing.clear()


class _PeersForwarding(Forwarding):
    """A forward with peers."""

    def __init__(self, relay: Relay, host: HostPlace, guest: GuestPlace, *listening: Any) -> None:
        self._peers: dict[Any, _Peer] = {}
        super().__init__(relay, host, guest, *listening)

    def _peer(self, key: Any) -> _Peer:
        peer = self._peers.get(key)
        if peer is None:
            if len(self._peers) >= MOST_LINKS:
                min(self._peers.values(), key=lambda each: each.last).end()
            peer = self._made(key)
            self._peers[key] = peer
            self.added(peer)
        return peer

    def _made(self, key: Any) -> _Peer:
        raise NotImplementedError

    def ended(self, link: Link, error: Error | OSError | None) -> None:
        for key in [key for key, peer in self._peers.items() if peer is link]:
            del self._peers[key]
        super().ended(link, error)


class DatagramsToGuest(_PeersForwarding, FromHost):
    """What is sent to the host's port is sent to the guest's, and answers come back to whom they are for."""

    def _made(self, key: Any) -> _Peer:
        return _PeerOfHost(self, key)

    def step(self) -> None:
        for _ in range(_AT_ONCE):
            if self.socket is None:
                return
            try:
                data, address = self.socket.recvfrom(LONGEST)
            except BlockingIOError:
                return
            peer = self._peer(address)
            if isinstance(peer, _PeerOfHost):
                peer.send(data)

    def failed(self, error: Error | OSError) -> None:
        self.error = error

    def answer(self, data: bytes, address: Any) -> None:
        if self.socket is not None:
            # One for which there is no room, or whose receiver is gone, is lost.
            try:
                self.socket.sendto(data, address)
            except OSError as error:
                self.error = error


class _PeerOfGuest(_Peer):
    """One of the guest's, with a socket of its own on the host."""

    def __init__(self, head: DatagramsToHost, name: bytes) -> None:
        super().__init__(head)
        self._name = name
        self._relay.own(self, head.host.connect())
        self.reading = True

    def send(self, data: bytes) -> None:
        self.used()
        if self.socket is not None:
            try:
                self.socket.send(data)
            except OSError as error:
                if self._head is not None:
                    self._head.error = error

    def step(self) -> None:
        if self.look_whether_idle():
            return
        head = self._head
        for _ in range(_AT_ONCE):
            if self.socket is None or not isinstance(head, DatagramsToHost):
                return
            try:
                data = self.socket.recv(LONGEST)
            except BlockingIOError:
                return
            except ConnectionError as error:
                # Nobody is there for what was sent. Somebody may be for what comes next.
                head.error = error
                continue
            self.used()
            head.answer(data, self._name)


class DatagramsToHost(_PeersForwarding, FromGuest):
    """What is sent to the guest's port is sent to the host's, and answers come back to whom they are for."""

    def __init__(self, relay: Relay, host: HostPlace, guest: GuestPlace, stream: Stream) -> None:
        self._outgoing = _Outgoing()
        self._reader = DatagramReader(peers=True)
        super().__init__(relay, host, guest, stream)

    def _made(self, key: Any) -> _Peer:
        return _PeerOfGuest(self, key)

    def listens(self, stream: Stream) -> None:
        super().listens(stream)
        # What was half sent, or had half come, went with the one before.
        self._outgoing.clear()
        self._reader = DatagramReader(peers=True)

    def serve(self, stream: Stream) -> None:
        self._outgoing.send(self.session, stream)
        for name, data in _came(self.session, stream, self._reader):
            try:
                peer = self._peer(name)
            except OSError as error:
                self.error = error
                continue
            if isinstance(peer, _PeerOfGuest):
                peer.send(data)

    def answer(self, data: bytes, name: bytes) -> None:
        self._outgoing.put(datagram(data, name))
        self.wake()
