# SPDX-License-Identifier: Apache-2.0
"""The catalog: what is known of the distributions' images, as data. `catalog.json` is the package's own.

Each distribution has: `default`, the version without one in the name; `versions`, each with its other names;
`architectures`, with what the distribution calls each; `boot` and perhaps `user`, as `Image` has them; `folders`,
addresses that end with /, each with the same files; `files`, the names of its image, where `*` stands for what the
folder's list tells; `checksums`, the name of the file of checksums; and, if there are such, `index`, the name of the
folder's list, `signature`, the name of a file that has it or `inline`, and `keyrings`, where hosts have the keys.

In all of them {version}, {codename} and {architecture} are filled in, and {file} in `checksums` and `signature`.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from .._values.arguments import PathLike, shown, wrong_type
from .._values.arguments import path as path_argument
from ..errors import InvalidArgumentError, make, make_posix

__all__ = ["ARCHITECTURES", "Distribution", "Wanted", "architecture_argument", "read_catalog", "wanted_image"]

ARCHITECTURES: Final = ("x86_64", "aarch64")
_OTHER_NAMES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
_LONGEST: Final = 1 << 20
_SUGGESTION: Final = 'Give a name like "debian:13", or the address of an image and its checksum.'


@dataclass(frozen=True)
class Distribution:
    """One entry of a catalog."""

    name: str
    default: str
    versions: dict[str, list[str]]
    architectures: dict[str, str]
    user: str | None
    boot: str
    folders: list[str]
    files: list[str]
    checksums: str
    index: str | None
    signature: str | None
    keyrings: list[str]


@dataclass(frozen=True)
class Wanted:
    """An image of a catalog that is asked for."""

    distribution: Distribution
    version: str
    architecture: str

    @property
    def name(self) -> str:
        return f"{self.distribution.name}:{self.version}"

    def filled(self, text: str, file: str = "") -> str:
        """The text of the catalog, with what is meant in place of each {…}."""
        values = {
            "version": self.version,
            "codename": next(iter(self.distribution.versions[self.version]), self.version),
            "architecture": self.distribution.architectures[self.architecture],
            "file": file,
        }
        for name, value in values.items():
            text = text.replace("{" + name + "}", value)
        return text


def architecture_argument(value: str | None) -> str:
    """The processor's name as it is in a catalog; None is this host's."""
    name = platform.machine() if value is None else value
    if not isinstance(name, str):
        raise wrong_type("architecture", name, "text (str)")
    name = _OTHER_NAMES.get(name.lower(), name)
    if name not in ARCHITECTURES:
        raise make(
            InvalidArgumentError,
            f"architecture is {shown(name)}, of which there are no images.",
            "" if value is not None else "It is this host's.",
            f"Give one of {', '.join(ARCHITECTURES)}.",
        )
    return name


def read_catalog(path: PathLike | None) -> dict[str, Distribution]:
    """The catalog of a file, or of the package. Raises `InvalidArgumentError` for what is none, and `POSIXError`."""
    if path is None:
        data = resources.files(__package__).joinpath("catalog.json").read_bytes()
        name = "catalog.json"
    else:
        given = path_argument("catalog", path)
        name = os.fsdecode(given)
        try:
            with open(given, "rb") as file:
                data = file.read(_LONGEST + 1)
        except OSError as error:
            raise make_posix(error, f"The catalog {name!r} cannot be read.", "Name a file of JSON.", given) from error
    try:
        if len(data) > _LONGEST:
            raise _WrongError("It is too long.")
        table = json.loads(data)
        if not isinstance(table, dict):
            raise _WrongError("It is no JSON object.")
        return {key: _distribution(key, value) for key, value in table.items()}
    except (ValueError, RecursionError) as error:
        suggestion = "Write it as the package's own, src/applevz/_images/catalog.json, is."
        raise make(InvalidArgumentError, f"catalog is {name!r}, which is no catalog.", f"{error}", suggestion) from None


class _WrongError(ValueError):
    """What is wrong with a catalog, as a sentence."""


def _distribution(name: str, value: Any) -> Distribution:
    if not isinstance(value, dict):
        raise _WrongError(f"{name!r} is no object.")
    needed = {
        "default": _text,
        "versions": lambda given: {_text(key): _texts(other) for key, other in _object(given).items()},
        "architectures": lambda given: {_text(key): _text(other) for key, other in _object(given).items()},
        "folders": _texts,
        "files": _texts,
        "checksums": _text,
        "boot": _text,
    }
    optional = {"user": _text, "index": _empty_or_text, "signature": _text, "keyrings": _texts}
    if unknown := value.keys() - needed.keys() - optional.keys():
        raise _WrongError(f"{name!r} has {sorted(unknown)[0]!r}, which means nothing.")
    if missing := needed.keys() - value.keys():
        raise _WrongError(f"{name!r} has no {sorted(missing)[0]!r}.")
    read: dict[str, Any] = {"user": None, "index": None, "signature": None, "keyrings": []}
    for key, given in value.items():
        read[key] = _value(name, key, given, {**needed, **optional}[key])
    if read["default"] not in read["versions"] or read["boot"] not in ("efi", "kernel"):
        raise _WrongError(f"{name!r} has a default that is no version, or a boot that is neither efi nor kernel.")
    return Distribution(name, **read)


def _value(name: str, key: str, given: Any, read: Callable[[Any], Any]) -> Any:
    try:
        return read(given)
    except _WrongError as error:
        raise _WrongError(f"{name!r} has the {key!r} {shown(given)}: {error}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _WrongError("it is no text.")
    return value


def _empty_or_text(value: Any) -> str:
    return "" if value == "" else _text(value)


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise _WrongError("it is no list.")
    return [_text(one) for one in value]


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _WrongError("it is no object.")
    return value


def wanted_image(
    source: str,
    architecture: str | None,
    catalog: PathLike | None,
    field: str = "source",
    suggestion: str = _SUGGESTION,
) -> Wanted:
    """The image that a name means. Raises `InvalidArgumentError` for one that the catalog does not have."""
    table = read_catalog(catalog)
    name, colon, version = source.partition(":")
    found = table.get(name)
    if found is None:
        raise make(
            InvalidArgumentError,
            f"{field} is {shown(source)}, which the catalog does not have.",
            f"It has {', '.join(sorted(table))}.",
            suggestion,
        )
    version = next((one for one, others in found.versions.items() if version in others), version)
    if not colon:
        version = found.default
    if version not in found.versions:
        words = (f"{one} ({', '.join(others)})" if others else one for one, others in found.versions.items())
        reason = f"Of {name} it has {', '.join(words)}."
        raise make(InvalidArgumentError, f"{field} is {shown(source)}, which the catalog does not have.", reason)
    processor = architecture_argument(architecture)
    if processor not in found.architectures:
        reason = f"It has {', '.join(found.architectures)}."
        raise make(InvalidArgumentError, f"architecture is {processor!r}, of which {name} has no image.", reason)
    return Wanted(found, version, processor)
