# SPDX-License-Identifier: Apache-2.0
"""The commands of `python -m applevz`.

`run` boots a Linux guest, shows its console as it comes, and walks it through its life. `check` prints a report of this
host (`_check`). `sign` signs this Python on a Mac (`_host.signing`). `guest-agent` puts the guest's agent into a system
(`_host.guest_services`). `images` downloads, imports and lists images (`_images.command`). `states` lists, checks and
removes saved states (`_states.command`).
"""

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
from ._check import add_arguments, check
from ._core.deadline import Deadline
from ._host import signing
from ._host.guest_agent import agent_program
from ._host.guest_services import OPENRC, SYSTEMD, install
from ._images.command import add_image_arguments, image_command
from ._states.command import add_state_arguments, state_command
from .errors import make, make_posix

GUEST = Path("build/guest")


def parser() -> argparse.ArgumentParser:
    outer = argparse.ArgumentParser(prog="python -m applevz", description="Virtual machines.")
    outer.add_argument("--version", action="version", version=f"applevz {__version__}")
    commands = outer.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="walk a Linux guest through its life",
        description="Boots a Linux guest, shows its console as it comes, and walks it through its life: started, first "
        "output, ready, its agent answered, paused, resumed, a command typed, another one run by the agent, asked to "
        "shut down, stopped. The exit status is 0 only if every step happened.",
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
    run.add_argument(
        "--no-guest-agent", action="store_true", help="bring no agent along, which runs a command in the guest"
    )
    run.add_argument("--timeout", type=float, default=120.0, help="seconds that a step may take")
    commands.add_parser(
        "sign",
        help="on a Mac: let this Python run machines",
        description="Signs the Python that runs this with the entitlement com.apple.security.virtualization, without "
        "which macOS lets no program run machines.",
    )
    agent = commands.add_parser(
        "guest-agent",
        help="in a guest, or while an image is built: install the agent as a service, or write it out",
        description="Installs the guest's agent as a service of systemd or OpenRC, which each boot starts, in the "
        "system that this runs in or in the one below a folder; or writes the program, or the text of a service.",
    )
    what = agent.add_mutually_exclusive_group(required=True)
    what.add_argument("--install", action="store_true", help="install it as a service")
    what.add_argument("--export", metavar="FILE", help="write the program, a static file, to FILE; - is the output")
    what.add_argument("--print-service", choices=["systemd", "openrc"], help="print the text of its service")
    agent.add_argument("--root", metavar="DIR", help="the folder of the system to install it in (/)")
    images = commands.add_parser(
        "images",
        help="download images by name, import or make them, list and remove them",
        description="Keeps images of disks in this user's cache: raw, read-only, each downloaded and converted once. "
        "What is pulled, imported or made is told by its path.",
    )
    add_image_arguments(images)
    states = commands.add_parser(
        "states",
        help="list saved states, look into them, check and remove them",
        description="Looks into saved states, without a machine. Each knows which one it came of.",
    )
    add_state_arguments(states)
    add_arguments(commands.add_parser("check", help="go through what only this host can tell, and print a report"))
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


def has_agent(arguments: argparse.Namespace) -> bool:
    """Whether the guest is given the agent, which comes with the initial RAM disk."""
    return bool(capabilities.guest_agent and arguments.initrd and not arguments.no_guest_agent)


def configuration(arguments: argparse.Namespace) -> VirtualMachineConfiguration:
    boot_loader = LinuxBootLoader(
        arguments.kernel,
        arguments.initrd or None,
        arguments.command_line,
        command_line_additions=not arguments.no_command_line_additions,
        guest_agent=has_agent(arguments),
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
    # Asked first: without it all that follows fails, and not all of that says why.
    if (missing := capabilities.virtualization.error) is not None:
        raise missing
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
        if has_agent(arguments):
            walk.step("agent answered", lambda: machine.guest.wait(arguments.timeout))
        walk.step("paused", walk.pause)
        walk.step("resumed", walk.resume)
        walk.step("command typed", lambda: machine.console.write(f"{arguments.type}\n", arguments.timeout))
        walk.step("answered", lambda: walk.expect(arguments.answer))
        if has_agent(arguments):
            walk.step("command run", walk.run_command)
        walk.step("asked to shut down", lambda: machine.request_stop(arguments.timeout))
        walk.step("stopped", walk.stopped)
        print(f"\n{walk.table()}")


def guest_agent(arguments: argparse.Namespace) -> None:
    if arguments.print_service is not None:
        text = {"systemd": SYSTEMD, "openrc": OPENRC}[arguments.print_service].text
        sys.stdout.write(text)
    elif arguments.export is not None:
        write_program(arguments.export)
    else:
        changed = install("/" if arguments.root is None else arguments.root)
        for path in changed:
            print(f"written: {path}")
        if not changed:
            print("The agent was installed like this already.")


def write_program(file: str) -> None:
    program = agent_program()
    if file == "-":
        sys.stdout.buffer.write(program)
        sys.stdout.buffer.flush()
        return
    try:
        with open(file, "wb") as output:
            output.write(program)
        Path(file).chmod(0o755)
    except OSError as error:
        suggestion = "Name a file that this user may write."
        raise make_posix(error, f"The agent cannot be written to {file!r}.", suggestion) from error


def main(words: list[str] | None = None) -> int:
    commands = parser()
    arguments = commands.parse_args(words)
    if arguments.command == "sign":
        return signing.main()
    if arguments.command == "guest-agent" and arguments.root is not None and not arguments.install:
        commands.error("--root is for --install alone")
    if arguments.command == "states" and arguments.needing is not None and arguments.list is None:
        commands.error("--needing is for --list alone")
    try:
        if arguments.command == "check":
            return check(arguments)
        if arguments.command == "states":
            return state_command(arguments)
        if arguments.command == "images":
            image_command(arguments)
        elif arguments.command == "guest-agent":
            guest_agent(arguments)
        else:
            run(arguments)
    except TimeoutError as error:
        what = "No step may" if arguments.command == "run" else "The whole may not"
        return failed(error, f"{what} take longer than {arguments.timeout:g} s; --timeout allows more.")
    except Error as error:
        return failed(error)
    except KeyboardInterrupt:
        left = {"images": "; what was downloaded is kept", "run": "; the machine was stopped"}
        kept = "" if getattr(arguments, "build_debian", None) else left.get(arguments.command, "")
        print(f"\napplevz: interrupted{kept}.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of the output has gone: nobody is left to be told.
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
