# SPDX-License-Identifier: Apache-2.0
"""Files in a guest that are open: what both faces share, which is all but the waiting, and the buffers.

The agent sends what is in a file in order, and takes it in order. A file that is read elsewhere is opened there anew,
by its path: so a position costs a round trip, and nothing is kept open for it in the guest.
"""

from __future__ import annotations

import os
import stat
import struct
from typing import Any, Final, NamedTuple

from ..._values.arguments import encoding as check_encoding
from ..._values.arguments import integer, shown, wrong_type
from ..._values.unique import Unique
from ...errors import Error, InvalidArgumentError, InvalidStateError, TimeoutError, make
from ..deadline import Deadline
from . import frames
from .conditions import condition_error
from .files import open_payload, path_in_guest
from .process import bytes_of
from .session import Session, look, started
from .streams import OUTPUT, Stream, Waits

__all__ = ["BaseFile", "Mode", "mode_of", "open_file"]

_READ, _WRITE, _CREATE, _TRUNCATE, _EXCLUSIVE, _APPEND = 1, 2, 4, 8, 16, 32
_FLAGS: Final = {
    "r": _READ,
    "w": _WRITE | _CREATE | _TRUNCATE,
    "x": _WRITE | _CREATE | _EXCLUSIVE,
    "a": _WRITE | _CREATE | _APPEND,
}
_NEWLINES: Final = (None, "", "\n", "\r", "\r\n")
_STATUS: Final = struct.Struct("<QI")
_NOT_SEEKABLE: Final = 29
# The last position.
_LAST: Final = 2**63 - 1


class Mode(NamedTuple):
    """What a file is opened for."""

    flags: int
    binary: bool
    text: str

    @property
    def reading(self) -> bool:
        return bool(self.flags & _READ)


def mode_of(mode: Any, buffering: Any = -1, *, encoding: Any = None, errors: Any = None, newline: Any = None) -> Mode:
    """The mode of a call of `open`. Raises `InvalidArgumentError`."""
    if not isinstance(mode, str):
        raise wrong_type("mode", mode, 'a mode of `open`, as "rb"')
    verbs = [letter for letter in mode if letter in _FLAGS]
    if (
        len(verbs) != 1
        or len(set(mode)) != len(mode)
        or set(mode) - {*_FLAGS, "b", "t", "+"}
        or {"b", "t"} <= set(mode)
    ):
        raise make(
            InvalidArgumentError,
            f"mode is {shown(mode)}, which is none.",
            "",
            'Give one of "r", "w", "x" and "a", with "b" for bytes.',
        )
    if "+" in mode:
        raise make(
            InvalidArgumentError,
            f"mode is {shown(mode)}.",
            "A file of the guest's is read or written, not both.",
            "Open it twice, or copy it.",
        )
    if buffering != -1:
        number = integer("buffering", buffering, "Give a number of bytes, or -1.")
        if not number and "b" not in mode:
            raise make(InvalidArgumentError, "buffering is 0, and the file is one of text.", "", "Give -1.")
    if "b" in mode:
        for field, value in (("encoding", encoding), ("errors", errors), ("newline", newline)):
            if value is not None:
                raise make(InvalidArgumentError, f"{field} is {shown(value)}, and mode is {shown(mode)}.")
    else:
        check_encoding(encoding, errors)
        if newline is not None and not isinstance(newline, str):
            raise wrong_type("newline", newline, "text (str)")
        if newline not in _NEWLINES:
            suggestion = 'Give "\\n", "\\r" or "\\r\\n", "", or None, as to `open`.'
            raise make(InvalidArgumentError, f"newline is {shown(newline)}.", "", suggestion)
    return Mode(_FLAGS[verbs[0]], "b" in mode, mode)


