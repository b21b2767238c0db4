# SPDX-License-Identifier: Apache-2.0
"""Files by what is in them: a state or an image is the same on each host, under the name that its SHA-256 is.

    contents/SHA256-SIZE-WRITTEN    a file, which nobody writes to; WRITTEN is when it was written, in nanoseconds

A file gets its name in one step, when all of it was read again and has that checksum. Each process that needs one has
it open, with a lock that others may have, too: what is in use is not removed. A file that anybody wrote to has another
time, and is not used.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .._images.store import Store
from .._images.task import Task
from .._values.arguments import PathLike
from .._values.arguments import path as path_argument
from ..errors import DownloadError, InvalidArgumentError, InvalidStateError, make, make_posix

__all__ = ["Content", "ContentStore", "Held", "StoredContent", "content_of", "pieces_of", "write_pieces"]

# What is read, sent and written at once.
PIECE: Final = 8 << 20
# A file whose date means nothing has this one: 2001-09-09.
_NO_DATE: Final = 10**18
_NAME: Final = re.compile(r"([0-9a-f]{64})-(\d{1,19})-(\d{1,19})")
_USED: Final = ".used"
# How often one is made that others remove before it is used.
_TRIES: Final = 3
# The data of a file, each with its place. What is between is a hole.
Pieces = Iterable[tuple[int, bytes]]


@dataclass(frozen=True)
class Content:
    """A file, by what is in it."""

    sha256: str
    """The checksum of all of it: 64 hexadecimal digits."""
    size: int
    """In bytes, with its holes."""
    written_ns: int = _NO_DATE
    """When it was written, in nanoseconds since 1970, for an image that a state knows by that."""

    @property
    def name(self) -> str:
        return f"{self.sha256}-{self.size}-{self.written_ns}"


@dataclass(frozen=True)
class StoredContent:
    """A file that a host keeps for machines that others send there."""

    path: str
    """Where it is."""
    sha256: str
    """Its checksum: 64 hexadecimal digits."""
    size: int
    """Its size, in bytes."""
    size_on_disk: int
    """The room that it takes, in bytes."""
    used: float
    """When it was used last, in seconds since 1970."""
    in_use: bool
    """Whether a process needs it at this moment."""


def content_of(path: PathLike, *, dated: bool = False) -> Content:
    """Reads a file, and returns what it is. With `dated` its date is a part of that.

    Raises `POSIXError`, and `InvalidArgumentError` for what is no regular file, or is written to meanwhile.
    """
    name = path_argument("path", path)
    with _opened(name) as file:
        before = os.fstat(file)
        if not stat.S_ISREG(before.st_mode):
            raise make(InvalidArgumentError, f"{os.fsdecode(name)!r} is no regular file.", "", "Name a file.")
        digest = _digest(file, before.st_size)
        after = os.fstat(file)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise make(InvalidArgumentError, f"{os.fsdecode(name)!r} was written to while it was read.")
    return Content(digest, after.st_size, after.st_mtime_ns if dated else _NO_DATE)


@contextlib.contextmanager
def _opened(name: bytes) -> Iterator[int]:
    try:
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        words = f"The file {os.fsdecode(name)!r} cannot be read."
        raise make_posix(error, words, "Name a file that this user may read.", name) from error
    try:
        yield file
    finally:
        os.close(file)


def _digest(file: int, size: int) -> str:
    found = hashlib.sha256()
    done = 0
    while part := os.pread(file, min(PIECE, size - done), done):
        found.update(part)
        done += len(part)
    return found.hexdigest()


def pieces_of(path: PathLike, first: int = 0) -> Iterator[tuple[int, bytes]]:
    """The data of a file, from a position on. Its holes, and what is zero all the same, are left out."""
    with _opened(path_argument("path", path)) as file:
        size = os.fstat(file).st_size
        nothing = bytes(PIECE)
        for start, end in _data_of(file, first, size):
            for position in range(start, end, PIECE):
                part = os.pread(file, min(PIECE, end - position), position)
                if part != nothing[: len(part)]:
                    yield position, part


def _data_of(file: int, first: int, size: int) -> Iterator[tuple[int, int]]:
    """Where there is data."""
    end = first
    while end < size:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
            end = os.lseek(file, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # from here on it is a hole
            start, end = end, size
        yield start, min(end, size)


def write_pieces(path: Path, size: int, pieces: Pieces, task: Task | None = None) -> None:
    """Makes a file of that size with that data. Raises `OSError`, and what `pieces` raises."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.truncate(file, size)
        done = 0
        for position, data in pieces:
            if task is not None:
                task.tell("download", done, size)
            if position < 0 or position + len(data) > size:
                words = f"The file has {size} bytes."
                raise make(DownloadError, "A piece of a file came that is beyond its end.", words)
            view = memoryview(data)
            while view:
                written = os.pwrite(file, view, position + len(data) - len(view))
                done += written
                view = view[written:]
        os.fsync(file)
    finally:
        os.close(file)


