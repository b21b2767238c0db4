# SPDX-License-Identifier: Apache-2.0
"""QEMU's agent at the other end of its port, for a test to play: what one would say, and what none would."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable
from typing import Any

from applevz._native import descriptors


class SocketPort:
    """The host's end of a port that is a socket."""

    def __init__(self, host: socket.socket) -> None:
        host.setblocking(False)
        self._host = host
        (self.reference,) = descriptors(lambda: (host.dup().detach(),))

    def close(self) -> None:
        self._host.close()

    def send(self, data: bytes) -> int:
        try:
            return self._host.send(data)
        except (BlockingIOError, BrokenPipeError):
            return 0

    def receive(self) -> bytes:
        try:
            return self._host.recv(1 << 16)
        except (BlockingIOError, ConnectionResetError):
            return b""


class RefusalError(Exception):
    """The agent answers with an error of these words."""


class RawError(Exception):
    """The agent says these bytes in place of an answer."""


class FakeQEMUAgent:
    """Answers each request with what the function of its name returns, on a thread of its own. It says what it was
    asked, in `asked`."""

    def __init__(self) -> None:
        host, self.end = socket.socketpair()
        self.port = SocketPort(host)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.commands: dict[str, Callable[..., Any]] = {}
        self.before = b""
        self.with_id = True
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def on(self, command: str, function: Callable[..., Any]) -> None:
        self.commands[command] = function

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self.end.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join(20)
        self.end.close()
        self.port.close()

    def say(self, data: bytes) -> None:
        self.end.sendall(data)

    def _serve(self) -> None:
        received = b""
        while data := self.end.recv(1 << 16):
            received += data
            while b"\n" in received:
                line, _, received = received.partition(b"\n")
                try:
                    self._answer(json.loads(line.rpartition(b"\xff")[2]))
                except OSError:
                    return

    def _answer(self, message: dict[str, Any]) -> None:
        command, arguments = message["execute"], message.get("arguments", {})
        if command == "guest-sync-delimited" and command not in self.commands:
            self.say(self.before + b"\xff" + json.dumps({"return": arguments["id"]}).encode() + b"\n")
            return
        self.asked.append((command, arguments))
        answer: dict[str, Any] = {"id": message["id"]} if self.with_id and "id" in message else {}
        try:
            function = self.commands.get(command)
            if function is None:
                raise RefusalError(f"The command {command} has not been found")
            answer["return"] = function(**{name.replace("-", "_"): value for name, value in arguments.items()})
        except RefusalError as refusal:
            answer["error"] = {"class": "GenericError", "desc": str(refusal)}
        except RawError as raw:
            self.say(raw.args[0])
            return
        self.say(json.dumps(answer).encode() + b"\n")


def exited(code: int = 0, out: bytes = b"", err: bytes = b"", **more: Any) -> dict[str, Any]:
    """What guest-exec-status says of a process that ended."""
    return {
        "exited": True,
        "exitcode": code,
        "out-data": base64.b64encode(out).decode(),
        "err-data": base64.b64encode(err).decode(),
        **more,
    }
