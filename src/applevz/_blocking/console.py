# SPDX-License-Identifier: Apache-2.0
"""The console whose calls block. `_core/console.py` decides what each call does."""

from __future__ import annotations

import re
import select
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, TypeVar

from .._core.console import LONGEST, BaseConsole, Waits
from .._core.deadline import Deadline
from ..errors import Error, InvalidStateError
from ._turn import Place, Turn

__all__ = ["Console"]

Result = TypeVar("Result")

# A wait is for the pipe, which wakes at once, or for the end of the machine, which no descriptor announces: so many
# seconds may pass before that end is seen.
_LOOK_AGAIN: Final = 0.05


class Console(BaseConsole):
    """The host's end of a guest's port: what the guest prints, and what is typed into it.

    What the guest prints waits in a pipe of up to 1 MiB until it is read. If the pipe is full, the guest waits under
    Apple's framework; QEMU's console device drops what its host does not take (hw/char/virtio-console.c), so read while
    it comes what must not be lost.

    Any number of threads may use a console: one reads, and one writes, at a time. A signal's handler or a finalizer
    that runs while its own thread reads cannot read, and one that runs while its thread writes cannot write: that is an
    `InvalidStateError`. Either can close the console. Durations are in seconds; None is no limit.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reading = Turn("reads the console")
        self._writing = Turn("writes to the console")

    def close(self) -> None:
        """Closes the console, without waiting. What the guest prints from here on is lost.

        A call of another thread that reads or writes raises `InvalidStateError` some milliseconds later, and keeps the
        pipe until then.
        """
        self._closed = True
        self._give_back()

    def read(self, size: int = -1, timeout: float | None = None) -> bytes:
        """Returns what the guest printed: up to `size` bytes (-1: all). Waits until there is something.

        Returns `b""` if the machine is stopped, or not yet started, and everything was read. Raises `TimeoutError`.
        """
        deadline = Deadline(timeout)
        return self._run(self._reading, self._read(size, deadline), deadline)

    def read_until(
        self,
        pattern: bytes | bytearray | str | re.Pattern[bytes] | re.Pattern[str],
        timeout: float | None = None,
        limit: int = LONGEST,
    ) -> bytes:
        """Returns what the guest printed, up to and with the first match of `pattern`.

        `pattern` is bytes, text or a compiled regular expression.
        What comes after the match stays for the next call. If a call fails, everything stays. It fails with
        `TimeoutError`, which shows what the guest printed last; with `EndOfConsoleError` if the machine stopped; with
        `InvalidStateError` if more than `limit` bytes came without a match. A pattern that matches an empty text,
        as `b""` and `x*`, is refused with `InvalidArgumentError`. If a match has no length, as one of `(?=# )`, the
        bytes before it are returned.
        """
        deadline = Deadline(timeout)
        return self._run(self._reading, self._read_until(pattern, deadline, limit), deadline)

    def readline(self, timeout: float | None = None) -> bytes:
        r"""Returns the next line with its `b"\n"`. If the machine stopped, returns the rest, and then `b""`.

        Raises `TimeoutError`.
        """
        deadline = Deadline(timeout)
        return self._run(self._reading, self._read_line(deadline), deadline)

    def peek(self) -> bytes:
        """Returns the last that the guest printed, at most 64 KiB, without waiting. It stays to be read.

        Raises `TimeoutError` if another thread reads.
        """
        return self._run(self._reading, self._peek(), Deadline(0))

    def catch_up(self) -> None:
        """Receives what came, for its machine to look through. It stays to be read. Never waits or fails.

        If somebody reads, nothing is done: the reader receives it.
        """
        if self._closed or self._reading.taken:
            return
        with suppress(Error):
            self._run(self._reading, self._drain(), Deadline(0))

    def __iter__(self) -> Iterator[bytes]:
        """The lines that the guest prints, until the machine stops."""
        return iter(self.readline, b"")

    def write(self, data: bytes | bytearray | memoryview | str, timeout: float | None = None) -> None:
        """Types `data` into the console. Text is encoded as UTF-8.

        Raises `TimeoutError` if the guest does not take it in time; the error says how many bytes were written. Raises
        `EndOfConsoleError` if the machine stopped with the pipe full.
        """
        deadline = Deadline(timeout)
        self._run(self._writing, self._write(data, deadline), deadline)

    def _run(self, turn: Turn, waits: Waits[Result], deadline: Deadline) -> Result:
        """Goes through the steps, blocks this thread while they wait, and returns their result."""
        event = select.POLLIN if turn is self._reading else select.POLLOUT
        place = Place()
        with place.held:
            try:
                turn.take(place, deadline)
                self._look_whether_closed()
                while True:
                    descriptor, until = next(waits)
                    with descriptor as number:
                        poll = select.poll()
                        poll.register(number, event)
                        # Rounded up: a wait of less than a millisecond is not a loop without one.
                        poll.poll(until.remaining(_LOOK_AGAIN) * 1000 + 1)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            except InvalidStateError:
                # A descriptor's, if the console was closed between two steps.
                self._look_whether_closed()
                raise
            finally:
                turn.leave(place)
                waits.close()
