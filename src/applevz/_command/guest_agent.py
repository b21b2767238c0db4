# SPDX-License-Identifier: Apache-2.0
"""`applevz guest-agent`: the guest's agent as a service of a system, or written out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .._host.guest_agent import agent_program
from .._host.guest_services import OPENRC, SYSTEMD, install
from ..errors import make_posix
from .options import Usage

__all__ = ["guest_agent_command"]


def guest_agent_command(arguments: argparse.Namespace) -> int:
    chosen = [arguments.install, arguments.export is not None, arguments.print_service is not None]
    if sum(chosen) != 1:
        raise Usage("give one of --install, --export and --print-service.")
    if arguments.root is not None and not arguments.install:
        raise Usage("--root is for --install alone.")
    if arguments.print_service is not None:
        sys.stdout.write({"systemd": SYSTEMD, "openrc": OPENRC}[arguments.print_service].text)
    elif arguments.export is not None:
        _write_program(arguments.export)
    else:
        changed = install("/" if arguments.root is None else arguments.root)
        for path in changed:
            print(f"written: {path}")
        if not changed:
            print("The agent was installed like this already.")
    return 0


def _write_program(file: str) -> None:
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
