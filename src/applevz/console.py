# SPDX-License-Identifier: Apache-2.0
"""The console of a guest, read and written by blocking: what a call does stands in `_console.py`."""

from __future__ import annotations

import re
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from ._console import LONGEST, BaseConsole, Waits
from ._deadline import Deadline
from ._native import release
from .errors import TimeoutError, make

__all__ = ["Console"]

Result = TypeVar("Result")

# What is waited for in a console is either its pipe, which wakes at once, or the end of its machine, which nothing that
# poll() knows announces: so long may it take until that is seen.
_LOOK_AGAIN: Final = 0.05


class Console(BaseConsole):
    """A serial port's other side.

    What the guest prints waits in a pipe of up to 1 MiB until it is read. Under Apple's framework the guest then waits;
    QEMU's console device drops what its host does not take (hw/char/virtio-console.c), so read what must not be lost
    while it comes. Any number of threads may use a console: one reads, and one writes, at a time. Durations are
    seconds, and None is no limit.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reading = threading.Lock()
        self._writing = threading.Lock()

    def close(self) -> None:
        """Gives the pipes back. Whoever reads or writes gets `InvalidStateError`; the guest's output is lost."""
        self._closed = True
        with self._reading, self._writing:
            release(self._descriptors)

    def read(self, size: int = -1, timeout: float | None = None) -> bytes:
        """What the guest printed: waits until there is something, and returns up to `size` bytes of it (-1: all).

        Returns `b""` when the machine is stopped, or not yet started, and everything was read. Raises `TimeoutError`.
        """
        deadline = Deadline(timeout)
        return self._run(self._reading, self._read(size, deadline), deadline)

    def read_until(
        self,
        pattern: bytes | str | re.Pattern[bytes] | re.Pattern[str],
        timeout: float | None = None,
        limit: int = LONGEST,
    ) -> bytes:
        """What the guest printed, up to and with the first match of `pattern`: bytes, text, or a compiled expression.

        What comes after stays for the next call, and so does everything if this one fails: with `TimeoutError`, which
        shows what the guest printed last; `EndOfConsoleError` if the machine stopped; or `InvalidStateError` if more
        than `limit` bytes came without a match.
        """
        deadline = Deadline(timeout)
        return self._run(self._reading, self._read_until(pattern, deadline, limit), deadline)

    def readline(self, timeout: float | None = None) -> bytes:
        r"""The next line with its `b"\n"`; without one the rest, if the machine stopped; then `b""`."""
        deadline = Deadline(timeout)
        return self._run(self._reading, self._read_line(deadline), deadline)

    def __iter__(self) -> Iterator[bytes]:
        """The lines that the guest prints, until the machine stops."""
        return iter(self.readline, b"")

    def write(self, data: bytes | str, timeout: float | None = None) -> None:
        """Types `data` (text in UTF-8) into the console. Raises `TimeoutError` if the guest does not take it in time,
        which names how many bytes it was given, and `EndOfConsoleError` if its machine stopped with the pipe full."""
        deadline = Deadline(timeout)
        self._run(self._writing, self._write(data, deadline), deadline)

    def _run(self, lock: threading.Lock, waits: Waits[Result], deadline: Deadline) -> Result:
        """Goes through the steps, and blocks this thread where they wait."""
        with self._turn(lock, deadline):
            event = select.POLLIN if lock is self._reading else select.POLLOUT
            try:
                while True:
                    descriptor, until = next(waits)
                    poll = select.poll()
                    poll.register(descriptor, event)
                    # Rounded up: a wait of less than a millisecond is not a loop without one.
                    poll.poll(until.remaining(_LOOK_AGAIN) * 1000 + 1)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            finally:
                waits.close()

    @contextmanager
    def _turn(self, lock: threading.Lock, deadline: Deadline) -> Iterator[None]:
        if not lock.acquire(timeout=deadline.remaining(threading.TIMEOUT_MAX)):
            raise make(TimeoutError, f"Another thread used the console for {deadline}.")
        try:
            self._look_whether_closed()
            yield
        finally:
            lock.release()
