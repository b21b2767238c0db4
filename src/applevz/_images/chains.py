# SPDX-License-Identifier: Apache-2.0
"""The files of an image to import: itself, and those beneath it, each opened once and looked at before QEMU sees any.

QEMU is given descriptors, formats and the order of the files. It finds nothing by a name in an image, and guesses no
format. Whether somebody changed a file meanwhile is asked at the end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

from .._values.file_identities import identity_of
from ..errors import make_posix
from .disk_formats import COMPRESSIONS, FORMATS, Header, find_format, read_header, refused

__all__ = ["Chain", "Link", "open_regular"]

_DEEPEST: Final = 32
_PROTOCOL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def open_regular(path: str, what: str) -> int:
    """A descriptor of a regular file, through links. Raises `POSIXError`, and `InvalidDiskImageError` if it is none."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        suggestion = "Name a file that is there and that this user may read."
        raise make_posix(error, f"{what} cannot be opened.", suggestion, os.fsencode(path)) from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise refused(path, "It is no regular file.", "Name a file that is a disk image.")
    return number


class Link:
    """One file of a chain, which it closes."""

    def __init__(self, path: str, number: int) -> None:
        self.path = path
        self.number = number
        self.header = Header("raw", None)
        self._status = self._look()

    @property
    def identity(self) -> tuple[int, ...]:
        """What tells this file, with this content, from others: no program sets the last of it back."""
        return self._status

    def _look(self) -> tuple[int, ...]:
        return identity_of(os.fstat(self.number))

    def options(self, beneath: dict[str, Any] | None) -> dict[str, Any]:
        """What QEMU's block layer opens for this file, with that beneath it, or with none."""
        file = {"driver": "file", "filename": f"/dev/fd/{self.number}"}
        options: dict[str, Any] = {"driver": self.header.format, "file": file, "read-only": True}
        if self.header.format in ("qcow2", "vmdk"):
            options["backing"] = beneath
        return options

    def check_unchanged(self) -> None:
        if self._look() != self._status:
            suggestion = "Call again when nobody writes to it: a machine that has it as a disk is to be stopped first."
            raise refused(self.path, "It was changed while it was read.", suggestion)


class Chain:
    """The files of an image, the outermost first."""

    def __init__(self, path: str, kind: str | None, folders: Sequence[str] | None) -> None:
        """`kind` is the format or compression of the outermost file, if the caller tells it. Files beneath it lie below
        `folders`, which are without links; with None there may be none."""
        self.links: list[Link] = []
        try:
            self._open(path, kind, folders)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Chain:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        for link in self.links:
            with contextlib.suppress(OSError):
                os.close(link.number)
        self.links.clear()

    def _open(self, path: str, kind: str | None, folders: Sequence[str] | None) -> None:
        wanted: str | None = path
        while wanted is not None:
            link = Link(wanted, open_regular(wanted, f"The image {wanted!r}"))
            self.links.append(link)
            if any(link.identity[:2] == other.identity[:2] for other in self.links[:-1]):
                raise refused(path, f"Its backing files are a circle: {wanted!r} is beneath itself.")
            if len(self.links) > _DEEPEST:
                suggestion = "Make one file of it: qemu-img convert."
                raise refused(path, f"It has more than {_DEEPEST} backing files.", suggestion)
            kind = kind or find_format(link.number, wanted) or "raw"
            if kind in COMPRESSIONS:
                link.header = Header(kind, None)
                return
            link.header = read_header(link.number, wanted, kind)
            wanted = self._beneath(link, folders)
            kind = link.header.backing_format

    @staticmethod
    def _beneath(link: Link, folders: Sequence[str] | None) -> str | None:
        """The file beneath that one, if it may be there."""
        backing, kind = link.header.backing, link.header.backing_format
        if backing is None:
            return None
        if folders is None:
            raise refused(link.path, f"It has the backing file {backing!r}, and what is downloaded has to be whole.")
        if _PROTOCOL.match(backing):
            reason = f"Its backing file is {backing!r}, which QEMU would take for an address, and no name."
            raise refused(link.path, reason, "Give it a file: qemu-img rebase -u -F FORMAT -b FILE IMAGE.")
        if kind not in FORMATS:
            told = "has no format" if kind is None else f"has the format {kind!r}"
            # The name is whoever's the image is: it is in no command that somebody may copy.
            suggestion = f"Say it, with one of {', '.join(FORMATS)}: qemu-img rebase -u -F FORMAT -b FILE IMAGE."
            raise refused(link.path, f"Its backing file {backing!r} {told}.", suggestion)
        try:
            path = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(link.path)), backing), strict=True)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise refused(link.path, f"Its backing file {backing!r} is a circle of links.") from error
            suggestion = "Bring that file, too, or make one file of the image where it came from: qemu-img convert."
            words = f"The backing file {backing!r} of the image {link.path!r} cannot be opened."
            raise make_posix(error, words, suggestion, os.fsencode(backing)) from error
        if not any(os.path.commonpath((folder, path)) == folder for folder in folders):
            suggestion = "If you trust the image, name the folder of that file in backing_folders."
            raise refused(link.path, f"Its backing file {path!r} is outside of {' and '.join(folders)}.", suggestion)
        return path

    def options(self) -> dict[str, Any]:
        """What QEMU's block layer opens: each file by its descriptor, with its format, and none beneath the last."""
        node: dict[str, Any] | None = None
        for link in reversed(self.links):
            node = link.options(node)
        return node or {}

    @property
    def numbers(self) -> list[int]:
        return [link.number for link in self.links]

    def check_unchanged(self) -> None:
        """Raises `InvalidDiskImageError` if somebody wrote to a file since it was opened."""
        for link in self.links:
            link.check_unchanged()
