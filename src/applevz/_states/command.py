# SPDX-License-Identifier: Apache-2.0
"""`python -m applevz states`: saved states, for those who type."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from .._images.progress_line import Line
from ..errors import Error
from .checking import Check, check_state
from .removal import remove_state
from .saved_state import SavedDisk, SavedState, inspect_state
from .tree import list_states, states_needing

__all__ = ["add_state_arguments", "state_command"]


def add_state_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", metavar="DIR", help="list the states in a folder, as a tree")
    what.add_argument("--inspect", metavar="FILE", help="show what a state says of itself")
    what.add_argument("--check", metavar="FILE", help="read all of a state, and whether it is as it was saved")
    what.add_argument("--remove", metavar="FILE", help="remove a state, and show those that came of it")
    parser.add_argument("--needing", metavar="IMAGE", help="list only those that need that image of a disk")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="that --check may take (no limit)")


def state_command(arguments: argparse.Namespace) -> int:
    if arguments.list is not None:
        return _list(arguments.list, arguments.needing)
    if arguments.inspect is not None:
        _show(inspect_state(arguments.inspect))
    elif arguments.check is not None:
        with Line() as line:
            state = check_state(Check(arguments.timeout, line.show, arguments.check), arguments.check)
        print(f"whole: {_shown(state.path)}")
    else:
        _show_orphans(remove_state(arguments.remove), arguments.remove)
    return 0


def _shown(text: str) -> str:
    """What somebody else wrote, on one line of a terminal."""
    words = "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)
    return words if len(words) <= 200 else f"{words[:160]}…{words[-30:]}"


def _size(length: int | None) -> str:
    return "-" if length is None else f"{length / (1 << 20):.0f} MiB"


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def _list(folder: str, image: str | None) -> int:
    refused: list[tuple[str, Error]] = []
    if image is not None:
        states = states_needing(image, folder)
    else:
        states = list_states(folder, lambda path, error: refused.append((path, error)))
    for state in states:
        name = "  " * min(state.depth, 40) + _shown(os.path.basename(state.path))
        bases = ", ".join(_shown(disk.path) for disk in state.disks if disk.path is not None)
        size = _size(state.size_on_disk)
        print(f"{name:<32}  {_day(state.made)}  {size:>10}  QEMU {_shown(state.qemu_version)}  {bases}".rstrip())
    for path, error in refused:
        print(f"not readable: {_shown(path)}: {error.failure_reason}", file=sys.stderr)
    return 1 if refused else 0


def _show(state: SavedState) -> None:
    rows = {
        "file": _shown(state.path),
        "identifier": state.identifier,
        "parent": state.parent or "-",
        "made": f"{_day(state.made)} UTC",
        "on disk": f"{_size(state.size_on_disk)} of {_size(state.size)}",
        "format": str(state.format_version),
        "QEMU": _shown(state.qemu_version),
        "machine": _shown(f"{state.machine_type or '-'}, {state.accelerator or '-'}, {state.processor or '-'}"),
        "processors": str(state.cpu_count or "-"),
        "memory": _size(state.memory_size),
    }
    for name, words in rows.items():
        print(f"{name:<12}{words}")
    for disk in state.disks:
        print(f"{'disk':<12}{_words_of(disk)}")


def _words_of(disk: SavedDisk) -> str:
    held = "not in the state" if disk.held is None else f"{_size(disk.held)} in the state"
    path = "an image" if disk.path is None else _shown(disk.path)
    found = "as it was" if disk.fits() else "changed or gone"
    return f"{_shown(disk.device)}, {_size(disk.size)}, {held}; needs {path} ({found})"


def _show_orphans(states: Sequence[SavedState], path: str) -> None:
    print(f"removed: {_shown(path)}")
    for state in states:
        print(f"without a parent now, but whole: {_shown(state.path)}")
