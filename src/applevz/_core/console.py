# SPDX-License-Identifier: Apache-2.0
"""The console of a guest: what both faces share, which is all but the waiting.

A console is two pipes. The machine has duplicates of the guest's ends for as long as it can be started again, so a
machine that stops causes no end of file. A console therefore looks at its machine's state each time it has waited.
"""

from __future__ import annotations

import fcntl
import os
import re
import weakref
from collections.abc import Generator, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

from .._native import Reference, descriptors, lib
from .._values.arguments import integer, shown, wrong_type
from .._values.unique import Unique
from ..configuration.consoles import FileHandleSerialPortAttachment
from ..errors import (
    EndOfConsoleError,
    Error,
    ForkedError,
    InvalidArgumentError,
    InvalidStateError,
    TimeoutError,
    check,
    make,
    make_posix,
)
from .deadline import Deadline
from .panics import panics_in
from .states import ENDED

__all__ = ["LONGEST", "SILENT", "BaseConsole", "End", "Waits", "console_of"]

Result = TypeVar("Result")

# Yields the descriptor to wait for and the deadline: until the guest's output can be read, or its input takes more.
# Goes on if that is so, the machine ended, the console was closed or the time is over, and looks which of them it was.
Waits = Generator[tuple[Reference, Deadline], None, Result]

# So many bytes may the guest print before anybody reads. A lower limit of the system's holds instead.
_CAPACITY: Final = 1 << 20
_CHUNK: Final = 1 << 16
# So many bytes may a line have, or what comes before a pattern, unless the caller gives another limit.
LONGEST: Final = 1 << 24
_TAIL: Final = 1 << 16
_SHOWN: Final = 200
# What is said of a guest whose kernel has printed nothing. It reaches the agent's port by the same drivers.
SILENT: Final = (
    "Look whether the guest's kernel has the drivers of a console, virtio_console and virtio_mmio or virtio_pci: built "
    "in, or as modules that its initial RAM disk loads. On Linux hosts LinuxBootLoader(early_console=True) shows what "
    "a kernel prints without them."
)


class End:
    """A guest's end of a pipe. It keeps its console."""

    __slots__ = ("console", "descriptor")

    def __init__(self, console: BaseConsole, descriptor: Reference) -> None:
        self.console = console
        self.descriptor = descriptor

    def fileno(self) -> int:
        """Raises `InvalidStateError` once the console is closed: the number may be another file's by then."""
        with self.descriptor as number:
            return number  # type: ignore[no-any-return]


