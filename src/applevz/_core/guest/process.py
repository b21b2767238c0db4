# SPDX-License-Identifier: Apache-2.0
"""Processes in a guest: what both faces share, which is all but the waiting."""

from __future__ import annotations

import io
import os
import struct
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from ..._values.arguments import boolean, integer, shown, wrong_type
from ..._values.unique import Unique
from ...errors import CFError, Error, InvalidArgumentError, InvalidStateError, TimeoutError, make
from ..deadline import Deadline
from . import frames
from .conditions import condition_error, signal_number
from .session import Session, look, lost
from .streams import ERRORS, INPUT, OUTPUT, Stream, Waits

__all__ = [
    "LONGEST",
    "BaseProcess",
    "GuestProcessTimeoutError",
    "Start",
    "bytes_of",
    "start",
    "start_of",
    "text_of",
    "texts_of",
    "timed_out",
]

PIPE: Final = subprocess.PIPE
STDOUT: Final = subprocess.STDOUT
DEVNULL: Final = subprocess.DEVNULL

# So many bytes has a line at most.
LONGEST: Final = 1 << 24
_MOST: Final = 1 << 21
_FIXED: Final = struct.Struct("<IHHII")
_LENGTH: Final = struct.Struct("<I")
_PROCESS: Final = struct.Struct("<I")
_SIZE: Final = struct.Struct("<HH")
_TERMINAL, _PIPED_INPUT, _PIPED_OUTPUT, _PIPED_ERRORS, _MERGED, _DETACHED = 1, 2, 4, 8, 16, 32
# Nobody asks whether it started: the agent tells of its end, all at once.
_QUIET: Final = 128
_KILLED: Final = -9
_BROKEN_PIPE: Final = 32
_END_OF_FILE: Final = b"\4"


class GuestProcessTimeoutError(TimeoutError, subprocess.TimeoutExpired):
    """A process in a guest did not end in time. `output` and `stderr` are what it had printed, `cmd` its arguments."""

    def __init__(self, error: CFError) -> None:
        Exception.__init__(self, error)
        self.cmd: Any = ()
        self.timeout: float = 0.0
        self.output: Any = None
        self.stderr: Any = None


def timed_out(
    description: str, arguments: Any, deadline: Deadline, output: bytes | None, errors: bytes | None
) -> GuestProcessTimeoutError:
    error = make(GuestProcessTimeoutError, description)
    if isinstance(error, GuestProcessTimeoutError):  # a forked process gets another
        error.cmd = arguments
        error.timeout = deadline.duration or 0.0
        error.output, error.stderr = output, errors
    return error  # type: ignore[return-value]


class Start(NamedTuple):
    """A process that is to be started."""

    arguments: Any
    """As the caller gave them."""
    payload: bytes
    program: bytes
    directory: bytes | None
    user: str | None
    piped: tuple[int, ...]
    """The channels that there are."""
    detached: bool
    terminal: bool
    quiet: bool


def text_of(field: str, value: Any) -> bytes:
    """A text or a path for the guest, whose names are bytes."""
    try:
        data = os.fspath(value)
    except TypeError:
        raise wrong_type(field, value, "text (str), bytes or a path") from None
    if isinstance(data, str):
        try:
            data = data.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise make(
                InvalidArgumentError, f"{field} is {shown(value)}, which UTF-8 cannot encode.", f"{error.reason}."
            ) from None
    if 0 in data:
        raise make(InvalidArgumentError, f"{field} is {shown(value)}, which has a NUL character in it.")
    return bytes(data)


def bytes_of(field: str, data: Any) -> memoryview[int]:
    """The bytes of an object that has some."""
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise wrong_type(field, data, "bytes")
    view = memoryview(data)
    return view.cast("B") if view.c_contiguous and view.nbytes else memoryview(view.tobytes())


