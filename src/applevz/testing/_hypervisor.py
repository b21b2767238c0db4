# SPDX-License-Identifier: Apache-2.0
"""Machines without a guest: what runs in QEMU's place, and how a test has it do what it wants.

    VirtualMachine, bridge, VZ classes    as ever, with all their states, events and errors
        |  a command line, QMP, descriptors
    _played/qemu.py                       a program that plays QEMU and a guest
        |  a socket in a folder of the test's
    FakeHypervisor                        what is to go wrong, and what happens meanwhile

A process that is started looks for the script of the test once it is connected to the test. So whoever changes the
script writes it first, and tells all who are connected then.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import os
import shlex
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from .._blocking._turn import Place
from .._host.capabilities import capabilities
from .._host.low_descriptors import moved_high
from .._values.arguments import instance, integer, shown, text, wrong_type
from .._values.arguments import seconds as seconds_argument
from ..errors import ForkedError, InvalidArgumentError, InvalidStateError, NotSupportedError, TimeoutError, make
from ._guests import FakeGuest, latin

__all__ = ["FakeHypervisor", "FakeMachine"]

_PROGRAM: Final = Path(__file__).resolve().parent / "_played" / "qemu.py"
_QEMU: Final = "APPLEVZ_QEMU"
_TIMEOUT: Final = "APPLEVZ_QEMU_TIMEOUT"
# So long an answer of such a process may take: a busy host's.
_PATIENCE: Final = 60.0
# So long may the path of a Unix socket be.
_LONGEST_PATH: Final = 107
_VERBS: Final = ("start", "pause", "resume", "save_state", "restore_state")
_LACKING: Final = (
    *("virtualization", "hardware_acceleration", "generation_identifier", "efi", "shared_directories", "sockets"),
    *("screenshots", "early_console", "input_events", "sound", "save_restore"),
)


class FakeMachine:
    """What runs a machine that was started or restored: its guest, and QEMU, as far as it can be seen.

    A test has things happen here that happen to a machine by themselves. Each call returns when it was done; what the
    machine makes of that comes by its state and its events. A call raises `InvalidStateError` if what ran the machine
    has ended, and `TimeoutError` if it does not answer: somebody has stopped its process.
    """

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection = connection
        self._received = bytearray()
        self._lock = threading.Lock()
        # By thread, its call that waits for an answer.
        self._callers: dict[int, Place] = {}
        self._questions = 0
        # Whether a question may have been sent in part.
        self._is_sending = False
        self._ended = False
        self._process = os.getpid()
        self.pid = pid
        """The process in QEMU's place."""

    def __repr__(self) -> str:
        return f"<FakeMachine {self.pid}{' (ended)' if self._ended else ''}>"

    def _close(self) -> None:
        self._ended = True
        self._connection.close()

    def _do(self, what: str, **arguments: Any) -> Any:
        _check_process(self._process)
        place = Place()
        with place.held:
            before = self._callers.get(place.thread)
            if before is not None and not before.over:
                raise make(
                    InvalidStateError,
                    "This thread asks the FakeMachine something already.",
                    "A signal's handler or a finalizer was called in the middle of that, and has to return first.",
                    "Have it set a flag, or leave it to another thread.",
                )
            self._callers[place.thread] = place
            with self._lock:
                try:
                    return self._answer({"do": what, **arguments})
                except OSError as error:
                    if isinstance(error, builtins.TimeoutError):
                        raise make(
                            TimeoutError,
                            f"A FakeMachine did not answer within {_PATIENCE:g} s.",
                            f"{what} was asked of it. What runs the machine, the process {self.pid}, may be stopped.",
                            "Let it go on (SIGCONT).",
                        ) from None
                    self._close()
                    raise make(
                        InvalidStateError,
                        f"{what} is asked of a FakeMachine that has ended.",
                        f"What ran the machine, the process {self.pid}, is gone.",
                        "Take the newest of FakeHypervisor.machines, after a start.",
                    ) from None

    def _answer(self, question: dict[str, Any]) -> Any:
        """The answer to this question. One that nobody waited for, since a signal's handler raised, may come before."""
        if self._ended or self._is_sending:
            raise ConnectionResetError
        self._questions += 1
        data = json.dumps({**question, "number": self._questions}).encode() + b"\n"
        self._connection.settimeout(_PATIENCE)
        self._is_sending = True
        self._connection.sendall(data)
        self._is_sending = False
        while (answer := json.loads(_line(self._connection, self._received)))["number"] != self._questions:
            pass
        return answer["value"]

    def print(self, text: bytes | str, console: int = 0) -> None:
        """The guest prints this, on the console of that number. Raises `InvalidArgumentError` if there is no such."""
        number = integer("console", console)
        there = self._do("print", text=latin("text", text), console=number)
        if not 0 <= console < there:
            raise make(InvalidArgumentError, f"console is {shown(console)}, and the machine has {there} of them.")

    def typed(self, console: int = 0) -> bytes:
        """All that was typed on the console of that number, as far as the guest has received it."""
        return str(self._do("typed", console=integer("console", console))).encode("latin-1")

    def panic(self, words: str = "played") -> None:
        """The guest's kernel panics with these words, and does nothing more."""
        self._do("panic", words=instance("words", words, (str,)))

    def turn_off(self) -> None:
        """The guest turns the machine off."""
        self._do("turn_off")

    def reset(self) -> None:
        """The guest resets: it starts anew, or stops the machine if that is `stop_at_reset`."""
        self._do("reset")

    def stop_with_error(self, words: str = "played: an error", status: int = 1) -> None:
        """The hypervisor ends by an error, and says these words: the machine is in ERROR then, with a `stop_error`."""
        number = integer("status", status, "Give an exit status: a number from 0 to 255.")
        self._do("fail", words=instance("words", words, (str,)) + "\n", status=number)

    def kill(self) -> None:
        """The hypervisor is killed: the machine is in ERROR then, with a `stop_error`."""
        self._do("kill")

    def halt_processors(self, reason: str = "internal-error") -> None:
        """The hypervisor stops the guest's processors for that reason, and cannot go on: ERROR, with a `stop_error`."""
        self._do("halt", reason=instance("reason", reason, (str,)))

    @property
    def commands(self) -> list[list[str]]:
        """The arguments of the programs that the agent was asked to run, in their order."""
        return [list(map(str, one)) for one in self._do("look")["ran"]]

    @property
    def files(self) -> dict[str, bytes]:
        """The guest's files, as the agent has them now."""
        return {path: text.encode("latin-1") for path, text in self._do("look")["files"].items()}


