# SPDX-License-Identifier: Apache-2.0
"""Whoever catches FileNotFoundError, PermissionError, FileExistsError or IsADirectoryError where a file cannot be used
catches the same however little the framework says of it, with errno, filename, strerror, and words that name the field
and a cure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import debug_build
import played_mac
from native_programs import Programs

if sys.platform == "darwin":
    pytest.skip("a Mac need not be played", allow_module_level=True)

PROGRAM = """
import sys
sys.path.append(sys.argv[1])
import pathlib, refused_files
refused_files.main(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
"""
ALWAYS = {
    "attach", "console port", "disk", "disk that is read", "initial RAM disk", "kernel", "restore_state", "save_state",
    "save_state over", "serial port", "server", "start", "start anew", "suspend", "USB disk",
}  # fmt: skip


def check(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["wrong"] == {}
    assert set(result["tried"]) >= ALWAYS


@pytest.fixture
def arguments(tmp_path: Path, guest_files: Path) -> list[str]:
    return [str(Path(__file__).parent), str(tmp_path), str(guest_files / "vmlinux")]


def test_a_file_that_cannot_be_used_is_the_builtin_that_fits(arguments: list[str]) -> None:
    check(debug_build.run(PROGRAM, *arguments))


@pytest.mark.parametrize("refusal", played_mac.KEYS["refusal"][0])  # type: ignore[arg-type]
def test_it_is_so_however_the_framework_refuses(arguments: list[str], refusal: str) -> None:
    check(played_mac.run(PROGRAM, *arguments, policy={"refusal": refusal}))


@pytest.mark.parametrize("flavour", ["O0", "address"])
def test_an_error_tells_of_the_system_and_a_look_changes_nothing(tmp_path: Path, flavour: str) -> None:
    result = Programs("bridge", [], bridge=True).run("refusals", flavour, str(tmp_path))
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_a_file_system_that_is_full_is_seen(tmp_path: Path) -> None:
    program = Programs("bridge", [], bridge=True).executable("refusals", "O0")
    for name in ("empty", "full"):
        (tmp_path / name).mkdir()
    enter = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    full = tmp_path / "full"
    fill = f"mount -t tmpfs -o size=64k tmpfs {full} && (cat /dev/zero >{full}/file 2>/dev/null; true) || exit 77"
    command: list[str | Path] = [*enter, "sh", "-c", f'{fill}; exec "$@"', "sh", program, tmp_path / "empty", full]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("this user may make no mount namespaces")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