def start_of(
    args: Any,
    *,
    stdin: int | None,
    stdout: int | None,
    stderr: int | None,
    shell: bool,
    cwd: Any,
    env: Mapping[Any, Any] | None,
    user: str | None,
    terminal: bool = False,
    size: tuple[int, int] = (24, 80),
    detached: bool = False,
    quiet: bool = False,
) -> Start:
    """The message that starts a process. Raises `InvalidArgumentError`. A `quiet` one is waited for by `_communicate`
    alone: the agent says nothing of it but that it could not be started, or how it ended."""
    arguments = _arguments(args, boolean("shell", shell))
    flags = (
        (_TERMINAL if boolean("terminal", terminal) else 0)
        | (_PIPED_INPUT if _is_pipe("stdin", stdin) else 0)
        | (_PIPED_OUTPUT if _is_pipe("stdout", stdout) else 0)
        | (_MERGED if stderr == STDOUT else _PIPED_ERRORS if _is_pipe("stderr", stderr, STDOUT) else 0)
        | (_DETACHED if boolean("detached", detached) else 0)
        | (_QUIET if quiet else 0)
    )
    piped = [channel for channel in (INPUT, OUTPUT, ERRORS) if flags & _PIPED_INPUT << channel]
    if terminal:
        if (stdin, stdout, stderr) != (None, None, None):
            raise make(
                InvalidArgumentError,
                "terminal is True, and so is one of stdin, stdout and stderr given.",
                "A terminal is all three.",
                "Leave them out: the process's `stdin` and `stdout` are the terminal.",
            )
        piped = [INPUT, OUTPUT]
    rows, columns = terminal_size(size)
    texts = [
        b"" if user is None else _named("user", user, "None is the agent's own user."),
        _directory(cwd) or b"",
        *arguments,
        *_variables(env),
    ]
    count = len(arguments)
    parts = [_FIXED.pack(flags, rows, columns, count, len(texts) - 2 - count)]
    for text in texts:
        parts += (_LENGTH.pack(len(text)), text)
    payload = b"".join(parts)
    if len(payload) > _MOST:
        raise make(
            InvalidArgumentError,
            f"The arguments and variables have {len(payload)} bytes.",
            f"A process can be given {_MOST} at most.",
            "Write them to a file, or to the process's input.",
        )
    directory = None if cwd is None else texts[1]
    return Start(args, payload, arguments[0], directory, user, tuple(piped), detached, terminal, quiet)


def texts_of(
    args: Any, *, shell: bool, cwd: Any, env: Mapping[Any, Any] | None
) -> tuple[list[bytes], bytes | None, list[bytes]]:
    """The arguments, the directory and the variables of a process."""
    return _arguments(args, shell), _directory(cwd), _variables(env)


def _directory(cwd: Any) -> bytes | None:
    return None if cwd is None else _named("cwd", cwd, "None is the user's home.")


def _named(field: str, value: Any, suggestion: str) -> bytes:
    """A name that is one. In the protocol an empty one is that of nothing, which nobody means who gives one."""
    name = text_of(field, value)
    if not name:
        raise make(InvalidArgumentError, f"{field} is {shown(value)}, which is empty.", "", suggestion)
    return name


def terminal_size(size: Any) -> tuple[int, int]:
    """The rows and columns of a terminal."""
    suggestion = "Give rows and columns, as (24, 80)."
    try:
        rows, columns = size
    except (TypeError, ValueError):
        raise wrong_type("size", size, "rows and columns, as (24, 80)") from None
    found = integer("size", rows, suggestion), integer("size", columns, suggestion)
    if not all(1 <= number <= 0xFFFF for number in found):
        raise make(InvalidArgumentError, f"size is {shown(size)}, which no terminal has.", "", suggestion)
    return found


def _is_pipe(field: str, value: Any, *others: int) -> bool:
    if value is not None and (isinstance(value, bool) or value not in (PIPE, DEVNULL, *others)):
        names = "PIPE, DEVNULL, STDOUT or None" if others else "PIPE, DEVNULL or None"
        raise wrong_type(field, value, f"{names} of the module `subprocess`: a guest has none of the host's files")
    return bool(value == PIPE)


def _arguments(args: Any, shell: bool) -> list[bytes]:
    if isinstance(args, (str, bytes, os.PathLike)):
        arguments = [text_of("args", args)]
    elif isinstance(args, Sequence):
        arguments = [text_of(f"args[{place}]", one) for place, one in enumerate(args)]
    else:
        raise wrong_type("args", args, "a list of text, or one text")
    if shell:
        arguments = [b"/bin/sh", b"-c", *arguments]
    if not arguments or not arguments[0]:
        raise make(InvalidArgumentError, f"args is {shown(args)}, which names no program.")
    return arguments


