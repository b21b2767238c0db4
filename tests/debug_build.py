# SPDX-License-Identifier: Apache-2.0
"""The package as built for debugging, in which errors are counted; for programs that run in processes of their own."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

from processes import locked

ROOT = Path(__file__).resolve().parent.parent


@functools.cache
def folder() -> Path:
    """Where the debug build is, made once in a session; only what changed is compiled."""
    target = ROOT / "build" / "debug"
    command = [sys.executable, "setup.py", "--quiet", "build", "--build-base", str(target), "--build-lib", str(target)]
    environment = {**os.environ, "APPLEVZ_DEBUG": "1"}
    # Tests in another process may want it, too.
    with locked(target / ".lock"):
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def run(program: str, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Runs a Python program with the debug build."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(folder())},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
