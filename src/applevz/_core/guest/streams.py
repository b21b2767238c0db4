# SPDX-License-Identifier: Apache-2.0
"""Streams: what is under way in a guest, as the host knows it.

Each channel has a credit. What the guest sends beyond it is refused, so no more than a window waits here for anybody.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any, Final, TypeVar

from ..deadline import Deadline

__all__ = ["ERRORS", "INPUT", "OUTPUT", "Incoming", "Result", "Stream", "Subject", "Waits"]

Result = TypeVar("Result")

# Of a process; of all else the host sends on the first, and the agent on the second.
INPUT: Final = 0
OUTPUT: Final = 1
ERRORS: Final = 2


class Subject:
    """Something that changes, and that somebody may wait for."""

    __slots__ = ("__weakref__", "changes", "waiting")

    def __init__(self) -> None:
        self.changes = 0
        # Called at the next change. Each face has its own kind of waiting.
        self.waiting: list[Callable[[], Any]] = []

    def changed(self) -> None:
        self.changes += 1
        for wake in self.waiting:
            wake()


# The steps of a call. They yield what they wait for and until when, and go on if that changed or the time is over, and
# look which of them it was.
Waits = Generator[tuple[Subject, Deadline], None, Result]


class Incoming:
    """A channel of a stream on which the agent sends."""

    __slots__ = ("_chunks", "_taken", "credit", "dropping", "ended", "size", "taken_at_once")

    def __init__(self, window: int) -> None:
        self._chunks: deque[bytes] = deque()
        # So many bytes may the agent send.
        self.credit = window
        # So many bytes were taken, and are not given back as credit yet.
        self._taken = 0
        self.size = 0
        self.ended = False
        # Where bytes go that need not wait: for whoever takes all, as it comes. It gives them away without a copy.
        self.taken_at_once: io.BytesIO | None = None
        # Whether nobody wants what comes.
        self.dropping = False

    @property
    def consumed(self) -> bool:
        """Whether what comes waits for nobody."""
        return self.dropping or self.taken_at_once is not None

    def drop(self) -> None:
        """Drops what came and what comes."""
        self.dropping = True
        self.take(-1)

    def add(self, payload: memoryview[int]) -> None:
        self.credit -= len(payload)
        if self.dropping:
            self._taken += len(payload)
        elif self.taken_at_once is not None:
            self.taken_at_once.write(payload)
            self._taken += len(payload)
        else:
            self._chunks.append(bytes(payload))
            self.size += len(payload)

    def take_all_at_once(self) -> io.BytesIO:
        """Has everything from here on go into what is returned."""
        if self.taken_at_once is None:
            self.taken_at_once = io.BytesIO()
            self.taken_at_once.write(self.take(-1))
        return self.taken_at_once

    def take(self, size: int) -> bytes:
        """Takes up to so many bytes, -1 for all."""
        if size < 0 or size >= self.size:
            data = b"".join(self._chunks) if len(self._chunks) != 1 else self._chunks[0]
            self._chunks.clear()
        else:
            parts, left = [], size
            while left:
                chunk = self._chunks.popleft()
                if len(chunk) > left:
                    self._chunks.appendleft(chunk[left:])
                    chunk = chunk[:left]
                parts.append(chunk)
                left -= len(chunk)
            data = b"".join(parts)
        self.size -= len(data)
        self._taken += len(data)
        return data

    def give_back(self, data: bytes) -> None:
        """Puts back what was taken, for somebody else to take."""
        if data:
            self._chunks.appendleft(data)
            self.size += len(data)
            self._taken -= len(data)

    def find(self, byte: bytes, searched: int) -> int:
        """Where the first such byte ends, behind those that were searched; -1 if it is not there."""
        before = 0
        for chunk in self._chunks:
            behind = before + len(chunk)
            if behind > searched and (found := chunk.find(byte, max(searched - before, 0))) >= 0:
                return before + found + 1
            before = behind
        return -1

    def credit_to_give(self, window: int) -> int:
        """The credit that the agent gets back now: 0 until it is worth a frame."""
        # Once it ended nobody sends any more.
        if self._taken < window // 4 or self.ended:
            return 0
        given, self._taken = self._taken, 0
        self.credit += given
        return given


class Stream(Subject):
    """Something that was begun in the guest."""

    __slots__ = (
        "credit",
        "done",
        "exited",
        "failed",
        "halves",
        "incoming",
        "lost",
        "number",
        "output_ended",
        "over",
        "started",
        "unread",
    )

    def __init__(self, number: int, window: int, incoming: Iterable[int], *, halves: bool = False) -> None:
        """`incoming` are the channels on which the agent sends. `halves` says that the stream is over when both sides
        ended what they send, as a connection is."""
        super().__init__()
        self.number = number
        self.halves = halves
        self.incoming = {channel: Incoming(window) for channel in incoming}
        # So many bytes may the host send.
        self.credit = window
        # Whether the host said that it sends no more.
        self.output_ended = False
        # Whether nobody in the guest reads what the host sends.
        self.unread = False
        # What the agent said: its payload, an errno and what failed, how a process ended, an errno and a path.
        self.started: bytes | None = None
        self.failed: tuple[int, str] | None = None
        self.exited: tuple[int, int] | None = None
        self.done: tuple[int, bytes] | None = None
        # Why nothing more is known of it; None while all is known.
        self.lost: str | None = None
        # Whether neither side sends anything more.
        self.over = False

    @property
    def all_came(self) -> bool:
        """Whether each channel of the agent's has ended."""
        return all(channel.ended for channel in self.incoming.values())
