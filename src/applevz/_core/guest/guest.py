# SPDX-License-Identifier: Apache-2.0
"""A guest with its agent: what both faces share, which is all but the waiting."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..._native import Reference
from ..._values.arguments import boolean, instance
from ..._values.arguments import encoding as check_encoding
from ..._values.unique import Unique
from ...errors import (
    Error,
    GuestNotAnsweringError,
    GuestUnreachableError,
    InvalidArgumentError,
    InvalidStateError,
    TimeoutError,
    make,
)
from ..console import SILENT, BaseConsole
from ..deadline import Deadline
from ..panics import PanicWatch, last_words
from .files import path_in_guest, read_file, write_file
from .information import GuestInformation, information_of
from .process import DEVNULL, PIPE, STDOUT, BaseProcess, Start, bytes_of, start, start_of, timed_out
from .session import Session, lost
from .streams import ERRORS, OUTPUT, Stream, Subject, Waits

if TYPE_CHECKING:
    from .qemu_agent import Conversation, QEMUAgent

__all__ = ["BaseGuest", "checked_text", "decoded", "no_guest"]

_SHOWN: Final = 500


def decoded(data: bytes | None, encoding: str | None, errors: str | None) -> Any:
    """Text of bytes, with the line ends that Python has."""
    if data is None or encoding is None:
        return data
    return data.decode(encoding, errors or "strict").replace("\r\n", "\n").replace("\r", "\n")


class BaseGuest(Unique):
    """A machine's guest, and the steps of its calls, for a face to go through."""

    def __init__(
        self,
        port: Reference,
        machine: Reference | None,
        consoles: Sequence[BaseConsole] = (),
        qemu_agent: QEMUAgent | None = None,
    ) -> None:
        watch = PanicWatch(machine, consoles) if machine is not None else None
        self._session = Session(port, machine, watch, qemu_agent)
        self._consoles = tuple(consoles)

    def __repr__(self) -> str:
        return f"<Guest{': its agent answered' if self._session.is_ready else ''}>"

    def _silent(self, error: GuestNotAnsweringError, printed: list[bytes]) -> Error:
        """The error, with the last that the consoles printed."""
        last = b" ... ".join(tail[-_SHOWN:] for tail in printed if tail)
        reason = f"The last that its console printed: {last!r}" if last else "Its console has printed nothing so far."
        suggestion = "Look whether the agent runs in the guest, and allow more time."
        if self._consoles and not last:
            suggestion += f" {SILENT}"
        return make(
            GuestNotAnsweringError, error.localized_description, reason if self._consoles else "", suggestion
        )

    def _turned_off(self) -> Error:
        """The error for a guest that ended while it was waited for, with the last that the consoles printed."""
        last = last_words(self._consoles)[-_SHOWN:]
        return make(
            GuestUnreachableError,
            "The guest ended before its agent answered.",
            "It turned its machine off, or somebody stopped that. "
            + (f"The last that its console printed: {last!r}" if last else "Its console has printed nothing."),
        )

    def _run_steps(
        self,
        args: Any,
        *,
        stdin: int | None,
        input: Any,  # noqa: A002  # as subprocess calls it
        stdout: int | None,
        stderr: int | None,
        capture_output: bool,
        shell: bool,
        cwd: Any,
        deadline: Deadline,
        check: bool,
        encoding: str | None,
        errors: str | None,
        text: bool | None,
        env: Mapping[Any, Any] | None,
        user: str | None,
    ) -> Waits[subprocess.CompletedProcess[Any]]:
        boolean("check", check)
        check_encoding(encoding, errors)
        if boolean("capture_output", capture_output):
            stdout = PIPE if stdout is None else stdout
            stderr = PIPE if stderr is None else stderr
        if encoding is None and (errors is not None or text):
            encoding = "utf-8"
        if input is not None:
            if stdin not in (None, PIPE):
                raise make(InvalidArgumentError, "input is given, and stdin as well.", "", "Leave one of them out.")
            stdin = PIPE
            if isinstance(input, str) and encoding is not None:
                input = input.encode(encoding, errors or "strict")
            input = bytes_of("input", input)
        elif stdin == PIPE:
            stdin = DEVNULL
        what = start_of(
            args, stdin=stdin, stdout=stdout, stderr=stderr, shell=shell, cwd=cwd, env=env, user=user, quiet=True
        )

        captured = tuple(channel for channel, one in ((OUTPUT, stdout), (ERRORS, stderr)) if one == PIPE)

        def completed(
            status: int | None, output: bytes | None, error_output: bytes | None
        ) -> subprocess.CompletedProcess[Any]:
            done = subprocess.CompletedProcess(
                args, status or 0, decoded(output, encoding, errors), decoded(error_output, encoding, errors)
            )
            if check:
                done.check_returncode()
            return done

        def steps() -> Waits[subprocess.CompletedProcess[Any]]:
            agent = yield from self._other_agent(deadline)
            if agent is not None:
                from .qemu_calls import program, run  # few guests need it

                words = program(args, shell=shell, cwd=cwd, env=env, user=user, merged=stderr == STDOUT)
                data = memoryview(b"") if input is None else input
                with agent.trusted():
                    result = yield from run(agent, args, words, data=data, captured=captured, deadline=deadline)
                return completed(*result)
            stream = yield from start(self._session, what, deadline)
            process = BaseProcess(self._session, what, stream)
            try:
                output, error_output = yield from process._communicate(input, deadline)
            except TimeoutError as error:
                raise timed_out(
                    f"The process did not end within {deadline}, and was killed.",
                    args,
                    deadline,
                    getattr(error, "output", None),
                    getattr(error, "stderr", None),
                ) from None
            finally:
                status = process.returncode
                process._end()
            return completed(status, output, error_output)

        return steps()

    def _other_agent(self, deadline: Deadline) -> Waits[Conversation | None]:
        """Until an agent answers. The conversation with that of QEMU, if no other has; None otherwise."""
        yield from self._session.ready(deadline, by_any=True)
        agent = self._session.qemu_agent
        return None if agent is None or self._session.is_ready else agent.conversation

    def _popen_steps(self, what: Start, deadline: Deadline) -> Waits[Stream]:
        return start(self._session, what, deadline)

    def _ready(self, deadline: Deadline) -> Waits[None]:
        return self._session.ready(deadline, by_any=True)

    def _read_bytes(self, path: Any, deadline: Deadline) -> Waits[bytes]:
        name = path_in_guest("path", path)

        def steps() -> Waits[bytes]:
            agent = yield from self._other_agent(deadline)
            if agent is None:
                return (yield from read_file(self._session, name, deadline))
            from . import qemu_calls

            with agent.trusted():
                return (yield from qemu_calls.read_file(agent, name, deadline))

        return steps()

    def _write_bytes(self, path: Any, data: Any, mode: int, deadline: Deadline) -> Waits[int]:
        name = path_in_guest("path", path)
        # Looks at what is given.
        written = write_file(self._session, name, data, mode, deadline)

        def steps() -> Waits[int]:
            agent = yield from self._other_agent(deadline)
            if agent is None:
                return (yield from written)
            from . import qemu_calls

            with agent.trusted():
                return (yield from qemu_calls.write_file(agent, name, data, mode, deadline))

        return steps()

    def _went_on(self, deadline: Deadline) -> Waits[None]:
        """Until the agent of a guest that was restored answers, has set the clock, and has made the next random numbers
        others than those of other machines from the same state. QEMU's agent is had to set the clock by the machine."""
        yield from self._ready(deadline)
        if self._session.is_ready:
            self._session.restored()
            yield from self._info(deadline)

    def _will_go_on(self) -> None:
        """The agent does the same before it does what it is asked for first. Nobody waits for it here."""
        self._session.restored()

    def _info(self, deadline: Deadline) -> Waits[GuestInformation]:
        agent = yield from self._other_agent(deadline)
        if agent is not None:
            from . import qemu_calls

            with agent.trusted():
                return (yield from qemu_calls.information(agent, deadline))
        answer = _Answer()
        self._session.ask(answer.came)
        while not answer.changes:
            if deadline.passed:
                raise make(TimeoutError, f"The guest's agent told nothing within {deadline}.")
            yield answer, deadline
        if answer.told is None:
            raise lost("The agent went, or the machine stopped.", "while the guest was asked for information")
        return information_of(answer.told)


class _Answer(Subject):
    __slots__ = ("told",)

    def __init__(self) -> None:
        super().__init__()
        self.told: bytes | None = None

    def came(self, told: bytes | None) -> None:
        self.told = told
        self.changed()


def no_guest() -> Error:
    """The error for a machine without the port of the agent."""
    return make(
        InvalidStateError,
        "The machine has no port for a guest's agent.",
        "Neither `guest_agent` of its configuration nor that of its LinuxBootLoader is true.",
        "Make the machine of a configuration with `guest_agent=True`, or boot it by "
        "`LinuxBootLoader(…, guest_agent=True)`, which brings the agent along.",
    )


def checked_text(value: Any, encoding: str, errors: str) -> bytes:
    """The bytes of a text that is written to a file."""
    instance("data", value, (str,))
    check_encoding(encoding, errors)
    return str(value).encode(encoding, errors)
