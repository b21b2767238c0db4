# SPDX-License-Identifier: Apache-2.0
"""Building and running the Objective-C programs of tests/native, for the tests that are written as such.

A program is built in several flavours; its exit status is its verdict, and what it prints says which line failed.
"""

from __future__ import annotations

import concurrent.futures
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from processes import locked

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "tests" / "native"
BUILD = ROOT / "build" / "native-tests"

FLAVOURS = {
    "O0": {"optimize": "-O0"},
    "O3": {"optimize": "-O3"},
    "address": {"optimize": "-O1", "sanitize": ("address", "undefined")},
    "thread": {"optimize": "-O1", "sanitize": ("thread",)},
}


def load_toolchain():
    """The module native/toolchain.py, which is no part of a package."""
    specification = importlib.util.spec_from_file_location("native_toolchain", ROOT / "native" / "toolchain.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules["native_toolchain"] = module
    specification.loader.exec_module(module)
    return module


class Programs:
    """The programs tests/native/<prefix>_<name>.m, each linked with some parts of native/linux, or, with `bridge`, with
    the whole library as a debug build has it."""

    def __init__(self, prefix: str, parts: Sequence[str], *, bridge: bool = False) -> None:
        self._prefix = prefix
        self._toolchain = load_toolchain().Toolchain.find()
        self._layer = self._toolchain.sources() if bridge else self._toolchain.linux_sources(*parts)
        self._debug = bridge
        # What lies below the classes knows nothing of them.
        classes = ROOT / "native" / "linux" / "Virtualization" / "Virtualization.h"
        self._header = classes if bridge or "Virtualization" in parts else None
        self._built: dict[str, dict[str, Path]] = {}

    def names(self) -> list[str]:
        return [file.stem.removeprefix(f"{self._prefix}_") for file in sorted(SOURCES.glob(f"{self._prefix}_*.m"))]

    def executable(self, name: str, flavour: str) -> Path:
        """Builds all programs of the flavour on first use, side by side: one after the other they take long."""
        if flavour not in self._built:
            # Tests in another process may want the same objects.
            with locked(BUILD / ".lock"):
                self._compile(self._layer, flavour, "layer", shared=True)
                with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
                    names = self.names()
                    self._built[flavour] = dict(zip(names, pool.map(lambda name: self._build(name, flavour), names)))
        return self._built[flavour][name]

    def _build(self, name: str, flavour: str) -> Path:
        # Further files of a program are linked behind it, so that what they define is loaded later.
        program = f"{self._prefix}_{name}"
        parts = sorted((SOURCES / "parts").glob(f"{program}_*.m"))
        return self._compile([SOURCES / f"{program}.m", *parts, *self._layer], flavour, program)

    def _compile(self, sources: Sequence[Path], flavour: str, output: str, **options: bool) -> Path:
        return self._toolchain.compile(
            sources,
            BUILD / flavour / output,
            build_dir=BUILD / "objects",
            debug=self._debug,
            precompiled=self._header,
            **FLAVOURS[flavour],
            **options,
        )

    def run(self, name: str, flavour: str, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.executable(name, flavour), *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **sanitizer_options()},
            check=False,
        )


def sanitizer_options() -> dict[str, str]:
    # Lock order is not checked: GNUstep and libobjc take their two global locks in both orders as they start. A child
    # of fork() lives on, as it does without the sanitizer. The symbolizer is named, because the one that clang looks
    # for may not be installed, and the sanitizer says so where a program's output is its verdict.
    symbolizer = shutil.which("llvm-symbolizer")
    return {
        **({"ASAN_SYMBOLIZER_PATH": symbolizer, "TSAN_SYMBOLIZER_PATH": symbolizer} if symbolizer else {}),
        "LSAN_OPTIONS": f"suppressions={SOURCES / 'leaks.supp'}:print_suppressions=0",
        "TSAN_OPTIONS": "detect_deadlocks=0:die_after_fork=0:halt_on_error=1:atexit_sleep_ms=100",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
