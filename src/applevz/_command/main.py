# SPDX-License-Identifier: Apache-2.0
"""The entry of the command line: `main`, of the console script `applevz` and of `python -m applevz`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from ..errors import Error
from .failures import FAILED, INTERRUPTED, Interrupted, Stopped, show, show_words
from .plain import run_plain
from .verbosity import is_verbose, verbose_again

__all__ = ["main"]


def main(words: Sequence[str] | None = None) -> int:
    """Does what the words say, those of the process unless others are given, and returns the exit status."""
    words = sys.argv[1:] if words is None else list(words)
    was_verbose = is_verbose()
    try:
        return _ended(_program(), words)
    finally:
        verbose_again(was_verbose)


def _program() -> Callable[[Sequence[str]], int]:
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ImportError:
        return run_plain
    from .commands import run_commands

    return run_commands


def _ended(program: Callable[[Sequence[str]], int], words: Sequence[str]) -> int:
    try:
        return program(words)
    except Error as error:
        show(error)
        return FAILED
    except (KeyboardInterrupt, Interrupted) as interruption:
        _interrupted(str(interruption))
        return INTERRUPTED
    except Stopped as stopped:
        return 128 + stopped.number
    except BrokenPipeError:
        # The reader of the output has gone: nobody is left to be told.
        sys.stdout = None
        return FAILED


def _interrupted(left: str) -> None:
    # The terminal has shown ^C.
    print(file=sys.stderr)
    show_words(f"interrupted{left and f'; {left}'}.")
