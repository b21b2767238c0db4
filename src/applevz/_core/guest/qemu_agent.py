# SPDX-License-Identifier: Apache-2.0
"""A conversation with QEMU's agent (qemu-ga): requests and answers, a JSON object on a line each. Nothing here waits.

    IDLE ──begin──▶ SYNCHRONIZING ──the number came back──▶ READY ──lose──▶ IDLE

The agent answers one request after the other, in their order. The port is not told that the other side went: what comes
before the answer to the synchronization is dropped. All that comes is a guest's: its length, its types and its numbers
are looked at before anything is made of it.
(https://www.qemu.org/docs/master/interop/qemu-ga-ref.html)
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from ..._native import Reference, descriptors, ffi, lib
from ...errors import Error, GuestConnectionLostError, TimeoutError, check, make
from ..deadline import Deadline
from .conditions import condition_error
from .failures import lost, not_supported
from .streams import Subject, Waits

__all__ = ["NO_PROTOCOL", "AgentPort", "Conversation", "MachinePort", "QEMUAgent", "Request", "member", "refused"]

_IDLE: Final = 0
_SYNCHRONIZING: Final = 1
_READY: Final = 2

# The byte that is in no JSON: it ends what the agent has half read, and what it said before.
_DELIMITER: Final = b"\xff"
_CHUNK: Final = 1 << 16
# So much is received before somebody looks whether that was what he waits for.
_AT_A_TIME: Final = 1 << 20
# The longest line that is an answer, but for that of a program, whose output, of up to 16 MiB twice, is in it.
_LONGEST: Final = 1 << 18
LONGEST_OUTPUT: Final = 48 << 20
# A line that is long is so for one text or two in it, and what is made of it is no larger.
_LONG: Final = 1 << 16
_MOST_PARTS: Final = 100
# An agent that says nothing for so many seconds, while its guest runs and it is to answer, is taken for gone.
_SILENCE: Final = 60.0
# One that begins late may have missed the request for synchronization: it comes again after so many seconds.
_SYNCHRONIZE_AGAIN: Final = 3.0
_LONGEST_WORDS: Final = 400
NO_PROTOCOL: Final = "QEMU's agent does not keep to the protocol."


class AgentPort(Protocol):
    """The host's end of the port."""

    @property
    def reference(self) -> Reference:
        """The descriptor to wait for."""

    def send(self, data: bytes) -> int:
        """Sends what goes, without waiting."""

    def receive(self) -> bytes:
        """Receives what came, without waiting; nothing is b""."""


class MachinePort:
    """The port of a machine, which speaks to the agent itself after it was restored, and nobody else then."""

    def __init__(self, machine: Reference) -> None:
        self._machine = machine
        (self.reference,) = descriptors(self._descriptor)
        self._buffer = ffi.new("char[]", _CHUNK)
        self._count = ffi.new("size_t *")

    def _descriptor(self) -> tuple[int]:
        number = ffi.new("int *")
        check(lib.applevz_machine_guest_agent_descriptor(self._machine, number))
        return (number[0],)

    def send(self, data: bytes) -> int:
        check(lib.applevz_machine_guest_agent_send(self._machine, data, len(data), self._count))
        return int(self._count[0])

    def receive(self) -> bytes:
        check(lib.applevz_machine_guest_agent_receive(self._machine, self._buffer, _CHUNK, self._count))
        return bytes(ffi.buffer(self._buffer, self._count[0]))


class Request(Subject):
    """Something that the agent was asked, and its answer."""

    __slots__ = ("after", "answer", "longest", "lost", "number", "refusal")

    def __init__(self, number: int, longest: int) -> None:
        super().__init__()
        self.number = number
        self.longest = longest
        self.answer: Any = None
        # What the agent said in place of an answer, and why there is none.
        self.refusal: str | None = None
        self.lost: str | None = None
        # What is done with an answer for which nobody waits any more.
        self.after: Callable[[Any], object] | None = None

    def lose(self, words: str) -> None:
        """There is no answer, for the reason that `words` say."""
        self.lost = words
        self.changed()


class _Ending:
    """The end of a conversation. An agent keeps this and not the conversation, which refers to the agent: the two would
    keep a machine until the garbage is collected."""

    __slots__ = ("words",)

    def __init__(self) -> None:
        self.words: str | None = None