class FakeHypervisor:
    """Runs the machines of this process in QEMU's place, as long as its `with` block lasts.

    Every machine that is started or restored in the block is run by it, whoever makes the machine: it is an
    `applevz.VirtualMachine` (or one of `applevz.aio`) as ever, with its states, its events and its errors. No guest is
    booted; the kernel, the disks and the rest of a configuration have to be there, as ever.

    `guest` is what the guests are; it can be set to another one for those that start later. `lacks` names capabilities
    that the host has not: `capabilities` says so, too. `answer_timeout` is for how many seconds an answer of the
    hypervisor is waited for (60 if it is None) before it is given up: the machine is in ERROR then. There is one at a
    time in a process. Raises `NotSupportedError` where the framework has no program that runs machines, as on a Mac.
    """

    _current: FakeHypervisor | None = None

    def __init__(
        self, guest: FakeGuest | None = None, *, lacks: Collection[str] = (), answer_timeout: float | None = None
    ) -> None:
        if isinstance(lacks, str) or not isinstance(lacks, Collection):
            raise wrong_type("lacks", lacks, "a list of names of capabilities")
        for name in lacks:
            if name not in _LACKING:
                raise make(
                    InvalidArgumentError,
                    f"lacks has {shown(name)}.",
                    "That is no capability that depends on the hypervisor.",
                    f"Name one or more of these: {', '.join(_LACKING)}.",
                )
        self._guest: FakeGuest = FakeGuest() if guest is None else instance("guest", guest, (FakeGuest,))
        self._lacks = sorted(lacks)
        self._answer_timeout = _answer_timeout(answer_timeout)
        self._faults: dict[str, dict[str, Any]] = {}
        self._faults_made = 0
        self._machines: list[FakeMachine] = []
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._folder: Path | None = None
        self._listener: socket.socket | None = None
        self._before: dict[str, str | None] = {}

    # ---- From its beginning to its end ----

    def __enter__(self) -> FakeHypervisor:
        if FakeHypervisor._current is not None:
            raise make(
                InvalidStateError,
                "There is a FakeHypervisor in this process already.",
                "All machines of a process have one hypervisor.",
                "End that one's `with` block first, or use it.",
            )
        folder = Path(tempfile.mkdtemp(prefix="applevz-"))
        try:
            self._listener = moved_high(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            _bind(self._listener, folder)
            self._listener.listen(128)
            self._folder = folder
            self._process = os.getpid()
            # A program for each: what is known of one is known by its file.
            program = folder / "qemu"
            words = [sys.executable, "-I", "-S", str(_PROGRAM), str(folder)]
            program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
            program.chmod(0o700)
            self._write()
            # In the environment, as long as this lasts: where the framework finds its hypervisor.
            self._set(_QEMU, "/nowhere")
            if capabilities.virtualization:
                raise make(
                    NotSupportedError,
                    "Machines cannot be played on this host.",
                    "Its framework runs them by no program that another could stand in for.",
                    "Run such tests on Linux.",
                )
            self._set(_QEMU, str(program))
            self._set(_TIMEOUT, self._answer_timeout)
        except BaseException:
            self._end(folder)
            raise
        FakeHypervisor._current = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        FakeHypervisor._current = None
        if self._folder is not None:
            self._end(self._folder)

    def _set(self, name: str, value: str | None) -> None:
        """Sets a variable of the environment until this ends. None leaves it as it was before."""
        before = self._before.setdefault(name, os.environ.get(name))
        found = before if value is None else value
        if found is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = found

    def _end(self, folder: Path) -> None:
        for name in self._before:
            self._set(name, None)
        self._before.clear()
        if self._listener is not None:
            self._listener.close()
        for machine in self._machines:
            machine._close()
        self._folder = self._listener = None
        # In a process that was forked in the block they are its parent's.
        if self._process == os.getpid():
            shutil.rmtree(folder, ignore_errors=True)

    def _write(self) -> None:
        if self._folder is None:
            return
        _check_process(self._process)
        script = {"guest": self._guest.script(), "faults": self._faults, "lacks": self._lacks}
        new = self._folder / "script.new"
        new.write_text(json.dumps(script), encoding="utf-8")
        new.replace(self._folder / "script.json")

    # ---- What runs ----

    @property
    def guest(self) -> FakeGuest:
        """What the guests are that start from now on."""
        return self._guest

    @guest.setter
    def guest(self, value: FakeGuest) -> None:
        instance("guest", value, (FakeGuest,))
        _check_process(self._process)
        with self._lock:
            before, self._guest = self._guest, value
            try:
                self._write()
            except BaseException:
                self._guest = before
                raise

    @property
    def answer_timeout(self) -> float | None:
        """For how many seconds an answer is waited for from now on. Set a short one once the machine runs: what stands
        in the hypervisor's place takes its time to start, on a busy host seconds."""
        return None if self._answer_timeout is None else float(self._answer_timeout)

    @answer_timeout.setter
    def answer_timeout(self, value: float | None) -> None:
        self._answer_timeout = _answer_timeout(value)
        if self._listener is not None:
            self._set(_TIMEOUT, self._answer_timeout)

    @property
    def machines(self) -> tuple[FakeMachine, ...]:
        """What was started or restored so far, in that order: one for each start."""
        _check_process(self._process)
        with self._lock:
            self._accept()
            return tuple(self._machines)

    @property
    def machine(self) -> FakeMachine:
        """The newest of `machines`. Raises `InvalidStateError` if nothing was started."""
        machines = self.machines
        if not machines:
            words = "No machine was started by this FakeHypervisor."
            raise make(InvalidStateError, words, "", "Start one in its `with` block.")
        return machines[-1]

    def _accept(self) -> None:
        if self._listener is None:
            raise make(InvalidStateError, "The FakeHypervisor is not in use.", "", "Use it in its `with` block.")
        self._listener.settimeout(0)
        while True:
            try:
                connection = moved_high(self._listener.accept()[0])
            except BlockingIOError:
                return
            connection.settimeout(_PATIENCE)
            with contextlib.suppress(OSError):
                pid = json.loads(_line(connection, bytearray()))["pid"]
                self._machines.append(FakeMachine(connection, int(pid)))
                continue
            connection.close()

    # ---- What goes wrong ----

    def fail(self, verb: str, reason: str = "played: it failed", times: int | None = None) -> None:
        """A verb fails for that reason, each time, or `times` times from now on.

        `verb` is the machine's method: `"start"`, `"pause"`, `"resume"`, `"save_state"` or `"restore_state"`, which
        also is what `start` does to a paused machine, and `suspend`. The error is the one that the machine has for a
        hypervisor that refuses, or that ends at its start: `InternalError`, `SaveError`, `RestoreError`.
        """
        self._put(verb, times, kind="fail", reason=text("reason", reason).decode())

    def hold(self, verb: str, times: int | None = None) -> None:
        """A verb does not complete before `release`, each time, or `times` times from now on."""
        self._put(verb, times, kind="hold")

    def delay(self, verb: str, seconds: float, times: int | None = None) -> None:
        """A verb completes so many seconds late, each time, or `times` times from now on."""
        duration = seconds_argument("seconds", seconds)
        if duration is None:
            raise wrong_type("seconds", seconds, "a number of seconds")
        self._put(verb, times, kind="delay", seconds=duration)

    def reset(self, verb: str | None = None) -> None:
        """From now on nothing goes wrong with a verb any more, or with any. What is held stays so until `release`."""
        _check_process(self._process)
        with self._lock:
            if verb is None:
                self._faults = {}
            else:
                self._faults.pop(_verb(verb), None)
            self._publish()

    def release(self, verb: str) -> int:
        """Lets a verb go on that is held, in all machines, and holds it no more. Returns how many were held."""
        _check_process(self._process)
        with self._lock:
            if self._faults.get(_verb(verb), {}).get("kind") == "hold":
                self.reset(verb)
            return sum(self._told("release", verb=verb))

    def wait_held(self, verb: str, timeout: float | None = _PATIENCE) -> FakeMachine:
        """Waits until a verb is held, and returns the machine whose it is. Raises `TimeoutError`."""
        _verb(verb)
        duration = seconds_argument("timeout", timeout)
        end = None if duration is None else time.monotonic() + duration
        while True:
            for machine in self.machines:
                try:
                    if verb in machine._do("look")["held"]:
                        return machine
                except InvalidStateError:  # noqa: PERF203  # each machine may have ended
                    if not machine._ended:
                        raise
            if end is not None and time.monotonic() >= end:
                raise make(TimeoutError, f"No {verb} was held within {duration:g} s.")
            time.sleep(0.01)

    def _put(self, verb: str, times: int | None, **fault: Any) -> None:
        if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
            raise make(InvalidArgumentError, f"times is {shown(times)}.", "", "Give a number from 1 on, or None.")
        _check_process(self._process)
        with self._lock:
            self._faults_made += 1
            self._faults[_verb(verb)] = {**fault, "times": times, "number": self._faults_made}
            self._publish()

    def _publish(self) -> None:
        self._write()
        if self._listener is not None:
            self._told("script", script={"faults": self._faults})

    def _told(self, what: str, **arguments: Any) -> Sequence[Any]:
        answers = []
        for machine in self.machines:
            try:
                answers.append(machine._do(what, **arguments))
            except InvalidStateError:  # noqa: PERF203  # each machine may have ended
                if not machine._ended:
                    raise
        return answers


def _check_process(process: int) -> None:
    """Before a lock is taken: in a forked child it may be held by a thread that stayed behind."""
    if process != os.getpid():
        raise make(
            ForkedError,
            "The FakeHypervisor belongs to the process that this one was forked from.",
            "What runs its machines answers that one.",
            "Use one of its own in a process that was started anew.",
        )


def _bind(listener: socket.socket, folder: Path) -> None:
    name = folder / "control"
    if len(os.fsencode(name)) <= _LONGEST_PATH:
        listener.bind(os.fsencode(name))
        return
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{number}/control")
    finally:
        os.close(number)


def _answer_timeout(value: float | None) -> str | None:
    duration = seconds_argument("answer_timeout", value)
    if duration == 0:
        raise make(InvalidArgumentError, f"answer_timeout is {shown(value)}.", "", "Give more seconds than none.")
    return None if duration is None else str(duration)


def _verb(verb: str) -> str:
    if verb not in _VERBS:
        raise make(
            InvalidArgumentError,
            f"verb is {shown(verb)}.",
            "A hypervisor has no part in the others that could go wrong: it is killed to stop a machine.",
            f"Give one of these: {', '.join(_VERBS)}.",
        )
    return verb


def _line(connection: socket.socket, received: bytearray) -> bytes:
    """The next line of a connection. Raises `OSError` if it ends before."""
    while (end := received.find(b"\n")) < 0:
        data = connection.recv(1 << 16)
        if not data:
            raise ConnectionResetError
        received += data
    line = bytes(received[:end])
    del received[: end + 1]
    return line
