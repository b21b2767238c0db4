# SPDX-License-Identifier: Apache-2.0
"""Trees of files into a guest and out of it, as records: docs/guest-agent-protocol.md, "Trees".

What comes from a guest is hostile: `TreeMaker` makes nothing outside of its target. It opens each folder on the way
without following a symbolic link, takes no name for another folder's, and writes into no file that was there before.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from ..._values.arguments import path as host_path
from ..._values.arguments import shown, wrong_type
from ...errors import Error, TimeoutError, make, make_posix
from ..deadline import Deadline
from . import frames
from .conditions import condition_error
from .files import path_in_guest
from .session import Session, look
from .streams import OUTPUT, Stream, Waits

__all__ = ["Progress", "TreeMaker", "copy_in", "copy_out", "records"]

# Called with the number of entries and of bytes so far.
Progress = Callable[[int, int], Any]

_FLAGS: Final = struct.Struct("<I")
_ENTRY: Final = struct.Struct("<cIIIqIQ")
_LENGTH: Final = struct.Struct("<I")
_EXTENT: Final = struct.Struct("<QQ")
_AT_A_TIME: Final = 1 << 17
_LONGEST_NAME: Final = 1 << 17
# So many folders may a tree have, with so many bytes in their paths: both are kept until all is there.
_MOST_FOLDERS: Final = 1 << 20
_MOST_BYTES: Final = 1 << 27
_LARGEST: Final = 1 << 62
_SECOND: Final = 1_000_000_000
_PROTOCOL: Final = 71
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


# ---- Into the guest


def records(root: bytes, count: Callable[[int], None]) -> Iterator[bytes]:
    """The records of a file or a tree of this host, in pieces of some size. `count` is told of each entry's bytes."""
    pieces: list[bytes] = []
    size = 0
    for piece in _entries(root, count):
        pieces.append(piece)
        size += len(piece)
        if size >= _AT_A_TIME:
            yield b"".join(pieces)
            pieces.clear()
            size = 0
    if pieces:
        yield b"".join(pieces)


def _entries(root: bytes, count: Callable[[int], None]) -> Iterator[bytes]:
    # The first name of each file that has several.
    links: dict[tuple[int, int], bytes] = {}
    waiting = [(root, b"")]
    while waiting:
        path, name = waiting.pop()
        size = 0
        try:
            # The root may be a link to what is meant.
            status = os.stat(path, follow_symlinks=not name)
            kind = stat.S_IFMT(status.st_mode)
            if kind == stat.S_IFDIR:
                yield _entry(b"d", status, name)
                with os.scandir(path) as found:
                    below = sorted((one.name for one in found), reverse=True)
                waiting += [(os.path.join(path, one), os.path.join(name, one) if name else one) for one in below]
            elif kind == stat.S_IFLNK:
                yield _entry(b"l", status, name, link=os.readlink(path))
            elif kind == stat.S_IFIFO:
                yield _entry(b"p", status, name)
            elif kind == stat.S_IFREG:
                first = links.setdefault((status.st_dev, status.st_ino), name) if status.st_nlink > 1 else name
                if first == name:
                    yield from _file(path, name)
                    size = status.st_size
                else:
                    yield _entry(b"h", status, name, link=first)
            else:
                continue
        except OSError as error:
            raise make_posix(error, f"{shown(os.fsdecode(path))} cannot be copied.", path=path) from None
        count(size)


def _entry(kind: bytes, status: os.stat_result, name: bytes, size: int = 0, link: bytes = b"") -> bytes:
    seconds, nanoseconds = divmod(status.st_mtime_ns, _SECOND)
    fields = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, seconds, nanoseconds, size)
    return b"".join((_ENTRY.pack(kind, *fields), _LENGTH.pack(len(name)), name, _LENGTH.pack(len(link)), link))


def _file(path: bytes, name: bytes) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        size = status.st_size
        yield _entry(b"f", status, name, size)
        if not size:
            return
        for begin, end in _extents(file.fileno(), size):
            place = begin
            while place < end and (data := os.pread(file.fileno(), min(end - place, _AT_A_TIME), place)):
                yield _EXTENT.pack(place, len(data))
                yield data
                place += len(data)
        yield _EXTENT.pack(size, 0)


