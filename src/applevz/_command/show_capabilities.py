# SPDX-License-Identifier: Apache-2.0
"""`applevz capabilities`: what this host can do, and why not."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import Capabilities, Capability, capabilities

__all__ = ["show_capabilities"]


@click.command("capabilities", short_help="say what this host can do, and why not")
@click.option("--json", "as_json", is_flag=True, help="print it as JSON")
def show_capabilities(as_json: bool) -> int:
    """Says what this host can do: each capability of `applevz.capabilities`, and where one is missing, why, and what
    would bring it. The exit status is 0, whatever is missing: `applevz doctor` judges."""
    names = [name for name, value in vars(Capabilities).items() if isinstance(value, property)]
    found: dict[str, Capability] = {name: getattr(capabilities, name) for name in names}
    if as_json:
        click.echo(json.dumps({name: _data(capability) for name, capability in found.items()}, indent=1))
        return 0
    table = Table("capability", "", "why not", box=SIMPLE_HEAD, pad_edge=False)
    for name, capability in found.items():
        words = "" if capability else " ".join(part for part in (capability.reason, _hint(capability)) if part)
        # Text: what somebody else wrote may look like rich's marks.
        table.add_row(name, Text("yes", "green") if capability else Text("no", "red"), Text(words))
    Console().print(table)
    return 0


def _hint(capability: Capability) -> str | None:
    return None if capability.error is None else capability.error.recovery_suggestion


def _data(capability: Capability) -> dict[str, Any]:
    return {"available": bool(capability), "reason": capability.reason, "suggestion": _hint(capability)}
