# SPDX-License-Identifier: Apache-2.0
"""The machines that items look at: the user's guest, or firmware that finds nothing to boot."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from .. import (
    Error,
    FileHandleSerialPortAttachment,
    LinuxBootLoader,
    VirtioConsoleDeviceSerialPortConfiguration,
    VirtualMachine,
    VirtualMachineConfiguration,
    capabilities,
)
from .._host.idle_kernels import idle_kernel
from .item import LeftOut, Options, Seen
from .told import attempt, error_value, keep_notices, notices_value, take_notices

__all__ = [
    "PATIENCE",
    "Terminal",
    "configuration",
    "kernel_that_does_nothing",
    "needs_virtualization",
    "see_notices",
    "settle",
    "verb",
    "watched",
]

# How long a verb may take.
PATIENCE: Final = 30.0
# How long after a verb's end what comes late is waited for.
_LATE: Final = 0.3


def needs_virtualization() -> None:
    """Raises LeftOut where no machine can be run."""
    if not capabilities.virtualization:
        raise LeftOut(f"No machine can be run here: {capabilities.virtualization.reason}")


def kernel_that_does_nothing(path: Path) -> Path:
    """Makes the file of a kernel for this host's processor that is an endless loop."""
    path.write_bytes(idle_kernel())
    return path


def configuration(options: Options, **fields: Any) -> VirtualMachineConfiguration:
    """With the user's guest, or with a kernel that does nothing."""
    if options.kernel is not None:
        boot_loader = LinuxBootLoader(options.kernel, options.initrd or None, options.command_line)
    else:
        boot_loader = LinuxBootLoader(kernel_that_does_nothing(options.path("loop")))
    return VirtualMachineConfiguration(**{"boot_loader": boot_loader, "memory_size": options.memory, **fields})


@contextmanager
def watched(seen: Seen, options: Options, made_of: VirtualMachineConfiguration) -> Iterator[VirtualMachine]:
    """A machine whose notices are kept; stopped at the end, and given up where that takes long."""
    needs_virtualization()
    loader = made_of.boot_loader
    guest = "a guest" if options.kernel is not None else "a kernel that does nothing"
    seen("what runs", guest if isinstance(loader, LinuxBootLoader) else "EFI firmware")
    with VirtualMachine(made_of) as machine:
        keep_notices(machine)
        yield machine


def settle() -> None:
    """Until what comes late has come."""
    time.sleep(_LATE)


def see_notices(seen: Seen, key: str, machine: VirtualMachine, known: BaseException | None = None) -> None:
    """Sees what was told since the last time, with the errors in full, but for one that is known already."""
    notices = take_notices(machine)
    seen(key, notices_value(notices))
    for notice in notices:
        if notice.error is not None and (not isinstance(known, Error) or notice.error.error != known.error):
            seen(f"{key}: error of “{notice.what}”", error_value(notice.error))


def verb(seen: Seen, machine: VirtualMachine, name: str, action: Callable[[], object]) -> Exception | None:
    """Calls a verb, and sees how the call ended, the state at that moment, and what was told."""
    error = attempt(seen, name, action)
    seen(f"{name}: state then", machine.state.name)
    settle()
    see_notices(seen, f"{name}: told", machine, error)
    return error


class Terminal:
    """A guest's console as two pipes, whose guest's ends stand in `port`. Nothing is read but when it is asked for."""

    def __init__(self) -> None:
        self._from_guest, self._guest_writes = os.pipe()
        self._guest_reads, self._to_guest = os.pipe()
        os.set_blocking(self._from_guest, False)
        attachment = FileHandleSerialPortAttachment(self._guest_reads, self._guest_writes)
        self.port = VirtioConsoleDeviceSerialPortConfiguration(attachment)
        self._unread = b""

    def close_guests_ends(self) -> None:
        """Ours of them: the machine has its own."""
        os.close(self._guest_writes)
        os.close(self._guest_reads)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._from_guest)
        os.close(self._to_guest)

    def take(self, seconds: float = 0.0) -> bytes | None:
        """What came, within so many seconds for the first of it; None where no one can write any more."""
        if not select.select([self._from_guest], [], [], seconds)[0]:
            return b""
        return os.read(self._from_guest, 1 << 20) or None

    def take_all(self, seconds: float = 0.0) -> bytes:
        """All that comes without a pause of so many seconds."""
        taken = b""
        while data := self.take(seconds):
            taken += data
        return taken

    def type(self, text: str) -> None:
        os.write(self._to_guest, text.encode())

    def log_in(self, seen: Seen, machine: VirtualMachine, options: Options) -> None:
        """Answers what the guest asks, until it is ready. Raises LeftOut where it does not come so far."""
        answers = [(text.encode(), answer) for text, answer in options.answers]
        end = time.monotonic() + options.timeout
        shown = b""
        while options.ready.encode() not in shown:
            if time.monotonic() > end or machine.state.name in ("STOPPED", "ERROR"):
                seen("last words of the guest", shown[-2000:].decode(errors="replace"))
                now = machine.state.name
                raise LeftOut(
                    f"The guest did not show {options.ready!r}; its machine is {now}. See --ready and --answer."
                )
            shown += self.take(0.05) or b""
            # What it does not ask is not answered.
            if answers and (place := shown.find(answers[0][0])) >= 0:
                text, answer = answers.pop(0)
                shown = shown[place + len(text) :]
                self.type(f"{answer}\n")
