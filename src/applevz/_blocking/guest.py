# SPDX-License-Identifier: Apache-2.0
"""The guest whose calls block. `_core/guest/` decides what each call does."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .._core.console import BaseConsole
from .._core.deadline import Deadline
from .._core.guest.connection import BaseConnection, connect, port_target, unix_target
from .._core.guest.forward import forward_steps
from .._core.guest.guest import BaseGuest, checked_text
from .._core.guest.information import GuestInformation
from .._core.guest.open_files import mode_of, open_file
from .._core.guest.process import BaseProcess, Start, start_of
from .._core.guest.session import Session
from .._core.guest.streams import ERRORS, INPUT, OUTPUT, Result, Stream, Waits
from .._core.guest.trees import Progress, copy_in, copy_out
from .._native import Reference
from .._values.arguments import PathLike
from .._values.arguments import encoding as check_encoding
from ..errors import Error, GuestNotAnsweringError
from ._pump import Pump
from .console import Console
from .files import GuestFile, OpenFile, buffered
from .forward import Forward

if TYPE_CHECKING:
    from .._core.guest.qemu_agent import QEMUAgent

__all__ = ["Guest", "GuestConnection", "GuestInput", "GuestOutput", "GuestProcess"]

Arguments = str | bytes | PathLike | Sequence[str | bytes | PathLike]
Environment = Mapping[str, str] | Mapping[bytes, bytes]


class GuestOutput:
    """What a process in a guest prints: a stream of bytes. Up to 1 MiB wait here; then the process waits."""

    def __init__(self, process: GuestProcess, channel: int) -> None:
        self._process = process
        self._channel = channel

    def read(self, size: int = -1, timeout: float | None = None) -> bytes:
        """Returns `size` bytes, or what there is until the end of what the process prints (-1: all of that).

        Raises `TimeoutError`, and then leaves everything for the next call.
        """
        return self._process._run(self._process._read(self._channel, size, Deadline(timeout)))

    def read1(self, size: int = -1, timeout: float | None = None) -> bytes:
        """Returns what there is, up to `size` bytes. Waits until there is something; `b""` is the end."""
        return self._process._run(self._process._read(self._channel, size, Deadline(timeout), at_once=True))

    def readline(self, timeout: float | None = None) -> bytes:
        r"""Returns the next line with its `b"\n"`, which the last one may lack, and `b""` at the end.

        A line of more than 16 MiB comes in parts. Raises `TimeoutError`, and then leaves everything for the next call.
        """
        return self._process._run(self._process._read_line(self._channel, Deadline(timeout)))

    def __iter__(self) -> Iterator[bytes]:
        """The lines, up to the end."""
        return iter(self.readline, b"")


class GuestInput:
    """The input of a process in a guest: a stream of bytes."""

    def __init__(self, process: GuestProcess) -> None:
        self._process = process

    def write(self, data: bytes | bytearray | memoryview, timeout: float | None = None) -> int:
        """Sends all of the data, and returns how many bytes that are. Waits while 1 MiB wait for the process.

        Raises `TimeoutError` if the process does not take it in time; the error says how much was sent. Raises
        `POSIXError`, which is a `BrokenPipeError` then, if the process has ended.
        """
        return self._process._run(self._process._write(data, Deadline(timeout)))

    def close(self) -> None:
        """Ends the input: the process reads an end of file. Does not wait."""
        self._process._pump.do(self._process._end_input)


class GuestProcess(BaseProcess):
    """A process in a guest, as `subprocess.Popen` has them.

    `stdin`, `stdout` and `stderr` are there if they were asked for with `subprocess.PIPE`, otherwise None. With a
    terminal `stdin` and `stdout` are the terminal.

    As a context manager it is closed at the end of the `with` block: a process that has not ended is killed, with its
    process group, unless it is detached. Durations are in seconds; None is no limit.

    A call raises `GuestConnectionLostError` if the agent went, or the machine stopped or was restored: how the process
    ended is not known then.
    """

    def __init__(self, session: Session, pump: Pump, what: Start, stream: Stream) -> None:
        super().__init__(session, what, stream)
        self._pump = pump
        self.stdin = GuestInput(self) if INPUT in what.piped else None
        self.stdout = GuestOutput(self, OUTPUT) if OUTPUT in what.piped else None
        self.stderr = GuestOutput(self, ERRORS) if ERRORS in what.piped else None

    def _run(self, waits: Waits[Result]) -> Result:
        return self._pump.run(waits)

    def poll(self) -> int | None:
        """Looks, without waiting, whether the process has ended, and returns `returncode`."""
        self._pump.look()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits until the process has ended, and returns `returncode`. Raises `GuestProcessTimeoutError`.

        A process that prints more than 1 MiB which nobody reads does not end.
        """
        return self._run(self._wait(Deadline(timeout)))

    def communicate(
        self,
        input: bytes | bytearray | memoryview | None = None,  # noqa: A002  # as subprocess calls it
        timeout: float | None = None,
    ) -> tuple[bytes | None, bytes | None]:
        """Sends `input`, ends the process's input, takes all that it prints, and waits until it has ended.

        Returns what it printed on `stdout` and `stderr`, None for what is no pipe. Raises `GuestProcessTimeoutError`,
        with what came so far. The process goes on then, and the call can be made again, with the same input: nothing is
        lost or sent twice.
        """
        return self._run(self._communicate(input, Deadline(timeout)))

    def send_signal(self, signal: int) -> None:
        """Sends a signal to the process's group, without waiting. Does nothing if the process has ended.

        `signal` is one of the module `signal`, or a number, which is Linux's.
        """
        self._pump.do(self._signal, signal)

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self.send_signal(15)

    def kill(self) -> None:
        """Sends SIGKILL."""
        self.send_signal(9)

    def resize(self, rows: int, columns: int) -> None:
        """Gives the process's terminal another size."""
        self._pump.do(self._resize, (rows, columns))

    def close(self) -> None:
        """Ends the connection to the process, without waiting. It is killed, with its process group, unless it has
        ended or is detached."""
        self._pump.do(self._end)

    def __enter__(self) -> GuestProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class GuestConnection(BaseConnection):
    """A connection to a port or a Unix socket in a guest, with the names of `socket.socket`.

    Any number of threads may use it. As a context manager it is closed at the end of the `with` block. One that is
    dropped is closed, too.
    """

    def __init__(self, session: Session, pump: Pump, stream: Stream, target: tuple[str, bytes]) -> None:
        super().__init__(session, stream, target)
        self._pump = pump
        self._timeout: float | None = None

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            super().__del__()
            # Now, unless this comes in the middle of another call, which does it.
            with suppress(Error, AttributeError):
                self._pump.look()

    def settimeout(self, timeout: float | None) -> None:
        """Gives each call that comes a limit, in seconds; None is no limit. Raises `InvalidArgumentError`."""
        self._timeout = Deadline(timeout).duration

    def gettimeout(self) -> float | None:
        """The limit of each call, in seconds; None is no limit."""
        return self._timeout

    def recv(self, size: int) -> bytes:
        """Returns what came, up to `size` bytes. Waits until there is something; `b""` is the end.

        Raises `TimeoutError`, and `POSIXError` if the connection broke.
        """
        return self._pump.run(self._receive(size, Deadline(self._timeout)))

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Sends a part of the data, and returns how many bytes that are. Raises `TimeoutError` and `POSIXError`."""
        return self._pump.run(self._send(data, Deadline(self._timeout), all_of_it=False))

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        """Sends all of the data. Raises `TimeoutError`, which says how much was sent, and `POSIXError`."""
        self._pump.run(self._send(data, Deadline(self._timeout), all_of_it=True))

    def shutdown(self, how: int) -> None:
        """Ends one half of the connection or both: `socket.SHUT_WR`, `SHUT_RD`, `SHUT_RDWR`. Does not wait."""
        self._pump.do(self._shutdown, how)

    def close(self) -> None:
        """Ends the connection. Does not wait."""
        self._pump.do(self._end)

    def __enter__(self) -> GuestConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Guest(BaseGuest):
    """What can be done inside of a machine's guest, by its agent: `VirtualMachine.guest`.

    It is connected when it is first used, and again after the machine was restored or started again. Each call waits
    for the agent, up to its `timeout`, in seconds, None for no limit. Any number of threads may use it. A signal's
    handler or a finalizer that runs while its own thread is in a call cannot: that is an `InvalidStateError`. Ctrl-C
    and the end of a time-out end in the guest what the call had begun there.

    Nothing was begun if a call raises `GuestUnreachableError`: the machine is not running, or no agent answered. It is
    a `GuestNotAnsweringError`, and with that a `TimeoutError`, if the time was over. If the agent went, or the machine
    stopped or was restored while a call was under way, that is a `GuestConnectionLostError`: how it ended is not known.
    What the guest's system refuses is a `POSIXError`, and the builtin exception that fits.

    If the guest's kernel panics, that is a `GuestPanickedError`, which is one of those, for what is under way,
    and for later calls, unless the guest starts anew.

    A guest that has QEMU's agent alone is served by that, if `VirtualMachineConfiguration.guest_agent` is true: `run`,
    files as a whole and `info`. The rest raises `NotSupportedError`.
    """

    def __init__(
        self,
        port: Reference,
        machine: Reference | None,
        consoles: Sequence[BaseConsole] = (),
        qemu_agent: QEMUAgent | None = None,
    ) -> None:
        super().__init__(port, machine, consoles, qemu_agent)
        self._pump = Pump(self._session)

    def _go(self, waits: Waits[Result]) -> Result:
        try:
            return self._pump.run(waits)
        except GuestNotAnsweringError as error:
            raise self._silent(error, [self._last_of(console) for console in self._consoles]) from None

    @staticmethod
    def _last_of(console: BaseConsole) -> bytes:
        if isinstance(console, Console):
            # One that somebody else reads has shown him what it printed.
            with suppress(Error):
                return console.peek()
        return console.tail

    def wait(self, timeout: float | None = None) -> Guest:
        """Waits until the guest's agent answers, and returns this object.

        Raises `GuestNotAnsweringError`, which is a `TimeoutError`; it shows what the console printed last. Raises
        `GuestUnreachableError` if the machine is not running.
        """
        self._go(self._ready(Deadline(timeout)))
        return self

    def run(
        self,
        args: Arguments,
        *,
        stdin: int | None = None,
        input: bytes | bytearray | memoryview | str | None = None,  # noqa: A002  # as subprocess calls it
        stdout: int | None = None,
        stderr: int | None = None,
        capture_output: bool = True,
        shell: bool = False,
        cwd: PathLike | None = None,
        timeout: float | None = None,
        check: bool = False,
        encoding: str | None = None,
        errors: str | None = None,
        text: bool | None = None,
        env: Environment | None = None,
        user: str | None = None,
    ) -> subprocess.CompletedProcess[Any]:
        """Runs a program in the guest until it ends, as `subprocess.run` does on the host.

        What it prints is captured unless `capture_output` is false or `stdout` and `stderr` say otherwise:
        `subprocess.PIPE`, `DEVNULL`, and `STDOUT` for `stderr`. There is nothing else that it could print to. Without
        `input` it reads an end of file. `env` are variables that are added to those that each process has: PATH, HOME,
        USER, LOGNAME and SHELL. `cwd` is the user's home if it is None. `user` is a name of the guest's, None for the
        agent's own user, which is root as a rule. Results are bytes, or text with `text`, `encoding` or `errors`; the
        encoding is UTF-8 unless another one is named.

        A negative `returncode` is a signal of Linux's. With `check` a status other than 0 raises
        `subprocess.CalledProcessError`. If the program cannot be run, that is a `POSIXError`, and a `FileNotFoundError`
        if it is not there. If `timeout` is over, the process is killed with its process group, and
        `GuestProcessTimeoutError` is raised, which is a `TimeoutError` and a `subprocess.TimeoutExpired`, with what
        came so far. So is a process whose call is ended by Ctrl-C.
        """
        deadline = Deadline(timeout)
        return self._go(
            self._run_steps(
                args,
                stdin=stdin,
                input=input,
                stdout=stdout,
                stderr=stderr,
                capture_output=capture_output,
                shell=shell,
                cwd=cwd,
                deadline=deadline,
                check=check,
                encoding=encoding,
                errors=errors,
                text=text,
                env=env,
                user=user,
            )
        )

    def popen(
        self,
        args: Arguments,
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        shell: bool = False,
        cwd: PathLike | None = None,
        env: Environment | None = None,
        user: str | None = None,
        terminal: bool = False,
        size: tuple[int, int] = (24, 80),
        detached: bool = False,
        timeout: float | None = None,
    ) -> GuestProcess:
        """Starts a program in the guest, and returns it once it runs.

        `stdin`, `stdout` and `stderr` are `subprocess.PIPE`, `DEVNULL`, or None, which is `DEVNULL` here; `stderr` may
        be `STDOUT`. With `terminal` all three are a terminal of `size`, rows and columns. A process that is `detached`
        lives on when it is closed, and when this program ends; all others are killed then. `timeout` is for the start.
        The other arguments, and the errors, are those of `run`.
        """
        what = start_of(
            args,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            shell=shell,
            cwd=cwd,
            env=env,
            user=user,
            terminal=terminal,
            size=size,
            detached=detached,
        )
        stream = self._go(self._popen_steps(what, Deadline(timeout)))
        return GuestProcess(self._session, self._pump, what, stream)

    def read_bytes(self, path: PathLike, timeout: float | None = None) -> bytes:
        """Returns what is in a file of the guest's. Raises `TimeoutError`, and `POSIXError` with its `filename`."""
        return self._go(self._read_bytes(path, Deadline(timeout)))

    def write_bytes(
        self, path: PathLike, data: bytes | bytearray | memoryview, mode: int = 0o644, timeout: float | None = None
    ) -> int:
        """Writes a file of the guest's anew, and returns how many bytes it has. `mode` is for a file that was not
        there. Raises `TimeoutError`, and `POSIXError` with its `filename`; the file may have a part of the data then.
        """
        return self._go(self._write_bytes(path, data, mode, Deadline(timeout)))

    def read_text(
        self, path: PathLike, encoding: str = "utf-8", errors: str = "strict", timeout: float | None = None
    ) -> str:
        """`read_bytes`, as text. Line ends stay as they are."""
        check_encoding(encoding, errors)
        return self.read_bytes(path, timeout).decode(encoding, errors)

    def write_text(
        self,
        path: PathLike,
        data: str,
        encoding: str = "utf-8",
        errors: str = "strict",
        mode: int = 0o644,
        timeout: float | None = None,
    ) -> int:
        """`write_bytes` of text. Line ends stay as they are. Returns how many bytes the file has."""
        return self.write_bytes(path, checked_text(data, encoding, errors), mode, timeout)

    def open(
        self,
        path: PathLike,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *,
        permissions: int = 0o644,
        timeout: float | None = None,
    ) -> OpenFile:
        """Opens a file of the guest's, as `open` does on the host: "r", "w", "x" or "a", with "b" for bytes.

        It is an object of `io`, as `open` gives it: of `BufferedReader`, `BufferedWriter` or `TextIOWrapper`, or with
        `buffering=0` a `GuestFile`.
        A file is read or written: there is no "+". One that is read can `seek`, if it is a regular file; it is opened
        there anew, by its path. What is written comes in order, and is in the file once it is closed. The encoding of
        text is UTF-8 unless another one is named. `permissions` are for a file that was not there. `timeout` is for the
        opening, and for each call that waits for the guest later.

        Raises `TimeoutError`, and `POSIXError` with its `filename`, as `FileNotFoundError`.
        """
        what = mode_of(mode, buffering, encoding=encoding, errors=errors, newline=newline)
        file = self._go(open_file(self._session, path, what, permissions, Deadline(timeout)))
        raw = GuestFile(self._pump, file, what, path, timeout)
        try:
            return buffered(raw, what, buffering, encoding, errors, newline)
        except BaseException:
            raw.close()
            raise

    def connect(
        self, port: int, host: str = "127.0.0.1", timeout: float | None = None, *, protocol: str = "tcp"
    ) -> GuestConnection:
        """Connects to a port in the guest, or, with `host`, an address in numbers, to one that the guest can reach.

        `protocol` is `"tcp"` or `"udp"`. Of UDP each `send` is a datagram, and each `recv` returns one; what is longer
        than its `size` is cut. One that nobody takes is lost, and no error says so.

        Takes no network card. Raises `TimeoutError`, and `POSIXError`, which is a `ConnectionRefusedError` if nobody
        listens there.
        """
        return self._connected(port_target(port, host, protocol), timeout)

    def connect_unix(self, path: PathLike, timeout: float | None = None) -> GuestConnection:
        """Connects to a Unix socket in the guest. Raises the errors of `connect`."""
        return self._connected(unix_target(path), timeout)

    def _connected(self, target: tuple[str, bytes], timeout: float | None) -> GuestConnection:
        stream = self._go(connect(self._session, target, Deadline(timeout)))
        return GuestConnection(self._session, self._pump, stream, target)

    def copy_in(
        self, source: PathLike, target: PathLike, *, progress: Progress | None = None, timeout: float | None = None
    ) -> None:
        """Copies a file or a tree of the host's to the path `target` in the guest.

        Folders, files, symbolic links, hard links among them and FIFOs come with their modes and times, and files with
        their holes; sockets and devices are left out. All belong to the agent's user. A folder that is there is kept,
        with what else is in it; anything else that is in the way is replaced. `source` itself may be a symbolic link.

        `progress` is called with the number of entries and of bytes so far. It must not use the guest; what it raises
        ends the call. Raises `TimeoutError`, and `POSIXError` with the `filename` that it is about; what was copied by
        then stays.
        """
        self._go(copy_in(self._session, source, target, progress, Deadline(timeout)))

    def copy_out(
        self, source: PathLike, target: PathLike, *, progress: Progress | None = None, timeout: float | None = None
    ) -> None:
        """Copies a file or a tree of the guest's to the path `target` of the host, as `copy_in` does it.

        Nothing is made outside of `target`, whatever the guest sends: no symbolic link is followed below it, and no
        file that was there is written into. The bits of a mode that have a program run with its owner's rights are
        left out. Links are copied as they are; where they lead is the guest's choice. What the guest cannot read is
        left out, and raises `POSIXError` when all else is copied.
        """
        self._go(copy_out(self._session, source, target, progress, Deadline(timeout)))

    def info(self, timeout: float | None = None) -> GuestInformation:
        """What the guest's agent tells of its guest. Raises `TimeoutError`."""
        return self._go(self._info(Deadline(timeout)))

    def _forward(self, timeout: float | None, **places: Any) -> Forward:
        forwarding = self._go(self._forward_steps(Deadline(timeout), **places))
        return Forward(self._pump, forwarding, places["protocol"])

    def _forward_steps(self, deadline: Deadline, **places: Any) -> Waits[Any]:
        steps = forward_steps(self._session, self._relay, deadline=deadline, **places)

        def begun() -> Waits[Any]:
            forwarding = yield from steps
            try:
                self._begin_carrying()
            except BaseException:
                forwarding.end()
                raise
            return forwarding

        return begun()

    def _relay(self) -> Any:
        if self._pump.carrier is None:
            from ._carrier import Carrier

            self._pump.carrier = Carrier(self._session)
        return self._pump.carrier.relay

    def _begin_carrying(self) -> None:
        carrier = self._pump.carrier
        if carrier is not None:
            try:
                carrier.begin(self._pump)
            except BaseException:
                # Without a thread nothing is carried.
                self._pump.carrier = None
                carrier.relay.end()
                carrier.selector.close()
                raise