class Conversation:
    """What is asked between one synchronization and the next loss. Nothing asked in it is answered in a later one: a
    process's number that one agent gave says nothing to the next."""

    __slots__ = ("_agent", "_ending")

    def __init__(self, agent: QEMUAgent, ending: _Ending) -> None:
        self._agent = agent
        self._ending = ending

    @property
    def end(self) -> str | None:
        """Why it ended, once it has."""
        return self._ending.words

    @property
    def is_on(self) -> bool:
        return self.end is None and self._agent.is_ready

    def ask(self, command: str, longest: int = _LONGEST, **arguments: Any) -> Request:
        """Asks the agent, which answers in its turn."""
        if self.end is None:
            return self._agent.ask(command, longest, **arguments)
        request = Request(0, longest)
        request.lose(self.end)
        return request

    def answer(
        self, what: str, deadline: Deadline, command: str, longest: int = _LONGEST, **arguments: Any
    ) -> Waits[Any]:
        """Until the agent answered. Raises `TimeoutError`, and the errors of `lost` and `refused`."""
        request = self.ask(command, longest, **arguments)
        while not request.changes:
            if deadline.passed:
                raise make(TimeoutError, f"QEMU's agent in the guest did not answer within {deadline}.")
            yield request, deadline
        if request.lost is not None:
            raise lost(request.lost, what)
        if request.refusal is not None:
            raise refused(request.refusal, command)
        return request.answer

    @contextmanager
    def trusted(self) -> Iterator[None]:
        """Ends the conversation at an answer that is none: what the agent says next may be the rest of it."""
        try:
            yield
        except GuestConnectionLostError:
            if self.end is None:
                self._agent.lose(NO_PROTOCOL)
            raise


class QEMUAgent:
    """The host's side of the conversation."""

    def __init__(self, port: AgentPort, machine: Reference | None = None) -> None:
        self._port = port
        self._machine = machine
        self._state = _IDLE
        self._queue = bytearray()
        self._received = bytearray()
        self._searched = 0
        self._asked: deque[Request] = deque()
        self._last = 0
        self._number = 0
        self._heard = 0.0
        self._end = ""
        self.greeting = Subject()
        self._ending = _Ending()

    @property
    def port(self) -> Reference:
        return self._port.reference

    @property
    def conversation(self) -> Conversation:
        """That of this moment."""
        return Conversation(self, self._ending)

    @property
    def is_ready(self) -> bool:
        return self._state == _READY and not self._is_unproven

    @property
    def _is_unproven(self) -> bool:
        """Whether the answer to the synchronization began, and has not been seen."""
        return bool(self._asked) and self._asked[0].number == 0

    @property
    def is_idle(self) -> bool:
        return self._state == _IDLE

    @property
    def is_asked(self) -> bool:
        """Whether an answer is to come."""
        return bool(self._asked)

    def begin(self) -> None:
        """Begins anew, unless it has begun."""
        if self._state != _IDLE:
            return
        self._state = _SYNCHRONIZING
        self._ending = _Ending()
        self._received.clear()
        self._searched = 0
        self._number = int.from_bytes(os.urandom(6), "little")
        self._synchronize()
        self.pump()

    def _synchronize(self) -> None:
        self._heard = time.monotonic()
        arguments = {"id": self._number}
        self._queue[:] = _DELIMITER + _line({"execute": "guest-sync-delimited", "arguments": arguments})

    def lose(self, words: str) -> None:
        """Ends the conversation. How that ended which was asked is not known, for the reason that `words` say."""
        asked, self._asked = self._asked, deque()
        self._state = _IDLE
        self._end = self._ending.words = words
        self._queue.clear()
        self._received.clear()
        self._searched = 0
        for request in asked:
            request.lose(words)
        self.greeting.changed()

    def pump(self) -> None:
        """Receives what came, and sends what goes."""
        if self._state == _IDLE:
            return
        self._send()
        left = _AT_A_TIME
        while left > 0 and self._state != _IDLE and (data := self._port.receive()):
            left -= len(data)
            self._heard = time.monotonic()
            try:
                self._take(data)
            except _BrokenError as error:
                self.lose(str(error))
        if self._state == _SYNCHRONIZING and not self._queue and time.monotonic() > self._heard + _SYNCHRONIZE_AGAIN:
            self._synchronize()
            self._send()
        if self._asked and self._machine_runs() and time.monotonic() > self._heard + _SILENCE:
            self.lose("QEMU's agent answers no more.")

    def _machine_runs(self) -> bool:
        running = self._machine is None or lib.applevz_machine_state(self._machine) == lib.APPLEVZ_MACHINE_STATE_RUNNING
        if not running:
            self._heard = time.monotonic()
        return bool(running)

    def _send(self) -> None:
        while self._queue and (sent := self._port.send(bytes(self._queue[:_CHUNK]))):
            del self._queue[:sent]

    # ---- What is asked ----

    def ask(self, command: str, longest: int = _LONGEST, **arguments: Any) -> Request:
        """Asks the agent, which answers in its turn."""
        self._last += 1
        request = Request(self._last, longest)
        if not self.is_ready:
            request.lose(self._end)
            return request
        if not self._asked:
            self._heard = time.monotonic()
        self._asked.append(request)
        self._queue += _line({"execute": command, "arguments": arguments, "id": request.number})
        self._send()
        return request

    # ---- What comes ----

    def _take(self, data: bytes) -> None:
        received = self._received
        received += data
        while True:
            if self._state == _SYNCHRONIZING:
                # What an agent says before it answers this is dropped, however much it is.
                place = received.rfind(_DELIMITER)
                if place < 0:
                    received.clear()
                    return
                del received[: place + 1]
                self._state = _READY
                self._searched = 0
                # Its answer is the first line that follows.
                self._asked.appendleft(Request(0, _LONGEST))
            end = received.find(b"\n", self._searched)
            longest = self._asked[0].longest if self._asked else _LONGEST
            if end > longest or (end < 0 and len(received) > longest):
                raise _BrokenError("QEMU's agent said more than an answer is.")
            if end < 0:
                self._searched = len(received)
                return
            line = bytes(received[:end])
            del received[: end + 1]
            self._searched = 0
            if line.strip():
                self._take_line(line)
            if self._state == _IDLE:
                return

    def _take_line(self, line: bytes) -> None:
        if _DELIMITER in line and self.is_ready:
            return  # the answer to a request for synchronization that was sent again
        if len(line) > _LONG and line.count(b",") + line.count(b"[") + line.count(b"{") > _MOST_PARTS:
            raise _BrokenError("QEMU's agent said more than an answer is.")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            raise _BrokenError("What QEMU's agent said is no JSON.") from None
        if not isinstance(message, dict) or ("return" in message) == ("error" in message):
            raise _BrokenError("What QEMU's agent said is no answer.")
        if not self._asked:
            raise _BrokenError("QEMU's agent answered what it was not asked.")
        request = self._asked[0]
        if request.number == 0:
            self._take_synchronization(message)
            return
        if message.get("id", request.number) != request.number:
            raise _BrokenError("QEMU's agent answered something else than it was asked.")
        self._asked.popleft()
        if "return" in message:
            request.answer = message["return"]
        else:
            error = message["error"]
            words = error.get("desc") if isinstance(error, dict) else None
            request.refusal = words[:_LONGEST_WORDS] if isinstance(words, str) else "It gave no reason."
        request.changed()
        if request.after is not None and request.refusal is None:
            try:
                request.after(request.answer)
            except GuestConnectionLostError:
                raise _BrokenError(NO_PROTOCOL) from None

    def _take_synchronization(self, message: dict[str, Any]) -> None:
        self._asked.popleft()
        number = message.get("return")
        if isinstance(number, int) and not isinstance(number, bool) and number == self._number:
            self.greeting.changed()
            return
        # The answer to somebody else's, from before.
        self._state = _SYNCHRONIZING


