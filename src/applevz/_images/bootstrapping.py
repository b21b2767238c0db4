# SPDX-License-Identifier: Apache-2.0
"""The system of a Debian made here, by mmdebstrap: as root, or as another user in a namespace or by fakechroot."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from ..errors import InternalError, NotSupportedError, make
from .makers import find_maker, run_maker
from .programs import running
from .task import Task

__all__ = ["DISK", "DONE", "FILE_SYSTEM", "bootstrap", "way"]

# What is mounted is nobody else's, and is gone with the program, whatever ends it.
_PRIVATE: Final = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc")
# What mmdebstrap needs in its mode of that name: the user's subordinate numbers, and to mount there.
_NAMESPACE: Final = ("unshare", "--user", "--map-auto", "--map-root-user", "--mount", "--pid", "--fork")
# No pages of manuals, no translations: half of the files.
_LEFT_OUT: Final = ("man", "doc", "locale", "info")
# What mmdebstrap prints as it begins a step, and the stage of it. Two steps follow that are not its own.
_STEPS: Final = (
    (b"I: running apt-get update", "packages"),
    (b"I: downloading packages", "packages"),
    (b"I: extracting archives", "install"),
    (b"I: installing essential packages", "install"),
    (b"I: installing remaining packages", "install"),
    (b"I: running --customize-hook", "install"),
    (b"I: creating tarball", "disk"),
)
FILE_SYSTEM: Final = len(_STEPS)
DISK: Final = FILE_SYSTEM + 1
DONE: Final = DISK + 1


def way(task: Task) -> tuple[list[str], str]:
    """What mmdebstrap is run by, and its mode. Raises `NotSupportedError` if this user has none that works."""
    if os.geteuid() == 0:
        # Without the right to mount, mmdebstrap mounts nothing.
        return ([] if _refusal(task, _PRIVATE) else [*_PRIVATE]), "root"
    refusal = _refusal(task, _NAMESPACE)
    if refusal is None:
        return [], "unshare"
    missing = [program for program in ("fakechroot", "fakeroot") if find_maker(program) is None]
    if not missing:
        return [], "fakechroot"
    raise make(
        NotSupportedError,
        "No Debian can be made by this user.",
        f"It has no namespace of users with numbers of its own ({refusal}), and {missing[0]} is not installed.",
        "Install uidmap, and give the user 65536 numbers in /etc/subuid and in /etc/subgid; or install fakechroot and "
        "fakeroot; or be root.",
    )


def _refusal(task: Task, words: Sequence[str]) -> str | None:
    """Why a program cannot be run by these words; None if it can be."""
    with running([*words, "env", "true"]) as program:
        return None if program.finish(task) == 0 else program.reason


def bootstrap(
    task: Task,
    image: Path,
    files: Path,
    copies: Mapping[str, Path],
    *,
    release: str,
    architecture: str,
    packages: Sequence[str],
    mirror: str | None,
) -> None:
    """Makes a file system (ext2) of the packages and of the archive `files`. `copies` are patterns of files in it, and
    where each is copied to."""
    hooks = [f"tar-in {shlex.quote(str(files))} /"]
    # The console is there before the system's programs, which look once whether it is.
    hooks.append('echo virtio_console >>"$1/etc/initramfs-tools/modules" && chroot "$1" update-initramfs -u')
    for pattern, path in copies.items():
        hooks.append(f'cp "$1"/{pattern} "$1"/applevz-copy')
        hooks.append(f"download /applevz-copy {shlex.quote(str(path))}")
        hooks.append('rm "$1"/applevz-copy')
    before, mode = way(task)
    command = ["mmdebstrap", f"--mode={mode}", "--variant=minbase", "--format=ext2", f"--architectures={architecture}"]
    command.append(f"--include={','.join(packages)}")
    command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    command += [f"--customize-hook={hook}" for hook in hooks]
    command += [release, str(image), *([mirror] if mirror else [])]
    if mode == "root":
        command = [*before, "env", f"TMPDIR={image.parent}", *command]
    run_maker(task, "mmdebstrap", *command, is_group=True, printed=_teller(task))
    for path in copies.values():
        if not path.is_file() or not path.stat().st_size:
            raise make(InternalError, "mmdebstrap failed.", f"It made no {path.name}.")


def _teller(task: Task) -> Callable[[bytes], None]:
    """What tells how far mmdebstrap is, of the last that it printed."""
    told = -1

    def tell(printed: bytes) -> None:
        nonlocal told
        reached = max((index for index, (words, _) in enumerate(_STEPS) if words in printed), default=-1)
        if reached > told:
            told = reached
            task.tell(_STEPS[reached][1], reached, DONE)

    return tell
