# SPDX-License-Identifier: Apache-2.0
"""Roots of Debian's releases with a few packages and nothing else, made by mmdebstrap, and programs in them. They are
for root, and are kept from one run to the next."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from places import ROOT

ROOTS = ROOT / "build" / "roots"
# What is mounted is nobody else's, and gone with the program, as all is that it started.
PRIVATE = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child")
ENTER = """
mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount -t tmpfs -o mode=1777 shm "$1/dev/shm" || exit 125
root=$1
shift
exec chroot "$root" /usr/bin/env -i "$@"
"""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


class BareRoot:
    """A release's root, which has no more than the packages that are named."""

    def __init__(self, release: str, packages: Sequence[str], mirror: str | None) -> None:
        self.release = release
        self.folder = ROOTS / release
        made = self.folder / "made-of"
        wanted = " ".join(packages)
        if made.is_file() and made.read_text(encoding="utf-8") == wanted:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        ROOTS.mkdir(parents=True, exist_ok=True)
        command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}", release, str(self.folder)]
        subprocess.run([*PRIVATE[:4], *command, *([mirror] if mirror else [])], check=True, capture_output=True)
        made.write_text(wanted, encoding="utf-8")

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = [f"{name}={value}" for name, value in (ENVIRONMENT | variables).items()]
        words = [*PRIVATE, "sh", "-c", ENTER, "enter", str(self.folder), *environment, *command]
        return subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)

    def output(self, *command: str, **variables: str) -> str:
        done = self.run(*command, **variables)
        assert done.returncode == 0, f"{command}: {done.stderr}\n{done.stdout}"
        return done.stdout

    def fresh(self, name: str) -> Path:
        """A new, empty folder below the root's own."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder


def skip_unless_possible() -> None:
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap is not installed: `make test-wheel` does")
    if os.geteuid() != 0:
        pytest.skip("only root has roots of other releases")
