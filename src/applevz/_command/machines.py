# SPDX-License-Identifier: Apache-2.0
"""The machine of a command: made, started and ready, and ended with the block."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

from .. import (
    Error,
    Guest,
    InvalidArgumentError,
    VirtualMachine,
    VirtualMachineConfiguration,
    capabilities,
    launch,
)
from .._core.deadline import Deadline
from .._core.operation import run as run_steps
from .._images.task import Progress
from ..errors import make, make_posix
from .failures import Stopped
from .machine_options import MachineOptions, Share
from .progress import progress_bars
from .restoring import configuration_of_state, lasting_seed, prepare_saving, write_beside
from .signals import SignalHandlers

__all__ = ["copy_into", "copy_out_of", "ended_by_signals", "prepare_guest", "running", "save"]

_OUTPUT_SHOWN: Final = 2000
# The seconds for which a mount is tried, and from one try to the next.
_MOUNTING: Final = 30.0
_AGAIN: Final = 0.2


@contextmanager
def ended_by_signals(numbers: Sequence[int]) -> Iterator[None]:
    """Has the signals end the block, as Ctrl-C does: what it has open is closed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    handlers = SignalHandlers()
    handlers.set(dict.fromkeys(numbers, stop))
    try:
        yield
    finally:
        handlers.put_back()


@contextmanager
def running(options: MachineOptions, waits: bool, state: str | None, overwrite: bool) -> Iterator[VirtualMachine]:
    """A machine that runs; with `waits` its agent answers. `state` is the file that it will be saved to, if it is."""
    # Asked first: without it all that follows fails, and not all of that says why.
    if (missing := capabilities.virtualization.error) is not None:
        raise missing
    if state is not None:
        _look_at_state(state, overwrite)
    with _made(options, waits, state, overwrite) as machine:
        yield machine


def _look_at_state(state: str, overwrite: bool) -> None:
    """What is known to fail at the end is refused before anything is done."""
    if (missing := capabilities.save_restore.error) is not None:
        raise missing
    if not overwrite and os.path.lexists(state):
        error = FileExistsError(17, os.strerror(17))
        raise make_posix(error, f"The state {state!r} cannot be saved.", "Give --overwrite.", os.fsencode(state))


@contextmanager
def _made(options: MachineOptions, waits: bool, state: str | None, overwrite: bool) -> Iterator[VirtualMachine]:
    deadline = Deadline(options.timeout)

    def settle(configuration: VirtualMachineConfiguration) -> None:
        if state is not None:
            lasting_seed(configuration, state, overwrite)
            prepare_saving(configuration)
        options.made = configuration

    if options.image is not None:
        with _launched(options, waits, settle) as machine:
            yield machine
        return
    if options.from_state is not None:
        configuration = configuration_of_state(
            options.from_state, options.kernel, options.initrd, options.command_line
        )
    else:
        configuration = options.configuration()
        if waits and options.kernel and options.initrd and (missing := capabilities.guest_agent.error) is not None:
            raise missing
    settle(configuration)
    with VirtualMachine(configuration) as machine:
        if options.from_state is None:
            run_steps(machine._start(deadline))
            if waits:
                with progress_bars() as show:
                    if show is not None:
                        show(Progress("boot", 0, None))
                    machine.guest._go(machine.guest._ready(deadline))
        else:
            run_steps(machine._restore_state(options.from_state, True, deadline))
            run_steps(machine._start(deadline))
            if waits:
                machine.guest._go(machine.guest._went_on(deadline))
            else:
                threading.Thread(target=_tell_restored, args=(machine, deadline), name="restored", daemon=True).start()
        yield machine


def _tell_restored(machine: VirtualMachine, deadline: Deadline) -> None:
    """Has the guest set its clock, and make other random numbers than the next one from the same state."""
    # One without an agent has its generation identifier for that, or nothing.
    with suppress(Error):
        machine.guest._go(machine.guest._went_on(deadline))


