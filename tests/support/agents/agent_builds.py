# SPDX-License-Identifier: Apache-2.0
"""The guest agent as tests run it: built for this host, under the sanitizers."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from places import ROOT
from processes import locked

AGENT = ROOT / "native" / "agent"
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")


# Where ziglang keeps the C libraries that it has compiled: each takes it a minute of a processor, once.
ZIG_CACHE = {"ZIG_GLOBAL_CACHE_DIR": str(ROOT / "build" / "tests" / "zig")}
FIRST_BUILD = 900.0


def build_for(target: str, output: Path) -> Path:
    """The agent for guests of any processor, built by ziglang."""
    command: list[str | Path] = [sys.executable, AGENT / "build.py", "--target", target, "--output", output]
    subprocess.run(command, check=True, timeout=FIRST_BUILD, env={**os.environ, **ZIG_CACHE})
    return output


def build_module() -> ModuleType:
    specification = importlib.util.spec_from_file_location("applevz_agent_build", AGENT / "build.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@functools.cache
def sanitized_agent() -> Path:
    """With the C library of this host, which the sanitizers need. Its exit status tells of leaks as well."""
    build = build_module()
    program: Path = ROOT / "build" / "tests" / "guest-agent-sanitized"
    inputs = [*AGENT.glob("*.[ch]"), Path(__file__)]
    # Tests in another process may want it, too.
    with locked(program.with_name(f".{program.name}.lock")):
        if program.exists() and all(path.stat().st_mtime_ns <= program.stat().st_mtime_ns for path in inputs):
            return program
        temporary = program.with_name(f".{program.name}")
        command = ["clang", "-g", "-O1", *SANITIZERS, *build.WARNINGS, *build.definitions(), *build.sources()]
        subprocess.run([*command, "-Werror", "-o", temporary], check=True)
        temporary.replace(program)
    return program
