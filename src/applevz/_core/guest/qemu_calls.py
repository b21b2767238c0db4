# SPDX-License-Identifier: Apache-2.0
"""What QEMU's agent can do: run a program to its end, read and write a file as a whole, tell of its guest."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from ...errors import NotSupportedError, POSIXError, TimeoutError, make
from ..deadline import Deadline
from .failures import lost, not_supported
from .information import GuestAddress, GuestInformation, information_of
from .process import bytes_of, texts_of, timed_out
from .qemu_agent import LONGEST_OUTPUT, NO_PROTOCOL, Conversation, Request, member, refused
from .streams import ERRORS, OUTPUT, Subject, Waits

__all__ = ["information", "program", "read_file", "run", "write_file"]

# So much of a file goes in one answer: qemu-ga's own limit is 48 MiB, and what is shorter holds it up less.
_PART: Final = 48 << 10
_MOST_INPUT: Final = 1 << 20
# A program is asked after so many seconds whether it has ended, and then less and less often.
_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.25
# What is killed is known to be so within that many seconds, or not at all.
_FOR_KILLING: Final = 1.0
_MOST_PIDS: Final = 1 << 22
_MOST_LISTED: Final = 1000
# So much of a file of the guest's kernel is looked at, which a guest may say to be endless.
_LONGEST_TABLE: Final = 1 << 16
_LAST_SIGNAL: Final = 64
_LAST_STATUS: Final = 0xFF

# The shell's own words, for what the agent has none: a directory, and both outputs in one.
_IN_DIRECTORY: Final = 'cd -- "$1" || exit 126; shift; exec "$@"'
_MERGED: Final = 'exec "$@" 2>&1'
_KILL: Final = 'kill -9 "$1"'


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise not_supported(f"Its protocol is JSON, and {what} is no text in UTF-8.") from None


def program(
    args: Any, *, shell: bool, cwd: Any, env: Mapping[Any, Any] | None, user: str | None, merged: bool
) -> list[str]:
    """The words with which the agent runs a program. Raises `InvalidArgumentError` and `NotSupportedError`."""
    if user is not None:
        raise not_supported("It runs programs as its own user alone. Run `su` instead.")
    arguments, directory, variables = texts_of(args, shell=shell, cwd=cwd, env=env)
    words = [_text(word, "an argument") for word in arguments]
    if variables:
        words = ["env", *(_text(word, "a variable") for word in variables), *words]
    if directory is not None:
        words = ["/bin/sh", "-c", _IN_DIRECTORY, "sh", _text(directory, "the directory"), *words]
    if merged:
        words = ["/bin/sh", "-c", _MERGED, "sh", *words]
    return words


def run(
    agent: Conversation,
    args: Any,
    words: list[str],
    *,
    data: memoryview[int],
    captured: tuple[int, ...],
    deadline: Deadline,
) -> Waits[tuple[int, bytes | None, bytes | None]]:
    """Runs a program to its end: its status, and what it printed. A program whose time is over is killed, without what
    it has started: the agent knows its number alone."""
    if len(data) > _MOST_INPUT:
        raise not_supported(f"A program can be given {_MOST_INPUT} bytes of input by it. Write them to a file.")
    arguments: dict[str, Any] = {"path": words[0], "arg": words[1:], "capture-output": bool(captured)}
    if data:
        arguments["input-data"] = base64.b64encode(data).decode()
    what = "while a process ran"
    started = agent.ask("guest-exec", **arguments)
    process: int | None = None
    try:
        process = _number(member((yield from _started(started, words[0], what, deadline)), "pid", int))
        pause = _FIRST_PAUSE
        while True:
            status = yield from agent.answer(what, deadline, "guest-exec-status", LONGEST_OUTPUT, pid=process)
            if member(status, "exited", bool):
                process = None
                return _result(status, captured)
            if deadline.passed:
                raise make(TimeoutError, "")
            yield Subject(), Deadline(deadline.remaining(pause))
            pause = min(pause * 1.5, _LONGEST_PAUSE)
    except TimeoutError:
        killed = None if process is None else _kill(agent, process)
        process = None
        if killed is not None:
            last = Deadline(_FOR_KILLING)
            while not killed.changes and not last.passed:
                yield killed, last
        end = "was killed" if killed is not None and killed.answer is not None else "may run on"
        words_of_end = f"The process did not end within {deadline}, and {end}; what it has started was not killed."
        raise timed_out(words_of_end, args, deadline, None, None) from None
    finally:
        # Ctrl-C, a task that is cancelled, an answer that is none.
        if process is not None and agent.is_on:
            _kill(agent, process)
        elif not started.changes:
            started.after = lambda answer: _kill(agent, _number(member(answer, "pid", int)))


def _kill(agent: Conversation, process: int) -> Request:
    return agent.ask("guest-exec", path="/bin/sh", arg=["-c", _KILL, "sh", str(process)])


def _started(request: Request, name: str, what: str, deadline: Deadline) -> Waits[Any]:
    while not request.changes:
        if deadline.passed:
            raise make(TimeoutError, "")
        yield request, deadline
    if request.lost is not None:
        raise lost(request.lost, what)
    if request.refusal is not None:
        description = "The program {} cannot be run in the guest."
        raise refused(request.refusal, "guest-exec", description, name.encode())
    return request.answer


def _number(value: int) -> int:
    if not 0 < value <= _MOST_PIDS:
        raise lost(NO_PROTOCOL, "by a process with a number that none has")
    return value


def _result(status: Any, captured: tuple[int, ...]) -> tuple[int, bytes | None, bytes | None]:
    code, signal = member(status, "exitcode", int, None), member(status, "signal", int, None)
    printed = {}
    for channel, name in ((OUTPUT, "out"), (ERRORS, "err")):
        if channel in captured:
            if member(status, f"{name}-truncated", bool, False):
                raise not_supported("The program printed more than 16 MiB, of which it keeps no more.")
            printed[channel] = _bytes(member(status, f"{name}-data", str, ""))
    if not (0 < signal <= _LAST_SIGNAL if signal is not None else code is not None and 0 <= code <= _LAST_STATUS):
        raise lost(NO_PROTOCOL, "by the end of a process")
    return code if signal is None else -signal, printed.get(OUTPUT), printed.get(ERRORS)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise lost(NO_PROTOCOL, "by bytes that are none") from None


# ---- Files ----


def _open(agent: Conversation, path: bytes, mode: str, deadline: Deadline) -> Waits[int]:
    request = agent.ask("guest-file-open", path=_text(path, "the path"), mode=mode)
    try:
        while not request.changes:
            if deadline.passed:
                raise make(TimeoutError, f"The guest's file was not opened within {deadline}.")
            yield request, deadline
    except BaseException:
        request.after = lambda answer: _close(agent, answer)
        raise
    if request.lost is not None:
        raise lost(request.lost, "while a file was opened")
    if request.refusal is not None:
        raise refused(request.refusal, "guest-file-open", "The guest's file {} cannot be opened.", path)
    if not isinstance(request.answer, int) or isinstance(request.answer, bool):
        raise lost(NO_PROTOCOL, "while a file was opened")
    return request.answer


def read_file(agent: Conversation, path: bytes, deadline: Deadline, at_most: int | None = None) -> Waits[bytes]:
    """All that is in a file; of one with more than `at_most` bytes its beginning."""
    what = "while a file was read"
    handle = yield from _open(agent, path, "r", deadline)
    data = bytearray()
    try:
        while True:
            answer = yield from agent.answer(what, deadline, "guest-file-read", handle=handle, count=_PART)
            part = _bytes(member(answer, "buf-b64", str, ""))
            ended = member(answer, "eof", bool)
            if len(part) != member(answer, "count", int) or len(part) > _PART or not (part or ended):
                raise lost(NO_PROTOCOL, what)
            data += part
            if ended or (at_most is not None and len(data) >= at_most):
                return bytes(data[:at_most])
    finally:
        _close(agent, handle)


def write_file(agent: Conversation, path: bytes, data: Any, mode: int, deadline: Deadline) -> Waits[int]:
    """Writes a file anew. Returns how many bytes it has."""
    view = bytes_of("data", data)
    if mode != 0o644:
        raise not_supported("It gives a new file the permissions that it has for all of them. Run `chmod` then.")

    def steps() -> Waits[int]:
        what = "while a file was written"
        handle = yield from _open(agent, path, "w", deadline)
        sent = 0
        try:
            while sent < len(view):
                part = base64.b64encode(view[sent : sent + _PART]).decode()
                arguments: dict[str, Any] = {"handle": handle, "buf-b64": part}
                answer = yield from agent.answer(what, deadline, "guest-file-write", **arguments)
                count = member(answer, "count", int)
                if not isinstance(count, int) or not 0 < count <= min(_PART, len(view) - sent):
                    raise lost(NO_PROTOCOL, what)
                sent += count
            yield from agent.answer(what, deadline, "guest-file-flush", handle=handle)
        finally:
            _close(agent, handle)
        return sent

    return steps()


def _close(agent: Conversation, handle: Any) -> None:
    if agent.is_on and isinstance(handle, int):
        agent.ask("guest-file-close", handle=handle)


# ---- Information ----


def information(agent: Conversation, deadline: Deadline) -> Waits[GuestInformation]:
    """What the agent tells of its guest, and what the guest's kernel does in /proc. What it does not tell is empty."""
    what = "while the guest was asked for information"

    def told(command: str) -> Waits[Any]:
        try:
            return (yield from agent.answer(what, deadline, command))
        except (NotSupportedError, POSIXError):
            return None

    def printed(path: bytes) -> Waits[list[str]]:
        try:
            data = yield from read_file(agent, path, deadline, _LONGEST_TABLE)
        except (NotSupportedError, POSIXError):
            return []
        return data.decode("utf-8", "replace").splitlines()

    name = yield from told("guest-get-host-name")
    system = yield from told("guest-get-osinfo")
    interfaces = yield from told("guest-network-get-interfaces")
    processors = yield from told("guest-get-vcpus")
    itself = yield from told("guest-info")
    lines = [f"uptime={' '.join(line.split()[:1])}" for line in (yield from printed(b"/proc/uptime"))[:1]]
    lines += [f"load={line}" for line in (yield from printed(b"/proc/loadavg"))[:1]]
    for line in (yield from printed(b"/proc/meminfo"))[:_MOST_LISTED]:
        key, _, value = line.partition(":")
        number = (value.split() or [""])[0]
        # There are digits of which Python makes no number.
        if key in ("MemTotal", "MemAvailable") and number.isascii() and number.isdigit():
            lines.append(f"memory.{key[3:].lower()}={int(number[:15]) << 10}")
    of_proc = information_of("\n".join(lines).encode())
    return GuestInformation(
        hostname=_word(name, "host-name"),
        kernel=_word(system, "kernel-release"),
        machine=_word(system, "machine"),
        os={key: _word(system, theirs) for key, theirs in _RELEASE.items() if _word(system, theirs)},
        uptime=of_proc.uptime,
        load=of_proc.load,
        memory_total=of_proc.memory_total,
        memory_available=of_proc.memory_available,
        processors=sum(1 for one in _list(processors) if isinstance(one, dict) and one.get("online") is True),
        addresses=tuple(_addresses(interfaces)),
        agent=f"QEMU {_word(itself, 'version')}",
    )


_RELEASE: Final = {
    "ID": "id", "NAME": "name", "PRETTY_NAME": "pretty-name", "VERSION": "version", "VERSION_ID": "version-id",
}  # fmt: skip


def _word(answer: Any, name: str) -> str:
    value = answer.get(name) if isinstance(answer, dict) else None
    return value if isinstance(value, str) else ""


def _list(answer: Any) -> list[Any]:
    return answer[:_MOST_LISTED] if isinstance(answer, list) else []


def _addresses(interfaces: Any) -> list[GuestAddress]:
    return [
        GuestAddress(_word(interface, "name"), _word(one, "ip-address"))
        for interface in _list(interfaces)
        for one in _list(interface.get("ip-addresses") if isinstance(interface, dict) else None)
        if _word(one, "ip-address")
    ]
