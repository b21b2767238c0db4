# SPDX-License-Identifier: Apache-2.0
"""Builds the native files of the package: the Objective-C library, the cffi extension that is linked to it, the
extension for references (native/python), and the guest agent, where there is what that takes (native/agent/build.py).

With APPLEVZ_DEBUG=1 in the environment they are built for debugging: with assertions, and errors are counted. With
APPLEVZ_GNUSTEP, a folder that native/gnustep/build.py made, they are built for a wheel, which has in it what is there.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolchain import Toolchain

ROOT = Path(__file__).resolve().parent


def native_module(name: str) -> ModuleType:
    """A module of native/, which is no package."""
    unique = f"applevz_native_{name.replace('/', '_')}"
    specification = importlib.util.spec_from_file_location(unique, ROOT / "native" / f"{name}.py")
    if specification is None or specification.loader is None:
        raise ImportError(f"native/{name}.py cannot be loaded")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


OLDEST_PYTHON = native_module("oldest_python")
# pip asks for the metadata first, and says itself what is wrong with this Python.
if OLDEST_PYTHON.refusal() and not {"egg_info", "dist_info"} & set(sys.argv):
    raise SystemExit(OLDEST_PYTHON.refusal())

# An old Python may have a setuptools without all of these.
from setuptools import Extension, setup  # noqa: E402
from setuptools.command.build_ext import build_ext  # noqa: E402
from setuptools.errors import CompileError  # noqa: E402

EXTENSION = "applevz._applevz"
REFERENCES = "applevz._references"
LIBRARY = "libapplevz.dylib" if sys.platform == "darwin" else "libapplevz.so"
AGENT = "guest-agent"
FORK_SERVER = "fork-server.so"
# Not in setuptools' temporary folder, which some builds make anew: so only what changed is compiled.
OBJECTS = ROOT / "build" / "native"
# A free-threaded Python has no stable ABI.
STABLE_ABI = not sysconfig.get_config_var("Py_GIL_DISABLED")


class BuildNative(build_ext):
    """`build_ext` that first builds the library into the package, beside where the extension goes."""

    # What is put into the package besides the extensions and the library: the files' names in it, and where they were
    # made. Nothing before `run`.
    others: dict[str, Path]

    def initialize_options(self) -> None:
        super().initialize_options()
        self.others = {}

    def run(self) -> None:
        toolchain_module = native_module("toolchain")
        try:
            toolchain: Toolchain = toolchain_module.Toolchain.find()
        except toolchain_module.MissingTools as error:
            # Told to a person, who is not helped by a traceback.
            raise SystemExit(str(error)) from None
        debug = os.environ.get("APPLEVZ_DEBUG", "0") not in ("", "0")
        try:
            library = self.build_library(toolchain, debug)
        except (toolchain_module.CompilationError, subprocess.CalledProcessError) as error:
            raise CompileError(f"{error}\n{getattr(error, 'stderr', '')}".rstrip()) from None
        binding, references = self.extensions
        self.prepare_binding(binding, toolchain, library, debug)
        self.prepare_references(references, toolchain, debug)
        if toolchain.macos:
            self.raise_deployment_target(toolchain, toolchain_module)
        else:
            # A Mac's Python knows its compiler, and setuptools what to do with its flags; CC would keep it from that.
            os.environ.setdefault("CC", toolchain.clang)
        super().run()
        self.put(library, LIBRARY)
        self.others = self.bundled_files(toolchain) | self.build_agents(toolchain) | self.build_fork_server(toolchain)
        for name, file in self.others.items():
            self.put(file, name)

    def put(self, file: Path, name: str) -> None:
        """Puts a file into the package."""
        for destination in self.destinations(name):
            destination.parent.mkdir(parents=True, exist_ok=True)
            # Renamed into place: a program that runs has the old file mapped.
            temporary = destination.with_name(f".{destination.name}.{os.getpid()}")
            shutil.copy2(file, temporary)
            temporary.replace(destination)

    @staticmethod
    def raise_deployment_target(toolchain: Toolchain, toolchain_module: ModuleType) -> None:
        """A wheel is named for the latest of what its files, MACOSX_DEPLOYMENT_TARGET and Python itself are for; with a
        warning where the files are not for what one of the others says."""
        name = "MACOSX_DEPLOYMENT_TARGET"
        known = os.environ.get(name) or str(sysconfig.get_config_var(name) or "0")
        target = toolchain.deployment_target
        if toolchain_module.release_of(known, name) < toolchain_module.release_of(target, name):
            os.environ[name] = target

    def build_library(self, toolchain: Toolchain, debug: bool) -> Path:
        # The library for users is compiled without one: so each file imports what it needs.
        is_precompiled = debug and not toolchain.macos
        header = native_module("toolchain").PUBLIC_HEADERS / "Virtualization.h" if is_precompiled else None
        link_flags = [f"-Wl,-install_name,@rpath/{LIBRARY}" if toolchain.macos else f"-Wl,-soname,{LIBRARY}"]
        kind = "debug" if debug else "release"
        library = toolchain.compile(
            toolchain.sources(),
            OBJECTS / (f"{kind}-bundled" if toolchain.bundle else kind) / LIBRARY,
            build_dir=OBJECTS,
            shared=True,
            debug=debug,
            optimize="-O1" if debug else "-O2",
            precompiled=header,
            united=True,
            extra_link_flags=link_flags if debug else [*link_flags, "-Wl,-s" if toolchain.bundle else "-Wl,-S"],
        )
        if toolchain.bundle is None:
            return library
        isolated = library.parent / "isolated" / LIBRARY
        isolated.parent.mkdir(exist_ok=True)
        shutil.copy2(library, isolated)
        gnustep = native_module("gnustep/build")
        try:
            gnustep.isolate(toolchain.bundle, isolated)
        except gnustep.BuildError as error:
            raise SystemExit(str(error)) from None
        return isolated

    @staticmethod
    def bundled_files(toolchain: Toolchain) -> dict[str, Path]:
        """What a wheel brings along: the libraries of others, and their licences."""
        if toolchain.bundle is None:
            return {}
        libraries = {file.name: file for file in (toolchain.bundle / "bundled").iterdir()}
        licenses = {f"licenses/{file.name}": file for file in (toolchain.bundle / "licenses").iterdir()}
        return libraries | licenses

    def build_agents(self, toolchain: Toolchain) -> dict[str, Path]:
        """The program for guests of this processor; in a wheel also that for the other one. Without what nothing here
        can build, of which a line tells."""
        agent = native_module("agent/build")
        own: str = agent.host_processor()
        wanted = {AGENT: own}
        if toolchain.bundle:
            wanted |= {f"{AGENT}-{name}": name for name in agent.GUEST_PROCESSORS if name != own}
        built = {name: self.build_agent(agent, toolchain, name, processor) for name, processor in wanted.items()}
        return {name: program for name, program in built.items() if program}

    @staticmethod
    def build_agent(agent: ModuleType, toolchain: Toolchain, name: str, processor: str) -> Path | None:
        try:
            program: Path = agent.build(OBJECTS / name, processor, None if toolchain.macos else toolchain.clang)
        except agent.NoCompiler as error:
            print(f"The package has no {name}: {error}.", file=sys.stderr)
            return None
        except subprocess.CalledProcessError as error:
            raise CompileError(f"{error}\n{error.stderr}".rstrip()) from None
        return program

    @staticmethod
    def build_fork_server(toolchain: Toolchain) -> dict[str, Path]:
        """What is loaded into a QEMU that others are copied from. Only here programs run machines."""
        if toolchain.macos:
            return {}
        target = OBJECTS / FORK_SERVER
        target.parent.mkdir(parents=True, exist_ok=True)
        host = ROOT / "native" / "linux" / "Virtualization"
        sources = [ROOT / "native" / "fork_server" / "fork_server.c", host / "host" / "HostChild.c"]
        flags = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"]
        link = ["-shared", "-Wl,-s", "-Wl,-z,now", "-o", str(target), *map(str, sources), "-ldl"]
        try:
            subprocess.run([toolchain.clang, *toolchain.platform_flags, *flags, "-I", str(host), *link], check=True)
        except subprocess.CalledProcessError as error:
            raise CompileError(str(error)) from None
        return {FORK_SERVER: target}

    def prepare_binding(self, extension: Extension, toolchain: Toolchain, library: Path, debug: bool) -> None:
        source = Path(self.build_temp, "_applevz.c")
        native_module("binding").emit(EXTENSION, toolchain.clang, source)
        extension.sources = [str(source)]
        extension.depends = [str(library), str(ROOT / "native" / "include" / "applevz.h")]
        extension.extra_compile_args = [
            *toolchain.platform_flags,
            *header_flags(toolchain),
            *self.python_flags(toolchain),
            *(["-DAPPLEVZ_DEBUG=1", "-g"] if debug else []),
        ]
        extension.extra_link_args = [
            *toolchain.platform_flags,
            str(library),
            f"-Wl,-rpath,{'@loader_path' if toolchain.macos else '$ORIGIN'}",
            *(["-Wl,-s"] if toolchain.bundle and not debug else []),
            *(["-framework", "CoreFoundation"] if toolchain.macos else []),
        ]

    def prepare_references(self, extension: Extension, toolchain: Toolchain, debug: bool) -> None:
        import cffi

        # cffi's own header for extension modules, which asks for the limited API where nothing else is said.
        header = ["-isystem", str(Path(cffi.__file__).parent)]
        major, minor = OLDEST_PYTHON.OLDEST
        limited = "Py_LIMITED_API", f"0x{major:02x}{minor:02x}0000"
        extension.define_macros = [limited if STABLE_ABI else ("_CFFI_NO_LIMITED_API", "1")]
        extension.extra_compile_args = [*toolchain.platform_flags, *header, "-Wall", "-Wextra"]
        extension.extra_compile_args += [*self.python_flags(toolchain), *(["-g"] if debug else [])]
        extension.extra_link_args = [*toolchain.platform_flags, *(["-Wl,-s"] if toolchain.bundle and not debug else [])]

    @staticmethod
    def python_flags(toolchain: Toolchain) -> list[str]:
        """Where else Python's headers are. Debian has pyconfig.h in a folder below /usr/include, which is not the one
        that a bundle is compiled against."""
        include = Path(sysconfig.get_path("include"))
        multiarch = sysconfig.get_config_var("MULTIARCH")
        folder = include.parent / (multiarch or "") / include.name
        if toolchain.bundle is None or not multiarch or not folder.is_dir():
            return []
        link = OBJECTS / "python" / multiarch / include.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
        return ["-isystem", str(link.parent.parent)]

    def destinations(self, name: str) -> list[Path]:
        folders = [Path(self.build_lib, "applevz")]
        if self.inplace:
            folders.append(ROOT / "src" / "applevz")
        return [folder / name for folder in folders]

    def names(self) -> list[str]:
        """What is put into the package besides the extensions."""
        return [LIBRARY, *self.others]

    def get_outputs(self) -> list[str]:
        return [*super().get_outputs(), *(str(Path(self.build_lib, "applevz", name)) for name in self.names())]

    def get_output_mapping(self) -> dict[str, str]:
        mapping: dict[str, str] = super().get_output_mapping()
        if self.inplace:
            for name in self.names():
                mapping[str(Path(self.build_lib, "applevz", name))] = str(ROOT / "src" / "applevz" / name)
        return mapping


def header_flags(toolchain: Toolchain) -> list[str]:
    """Where the headers are, in words that any C compiler has."""
    words = toolchain.compile_flags()
    return [
        word
        for index, word in enumerate(words)
        if word in ("-I", "-isystem") or (index and words[index - 1] in ("-I", "-isystem"))
    ]


def description() -> str:
    """README.md for an index of packages, which shows nothing else: a link into the repository becomes a name."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.sub(r"\[([^\]]+)\]\((?!https?:)([^)#]+)[^)]*\)", r"\1 (`\2`)", text)


# Not in src/, where an editable installation is: it would be found there as a second one, with a list of files that are
# not installed, from which pytest makes out what the plugin's modules are.
METADATA = ROOT / "build" / "metadata"
METADATA.mkdir(parents=True, exist_ok=True)

setup(
    long_description=description(),
    long_description_content_type="text/markdown",
    ext_modules=[
        Extension(EXTENSION, sources=[], py_limited_api=STABLE_ABI),
        Extension(REFERENCES, sources=["native/python/references.c"], py_limited_api=STABLE_ABI),
    ],
    cmdclass={"build_ext": BuildNative},
    options={
        "egg_info": {"egg_base": str(METADATA)},
        **({"bdist_wheel": {"py_limited_api": "cp{}{}".format(*OLDEST_PYTHON.OLDEST)}} if STABLE_ABI else {}),
    },
)
