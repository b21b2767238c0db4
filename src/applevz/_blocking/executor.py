# SPDX-License-Identifier: Apache-2.0
"""Calls in the manner of `concurrent.futures`, each in a machine of its own.

The threads are those of a `ThreadPoolExecutor`: they come when there is work, go with the executor, and are waited for
at the interpreter's exit. A thread takes a call, then waits for the call's machine. Until the machine is there the call
has not begun, and can be cancelled: its thread leaves the row of the pool then, and takes the next call.

This module is imported when somebody asks for what is in it, since `concurrent.futures` imports `logging`.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from .._core.deadline import Deadline
from .._core.pool import machine_count
from .._core.states import ShutdownPolicy
from .._values.arguments import PathLike, wrong_type
from ..errors import InvalidStateError, make
from .machine import VirtualMachine
from .pool import Pool

if TYPE_CHECKING:
    from typing import Concatenate, ParamSpec

    from .guest import Arguments, Environment

    Parameters = ParamSpec("Parameters")

__all__ = ["CommandExecutor", "MachineExecutor", "MachineFuture"]

Result = TypeVar("Result")
CommandFuture = TypeVar("CommandFuture")

# As many threads as a ThreadPoolExecutor has if nobody says how many.
_MORE_THAN_PROCESSORS: Final = 4
_MOST_BY_DEFAULT: Final = 32

# A call: its future, the function, and the arguments.
_Call = tuple["MachineFuture[Any]", Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class MachineFuture(Future[Result]):
    """What a call of a `MachineExecutor` comes to: a `concurrent.futures.Future` whose machine can be ended.

    It is running from the moment when the call has its machine, and done when that machine has ended. As any future it
    can be cancelled until it is running, also while the call waits for its machine.
    """

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self._pool = pool
        self._machine: VirtualMachine | None = None

    def _is_wanted(self) -> bool:
        return not self.cancelled()

    def cancel(self) -> bool:
        """Cancels the call, if it has not begun. Returns whether it is cancelled. A call that is running goes on:
        `kill` ends that."""
        is_cancelled = super().cancel()
        if is_cancelled:
            self._pool._look_again()
        return is_cancelled

    def kill(self) -> bool:
        """Cancels the call, or ends its machine if it is running. Returns False if it was over.

        A call that is running then gets the errors of a machine that stopped, as `GuestConnectionLostError`. What it
        makes of them is what the future comes to. Waits until the machine has stopped. Raises `TimeoutError` if that
        takes more than 60 seconds.
        """
        if self.cancel():
            return True
        machine = self._machine
        if machine is None:
            return False
        machine.shutdown(ShutdownPolicy.POWEROFF)
        return True


class CommandExecutor(Executor, Generic[CommandFuture]):
    """What each executor of machines has beside `submit`."""

    if TYPE_CHECKING:

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            """Of each executor: calls `fn(machine, *args, **kwargs)`."""

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
    ) -> CommandFuture:
        """Has a program run in the guest of a fresh machine, as `Guest.run` does it. Returns its future.

        The arguments are those of `Guest.run`, and so are the errors, which are the future's. `timeout` is for the
        program and for the guest's agent, in seconds from the moment when the machine runs: waiting for a machine takes
        nothing of it. When it is over the program is killed and the machine ended, and the future comes to
        `GuestProcessTimeoutError`, with what came so far.
        """
        future: CommandFuture = self.submit(
            _run,
            args,
            stdin=stdin,
            input=bytes(input) if isinstance(input, memoryview) else input,  # which cannot be pickled
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
        return future


class MachineExecutor(CommandExecutor["MachineFuture[subprocess.CompletedProcess[Any]]"]):
    """Calls functions and runs commands, each in a fresh machine of a pool: a `concurrent.futures.Executor`.

        with Pool(configuration, "ready.state", maximum=4) as pool, MachineExecutor(pool) as executor:
            future = executor.run(["uname", "-a"], text=True, timeout=60)
            print(future.result().stdout)

    `submit`, `map`, `shutdown` and the `with` block are those of the standard. A function is called as
    `function(machine, *arguments)`, in a thread of this process: nothing is pickled. Its machine runs, is one that
    nobody had before, and is ended when the function returns or raises.

    `max_workers` calls are under way at once, at most. Without it that are as many as the pool may have machines, and
    of a pool that may have any number as many as a `ThreadPoolExecutor` has threads. `pool` is a `Pool`, which may be
    used beside the executor. It stays open at the executor's end. A pool that is closed ends the calls that run, with
    their machines. A call that has no machine by then gets an `InvalidStateError`.

    At the interpreter's exit all calls that were submitted are waited for, as those of every executor are.
    Any thread may use it. A process that was forked cannot: `submit` raises `ForkedError` there.
    """

    def __init__(self, pool: Pool, max_workers: int | None = None) -> None:
        if not isinstance(pool, Pool):
            raise wrong_type("pool", pool, "a Pool of applevz, whose calls block")
        self._pool = pool
        if max_workers is None:
            max_workers = pool.maximum or min(_MOST_BY_DEFAULT, (os.cpu_count() or 1) + _MORE_THAN_PROCESSORS)
        self._max_workers = machine_count("max_workers", max_workers, 1)
        self._threads = ThreadPoolExecutor(self._max_workers, "MachineExecutor")
        # Those that are not done.
        self._futures: set[MachineFuture[Any]] = set()
        self._lock = threading.Lock()
        self._is_shut_down = False

    @property
    def max_workers(self) -> int:
        """How many calls are under way at once, at most."""
        return self._max_workers

    def submit(  # type: ignore[override]  # the function has the machine as well
        self,
        fn: Callable[Concatenate[VirtualMachine, Parameters], Result],
        /,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> MachineFuture[Result]:
        """Has `fn(machine, *args, **kwargs)` called in a fresh machine. Returns its future at once.

        The future comes to what the function returns or raises, or to the errors of `Pool.machine`. Raises
        `InvalidStateError`, which is a `RuntimeError`, if the executor was shut down or its pool closed.
        """
        if not callable(fn):
            raise wrong_type("fn", fn, "a function of a machine")
        self._pool._check_usable()
        future: MachineFuture[Result] = MachineFuture(self._pool)
        with self._lock:
            if self._is_shut_down:
                raise make(InvalidStateError, "The executor was shut down.")
            self._threads.submit(self._call, [(future, fn, args, kwargs)])
            self._futures.add(future)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls. With `wait` it waits until all that were submitted are done, and their machines gone.

        With `cancel_futures` those are cancelled that have not begun, also those that wait for a machine. Those that
        are running go on: `MachineFuture.kill` ends one, and `Pool.close` all. Calling it again is no error. In a
        process that was forked it does nothing.
        """
        if not self._pool._is_mine:
            return
        with self._lock:
            self._is_shut_down = True
            futures = list(self._futures)
        if cancel_futures:
            for future in futures:
                future.cancel()
        self._threads.shutdown(wait)

    # ---- In a thread ----

    def _call(self, given: list[_Call]) -> None:
        # An error has the frames of all who called, and the future has the error. If one of the frames had the future,
        # only the garbage collector would find them: so the list is empty from here on, and `future` goes at the end.
        future, function, arguments, keywords = given.pop()
        is_begun: bool | None = None  # None until that is decided, which is done once
        result: Any = None
        error: BaseException | None = None
        try:
            if future._is_wanted():
                with self._pool._machine(Deadline(None), future._is_wanted) as machine:
                    future._machine = machine
                    is_begun = future.set_running_or_notify_cancel()
                    if is_begun:
                        result = function(machine, *arguments, **keywords)
        except BaseException as raised:  # noqa: BLE001  # it is the caller's
            error = raised
        future._machine = None
        if is_begun is None:
            is_begun = future.set_running_or_notify_cancel()
        with self._lock:
            self._futures.discard(future)
        if is_begun and error is not None:
            future.set_exception(error)
        elif is_begun:
            future.set_result(result)
        del future, error


def _run(machine: VirtualMachine, /, args: Arguments, **keywords: Any) -> subprocess.CompletedProcess[Any]:
    done: subprocess.CompletedProcess[Any] = machine.guest.run(args, **keywords)
    return done
