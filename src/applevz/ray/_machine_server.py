# SPDX-License-Identifier: Apache-2.0
"""What a node does for one machine that is used from elsewhere. Nothing of Ray is here.

A process in the guest is known by a number. Whoever wants its output asks for what there is: the process waits when
nobody does, as one does here.
"""

from __future__ import annotations

import os
import tempfile
import threading
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from .._blocking.guest import GuestProcess
from .._blocking.machine import VirtualMachine
from .._core.deadline import Deadline
from .._core.fitting import fitting
from .._core.states import ShutdownPolicy, VirtualMachineState
from ..errors import Error, InvalidStateError, make
from ._contents import Content, ContentStore, content_of, pieces_of
from ._orders import Order, present_on_this_host
from ._sources import Source

__all__ = ["MachineServer", "Saved"]

# What can be asked of a process from elsewhere. Each is the method of that name, of the process or of what it has.
_OF_A_PROCESS: Final = frozenset(
    {
        *("wait", "poll", "communicate", "send_signal", "resize", "close"),
        *("stdin.write", "stdin.close"),
        *(f"{stream}.{what}" for stream in ("stdout", "stderr") for what in ("read", "read1", "readline")),
    }
)
_OF_THE_GUEST: Final = frozenset({"run", "read_bytes", "write_bytes", "info", "wait"})


class Saved:
    """A state that was saved on the node: what is in it, and where its data is."""

    def __init__(self, content: Content, positions: Sequence[tuple[int, int]]) -> None:
        self.content = content
        self.positions = positions


class MachineServer:
    """One machine. Any thread may call, and most calls wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends = ExitStack()
        self._machine: VirtualMachine | None = None
        self._processes: dict[int, GuestProcess] = {}
        self._last = 0
        self._folder = ""
        self._saved: Path | None = None
        self._is_closed = False

    def begin(self, order: Order, source: Source, timeout: float | None = None) -> None:
        """Gets what the machine takes, and has it run: from its state, or started anew.

        Raises the errors of `present_on_this_host`, and those of a restore or a start.
        """
        deadline = Deadline(timeout)
        with ExitStack() as stack:
            present = present_on_this_host(order, source, timeout)
            stack.callback(present.release)
            made = present.made()
            said = order.needed.state
            if said is not None:
                made = fitting(made, said) or made
            # Where the files are that came, there is room for one that goes.
            work = ContentStore(order.cache).folder.parent / "work"
            self._folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=".applevz-saved-", dir=work))
            machine = VirtualMachine(made)
            stack.callback(machine.shutdown, ShutdownPolicy.POWEROFF)
            if present.state is not None:
                machine.restore_state(present.state, deadline.remaining(1e9), private=True)
            machine.start(deadline.remaining(1e9))
            if present.state is not None and machine._guest is not None:
                machine._guest._will_go_on()
            with self._lock:
                if self._is_closed:
                    raise make(InvalidStateError, "The machine was stopped.")
                self._machine = machine
                self._ends = stack.pop_all()

    @property
    def _running(self) -> VirtualMachine:
        machine = self._machine
        if machine is None:
            raise make(InvalidStateError, "The machine was stopped, or has not begun.")
        return machine

    def state(self) -> VirtualMachineState:
        """The state of the machine."""
        return self._running.state

    def guest(self, name: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Calls a method of `Guest`."""
        if name not in _OF_THE_GUEST:
            raise make(InvalidStateError, f"Guest.{name} cannot be called from elsewhere.")
        answer = getattr(self._running.guest, name)(*arguments, **keywords)
        return None if name == "wait" else answer

    # ---- Processes ----

    def popen(self, args: Any, keywords: dict[str, Any]) -> int:
        """Starts a process in the guest, and returns its number."""
        process = self._running.guest.popen(args, **keywords)
        with self._lock:
            self._last += 1
            self._processes[self._last] = process
            return self._last

    def process(self, number: int, name: str, arguments: tuple[Any, ...]) -> tuple[Any, int | None]:
        """Calls a method of a process, and returns what that does, and the process's `returncode`."""
        process = self._processes.get(number)
        if process is None or name not in _OF_A_PROCESS:
            raise make(InvalidStateError, f"There is no {name} of a process {number}.")
        target: Any = process
        *path, method = name.split(".")
        for part in path:
            target = getattr(target, part)
            if target is None:
                raise make(InvalidStateError, f"The process has no {part}.", "", f"Start it with {part}=PIPE.")
        if name == "close":
            self._processes.pop(number, None)
        return getattr(target, method)(*arguments), process.returncode

    # ---- Saving ----

    def save(self, timeout: float | None = None) -> Saved:
        """Saves the machine, which goes on then. What was saved is had by `piece`, until it is saved again."""
        deadline = Deadline(timeout)
        machine = self._running
        path = Path(self._folder) / f"{uuid.uuid4().hex}.state"
        self.forget_saved()
        machine.pause(deadline.remaining(1e9))
        try:
            machine.save_state(path, deadline.remaining(1e9))
        finally:
            machine.resume(None)
        self._saved = path
        return Saved(content_of(path), [(position, len(data)) for position, data in pieces_of(path)])

    def piece(self, position: int, length: int) -> bytes:
        """A part of what was saved."""
        if self._saved is None:
            raise make(InvalidStateError, "Nothing was saved.")
        file = os.open(self._saved, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(file, length, position)
        finally:
            os.close(file)

    def forget_saved(self) -> None:
        """What was saved is not needed any more."""
        if self._saved is not None:
            self._saved.unlink(missing_ok=True)
            self._saved = None

    # ---- Its end ----

    def stop(self) -> None:
        """Ends the machine, and lets go of its files. Calling it again does nothing."""
        with self._lock:
            self._is_closed = True
            self._machine = None
            self._processes.clear()
            ends, self._ends = self._ends, ExitStack()
        try:
            ends.close()
        except Error as error:
            raise error from None
