# SPDX-License-Identifier: Apache-2.0
"""The host's ends of a guest's ports, as QEMU has them: descriptors that it was given, by their paths."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

_MOST = 1 << 20


class Channel:
    """What a port is connected to: a file to write to, and one to read from."""

    def __init__(self, backend: Mapping[str, Any], sets: Mapping[int, int]) -> None:
        data = backend.get("data", {})
        both = data.get("device")
        self.writing = _descriptor(both or data.get("out"), sets, os.O_WRONLY)
        self.reading = self.writing if both else _descriptor(data.get("in"), sets, os.O_RDONLY)
        for descriptor in (self.writing, self.reading):
            if descriptor is not None:
                os.set_blocking(descriptor, False)
        self._pending = bytearray()

    @property
    def is_full(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._pending)

    def write(self, data: bytes) -> None:
        if self.writing is not None:
            self._pending += data
            self.flush()

    def flush(self) -> None:
        while self._pending and self.writing is not None:
            try:
                written = os.write(self.writing, self._pending)
            except BlockingIOError:
                return
            except OSError:
                self._pending.clear()
                return
            del self._pending[:written]

    def read(self) -> bytes | None:
        """What came; None at the end, after which nothing more is read."""
        if self.reading is None:
            return None
        try:
            data = os.read(self.reading, _MOST)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self.reading = None
            return None
        return data


def open_path(path: str, sets: Mapping[int, int], flags: int) -> int | None:
    """A descriptor of its own for a path that QEMU was given. None for nothing."""
    descriptor = _descriptor(path, sets, flags)
    return None if descriptor is None else os.dup(descriptor)


def _descriptor(path: str | None, sets: Mapping[int, int], flags: int) -> int | None:
    if path is None or path == os.devnull:
        return None
    number = path.rpartition("/")[2]
    if path.startswith("/dev/fdset/"):
        # What was not given later is inherited, in a set of its own number.
        return sets.get(int(number), int(number))
    if path.startswith("/proc/self/fd/"):
        return int(number)
    return os.open(path, flags | os.O_CLOEXEC)
