# SPDX-License-Identifier: Apache-2.0
"""`applevz demo`: a guest walked through its life, with an agent and without one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import applevz

STEPS = [
    *("made", "started", "first output", "ready", "agent answered", "paused", "resumed", "command typed", "answered"),
    *("command run", "asked to shut down", "stopped"),
]
OF_AGENT = {"agent answered", "command run"}


@pytest.mark.parametrize("words", [[], ["--no-guest-agent"]], ids=["agent", "no agent"])
def test_every_step_of_a_guest_s_life_happens(guest_files: Path, words: list[str]) -> None:
    files = ["--kernel", str(guest_files / "vmlinux"), "--initrd", str(guest_files / "initrd.cpio.gz")]
    command = [sys.executable, "-m", "applevz", "demo", *files, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    has_agent = bool(applevz.capabilities.guest_agent) and not words
    expected = [step for step in STEPS if has_agent or step not in OF_AGENT]
    assert re.findall(r"^--- (.*)$", done.stdout, re.MULTILINE) == expected
    assert bool(re.search(r"^Linux \S+ \S+$", done.stdout, re.MULTILINE)) is has_agent


def test_a_walk_whose_answer_does_not_come_fails_in_words(guest_files: Path) -> None:
    files = ["--kernel", str(guest_files / "vmlinux"), "--initrd", str(guest_files / "initrd.cpio.gz")]
    command = [sys.executable, "-m", "applevz", "demo", *files, "--answer", "never printed", "--timeout", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()