class BaseConsole(Unique):
    """The host's end of a port: its pipes, and the steps of its calls, for a face to go through."""

    def __init__(self) -> None:
        self._machine: Reference | None = None
        self._process = os.getpid()
        self._closed = False
        self._received = bytearray()
        self._last = bytearray()
        self._is_kernels = False
        # Weak: a machine that is dropped is ended with its last reference, and each console has one.
        self._others: tuple[tuple[str, weakref.ref[BaseConsole]], ...] = ()
        self._has_shown_panic = False
        # Closed by `close`, or with whoever refers to them last.
        try:
            self._from_guest, self._guest_writing = descriptors(os.pipe)
            self._guest_reading, self._to_guest = descriptors(os.pipe)
        except OSError as error:
            raise make_posix(error, "No console can be made.", "Close files that are no longer needed.") from None
        with self._from_guest as reading, self._to_guest as writing:
            os.set_blocking(reading, False)
            os.set_blocking(writing, False)
            set_size = getattr(fcntl, "F_SETPIPE_SZ", None)
            if set_size is not None:
                with suppress(OSError):
                    fcntl.fcntl(reading, set_size, _CAPACITY)

    def __repr__(self) -> str:
        return f"<Console{' (closed)' if self._closed else ''}>"

    @property
    def attachment(self) -> FileHandleSerialPortAttachment:
        """The attachment that connects a port to this console. Raises `InvalidStateError` if the console is closed."""
        self._look_whether_closed()
        return FileHandleSerialPortAttachment(End(self, self._guest_reading), End(self, self._guest_writing))

    @property
    def guest_writing(self) -> Reference:
        """The descriptor to which the guest prints."""
        return self._guest_writing

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
        """The last bytes that were received from the guest: at most 64 KiB."""
        return bytes(self._last[-_TAIL:])

    def _give_back(self) -> None:
        """Closes the descriptors. One that somebody waits for is closed when that wait has ended."""
        for descriptor in (self._from_guest, self._guest_writing, self._guest_reading, self._to_guest):
            descriptor.release()

    def attach(self, machine: Reference, kernels: Mapping[str, BaseConsole]) -> None:
        """Tells the console its machine, which lives at least as long as the console, and those on which its kernel
        prints, by what an error calls them."""
        self._machine = machine
        self._is_kernels = any(console is self for console in kernels.values())
        self._others = tuple((name, weakref.ref(other)) for name, other in kernels.items() if other is not self)

    def catch_up(self) -> None:
        """Receives what came, which stays to be read, unless somebody reads, who receives it himself. Never waits or
        fails."""
        raise NotImplementedError

    def _drain(self) -> Waits[None]:
        """The steps of `catch_up`: there is none that waits. As much waits for a reader here as in the pipe."""
        # A forked child would take what its parent misses.
        self._machine_ended()
        while len(self._received) < _CAPACITY and self._receive_what_there_is():
            pass
        return
        yield

    def _read(self, size: int, deadline: Deadline) -> Waits[bytes]:
        wanted = None if size == -1 else integer("size", size, "Give a number of bytes, or -1 for all there is.")

        def steps() -> Waits[bytes]:
            if wanted == 0 or (not self._received and not (yield from self._receive(deadline))):
                return b""
            return self._take(len(self._received) if wanted is None else wanted)

        return steps()

    def _peek(self) -> Waits[bytes]:
        """The last that the guest printed, which stays to be read."""
        self._machine_ended()
        for _ in range(_CAPACITY // _CHUNK):
            if not self._receive_what_there_is():
                break
        return self.tail
        yield

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

    def _write(self, data: bytes | bytearray | memoryview | str, deadline: Deadline) -> Waits[None]:
        if isinstance(data, str):
            try:
                data = data.encode()
            except UnicodeEncodeError as error:
                raise make(
                    InvalidArgumentError, f"data is {shown(data)}, which UTF-8 cannot encode.", f"{error.reason}."
                ) from None
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise wrong_type("data", data, "bytes or text (str)")
        try:
            view = memoryview(data)
        except ValueError as error:
            raise make(InvalidArgumentError, f"data is {shown(data)}.", f"{str(error).capitalize()}.") from None
        # Of one that leaves bytes out, or has none, there is no view as bytes.
        plain = view.c_contiguous and view.nbytes > 0
        return self._write_all(view.cast("B") if plain else memoryview(view.tobytes()), deadline)

    def _write_all(self, rest: memoryview, deadline: Deadline) -> Waits[None]:
        size = len(rest)
        while rest:
            ended = self._machine_ended()
            try:
                with self._to_guest as descriptor:
                    written = os.write(descriptor, rest)
                rest = rest[written:]
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
        """Adds to what was received. False if the machine ended and everything was received."""
        while True:
            # The state is looked at first: what the guest printed before it stopped is in the pipe by then.
            ended = self._machine_ended()
            if self._receive_what_there_is():
                return True
            if ended:
                return False
            if deadline.passed:
                raise self._failure(TimeoutError, f"The guest printed nothing within {deadline}.")
            yield self._from_guest, deadline

    def _receive_what_there_is(self) -> bool:
        """Adds what can be read at once to what was received. False if that is nothing."""
        try:
            with self._from_guest as descriptor:
                data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return False
        self._received += data
        self._last += data
        if self._is_kernels:
            self._look_for_panic(len(data))
        if len(self._last) > 2 * _TAIL:
            del self._last[:-_TAIL]
        return bool(data)

    def _look_for_panic(self, size: int) -> None:
        begins, ends = panics_in(self._last, size)
        if begins or ends:
            # What was received is received, whatever comes of it.
            with suppress(Error):
                if begins:
                    check(lib.applevz_machine_tell_panic(self._machine, False, self._has_shown_panic))
                    self._has_shown_panic = True
                if ends:
                    check(lib.applevz_machine_tell_panic(self._machine, True, False))

    def _machine_ended(self) -> bool:
        self._look_whether_closed()
        if self._machine is not None and os.getpid() != self._process:
            # The state that a forked child sees never changes, and what it reads its parent would miss.
            raise make(ForkedError, "The console belongs to the process that this one was forked from.")
        return self._machine is not None and lib.applevz_machine_state(self._machine) in ENDED

    def _look_whether_closed(self) -> None:
        if self._closed:
            raise make(InvalidStateError, "The console was closed.") from None

    def _failure(self, kind: type[Error], description: str) -> Error:
        last = bytes(self._last[-_SHOWN:])
        reason = f"The last that it printed: {last!r}" if last else "It has printed nothing so far."
        for name, other in self._others:
            console = other()
            if console is not None:
                console.catch_up()
                if tail := console.tail[-_SHOWN:]:
                    last = tail
                    reason += f" On {name}: {tail!r}"
        return make(kind, description, reason, SILENT if self._is_kernels and not last else "")


def console_of(attachment: FileHandleSerialPortAttachment) -> BaseConsole | None:
    """The console that the attachment belongs to. None if it is no console's."""
    end = attachment.file_handle_for_writing
    return end.console if isinstance(end, End) else None


def _finder(pattern: Any) -> Any:
    """A function that finds the end of the first match in the received bytes, or -1. It is also given how many of them
    were searched already."""
    if isinstance(pattern, re.Pattern):
        expression = pattern
        if isinstance(pattern.pattern, str):
            expression = re.compile(_encoded(pattern.pattern), pattern.flags & ~re.UNICODE)
        if expression.search(b""):
            raise make(
                InvalidArgumentError,
                f"pattern is {shown(pattern)}, which matches where there is nothing.",
                "It would be found before the guest has printed anything.",
                "Give an expression that matches one byte at least.",
            )

        def find_expression(received: bytearray, searched: int) -> int:
            match = expression.search(received)
            return match.end() if match else -1

        return find_expression
    if isinstance(pattern, str):
        pattern = _encoded(pattern)
    if not isinstance(pattern, (bytes, bytearray)):
        raise wrong_type("pattern", pattern, "bytes, text (str) or a compiled regular expression")
    if not pattern:
        raise make(
            InvalidArgumentError,
            "pattern is empty.",
            "It would be found before the guest has printed anything.",
            "Give one byte at least, or use `read` for what there is.",
        )
    pattern = bytes(pattern)  # a bytearray may be changed meanwhile

    def find_text(received: bytearray, searched: int) -> int:
        begin = received.find(pattern, max(searched - len(pattern) + 1, 0))
        return begin + len(pattern) if begin >= 0 else -1

    return find_text


def _encoded(pattern: str) -> bytes:
    try:
        return pattern.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise make(
            InvalidArgumentError, f"pattern is {shown(pattern)}, which UTF-8 cannot encode.", f"{error.reason}."
        ) from None
