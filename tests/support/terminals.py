# SPDX-License-Identifier: Apache-2.0
"""A terminal with a program on it, as a shell starts one: in the foreground, and told of when it stops."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

PATIENCE = 120.0

# Is what a shell is to its job: the leader of the session, and who has the terminal while the job is stopped. Without
# one a job cannot be stopped at all. It changes no modes of the terminal, as bash would.
_SHELL = """
import fcntl, os, signal, sys, termios
control, report = int(sys.argv[1]), int(sys.argv[2])
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
ready, go = os.pipe()
job = os.fork()
if job == 0:
    os.read(ready, 1)
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for number in (control, report, ready, go):
        os.close(number)
    os.execv(sys.argv[3], sys.argv[3:])
os.setpgid(job, job)
os.tcsetpgrp(0, job)
os.write(report, b"%d\\n" % job)
os.write(go, b"g")
while True:
    status = os.waitpid(job, os.WUNTRACED)[1]
    if not os.WIFSTOPPED(status):
        break
    os.tcsetpgrp(0, os.getpgrp())
    os.write(report, b"stopped\\n")
    os.read(control, 1)
    os.tcsetpgrp(0, job)
    os.killpg(job, signal.SIGCONT)
os.write(report, b"%d\\n" % os.waitstatus_to_exitcode(status))
"""


class Terminal:
    """As a context manager: the program is killed at the end, if it has not ended."""

    def __init__(self, words: Sequence[str], rows: int = 33, columns: int = 101, **environment: str) -> None:
        self._master, slave = os.openpty()
        control_reading, self._control = os.pipe()
        self._report, report_writing = os.pipe()
        self.resize(rows, columns)
        self.modes_before = self.modes()
        self._unread = b""
        self._reports = b""
        self.shown = b""
        """All that was read from it."""
        line = [sys.executable, "-c", _SHELL, str(control_reading), str(report_writing), *words]
        try:
            self._shell = subprocess.Popen(
                line,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
                pass_fds=(control_reading, report_writing),
                env={**os.environ, "TERM": "xterm", **environment},
            )
        finally:
            for number in (control_reading, report_writing):
                os.close(number)
        # Kept: without anybody who has it open a terminal is hung up.
        self._slave = slave
        self.job = int(self._next_report())

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._shell.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.job, signal.SIGKILL)
            self._shell.kill()
        self._shell.wait(PATIENCE)
        for number in (self._master, self._slave, self._control, self._report):
            if number >= 0:
                os.close(number)

    def modes(self) -> list[Any]:
        return termios.tcgetattr(self._master)

    @property
    def is_raw(self) -> bool:
        return not self.modes()[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, data: bytes) -> None:
        os.write(self._master, data)

    def until(self, pattern: bytes) -> bytes:
        """What was shown up to the first match of a pattern, and with it. The rest stays."""
        end = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self._unread)) is None:
            if not select.select([self._master], [], [], max(0.0, end - time.monotonic()))[0]:
                raise AssertionError(f"{pattern!r} was not shown: {self._unread[-2000:]!r}")
            data = os.read(self._master, 65536)
            self._unread += data
            self.shown += data
        taken, self._unread = self._unread[: found.end()], self._unread[found.end() :]
        return taken

    def wait_until_raw(self) -> None:
        end = time.monotonic() + PATIENCE
        while not self.is_raw:
            assert time.monotonic() < end, f"the terminal stayed as it was: {self._unread!r}"
            time.sleep(0.01)

    def signal(self, number: int) -> None:
        os.kill(self.job, number)

    def wait_until_stopped(self) -> None:
        assert self._next_report() == "stopped"

    def foreground(self) -> None:
        """Goes on with a job that stopped, as `fg` does."""
        os.write(self._control, b"g")

    def status(self) -> int:
        """Waits for the end of the program; meanwhile all that it shows is read."""
        words = self._next_report()
        self._read_rest()
        return int(words)

    def _next_report(self) -> str:
        end = time.monotonic() + PATIENCE
        while b"\n" not in self._reports:
            ready = select.select([self._report, self._master], [], [], max(0.0, end - time.monotonic()))[0]
            assert ready, f"the program neither stopped nor ended: {self._unread[-2000:]!r}"
            if self._master in ready:
                self._read_rest()
            if self._report in ready:
                data = os.read(self._report, 100)
                assert data, "the shell is gone"
                self._reports += data
        line, _, self._reports = self._reports.partition(b"\n")
        return line.decode()

    def _read_rest(self) -> None:
        while select.select([self._master], [], [], 0)[0]:
            data = os.read(self._master, 65536)
            self._unread += data
            self.shown += data