class _BrokenError(Exception):
    """The agent does not keep to the protocol."""


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def member(answer: Any, name: str, kind: type, *default: Any) -> Any:
    """A member of an answer, of that type, or the default if it is not there. Raises if it is of another type, or not
    there without a default."""
    value = answer.get(name, *default) if isinstance(answer, dict) else None
    if default and value is default[0] and isinstance(answer, dict):
        return value
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise lost(NO_PROTOCOL, f"by an answer without {name}")
    return value


def refused(words: str, command: str, description: str = "", path: bytes | None = None) -> Error:
    """The exception for an agent's refusal, whose words end with the system's reason as a rule. `description` says what
    it is about, in which `path` stands for `{}`."""
    for number, reason in _REASONS.items():
        if reason in words:
            return condition_error(number, description or words, path)
    if "disabled" in words or "not been found" in words:
        return not_supported(f"QEMU's agent in the guest does not do {command}: {words}")
    return condition_error(5, words)


# Linux's numbers, by the words of its C library, which the agent speaks.
_REASONS: Final = {
    2: "No such file or directory", 13: "Permission denied", 20: "Not a directory", 21: "Is a directory",
    26: "Text file busy", 27: "File too large", 28: "No space left on device", 30: "Read-only file system",
    8: "Exec format error", 17: "File exists", 36: "File name too long", 40: "Too many levels of symbolic links",
    12: "Cannot allocate memory", 24: "Too many open files", 1: "Operation not permitted",
    6: "No such device or address", 22: "Invalid argument", 7: "Argument list too long",
}  # fmt: skip
