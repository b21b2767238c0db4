# SPDX-License-Identifier: Apache-2.0
"""The console of a guest, as far as it is the same for both faces: all but the waiting.

A console is two pipes. The machine has duplicates of the guest's ends for as long as it can be started again, so no
end of file tells that a machine stopped; a console therefore looks at its machine's state each time it has waited.
"""

from __future__ import annotations

import fcntl
import functools
import os
import re
from collections.abc import Generator
from contextlib import suppress
from typing import Any, Final, TypeVar

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

__all__ = ["ENDED", "LONGEST", "BaseConsole", "Waits", "console_of"]

Result = TypeVar("Result")

# Yields a descriptor to wait for, and until when: the guest's output to be read, or its input to take more. Goes on
# when that came, the machine ended, the console was closed or the time is over, and looks for itself which.
Waits = Generator[tuple[int, Deadline], None, Result]

# What the guest may print before anybody reads. The system may have a lower limit, which is then the one that holds.
_CAPACITY: Final = 1 << 20
_CHUNK: Final = 1 << 16
# What a line, or what comes before a pattern, may have at most where nothing else is said.
LONGEST: Final = 1 << 24
_TAIL: Final = 1 << 16
_SHOWN: Final = 200
# Where a machine takes no input and prints nothing.
ENDED: Final = (lib.APPLEVZ_MACHINE_STATE_STOPPED, lib.APPLEVZ_MACHINE_STATE_ERROR)


class _End:
    """A guest's end of a pipe. It keeps its console, whose finalizer closes the descriptor."""

    __slots__ = ("_descriptor", "console")

    def __init__(self, console: BaseConsole, descriptor: int) -> None:
        self.console = console
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Raises `InvalidStateError` once the console is closed: the number may be another file's by then."""
        if self.console.closed:
            raise make(InvalidStateError, "The console was closed.")
        return self._descriptor


class BaseConsole:
    """A serial port's other side: its pipes, and what is done with them as steps for a face to go through."""

    def __init__(self) -> None:
        self._machine: Reference | None = None
        self._process = os.getpid()
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
        self._look_whether_closed()
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

    def _read(self, size: int, deadline: Deadline) -> Waits[bytes]:
        wanted = None if size == -1 else integer("size", size, "Give a number of bytes, or -1 for all there is.")

        def steps() -> Waits[bytes]:
            if wanted == 0 or (not self._received and not (yield from self._receive(deadline))):
                return b""
            return self._take(len(self._received) if wanted is None else wanted)

        return steps()

    def _read_until(self, pattern: Any, deadline: Deadline, limit: int) -> Waits[bytes]:
        find = _finder(pattern)
        limit = integer("limit", limit)

        def steps() -> Waits[bytes]:
            searched = 0
            while (end := find(self._received, searched)) < 0:
                searched = len(self._received)
                if searched > limit:
                    raise self._failure(InvalidStateError, f"More than {limit} bytes came without {shown(pattern)}.")
                try:
                    received = yield from self._receive(deadline)
                except TimeoutError:
                    raise self._failure(
                        TimeoutError, f"The guest did not print {shown(pattern)} within {deadline}."
                    ) from None
                if not received:
                    raise self._failure(
                        EndOfConsoleError, f"The machine stopped before its guest printed {shown(pattern)}."
                    )
            return self._take(end)

        return steps()

    def _read_line(self, deadline: Deadline) -> Waits[bytes]:
        try:
            return (yield from self._read_until(b"\n", deadline, LONGEST))
        except EndOfConsoleError:
            return self._take(len(self._received))

    def _write(self, data: bytes | str, deadline: Deadline) -> Waits[None]:
        if isinstance(data, str):
            try:
                data = data.encode()
            except UnicodeEncodeError as error:
                raise make(
                    InvalidArgumentError, f"data is {shown(data)}, which UTF-8 cannot encode.", f"{error.reason}."
                ) from None
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise wrong_type("data", data, "bytes or text (str)")
        return self._write_all(memoryview(data).cast("B"), deadline)

    def _write_all(self, rest: memoryview, deadline: Deadline) -> Waits[None]:
        size = len(rest)
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
            yield self._to_guest, deadline

    def _take(self, size: int) -> bytes:
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def _receive(self, deadline: Deadline) -> Waits[bool]:
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
            yield self._from_guest, deadline

    def _machine_ended(self) -> bool:
        self._look_whether_closed()
        if self._machine is not None and os.getpid() != self._process:
            # The state that a forked child sees never changes, and what it reads its parent would miss.
            raise make(ForkedError, "The console belongs to the process that this one was forked from.")
        return self._machine is not None and lib.applevz_machine_state(self._machine) in ENDED

    def _look_whether_closed(self) -> None:
        if self._closed:
            raise make(InvalidStateError, "The console was closed.")

    def _failure(self, kind: type[Error], description: str) -> Error:
        last = bytes(self._last[-_SHOWN:])
        reason = f"The last that it printed: {last!r}" if last else "It has printed nothing so far."
        return make(kind, description, reason)


def console_of(attachment: FileHandleSerialPortAttachment) -> BaseConsole | None:
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
