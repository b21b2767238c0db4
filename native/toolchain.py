# SPDX-License-Identifier: Apache-2.0
"""The compiler, its flags and the list of native source files.

Used by setup.py from a plain checkout, by the tests and by the Makefile; needs nothing but the standard library.

On macOS the compiler is the one of the command line tools and the frameworks are Apple's. Elsewhere it is clang with
GNUstep's Foundation, GCC's libobjc, and native/linux for the rest of what the bridge takes for macOS.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

NATIVE = Path(__file__).resolve().parent
LINUX = NATIVE / "linux"
LINUX_PARTS = ("runtime", "CoreFoundation", "dispatch", "Virtualization")
CLANG_NAMES = ("clang", *(f"clang-{version}" for version in range(22, 13, -1)))
MACOS_TARGETS = ("arm64-apple-macos13", "x86_64-apple-macos13")
WARNINGS = ("-Wall", "-Wextra")


class MissingTools(Exception):  # noqa: N818 - it says what is missing, not what went wrong
    """A tool or library the build needs is missing; the message is one sentence: which, and what to do."""


class CompilationError(Exception):
    """The compiler refused; the message is its command and its output."""


def debian_packages(*sections: str) -> list[str]:
    """The packages of the given sections of debian-packages.txt; of all sections if none is given."""
    packages, section = [], ""
    for text in (NATIVE / "debian-packages.txt").read_text(encoding="utf-8").splitlines():
        line = text.partition("#")[0].strip()
        if line.startswith("["):
            section = line.strip("[]")
        elif line and (not sections or section in sections):
            packages.append(line)
    return packages


def _output(*command: str) -> str:
    """What a command prints, without the line end; empty when it fails."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