class Held:
    """A file of a store that this process needs. It is not removed until it is released, or the process ends."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file = file

    def release(self) -> None:
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)


class ContentStore:
    """The files that a host keeps, in this user's cache: `~/.cache/applevz/images/contents`.

    `most` is how many bytes they may take on the disk, None for any number: those that were not used for longest, and
    are not in use, make room for one that comes.
    """

    def __init__(self, cache: PathLike | None = None, most: int | None = None) -> None:
        self._store = Store(cache)
        self._most = most
        self.folder = self._store.folder / "contents"
        with self._store.errors(self.folder):
            self.folder.mkdir(mode=0o700, exist_ok=True)

    def find(self, content: Content) -> Held | None:
        """The file, if it is there as it was when it was checked."""
        path = self.folder / content.name
        while True:
            try:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError:
                return None
            try:
                fcntl.flock(file, fcntl.LOCK_SH)
                # Whoever removes one has the lock alone: it may have gone before this process had it.
                held, named = os.fstat(file), path.lstat()
            except OSError:
                os.close(file)
                return None
            if (held.st_ino, held.st_dev) == (named.st_ino, named.st_dev):
                break
            os.close(file)
        if not stat.S_ISREG(held.st_mode) or (held.st_size, held.st_mtime_ns) != (content.size, content.written_ns):
            os.close(file)
            return None
        with contextlib.suppress(OSError):
            path.with_name(path.name + _USED).touch(mode=0o600)
        return Held(path, file)

    def obtain(self, content: Content, pieces: Callable[[], Pieces], task: Task) -> Held:
        """The file, for which `pieces` is called once on this host, whoever else needs it at the same time.

        Raises `DownloadError` if what came has another checksum, `TimeoutError`, and `POSIXError`.
        """
        for _ in range(_TRIES):
            if (held := self.find(content)) is not None:
                return held
            with self._store.lock(task, f"content {content.name}", "wait"):
                if (held := self.find(content)) is not None:
                    return held
                self._make(content, pieces, task)
        if (held := self.find(content)) is not None:
            return held
        raise make(
            InvalidStateError,
            f"The file with the SHA-256 {content.sha256} was made {_TRIES} times, and went each time.",
            f"Others remove it from {str(self.folder)!r}, or its file system keeps no dates.",
            "Name another folder as cache, or allow it more room.",
        )

    def _make(self, content: Content, pieces: Callable[[], Pieces], task: Task) -> None:
        self._make_room(content)
        with self._store.work(f"content {content.name}") as folder:
            path = folder / "content"
            with self._store.errors(path):
                write_pieces(path, content.size, pieces(), task)
                task.tell("verify", 0, content.size)
                with _opened(os.fsencode(path)) as file:
                    found = _digest(file, content.size)
                if found != content.sha256:
                    raise make(
                        DownloadError,
                        f"The file with the SHA-256 {content.sha256} cannot be had.",
                        f"What came has the SHA-256 {found}.",
                        "Look whether the file was changed where it is given out.",
                    )
                path.chmod(0o400)
                os.utime(path, ns=(content.written_ns, content.written_ns))
                path.replace(self.folder / content.name)
                with contextlib.suppress(OSError):
                    (self.folder / (content.name + _USED)).touch(mode=0o600)

    # ---- What is there ----

    def all(self) -> list[StoredContent]:
        """All files, those first that were used last."""
        with self._store.errors(self.folder):
            paths = sorted(self.folder.iterdir())
        found = [stored for path in paths if (stored := self._stored(path)) is not None]
        return sorted(found, key=lambda stored: (-stored.used, stored.path))

    def _stored(self, path: Path) -> StoredContent | None:
        name = _NAME.fullmatch(path.name)
        try:
            status = path.lstat()
        except OSError:
            return None
        if name is None or not stat.S_ISREG(status.st_mode):
            return None
        used = 0.0
        with contextlib.suppress(OSError):
            used = path.with_name(path.name + _USED).stat().st_mtime
        return StoredContent(
            str(path), name[1], status.st_size, status.st_blocks * 512, used, self._is_in_use(path)
        )

    @staticmethod
    def _is_in_use(path: Path) -> bool:
        with contextlib.suppress(OSError), _alone(path) as alone:
            return not alone
        return False

    def remove(self, sha256: str | None = None) -> list[StoredContent]:
        """Removes the files with that checksum, or all. Those that are in use stay. Returns those that went."""
        return [stored for stored in self.all() if sha256 in (None, stored.sha256) and self._remove(Path(stored.path))]

    def _remove(self, path: Path) -> bool:
        with self._store.errors(path), contextlib.suppress(FileNotFoundError), _alone(path) as alone:
            if alone:
                path.unlink()
                path.with_name(path.name + _USED).unlink(missing_ok=True)
                return True
        return False

    def _make_room(self, content: Content) -> None:
        with contextlib.suppress(FileNotFoundError):
            # One that somebody wrote to is in the way.
            (self.folder / content.name).unlink()
        if self._most is None:
            return
        kept = self.all()
        room = self._most - content.size - sum(stored.size_on_disk for stored in kept)
        while kept and room < 0:
            last = kept.pop()
            if self._remove(Path(last.path)):
                room += last.size_on_disk


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether nobody else has the file: nobody else gets it meanwhile, then."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            alone = False
        yield alone
    finally:
        os.close(file)
