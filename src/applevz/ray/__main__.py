# SPDX-License-Identifier: Apache-2.0
"""`python -m applevz.ray`: what a node's administrator asks of its host."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from ..errors import Error
from . import contents, remove_contents, resources
from ._hosts import describe_host

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. 0 if all went well; `resources` gives 1 on a host that can run no machines."""
    words = "A node's part of machines on many hosts."
    parser = argparse.ArgumentParser(prog="python -m applevz.ray", description=words)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("resources", help="print what this host gives to a cluster, for ray start --resources")
    commands.add_parser("contents", help="list the states and images that this host keeps")
    remove = commands.add_parser("remove", help="remove them, but for what is in use")
    remove.add_argument("sha256", nargs="?", help="only what has this checksum")
    given = parser.parse_args(arguments)
    try:
        if given.command == "resources":
            return _resources()
        found = contents() if given.command == "contents" else remove_contents(given.sha256)
    except Error as error:
        print(error, file=sys.stderr)
        return 1
    for one in found:
        print(json.dumps(asdict(one)))
    return 0


def _resources() -> int:
    print(json.dumps(resources()))
    missing = describe_host().missing
    for name, reason in missing:
        print(f"{name}: {reason}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
