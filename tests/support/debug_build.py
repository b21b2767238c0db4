# SPDX-License-Identifier: Apache-2.0
"""The package as built for debugging, in which errors are counted, also with the address sanitizer; for programs that
run in processes of their own."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cffi

import native_programs
from places import ROOT
from processes import locked

if TYPE_CHECKING:
    from toolchain import Toolchain


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


@functools.cache
def sanitized_folder() -> Path:
    """Where the same is with the address sanitizer, in the library and in the extension for references."""
    target = ROOT / "build" / "sanitized"
    with locked(target / ".lock"):
        copy_with_library(target, sanitized=True)
    return target


def copy_with_library(target: Path, further: Sequence[Path] = (), *, sanitized: bool) -> None:
    """A copy of the debug build whose library has further source files behind its own."""
    toolchain: Toolchain = native_programs.load_toolchain().Toolchain.find()
    # Another process's programs may be running with this copy. So nothing of it is ever of another kind for a moment:
    # the debug build's library, which lacks the further files, does not come near, and each file is replaced whole.
    left_out = shutil.ignore_patterns("libapplevz.*", *(["_references.*"] if sanitized else []))
    shutil.copytree(
        folder() / "applevz", target / "applevz", ignore=left_out, copy_function=replace, dirs_exist_ok=True
    )
    build = native_programs.BUILD if sanitized else ROOT / "build" / "native"
    # The objects are those of others, too.
    with locked((build if sanitized else folder()) / ".lock"):
        library = toolchain.compile(
            [*toolchain.sources(), *further],
            target / "library" / "libapplevz.so",
            build_dir=build / "objects" if sanitized else build,
            shared=True,
            debug=True,
            precompiled=native_programs.precompiled_header(),
            united=True,
            **(native_programs.FLAVOURS["address"] if sanitized else {"optimize": "-O1"}),
        )
    replace(library, target / "applevz" / library.name)
    if not sanitized:
        return
    (source,) = (folder() / "applevz").glob("_references.*so")
    extension = target / "library" / source.name
    include = [word for name in ("include", "platinclude") for word in ("-I", sysconfig.get_path(name))]
    command = [toolchain.clang, "-shared", "-fPIC", "-g", "-O1", "-fsanitize=address,undefined", *include]
    command += ["-isystem", str(Path(cffi.__file__).parent), "-DPy_LIMITED_API=0x030a0000"]
    command += ["-o", str(extension), str(ROOT / "native" / "python" / "references.c")]
    subprocess.run(command, check=True, capture_output=True)
    replace(extension, target / "applevz" / extension.name)


def replace(source: str | Path, destination: str | Path) -> None:
    """Copies a file to where a program may have an older one open or mapped: that one stays as it is."""
    temporary = Path(destination).with_name(f".{Path(destination).name}")
    shutil.copy2(source, temporary)
    temporary.replace(destination)


def sanitizer_library() -> Path:
    """What a program that is not built with the sanitizer has to load first."""
    clang: str = native_programs.load_toolchain().Toolchain.find().clang
    command = [clang, f"-print-file-name=libclang_rt.asan-{platform.machine()}.so"]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


def run(
    program: str,
    *arguments: str,
    timeout: float = 240,
    sanitized: bool = False,
    build: Path | None = None,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Runs a Python program with the debug build, or with what is in another folder."""
    environment["PYTHONPATH"] = str(build or (sanitized_folder() if sanitized else folder()))
    if sanitized:
        # What Python keeps until the process ends is no leak, and what it frees is to be seen as freed.
        environment |= {
            **native_programs.sanitizer_options(),
            "LD_PRELOAD": str(sanitizer_library()),
            "ASAN_OPTIONS": "detect_leaks=0",
            "PYTHONMALLOC": "malloc",
        }
        program = f"import os; del os.environ['LD_PRELOAD']\n{program}"  # children are others' programs
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
