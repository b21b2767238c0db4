# SPDX-License-Identifier: Apache-2.0
"""Checksums: a caller's text, and the files in which distributions give them out.

Such a file comes from a server, and is not believed in any other way than that its lines are looked at. Known are lines
of sha256sum and its like, those of BSD (`SHA256 (file) = …`), a checksum alone, and each of them in a file that PGP
signed as a whole (RFC 9580, 7).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .._values.arguments import shown, wrong_type
from ..errors import InvalidArgumentError, InvalidDiskImageError, make

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["LONGEST_FILE", "Checksum", "checksum_argument", "checksums_in"]

LONGEST_FILE: Final = 4 << 20
# What nobody can make a second file for, and how many hexadecimal digits each has.
_DIGITS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
_ALGORITHMS: Final = {digits: name for name, digits in _DIGITS.items()}
_SUMS: Final = re.compile(r"([0-9a-fA-F]{32,128})(?: [ *]?|\t+)(\S.*)")
_BSD: Final = re.compile(r"([A-Za-z0-9/-]{2,12}) ?\((.+)\) ?= ?([0-9a-fA-F]{32,128})")
_ALONE: Final = re.compile(r"[0-9a-fA-F]{64,128}")
_CLEARSIGNED: Final = "-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE: Final = "-----BEGIN PGP SIGNATURE-----"


@dataclass(frozen=True, order=True)
class Checksum:
    """`algorithm` is a name of `hashlib`; `digest` are lower-case hexadecimal digits."""

    algorithm: str
    digest: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digest}"

    def new_hash(self) -> _Hash:
        return hashlib.new(self.algorithm, usedforsecurity=True)


def checksum_argument(field: str, value: str) -> Checksum:
    """The checksum that a caller gives as `"sha256:…"`, or as the digits alone."""
    if not isinstance(value, str):
        raise wrong_type(field, value, 'text (str), as "sha256:…"')
    name, colon, digest = value.strip().rpartition(":")
    algorithm = name.lower() if colon else _ALGORITHMS.get(len(digest), "")
    if _DIGITS.get(algorithm) != len(digest) or not _ALONE.fullmatch(digest):
        raise make(
            InvalidArgumentError,
            f"{field} is {shown(value)}, which is no checksum.",
            "Known are sha256 with 64 hexadecimal digits, sha384 with 96, and sha512 with 128.",
            'Give the name and the digits, as "sha256:…".',
        )
    return Checksum(algorithm, digest.lower())


def checksums_in(data: bytes, source: str) -> dict[str, Checksum]:
    """For each file its strongest checksum. That of a file that has a checksum alone stands under "".

    Raises `InvalidDiskImageError` for what is no such file, and for two different checksums of one name.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if len(data) > LONGEST_FILE or "\0" in text:
        raise _no_checksums(source, "It is no text." if len(data) <= LONGEST_FILE else f"It is {len(data)} bytes long.")
    lines = _lines_of(text)
    if len(lines) == 1 and _ALONE.fullmatch(lines[0]) and len(lines[0]) in _ALGORITHMS:
        return {"": Checksum(_ALGORITHMS[len(lines[0])], lines[0].lower())}
    found: dict[str, dict[str, str]] = {}
    for line in lines:
        if sums := _SUMS.fullmatch(line):
            digest, name = sums[1], sums[2]
            algorithm = _ALGORITHMS.get(len(digest), "")
        elif bsd := _BSD.fullmatch(line):
            algorithm, name, digest = bsd[1].lower().replace("-", ""), bsd[2], bsd[3]
        else:
            continue
        if _DIGITS.get(algorithm) != len(digest):
            continue
        before = found.setdefault(name.removeprefix("./"), {}).setdefault(algorithm, digest.lower())
        if before != digest.lower():
            raise _no_checksums(source, f"It has two of {shown(name)}.")
    if not found:
        raise _no_checksums(source, "None of its lines has a SHA-256, SHA-384 or SHA-512 of a file.")
    return {name: Checksum(*max(digests.items())) for name, digests in found.items()}


def _lines_of(text: str) -> list[str]:
    """The lines that are not empty; of a signed text those that are signed."""
    lines = [line.rstrip() for line in text.split("\n")]  # what else ends a line for Python does not for PGP
    if _CLEARSIGNED in lines:
        lines = lines[lines.index(_CLEARSIGNED) + 1 :]
        lines = lines[lines.index("") + 1 :] if "" in lines else []
        lines = lines[: lines.index(_SIGNATURE)] if _SIGNATURE in lines else []
        lines = [line.removeprefix("- ") for line in lines]
    return [line for line in lines if line]


def _no_checksums(source: str, reason: str) -> Exception:
    return make(
        InvalidDiskImageError,
        f"The file of checksums {source} cannot be used.",
        reason,
        "Name another server, or give the checksum yourself.",
    )
