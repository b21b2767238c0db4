# SPDX-License-Identifier: Apache-2.0
"""The console of a guest: what it prints, and what is typed into it.

A console is two pipes. The machine has duplicates of the guest's ends for as long as it can be started again, so no
end of file tells that a machine stopped; a console therefore looks at its machine's state while it waits.
"""

from __future__ import annotations

import fcntl
import functools
import os
import re
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from ._arguments import integer, shown, wrong_type
from ._deadline import Deadline
from ._native import Reference, ffi, lib, release
from .configuration import FileHandleSerialPortAttachment
from .errors import (
    EndOfConsoleError,
    Error,
    ForkedError,
    InvalidArgumentError,
    InvalidStateError,
    TimeoutError,
    make,
    make_posix,
)

__all__ = ["Console", "console_of"]

# What is waited for in a console is either its pipe, which wakes at once, or the end of its machine, which nothing that
# poll() knows announces: so long may it take until that is seen.
_LOOK_AGAIN: Final = 0.05
# What the guest may print before anybody reads. The system may have a lower limit, which is then the one that holds.
_CAPACITY: Final = 1 << 20
_CHUNK: Final = 1 << 16
_TAIL: Final = 1 << 16
_SHOWN: Final = 200
_ENDED: Final = (lib.APPLEVZ_MACHINE_STATE_STOPPED, lib.APPLEVZ_MACHINE_STATE_ERROR)


class _End:
    """A guest's end of a pipe. It keeps its console, whose finalizer closes the descriptor."""

    __slots__ = ("_descriptor", "console")

    def __init__(self, console: Console, descriptor: int) -> None:
        self.console = console
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Raises `InvalidStateError` once the console is closed: the number may be another file's by then."""
        if self.console.closed:
            raise make(InvalidStateError, "The console was closed.")
        return self._descriptor


