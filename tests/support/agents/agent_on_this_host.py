# SPDX-License-Identifier: Apache-2.0
"""The agent of the installed package as a process of this host, in place of one in a guest."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import applevz
from applevz._core.guest.port import Port

PROGRAM = Path(applevz.__file__).with_name("guest-agent")
PATIENCE = 60.0

needs_agent = [
    pytest.mark.skipif(sys.platform != "linux", reason="the agent runs on Linux alone"),
    pytest.mark.skipif(not PROGRAM.is_file(), reason="this package was built without the agent"),
]


class Agents:
    """A port, and the agents that serve it, one after the other."""

    def __init__(self) -> None:
        self.port = Port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.port.guest as number:
            self._process = subprocess.Popen([PROGRAM, "--descriptor", str(number)], pass_fds=[number])

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def agents() -> Iterator[Agents]:
    """None of them runs yet. The machine's end of the port stays open: a guest's agent may go, its port does not."""
    made = Agents()
    try:
        yield made
    finally:
        made.kill()
        made.port.guest.release()
