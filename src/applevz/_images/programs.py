# SPDX-License-Identifier: Apache-2.0
"""Programs that a call runs: what they print is read in a bounded way, and they end with the call."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from .task import Task

__all__ = ["Program", "running"]

_KEPT: Final = 65536
# The seconds that a group gets to tidy up.
_PATIENCE: Final = 20.0


class Program:
    """A program that runs. `output` and `errors` are the last of what it printed."""

    def __init__(self, popen: subprocess.Popen[bytes], is_group: bool) -> None:
        self._popen = popen
        self._is_group = is_group
        self.output = b""
        self.errors = b""

    def stop(self) -> None:
        """Has it end: at once, or, if it is the first of a group, after it removed what it made on its way."""
        if not self._is_group:
            self._popen.kill()
        else:
            self._signal_group(signal.SIGTERM)

    def end(self) -> None:
        """Ends it, and all of its group."""
        self.stop()
        if self._is_group:
            self._wait_for_end(_PATIENCE)
            # A shell's child that had not yet executed its program may have lost the first signal.
            self._signal_group(signal.SIGKILL)

    def _wait_for_end(self, seconds: float) -> None:
        """Waits for the first of the group, which keeps its number."""
        end = time.monotonic() + seconds
        looks = os.WEXITED | os.WNOWAIT | os.WNOHANG
        while self._popen.returncode is None and os.waitid(os.P_PID, self._popen.pid, looks) is None:
            if time.monotonic() > end:
                break
            time.sleep(0.01)

    def _signal_group(self, number: int) -> None:
        # Once it was waited for, its number may be another one's.
        if self._popen.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, number)

    @property
    def status(self) -> int:
        """Its exit status; negative for a signal."""
        return self._popen.wait()

    @property
    def reason(self) -> str:
        """The last line of its errors, or what its end says."""
        words = self.errors.decode(errors="replace").strip().splitlines()
        return words[-1][:400] if words else f"It ended with the status {self.status}."

    def steps(self, task: Task) -> Iterator[None]:
        """Reads what it prints until it ends; goes on each time that there is something, and now and then.

        A call that is stopped, or whose time is over, raises its error.
        """
        outputs = {}
        for name, pipe in (("output", self._popen.stdout), ("errors", self._popen.stderr)):
            if pipe is not None:
                outputs[pipe.fileno()] = name
        poll = select.poll()
        for number in outputs:
            poll.register(number, select.POLLIN)
        # Whoever stops the call ends the program, and with that the wait.
        with task.woken_by(self.stop):
            while outputs:
                for number, _ in poll.poll(task.remaining(0.5) * 1000):
                    data = os.read(number, _KEPT)
                    if data:
                        setattr(self, outputs[number], (getattr(self, outputs[number]) + data)[-_KEPT:])
                    else:
                        poll.unregister(number)
                        del outputs[number]
                task.check()
                yield
            self._popen.wait()
            task.check()

    def finish(self, task: Task) -> int:
        """Waits for its end. Returns its exit status."""
        for _ in self.steps(task):
            pass
        return self.status


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    pass_fds: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    is_group: bool = False,
    stdin: int = subprocess.DEVNULL,
) -> Iterator[Program]:
    """Runs a program, which has ended when this ends. With `is_group` what it starts ends with it, and all of them get
    some seconds to tidy up."""
    # Linux ends it, too, if this process is killed: more exactly, with the thread that is here, and waits for it.
    setpriv = shutil.which("setpriv")
    before = [setpriv, "--pdeathsig", "TERM" if is_group else "KILL"] if setpriv else []
    with subprocess.Popen(
        [*before, *command],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=pass_fds,
        env={**os.environ, "LC_ALL": "C", **(environment or {})},
        start_new_session=is_group,
    ) as popen:
        program = Program(popen, is_group)
        try:
            yield program
        finally:
            program.end()
