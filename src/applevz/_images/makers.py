# SPDX-License-Identifier: Apache-2.0
"""The programs that images are made by: found, run to their end with dates that do not change, named if missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from ..errors import InternalError, NotSupportedError, make
from .programs import running
from .task import Task

__all__ = ["DATE", "check_makers", "find_maker", "run_maker"]

# 1 January 2000, as seeds have it.
DATE: Final = 946684800


def check_makers(packages: Mapping[str, str]) -> None:
    """Raises `NotSupportedError` unless each program is there. The packages of those that are not are told together."""
    missing = [program for program in packages if find_maker(program) is None]
    if not missing:
        return
    one = len(missing) == 1
    needed = " ".join(dict.fromkeys(packages[program] for program in missing))
    raise make(
        NotSupportedError,
        "No Debian can be made on this host.",
        f"The program{'' if one else 's'} {', '.join(missing)} {'is' if one else 'are'} not installed.",
        f"Install {'it' if one else 'them'}: on Debian and Ubuntu `apt-get install {needed}`.",
    )


def find_maker(program: str) -> str | None:
    """Programs of the administrator's are not on the path of every user."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def run_maker(
    task: Task,
    what: str,
    *words: str,
    good: Sequence[int] = (0,),
    is_group: bool = False,
    stdin: Path | None = None,
    printed: Callable[[bytes], object] | None = None,
) -> None:
    """Runs a program to its end, with a file as its input. `printed` is given the last of its errors, again and again.

    Raises `InternalError` with its reason if it fails.
    """
    environment = {"SOURCE_DATE_EPOCH": str(DATE), "E2FSPROGS_FAKE_TIME": str(DATE), "E2FSCK_TIME": str(DATE)}
    environment |= {"DEBIAN_FRONTEND": "noninteractive", "TZ": "UTC"}
    command = [find_maker(words[0]) or words[0], *words[1:]]
    with (
        open(stdin or os.devnull, "rb") as file,
        running(command, environment=environment, is_group=is_group, stdin=file.fileno()) as program,
    ):
        for _ in program.steps(task):
            if printed is not None:
                printed(program.errors)
        if program.status in good:
            return
        lines = program.errors.decode(errors="replace").splitlines()
        told = [line for line in lines if line.startswith("E: ")] or [program.reason]
        suggestion = "Look whether the release, the packages and the mirror are there, and whether there is room."
        raise make(InternalError, f"{what} failed.", " ".join(told[:3])[:1000], suggestion)