def _extents(number: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a file has data, as far as its file system tells."""
    behind = 0
    while behind < size:
        try:
            begin = os.lseek(number, behind, os.SEEK_DATA)
            behind = min(os.lseek(number, begin, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno != errno.ENXIO:
                yield behind, size
            return
        yield begin, behind


def copy_in(session: Session, source: Any, target: Any, progress: Progress | None, deadline: Deadline) -> Waits[None]:
    """Sends a file or a tree."""
    root = host_path("source", source)
    path = path_in_guest("target", target)
    counter = _Counter(progress)

    def steps() -> Waits[None]:
        yield from session.ready(deadline)
        stream = session.open(frames.RECEIVE_TREE, _FLAGS.pack(0) + path)
        pieces = records(root, counter.add)
        piece = memoryview(b"")
        try:
            while stream.done is None:
                _look(stream, "The guest's {} cannot be made.", path)
                while stream.started is not None and not stream.output_ended and not stream.over:
                    if not piece:
                        piece = memoryview(next(pieces, b""))
                    if not piece:
                        session.end(stream)
                        break
                    piece = piece[session.send(stream, piece) :]
                    if piece:
                        break
                _look_at_time(deadline, counter)
                yield stream, deadline
        except BaseException:
            session.close(stream)
            raise
        finally:
            pieces.close()  # type: ignore[attr-defined]
        number, failed = stream.done
        if number:
            raise condition_error(number, "{} cannot be made in the guest.", _joined(path, failed))

    return steps()


# ---- Out of the guest


def copy_out(session: Session, source: Any, target: Any, progress: Progress | None, deadline: Deadline) -> Waits[None]:
    """Receives a file or a tree."""
    path = path_in_guest("source", source)
    root = host_path("target", target)
    counter = _Counter(progress)

    def steps() -> Waits[None]:
        yield from session.ready(deadline)
        stream = session.open(frames.SEND_TREE, _FLAGS.pack(0) + path, [OUTPUT])
        incoming = stream.incoming[OUTPUT]
        maker = TreeMaker(root, counter.add)
        try:
            while incoming.size or not incoming.ended or stream.done is None:
                if incoming.size:
                    data = incoming.take(-1)
                    session.took(stream, OUTPUT)
                    maker.feed(data)
                    continue
                if stream.done is not None:
                    break
                _look(stream, "The guest's {} cannot be read.", path)
                _look_at_time(deadline, counter)
                yield stream, deadline
            number, failed = stream.done
            if number:
                raise condition_error(number, "The guest's {} cannot be read.", _joined(path, failed))
            maker.finish()
        except BaseException:
            session.close(stream)
            raise
        finally:
            maker.close()
        if maker.failed is not None:
            number, failed = maker.failed
            raise condition_error(number, "The guest's {} was not copied; all else was.", _joined(path, failed))

    return steps()


class TreeMaker:
    """Makes what records say, below one path of this host's."""

    def __init__(self, root: bytes, count: Callable[[int], None]) -> None:
        self._root = root
        self._count = count
        # The sizes of the entries that were made just now.
        self._counted: list[int] = []
        self._buffer = bytearray()
        # Open folders, from the root on, and their names.
        self._folders: list[int] = []
        self._names: list[bytes] = []
        # What is set once all is in them, and how long their paths are together.
        self._made: list[tuple[bytes, int, int]] = []
        self._made_bytes = 0
        self._file = -1
        self._name = b""
        self._size = self._place = self._left = 0
        self._mode = self._time = 0
        self._has_root = self._root_is_folder = False
        self._step = self._entry
        self.failed: tuple[int, bytes] | None = None
        """The condition and the path of the first entry that the guest could not read."""

    def close(self) -> None:
        """Closes what is open."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._leave(0)

    def feed(self, data: bytes) -> None:
        """Makes what the data says, with what came before."""
        buffer = self._buffer
        buffer += data
        place = 0
        with memoryview(buffer) as view:
            while True:
                try:
                    used = self._step(view[place:])
                except Error:
                    raise
                except (OSError, OverflowError, ValueError) as error:
                    raise self._refused(error) from None
                while self._counted:
                    self._count(self._counted.pop())
                if used < 0:
                    break
                place += used
        del buffer[:place]

    def finish(self) -> None:
        """Sets what is set last. Raises if something is missing."""
        if self._buffer or self._step != self._entry or not self._has_root:
            raise self._broken("ends in the middle")
        for name, mode, time in reversed(self._made):
            self._name = name
            try:
                self._enter(name.split(b"/") if name else [])
                number = self._folders[-1]
                os.utime(number, ns=(time, time))
                os.fchmod(number, mode)
            except Error:
                raise
            except (OSError, OverflowError) as error:
                raise self._refused(error) from None

    def _refused(self, error: Exception) -> Error:
        path = _joined(self._root, self._name)
        words = f"{shown(os.fsdecode(path))} cannot be made."
        if isinstance(error, OSError):
            return make_posix(error, words, path=path)
        return condition_error(_PROTOCOL, words)

    def _broken(self, what: str) -> Error:
        return condition_error(_PROTOCOL, f"What the guest sends as a tree {what}.")

    # ---- Steps: each uses so many bytes, or none (-1) until more have come

    def _entry(self, view: memoryview[int]) -> int:
        if len(view) < _ENTRY.size + _LENGTH.size:
            return -1
        kind, mode, _, _, seconds, nanoseconds, size = _ENTRY.unpack_from(view)
        length: int = _LENGTH.unpack_from(view, _ENTRY.size)[0]
        begin = _ENTRY.size + _LENGTH.size
        if length > _LONGEST_NAME:
            raise self._broken("has a name that is too long")
        if len(view) < begin + length + _LENGTH.size:
            return -1
        link_length: int = _LENGTH.unpack_from(view, begin + length)[0]
        behind = begin + length + _LENGTH.size
        if link_length > _LONGEST_NAME:
            raise self._broken("has a link that is too long")
        if len(view) < behind + link_length:
            return -1
        self._name = bytes(view[begin : begin + length])
        link = bytes(view[behind : behind + link_length])
        if kind == b"e":
            if self.failed is None:
                self.failed = mode, self._name
            return behind + link_length
        names = self._checked(self._name)
        if bool(names) != self._has_root or (names and not self._root_is_folder):
            raise self._broken("does not begin with its root")
        if nanoseconds >= _SECOND or size > _LARGEST:
            raise self._broken("has numbers that no file has")
        # Whoever runs this program would own what is run with its owner's rights.
        self._mode, self._time, self._size = mode & 0o777, seconds * _SECOND + nanoseconds, size
        self._make(kind, names, link)
        self._has_root = True
        if self._file >= 0:
            self._place = 0
            if size:
                self._step = self._extent
            else:
                self._end_file()
        else:
            self._counted.append(0)
        return behind + link_length

    def _extent(self, view: memoryview[int]) -> int:
        if len(view) < _EXTENT.size:
            return -1
        begin, self._left = _EXTENT.unpack_from(view)
        if not self._left:
            self._step = self._entry
            self._end_file()
        elif not self._place <= begin <= begin + self._left <= self._size:
            raise self._broken("has data outside of a file")
        else:
            self._place = begin
            self._step = self._data
        return _EXTENT.size

    def _data(self, view: memoryview[int]) -> int:
        if not view:
            return -1
        written = os.pwrite(self._file, view[: self._left], self._place)
        self._place += written
        self._left -= written
        if not self._left:
            self._step = self._extent
        return written

    def _end_file(self) -> None:
        os.ftruncate(self._file, self._size)
        os.fchmod(self._file, self._mode)
        os.utime(self._file, ns=(self._time, self._time))
        number, self._file = self._file, -1
        os.close(number)
        self._counted.append(self._size)

    # ---- The entries

    def _checked(self, path: bytes) -> list[bytes]:
        """The names of a path, of which none leads out."""
        if not path:
            return []
        names = path.split(b"/")
        if any(name in (b"", b".", b"..") or b"\0" in name for name in names):
            raise self._broken(f"has the name {shown(path)}")
        return names

    def _make(self, kind: bytes, names: list[bytes], link: bytes) -> None:
        if not names and kind == b"d":
            with suppress(FileExistsError):
                os.mkdir(self._root, 0o700)
            # The caller's own path may go through links.
            self._folders = [os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
            self._root_is_folder = True
            self._made.append((b"", self._mode, self._time))
            return
        if names:
            self._enter(names[:-1])
            folder, name = self._folders[-1], names[-1]
            self._make_in(folder, kind, name, names, link)
            return
        above, name = os.path.split(self._root.rstrip(b"/"))
        folder = os.open(above or b"/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._make_in(folder, kind, name, names, link)
        finally:
            os.close(folder)

    def _make_in(self, folder: int, kind: bytes, name: bytes, names: list[bytes], link: bytes) -> None:
        if kind == b"d":
            self._made_bytes += len(self._name)
            if len(self._made) >= _MOST_FOLDERS or self._made_bytes > _MOST_BYTES:
                raise self._broken("has too many folders")
            self._clear(folder, name, keep_folder=True)
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=folder)
            self._made.append((self._name, self._mode, self._time))
            return
        first: list[bytes] = []
        if kind == b"h":
            first = self._checked(link)
            if not first or first == names or not self._root_is_folder:
                raise self._broken(f"has a link to {shown(link)}")
        self._clear(folder, name)
        if kind == b"f":
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(name, flags, 0o600, dir_fd=folder)
        elif kind == b"l":
            os.symlink(link, name, dir_fd=folder)
            with suppress(NotImplementedError):
                os.utime(name, ns=(self._time, self._time), dir_fd=folder, follow_symlinks=False)
        elif kind == b"p":
            os.mkfifo(name, self._mode, dir_fd=folder)
        elif kind == b"h":
            self._link(first, names)
        else:
            raise self._broken(f"has an entry of the kind {kind!r}")

    def _link(self, first: list[bytes], names: list[bytes]) -> None:
        self._enter(first[:-1])
        source = os.dup(self._folders[-1])
        try:
            if not stat.S_ISREG(os.stat(first[-1], dir_fd=source, follow_symlinks=False).st_mode):
                raise self._broken("has a link to what is no file")
            self._enter(names[:-1])
            os.link(first[-1], names[-1], src_dir_fd=source, dst_dir_fd=self._folders[-1], follow_symlinks=False)
        finally:
            os.close(source)

    @staticmethod
    def _clear(folder: int, name: bytes, *, keep_folder: bool = False) -> None:
        """Removes what has the name: nothing is ever written into what was there."""
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        if not (keep_folder and stat.S_ISDIR(status.st_mode)):
            os.unlink(name, dir_fd=folder)

    def _enter(self, names: list[bytes]) -> None:
        """Opens the folder of those names, from the root on, without following a link."""
        same = 0
        while same < min(len(names), len(self._names)) and names[same] == self._names[same]:
            same += 1
        self._leave(same + 1)
        for name in names[same:]:
            self._folders.append(os.open(name, _FOLDER, dir_fd=self._folders[-1]))
            self._names.append(name)

    def _leave(self, count: int) -> None:
        """Closes the open folders but for so many."""
        while len(self._folders) > count:
            os.close(self._folders.pop())
        del self._names[max(count - 1, 0) :]


# ---- Both ways


class _Counter:
    def __init__(self, progress: Progress | None) -> None:
        if progress is not None and not callable(progress):
            raise wrong_type("progress", progress, "a function, or None")
        self._progress = progress
        self.entries = 0
        self.size = 0

    def add(self, size: int) -> None:
        self.entries += 1
        self.size += size
        if self._progress is not None:
            self._progress(self.entries, self.size)


def _joined(root: bytes, name: bytes) -> bytes:
    return root.rstrip(b"/") + b"/" + name if name and not name.startswith(b"/") else name or root


def _look(stream: Stream, description: str, path: bytes) -> None:
    look(stream, "while files were copied", lambda number, _: condition_error(number, description, path))


def _look_at_time(deadline: Deadline, counter: _Counter) -> None:
    if deadline.passed:
        raise make(
            TimeoutError,
            f"The files were not copied within {deadline}.",
            f"{counter.entries} entries with {counter.size} bytes were under way or done.",
        )
