# SPDX-License-Identifier: Apache-2.0
"""The command line: words of the program, and one guest's saved state that most tests go on from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import applevz
from command_line import PROGRAM, Applevz

pytest.importorskip("click")
pytest.importorskip("rich")


@pytest.fixture(scope="session")
def applevz_command() -> Applevz:
    """Runs the command line with those words, without a terminal."""

    def run(*words: object, text: str = "") -> subprocess.CompletedProcess[str]:
        line = [*PROGRAM, *map(str, words)]
        return subprocess.run(line, input=text, capture_output=True, text=True, timeout=250)

    return run


@pytest.fixture(scope="session")
def guest_words(guest_files: Path) -> list[str]:
    """The options of the default guest."""
    files = ["--kernel", str(guest_files / "vmlinux"), "--initrd", str(guest_files / "initrd.cpio.gz")]
    return [*files, "--memory", "256MiB", "--cpus", "1"]


@pytest.fixture(scope="module")
def state(applevz_command: Applevz, guest_words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state that `applevz run --save` made of the default guest, with a file in it."""
    for capability in (applevz.capabilities.guest_agent, applevz.capabilities.saved_state_inspection):
        if not capability:
            pytest.skip(f"{capability.name}: {capability.reason}")
    path = tmp_path_factory.mktemp("states") / "ready.state"
    # The agent answers before there is a shell on the console.
    script = "until ps | grep -q '[s]h -i'; do sleep 0.1; done; echo kept > /root/kept"
    made = applevz_command("run", *guest_words, "--save", path, "--", "sh", "-c", script)
    assert (made.returncode, made.stdout, made.stderr) == (0, "", f"applevz: saved to {path}\n")
    return path
