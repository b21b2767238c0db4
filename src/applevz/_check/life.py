# SPDX-License-Identifier: Apache-2.0
"""Items about a machine's life: in which order the framework tells of it, saving, and what its guest does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .. import (
    EFIBootLoader,
    EFIVariableStore,
    GenericMachineIdentifier,
    GenericPlatformConfiguration,
    LinuxBootLoader,
    VirtualMachine,
    VirtualMachineConfiguration,
    VirtualMachineState,
    capabilities,
)
from .item import Item, LeftOut, Options, Seen
from .machines import (
    PATIENCE,
    Terminal,
    configuration,
    kernel_that_does_nothing,
    needs_virtualization,
    see_notices,
    settle,
    verb,
    watched,
)
from .told import attempt, error_value, keep_notices

__all__ = ["ITEMS"]

STOPPED: Final = VirtualMachineState.STOPPED

_ORDER_IS_OPEN: Final = (
    "Completion handlers and delegates are called on the machine's queue; `state` can be observed. In which order, and "
    "what `state` says meanwhile, is not documented."
)


def _notices(seen: Seen, options: Options) -> None:
    needs_virtualization()
    with watched(seen, options, configuration(options)) as machine:
        verb(seen, machine, "pause while stopped", lambda: machine.pause(PATIENCE))
        if verb(seen, machine, "start", lambda: machine.start(PATIENCE)) is not None:
            return
        verb(seen, machine, "pause", lambda: machine.pause(PATIENCE))
        verb(seen, machine, "resume", lambda: machine.resume(PATIENCE))
        verb(seen, machine, "stop", lambda: machine.stop(PATIENCE))
        verb(seen, machine, "start again", lambda: machine.start(PATIENCE))
        verb(seen, machine, "stop again", lambda: machine.stop(PATIENCE))


def _firmware(seen: Seen, options: Options) -> None:
    needs_virtualization()
    if not capabilities.efi:
        raise LeftOut(f"There is no EFI firmware: {capabilities.efi.reason}")
    boot_loader = EFIBootLoader(EFIVariableStore(options.path("variables")))
    with watched(seen, options, configuration(options, boot_loader=boot_loader)) as machine:
        verb(seen, machine, "start", lambda: machine.start(PATIENCE))
        # As long as firmware takes to find that there is nothing to boot.
        attempt(seen, "it stops by itself within 5 s", lambda: machine.wait(STOPPED, 5.0))
        see_notices(seen, "meanwhile: told", machine)
        _see_stop_error(seen, machine)
        verb(seen, machine, "stop", lambda: machine.stop(PATIENCE))


def _see_stop_error(seen: Seen, machine: VirtualMachine, words: str = "") -> None:
    error = machine.stop_error
    seen(f"{words}stop_error", None if error is None else error_value(error))


def _failing_start(seen: Seen, options: Options) -> None:
    needs_virtualization()
    kernel = options.path("no kernel")
    kernel.write_bytes(bytes(1 << 16))
    made_of = configuration(options, boot_loader=LinuxBootLoader(kernel))
    if attempt(seen, "a file of zeros: validate", made_of.validate) is None:
        _start(seen, options, "a file of zeros", made_of)
    kernel, ramdisk = kernel_that_does_nothing(options.path("kernel")), options.path("ramdisk")
    for words, file in (("a RAM disk", ramdisk), ("a kernel", kernel)):
        ramdisk.write_bytes(bytes(4096))
        made_of = configuration(options, boot_loader=LinuxBootLoader(kernel, ramdisk))
        _start(seen, options, f"{words} that is gone since the machine was made", made_of, file.unlink)


def _start(
    seen: Seen,
    options: Options,
    words: str,
    made_of: VirtualMachineConfiguration,
    before: Callable[[], object] = lambda: None,
) -> None:
    with watched(seen, options, made_of) as machine:
        before()
        verb(seen, machine, f"{words}: start", lambda: machine.start(PATIENCE))
        seen(f"{words}: state later", machine.state.name)
        _see_stop_error(seen, machine, f"{words}: ")


def _saving(seen: Seen, options: Options) -> None:
    needs_virtualization()
    if not capabilities.save_restore:
        raise LeftOut(f"No machine can be saved here: {capabilities.save_restore.reason}")
    platform = GenericPlatformConfiguration(GenericMachineIdentifier.random())
    made_of = configuration(options, platform=platform)
    state, second, damaged = (options.path(name) for name in ("state", "second", "damaged"))
    attempt(seen, "validate_save_restore_support", made_of.validate_save_restore_support)
    with watched(seen, options, made_of) as machine:
        if verb(seen, machine, "start", lambda: machine.start(PATIENCE)) is not None:
            return
        verb(seen, machine, "save while running", lambda: machine.save_state(options.path("early"), PATIENCE))
        verb(seen, machine, "pause", lambda: machine.pause(PATIENCE))
        verb(seen, machine, "save", lambda: machine.save_state(state, PATIENCE))
        seen("mode of the file", oct(state.stat().st_mode & 0o777) if state.exists() else None)
        verb(seen, machine, "save to a file that exists", lambda: machine.save_state(state, PATIENCE))
        verb(seen, machine, "save in place of it", lambda: machine.save_state(state, PATIENCE, overwrite=True))
        missing = options.path("missing") / "state"
        verb(seen, machine, "save in a folder that is missing", lambda: machine.save_state(missing, PATIENCE))
        verb(seen, machine, "save once more", lambda: machine.save_state(second, PATIENCE))
        verb(seen, machine, "stop", lambda: machine.stop(PATIENCE))
        seen("files that are left", sorted(path.name for path in options.path(".").iterdir()))
        damaged.write_bytes(bytes(1 << 16))
        verb(seen, machine, "restore of a missing file", lambda: machine.restore_state(options.path("no"), PATIENCE))
        verb(seen, machine, "restore of another file", lambda: machine.restore_state(damaged, PATIENCE))
    with VirtualMachine(made_of) as machine:
        keep_notices(machine)
        verb(seen, machine, "restore", lambda: machine.restore_state(state, PATIENCE))
        verb(seen, machine, "resume", lambda: machine.resume(PATIENCE))
    other = configuration(options)
    with VirtualMachine(other) as machine:
        keep_notices(machine)
        verb(seen, machine, "restore in another machine", lambda: machine.restore_state(state, PATIENCE))


_LINES: Final = 200
_LAST_WORDS: Final = (
    f"i=0; while [ $i -lt {_LINES} ]; do i=$((i+1)); echo applevz line $i; done; poweroff -f || poweroff\n"
)


def _guest_stop(seen: Seen, options: Options) -> None:
    needs_virtualization()
    with Terminal() as terminal:
        words = _until_stopped(seen, options, terminal)
        # The machine is released, and has the pipe open no longer.
        terminal.close_guests_ends()
        words.append(terminal.take_all(1.0))
        for when, data in zip(
            ("at STOPPED", "within a second after it", "from the released machine"), words, strict=True
        ):
            seen(f"bytes in the console's pipe {when}", len(data))
        printed = b"".join(words)
        lines = {line.rstrip(b"\r") for line in printed.split(b"\n")}
        there = sum(b"applevz line %d" % number in lines for number in range(1, _LINES + 1))
        seen("lines of the guest that are there", f"{there} of {_LINES}")
        seen("last words of the guest", printed[-300:].decode(errors="replace"))


def _until_stopped(seen: Seen, options: Options, terminal: Terminal) -> list[bytes]:
    """What was in the pipe when the machine was stopped, and what came to it later."""
    with watched(seen, options, configuration(options, serial_ports=[terminal.port])) as machine:
        machine.start(PATIENCE)
        terminal.log_in(seen, machine, options)
        settle()
        see_notices(seen, "start: told", machine)
        # Nothing is read until the machine is stopped: what is in the pipe then was written before.
        terminal.type(_LAST_WORDS)
        attempt(seen, "the guest stops", lambda: machine.wait(STOPPED, 2 * PATIENCE))
        words = [terminal.take_all(), terminal.take_all(1.0)]
        see_notices(seen, "the guest stops: told", machine)
        _see_stop_error(seen, machine)
        return words


def _request_stop(seen: Seen, options: Options) -> None:
    needs_virtualization()
    with Terminal() as terminal:
        with watched(seen, options, configuration(options, serial_ports=[terminal.port])) as machine:
            machine.start(PATIENCE)
            terminal.log_in(seen, machine, options)
            settle()
            see_notices(seen, "start: told", machine)
            seen("can_request_stop", machine.can_request_stop)
            verb(seen, machine, "request_stop", lambda: machine.request_stop(PATIENCE))
            attempt(seen, "the guest stops", lambda: machine.wait(STOPPED, PATIENCE))
            settle()
            see_notices(seen, "the guest stops: told", machine)
            seen("state then", machine.state.name)
            seen("last words of the guest", terminal.take_all()[-1000:].decode(errors="replace"))
        terminal.close_guests_ends()


ITEMS: Final = (
    Item(
        "notices",
        "The order in which the framework tells of start, pause, resume and stop",
        _ORDER_IS_OPEN,
        "Nothing: a verb returns when its completion handler was called and `state` says what it led to, in whatever "
        "order both come. The second of them is waited for two seconds at most.",
        _notices,
        seconds=120.0,
    ),
    Item(
        "firmware",
        "EFI firmware that finds nothing to boot",
        f"Not documented: it may wait, or stop. {_ORDER_IS_OPEN}",
        "It is a machine like another.",
        _firmware,
        seconds=90.0,
    ),
    Item(
        "failing-start",
        "A start that fails",
        "The completion handler of a start that fails is given an error. Which, and whether the delegate is told as "
        "well, is not documented.",
        "A start that fails leaves the machine in STOPPED or ERROR. What is certain to be no kernel is refused before.",
        _failing_start,
        seconds=90.0,
    ),
    Item(
        "saving",
        "Saving and restoring, and files that are in the way",
        "A paused machine can be saved, a stopped one be restored. What is said of a file that exists, that is missing "
        "or that is no saved state is not documented.",
        "A file is there when it is whole. One that exists raises a FileExistsError, one that is missing a "
        "FileNotFoundError. A restore that fails leaves the machine stopped.",
        _saving,
        seconds=240.0,
    ),
    Item(
        "guest-stop",
        "A guest that stops by itself, and the last that it prints",
        f"guestDidStopVirtualMachine: is called when a guest has stopped. {_ORDER_IS_OPEN} Whether all that the guest "
        "printed is in the pipe of its console by then is not documented.",
        "What the guest printed is in the pipe when `state` is STOPPED: a console that is empty then has ended.",
        _guest_stop,
        seconds=180.0,
        needs_guest=True,
    ),
    Item(
        "request-stop",
        "requestStop of a kernel that was booted directly",
        "requestStopWithError: asks the guest to stop. What the guest notices, and whether a kernel without firmware "
        "can, is not documented.",
        "The guest has a power button, and may ignore it: `shutdown()` waits, and says after its time-out what can be "
        "done.",
        _request_stop,
        seconds=180.0,
        needs_guest=True,
    ),
)
