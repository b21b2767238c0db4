# SPDX-License-Identifier: Apache-2.0
"""Commands as data, of which both argparse and click make a command line."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click

__all__ = ["VERBOSE", "Option", "PlainCommand", "Usage"]

VERBOSE = "show what is done, and of an error all that is known"


class Usage(Exception):  # noqa: N818  # no error of the program's: the words make no sense together
    """What was asked for makes no sense. The message says why."""


@dataclass(frozen=True)
class Option:
    """An option. Without `metavar` and `choices` it is a flag."""

    flag: str
    help: str
    metavar: str | tuple[str, str] | None = None
    """What stands for its value; two of them for an option with two values."""
    choices: tuple[str, ...] = ()
    default: Any = None
    multiple: bool = False
    """It can be repeated; its value is a list."""
    kind: type = str

    @property
    def is_flag(self) -> bool:
        return self.metavar is None and not self.choices

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        if self.is_flag:
            parser.add_argument(self.flag, action="store_true", help=self.help)
            return
        keywords: dict[str, Any] = {"help": self._help(), "default": [] if self.multiple else self.default}
        if self.multiple:
            keywords["action"] = "append"
        if self.choices:
            keywords["choices"] = self.choices
        else:
            keywords |= {"metavar": self.metavar, "type": self.kind}
        if isinstance(self.metavar, tuple):
            keywords["nargs"] = len(self.metavar)
        parser.add_argument(self.flag, **keywords)

    def for_click(self) -> click.Option:
        import click

        if self.is_flag:
            return click.Option([self.flag], is_flag=True, help=self.help)
        keywords: dict[str, Any] = {"help": self._help(), "multiple": self.multiple}
        if not self.multiple:
            keywords["default"] = self.default
        if isinstance(self.metavar, tuple):
            keywords |= {"nargs": len(self.metavar), "metavar": " ".join(self.metavar)}
        else:
            keywords["metavar"] = self.metavar
        keywords["type"] = click.Choice(self.choices) if self.choices else self.kind
        return click.Option([self.flag], **keywords)

    def _help(self) -> str:
        # A default that is no text says nothing to a reader; argparse would have a sign of per cent formatted.
        return self.help if self.default is None else f"{self.help} ({self.default})"


@dataclass(frozen=True)
class PlainCommand:
    """A command that takes no package besides this one."""

    name: str
    help: str
    description: str
    options: tuple[Option, ...]
    function: str
    """What it does, as `module:name`: is given the options, and returns the exit status."""

    def run(self, values: Mapping[str, Any]) -> int:
        module, _, name = self.function.partition(":")
        function: Callable[[argparse.Namespace], int] = getattr(importlib.import_module(module), name)
        return function(argparse.Namespace(**values))