@contextmanager
def _launched(
    options: MachineOptions, waits: bool, settle: Callable[[VirtualMachineConfiguration], None]
) -> Iterator[VirtualMachine]:
    def configure(configuration: VirtualMachineConfiguration) -> None:
        options.more_devices(configuration)
        if options.no_agent:
            configuration.guest_agent = False
        settle(configuration)

    def prepare(guest: Guest) -> None:
        for command in options.prepare:
            _run_preparation(guest, command)

    kernel: dict[str, Any] = {}
    if options.kernel is not None:
        kernel = {
            "kernel": options.kernel,
            "initial_ramdisk": options.initrd,
            "command_line": options.command_line,
        }
    with progress_bars() as show:
        machine = launch(
            options.image or "",
            disk=options.lasting_disk,
            cpu_count=options.cpu_count,
            memory_size=options.memory_size,
            internet=options.internet,
            host_access=options.host_access,
            seed=options.seed,
            configure=configure,
            cached=options.cached,
            prepare=prepare if options.prepare else None,
            prepare_key="\0".join(options.prepare) if options.prepare else None,
            wait=waits or options.cached or bool(options.prepare),
            timeout=options.timeout,
            progress=show,
            cache=options.images_cache,
            **kernel,
        )
    with machine:
        yield machine


def _run_preparation(guest: Guest, command: str) -> None:
    done = guest.run(["/bin/sh", "-c", command], stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode != 0:
        shown = done.stdout[-_OUTPUT_SHOWN:].strip()
        raise make(
            InvalidArgumentError,
            f"The preparation {command!r} ended with the status {done.returncode}.",
            f"It printed: {shown}" if shown else "It printed nothing.",
        )


def prepare_guest(machine: VirtualMachine, options: MachineOptions, is_ready: bool) -> None:
    """Makes the forwards, and mounts what is shared at a place. They last as long as the machine."""
    for forward in options.forwards:
        made = machine.forward(**forward.arguments)
        if forward.is_chosen:
            address = forward.arguments.get("host_address", "127.0.0.1")
            print(f"applevz: {address}:{made.port} leads to the guest's {forward.guest}", file=sys.stderr)
    for share in options.shares:
        if share.place is not None and is_ready:
            _mount(machine.guest, share, share.place)


def _mount(guest: Guest, share: Share, place: str) -> None:
    """The agent of an initial RAM disk answers before the guest has its drivers: it is tried again for a while."""
    guest.run(["mkdir", "-p", place])
    deadline = Deadline(_MOUNTING)
    while True:
        done = guest.run(["mount", "-t", "virtiofs", share.tag, place], stderr=subprocess.STDOUT, text=True)
        if done.returncode == 0:
            return
        if deadline.passed:
            raise make(
                InvalidArgumentError,
                f"The directory {share.directory!r} is not mounted at {place!r} in the guest.",
                done.stdout.strip() or f"Its mount ended with the status {done.returncode}.",
                "The guest's kernel needs virtiofs. DIR:TAG shares the directory without mounting it.",
            )
        time.sleep(_AGAIN)


def copy_into(machine: VirtualMachine, source: str, target: str) -> None:
    """As cp does it: into the folder `target`, if that is one."""
    if target.endswith("/") or _is_folder(machine.guest, target):
        target = f"{target.rstrip('/')}/{_last_name(source)}"
    machine.guest.copy_in(source, target)


def copy_out_of(machine: VirtualMachine, source: str, target: str) -> None:
    """As cp does it: into the folder `target`, if that is one."""
    if target.endswith("/") or os.path.isdir(target):
        target = os.path.join(target, _last_name(source))
    machine.guest.copy_out(source, target)


def _last_name(path: str) -> str:
    name = os.path.basename(os.path.normpath(path))
    if name in ("", ".", ".."):
        name = os.path.basename(os.path.realpath(path))
    if not name:
        raise make(InvalidArgumentError, f"{path!r} has no name that it could have in a folder.", "", "Name the copy.")
    return name


def _is_folder(guest: Guest, path: str) -> bool:
    # A guest without such a program has its files replaced under the very name that was given.
    with suppress(FileNotFoundError):
        return guest.run(["test", "-d", path]).returncode == 0
    return False


def save(machine: VirtualMachine, options: MachineOptions, state: str, overwrite: bool) -> None:
    """Saves the machine, which is stopped then."""
    machine.suspend(to=state, overwrite=overwrite)
    if options.made is not None:
        write_beside(options.made, state)
    print(f"applevz: saved to {state}", file=sys.stderr)
