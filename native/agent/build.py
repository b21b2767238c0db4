# SPDX-License-Identifier: Apache-2.0
"""Builds the guest agent: a static program for Linux, whatever this machine runs.

With clang and musl where Debian's musl-dev is installed, which is there for the machine's own processor; else, and for
other processors, with ziglang, which brings musl for all of them.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

AGENT = Path(__file__).resolve().parent
ROOT = AGENT.parent.parent
PROGRAM = "guest-agent"
# What processors are called elsewhere than in Linux.
PROCESSORS = {"AMD64": "x86_64", "amd64": "x86_64", "arm64": "aarch64"}
# Those of guests, by the names that Linux has for them.
GUEST_PROCESSORS = ("x86_64", "aarch64")
WARNINGS = ("-std=gnu11", "-Wall", "-Wextra", "-D_GNU_SOURCE")
FLAGS = (*WARNINGS, "-Os", "-ffunction-sections", "-fdata-sections")
HARDENING = ("-fstack-protector-strong", "-fno-strict-aliasing")
LINK_FLAGS = ("-static", "-s", "-Wl,--gc-sections", "-Wl,-z,noexecstack", "-Wl,-z,relro")


class NoCompiler(Exception):  # noqa: N818 - it says what is missing, not what went wrong
    """There is nothing that can build the agent; the message is a sentence."""


def host_processor() -> str:
    """The processor of this machine, by the name that Linux has for it."""
    machine = platform.machine()
    return PROCESSORS.get(machine, machine)


def version() -> str:
    text = (ROOT / "src" / "applevz" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__(?:: \w+)? = "([^"]+)"', text, re.MULTILINE)
    if found is None:
        raise ValueError("src/applevz/__init__.py names no version")
    return found.group(1)


def sources() -> list[str]:
    return [str(path) for path in sorted(AGENT.glob("*.c"))]


def definitions() -> list[str]:
    return [f'-DAGENT_VERSION="{version()}"']


def musl_command(clang: str | None, target: str) -> list[str] | None:
    """How clang does it; None where there is no clang, or no musl for that processor."""
    headers, libraries = Path(f"/usr/include/{target}-linux-musl"), Path(f"/usr/lib/{target}-linux-musl")
    if clang is None or target != host_processor() or not (libraries / "libc.a").is_file() or not headers.is_dir():
        return None
    begin = [str(libraries / name) for name in ("crt1.o", "crti.o")]
    # The compiler's own functions, should the code ever need one; Debian has no other place for them.
    return [
        *(clang, *FLAGS, *HARDENING, *definitions(), "-nostdinc", "-isystem", str(headers), "-fno-pie"),
        *("-nostdlib", *LINK_FLAGS, *begin, *sources(), str(libraries / "libc.a"), str(libraries / "crtn.o")),
    ]


def zig_command(target: str) -> list[str] | None:
    """How ziglang does it; None where it is not installed."""
    if importlib.util.find_spec("ziglang") is None:
        return None
    command = [sys.executable, "-m", "ziglang", "cc", "-target", f"{target}-linux-musl"]
    return [*command, *FLAGS, *HARDENING, *definitions(), *LINK_FLAGS, *sources()]


def build(output: Path, target: str | None = None, clang: str | None = None) -> Path:
    """Builds the agent for a processor, by default this machine's. Does nothing if it is there, built in the same way
    of the same files. Raises NoCompiler and CalledProcessError."""
    target = target or host_processor()
    output = output.resolve()
    command = musl_command(clang or shutil.which("clang"), target) or zig_command(target)
    if command is None:
        raise NoCompiler(f"there is neither clang with musl (Debian's musl-dev) nor ziglang to build it for {target}")
    record = output.with_name(f"{output.name}.command")
    if is_current(output) and record.is_file() and record.read_text(encoding="utf-8") == shlex.join(command):
        return output
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    run([*command, "-o", str(temporary)], output.parent)
    # Renamed into place: a program that runs cannot be written to.
    temporary.replace(output)
    record.write_text(shlex.join(command), encoding="utf-8")
    return output


def is_current(program: Path) -> bool:
    """Whether a program is there, and none of the agent's files has changed since."""
    files = AGENT.glob("*.[ch]")
    return program.is_file() and all(file.stat().st_mtime_ns <= program.stat().st_mtime_ns for file in files)


def run(command: Sequence[str], cache: Path) -> None:
    # Without these ziglang writes into the home folder.
    caches = {name: str(cache / "zig") for name in ("ZIG_LOCAL_CACHE_DIR", "ZIG_GLOBAL_CACHE_DIR")}
    subprocess.run(command, check=True, capture_output=True, text=True, env={**caches, **os.environ})


def main() -> int:
    parser = argparse.ArgumentParser(description="Builds the guest agent.")
    parser.add_argument("--target", help="the processor of the guest, x86_64 or aarch64; this machine's by default")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / PROGRAM)
    arguments = parser.parse_args()
    try:
        print(build(arguments.output, arguments.target))
    except NoCompiler as error:
        print(f"{error}.", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(error.stderr, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