class Console:
    """A serial port's other side.

    What the guest prints waits in a pipe of up to 1 MiB until it is read. Under Apple's framework the guest waits then;
    QEMU's console device drops what its host does not take (hw/char/virtio-console.c), so read what must not be lost
    while it comes. Any number of threads may use a console: one reads, and one writes, at a time. Durations are
    seconds, and None is no limit.
    """

    def __init__(self) -> None:
        self._machine: Reference | None = None
        self._process = os.getpid()
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._closed = False
        self._received = bytearray()
        self._last = bytearray()
        descriptors: list[int] = []
        # Closed by whichever comes first: close(), this object's end, or a failure on the next lines.
        self._descriptors = ffi.gc(ffi.new("char *"), functools.partial(_close, descriptors, os.close))
        try:
            descriptors += os.pipe()
            descriptors += os.pipe()
        except OSError as error:
            release(self._descriptors)
            raise make_posix(error, "No console can be made.", "Close files that are no longer needed.") from None
        self._from_guest, self._guest_writing, self._guest_reading, self._to_guest = descriptors
        os.set_blocking(self._from_guest, False)
        os.set_blocking(self._to_guest, False)
        set_size = getattr(fcntl, "F_SETPIPE_SZ", None)
        if set_size is not None:
            with suppress(OSError):
                fcntl.fcntl(self._from_guest, set_size, _CAPACITY)

    def __repr__(self) -> str:
        return f"<Console{' (closed)' if self._closed else ''}>"

    @property
    def attachment(self) -> FileHandleSerialPortAttachment:
        """What a serial port is given so that this is its other side. Raises `InvalidStateError` once it is closed."""
        if self._closed:
            raise make(InvalidStateError, "The console was closed.")
        return FileHandleSerialPortAttachment(_End(self, self._guest_reading), _End(self, self._guest_writing))

    @property
    def has_machine(self) -> bool:
        """Whether a machine was made with this console."""
        return self._machine is not None

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def tail(self) -> bytes:
        """The last 64 KiB at most of all that was received from the guest."""
        return bytes(self._last[-_TAIL:])

    def attach(self, machine: Reference) -> None:
        """Called by a machine that was made with this console. The machine lives at least as long as the console."""
        self._machine = machine

    def close(self) -> None:
        """Gives the pipes back. Whoever reads or writes gets `InvalidStateError`; the guest's output is lost."""
        self._closed = True
        with self._reading, self._writing:
            release(self._descriptors)

    def read(self, size: int = -1, timeout: float | None = None) -> bytes:
        """What the guest printed: waits until there is something, and returns up to `size` bytes of it (-1: all).

        Returns `b""` when the machine is stopped, or not yet started, and everything was read. Raises `TimeoutError`.
        """
        wanted = None if size == -1 else integer("size", size, "Give a number of bytes, or -1 for all there is.")
        deadline = Deadline(timeout)
        with self._turn(self._reading, deadline):
            if wanted == 0 or (not self._received and not self._receive(deadline)):
                return b""
            return self._take(len(self._received) if wanted is None else wanted)

    def read_until(
        self,
        pattern: bytes | str | re.Pattern[bytes] | re.Pattern[str],
        timeout: float | None = None,
        limit: int = 1 << 24,
    ) -> bytes:
        """What the guest printed, up to and with the first match of `pattern`: bytes, text, or a compiled expression.

        What comes after stays for the next call, and so does everything if this one fails: with `TimeoutError`, which
        shows what the guest printed last; `EndOfConsoleError` if the machine stopped; or `InvalidStateError` if more
        than `limit` bytes came without a match.
        """
        find = _finder(pattern)
        limit = integer("limit", limit)
        deadline = Deadline(timeout)
        with self._turn(self._reading, deadline):
            searched = 0
            while (end := find(self._received, searched)) < 0:
                searched = len(self._received)
                if searched > limit:
                    raise self._failure(InvalidStateError, f"More than {limit} bytes came without {shown(pattern)}.")
                try:
                    received = self._receive(deadline)
                except TimeoutError:
                    raise self._failure(
                        TimeoutError, f"The guest did not print {shown(pattern)} within {deadline}."
                    ) from None
                if not received:
                    raise self._failure(
                        EndOfConsoleError, f"The machine stopped before its guest printed {shown(pattern)}."
                    )
            return self._take(end)

    def readline(self, timeout: float | None = None) -> bytes:
        r"""The next line with its `b"\n"`; without one the rest, if the machine stopped; then `b""`."""
        deadline = Deadline(timeout)
        try:
            return self.read_until(b"\n", timeout)
        except EndOfConsoleError:
            with self._turn(self._reading, deadline):
                return self._take(len(self._received))

    def __iter__(self) -> Iterator[bytes]:
        """The lines that the guest prints, until the machine stops."""
        return iter(self.readline, b"")

    def write(self, data: bytes | str, timeout: float | None = None) -> None:
        """Types `data` (text in UTF-8) into the console. Raises `TimeoutError` if the guest does not take it in time,
        which names how many bytes it was given, and `EndOfConsoleError` if its machine stopped with the pipe full."""
        if isinstance(data, str):
            try:
                data = data.encode()
            except UnicodeEncodeError as error:
                raise make(
                    InvalidArgumentError, f"data is {shown(data)}, which UTF-8 cannot encode.", f"{error.reason}."
                ) from None
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise wrong_type("data", data, "bytes or text (str)")
        rest = memoryview(data).cast("B")
        size = len(rest)
        deadline = Deadline(timeout)
        with self._turn(self._writing, deadline):
            while rest:
                ended = self._machine_ended()
                try:
                    rest = rest[os.write(self._to_guest, rest) :]
                    continue
                except BlockingIOError:
                    pass
                words = f"{size - len(rest)} of {size} bytes were written."
                if ended:
                    raise make(EndOfConsoleError, "The machine is stopped and takes no more input.", words)
                if deadline.passed:
                    raise make(TimeoutError, f"The guest did not take its input within {deadline}.", words)
                self._wait(self._to_guest, select.POLLOUT, deadline)

    def _take(self, size: int) -> bytes:
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def _receive(self, deadline: Deadline) -> bool:
        """Adds to what was received; False at the end."""
        while True:
            # The state is looked at first: what the guest printed before it stopped is in the pipe by then.
            ended = self._machine_ended()
            try:
                data = os.read(self._from_guest, _CHUNK)
            except BlockingIOError:
                data = b""
            if data:
                self._received += data
                self._last += data
                if len(self._last) > 2 * _TAIL:
                    del self._last[:-_TAIL]
                return True
            if ended:
                return False
            if deadline.passed:
                raise self._failure(TimeoutError, f"The guest printed nothing within {deadline}.")
            self._wait(self._from_guest, select.POLLIN, deadline)

    def _machine_ended(self) -> bool:
        if self._closed:
            raise make(InvalidStateError, "The console was closed.")
        if self._machine is not None and os.getpid() != self._process:
            # The state that a forked child sees never changes, and what it reads its parent would miss.
            raise make(ForkedError, "The console belongs to the process that this one was forked from.")
        return self._machine is not None and lib.applevz_machine_state(self._machine) in _ENDED

    def _wait(self, descriptor: int, event: int, deadline: Deadline) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        # Rounded up: a wait of less than a millisecond is not a loop without one.
        poll.poll(deadline.remaining(_LOOK_AGAIN) * 1000 + 1)

    @contextmanager
    def _turn(self, lock: threading.Lock, deadline: Deadline) -> Iterator[None]:
        if not lock.acquire(timeout=deadline.remaining(threading.TIMEOUT_MAX)):
            raise make(TimeoutError, f"Another thread used the console for {deadline}.")
        try:
            if self._closed:
                raise make(InvalidStateError, "The console was closed.")
            yield
        finally:
            lock.release()

    def _failure(self, kind: type[Error], description: str) -> Error:
        last = bytes(self._last[-_SHOWN:])
        reason = f"The last that it printed: {last!r}" if last else "It has printed nothing so far."
        return make(kind, description, reason)


def console_of(attachment: FileHandleSerialPortAttachment) -> Console | None:
    """The console that the attachment is of."""
    end = attachment.file_handle_for_writing
    return end.console if isinstance(end, _End) else None


def _close(descriptors: list[int], close: Any, _: Reference) -> None:
    while descriptors:
        close(descriptors.pop())


def _finder(pattern: Any) -> Any:
    """A function of received bytes and of how many were searched already: the end of the first match, or -1."""
    if isinstance(pattern, re.Pattern):
        expression = pattern
        if isinstance(pattern.pattern, str):
            expression = re.compile(pattern.pattern.encode(), pattern.flags & ~re.UNICODE)

        def find_expression(received: bytearray, searched: int) -> int:
            match = expression.search(received)
            return match.end() if match else -1

        return find_expression
    if isinstance(pattern, str):
        pattern = pattern.encode("utf-8", "surrogateescape")
    if not isinstance(pattern, (bytes, bytearray)):
        raise wrong_type("pattern", pattern, "bytes, text (str) or a compiled regular expression")

    def find_text(received: bytearray, searched: int) -> int:
        begin = received.find(pattern, max(searched - len(pattern) + 1, 0))
        return begin + len(pattern) if begin >= 0 else -1

    return find_text
