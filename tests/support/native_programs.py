# SPDX-License-Identifier: Apache-2.0
"""Building and running the Objective-C programs of tests/native, for the tests that are written as such.

A program is built in several flavours; its exit status is its verdict, and what it prints says which line failed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypedDict

from places import NATIVE, PLAYED_FRAMEWORK, PROGRAM_SOURCES, ROOT
from processes import locked

if TYPE_CHECKING:
    from toolchain import Toolchain

BUILD = ROOT / "build" / "native-tests"
EXTENSIONS = NATIVE / "include" / "applevz_extensions.h"


class _Flavour(TypedDict, total=False):
    """What Toolchain.compile takes for it."""

    optimize: str
    sanitize: tuple[str, ...]
    only_lines: bool


# A sanitizer's report, and a failed check, name a line and nothing more.
FLAVOURS: dict[str, _Flavour] = {
    "O0": {"optimize": "-O0", "only_lines": True},
    "O3": {"optimize": "-O3", "only_lines": True},
    "address": {"optimize": "-O1", "sanitize": ("address", "undefined"), "only_lines": True},
    "thread": {"optimize": "-O1", "sanitize": ("thread",), "only_lines": True},
}


def extensions() -> dict[str, list[str]]:
    """The protocols of native/include/applevz_extensions.h, and the methods of each, such as "-name:" or "+name"."""
    found: dict[str, list[str]] = {}
    for protocol, body in re.findall(r"^@protocol (\w+) <\w+>$(.*?)^@end", EXTENSIONS.read_text("utf-8"), re.M | re.S):
        methods = found[protocol] = []
        for level, declaration in re.findall(r"^([+-]) (.*?);", body, re.M | re.S):
            words = declaration
            # Types go, the innermost parentheses first.
            while "(" in words:
                words = re.sub(r"\([^()]*\)", "", words)
            methods.append(level + ("".join(re.findall(r"\w+:", words)) or words.strip()))
    return found


def load_toolchain() -> ModuleType:
    """The module native/toolchain.py, which is no part of a package."""
    specification = importlib.util.spec_from_file_location("native_toolchain", NATIVE / "toolchain.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["native_toolchain"] = module
    specification.loader.exec_module(module)
    return module


def precompiled_header() -> Path | None:
    """What is compiled once for the files of a flavour; nothing on a Mac, whose framework's headers are Apple's. All
    that share objects name the same, or each would compile again what another one has compiled."""
    header: Path = load_toolchain().PUBLIC_HEADERS / "Virtualization.h"
    return None if sys.platform == "darwin" else header


class Programs:
    """The programs tests/native/<subject>/<name>.m, each linked with some parts of native/linux.

    With `bridge` that is the whole library as a debug build has it; with `played_mac` what plays a Mac is behind it
    (played_mac.py)."""

    def __init__(self, subject: str, parts: Sequence[str], *, bridge: bool = False, played_mac: bool = False) -> None:
        self._sources = PROGRAM_SOURCES / subject
        self._toolchain: Toolchain = load_toolchain().Toolchain.find()
        self._layer: Sequence[str | Path] = (
            self._toolchain.sources() if bridge else self._toolchain.linux_sources(*parts)
        )
        self._folder = "played-mac-" if played_mac else ""
        if played_mac:
            self._layer = [*self._layer, *sorted(PLAYED_FRAMEWORK.glob("*.m"))]
        # What lies below the classes knows nothing of them. The classes are built as the bridge's programs have them:
        # so both have the same objects.
        self._debug = bridge or "Virtualization" in parts
        self._header = precompiled_header() if self._debug else None
        self._built: dict[tuple[str, str], Path] = {}

    def names(self) -> list[str]:
        return sorted(file.stem for file in self._sources.glob("*.m"))

    def executable(self, name: str, flavour: str) -> Path:
        """Builds it on first use, and what else a flavour has only if that is asked for."""
        if (name, flavour) not in self._built:
            # Tests in another process may want the same objects.
            with locked(BUILD / ".lock"):
                self._built[name, flavour] = self._build(name, flavour)
        return self._built[name, flavour]

    def _build(self, name: str, flavour: str) -> Path:
        # Further files of a program are linked behind it, so that what they define is loaded later.
        parts = sorted((self._sources / "parts").glob(f"{name}_*.m"))
        return self._toolchain.compile(
            [self._sources / f"{name}.m", *parts, *self._layer],
            BUILD / (self._folder + flavour) / f"{self._sources.name}_{name}",
            build_dir=BUILD / "objects",
            debug=self._debug,
            precompiled=self._header,
            united=True,
            **FLAVOURS[flavour],
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


def programs_of_virtualization() -> Programs:
    """Those of the classes, linked with them and all that is below them."""
    return Programs("virtualization", load_toolchain().LINUX_PARTS)


def sanitizer_options() -> dict[str, str]:
    # Lock order is not checked: GNUstep and libobjc take their two global locks in both orders as they start. A child
    # of fork() lives on, as it does without the sanitizer. The symbolizer is named, because the one that clang looks
    # for may not be installed, and the sanitizer says so where a program's output is its verdict.
    symbolizer = shutil.which("llvm-symbolizer")
    return {
        **({"ASAN_SYMBOLIZER_PATH": symbolizer, "TSAN_SYMBOLIZER_PATH": symbolizer} if symbolizer else {}),
        "LSAN_OPTIONS": f"suppressions={PROGRAM_SOURCES / 'leaks.supp'}:print_suppressions=0",
        "TSAN_OPTIONS": "detect_deadlocks=0:die_after_fork=0:halt_on_error=1:atexit_sleep_ms=100",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
