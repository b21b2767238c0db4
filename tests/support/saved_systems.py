# SPDX-License-Identifier: Apache-2.0
"""A distribution's system that was booted once and saved, and machines that go on from there."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import applevz
from places import SUPPORT

# Emulated, and beside other tests.
IMAGE_PATIENCE = 600.0


def copy_file(source: Path, target: Path) -> None:
    """Copies a disk with its holes and its time."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", "--preserve=timestamps", source, target], check=True)


class SavedSystem:
    """The saved state of a machine that was suspended, and its disks.

    A state is restored with disks of the same paths, as they were then. So each machine finds a copy there. It has it
    open once it is restored, and the next one finds another. The disks themselves are moved away, and kept.
    """

    def __init__(
        self, configuration: applevz.VirtualMachineConfiguration, state: Path, disks: Sequence[Path]
    ) -> None:
        self.configuration = configuration
        self.state = state
        self._disks = disks
        for disk in disks:
            disk.replace(_kept(disk))

    def provide_disks(self) -> None:
        """Has the next machine find copies of its own."""
        for disk in self._disks:
            disk.unlink(missing_ok=True)
            copy_file(_kept(disk), disk)

    @contextmanager
    def machine(self) -> Iterator[applevz.VirtualMachine]:
        """A machine that goes on from the state, which it maps and does not change."""
        self.provide_disks()
        with applevz.VirtualMachine(self.configuration) as machine:
            machine.restore_state(self.state, timeout=IMAGE_PATIENCE, private=True)
            machine.start(timeout=IMAGE_PATIENCE)
            yield machine

    def in_another_program(self, program: str) -> str:
        """What a program of its own prints, to whose `machine` the state was restored."""
        self.provide_disks()
        given = pickle.dumps((self.configuration, os.fspath(self.state), IMAGE_PATIENCE))
        done = subprocess.run(
            [sys.executable, "-c", RESTORES + program],
            input=given,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": os.fspath(SUPPORT)},
            timeout=2 * IMAGE_PATIENCE,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()


# What is behind it is of the block of `with`.
RESTORES = """
import pickle, sys
import applevz
configuration, state, patience = pickle.load(sys.stdin.buffer)
with applevz.VirtualMachine(configuration) as machine:
    machine.restore_state(state, timeout=patience)
    machine.start(timeout=patience)
"""


def _kept(disk: Path) -> Path:
    return disk.with_name(f"{disk.name}.saved")
