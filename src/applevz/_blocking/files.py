# SPDX-License-Identifier: Apache-2.0
"""Files of a guest with calls that block. `_core/guest/open_files.py` decides what each call does, `io` buffers."""

from __future__ import annotations

import io
import os
from typing import IO, TYPE_CHECKING, Any, Final, cast

from .._core.deadline import Deadline
from .._core.guest.open_files import BaseFile, Mode
from ..errors import InvalidStateError
from ._pump import Pump

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["GuestFile", "OpenFile", "buffered"]

# What `Guest.open` gives in this face.
OpenFile = IO[Any]

# What comes from the guest comes in pieces of this size, and is worth no smaller ones.
_BUFFER: Final = 1 << 18
# A file that is dropped waits for no longer until what was written is there: the guest may never answer, and whoever
# drops a file does not know that he waits.
_PATIENCE: Final = 2.0


class GuestFile(io.RawIOBase):
    """A file of a guest without buffers: `Guest.open`, with `buffering=0`. It is read or written.

    One that is read can go to other positions, if it is a regular file. It is opened there anew, by its path.
    """

    name: Any

    def __init__(self, pump: Pump, file: BaseFile, mode: Mode, name: Any, timeout: float | None) -> None:
        super().__init__()
        self._pump = pump
        self._file = file
        self._mode = mode
        self._timeout = timeout
        # Whether it is closed by its finalizer, or by that of what buffers it.
        self._finalizing = False
        self._end: Deadline | None = None
        self.name = name

    @property
    def mode(self) -> str:
        """What it was opened for."""
        return self._mode.text if self._mode.binary else self._mode.text.replace("t", "") + "b"

    def __repr__(self) -> str:
        return f"<GuestFile name={self.name!r} mode={self.mode!r}{' (closed)' if self.closed else ''}>"

    def readable(self) -> bool:
        self._open()
        return self._mode.reading

    def writable(self) -> bool:
        self._open()
        return not self._mode.reading

    def seekable(self) -> bool:
        """Whether the file can be read at other positions. What is written comes in order."""
        self._open()
        return self._mode.reading and self._file.is_regular

    def _open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")

    def _refuse_unless(self, allowed: bool, what: str) -> None:
        self._open()
        if not allowed:
            raise io.UnsupportedOperation(what)

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._refuse_unless(self._mode.reading, "not readable")
        view = memoryview(buffer).cast("B")
        data = self._pump.run(self._file.read(len(view), Deadline(self._timeout)))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        self._refuse_unless(self._mode.reading, "not readable")
        parts = []
        while data := self._pump.run(self._file.read(_BUFFER, Deadline(self._timeout))):
            parts.append(data)
        return b"".join(parts)

    def write(self, data: Any) -> int:
        self._refuse_unless(not self._mode.reading, "not writable")
        view = memoryview(data).cast("B")
        try:
            return self._pump.run(self._file.write(view, self._deadline()))
        except InvalidStateError:
            if not self._finalizing:
                raise
            # Its thread is in the middle of a call for the guest, and others will come.
            self._file.leave(bytes(view))
            return len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._refuse_unless(self.seekable(), "not seekable")
        return self._pump.run(self._file.seek(offset, whence, Deadline(self._timeout)))

    def tell(self) -> int:
        self._refuse_unless(self.seekable(), "not seekable")
        return self._file.position

    def truncate(self, size: int | None = None) -> int:
        self._refuse_unless(False, "not truncated")
        return 0

    def close(self) -> None:
        """Closes the file. What was written is in the guest's file then; if it is not, that is a `POSIXError`."""
        if not self.closed:
            try:
                self._pump.run(self._file.close(self._deadline()))
            except InvalidStateError:
                if not self._finalizing:
                    raise
            finally:
                super().close()

    def _deadline(self) -> Deadline:
        if not self._finalizing:
            return Deadline(self._timeout)
        if self._end is None:
            self._end = Deadline(_PATIENCE if self._timeout is None else min(self._timeout, _PATIENCE))
        return self._end

    def _dealloc_warn(self, source: object) -> None:
        # What buffers it says so before it writes its rest. `io` itself sets the attribute of a file without buffers.
        self._finalizing = True


def buffered(
    raw: GuestFile, mode: Mode, buffering: int, encoding: str | None, errors: str | None, newline: str | None
) -> OpenFile:
    """A file as `open` gives it."""
    if buffering == 0:
        return cast(IO[Any], raw)
    size = _BUFFER if buffering in (-1, 1) else buffering
    buffer = io.BufferedReader(raw, size) if mode.reading else io.BufferedWriter(raw, size)
    if mode.binary:
        return buffer
    return io.TextIOWrapper(buffer, encoding or "utf-8", errors, newline, line_buffering=buffering == 1)
