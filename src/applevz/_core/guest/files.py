# SPDX-License-Identifier: Apache-2.0
"""Files in a guest, read and written as a whole."""

from __future__ import annotations

import struct
from typing import Any, Final

from ..._values.arguments import integer, shown
from ...errors import InvalidArgumentError, TimeoutError, make
from ..deadline import Deadline
from . import frames
from .conditions import condition_error
from .process import bytes_of, text_of
from .session import Session, look
from .streams import OUTPUT, Stream, Waits

__all__ = ["open_payload", "path_in_guest", "read_file", "write_file"]

_OPEN: Final = struct.Struct("<IIQ")
_READ, _WRITE, _CREATE, _TRUNCATE = 1, 2, 4, 8
_LONGEST_PATH: Final = 4096


def path_in_guest(field: str, value: Any) -> bytes:
    """A path in the guest, as bytes."""
    data = text_of(field, value)
    if not 0 < len(data) < _LONGEST_PATH:
        what = f"has {len(data)} bytes" if data else "is empty"
        raise make(InvalidArgumentError, f"{field} is {shown(value)}, which {what}.", "", "Give a path of the guest.")
    return data


def open_payload(flags: int, mode: int, offset: int, path: bytes) -> bytes:
    """The message that opens a file."""
    return _OPEN.pack(flags, mode, offset) + path


def read_file(session: Session, path: bytes, deadline: Deadline, at_most: int | None = None) -> Waits[bytes]:
    """All that is in a file; of one with more than `at_most` bytes its beginning."""
    words = "while a file was read"
    yield from session.ready(deadline)
    stream = session.open(frames.OPEN, open_payload(_READ, 0, 0, path), [OUTPUT])
    data = stream.incoming[OUTPUT].take_all_at_once()
    try:
        while stream.done is None:
            _look(stream, words, "The guest's file {} cannot be opened.", path)
            if deadline.passed:
                raise make(TimeoutError, f"The file was not read within {deadline}.", f"{data.tell()} bytes came.")
            if at_most is not None and data.tell() > at_most:
                session.close(stream)
                return data.getvalue()[:at_most]
            yield stream, deadline
    except BaseException:
        session.close(stream)
        raise
    if stream.done[0]:
        raise condition_error(stream.done[0], "The guest's file {} cannot be read.", path)
    return data.getvalue()


def write_file(session: Session, path: bytes, data: Any, mode: int, deadline: Deadline) -> Waits[int]:
    """Writes a file anew. Returns how many bytes it has."""
    view = bytes_of("data", data)
    suggestion = "Give permissions, as 0o644."
    mode = integer("mode", mode, suggestion)
    if mode > 0o7777:
        raise make(InvalidArgumentError, f"mode is {oct(mode)}, which is more than permissions.", "", suggestion)

    def steps() -> Waits[int]:
        words = "while a file was written"
        yield from session.ready(deadline)
        flags = _WRITE | _CREATE | _TRUNCATE
        stream = session.open(frames.OPEN, open_payload(flags, mode, 0, path))
        sent = 0
        try:
            while stream.done is None:
                _look(stream, words, "The guest's file {} cannot be opened.", path)
                # What is sent before the file is open would be in the way of its error.
                if stream.started is not None and not stream.output_ended:
                    sent += session.send(stream, view[sent:], last=True)
                if deadline.passed:
                    raise make(
                        TimeoutError,
                        f"The guest's file was not written within {deadline}.",
                        f"{sent} of {len(view)} bytes were sent.",
                    )
                yield stream, deadline
        except BaseException:
            session.close(stream)
            raise
        if stream.done[0]:
            raise condition_error(stream.done[0], "The guest's file {} cannot be written.", path)
        return sent

    return steps()


def _look(stream: Stream, words: str, description: str, path: bytes) -> None:
    look(stream, words, lambda number, _: condition_error(number, description, path))
