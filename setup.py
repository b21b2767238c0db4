# SPDX-License-Identifier: Apache-2.0
"""Builds the two native files of the package: the Objective-C library, and the cffi extension that is linked to it.

With APPLEVZ_DEBUG=1 in the environment both are built for debugging: with assertions, and errors are counted.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

ROOT = Path(__file__).resolve().parent
EXTENSION = "applevz._applevz"
LIBRARY = "libapplevz.dylib" if sys.platform == "darwin" else "libapplevz.so"
# Not in setuptools' temporary folder, which some builds make anew: so only what changed is compiled.
OBJECTS = ROOT / "build" / "native"
# A free-threaded Python has no stable ABI.
STABLE_ABI = not sysconfig.get_config_var("Py_GIL_DISABLED")


def native_module(name: str) -> ModuleType:
    """A module of native/, which is no package."""
    specification = importlib.util.spec_from_file_location(f"applevz_native_{name}", ROOT / "native" / f"{name}.py")
    if specification is None or specification.loader is None:
        raise ImportError(f"native/{name}.py cannot be loaded")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class BuildNative(build_ext):
    """`build_ext` that first builds the library into the package, beside where the extension goes."""

    def run(self) -> None:
        toolchain_module = native_module("toolchain")
        try:
            toolchain = toolchain_module.Toolchain.find()
        except toolchain_module.MissingTools as error:
            # Told to a person, who is not helped by a traceback.
            raise SystemExit(str(error)) from None
        debug = os.environ.get("APPLEVZ_DEBUG", "0") not in ("", "0")
        try:
            library = self.build_library(toolchain, debug)
        except (toolchain_module.CompilationError, subprocess.CalledProcessError) as error:
            raise CompileError(f"{error}\n{getattr(error, 'stderr', '')}".rstrip()) from None
        self.prepare_extension(toolchain, library, debug)
        os.environ.setdefault("CC", toolchain.clang)
        super().run()
        for destination in self.library_destinations():
            destination.parent.mkdir(parents=True, exist_ok=True)
            # Renamed into place: a program that runs has the old file mapped.
            temporary = destination.with_name(f".{LIBRARY}.{os.getpid()}")
            shutil.copy2(library, temporary)
            temporary.replace(destination)

    def build_library(self, toolchain, debug: bool) -> Path:
        link_flags = [f"-Wl,-install_name,@rpath/{LIBRARY}" if toolchain.macos else f"-Wl,-soname,{LIBRARY}"]
        return toolchain.compile(
            toolchain.sources(),
            OBJECTS / ("debug" if debug else "release") / LIBRARY,
            build_dir=OBJECTS,
            shared=True,
            debug=debug,
            optimize="-O1" if debug else "-O2",
            extra_link_flags=link_flags if debug else [*link_flags, "-Wl,-S"],
        )

    def prepare_extension(self, toolchain, library: Path, debug: bool) -> None:
        (extension,) = self.extensions
        source = Path(self.build_temp, "_applevz.c")
        native_module("binding").emit(EXTENSION, toolchain.clang, source)
        extension.sources = [str(source)]
        extension.depends = [str(library), str(ROOT / "native" / "include" / "applevz.h")]
        extension.extra_compile_args = [*header_flags(toolchain), *(["-DAPPLEVZ_DEBUG=1", "-g"] if debug else [])]
        extension.extra_link_args = [
            str(library),
            f"-Wl,-rpath,{'@loader_path' if toolchain.macos else '$ORIGIN'}",
            *(["-framework", "CoreFoundation"] if toolchain.macos else []),
        ]

    def library_destinations(self) -> list[Path]:
        folders = [Path(self.build_lib, "applevz")]
        if self.inplace:
            folders.append(ROOT / "src" / "applevz")
        return [folder / LIBRARY for folder in folders]

    def get_outputs(self) -> list[str]:
        return [*super().get_outputs(), str(Path(self.build_lib, "applevz", LIBRARY))]

    def get_output_mapping(self) -> dict[str, str]:
        mapping: dict[str, str] = super().get_output_mapping()
        if self.inplace:
            mapping[str(Path(self.build_lib, "applevz", LIBRARY))] = str(ROOT / "src" / "applevz" / LIBRARY)
        return mapping


def header_flags(toolchain) -> list[str]:
    """Where the headers are, in words that any C compiler has."""
    words = toolchain.compile_flags()
    return [
        word
        for index, word in enumerate(words)
        if word in ("-I", "-isystem") or (index and words[index - 1] in ("-I", "-isystem"))
    ]


setup(
    ext_modules=[Extension(EXTENSION, sources=[], py_limited_api=STABLE_ABI)],
    cmdclass={"build_ext": BuildNative},
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if STABLE_ABI else {},
)
