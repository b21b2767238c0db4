# SPDX-License-Identifier: Apache-2.0
"""`python -m applevz run`: boots a Linux guest, shows its console as it comes, and walks it through its life."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from . import (
    DiskImageStorageDeviceAttachment,
    Error,
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
    __version__,
    capabilities,
    command_line_additions,
)
from ._deadline import Deadline
from .errors import make

GUEST = Path("build/guest")


def parser() -> argparse.ArgumentParser:
    outer = argparse.ArgumentParser(prog="python -m applevz", description="Virtual machines.")
    outer.add_argument("--version", action="version", version=f"applevz {__version__}")
    commands = outer.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="walk a Linux guest through its life",
        description="Boots a Linux guest, shows its console as it comes, and walks it through its life: started, first "
        "output, ready, paused, resumed, a command answered, asked to shut down, stopped. The exit status is 0 only if "
        "every step happened.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    run.add_argument("--kernel", default=str(GUEST / "vmlinux"), help="file of the kernel")
    run.add_argument(
        "--initrd", default=str(GUEST / "initrd.cpio.gz"), help="file of the initial RAM disk; '' for none"
    )
    run.add_argument("--command-line", default="console=hvc0", help="command line of the kernel")
    run.add_argument(
        "--no-command-line-additions",
        action="store_true",
        help="let the platform add nothing to the command line of the kernel",
    )
    run.add_argument("--memory", default="512MiB", help="size of its memory")
    run.add_argument("--cpus", type=int, default=1, help="number of its processors")
    run.add_argument("--disk", action="append", default=[], help="file of a raw disk image; can be repeated")
    run.add_argument("--read-only", action="store_true", help="let the guest not write to its disks")
    run.add_argument("--network", action="store_true", help="give it a network card")
    run.add_argument("--ready", default="guest# ", help="what its console shows when it takes commands")
    run.add_argument("--type", default="echo answer $((6 * 7))", help="command that is typed into its console")
    run.add_argument("--answer", default="answer 42", help="what the guest prints in answer")
    run.add_argument("--timeout", type=float, default=120.0, help="seconds that a step may take")
    return outer


class Walk:
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
        """Says so on a line of its own, between those of the guest."""
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
        """Shows what comes until `text` came."""
        wanted = text.encode()
        deadline = Deadline(self.timeout)
        while wanted not in self._unread:
            data = self.machine.console.read(timeout=deadline.remaining(self.timeout))
            if not data:
                raise self.machine.stop_error or make(
                    InvalidStateError, f"The guest stopped before it printed {text!r}."
                )
            self.show(data)
            # What was found not to hold the text is not looked at again, but for what may be the text's beginning.
            self._unread = self._unread[-len(wanted) :] + data
        self._unread = self._unread.partition(wanted)[2]

    def must_be(self, state: VirtualMachineState) -> None:
        if self.machine.state is not state:
            reason = f"Its state is {self.machine.state.name}."
            raise make(InvalidStateError, f"The machine is not in the state {state.name}.", reason)

    def pause(self) -> None:
        self.machine.suspend(self.timeout)
        self.must_be(VirtualMachineState.PAUSED)

    def resume(self) -> None:
        self.machine.start(self.timeout)
        self.must_be(VirtualMachineState.RUNNING)

    def stopped(self) -> None:
        """Until the guest stopped, whose last words are shown."""
        deadline = Deadline(self.timeout)
        while data := self.machine.console.read(timeout=deadline.remaining(self.timeout)):
            self.show(data)
        self.machine.wait(VirtualMachineState.STOPPED, deadline.remaining(self.timeout))

    def table(self) -> str:
        width = max(len(name) for name, _ in self.steps)
        lines = [f"{name:<{width}}  {seconds * 1000:9.1f} ms" for name, seconds in self.steps]
        total = sum(seconds for _, seconds in self.steps)
        return "\n".join([*lines, f"{'in all':<{width}}  {total * 1000:9.1f} ms"])


def configuration(arguments: argparse.Namespace) -> VirtualMachineConfiguration:
    boot_loader = LinuxBootLoader(
        arguments.kernel,
        arguments.initrd or None,
        arguments.command_line,
        command_line_additions=not arguments.no_command_line_additions,
    )
    return VirtualMachineConfiguration(
        boot_loader,
        cpu_count=arguments.cpus,
        memory_size=arguments.memory,
        storage_devices=[
            VirtioBlockDeviceConfiguration(DiskImageStorageDeviceAttachment(disk, arguments.read_only))
            for disk in arguments.disk
        ],
        network_devices=[VirtioNetworkDeviceConfiguration(NATNetworkDeviceAttachment())] if arguments.network else [],
        entropy_devices=[VirtioEntropyDeviceConfiguration()],
        memory_balloon_devices=[VirtioTraditionalMemoryBalloonDeviceConfiguration()],
    )


def run(arguments: argparse.Namespace) -> None:
    acceleration = capabilities.hardware_acceleration
    print(f"hardware acceleration: {'yes' if acceleration else f'no. {acceleration.reason}'}")
    additions = "" if arguments.no_command_line_additions else command_line_additions()
    print(f"added to the kernel's command line: {additions or 'nothing'}", flush=True)
    begin = time.monotonic()
    with VirtualMachine(configuration(arguments)) as machine:
        walk = Walk(machine, arguments.timeout)
        walk.done("made", begin)
        walk.step("started", lambda: machine.start(arguments.timeout))
        walk.step("first output", walk.first_output)
        walk.step("ready", lambda: walk.expect(arguments.ready))
        walk.step("paused", walk.pause)
        walk.step("resumed", walk.resume)
        walk.step("command typed", lambda: machine.console.write(f"{arguments.type}\n", arguments.timeout))
        walk.step("answered", lambda: walk.expect(arguments.answer))
        walk.step("asked to shut down", lambda: machine.request_stop(arguments.timeout))
        walk.step("stopped", walk.stopped)
        print(f"\n{walk.table()}")


def main(words: list[str] | None = None) -> int:
    arguments = parser().parse_args(words)
    try:
        run(arguments)
    except TimeoutError as error:
        return failed(error, f"No step may take longer than {arguments.timeout:g} s; --timeout allows more.")
    except Error as error:
        return failed(error)
    except KeyboardInterrupt:
        print("\napplevz: interrupted; the machine was stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone: nobody is left to be told.
        sys.stdout = None
        return 1
    return 0


def failed(error: Error, *more: str) -> int:
    lines = [error.localized_description, error.failure_reason, error.recovery_suggestion, *more]
    text = "\n  ".join(line for line in lines if line)
    print(f"\napplevz: {text}\n  ({error.domain} {error.code})", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
