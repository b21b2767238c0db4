# SPDX-License-Identifier: Apache-2.0
"""The commands that take no package besides this one, and their command line where click is not installed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final, NoReturn

from .. import __version__
from .options import VERBOSE, Option, PlainCommand, Usage
from .verbosity import be_verbose

__all__ = ["PLAIN_COMMANDS", "parser", "run_plain"]

NEEDS_EXTRA: Final = "pip install 'applevz[cli]'"

PLAIN_COMMANDS: Final = (
    PlainCommand(
        "doctor",
        "say whether machines can run here, and what would mend it if not",
        "Looks at all that machines need on this host, and starts one. Each line that fails has the command that mends "
        "it, where one does. The exit status is 0 only if machines can run.",
        (Option("--json", "print it as JSON"),),
        "applevz._command.doctor:doctor",
    ),
    PlainCommand(
        "sign",
        "on a Mac: let this Python run machines",
        "Signs the Python that runs this with the entitlement com.apple.security.virtualization, without which macOS "
        "lets no program run machines.",
        (Option("--undo", "sign it without the entitlement, as it was before"),),
        "applevz._command.sign:sign_command",
    ),
    PlainCommand(
        "guest-agent",
        "in a guest, or while an image is built: install the agent as a service, or write it out",
        "Installs the guest's agent as a service of systemd or OpenRC, which each boot starts, in the system that this "
        "runs in or in the one below a folder; or writes the program, or the text of a service.",
        (
            Option("--install", "install it as a service"),
            Option("--export", "write the program, a static file, to FILE; - is the output", "FILE"),
            Option("--print-service", "print the text of its service", choices=("systemd", "openrc")),
            Option("--root", "with --install: the folder of the system to install it in", "DIR"),
        ),
        "applevz._command.guest_agent:guest_agent_command",
    ),
    PlainCommand(
        "check",
        "go through what only this host can tell, and print a report",
        "Goes through what only this host can tell (the order in which its virtualization framework tells what "
        "happened, the errors that it has, what it does to descriptors) and prints a report, in Markdown, to be sent "
        "back. It needs neither a guest nor a disk; with a kernel it sees more. The report has no names of users, "
        "hosts or home folders in it. The exit status is 0 if every item came to its end, whatever it saw; an item "
        "that is left out has done so.",
        (
            Option("--kernel", "file of a guest's kernel, for the items that need a guest", "FILE"),
            Option("--initrd", "file of its initial RAM disk", "FILE"),
            Option("--command-line", "command line of the kernel", "TEXT", default="console=hvc0"),
            Option("--memory", "size of the memory of each machine", "SIZE", default="512MiB"),
            Option(
                "--answer",
                "what is typed when the guest's console shows a text, as when somebody logs in; can be repeated",
                ("TEXT", "ANSWER"),
                multiple=True,
            ),
            Option("--ready", "what its console shows when it takes commands", "TEXT", default="guest# "),
            Option("--timeout", "seconds until the guest has to be ready", "SECONDS", default=120.0, kind=float),
            Option("--json", "file for the same report as data", "FILE"),
            Option("--only", "leave out all items but this one; can be repeated", "ITEM", multiple=True),
            Option("--list", "print the names of the items, and end"),
        ),
        "applevz._check:check",
    ),
)


class _Parser(argparse.ArgumentParser):
    """Says of a command that is known elsewhere what it takes."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice" in message and self.prog == "applevz":
            message = f"this takes the packages click and rich: {NEEDS_EXTRA} installs them."
        super().error(message)


def parser() -> argparse.ArgumentParser:
    """The command line of the plain commands alone."""
    outer = _Parser(
        prog="applevz",
        description="Virtual machines.",
        epilog=f"There are more commands with the packages click and rich: {NEEDS_EXTRA} installs them.",
    )
    outer.add_argument("--version", action="version", version=f"applevz {__version__}")
    outer.add_argument("--verbose", "-v", action="store_true", help=VERBOSE)
    commands = outer.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=argparse.ArgumentParser
    )
    for command in PLAIN_COMMANDS:
        inner = commands.add_parser(command.name, help=command.help, description=command.description)
        inner.add_argument("--verbose", "-v", action="store_true", help=VERBOSE, default=argparse.SUPPRESS)
        for option in command.options:
            option.add_to(inner)
    return outer


def run_plain(words: Sequence[str] | None) -> int:
    outer = parser()
    values = vars(outer.parse_args(words))
    name = values.pop("command")
    if values.pop("verbose"):
        be_verbose()
    try:
        return next(command for command in PLAIN_COMMANDS if command.name == name).run(values)
    except Usage as error:
        outer.error(str(error))
