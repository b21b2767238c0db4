# SPDX-License-Identifier: Apache-2.0
"""One machine on some node of a cluster, used from here."""

from __future__ import annotations

import errno
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from .._core.deadline import Deadline
from .._core.states import VirtualMachineState
from .._values.arguments import PathLike, boolean
from .._values.arguments import path as path_argument
from .._values.sizes import Size
from .._values.sizes import size as size_argument
from .._values.unique import Unique
from ..errors import (
    DownloadError,
    Error,
    InvalidStateError,
    MachineLostError,
    TimeoutError,
    make,
    make_posix,
)
from ._cluster import MachineNode, ObjectStore, connected_ray, nodes_with_the_resource, published
from ._contents import content_of, write_pieces
from ._hosts import refusal_words
from ._machine_server import Saved
from ._orders import Configuration, order_for
from ._scheduling import NodeLostError, no_node
from ._sources import Source, source_argument

if TYPE_CHECKING:
    from .._blocking.guest import Arguments, Environment
    from .._core.guest.information import GuestInformation

__all__ = ["RemoteInput", "RemoteMachine", "RemoteOutput", "RemoteProcess", "remote_machine"]

# How often it is looked whether there is a node, in seconds, and how long one may be missing.
_LOOK: Final = 0.5
_PATIENCE: Final = 60.0
_LONG: Final = 1e9


class RemoteOutput:
    """What a process in the guest of a machine elsewhere prints, as `GuestOutput` has it."""

    def __init__(self, process: RemoteProcess, name: str) -> None:
        self._process = process
        self._name = name

    def _ask(self, what: str, *arguments: Any) -> bytes:
        data: bytes = self._process._ask(f"{self._name}.{what}", *arguments)
        return data

    def read(self, size: int = -1, timeout: float | None = None) -> bytes:
        """Returns `size` bytes, or what there is until the end of what the process prints (-1: all of that)."""
        return self._ask("read", size, timeout)

    def read1(self, size: int = -1, timeout: float | None = None) -> bytes:
        """Returns what there is, up to `size` bytes. Waits until there is something; `b""` is the end."""
        return self._ask("read1", size, timeout)

    def readline(self, timeout: float | None = None) -> bytes:
        r"""Returns the next line with its `b"\n"`, which the last one may lack, and `b""` at the end."""
        return self._ask("readline", timeout)

    def __iter__(self) -> Iterator[bytes]:
        """The lines, up to the end, each as it comes."""
        return iter(self.readline, b"")


class RemoteInput:
    """The input of a process in the guest of a machine elsewhere, as `GuestInput` has it."""

    def __init__(self, process: RemoteProcess) -> None:
        self._process = process

    def write(self, data: bytes | bytearray | memoryview, timeout: float | None = None) -> int:
        """Sends all of the data, and returns how many bytes that are."""
        count: int = self._process._ask("stdin.write", bytes(data), timeout)
        return count

    def close(self) -> None:
        """Ends the input: the process reads an end of file."""
        self._process._ask("stdin.close")


