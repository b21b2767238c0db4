# SPDX-License-Identifier: Apache-2.0
"""`applevz run`: a machine with its console on this terminal, or a program in its guest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, fields
from queue import Empty, SimpleQueue
from typing import Any, Final

import click

from .. import Error, GuestProcess, VirtualMachine, VirtualMachineState
from ..errors import InvalidStateError, make
from .attaching import Attachment
from .failures import (
    BROKEN_PIPE,
    CANNOT_RUN,
    FAILED,
    INTERRUPTED,
    NOT_FOUND,
    RUN_FAILED,
    Stopped,
    show,
    show_words,
)
from .machine_options import MachineOptions, complete_image, machine_options
from .machines import copy_into, copy_out_of, ended_by_signals, prepare_guest, running, save
from .terminal import DETACH_KEY, RawTerminal, detach_key, is_terminal, size_of

__all__ = ["run"]

_INPUT, _OUTPUT, _ERRORS = 0, 1, 2
# What is passed on to a program in the guest. After so many of the first two this program ends all the same.
_PASSED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_ENOUGH: Final = 3
# The seconds that a guest gets to shut down, and its agent to answer where only a terminal's size hangs on it.
_SHUTDOWN: Final = 60.0
_AGENT: Final = 600.0
_STTY: Final = 10.0
_SEPARATOR: Final = "--"
_COMMAND: Final = "applevz.command"


@dataclass(frozen=True)
class _Chosen:
    """The options of `run` that are not the machine's."""

    tty: bool | None
    user: str | None
    workdir: str | None
    env: tuple[tuple[str, str], ...]
    copy_in: tuple[tuple[str, str], ...]
    copy_out: tuple[tuple[str, str], ...]
    state: str | None
    overwrite: bool
    key: bytes | None
    on_detach: str


