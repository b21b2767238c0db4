# SPDX-License-Identifier: Apache-2.0
"""`applevz demo`: a guest walked through its life."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from .. import (
    DiskImageStorageDeviceAttachment,
    InvalidStateError,
    LinuxBootLoader,
    NATNetworkDeviceAttachment,
    TimeoutError,
    VirtioBlockDeviceConfiguration,
    VirtioEntropyDeviceConfiguration,
    VirtioNetworkDeviceConfiguration,
    VirtioTraditionalMemoryBalloonDeviceConfiguration,
    VirtualMachine,
    VirtualMachineConfiguration,
    VirtualMachineState,
    capabilities,
    command_line_additions,
)
from .._core.deadline import Deadline
from ..errors import make
from .failures import FAILED, show

__all__ = ["demo"]

_GUEST: Final = Path("build/guest")


@dataclass(frozen=True)
class _Chosen:
    kernel: str
    initrd: str
    command_line: str
    no_command_line_additions: bool
    memory: str
    cpus: int
    disk: tuple[str, ...]
    read_only: bool
    network: bool
    ready: str
    type: str
    answer: str
    no_guest_agent: bool
    timeout: float

    @property
    def has_agent(self) -> bool:
        """Whether the guest is given the agent, which comes with the initial RAM disk."""
        return bool(capabilities.guest_agent and self.initrd and not self.no_guest_agent)


@click.command("demo", short_help="walk a Linux guest through its life")
@click.option("--kernel", default=str(_GUEST / "vmlinux"), show_default=True, help="file of the kernel")
@click.option(
    "--initrd",
    default=str(_GUEST / "initrd.cpio.gz"),
    show_default=True,
    help="file of the initial RAM disk; '' for none",
)
@click.option("--command-line", default="console=hvc0", show_default=True, help="command line of the kernel")
@click.option(
    "--no-command-line-additions",
    is_flag=True,
    help="let the platform add nothing to the command line of the kernel",
)
@click.option("--memory", default="512MiB", show_default=True, help="size of its memory")
@click.option("--cpus", type=int, default=1, show_default=True, help="number of its processors")
@click.option("--disk", multiple=True, help="file of a raw disk image; can be repeated")
@click.option("--read-only", is_flag=True, help="let the guest not write to its disks")
@click.option("--network", is_flag=True, help="give it a network card")
@click.option("--ready", default="guest# ", show_default=True, help="what its console shows when it takes commands")
@click.option(
    "--type", default="echo answer $((6 * 7))", show_default=True, help="command that is typed into its console"
)
@click.option("--answer", default="answer 42", show_default=True, help="what the guest prints in answer")
@click.option("--no-guest-agent", is_flag=True, help="bring no agent along, which runs a command in the guest")
@click.option("--timeout", type=float, default=120.0, show_default=True, help="seconds that a step may take")
def demo(**chosen: Any) -> int:
    """Boots a Linux guest, shows its console as it comes, and walks it through its life: started, first output, ready,
    its agent answered, paused, resumed, a command typed, another one run by the agent, asked to shut down, stopped. The
    exit status is 0 only if every step happened."""
    options = _Chosen(**chosen)
    try:
        _walk_through(options)
    except TimeoutError as error:
        show(error, f"No step may take longer than {options.timeout:g} s; --timeout allows more.")
        return FAILED
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the machine was stopped") from None
    return 0


class _Walk:
    """A guest's life, step by step, and how long each step took."""

    def __init__(self, machine: VirtualMachine, timeout: float) -> None:
        self.machine = machine
        self.timeout = timeout
        self.steps: list[tuple[str, float]] = []
        self._unread = b""
        self._line_is_open = False

    def step(self, name: str, action: Callable[[], object]) -> None:
        begin = time.monotonic()
        action()
        self.done(name, begin)

    def done(self, name: str, begin: float) -> None:
        """Prints the step's name on a line of its own, between those of the guest."""
        self.steps.append((name, time.monotonic() - begin))
        words = f"\x1b[1m--- {name}\x1b[0m" if sys.stdout.isatty() else f"--- {name}"
        print(f"\n{words}" if self._line_is_open else words, flush=True)
        self._line_is_open = False

    def show(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        if data:
            self._line_is_open = not data.endswith(b"\n")

    def first_output(self) -> None:
        self._unread = self.machine.console.readline(timeout=self.timeout)
        if not self._unread:
            raise self.machine.stop_error or make(InvalidStateError, "The guest stopped before it printed anything.")
        self.show(self._unread)

    def expect(self, text: str) -> None:
        """Shows the guest's output until `text` has come."""
        wanted = text.encode()
        deadline = Deadline(self.timeout)
        while wanted not in self._unread:
            data = self.machine.console.read(timeout=deadline.remaining(self.timeout))
            if not data:
                raise self.machine.stop_error or make(
                    InvalidStateError, f"The guest stopped before it printed {text!r}."
                )
            self.show(data)
            # Bytes that do not hold the text are not searched again, but for those that may be its beginning.
            self._unread = self._unread[-len(wanted) :] + data
        self._unread = self._unread.partition(wanted)[2]

    def must_be(self, state: VirtualMachineState) -> None:
        if self.machine.state is not state:
            reason = f"Its state is {self.machine.state.name}."
            raise make(InvalidStateError, f"The machine is not in the state {state.name}.", reason)

    def run_command(self) -> None:
        done = self.machine.guest.run(["uname", "-srm"], timeout=self.timeout, check=True)
        self.show(done.stdout)

    def pause(self) -> None:
        self.machine.suspend(self.timeout)
        self.must_be(VirtualMachineState.PAUSED)

    def resume(self) -> None:
        self.machine.start(self.timeout)
        self.must_be(VirtualMachineState.RUNNING)

    def stopped(self) -> None:
        """Shows the guest's last output, and waits until it has stopped."""
        deadline = Deadline(self.timeout)
        while data := self.machine.console.read(timeout=deadline.remaining(self.timeout)):
            self.show(data)
        self.machine.wait(VirtualMachineState.STOPPED, deadline.remaining(self.timeout))

    def table(self) -> str:
        width = max(len(name) for name, _ in self.steps)
        lines = [f"{name:<{width}}  {seconds * 1000:9.1f} ms" for name, seconds in self.steps]
        total = sum(seconds for _, seconds in self.steps)
        return "\n".join([*lines, f"{'in all':<{width}}  {total * 1000:9.1f} ms"])


def _configuration(options: _Chosen) -> VirtualMachineConfiguration:
    boot_loader = LinuxBootLoader(
        options.kernel,
        options.initrd or None,
        options.command_line,
        command_line_additions=not options.no_command_line_additions,
        guest_agent=options.has_agent,
    )
    return VirtualMachineConfiguration(
        boot_loader,
        cpu_count=options.cpus,
        memory_size=options.memory,
        storage_devices=[
            VirtioBlockDeviceConfiguration(DiskImageStorageDeviceAttachment(disk, options.read_only))
            for disk in options.disk
        ],
        network_devices=[VirtioNetworkDeviceConfiguration(NATNetworkDeviceAttachment())] if options.network else [],
        entropy_devices=[VirtioEntropyDeviceConfiguration()],
        memory_balloon_devices=[VirtioTraditionalMemoryBalloonDeviceConfiguration()],
    )


def _walk_through(options: _Chosen) -> None:
    # Asked first: without it all that follows fails, and not all of that says why.
    if (missing := capabilities.virtualization.error) is not None:
        raise missing
    acceleration = capabilities.hardware_acceleration
    print(f"hardware acceleration: {'yes' if acceleration else f'no. {acceleration.reason}'}")
    additions = "" if options.no_command_line_additions else command_line_additions()
    print(f"added to the kernel's command line: {additions or 'nothing'}", flush=True)
    begin = time.monotonic()
    with VirtualMachine(_configuration(options)) as machine:
        walk = _Walk(machine, options.timeout)
        walk.done("made", begin)
        walk.step("started", lambda: machine.start(options.timeout))
        walk.step("first output", walk.first_output)
        walk.step("ready", lambda: walk.expect(options.ready))
        if options.has_agent:
            walk.step("agent answered", lambda: machine.guest.wait(options.timeout))
        walk.step("paused", walk.pause)
        walk.step("resumed", walk.resume)
        walk.step("command typed", lambda: machine.console.write(f"{options.type}\n", options.timeout))
        walk.step("answered", lambda: walk.expect(options.answer))
        if options.has_agent:
            walk.step("command run", walk.run_command)
        walk.step("asked to shut down", lambda: machine.request_stop(options.timeout))
        walk.step("stopped", walk.stopped)
        print(f"\n{walk.table()}")
