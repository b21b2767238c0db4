# SPDX-License-Identifier: Apache-2.0
"""The guest that is played: what it prints and reads on its consoles, and its agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from applevz.testing._played.agent import Agent
    from applevz.testing._played.channels import Channel
else:
    from agent import Agent

_AGENT_PORT = "org.applevz.agent.0"


class Guest:
    """One guest, over its resets."""

    def __init__(self, script: Mapping[str, Any], channels: Mapping[str, Channel], tell: Callable[..., None]) -> None:
        """`channels` are those of the machine's ports, by the names of their backends; they may be others later. `tell`
        tells the host of an event."""
        self._script = script
        self._channels = channels
        self._tell = tell
        self._consoles: list[str] = []
        self._typed: dict[str, bytearray] = {}
        self._lines: dict[str, bytearray] = {}
        self._agent_channel = ""
        self.is_dead = False
        """Whether it panicked."""
        self.ran: list[list[str]] = []
        self._agent = Agent(script, self._send, self.ran)

    # ---- Its life ----

    def find_port(self, driver: str, backend: str, name: str) -> None:
        """A port of the machine's, in their order."""
        if driver == "virtconsole":
            self._consoles.append(backend)
        elif name == _AGENT_PORT and self._script["agent"]:
            self._agent_channel = backend

    def begin(self, restored: bool) -> None:
        if not restored:
            self.print(self._script["console"].encode("latin-1"))
        if self._agent_channel:
            self._tell("VSERPORT_CHANGE", {"id": self._agent_channel, "open": True})
            # Of one that was restored the host asks by itself.
            if not restored:
                self._agent.come()

    def reset(self) -> None:
        self.is_dead = False
        self._agent = Agent(self._script, self._send, self.ran)
        self.begin(restored=False)

    def panic(self, words: str) -> None:
        self.print(f"Kernel panic - not syncing: {words}\n".encode())
        self._tell("GUEST_PANICKED", {"action": "run"})
        self.print(f"---[ end Kernel panic - not syncing: {words} ]---\n".encode())
        self.is_dead = True

    # ---- What a state of it has ----

    @property
    def files(self) -> dict[str, str]:
        return {path: content.decode("latin-1") for path, content in self._agent.files.items()}

    @files.setter
    def files(self, files: Mapping[str, str]) -> None:
        self._agent.files = {path: content.encode("latin-1") for path, content in files.items()}

    # ---- Its ports ----

    def print(self, data: bytes, console: int = 0) -> int:
        """Prints on the console of that number, if there is one. Returns how many there are."""
        if 0 <= console < len(self._consoles):
            self._channels[self._consoles[console]].write(data)
        return len(self._consoles)

    def typed(self, console: int) -> bytes:
        name = self._consoles[console] if 0 <= console < len(self._consoles) else ""
        return bytes(self._typed.get(name, b""))

    def _send(self, data: bytes) -> None:
        if self._agent_channel:
            self._channels[self._agent_channel].write(data)

    def receive(self, name: str, channel: Channel) -> None:
        """Reads what came for a port. What nobody reads in the guest is lost."""
        data = channel.read()
        if not data:
            return
        if name == self._agent_channel:
            self._agent.receive(data)
        elif name in self._consoles:
            self._typed.setdefault(name, bytearray()).extend(data)
            lines = self._lines.setdefault(name, bytearray())
            lines += data
            while (end := lines.find(b"\n")) >= 0:
                line = bytes(lines[:end]).decode("utf-8", "surrogateescape").rstrip("\r")
                del lines[: end + 1]
                answer = self._script["answers"].get(line)
                if answer is not None:
                    channel.write(answer.encode("latin-1"))
