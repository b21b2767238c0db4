# SPDX-License-Identifier: Apache-2.0
"""Where the hosts get files from: a folder or an object store that all of them reach, by the SHA-256 of each file.

A source is sent to the hosts. What it gives is checked there.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

from .._values.arguments import PathLike, shown, wrong_type
from ..errors import DownloadError, InvalidArgumentError, NotSupportedError, make
from ._contents import PIECE, Content, Pieces, pieces_of, write_pieces

__all__ = ["FileSystem", "Folder", "Source", "source_argument"]

_LOCAL: Final = "file://"


class Source(Protocol):
    """Gives files by what is in them."""

    def publish(self, content: Content, path: bytes) -> None:
        """Has a file of this host's given out. Called where the state or the image is."""

    def pieces(self, content: Content) -> Pieces:
        """The data of a file. Called on a host that needs it."""


class Folder:
    """A folder of a file system that all hosts have. A file is there under its SHA-256, as it is, with its holes."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def publish(self, content: Content, path: bytes) -> None:
        final = self._path / content.sha256
        with _errors(str(self._path), "written to"):
            # Whoever gives it a name has written all of it.
            if final.exists() and final.stat().st_size == content.size:
                return
            self._path.mkdir(parents=True, exist_ok=True)
            beginning = self._path / f".applevz-{uuid.uuid4().hex}"
            try:
                write_pieces(beginning, content.size, pieces_of(path))
                beginning.chmod(0o644)
                beginning.replace(final)
            finally:
                beginning.unlink(missing_ok=True)

    def pieces(self, content: Content) -> Iterator[tuple[int, bytes]]:
        with _errors(str(self._path), "read"):
            yield from pieces_of(self._path / content.sha256)


class FileSystem:
    """A place that `fsspec` knows, as `"s3://bucket/states"`. A file is there under its SHA-256, as it is."""

    def __init__(self, place: str) -> None:
        self._place = place

    def _opened(self) -> tuple[Any, str]:
        try:
            import fsspec
        except ImportError:
            raise make(
                NotSupportedError,
                f"files is {self._place!r}, which takes the Python package fsspec.",
                "It is not installed.",
                "Install it with the extra that needs it: pip install 'applevz[ray]'.",
            ) from None
        try:
            file_system, path = fsspec.core.url_to_fs(self._place)
        except (ImportError, ValueError) as error:
            raise make(
                NotSupportedError,
                f"files is {shown(self._place)}, which fsspec does not reach here.",
                f"{str(error).rstrip('.')}.",
                "Install the package that it names, on each host.",
            ) from error
        return file_system, str(path).rstrip("/")

    def publish(self, content: Content, path: bytes) -> None:
        file_system, folder = self._opened()
        name = f"{folder}/{content.sha256}"
        with _errors(self._place, "written to"):
            if file_system.exists(name) and file_system.size(name) == content.size:
                return
            file_system.makedirs(folder, exist_ok=True)
            with open(path, "rb") as given, file_system.open(name, "wb") as taken:
                while part := given.read(PIECE):
                    taken.write(part)

    def pieces(self, content: Content) -> Iterator[tuple[int, bytes]]:
        file_system, folder = self._opened()
        nothing = bytes(PIECE)
        done = 0
        with _errors(self._place, "read"), file_system.open(f"{folder}/{content.sha256}", "rb") as file:
            while part := file.read(PIECE):
                if part != nothing[: len(part)]:
                    yield done, part
                done += len(part)


@contextlib.contextmanager
def _errors(place: str, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise make(
            DownloadError,
            f"{place!r} cannot be {what}.",
            f"{str(error).rstrip('.')}.",
            "Name a folder or an object store that every host reaches.",
        ) from error


def source_argument(field: str, value: PathLike) -> Source:
    """The source that a caller names: a folder, or an address with "://"."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, bytes):
        value = os.fsdecode(value)
    if not isinstance(value, str):
        raise wrong_type(field, value, 'a folder, or an address as "s3://bucket/states"')
    place = value.removeprefix(_LOCAL)
    if not place or "\0" in place:
        raise make(InvalidArgumentError, f"{field} is {shown(value)}.", "", "Name a folder or an object store.")
    return FileSystem(place) if "://" in place else Folder(os.path.abspath(place))
