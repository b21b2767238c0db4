# SPDX-License-Identifier: Apache-2.0
"""The command line with click: which commands there are, and where each is. A command is imported when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Final

import click

from .. import __version__
from .failures import Interrupted
from .options import VERBOSE, PlainCommand, Usage
from .plain import PLAIN_COMMANDS
from .verbosity import be_verbose

__all__ = ["APPLEVZ", "add_verbose", "program", "run_commands"]

# In the order of the help.
_MODULES: Final = {
    "run": "applevz._command.run:run",
    "copy": "applevz._command.copy:copy",
    "image": "applevz._command.image:image",
    "state": "applevz._command.state:state",
    "demo": "applevz._command.demo:demo",
    "capabilities": "applevz._command.show_capabilities:show_capabilities",
    "doctor": "",
    "sign": "",
    "guest-agent": "",
    "check": "",
    "completion": "applevz._command.completion:completion",
}
_PLAIN: Final = {command.name: command for command in PLAIN_COMMANDS}


def add_verbose(command: click.Command) -> click.Command:
    """Gives a command, and those below it, the option --verbose."""

    def chosen(context: click.Context, option: click.Parameter, value: bool) -> None:
        if value:
            be_verbose()

    if not any(option.name == "verbose" for option in command.params):
        command.params.append(
            click.Option(
                ["-v", "--verbose"], is_flag=True, is_eager=True, expose_value=False, callback=chosen, help=VERBOSE
            )
        )
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            add_verbose(inner)
    return command


def _of_plain(command: PlainCommand) -> click.Command:
    def run(**values: Any) -> int:
        try:
            return command.run(values)
        except Usage as error:
            raise click.UsageError(str(error)) from None

    options: list[click.Parameter] = [option.for_click() for option in command.options]
    return click.Command(
        command.name, callback=run, params=options, help=command.description, short_help=command.help
    )


class _Applevz(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interruption:
            # click would have words of its own for it.
            raise Interrupted(str(interruption)) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _PLAIN:
            return add_verbose(_of_plain(_PLAIN[cmd_name]))
        if cmd_name not in _MODULES:
            return None
        module, _, name = _MODULES[cmd_name].partition(":")
        found: click.Command = getattr(importlib.import_module(module), name)
        return add_verbose(found)


APPLEVZ: Final = _Applevz(
    "applevz",
    help="Virtual machines. A machine belongs to the command that runs it, and ends with it.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
)
add_verbose(APPLEVZ)
APPLEVZ.params.append(
    click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        help="print the version, and end",
        callback=lambda context, option, value: _tell_version(context) if value else None,
    )
)


def _tell_version(context: click.Context) -> None:
    click.echo(f"applevz {__version__}")
    context.exit()


def program(words: Sequence[str]) -> int:
    """Does what the words say. Raises what the command raises."""
    try:
        status = APPLEVZ.main(list(words), prog_name="applevz", standalone_mode=False)
    except click.Abort as abort:
        # Ctrl-C before a command was found.
        raise Interrupted from abort
    return status if isinstance(status, int) else 0


def run_commands(words: Sequence[str]) -> int:
    try:
        return program(words)
    except click.ClickException as error:
        error.show()
        return error.exit_code
