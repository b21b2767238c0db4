# SPDX-License-Identifier: Apache-2.0
"""`applevz copy`: a file or a tree into a machine's guest, or out of it."""

from __future__ import annotations

import signal
from dataclasses import fields
from typing import Any, Final

import click

from .. import ShutdownPolicy
from .machine_options import MachineOptions, complete_image, machine_options
from .machines import copy_into, copy_out_of, ended_by_signals, prepare_guest, running

__all__ = ["copy"]

_GUEST: Final = "guest:"


@click.command("copy", short_help="copy files out of a machine's guest, or into it")
@click.option("--image", metavar="IMAGE", shell_complete=complete_image, help="an image, as debian:13 or ./disk.qcow2")
@machine_options
@click.argument("source")
@click.argument("target")
def copy(source: str, target: str, **chosen: Any) -> int:
    """Runs a machine, copies SOURCE to TARGET, and ends it. One of the two begins with `guest:`, and is the guest's.

    What is copied out of a saved state, or out of an image, leaves that as it is. What is copied in stays where the
    disk lasts: --lasting-disk of an image, --efi, --disk. The guest is shut down then.

    \b
    applevz copy --from ready.state guest:/var/log/dmesg .
    applevz copy --image debian:13 --lasting-disk work.img ./site guest:/srv/
    """
    names = {one.name for one in fields(MachineOptions)}
    options = MachineOptions(**{name: value for name, value in chosen.items() if name in names})
    options.check()
    is_in = target.startswith(_GUEST)
    if is_in == source.startswith(_GUEST):
        raise click.UsageError("One of SOURCE and TARGET begins with guest:, and the other one does not.")
    if options.no_agent:
        raise click.UsageError("Copying is the agent's work: leave --no-agent out.")
    try:
        with ended_by_signals((signal.SIGTERM, signal.SIGHUP)), running(options, True, None, False) as machine:
            prepare_guest(machine, options, True)
            if is_in:
                copy_into(machine, source, target.removeprefix(_GUEST))
                # The guest may have written nothing to its disk yet.
                machine.shutdown(ShutdownPolicy.POWERDOWN)
            else:
                copy_out_of(machine, source.removeprefix(_GUEST), target)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the machine was stopped") from None
    return 0