class RemoteProcess(Unique):
    """A process in the guest of a machine elsewhere, as `GuestProcess` has it: `RemoteMachine.popen`.

    `stdin`, `stdout` and `stderr` are there if they were asked for with `subprocess.PIPE`, otherwise None. Each call is
    one to the node, which waits there. As a context manager it is closed at the end of the `with` block: a process that
    has not ended is killed.
    """

    def __init__(self, machine: RemoteMachine, number: int, args: Any, piped: dict[str, bool]) -> None:
        self._machine = machine
        self._number = number
        self.args = args
        """The arguments, as they were given."""
        self.returncode: int | None = None
        """How it ended, as far as that was seen by a call: None if it has not."""
        self.stdin = RemoteInput(self) if piped["stdin"] else None
        self.stdout = RemoteOutput(self, "stdout") if piped["stdout"] else None
        self.stderr = RemoteOutput(self, "stderr") if piped["stderr"] else None

    def _ask(self, name: str, *arguments: Any) -> Any:
        answer, returncode = self._machine._ask("process", self._number, name, arguments)
        if returncode is not None:
            self.returncode = returncode
        return answer

    def poll(self) -> int | None:
        """Looks whether the process has ended, and returns `returncode`."""
        self._ask("poll")
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits until the process has ended, and returns `returncode`. Raises `GuestProcessTimeoutError`."""
        code: int = self._ask("wait", timeout)
        return code

    def communicate(
        self,
        input: bytes | bytearray | memoryview | None = None,  # noqa: A002  # as subprocess calls it
        timeout: float | None = None,
    ) -> tuple[bytes | None, bytes | None]:
        """Sends `input`, takes all that the process prints, and waits until it has ended, as `GuestProcess` does."""
        found: tuple[bytes | None, bytes | None] = self._ask(
            "communicate", None if input is None else bytes(input), timeout
        )
        return found

    def send_signal(self, signal: int) -> None:
        """Sends a signal to the process's group. Does nothing if the process has ended."""
        self._ask("send_signal", int(signal))

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self.send_signal(15)

    def kill(self) -> None:
        """Sends SIGKILL."""
        self.send_signal(9)

    def close(self) -> None:
        """Ends the connection to the process. It is killed, with its process group, unless it has ended."""
        if self._number:
            self._ask("close")
            self._number = 0

    def __enter__(self) -> RemoteProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class RemoteMachine(Unique):
    """A machine on a node of a cluster: `remote_machine`. It runs in a process there, and ends with that.

    As a context manager it is stopped at the end of the `with` block. Any thread may use it. Calls have the arguments,
    results and errors of those of `Guest`, whose types and native errors they keep. A `timeout` is that of the call on
    the node, in seconds, None for no limit. Ctrl-C ends the wait here; what was begun goes on until the machine ends.

    If the node or its process is gone, a call that was under way raises `MachineLostError`, as does each later one.
    """

    def __init__(self, actor: MachineNode, node: str) -> None:
        self._actor: MachineNode | None = actor
        self.node = node
        """The node that it is on: its address, and the beginning of its identifier."""

    def _ask(self, name: str, *arguments: Any) -> Any:
        actor = self._actor
        if actor is None:
            raise make(InvalidStateError, "The machine was stopped.")
        try:
            return actor.ask(name, *arguments).result()
        except NodeLostError as error:
            raise make(
                MachineLostError,
                f"The machine was lost with the node {self.node!r}.",
                f"{str(error).rstrip('.')}. What was under way may have run, in part or as a whole.",
            ) from None

    @property
    def state(self) -> VirtualMachineState:
        """The state of the machine at this moment, asked of its node."""
        found: VirtualMachineState = self._ask("state")
        return found

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
        """Runs a program in the guest until it ends: `Guest.run`."""
        done: subprocess.CompletedProcess[Any] = self._guest(
            "run",
            args,
            stdin=stdin,
            input=bytes(input) if isinstance(input, memoryview) else input,
            stdout=stdout,
            stderr=stderr,
            capture_output=capture_output,
            shell=shell,
            cwd=cwd,
            timeout=timeout,
            check=check,
            encoding=encoding,
            errors=errors,
            text=text,
            env=env,
            user=user,
        )
        return done

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
        timeout: float | None = None,
    ) -> RemoteProcess:
        """Starts a program in the guest, whose output comes as it is printed: `Guest.popen`."""
        keywords = {
            "stdin": stdin,
            "stdout": stdout,
            "stderr": stderr,
            "shell": shell,
            "cwd": cwd,
            "env": env,
            "user": user,
            "timeout": timeout,
        }
        number = self._ask("popen", args, keywords)
        piped = {"stdin": stdin == subprocess.PIPE, "stdout": stdout == subprocess.PIPE}
        return RemoteProcess(self, number, args, {**piped, "stderr": stderr == subprocess.PIPE})

    def _guest(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        return self._ask("guest", name, arguments, keywords)

    def wait(self, timeout: float | None = None) -> RemoteMachine:
        """Waits until the guest's agent answers, and returns this object: `Guest.wait`."""
        self._guest("wait", timeout)
        return self

    def info(self, timeout: float | None = None) -> GuestInformation:
        """What the guest's agent tells of its guest: `Guest.info`."""
        found: GuestInformation = self._guest("info", timeout)
        return found

    # ---- Files ----

    def read_bytes(self, path: PathLike, timeout: float | None = None) -> bytes:
        """Returns what is in a file of the guest's: `Guest.read_bytes`."""
        data: bytes = self._guest("read_bytes", path, timeout)
        return data

    def write_bytes(
        self, path: PathLike, data: bytes | bytearray | memoryview, mode: int = 0o644, timeout: float | None = None
    ) -> int:
        """Writes a file of the guest's anew: `Guest.write_bytes`."""
        count: int = self._guest("write_bytes", path, bytes(data), mode, timeout)
        return count

    def read_text(
        self, path: PathLike, encoding: str = "utf-8", errors: str = "strict", timeout: float | None = None
    ) -> str:
        """`read_bytes`, as text."""
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
        """`write_bytes` of text."""
        return self.write_bytes(path, data.encode(encoding, errors), mode, timeout)

    # ---- Saving ----

    def save(self, path: PathLike, timeout: float | None = None, overwrite: bool = False) -> None:
        """Saves the machine to a new file here, and has it go on.

        It is paused while its node writes the state, which then comes here in pieces, is checked by its SHA-256, and
        gets its name when it is whole. `timeout` is for the saving on the node. A file that exists raises `POSIXError`,
        which is a `FileExistsError` then; with `overwrite` it is replaced. Raises the errors of
        `VirtualMachine.save_state`, too, and `DownloadError` for what came damaged.
        """
        name = os.fsdecode(path_argument("path", path))
        if os.path.lexists(name) and not boolean("overwrite", overwrite):
            there = FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            words = f"The state cannot be saved to {name!r}."
            raise make_posix(there, words, "Name a new file, or replace that one by `overwrite`.", os.fsencode(name))
        saved: Saved = self._ask("save", timeout)
        final = Path(name)
        beginning = final.with_name(f".applevz-{uuid.uuid4().hex}")
        try:
            try:
                pieces = ((position, self._ask("piece", position, length)) for position, length in saved.positions)
                write_pieces(beginning, saved.content.size, pieces)
                if content_of(beginning) != saved.content:
                    words = f"The state {name!r} did not come as it was saved."
                    raise make(DownloadError, words, f"It has not the SHA-256 {saved.content.sha256}.")
                beginning.replace(final)
            except Error:
                raise
            except OSError as error:
                words = f"The state cannot be written to {name!r}."
                raise make_posix(error, words, "Name a folder with room.", os.fsencode(name)) from error
        finally:
            beginning.unlink(missing_ok=True)
            self._ask("forget_saved")

    # ---- Its end ----

    def stop(self) -> None:
        """Ends the machine, and its process on the node. Calling it again does nothing."""
        actor, self._actor = self._actor, None
        if actor is not None:
            try:
                with suppress(NodeLostError):  # its machine went with it
                    actor.ask("stop").result()
            finally:
                actor.end()

    def __enter__(self) -> RemoteMachine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def remote_machine(
    configuration: Configuration,
    state: PathLike | None = None,
    *,
    timeout: float | None = None,
    files: PathLike | None = None,
    cache: PathLike | None = None,
    cache_size: Size | None = None,
    any_processor: bool = False,
) -> RemoteMachine:
    """Has a machine run on a node of Ray's, and returns it.

        with remote_machine(configuration, "ready.state") as machine:
            with machine.popen(["make"], stdout=subprocess.PIPE) as process:
                for line in process.stdout:
                    print(line.decode(), end="")

    It goes on from the saved `state`, or is started if that is None. The node is one that has the resource `applevz`,
    of which the machine takes 1. A node that cannot run the machine is not chosen. `timeout` is for all of this, in
    seconds, None for no limit; while all nodes are busy it waits. The other arguments are those of `RayExecutor`.

    Raises `NoNodeError` if no node can run it, which says why, `TimeoutError`, and the errors of making a
    `RayExecutor`.
    """
    deadline = Deadline(timeout)
    source: Source = ObjectStore() if files is None else source_argument("files", files)
    room = None if cache_size is None else size_argument("cache_size", cache_size)
    folder = None if cache is None else os.fsdecode(path_argument("cache", cache))
    connected_ray()
    order, given = order_for(
        configuration, state, cache=folder, cache_size=room, any_processor=boolean("any_processor", any_processor)
    )
    published(given, source)
    refused: dict[str, str] = {}
    reasons: dict[str, str] = {}
    while True:
        actor = MachineNode(refused)
        try:
            node = _where(actor, refused, reasons, deadline)
            name = nodes_with_the_resource().get(node, node[:8])
            try:
                actor.ask("begin", order, source, deadline.remaining(_LONG)).result()
            except NodeLostError as error:
                refused[node] = reasons[name] = str(error)
            except TimeoutError:
                raise
            except Error as error:
                refused[node] = reasons[name] = refusal_words(error)
            else:
                return RemoteMachine(actor, name)
        except BaseException:
            actor.end()
            raise
        actor.end()


def _where(actor: MachineNode, refused: dict[str, str], reasons: dict[str, str], deadline: Deadline) -> str:
    """Waits until the actor is on a node. Raises `NoNodeError` if there is none for it, whoever ends what."""
    future = actor.where()
    missing = time.monotonic()
    while not wait([future], deadline.remaining(_LOOK)).done:
        if nodes_with_the_resource().keys() - refused.keys():
            missing = time.monotonic()
        elif reasons or time.monotonic() - missing > _PATIENCE:
            raise no_node(reasons)
        if deadline.passed:
            raise make(TimeoutError, f"No node had room for the machine within {deadline}.", "", "Allow more time.")
    try:
        return future.result()
    except NodeLostError as error:
        raise no_node({**reasons, "Ray": str(error)}) from None
