# SPDX-License-Identifier: Apache-2.0
"""`applevz check`: goes through what only the host itself can tell, and prints it as a report to send back.

Apple's documentation leaves things open that this package has to rely on: in which order the framework tells what
happened, what it has for a missing file, what it does to a descriptor that it was given. Each is an item here, with
what is documented, what the package assumes, and what this host did. Nothing is judged: the reader compares.

An item runs in a process of its own (`child`), for a limited time (`runner`). One that raises, hangs or is killed loses
what it had not said yet, and nothing else.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from contextlib import nullcontext
from typing import IO

from .item import Item, Options

__all__ = ["all_items", "check"]

def all_items() -> list[Item]:
    """The check list, in its order."""
    # Here, and not with the module: a child imports what its own item needs.
    from . import descriptors, files, host, life, processes, pythons

    return [item for module in (host, pythons, files, descriptors, life, processes) for item in module.ITEMS]


def check(arguments: argparse.Namespace) -> int:
    """The command: 0 if every item came to its end."""
    items = all_items()
    if arguments.list:
        print("\n".join(f"{item.name:<18} {item.title}" for item in items))
        return 0
    names = {item.name for item in items}
    unknown = [name for name in arguments.only if name not in names]
    if unknown:
        return _refused(f"there is no item {unknown[0]!r}; --list shows all.")
    for name, file in (("kernel", arguments.kernel), ("initrd", arguments.initrd)):
        if file and not os.path.isfile(file):
            return _refused(f"--{name} {file} is no file.")
    try:
        # Before all that takes its time.
        json_file = open(arguments.json, "w", encoding="utf-8") if arguments.json else None  # noqa: SIM115
    except OSError as error:
        return _refused(f"--json {arguments.json} cannot be written: {error.strerror}.")
    chosen = [item for item in items if not arguments.only or item.name in arguments.only]
    options = Options(
        # A child may have another folder.
        kernel=os.path.abspath(arguments.kernel) if arguments.kernel else None,
        initrd=os.path.abspath(arguments.initrd) if arguments.initrd else None,
        command_line=arguments.command_line,
        memory=arguments.memory,
        answers=arguments.answer,
        ready=arguments.ready,
        timeout=arguments.timeout,
    )
    with json_file or nullcontext():
        return _report(chosen, options, json_file)


def _refused(words: str) -> int:
    print(f"applevz: {words}", file=sys.stderr)
    return 2


def _report(items: list[Item], options: Options, json_file: IO[str] | None) -> int:
    from .. import __version__
    from .report import Private, as_data, as_markdown
    from .runner import Outcome, run

    outcomes: list[Outcome] = []
    interrupted = False
    try:
        for number, item in enumerate(items, 1):
            # Not among the lines of the report, which may go to a file.
            print(f"{number}/{len(items)} {item.title} …", file=sys.stderr, flush=True)
            outcomes.append(run(item, options))
    except KeyboardInterrupt:
        interrupted = True
        print("applevz: interrupted; the report ends here.", file=sys.stderr)
    report = as_data(outcomes, __version__, Private())
    if json_file is not None:
        json.dump(report, json_file, indent=1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Whatever an error has in it can be shown.
        sys.stdout.reconfigure(errors="backslashreplace")
    print(as_markdown(report), end="", flush=True)
    if interrupted:
        return 130
    return 0 if all(outcome.came_to_its_end for outcome in outcomes) else 1