class BaseFile(Unique):
    """A file that is open, and the steps of its calls, for a face to go through."""

    def __init__(self, session: Session, path: bytes, mode: Mode, permissions: int) -> None:
        self._session = session
        self._path = path
        self._flags = mode.flags
        self._permissions = permissions
        # None once all was read, or another position was asked for: then it is opened anew.
        self._stream: Stream | None = None
        self._size = 0
        self._regular = False
        self._position = 0
        self._over = False
        # What nobody could wait for.
        self._unsent = b""

    def __del__(self) -> None:
        stream = getattr(self, "_stream", None)
        if stream is not None:
            self._session.abandon(stream, None if self._flags & _READ else self._unsent)

    def leave(self, data: bytes) -> None:
        """Has the session send this, and end the file, once it is dropped."""
        self._unsent += data

    @property
    def is_regular(self) -> bool:
        return self._regular

    @property
    def position(self) -> int:
        return self._position

    def open(self, deadline: Deadline) -> Waits[Stream]:
        """Until it is open, at its position."""
        yield from self._session.ready(deadline)
        reading = self._flags & _READ
        payload = open_payload(self._flags, self._permissions, self._position, self._path)
        stream = self._session.open(frames.OPEN, payload, [OUTPUT] if reading else [])
        yield from started(
            self._session,
            stream,
            "while a file was being opened",
            lambda number, _: self._error(number, "opened"),
            "The file was not opened",
            deadline,
        )
        if stream.started is not None and len(stream.started) >= _STATUS.size:
            self._size, mode = _STATUS.unpack_from(stream.started)
            self._regular = stat.S_ISREG(mode)
        self._stream = stream
        return stream

    def _look(self, stream: Stream, what: str) -> None:
        look(stream, f"while a file was being {what}", lambda number, _: self._error(number, what))

    def _error(self, number: int, what: str) -> Error:
        return condition_error(number, f"The guest's file {{}} cannot be {what}.", self._path)

    def _in_use(self) -> None:
        if self._over:
            raise make(InvalidStateError, "The file was closed.")

    def read(self, size: int, deadline: Deadline) -> Waits[bytes]:
        """What there is, up to so many bytes; nothing at the end."""
        self._in_use()
        stream = self._stream
        if stream is None:
            if not self._regular:
                return b""
            # What was written behind the end meanwhile is there.
            stream = yield from self.open(deadline)
        incoming = stream.incoming[OUTPUT]
        while size:
            if incoming.size:
                data = incoming.take(size)
                self._session.took(stream, OUTPUT)
                self._position += len(data)
                return data
            if stream.done is not None:
                if stream.done[0]:
                    raise self._error(stream.done[0], "read")
                self._stream = None
                return b""
            self._look(stream, "read")
            if deadline.passed:
                raise make(TimeoutError, f"Nothing of the file came within {deadline}.")
            yield stream, deadline
            self._in_use()
        return b""

    def write(self, data: Any, deadline: Deadline, *, all_of_it: bool = False) -> Waits[int]:
        """Sends some of the data, and returns how many bytes that are."""
        view = bytes_of("data", data)
        sent = 0
        while True:
            self._in_use()
            stream = self._stream
            if stream is None:
                raise make(InvalidStateError, "The file could not be written.")
            if stream.done is not None:
                raise self._error(stream.done[0] or 5, "written")
            self._look(stream, "written")
            sent += self._session.send(stream, view[sent:])
            if sent == len(view) or (sent and not all_of_it):
                yield from self._session.sent(stream, deadline)
                self._position += sent
                return sent
            if deadline.passed:
                words = f"The guest's file did not take its data within {deadline}."
                raise make(TimeoutError, words, f"{sent} of {len(view)} bytes were sent.")
            yield stream, deadline

    def seek(self, offset: Any, whence: Any, deadline: Deadline) -> Waits[int]:
        """Goes to another position of a file that is read, and returns it."""
        self._in_use()
        if whence not in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
            raise make(
                InvalidArgumentError, f"whence is {shown(whence)}.", "", "Give os.SEEK_SET, SEEK_CUR or SEEK_END."
            )
        if not self._regular:
            raise self._error(_NOT_SEEKABLE, "read elsewhere")
        if whence == os.SEEK_END:
            # Its size of now: there is no other way to hear of it.
            self._drop()
            self._position = self._size
            yield from self.open(deadline)
        base = (0, self._position, self._size)[whence]
        place = integer("offset", base + offset, "Give a position in the file.")
        if place > _LAST:
            raise make(InvalidArgumentError, f"offset is {shown(offset)}, which is behind the end of any file.")
        ahead = place - self._position
        stream = self._stream
        if ahead and stream is not None:
            if 0 < ahead <= stream.incoming[OUTPUT].size:
                stream.incoming[OUTPUT].take(ahead)
                self._session.took(stream, OUTPUT)
            else:
                self._drop()
        self._position = place
        return place

    def close(self, deadline: Deadline) -> Waits[None]:
        """Until what was written is there."""
        if self._over:
            return
        self._over = True
        stream = self._stream
        if stream is None or self._flags & _READ:
            self._drop()
            return
        try:
            self._session.end(stream)
            while stream.done is None:
                self._look(stream, "written")
                if deadline.passed:
                    raise make(TimeoutError, f"The guest's file was not closed within {deadline}.")
                yield stream, deadline
        finally:
            self._drop()
        if stream.done[0]:
            raise self._error(stream.done[0], "written")

    def _drop(self) -> None:
        stream = self._stream
        self._stream = None
        if stream is not None:
            self._session.close(stream)


def open_file(session: Session, path: Any, mode: Mode, permissions: Any, deadline: Deadline) -> Waits[BaseFile]:
    """Until the file is open. Raises `InvalidArgumentError` at once."""
    suggestion = "Give permissions, as 0o644."
    number = integer("permissions", permissions, suggestion)
    if number > 0o7777:
        words = f"permissions is {oct(number)}, which is more than permissions."
        raise make(InvalidArgumentError, words, "", suggestion)
    file = BaseFile(session, path_in_guest("path", path), mode, number)

    def steps() -> Waits[BaseFile]:
        yield from file.open(deadline)
        return file

    return steps()