def _variables(env: Mapping[Any, Any] | None) -> list[bytes]:
    if env is None:
        return []
    if not isinstance(env, Mapping):
        raise wrong_type("env", env, "a mapping of names to values")
    variables = []
    for name, value in env.items():
        data = text_of("env", name)
        if not data or b"=" in data:
            raise make(InvalidArgumentError, f"env has the name {shown(name)}, which no variable has.")
        variables.append(data + b"=" + text_of(f"env[{name!r}]", value))
    return variables


def start(session: Session, what: Start, deadline: Deadline) -> Waits[Stream]:
    """Until the process runs; of a quiet one, until the agent can be asked for it."""
    yield from session.ready(deadline)
    incoming = [channel for channel in what.piped if channel != INPUT]
    stream = session.open(frames.START, what.payload, incoming, parts=True, more=what.quiet)
    if what.quiet:
        return stream
    try:
        while stream.started is None:
            look(stream, "while a process was being started", lambda number, name: _not_started(what, number, name))
            if deadline.passed:
                raise timed_out(f"The process was not started within {deadline}.", what.arguments, deadline, None, None)
            yield stream, deadline
        if len(stream.started) < _PROCESS.size:
            session.lose("The agent does not keep to the protocol.")
            raise lost("The agent does not keep to the protocol.", "while a process was being started")
    except BaseException:
        session.close(stream)
        raise
    return stream


def _not_started(what: Start, number: int, name: str) -> Error:
    program = what.program
    if name == "user":
        return condition_error(number, f"The guest has no user {shown(what.user)}, or cannot run a process as it.")
    if name == "directory":
        return condition_error(number, "The directory {} cannot be entered in the guest.", what.directory)
    if name == "program":
        return condition_error(number, "The program {} cannot be run in the guest.", program)
    return condition_error(number, f"A process cannot be started in the guest: {shown(name)} failed.")


