# SPDX-License-Identifier: Apache-2.0
"""Downloads: a text, or a file whose checksum is known, in parts if need be, from one of several servers.

The file has a name of its own until its checksum is right: what is there under it is a beginning of the file, unless
something went wrong with that. Beside it stands who gave it: the same address goes on only if the file there is still
the same (`If-Range`, RFC 9110, 13.1.5). Another one goes on if its file is as long. If the whole is wrong then, it is
downloaded once more from its beginning.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from ..errors import Error, InvalidDiskImageError, make, make_posix
from .checksums import Checksum
from .task import Task
from .transport import Response, UnreachableError, nobody_gives, request

__all__ = ["SILENCE", "download", "fetch"]

# The seconds for which a server may be silent.
SILENCE: Final = 60.0
# A server that breaks off is asked again: so often with nothing gained or after a silence, and so often in all.
_BARREN: Final = 2
_ATTEMPTS: Final = 100
_BLOCK: Final = 1 << 20


def fetch(task: Task, urls: Sequence[str], limit: int, silence: float) -> tuple[bytes, str]:
    """A small file, from the first address that gives it, and which that is. Raises `DownloadError`."""
    words = []
    for url in urls:
        for _ in range(_BARREN):
            data = bytearray()
            try:
                with request(task, url, {}, silence) as response:
                    if response.status != 200:
                        raise UnreachableError(f"it answered with the status {response.status}", is_final=True)
                    while part := response.read():
                        data += part
                        if len(data) > limit:
                            raise UnreachableError(f"it sends more than {limit} bytes", is_final=True)
                    if response.length not in (None, len(data)):
                        raise UnreachableError(f"it ended after {len(data)} of {response.length} bytes")
                return bytes(data), url
            except UnreachableError as error:
                problem = error
            if problem.is_final:
                break
        words.append(f"{url}: {problem}")
    raise nobody_gives(f"The file {urls[0].rpartition('/')[2] or urls[0]}", words)


def download(task: Task, urls: Sequence[str], path: Path, checksum: Checksum, limit: int, silence: float) -> None:
    """Makes the file at `path` whole, whatever beginning of it is there. Nobody else writes to it meanwhile.

    Raises `DownloadError` if no address gives it, `InvalidDiskImageError` if what the last one gave has another
    checksum, and `POSIXError`.
    """
    words = []
    wrong: Exception | None = None
    with _Part(task, path, checksum) as part:
        if part.is_right:
            return
        for url in urls:
            barren = 0
            for _ in range(_ATTEMPTS):
                before = part.length
                try:
                    _go_on(task, url, part, limit, silence)
                except UnreachableError as error:
                    problem = error
                else:
                    if part.is_right:
                        return
                    if not part.is_of_one_piece:
                        part.restart()  # its pieces were of different files
                        continue
                    wrong = _wrong(url, part)
                    problem = UnreachableError(f"its file has the checksum {part.checksum}", is_final=True)
                    part.restart()
                barren = 0 if part.length > before and not problem.is_silent else barren + 1
                if problem.is_final or barren >= _BARREN:
                    break
                task.pause(0.2 * barren)
            words.append(f"{url}: {problem}")
    raise wrong or nobody_gives(f"The image with the checksum {checksum}", words)


def _wrong(url: str, part: _Part) -> Exception:
    return make(
        InvalidDiskImageError,
        f"The file at {url} is not the one that was wanted.",
        f"Its checksum is {part.checksum}, and should be {part.wanted}.",
        "Give the checksum that belongs to it. If a distribution's own is meant, call again later, or have it download "
        "from another server: this one gives out something else.",
    )


def _go_on(task: Task, url: str, part: _Part, limit: int, silence: float) -> None:
    """Downloads what is missing, or all of it if the server wants it so. Raises `UnreachableError`."""
    headers = {}
    if part.length:
        headers["Range"] = f"bytes={part.length}-"
        if part.url == url and part.validator:
            headers["If-Range"] = part.validator
    with request(task, url, headers, silence) as response:
        validator = _validator(response)
        if response.status == 206:
            total: int | None = _check_range(response, part, url, validator)
        elif response.status == 416:
            part.restart()
            raise UnreachableError("it has no more than what is there already, which has another checksum")
        else:
            part.restart()
            total = response.length
        if total is not None and total > limit:
            raise UnreachableError(f"its file has {total} bytes, and {limit} are allowed", is_final=True)
        part.comes_from(url, validator, total)
        while data := response.read():
            if part.length + len(data) > limit:
                raise UnreachableError(f"it sends more than {limit} bytes", is_final=True)
            part.append(data)
            task.tell("download", part.length, total)
        if total is not None and part.length != total:
            raise UnreachableError(f"it ended after {part.length} of {total} bytes")


def _validator(response: Response) -> str | None:
    """What tells this version of a file from others: a strong tag, or else its date."""
    tag = response.header("ETag")
    if tag and tag.startswith('"') and len(tag) < 300:
        return tag
    date = response.header("Last-Modified")
    return date if date and len(date) < 60 and not tag else None


def _check_range(response: Response, part: _Part, url: str, validator: str | None) -> int:
    """The length of the whole file of which the server gives the rest."""
    match = re.fullmatch(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})", response.header("Content-Range") or "")
    if match is None or int(match[1]) != part.length:
        part.restart()
        raise UnreachableError("it gives another part than the one that was asked for")
    total = int(match[3])
    if part.total not in (None, total) or (part.url == url and part.validator != validator):
        part.restart()
        raise UnreachableError("its file was changed meanwhile")
    return total


class _Part:
    """The beginning of a file, with its checksum so far and the file beside it that tells where it comes from."""

    url: str | None = None
    validator: str | None = None
    total: int | None = None

    def __init__(self, task: Task, path: Path, wanted: Checksum) -> None:
        self._task = task
        self._path = path
        self._note = path.with_name(path.name + ".json")
        self.wanted = wanted
        self.length = 0
        self.is_of_one_piece = True
        """Whether all of it came with one answer."""
        self._hash = wanted.new_hash()

    def __enter__(self) -> _Part:
        self._file = self._open()
        try:
            self._read()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._file.close()
        if kind is None:
            with contextlib.suppress(OSError):
                self._note.unlink()

    def _open(self) -> BinaryIO:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with self._errors():
            return open(os.open(self._path, flags, 0o600), "r+b", buffering=0)

    def _read(self) -> None:
        """Goes on with what is there, if it is known where it came from."""
        try:
            note = json.loads(self._note.read_bytes()[:4096])
            url, validator, total = note["url"], note["validator"], note["total"]
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            url = validator = total = None
        is_known = isinstance(url, str) and isinstance(validator, str | None) and isinstance(total, int | None)
        size = os.fstat(self._file.fileno()).st_size
        if size and not is_known:
            self.restart()
            return
        while data := self._read_block():
            self._hash.update(data)
            self.length += len(data)
            self._task.tell("verify", self.length, size)
        self.url, self.validator, self.total = url, validator, total
        self.is_of_one_piece = not self.length

    def _read_block(self) -> bytes:
        with self._errors():
            return self._file.read(_BLOCK)

    def restart(self) -> None:
        with self._errors():
            self._file.truncate(0)
            self._file.seek(0)
        self.length = 0
        self.url = self.validator = self.total = None
        self.is_of_one_piece = True
        self._hash = self.wanted.new_hash()

    def comes_from(self, url: str, validator: str | None, total: int | None) -> None:
        """Notes where what follows comes from, before any of it is there."""
        self.is_of_one_piece = not self.length
        self.url, self.validator, self.total = url, validator, total
        temporary = self._note.with_name(self._note.name + ".new")
        with self._errors():
            temporary.write_text(json.dumps({"url": url, "validator": validator, "total": total}))
            temporary.replace(self._note)

    def append(self, data: bytes) -> None:
        with self._errors():
            view = memoryview(data)
            while view:
                count = self._file.write(view) or 0
                view = view[count:]
        self._hash.update(data)
        self.length += len(data)

    @property
    def checksum(self) -> Checksum:
        return Checksum(self.wanted.algorithm, self._hash.hexdigest())

    @property
    def is_right(self) -> bool:
        return self.length > 0 and self.checksum == self.wanted

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except Error:
            raise
        except OSError as error:
            raise make_posix(
                error,
                f"The download cannot be kept as {str(self._path)!r}.",
                "Make room on that disk, or name another folder as cache.",
                os.fsencode(self._path),
            ) from error
