# SPDX-License-Identifier: Apache-2.0
"""What the report of a failing test shows of its machines: consoles, the kernel's messages, the display.

All of it is the guest's, so it is bounded, and shown without control characters. None of it fails a test that did not
fail, or hides why one did: what cannot be had is said in words, or left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .. import VirtualMachine, VirtualMachineState, aio
from ..errors import Error

__all__ = ["Witness"]

# So long a guest may take that is asked for its messages, and its display.
_PATIENCE: Final = 5.0
_MOST: Final = 4 << 20
_LINES: Final = 200
_LENGTH: Final = 1 << 16
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# A line of the kernel's, as printk.time has it.
_MESSAGE: Final = re.compile(r"^\[ *\d+\.\d+\] ", re.MULTILINE)

Machine = VirtualMachine | aio.VirtualMachine


@dataclass
class _Seen:
    """What was seen of a machine."""

    machine: Machine | None
    sections: list[tuple[str, str]] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)


class Witness:
    """Knows the machines of one test."""

    def __init__(self, test: str, folder: Callable[[], str]) -> None:
        """`folder` says where screenshots go; it is made when the first of them is."""
        self._test = test
        self._folder = folder
        self._seen: list[_Seen] = []

    def watch(self, machine: Machine) -> _Seen:
        seen = _Seen(machine)
        self._seen.append(seen)
        return seen

    @contextlib.asynccontextmanager
    async def watching(self, machine: aio.VirtualMachine) -> AsyncIterator[None]:
        seen = self.watch(machine)
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException:  # what pytest.fail raises is no Exception
            seen.sections = _of_consoles(machine)
            seen.sections.append(_messages_section(*await _awaited_messages(machine), seen.sections))
            path = self._picture_path(machine, seen)
            if path is not None:
                with contextlib.suppress(Error):
                    await machine.screenshot(path, timeout=_PATIENCE)
                    seen.pictures.append(str(path))
            raise
        finally:
            self.last_look(machine)

    def last_look(self, machine: Machine) -> None:
        """What the consoles of a machine printed that ends now. Never waits."""
        for seen in self._seen:
            if seen.machine is machine:
                seen.sections = seen.sections or _of_consoles(machine)
                seen.machine = None

    def tell(self, at_the_end: bool) -> tuple[list[tuple[str, str]], list[str]]:
        """The sections of the report, each a name and a text, and the files with what the displays showed."""
        sections: list[tuple[str, str]] = []
        pictures: list[str] = []
        for number, seen in enumerate(self._seen, 1):
            if isinstance(seen.machine, VirtualMachine) and not at_the_end:
                self._look(seen.machine, seen)
            which = f"vm {number}" if len(self._seen) > 1 else "vm"
            found = [*seen.sections, *(("screenshot", picture) for picture in seen.pictures)]
            sections += [(f"applevz: {name} of {which}", text) for name, text in found if text]
            pictures += seen.pictures
        return sections, pictures

    def _look(self, machine: VirtualMachine, seen: _Seen) -> None:
        seen.sections = _of_consoles(machine)
        seen.sections.append(_messages_section(*_messages(machine), seen.sections))
        seen.pictures = []
        path = self._picture_path(machine, seen)
        if path is not None:
            with contextlib.suppress(Error):
                machine.screenshot(path, timeout=_PATIENCE)
                seen.pictures.append(str(path))

    def _picture_path(self, machine: Machine, seen: _Seen) -> Path | None:
        """Where the screenshot of a machine goes; None if there is nothing to be seen."""
        if machine.state not in (VirtualMachineState.RUNNING, VirtualMachineState.PAUSED):
            return None
        with contextlib.suppress(Error, OSError):
            if machine.displays:
                folder = Path(self._folder())
                folder.mkdir(parents=True, exist_ok=True)
                name = re.sub(r"[^A-Za-z0-9._-]+", "-", self._test).strip("-.")[-150:]
                return folder / f"{name}-{self._seen.index(seen) + 1}.png"
        return None


def _of_consoles(machine: Machine) -> list[tuple[str, str]]:
    """The state, where the machine does not run, and the ends of what came from the consoles."""
    sections = []
    if machine.state is not VirtualMachineState.RUNNING:
        error = machine.stop_error
        sections.append(("state", f"{machine.state.name}{'' if error is None else f': {error}'}"))
    for place, console in enumerate(machine.consoles):
        with contextlib.suppress(Error):
            console.catch_up()
        name = "console" if place == 0 else f"consoles[{place}]"
        sections.append((name, _shown(console.tail)))
    return sections


def _messages(machine: VirtualMachine) -> tuple[bytes, str]:
    """What the guest's dmesg prints, or why that cannot be had."""
    if machine.state is not VirtualMachineState.RUNNING or machine._guest is None:
        return b"", "the console"
    try:
        with machine.guest.popen(["dmesg"], stdout=subprocess.PIPE, timeout=_PATIENCE) as process:
            output = process.stdout
            return (output.read(_MOST, timeout=_PATIENCE) if output is not None else b""), "the agent"
    except Error:
        return b"", "the console, since the agent tells nothing"


async def _awaited_messages(machine: aio.VirtualMachine) -> tuple[bytes, str]:
    if machine.state is not VirtualMachineState.RUNNING or machine._guest is None:
        return b"", "the console"
    try:
        async with await machine.guest.popen(["dmesg"], stdout=subprocess.PIPE, timeout=_PATIENCE) as process:
            output = process.stdout
            return (await output.read(_MOST, timeout=_PATIENCE) if output is not None else b""), "the agent"
    except Error:
        return b"", "the console, since the agent tells nothing"


def _messages_section(told: bytes, source: str, consoles: list[tuple[str, Any]]) -> tuple[str, str]:
    text = _shown(told)
    if not told:
        lines = [line for _, printed in consoles for line in printed.splitlines() if _MESSAGE.match(line)]
        text = "\n".join(lines)
    return f"dmesg (by {source})", text


def _shown(printed: bytes) -> str:
    """The end of what a guest printed, as a report can have it."""
    text = printed[-_LENGTH:].decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROLS.sub("", _ESCAPES.sub("", text))
    return "\n".join(text.splitlines()[-_LINES:])
