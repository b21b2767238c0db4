# SPDX-License-Identifier: Apache-2.0
"""Files of a guest with calls that are awaited. `_core/guest/open_files.py` decides what each call does."""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Final

from .._core.deadline import Deadline
from .._core.guest.open_files import BaseFile, Mode
from .._values.arguments import instance
from ._pump import Pump

__all__ = ["GuestFile", "OpenFile"]

_PIECE: Final = 1 << 18


class GuestFile:
    """A file of a guest: `Guest.open`. It is read or written, as bytes or as text.

    One that is read can go to other positions, if it is a regular file. It is opened there anew, by its path. As an
    asynchronous context manager it is closed at the end of the `async with` block.
    """

    def __init__(
        self,
        pump: Pump,
        file: BaseFile,
        mode: Mode,
        name: Any,
        timeout: float | None,
        encoding: str | None,
        errors: str | None,
        newline: str | None,
    ) -> None:
        self._pump = pump
        self._file = file
        self._mode = mode
        self._timeout = timeout
        self._encoding, self._errors, self._newline = encoding or "utf-8", errors or "strict", newline
        self.name = name
        self._closed = False
        # What was read and not given out: bytes, or text.
        self._held: Any = b""
        self._start = 0
        self._decoder: Any = None
        self._begin()

    def _begin(self) -> None:
        self._start = 0
        if self._mode.binary:
            self._held = b""
        else:
            self._held = ""
            decoder = codecs.getincrementaldecoder(self._encoding)(self._errors)
            self._decoder = io.IncrementalNewlineDecoder(decoder, translate=self._newline is None)

    def __repr__(self) -> str:
        return f"<GuestFile name={self.name!r} mode={self.mode!r}{' (closed)' if self.closed else ''}>"

    @property
    def mode(self) -> str:
        """What it was opened for."""
        return self._mode.text

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def readable(self) -> bool:
        """Whether it is read."""
        return self._mode.reading

    def writable(self) -> bool:
        """Whether it is written."""
        return not self._mode.reading

    def seekable(self) -> bool:
        """Whether the file can be read at other positions. What is written comes in order."""
        return self._mode.reading and self._file.is_regular

    def _refuse_unless(self, allowed: bool, what: str) -> None:
        if self._closed:
            raise ValueError("I/O operation on closed file.")
        if not allowed:
            raise io.UnsupportedOperation(what)

    def _take(self, behind: int) -> Any:
        taken = self._held[self._start : behind]
        self._start = min(behind, len(self._held))
        return taken

    async def _gather(self, enough: Callable[[Any], bool]) -> bool:
        """Reads more, up to a piece that is enough. Returns whether the end has not come."""
        parts = [self._held[self._start :]]
        try:
            while data := await self._pump.run(self._file.read(_PIECE, Deadline(self._timeout))):
                parts.append(data if self._decoder is None else self._decoder.decode(data))
                if enough(parts[-1]):
                    return True
            if self._decoder is not None:
                parts.append(self._decoder.decode(b"", final=True))
            return False
        finally:
            self._held, self._start = type(parts[0])().join(parts), 0

    async def read(self, size: int = -1) -> Any:
        """Returns `size` bytes or characters, or what there is until the end (-1: all of that)."""
        self._refuse_unless(self._mode.reading, "not readable")
        left = size - (len(self._held) - self._start)

        def enough(piece: Any) -> bool:
            nonlocal left
            left -= len(piece)
            return size >= 0 and left <= 0

        if size < 0 or left > 0:
            await self._gather(enough)
        return self._take(len(self._held) if size < 0 else self._start + size)

    async def readline(self) -> Any:
        """Returns the next line with its end, which the last one may lack, and nothing at the end of the file."""
        self._refuse_unless(self._mode.reading, "not readable")
        end: Any = b"\n" if self._mode.binary else self._newline or "\n"
        while (found := self._held.find(end, self._start)) < 0:
            # An end of two characters may have come in two pieces.
            if not await self._gather(lambda piece: end[-1:] in piece):
                return self._take(len(self._held))
        return self._take(found + len(end))

    async def __aiter__(self) -> AsyncIterator[Any]:
        """The lines, up to the end."""
        while line := await self.readline():
            yield line

    async def write(self, data: Any) -> int:
        """Sends all of the data, bytes or text, and returns how many of them there are."""
        self._refuse_unless(not self._mode.reading, "not writable")
        if not self._mode.binary:
            text = str(instance("data", data, (str,)))
            if self._newline not in (None, "", "\n"):
                text = text.replace("\n", self._newline or "\n")
            encoded = text.encode(self._encoding, self._errors)
            await self._pump.run(self._file.write(encoded, Deadline(self._timeout), all_of_it=True))
            return len(data)
        return await self._pump.run(self._file.write(data, Deadline(self._timeout), all_of_it=True))

    async def flush(self) -> None:
        """Does nothing: nothing is held back here."""
        self._refuse_unless(True, "")

    async def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Goes to another position of a file that is read, and returns it. Of text that is its begin alone."""
        self._refuse_unless(self.seekable(), "not seekable")
        self._refuse_unless(self._mode.binary or (offset, whence) == (0, os.SEEK_SET), "text has no positions")
        if whence == os.SEEK_CUR:
            offset -= len(self._held) - self._start
        position = await self._pump.run(self._file.seek(offset, whence, Deadline(self._timeout)))
        self._begin()
        return position

    def tell(self) -> int:
        """The position in a file of bytes that is read."""
        self._refuse_unless(self.seekable() and self._mode.binary, "not seekable")
        return self._file.position - (len(self._held) - self._start)

    async def close(self) -> None:
        """Closes the file. What was written is in the guest's file then; if it is not, that is a `POSIXError`."""
        if not self._closed:
            self._closed = True
            await self._pump.run(self._file.close(Deadline(self._timeout)))

    async def __aenter__(self) -> GuestFile:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


# What `Guest.open` gives in this face.
OpenFile = GuestFile
