# SPDX-License-Identifier: Apache-2.0
"""What a fake guest is: what it prints, what its agent answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .._values.arguments import wrong_type

__all__ = ["FakeGuest", "FakeResult", "latin"]

_INFORMATION: Final[Mapping[str, str]] = {
    "hostname": "played",
    "kernel": "6.1.0-played",
    "machine": "x86_64",
    "uptime": "1.0",
    "load": "0.0 0.0 0.0",
    "memory.total": "268435456",
    "memory.available": "134217728",
    "processors": "1",
    "agent": "played",
}


@dataclass(frozen=True)
class FakeResult:
    """What a program of a fake guest comes to: its exit status, and what it prints, as bytes or text.

    One that `hangs` prints that, and does not end before it is killed.
    """

    returncode: int = 0
    stdout: bytes | str = b""
    stderr: bytes | str = b""
    hangs: bool = False


@dataclass
class FakeGuest:
    """What a fake guest is.

    `console` is what it prints on its first console when it starts. `answers` is what it prints there when somebody
    types a line, by that line without its end. `commands` are the programs that its agent runs, by their arguments, or
    by the text that a shell is given; a text is also a program that may have any arguments. What they come to is a
    `FakeResult`, or what they print. Every other program is a `FileNotFoundError`. `files` are what the agent reads,
    by their paths; what is written there joins them, and is saved and restored with the machine. Without `agent` no
    agent answers. `information` replaces or adds to what `Guest.info` tells. A guest that `ignores_power_button` goes
    on when it is asked to stop. `screen` is the PNG image that its display shows, a black one if it is None.
    """

    console: bytes | str = b""
    answers: Mapping[str, bytes | str] = field(default_factory=dict)
    commands: Mapping[str | tuple[str, ...], FakeResult | bytes | str] = field(default_factory=dict)
    files: Mapping[str, bytes | str] = field(default_factory=dict)
    agent: bool = True
    information: Mapping[str, str] = field(default_factory=dict)
    ignores_power_button: bool = False
    screen: bytes | None = None

    def script(self) -> dict[str, Any]:
        """What the program in QEMU's place reads of it."""
        commands = {}
        for name, result in self.commands.items():
            found = result if isinstance(result, FakeResult) else FakeResult(stdout=result)
            value = {
                "returncode": found.returncode,
                "stdout": latin("FakeResult.stdout", found.stdout),
                "stderr": latin("FakeResult.stderr", found.stderr),
                "hangs": found.hangs,
            }
            words = name if isinstance(name, tuple) else (name,)
            if not all(isinstance(word, str) for word in words):
                raise wrong_type("FakeGuest.commands has a key that", name, "text (str), or a tuple of such")
            if isinstance(name, str):
                # What a shell is given, and the name of a program.
                commands[f"sh\0{name}"] = value
                commands[name] = value
            else:
                commands["\0".join(name)] = value
        return {
            "console": latin("FakeGuest.console", self.console),
            "answers": {line: latin("FakeGuest.answers", text) for line, text in self.answers.items()},
            "commands": commands,
            "files": {path: latin("FakeGuest.files", text) for path, text in self.files.items()},
            "agent": bool(self.agent),
            "information": {**_INFORMATION, **self.information},
            "ignores_power_button": bool(self.ignores_power_button),
            "screen": None if self.screen is None else latin("FakeGuest.screen", self.screen),
        }


def latin(name: str, value: bytes | str) -> str:
    """The bytes as text in which each of them is a character."""
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    if not isinstance(value, bytes | bytearray):
        raise wrong_type(name, value, "bytes or text (str)")
    return value.decode("latin-1")