class Toolchain:
    """A compiler that can build the native library on this machine. `Toolchain.find()` makes one."""

    def __init__(self, clang: str, includes: Sequence[str], libraries: Sequence[str], macos: bool) -> None:
        self.clang = clang
        self.macos = macos
        self._includes = list(includes)
        self._libraries = list(libraries)

    @classmethod
    def find(cls) -> Toolchain:
        """Find the tools. Raises MissingTools."""
        return cls._find_macos() if sys.platform == "darwin" else cls._find_linux()

    @classmethod
    def _find_macos(cls) -> Toolchain:
        clang = os.environ.get("CLANG") or _output("xcrun", "--find", "clang")
        if not clang or not shutil.which(clang):
            raise MissingTools("clang is missing: install Apple's command line tools with `xcode-select --install`.")
        frameworks = ("Foundation", "CoreFoundation", "Virtualization")
        libraries = [word for framework in frameworks for word in ("-framework", framework)]
        return cls(clang, [], libraries, macos=True)

    @classmethod
    def _find_linux(cls) -> Toolchain:
        chosen = os.environ.get("CLANG")
        clang = cls._find_clang()
        headers = _gnustep_headers()
        # The headers of the Objective-C runtime are in native/linux/runtime; its library comes with Foundation's.
        has_runtime = not clang or os.path.isabs(_output(clang, "-print-file-name=libobjc.so.4"))
        needed = {
            f"the compiler {chosen} that CLANG names" if chosen else "clang": clang,
            "GNUstep's Foundation (Foundation/Foundation.h)": headers,
            "GCC's Objective-C runtime (libobjc.so.4)": has_runtime or not headers,
        }
        missing = [name for name, found in needed.items() if not found]
        if missing or not clang:
            packages = " ".join(debian_packages("build"))
            verb = "is" if len(missing) == 1 else "are"
            raise MissingTools(
                f"{_enumeration(missing)} {verb} missing: on Debian or Ubuntu, `apt-get install {packages}` installs "
                "what the build needs."
            )
        includes = ["-I", str(LINUX / "runtime"), "-I", str(LINUX)]
        includes += [word for header in headers for word in ("-isystem", header)]
        return cls(clang, includes, ["-lgnustep-base", "-l:libobjc.so.4"], macos=False)

    @staticmethod
    def _find_clang() -> str | None:
        chosen = os.environ.get("CLANG")
        for name in [chosen] if chosen else CLANG_NAMES:
            path = shutil.which(name)
            if path:
                return path
        return None

    def sources(self) -> list[str]:
        """The source files of the native library, in a fixed order."""
        files = sorted((NATIVE / "bridge").rglob("*.m"))
        if not self.macos:
            files += self.linux_sources(*LINUX_PARTS)
        return [str(file) for file in files]

    @staticmethod
    def linux_sources(*parts: str) -> list[Path]:
        """The source files of some parts of native/linux."""
        return [file for part in parts for file in sorted((LINUX / part).rglob("*")) if file.suffix in (".c", ".m")]

    def compile_flags(
        self, optimize: str = "-O2", sanitize: Iterable[str] = (), debug: bool = False, dwarf4: bool = False
    ) -> list[str]:
        """The flags of C and Objective-C files alike; `language_flags` adds what one of the two needs.

        debug defines APPLEVZ_DEBUG=1 and keeps assertions; dwarf4 is for valgrind, which cannot read clang 19's
        DWARF 5.
        """
        flags = [optimize, "-g", "-fPIC", "-pthread", "-fvisibility=hidden", "-fexceptions", "-fblocks", *WARNINGS]
        flags += ["-I", str(NATIVE / "include"), *self._includes]
        flags += ["-DAPPLEVZ_DEBUG=1"] if debug else ["-DNDEBUG"]
        if dwarf4:
            flags += ["-gdwarf-4"]
        if not self.macos:
            flags += ["-D_GNU_SOURCE", "-DGNUSTEP", "-DGNUSTEP_BASE_LIBRARY=1", "-DGNU_RUNTIME=1"]
            flags += ["-D_NATIVE_OBJC_EXCEPTIONS"]
        flags += _sanitizer_flags(sanitize)
        return flags

    def language_flags(self, source: str | os.PathLike[str]) -> list[str]:
        """What the language of a source file adds to `compile_flags`."""
        if Path(source).suffix != ".m":
            return ["-std=gnu11"]
        # Without -fobjc-arc-exceptions a strong reference is leaked by an exception that passes it.
        flags = ["-std=gnu11", "-fobjc-arc", "-fobjc-exceptions", "-fobjc-arc-exceptions"]
        if self.macos:
            return [*flags, "-mmacosx-version-min=13.0"]
        return [
            *flags,
            "-fobjc-runtime=gnustep-1.9",
            *("-Xclang", "-fobjc-dispatch-method=legacy"),
            "-fconstant-string-class=NSConstantString",
        ]

    def link_libraries(self) -> list[str]:
        """The libraries that any link needs."""
        return ["-pthread", *self._libraries]

    def link_flags(self, sanitize: Iterable[str] = (), exports: Path = LINUX / "runtime" / "hidden.map") -> list[str]:
        """The flags and libraries of a link, to be put behind the objects. `exports` says which names it shows on
        Linux; by default none of those to which clang gives default visibility whatever it was told (of selectors,
        classes and variables)."""
        flags = [*self.link_libraries(), *_sanitizer_flags(sanitize)]
        if not self.macos:
            # libobjc keeps pointers to the classes of every library: one that has classes can never be unloaded.
            flags += ["-Wl,-z,nodelete", "-Wl,--no-undefined", f"-Wl,--version-script={exports}"]
        return flags

    def compile(
        self,
        sources: Iterable[str | os.PathLike[str]],
        output: str | os.PathLike[str],
        *,
        build_dir: str | os.PathLike[str],
        shared: bool = False,
        optimize: str = "-O2",
        sanitize: Iterable[str] = (),
        debug: bool = False,
        dwarf4: bool = False,
        extra_compile_flags: Sequence[str] = (),
        extra_link_flags: Sequence[str] = (),
        exports: Path = LINUX / "runtime" / "hidden.map",
        precompiled: Path | None = None,
    ) -> Path:
        """Build an executable or, with `shared`, a shared library. Raises CompilationError.

        Objects are shared by all programs that name the same build_dir and flags; only what changed is compiled. With
        `precompiled`, a header, all Objective-C files have what it declares, and are compiled in a third of the time.
        """
        sanitize = tuple(sanitize)
        flags = self.compile_flags(optimize, sanitize, debug, dwarf4) + list(extra_compile_flags)
        objects = self.objects(sources, build_dir=build_dir, flags=flags, precompiled=precompiled)
        output = Path(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        if shared and sanitize:
            # The program that loads the library brings the sanitizer's own functions.
            link_flags = [flag for flag in self.link_flags(sanitize, exports) if flag != "-Wl,--no-undefined"]
        else:
            link_flags = self.link_flags(sanitize, exports)
        command = [self.clang, *(["-shared"] if shared else []), "-o", str(output), *map(str, objects)]
        command += [*extra_link_flags, *link_flags]
        record = output.with_name(output.name + ".command")
        if _is_current(output, objects, record, command):
            return output
        _run(command)
        record.write_text(shlex.join(command), encoding="utf-8")
        return output

    def objects(
        self,
        sources: Iterable[str | os.PathLike[str]],
        *,
        build_dir: str | os.PathLike[str],
        flags: Sequence[str],
        precompiled: Path | None = None,
    ) -> list[Path]:
        """Compile each source file to an object under build_dir, in parallel; return the objects in the same order."""
        key = hashlib.sha256("\0".join([self.clang, *flags]).encode()).hexdigest()[:16]
        directory = Path(build_dir) / key
        directory.mkdir(parents=True, exist_ok=True)
        header = self._precompiled(precompiled, directory, flags) if precompiled else None
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            return list(
                pool.map(lambda source: self._object(Path(source).resolve(), directory, flags, header), sources)
            )

    def _object(self, source: Path, directory: Path, flags: Sequence[str], header: Path | None) -> Path:
        unique = hashlib.sha256(str(source).encode()).hexdigest()[:8]
        target = directory / f"{source.stem}-{unique}.o"
        command = [self.clang, *self.language_flags(source), *flags]
        # What the header includes is not told as the file's own.
        with_header = [header] if header and source.suffix == ".m" else []
        command += [word for path in with_header for word in ("-include-pch", str(path))]
        return self._compiled([*command, "-c", str(source)], target, with_header)

    def _precompiled(self, header: Path, directory: Path, flags: Sequence[str]) -> Path:
        command = [self.clang, *self.language_flags(header.with_suffix(".m")), *flags]
        return self._compiled([*command, "-x", "objective-c-header", str(header)], directory / f"{header.stem}.pch", [])

    @staticmethod
    def _compiled(command: Sequence[str], target: Path, inputs: Sequence[Path]) -> Path:
        dependencies, record = target.with_suffix(".d"), target.with_suffix(".command")
        command = [*command, "-MMD", "-MF", str(dependencies), "-o", str(target)]
        known = _dependencies(dependencies)
        if not _is_current(target, None if known is None else [*known, *inputs], record, command):
            _run(command)
            record.write_text(shlex.join(command), encoding="utf-8")
        return target


def _enumeration(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _gnustep_headers() -> list[str]:
    """The folders of GNUstep's headers: as gnustep-config says, else where Debian puts them."""
    folders = [_output("gnustep-config", f"--variable=GNUSTEP_{domain}_HEADERS") for domain in ("SYSTEM", "LOCAL")]
    folders.append("/usr/include/GNUstep")
    found = [folder for folder in dict.fromkeys(folders) if folder and Path(folder).is_dir()]
    if any(Path(folder, "Foundation", "Foundation.h").is_file() for folder in found):
        return found
    return []


def _sanitizer_flags(sanitize: Iterable[str]) -> list[str]:
    names = ",".join(sanitize)
    return [f"-fsanitize={names}", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"] if names else []


def _dependencies(file: Path) -> list[Path] | None:
    """The files a depfile names; None if there is none to be read."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return None
    return [Path(word) for word in shlex.split(text.replace("\\\n", " ").partition(":")[2])]


def _is_current(target: Path, inputs: Sequence[Path] | None, record: Path, command: Sequence[str]) -> bool:
    """Whether target was made by this command and is newer than all it was made of."""
    try:
        made = target.stat().st_mtime_ns
        return (
            inputs is not None
            and record.read_text(encoding="utf-8") == shlex.join(command)
            and all(file.stat().st_mtime_ns <= made for file in inputs)
        )
    except OSError:
        return False


def _run(command: Sequence[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise CompilationError(f"{shlex.join(command)}\n{result.stdout}{result.stderr}".rstrip())
    if result.stderr:
        sys.stderr.write(result.stderr)


def typecheck_macos(sdk: str | None = None) -> None:
    """Type-check native/bridge against a macOS SDK, for both processors. Raises MissingTools or CompilationError."""
    sdk = sdk or _output("xcrun", "--sdk", "macosx", "--show-sdk-path")
    if not sdk:
        raise MissingTools("There is no macOS SDK on this machine: name one with `--sdk PATH`.")
    if not (Path(sdk) / "System" / "Library" / "Frameworks").is_dir():
        raise MissingTools(f"{sdk} is not a macOS SDK: it has no System/Library/Frameworks.")
    clang = _output("xcrun", "--find", "clang") if sys.platform == "darwin" else Toolchain._find_clang()
    if not clang:
        raise MissingTools("clang is missing: install it, or name one in the environment variable CLANG.")
    flags = ["-isysroot", sdk, "-fsyntax-only", "-std=gnu11", "-fobjc-arc", "-fblocks", "-fobjc-exceptions"]
    flags += ["-fobjc-arc-exceptions", "-Werror", *WARNINGS, "-Wunguarded-availability", "-I", str(NATIVE / "include")]
    jobs = [
        [clang, "-target", target, *flags, str(source)]
        for target in MACOS_TARGETS
        for source in sorted((NATIVE / "bridge").rglob("*.m"))
    ]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(_run, jobs))
    print(f"{len(jobs) // len(MACOS_TARGETS)} files of native/bridge type-check for {_enumeration(MACOS_TARGETS)}")


def main() -> int:
    parser = argparse.ArgumentParser(description="The native library's compiler, flags and sources.")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("typecheck-macos", help="type-check native/bridge for macOS 13")
    check.add_argument("--sdk", help="folder of a macOS SDK; by default the one of this machine")
    packages = commands.add_parser("packages", help="print the Debian packages of some sections")
    packages.add_argument("section", nargs="*", choices=("build", "run", "test"))
    flags = commands.add_parser("flags", help="print the flags that compile an Objective-C file and link it")
    flags.add_argument("--sanitize", action="append", default=[])
    arguments = parser.parse_args()
    try:
        if arguments.command == "typecheck-macos":
            typecheck_macos(arguments.sdk)
        elif arguments.command == "packages":
            print("\n".join(debian_packages(*arguments.section)))
        else:
            toolchain = Toolchain.find()
            sanitize = arguments.sanitize
            print(shlex.join([*toolchain.language_flags("file.m"), *toolchain.compile_flags(sanitize=sanitize)]))
            print(shlex.join(toolchain.link_flags(sanitize)))
    except (MissingTools, CompilationError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