class BaseProcess(Unique):
    """A process in a guest, and the steps of its calls, for a face to go through."""

    def __init__(self, session: Session, what: Start, stream: Stream) -> None:
        self._session = session
        self._stream = stream
        self._what = what
        self._closed = False
        self._returncode: int | None = None
        self._input_sent = 0
        self._pid: int = _PROCESS.unpack_from(stream.started or bytes(4))[0]

    def __repr__(self) -> str:
        return f"<GuestProcess {self._pid} {shown(self._what.arguments)}: returncode {self.returncode}>"

    @property
    def args(self) -> Any:
        """The arguments that were given."""
        return self._what.arguments

    @property
    def pid(self) -> int:
        """The process's identifier in the guest. It leads a session and a process group of that number."""
        return self._pid

    @property
    def returncode(self) -> int | None:
        """The exit status. The negative number of the signal, Linux's, if one ended the process. None while it is not
        known that it ended."""
        if self._returncode is None and self._stream.exited is not None:
            kind, value = self._stream.exited
            self._returncode = -value if kind else value
        return self._returncode

    def _look_whether_lost(self) -> None:
        if self._stream.lost is not None:
            raise lost(self._stream.lost, "while a process ran")
        if self._stream.failed is not None:
            number, name = self._stream.failed
            if self._what.quiet and self._stream.started is None:
                raise _not_started(self._what, number, name)
            raise condition_error(number, f"The process was killed by the agent: {shown(name)} failed.")
        if self._closed:
            raise make(InvalidStateError, "The process was closed.")
        if self._stream.over and self._stream.exited is None:
            raise lost("The agent does not keep to the protocol.", "while a process ran")

    def _wait(self, deadline: Deadline) -> Waits[int]:
        while (status := self.returncode) is None:
            self._look_whether_lost()
            if deadline.passed:
                raise timed_out(f"The process did not end within {deadline}.", self.args, deadline, None, None)
            yield self._stream, deadline
        return status

    def _communicate(self, data: Any, deadline: Deadline) -> Waits[tuple[bytes | None, bytes | None]]:
        view = memoryview(b"") if data is None else bytes_of("input", data)
        if len(view) and INPUT not in self._what.piped:
            raise make(InvalidArgumentError, "input is given, and the process has no input.", "", "Give stdin=PIPE.")

        def steps() -> Waits[tuple[bytes | None, bytes | None]]:
            stream, session = self._stream, self._session
            taken = {channel: one.take_all_at_once() for channel, one in stream.incoming.items()}
            for channel in taken:
                session.took(stream, channel)
            if INPUT not in self._what.piped:
                session.flush()
            while stream.exited is None or not stream.all_came:
                self._look_whether_lost()
                if INPUT in self._what.piped and not stream.output_ended:
                    self._input_sent += session.send(stream, view[self._input_sent :], last=True)
                    if stream.unread:
                        session.end(stream)
                if deadline.passed:
                    output, errors = self._values(taken)
                    raise timed_out(f"The process did not end within {deadline}.", self.args, deadline, output, errors)
                yield stream, deadline
            return self._values(taken)

        return steps()

    @staticmethod
    def _values(taken: Mapping[int, io.BytesIO]) -> tuple[bytes | None, bytes | None]:
        output, errors = taken.get(OUTPUT), taken.get(ERRORS)
        return None if output is None else output.getvalue(), None if errors is None else errors.getvalue()

    def _receive(self, channel: int, deadline: Deadline) -> Waits[bool]:
        """Until something came on the channel. False if it ended, and everything was taken."""
        incoming = self._stream.incoming[channel]
        while not incoming.size:
            if incoming.taken_at_once is not None:
                raise make(InvalidStateError, "All that the process prints is taken by `communicate`.")
            if incoming.ended:
                return False
            self._look_whether_lost()
            if deadline.passed:
                raise timed_out(f"The process printed nothing within {deadline}.", self.args, deadline, None, None)
            yield self._stream, deadline
        return True

    def _read(self, channel: int, size: int | None, deadline: Deadline, *, at_once: bool = False) -> Waits[bytes]:
        wanted = -1 if size is None or size == -1 else integer("size", size, "Give a number of bytes, or -1 for all.")

        def steps() -> Waits[bytes]:
            incoming = self._stream.incoming[channel]
            data = bytearray()
            try:
                while len(data) != wanted and (yield from self._receive(channel, deadline)):
                    data += incoming.take(-1 if wanted < 0 else wanted - len(data))
                    self._session.took(self._stream, channel)
                    if at_once:
                        break
            except BaseException:
                incoming.give_back(bytes(data))
                raise
            return bytes(data)

        return steps()

    def _read_line(self, channel: int, deadline: Deadline) -> Waits[bytes]:
        incoming = self._stream.incoming[channel]
        data = bytearray()
        try:
            while len(data) < LONGEST and (yield from self._receive(channel, deadline)):
                end = incoming.find(b"\n", 0)
                data += incoming.take(end if end >= 0 else min(incoming.size, LONGEST - len(data)))
                self._session.took(self._stream, channel)
                if end >= 0:
                    break
        except BaseException:
            incoming.give_back(bytes(data))
            raise
        return bytes(data)

    def _write(self, data: Any, deadline: Deadline) -> Waits[int]:
        view = bytes_of("data", data)

        def steps() -> Waits[int]:
            sent = 0
            while True:
                self._look_whether_lost()
                if self._stream.output_ended:
                    raise make(InvalidStateError, "The process's input was closed.")
                if self._stream.over or self._stream.unread or self.returncode is not None:
                    raise condition_error(_BROKEN_PIPE, "The process reads its input no more.")
                sent += self._session.send(self._stream, view[sent:])
                if sent == len(view):
                    yield from self._session.sent(self._stream, deadline)
                    return sent
                if deadline.passed:
                    raise timed_out(
                        f"The process took {sent} of {len(view)} bytes within {deadline}.",
                        self.args,
                        deadline,
                        None,
                        None,
                    )
                yield self._stream, deadline

        return steps()

    def _end_input(self) -> None:
        if self._what.terminal and not self._stream.output_ended:
            # A terminal's end of file is a character, on a line of its own.
            self._session.send(self._stream, memoryview(_END_OF_FILE))
        self._session.end(self._stream)

    def _signal(self, given: Any) -> None:
        number = signal_number(given)
        if self.returncode is None:
            self._look_whether_lost()
            self._session.tell(self._stream, frames.SIGNAL, _LENGTH.pack(number))

    def _resize(self, size: Any) -> None:
        rows, columns = terminal_size(size)
        self._look_whether_lost()
        self._session.tell(self._stream, frames.RESIZE, _SIZE.pack(rows, columns))

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self.returncode is None and not self._what.detached and self._stream.lost is None:
            self._returncode = _KILLED
        self._session.close(self._stream)
