# SPDX-License-Identifier: Apache-2.0
"""A fuzzer for readers in Python: it changes inputs at random, and keeps those that reach a line of the package that
none reached before. There is one at hand everywhere that Python is, and it is enough for readers of this size.

A reader may raise the exceptions that it names, and nothing else; it may not take long, nor much memory."""

from __future__ import annotations

import hashlib
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from places import ROOT

__all__ = ["Reader", "read_once", "search"]

_PACKAGE: Final = str(ROOT / "src" / "applevz")
# So many seconds of a processor may one input take, and so many bytes more than the process has.
_SLOWEST: Final = 20
_MOST_MEMORY: Final = 1 << 30
_LONGEST: Final = 1 << 14
_NUMBERS: Final = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 63, (1 << 64) - 1)


@dataclass(frozen=True)
class Reader:
    """`read` is called with the bytes of an input. `words` are put into inputs, beside what is made up."""

    read: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    allowed: tuple[type[BaseException], ...] = ()
    words: Sequence[bytes] = field(default=())


class _SlowError(BaseException):
    """An input takes too long."""


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise _SlowError(f"longer than {_SLOWEST} s")


@contextmanager
def _limits() -> Iterator[None]:
    before = signal.signal(signal.SIGPROF, _too_slow)
    sizes = Path("/proc/self/statm").read_text().split()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (int(sizes[0]) * resource.getpagesize() + _MOST_MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, before)


def read_once(reader: Reader, data: bytes) -> None:
    """Reads an input. Raises what it should not."""
    with _limits():
        _read(reader, data)


def _read(reader: Reader, data: bytes) -> None:
    signal.setitimer(signal.ITIMER_PROF, _SLOWEST)
    try:
        reader.read(data)
    except reader.allowed:
        pass
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


class _Lines:
    """The lines of the package that were reached."""

    def __init__(self) -> None:
        self._seen: set[tuple[CodeType, int]] = set()

    def reached(self, reader: Reader, data: bytes) -> bool:
        """Reads an input. Returns whether it reached a line that none reached before."""
        before = len(self._seen)
        sys.settrace(self._look_at_call)
        try:
            _read(reader, data)
        finally:
            sys.settrace(None)
        return len(self._seen) > before

    def _look_at_call(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._look_at_line if frame.f_code.co_filename.startswith(_PACKAGE) else None

    def _look_at_line(self, frame: FrameType, event: str, argument: Any) -> Any:
        self._seen.add((frame.f_code, frame.f_lineno))
        return self._look_at_line


def _changed(some: random.Random, data: bytes, corpus: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """An input that is like that one."""
    made = bytearray(data)
    for _ in range(1 << some.randrange(5)):
        place = some.randrange(len(made) + 1)
        behind = min(len(made), place + some.choice((1, 2, 4, 8, some.randrange(64))))
        kind = some.randrange(8)
        if kind == 0 and place < len(made):
            made[place] ^= 1 << some.randrange(8)
        elif kind == 1 and place < len(made):
            made[place] = some.randrange(256)
        elif kind == 2:
            del made[place:behind]
        elif kind == 3:
            made[place:place] = made[place:behind] * some.choice((1, 1, 2, 50))
        elif kind == 4:
            number, size = some.choice(_NUMBERS), some.choice((1, 2, 4, 8))
            made[place : place + size] = (number % (1 << 8 * size)).to_bytes(size, some.choice(("little", "big")))
        elif kind == 5 and words:
            made[place : some.choice((place, behind))] = some.choice(words)
        elif kind == 6:
            other = some.choice(corpus)
            begin = some.randrange(len(other) + 1)
            made[place : some.choice((place, len(made)))] = other[begin : begin + some.randrange(256)]
        elif kind == 7 and place < len(made):
            made[place] = (made[place] + some.choice((1, -1))) % 256
    return bytes(made[:_LONGEST])


def search(reader: Reader, seconds: float, seed: int, folder: Path) -> tuple[int, Path | None]:
    """Reads inputs for so long, begun with the seeds and with what the folder has, where those are kept that are found.
    Returns how many were read, and the file of one that must not be as it is, which ends the search."""
    folder.mkdir(parents=True, exist_ok=True)
    some = random.Random(seed)  # noqa: S311  # the same each time
    lines, corpus, count = _Lines(), [b""], 0
    begin = time.monotonic()
    waiting = [*reader.seeds(), *(file.read_bytes() for file in sorted(folder.glob("input-*")))]
    with _limits():
        while waiting or time.monotonic() < begin + seconds:
            data = waiting.pop(0) if waiting else _changed(some, some.choice(corpus), corpus, reader.words)
            count += 1
            name = hashlib.sha256(data).hexdigest()[:16]
            try:
                is_new = lines.reached(reader, data)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                traceback.print_exc()
                (found := folder / f"crash-{name}").write_bytes(data)
                return count, found
            if is_new:
                corpus.append(data)
                (folder / f"input-{name}").write_bytes(data)
    return count, None