class _Run(click.Command):
    """A command whose words from `--` on are a program's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ours, separator, theirs = args, "", list[str]()
        if _SEPARATOR in args:
            place = args.index(_SEPARATOR)
            ours, separator, theirs = args[:place], _SEPARATOR, args[place + 1 :]
        if separator and not theirs and not ctx.resilient_parsing:
            raise click.UsageError("There is no program behind --.", ctx)
        ctx.meta[_COMMAND] = tuple(theirs)
        return super().parse_args(ctx, ours)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND [ARGUMENT]...]"]


def _copies(
    from_last: bool,
) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], tuple[tuple[str, str], ...]]:
    """The host's path may have colons in it, the guest's none."""

    def read(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        pairs = []
        for words in given:
            source, _, target = words.rpartition(":") if from_last else words.partition(":")
            if not source or not target:
                raise click.BadParameter(f"{words!r} is not SOURCE:TARGET.")
            pairs.append((source, target))
        return tuple(pairs)

    return read


def _variables(
    context: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    pairs = []
    for words in given:
        name, separator, value = words.partition("=")
        if not name:
            raise click.BadParameter(f"{words!r} has no name.")
        # One that is not set here is not set there.
        if separator or name in os.environ:
            pairs.append((name, value if separator else os.environ[name]))
    return tuple(pairs)


@click.command("run", cls=_Run, short_help="run a machine: its console here, or a program in its guest")
@click.argument("image", required=False, shell_complete=complete_image)
@machine_options
@click.option("--tty/--no-tty", default=None, help="give COMMAND a terminal, or not (if this has one on both sides)")
@click.option("--user", metavar="NAME", help="user that COMMAND runs as (the agent's, root)")
@click.option("--workdir", metavar="DIR", help="folder that COMMAND runs in (its user's home)")
@click.option(
    "--env",
    "-e",
    multiple=True,
    callback=_variables,
    metavar="NAME[=VALUE]",
    help="variable for COMMAND, this command's own without a VALUE; can be repeated",
)
@click.option(
    "--copy-in",
    multiple=True,
    callback=_copies(from_last=True),
    metavar="SOURCE:TARGET",
    help="a file or a tree of this host's for the guest, before COMMAND; can be repeated",
)
@click.option(
    "--copy-out",
    multiple=True,
    callback=_copies(from_last=False),
    metavar="SOURCE:TARGET",
    help="one of the guest's for this host, after COMMAND, however that ended; can be repeated",
)
@click.option(
    "--save",
    "state",
    type=click.Path(),
    metavar="STATE",
    help="save the machine when COMMAND has ended well, or at the detach key, for --from",
)
@click.option("--overwrite", is_flag=True, help="let --save replace a state")
@click.option(
    "--detach-key", default=DETACH_KEY, show_default=True, metavar="KEY", help="leaves the guest; ctrl-… or none"
)
@click.option(
    "--on-detach",
    type=click.Choice(["shutdown", "stop", "keep"]),
    default="shutdown",
    show_default=True,
    help="what becomes of a machine without COMMAND",
)
@click.pass_context
def run(context: click.Context, /, **chosen: Any) -> int:
    """Runs a machine of an IMAGE, as debian:13 or ./disk.qcow2, of a kernel, of a disk that firmware boots, or from a
    saved state. It ends with this command.

    Without COMMAND the guest's console is on this terminal, until the guest shuts down or the detach key is typed.

    With COMMAND the guest's agent runs that: its input, its output, its signals and its exit status are this
    command's. Of its own failures this command has the status 125, 126 for a program that cannot be run, and 127 for
    one that is not there. Otherwise it is 1.

    \b
    applevz run debian:13 -- uname -r
    applevz run --kernel vmlinux --initrd initrd.gz --save ready.state -- make
    applevz run --from ready.state --copy-in .:/src --workdir /src -- pytest
    """
    command: tuple[str, ...] = context.meta[_COMMAND]
    names = {one.name for one in fields(MachineOptions)}
    options = MachineOptions(**{name: value for name, value in chosen.items() if name in names})
    options.check()
    if options.no_agent and (command or chosen["copy_in"] or chosen["copy_out"]):
        raise click.UsageError("COMMAND, --copy-in and --copy-out are the agent's work: leave --no-agent out.")
    if chosen["state"] and options.lasting_disk:
        raise click.UsageError("--save and --lasting-disk: what goes on from a state has a disk of its own.")
    if chosen["copy_out"] and not command:
        raise click.UsageError("--copy-out is done after COMMAND: give one, or use `applevz copy`.")
    try:
        key = detach_key(chosen.pop("detach_key"))
        rest = _Chosen(key=key, **{name: value for name, value in chosen.items() if name not in names})
        with ended_by_signals((signal.SIGTERM, signal.SIGHUP)):
            return _run(options, rest, command)
    except Error as error:
        show(error)
        return RUN_FAILED if command else FAILED
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the machine was stopped") from None


def _run(options: MachineOptions, chosen: _Chosen, command: tuple[str, ...]) -> int:
    waits = bool(command or chosen.copy_in or chosen.copy_out or any(share.place for share in options.shares))
    with running(options, waits, chosen.state, chosen.overwrite) as machine:
        prepare_guest(machine, options, waits)
        for source, target in chosen.copy_in:
            copy_into(machine, source, target)
        if not command:
            return _with_console(machine, options, chosen)
        status = _Program(machine, chosen, command).run()
        for source, target in chosen.copy_out:
            copy_out_of(machine, source, target)
        if chosen.state is not None:
            if status == 0:
                save(machine, options, chosen.state, chosen.overwrite)
            else:
                show_words(f"not saved: the program ended with the status {status}.")
        return status


# ---- A program in the guest ----


class _Program:
    """COMMAND, from its start to its end."""

    def __init__(self, machine: VirtualMachine, chosen: _Chosen, command: tuple[str, ...]) -> None:
        self._machine = machine
        self._chosen = chosen
        self._command = command
        has_terminal = is_terminal(_INPUT) and is_terminal(_OUTPUT)
        self._tty = has_terminal if chosen.tty is None else chosen.tty
        self._is_raw = self._tty and is_terminal(_INPUT)

    def run(self) -> int:
        try:
            process = self._started()
        except (FileNotFoundError, PermissionError) as error:
            if not isinstance(error, Error):
                raise
            show(error)
            return NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_RUN
        with process, Attachment(_PASSED_ON) as attachment, ExitStack() as stack:
            if self._is_raw:
                stack.enter_context(RawTerminal(_INPUT, attachment.resized))
            self._carry(process, attachment)
            return self._until_ended(process, attachment)

    def _started(self) -> GuestProcess:
        environment = dict(self._chosen.env)
        if self._tty and "TERM" in os.environ:
            environment.setdefault("TERM", os.environ["TERM"])
        pipe = None if self._tty else subprocess.PIPE
        return self._machine.guest.popen(
            list(self._command),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            cwd=self._chosen.workdir,
            env=environment,
            user=self._chosen.user,
            terminal=self._tty,
            size=size_of(_OUTPUT),
        )

    def _carry(self, process: GuestProcess, attachment: Attachment) -> None:
        stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
        if stdin is not None:
            attachment.carry_input(_INPUT, stdin.write, stdin.close, self._chosen.key if self._is_raw else None)
        self._outputs = 0
        for stream, descriptor in ((stdout, _OUTPUT), (stderr, _ERRORS)):
            if stream is not None:
                attachment.carry_output(stream.read1, descriptor)
                self._outputs += 1
        attachment.wait_for(process.wait)

    def _until_ended(self, process: GuestProcess, attachment: Attachment) -> int:
        status: int | None = None
        asked = 0
        # What a program has printed is shown to its end, by those that it left behind, too, as a shell's pipe does it.
        while status is None or self._outputs:
            notice = attachment.notices.get()
            if notice.kind == "signal":
                asked += notice.value in (signal.SIGINT, signal.SIGTERM)
                if asked == _ENOUGH:
                    raise Stopped(notice.value)
                process.send_signal(signal.Signals(notice.value))
            elif notice.kind == "resized":
                process.resize(*size_of(_INPUT))
            elif notice.kind == "detached":
                print("\r\napplevz: detached; the program was ended.\r", file=sys.stderr)
                return INTERRUPTED
            elif notice.kind == "output":
                self._outputs -= 1
            elif notice.kind == "broken":
                return BROKEN_PIPE
            elif notice.kind == "ended":
                status = notice.value
            elif notice.kind == "failed":
                raise notice.value
        # As shells have it for one that a signal ended.
        return status if status >= 0 else 128 - status


# ---- The console ----


def _with_console(machine: VirtualMachine, options: MachineOptions, chosen: _Chosen) -> int:
    with Attachment((signal.SIGINT, signal.SIGTERM)) as attachment, ExitStack() as raw:
        is_raw = is_terminal(_INPUT)
        if is_raw:
            if chosen.key is not None and is_terminal(_ERRORS):
                key = f"Ctrl-{chr(chosen.key[0] | 0x40)}"
                print(f"applevz: the guest's console; {key} leaves it.", file=sys.stderr)
            raw.enter_context(RawTerminal(_INPUT, attachment.resized))
        sizes = _Sizes(machine)
        write = sizes.type if is_raw else machine.console.write
        attachment.carry_input(_INPUT, write, lambda: None, chosen.key if is_raw else None)
        attachment.carry_output(machine.console.read, _OUTPUT)
        attachment.wait_for(lambda: machine.wait(VirtualMachineState.STOPPED, panic=True))
        if is_raw and not options.no_agent:
            sizes.begin()
        return _Console(machine, options, chosen, attachment, raw, sizes).until_ended()


class _Console:
    """The console, until the guest or somebody here has had enough."""

    def __init__(
        self,
        machine: VirtualMachine,
        options: MachineOptions,
        chosen: _Chosen,
        attachment: Attachment,
        raw: ExitStack,
        sizes: _Sizes,
    ) -> None:
        self._machine = machine
        self._options = options
        self._chosen = chosen
        self._attachment = attachment
        self._raw = raw
        self._sizes = sizes
        self._patience: float | None = None
        self._status: int | None = None
        self._is_shown = True

    def until_ended(self) -> int:
        has_ended = False
        while not has_ended or self._is_shown:
            try:
                notice = self._attachment.notices.get(timeout=self._patience)
            except Empty:
                show_words("the guest did not shut down in time: it was stopped.")
                break
            if notice.kind == "signal":
                if self._status is not None:
                    break
                self._status = 128 + notice.value
                if self._leave("interrupted", self._chosen.on_detach == "stop"):
                    break
            elif notice.kind == "detached":
                if self._detached():
                    break
            elif notice.kind == "resized":
                self._sizes.tell()
            elif notice.kind in ("output", "broken"):
                # Nobody reads it any more: the guest goes on.
                self._is_shown = False
            elif notice.kind == "ended":
                has_ended = True
            elif notice.kind == "failed":
                raise notice.value
        if self._chosen.state is not None and self._status is None and has_ended:
            raise make(
                InvalidStateError,
                "The machine was not saved.",
                "Its guest shut down before the detach key was typed.",
                "Type the detach key while the guest runs.",
            )
        return self._status or 0

    def _detached(self) -> bool:
        """Whether that was all."""
        self._status = 0
        if self._chosen.state is not None:
            self._raw.close()
            print(file=sys.stderr)
            save(self._machine, self._options, self._chosen.state, self._chosen.overwrite)
            return True
        if self._chosen.on_detach == "keep":
            self._raw.close()
            self._attachment.silent.set()
            self._status = None
            print("\napplevz: detached; the machine goes on until Ctrl-C.", file=sys.stderr)
            return False
        return self._leave("detached", self._chosen.on_detach == "stop")

    def _leave(self, why: str, at_once: bool) -> bool:
        """Whether that was all: otherwise the guest was asked to shut down."""
        self._raw.close()
        print(file=sys.stderr)
        if not at_once:
            # A guest that cannot be asked is stopped.
            with suppress(Error):
                self._machine.request_stop(_SHUTDOWN)
                self._patience = _SHUTDOWN
                show_words(f"{why}; the guest was asked to shut down. Ctrl-C stops it at once.")
                return False
        show_words(f"{why}; the machine was stopped.")
        return True


class _Sizes:
    """Tells a guest with an agent the size of the terminal here: a virtio console knows of none.

    The guest forgets it when nobody has its console open, as before its shell is there. So it is told once more when
    the first key is typed.
    """

    def __init__(self, machine: VirtualMachine) -> None:
        self._machine = machine
        self._sizes: SimpleQueue[tuple[int, int]] = SimpleQueue()
        self._has_typed = False

    def begin(self) -> None:
        self.tell()
        threading.Thread(target=self._go, name="size", daemon=True).start()

    def tell(self) -> None:
        self._sizes.put(size_of(_INPUT))

    def type(self, data: bytes) -> None:
        if not self._has_typed:
            self._has_typed = True
            self.tell()
        self._machine.console.write(data)

    def _go(self) -> None:
        # A guest without an agent, or without stty, keeps what it has.
        with suppress(Error):
            self._machine.guest.wait(_AGENT)
            while True:
                rows, columns = self._sizes.get()
                words = f"stty rows {rows} columns {columns} </dev/hvc0"
                self._machine.guest.run(["/bin/sh", "-c", words], timeout=_STTY)
