# SPDX-License-Identifier: Apache-2.0
"""`applevz completion`: what a shell needs to complete the words of this command."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]


@click.command("completion", short_help="print what a shell needs to complete commands and options")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Prints the script by which a shell completes commands, options, images and files.

    \b
    bash:  echo 'eval "$(applevz completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(applevz completion zsh)"' >> ~/.zshrc
    fish:  applevz completion fish > ~/.config/fish/completions/applevz.fish
    """
    from .commands import APPLEVZ  # which imports this module

    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"This version of click completes nothing in {shell}.")
    click.echo(kind(APPLEVZ, {}, "applevz", "_APPLEVZ_COMPLETE").source())
    return 0
