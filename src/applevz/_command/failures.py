# SPDX-License-Identifier: Apache-2.0
"""How an error is shown: what happened, why, and a hint. `--verbose` shows the native errors and where they came from.

An exit status is 0, 1 for what failed, 2 for words that make no sense, or that of a program in a guest. `run` with a
program has others for its own failures, as env, docker and podman do: a program's own may be 1.
"""

from __future__ import annotations

import sys
import traceback
from typing import Final

from ..errors import CFError, DownloadError, Error, TimeoutError
from .verbosity import is_verbose

__all__ = [
    "BROKEN_PIPE", "CANNOT_RUN", "FAILED", "INTERRUPTED", "NOT_FOUND", "RUN_FAILED", "Interrupted", "Stopped", "show",
    "show_words",
]  # fmt: skip

FAILED: Final = 1
# Of `run` with a program: it could not come so far; the program cannot be run; there is none of that name.
RUN_FAILED: Final = 125
CANNOT_RUN: Final = 126
NOT_FOUND: Final = 127
# 128 and the number of the signal.
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

_DEEPEST: Final = 16
# What WITHOUT_DOWNLOAD says, for a shell.
_WITHOUT_DOWNLOAD: Final = (
    "Without that server: `applevz run ./FILE` takes an image that is here, `applevz image build-debian trixie` makes "
    "a Debian of a mirror's packages and prints its path for `applevz run`, and `applevz image pull ADDRESS --checksum "
    "SUM` does so with the file of a mirror."
)


class Interrupted(Exception):  # noqa: N818  # no error: somebody wanted it
    """Ctrl-C. The message says what is left."""


class Stopped(Exception):  # noqa: N818  # no error: somebody wanted it
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def show(error: Error, hint: str = "") -> None:
    """Two lines and a hint."""
    suggestion = " ".join(part for part in (error.recovery_suggestion, hint) if part)
    if isinstance(error, DownloadError):
        from .._images.transport import WITHOUT_DOWNLOAD

        suggestion = suggestion.replace(WITHOUT_DOWNLOAD, _WITHOUT_DOWNLOAD)
    if isinstance(error, TimeoutError) and not suggestion:
        suggestion = "--timeout allows more."
    show_words(error.localized_description, error.failure_reason or "", suggestion)
    if is_verbose():
        native: CFError | None = error.error
        for _ in range(_DEEPEST):
            if native is None:
                break
            print(f"  ({native.domain} {native.code}: {native.localized_description})", file=sys.stderr)
            native = native.underlying
        print("".join(traceback.format_exception(error)).rstrip(), file=sys.stderr)


def show_words(what: str, why: str = "", hint: str = "") -> None:
    # Apple's sentence for an error is followed by its reason.
    lines = [f"applevz: {what if what == why else what.removesuffix(why).rstrip()}"]
    if why and why != what:
        lines.append(f"  {why}")
    if hint:
        lines.append(f"  hint: {hint}")
    print("\n".join(lines), file=sys.stderr)
