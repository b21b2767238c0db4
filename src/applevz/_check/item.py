# SPDX-License-Identifier: Apache-2.0
"""An item of the check list, what it is given, and how it says what it saw."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeAlias

__all__ = ["Item", "LeftOut", "Options", "Seen", "Value"]

# What JSON has.
Value: TypeAlias = "str | int | float | Sequence[Value] | Mapping[str, Value] | None"


@dataclass(frozen=True)
class Options:
    """What the user chose, and where an item may make files."""

    kernel: str | None = None
    initrd: str | None = None
    command_line: str = "console=hvc0"
    memory: str = "512MiB"
    answers: Sequence[Sequence[str]] = field(default_factory=list)
    ready: str = "guest# "
    timeout: float = 120.0
    folder: str = "."

    def path(self, name: str) -> Path:
        """A file of that name in the item's own folder."""
        return Path(self.folder, name)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Options:
        return cls(**json.loads(text))


class LeftOut(Exception):  # noqa: N818  # no error: the host has not what the item looks at
    """Raised by an item that cannot be gone through here; the message says what is missing."""


class Seen:
    """Takes what an item sees, a key and a value at a time. It is with the parent at once, whatever happens next."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, key: str, value: Value) -> None:
        self._tell({"key": key, "value": value})

    def end(self, outcome: str, detail: str) -> None:
        """Called once, after everything else."""
        self._tell({"outcome": outcome, "detail": detail})

    def _tell(self, message: Mapping[str, Value]) -> None:
        # What is no Unicode text, as a file's name may be, is escaped: JSON's escapes stand for any half of a pair.
        rest = json.dumps(message).encode() + b"\n"
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


@dataclass(frozen=True)
class Item:
    """One thing that only the host can tell."""

    name: str
    """One word, for `--only`."""
    title: str
    documented: str
    """What Apple's documentation says about it, or that it says nothing."""
    assumed: str
    """What this package relies on."""
    function: Callable[[Seen, Options], None]
    seconds: float = 30.0
    """How long it may take."""
    needs_guest: bool = False
    """It looks at a guest, for whose boot it is given `Options.timeout` more."""

    def limit(self, options: Options) -> float:
        """After how many seconds it is ended."""
        return self.seconds + (options.timeout if self.needs_guest else 0.0)
