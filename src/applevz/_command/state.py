# SPDX-License-Identifier: Apache-2.0
"""`applevz state`: saved states, looked into without a machine."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Any

import click

from .. import states
from ..errors import Error
from .progress import progress_bars
from .restoring import remove_beside
from .words import day, mebibytes, one_line

__all__ = ["state"]

_json = click.option("--json", "as_json", is_flag=True, help="print it as JSON")


@click.group("state", no_args_is_help=False, short_help="list saved states, look into them, check and remove them")
def state() -> None:
    """Saved states, without a machine. Each knows which one it came of. `applevz run --save` makes one, and `applevz
    run --from` goes on from it."""


@state.command("list")
@click.argument("folder", type=click.Path(), default=".")
@click.option("--needing", type=click.Path(), metavar="IMAGE", help="only those that need that image of a disk")
@_json
def list_all(folder: str, needing: str | None, as_json: bool) -> int:
    """Lists the saved states in a folder, as a tree. The exit status is 1 if one of them cannot be read."""
    refused: list[tuple[str, Error]] = []
    if needing is not None:
        found = states.needing(needing, folder)
    else:
        found = states.list(folder, refused=lambda path, error: refused.append((path, error)))
    if as_json:
        click.echo(json.dumps([_data(one) for one in found], indent=1))
    else:
        for one in found:
            name = "  " * min(one.depth, 40) + one_line(os.path.basename(one.path))
            bases = ", ".join(one_line(disk.path) for disk in one.disks if disk.path is not None)
            size = mebibytes(one.size_on_disk)
            line = f"{name:<32}  {day(one.made)}  {size:>10}  QEMU {one_line(one.qemu_version)}  {bases}"
            click.echo(line.rstrip())
    for path, error in refused:
        print(f"not readable: {one_line(path)}: {error.failure_reason}", file=sys.stderr)
    return 1 if refused else 0


@state.command("inspect")
@click.argument("file", type=click.Path())
@_json
def inspect(file: str, as_json: bool) -> int:
    """Shows what a saved state says of itself."""
    found = states.inspect(file)
    if as_json:
        click.echo(json.dumps(_data(found), indent=1))
        return 0
    rows = {
        "file": one_line(found.path),
        "identifier": found.identifier,
        "parent": found.parent or "-",
        "made": f"{day(found.made)} UTC",
        "on disk": f"{mebibytes(found.size_on_disk)} of {mebibytes(found.size)}",
        "format": str(found.format_version),
        "QEMU": one_line(found.qemu_version),
        "machine": one_line(f"{found.machine_type or '-'}, {found.accelerator or '-'}, {found.processor or '-'}"),
        "processors": str(found.cpu_count or "-"),
        "memory": mebibytes(found.memory_size),
    }
    for name, words in rows.items():
        click.echo(f"{name:<12}{words}")
    for disk in found.disks:
        click.echo(f"{'disk':<12}{_words_of(disk)}")
    return 0


def _words_of(disk: states.SavedDisk) -> str:
    held = "not in the state" if disk.held is None else f"{mebibytes(disk.held)} in the state"
    path = "an image" if disk.path is None else one_line(disk.path)
    found = "as it was" if disk.fits() else "changed or gone"
    return f"{one_line(disk.device)}, {mebibytes(disk.size)}, {held}; needs {path} ({found})"


def _data(found: states.SavedState) -> dict[str, Any]:
    return {**asdict(found), "fields": dict(found.fields)}


@state.command("check")
@click.argument("file", type=click.Path())
@click.option("--timeout", type=float, metavar="SECONDS", help="that it may take (no limit)")
def check(file: str, timeout: float | None) -> int:
    """Reads all of a saved state, and says whether it is as it was saved."""
    with progress_bars() as show:
        found = states.check(file, progress=show, timeout=timeout)
    click.echo(f"whole: {one_line(found.path)}")
    return 0


@state.command("remove")
@click.argument("file", type=click.Path())
def remove(file: str) -> int:
    """Removes a saved state, with what `applevz run --save` put beside it, and shows those that came of it."""
    orphans = states.remove(file)
    remove_beside(file)
    click.echo(f"removed: {one_line(file)}")
    for one in orphans:
        click.echo(f"without a parent now, but whole: {one_line(one.path)}")
    return 0
