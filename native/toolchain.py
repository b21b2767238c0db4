# SPDX-License-Identifier: Apache-2.0
"""The compiler, its flags and the list of native source files.

Used by setup.py from a plain checkout, by the tests and by the Makefile; needs nothing but the standard library.

On macOS the compiler is the one of the command line tools and the frameworks are Apple's, of the SDK that SDKROOT or
xcrun names. Elsewhere it is clang with GNUstep's Foundation, GCC's libobjc, and native/linux for the rest of what the
bridge takes for macOS.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path

NATIVE = Path(__file__).resolve().parent
LINUX = NATIVE / "linux"
# What others say is read and shown by the same files everywhere: below the bridge and below the VZ classes.
MESSAGES = NATIVE / "messages"
# Where the files of the bridge find headers. Imports name a folder below these, but for one of the file's own folder.
BRIDGE_INCLUDES = tuple(
    word for folder in (NATIVE / "include", NATIVE / "bridge", MESSAGES) for word in ("-I", str(folder))
)
VIRTUALIZATION = LINUX / "Virtualization"
PUBLIC_HEADERS = VIRTUALIZATION / "include" / "Virtualization"
LINUX_PARTS = ("runtime", "CoreFoundation", "dispatch", "messages", "Security", "Virtualization")
CLANG_NAMES = ("clang", *(f"clang-{version}" for version in range(22, 13, -1)))
# The oldest macOS that the library runs on, whatever Python was built for: older ones lack most of what it is about.
OLDEST_MACOS = "13.0"
WARNINGS = ("-Wall", "-Wextra", "-Werror=implicit-function-declaration", "-Wundeclared-selector")


class MissingTools(Exception):  # noqa: N818 - it says what is missing, not what went wrong
    """A tool or library the build needs is missing; the message is one sentence: which, and what to do."""


class CompilationError(Exception):
    """The compiler refused; the message is its command and its output."""


def sources_in(folder: Path) -> list[Path]:
    """The files of C and Objective-C below a folder, in a fixed order."""
    return [file for file in sorted(folder.rglob("*")) if file.suffix in (".c", ".m")]


# A header says which pointers may be null, and a file below it need not: in a unit they are one file.
UNITED_FLAGS = ["-Wno-nullability-completeness"]


def unit_of(source: Path) -> str:
    """The folder whose files are compiled with this one: a folder of a part, and of QEMU's in the VZ classes."""
    folders = source.relative_to(NATIVE).parts[:-1]
    return "-".join(folders[: 4 if "QEMU" in folders else 3 if folders[0] == "linux" else 2])


def unite(sources: Iterable[str | os.PathLike[str]], directory: Path) -> list[str]:
    """The sources, with one file in place of those in Objective-C of a folder. It imports them.

    For GNUstep's runtime clang emits every protocol of every header into every object file: three quarters of the
    library were copies of them, with eight relocations of ten, which each import of the package waited for. Names that
    are static have to differ within a folder, as the compiler says, but for a variable that is given no value
    (tests/package/test_units.py).
    """
    units: dict[Path, list[Path]] = {}
    # Each file where it stands among the sources, and a unit where its first one does.
    files: dict[Path, None] = {}
    for source in map(Path, sources):
        # A test's own is compiled alone.
        if source.suffix == ".m" and source.is_relative_to(NATIVE):
            unit = directory / f"{unit_of(source)}.m"
            units.setdefault(unit, []).append(source)
            files[unit] = None
        else:
            files[source] = None
    directory.mkdir(parents=True, exist_ok=True)
    for unit, members in units.items():
        text = "".join(f'#import "{member}"\n' for member in members)
        # One that did not change stays as old as it is.
        if not unit.is_file() or unit.read_text(encoding="utf-8") != text:
            unit.write_text(text, encoding="utf-8")
    return [str(file) for file in files]


def debian_packages(wanted: str) -> list[str]:
    """The lines of a section of debian-packages.txt."""
    packages, section = [], ""
    for text in (NATIVE / "debian-packages.txt").read_text(encoding="utf-8").splitlines():
        line = text.partition("#")[0].strip()
        if line.startswith("["):
            section = line.strip("[]")
        elif line and section == wanted:
            packages.append(line)
    return packages


def _output(*command: str) -> str:
    """What a command prints, without the line end; empty when it fails."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


def _xcrun(*words: str) -> str:
    """What xcrun finds. Raises MissingTools with what it says where it finds nothing: only xcrun knows that a licence
    is not accepted, or that the tools were lost in an update."""
    command = shlex.join(["xcrun", *words])
    try:
        result = subprocess.run(["xcrun", *words], capture_output=True, text=True, check=False)
    except OSError as error:
        raise MissingTools(
            f"`{command}` cannot be run ({error.strerror}): install Apple's command line tools with "
            "`xcode-select --install`."
        ) from None
    found = result.stdout.strip()
    if result.returncode != 0 or not found:
        said = result.stderr.strip() or f"nothing, and ended with status {result.returncode}"
        raise MissingTools(
            f"`{command}` found nothing. It said: {said}\nIf Apple's command line tools are missing, "
            "`xcode-select --install` installs them."
        )
    return found


def release_of(version: str, name: str = "a version of macOS") -> tuple[int, ...]:
    """A version such as 13.0, which `name` says, as numbers that can be compared. Raises MissingTools."""
    try:
        numbers = [int(part) for part in version.split(".")]
    except ValueError:
        raise MissingTools(f"{name} is {version!r}, which is no version: give one such as {OLDEST_MACOS}.") from None
    return tuple(numbers + [0] * (3 - len(numbers)))


def sdk_version(sdk: str | os.PathLike[str]) -> str | None:
    """The version of macOS that an SDK says it is for; None where it says nothing."""
    try:
        settings = json.loads(Path(sdk, "SDKSettings.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    version = settings.get("Version") if isinstance(settings, dict) else None
    return version if isinstance(version, str) else None


def macos_sdk(chosen: str | None = None) -> str:
    """The folder of the macOS SDK: the chosen one, else SDKROOT's, else xcrun's. Raises MissingTools."""
    sdk = chosen or os.environ.get("SDKROOT", "")
    if not os.path.isabs(sdk):
        # SDKROOT, as Apple's tools read it, may also be a name, such as macosx14.2.
        sdk = chosen or _xcrun("--sdk", sdk or "macosx", "--show-sdk-path")
    frameworks = Path(sdk, "System", "Library", "Frameworks")
    if not frameworks.is_dir():
        named = f"{sdk}, which SDKROOT names," if sdk == os.environ.get("SDKROOT") else sdk
        raise MissingTools(f"{named} is not a macOS SDK: it has no System/Library/Frameworks.")
    version = sdk_version(sdk)
    if version and release_of(version, f"The version of {sdk}") < release_of(OLDEST_MACOS):
        raise MissingTools(
            f"{sdk} is the SDK of macOS {version}: {OLDEST_MACOS} is the oldest one that has what the library needs. "
            "Update Apple's command line tools, or name a later SDK in the environment variable SDKROOT."
        )
    if not (frameworks / "Virtualization.framework" / "Headers" / "Virtualization.h").is_file():
        raise MissingTools(
            f"{sdk} has no headers of the Virtualization framework: name the folder of a whole macOS SDK in the "
            "environment variable SDKROOT."
        )
    return sdk


def _deployment_target() -> str:
    """The oldest macOS that the build is for: MACOSX_DEPLOYMENT_TARGET may ask for a later one than the library's."""
    asked = os.environ.get("MACOSX_DEPLOYMENT_TARGET", "")
    if asked and release_of(asked, "MACOSX_DEPLOYMENT_TARGET") > release_of(OLDEST_MACOS):
        return asked
    return OLDEST_MACOS


def _architectures() -> list[str]:
    """The processors to build for, as setuptools finds them for extensions: those of ARCHFLAGS, else those that Python
    itself was built for. What was built for others than its library cannot load it."""
    flags = os.environ.get("ARCHFLAGS")
    words = shlex.split(str(sysconfig.get_config_var("CFLAGS") or "") if flags is None else flags)
    return list(dict.fromkeys(name for word, name in itertools.pairwise(words) if word == "-arch"))


class Toolchain:
    """A compiler that can build the native library on this machine. `Toolchain.find()` makes one.

    `platform_flags` are those that every compilation and every link needs, whichever compiler does it; `architectures`
    the processors they name, none where the compiler's own choice is meant; `bundle` the folder that
    native/gnustep/build.py made, where the library is for a wheel that brings GNUstep along.
    """

    def __init__(
        self,
        clang: str,
        includes: Sequence[str],
        libraries: Sequence[str],
        macos: bool,
        sdk: str = "",
        deployment_target: str = OLDEST_MACOS,
        architectures: Sequence[str] = (),
        bundle: Path | None = None,
    ) -> None:
        self.clang = clang
        self.bundle = bundle
        self.macos = macos
        self.deployment_target = deployment_target
        self.architectures = list(architectures)
        self.platform_flags = ["-isysroot", sdk, f"-mmacosx-version-min={deployment_target}"] if macos else []
        self.platform_flags += [word for name in architectures for word in ("-arch", name)]
        self.platform_flags += [f"--sysroot={bundle / 'system-root'}"] if bundle else []
        self._includes = list(includes)
        self._libraries = list(libraries)

    @classmethod
    def find(cls) -> Toolchain:
        """Find the tools. Raises MissingTools."""
        return cls._find_macos() if sys.platform == "darwin" else cls._find_linux()

    @classmethod
    def _find_macos(cls) -> Toolchain:
        clang = cls.find_macos_clang()
        sdk = macos_sdk()
        frameworks = ("Foundation", "CoreFoundation", "Security", "Virtualization")
        libraries = [word for framework in frameworks for word in ("-framework", framework)]
        return cls(
            clang,
            [],
            libraries,
            macos=True,
            sdk=sdk,
            deployment_target=_deployment_target(),
            architectures=_architectures(),
        )

    @staticmethod
    def find_macos_clang() -> str:
        """The compiler itself, behind the `clang` on PATH, which is a program that looks for it and for an SDK."""
        chosen = os.environ.get("CLANG")
        if chosen and not shutil.which(chosen):
            raise MissingTools(f"The compiler {chosen} that CLANG names is missing.")
        return chosen or _xcrun("--find", "clang")

    @classmethod
    def _find_linux(cls) -> Toolchain:
        chosen = os.environ.get("CLANG")
        clang = cls.find_clang()
        bundle = _bundle()
        headers = [str(bundle / "include")] if bundle else _gnustep_headers()
        # The headers of the Objective-C runtime are in native/linux/runtime; its library comes with Foundation's.
        has_runtime = bundle or not clang or os.path.isabs(_output(clang, "-print-file-name=libobjc.so.4"))
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
                f"{enumeration(missing)} {verb} missing: on Debian or Ubuntu, `apt-get install {packages}` installs "
                "what the build needs."
            )
        includes = [
            word
            for folder in (LINUX / "runtime", LINUX, VIRTUALIZATION / "include", VIRTUALIZATION)
            for word in ("-I", str(folder))
        ]
        includes += [word for header in headers for word in ("-isystem", header)]
        # A compiler may look for libraries in the system's folders before those that LIBRARY_PATH names.
        libraries = [*(["-L", str(bundle / "lib")] if bundle else []), "-lgnustep-base", "-l:libobjc.so.4", "-ldl"]
        return cls(clang, includes, libraries, macos=False, bundle=bundle)

    @staticmethod
    def find_clang() -> str | None:
        chosen = os.environ.get("CLANG")
        for name in [chosen] if chosen else CLANG_NAMES:
            path = shutil.which(name)
            if path:
                return path
        return None

    def sources(self) -> list[str]:
        """The source files of the native library, in a fixed order."""
        files = [*sources_in(NATIVE / "bridge"), *self.linux_sources(*(("messages",) if self.macos else LINUX_PARTS))]
        return [str(file) for file in files]

    @staticmethod
    def linux_sources(*parts: str) -> list[Path]:
        """The source files of some parts of native/linux, and of native/messages, which VZ classes need as well."""
        folders = [MESSAGES if part == "messages" else LINUX / part for part in parts]
        return [file for folder in folders for file in sources_in(folder)]

    def compile_flags(
        self,
        optimize: str = "-O2",
        sanitize: Iterable[str] = (),
        debug: bool = False,
        dwarf4: bool = False,
        only_lines: bool = False,
    ) -> list[str]:
        """The flags of C and Objective-C files alike; `language_flags` adds what one of the two needs.

        debug defines APPLEVZ_DEBUG=1 and keeps assertions; dwarf4 is for valgrind, which cannot read clang 19's
        DWARF 5; with only_lines a debugger knows lines and no variables, and less is compiled and linked.
        """
        symbols = "-gline-tables-only" if only_lines else "-g"
        flags = [*self.platform_flags, optimize, symbols, "-fPIC", "-pthread", "-fvisibility=hidden", "-fexceptions"]
        flags += ["-fblocks", *WARNINGS, *BRIDGE_INCLUDES, *self._includes]
        flags += ["-DAPPLEVZ_DEBUG=1"] if debug else ["-DNDEBUG"]
        if dwarf4:
            flags += ["-gdwarf-4"]
        if not self.macos:
            flags += ["-D_GNU_SOURCE", "-DGNUSTEP", "-DGNUSTEP_BASE_LIBRARY=1", "-DGNU_RUNTIME=1"]
            flags += ["-D_NATIVE_OBJC_EXCEPTIONS"]
        if self.bundle:
            flags += ["-DAPPLEVZ_BUNDLED=1"]
        flags += _sanitizer_flags(sanitize)
        return flags

    def language_flags(self, source: str | os.PathLike[str]) -> list[str]:
        """What the language of a source file adds to `compile_flags`."""
        if Path(source).suffix != ".m":
            return ["-std=gnu11"]
        # Without -fobjc-arc-exceptions a strong reference is leaked by an exception that passes it.
        flags = ["-std=gnu11", "-fobjc-arc", "-fobjc-exceptions", "-fobjc-arc-exceptions"]
        if self.macos:
            return flags
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
        flags = [*self.platform_flags, *self.link_libraries(), *_sanitizer_flags(sanitize)]
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
        only_lines: bool = False,
        extra_compile_flags: Sequence[str] = (),
        extra_link_flags: Sequence[str] = (),
        exports: Path = LINUX / "runtime" / "hidden.map",
        precompiled: Path | None = None,
        united: bool = False,
    ) -> Path:
        """Build an executable or, with `shared`, a shared library. Raises CompilationError.

        Objects are shared by all programs that name the same build_dir and flags; only what changed is compiled. With
        `precompiled`, a header, all Objective-C files have what it declares, and are compiled in a third of the time.
        With `united` those of a folder are compiled as one, on Linux: `unite` says why.
        """
        sanitize = tuple(sanitize)
        flags = self.compile_flags(optimize, sanitize, debug, dwarf4, only_lines) + list(extra_compile_flags)
        if united and not self.macos:
            sources = unite(sources, Path(build_dir) / "units")
            flags += UNITED_FLAGS
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
        run(command)
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
        if len(self.architectures) > 1:
            precompiled = None  # it would be for one of them
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
            run(command)
            record.write_text(shlex.join(command), encoding="utf-8")
        return target


def enumeration(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _bundle() -> Path | None:
    """The folder of a GNUstep for wheels that APPLEVZ_GNUSTEP names; None where the host's own is meant. Raises
    MissingTools."""
    named = os.environ.get("APPLEVZ_GNUSTEP")
    if not named:
        return None
    bundle = Path(named).resolve()
    if not (bundle / "recipe").is_file():
        raise MissingTools(
            f"APPLEVZ_GNUSTEP is {named!r}, where no GNUstep for wheels is: `python native/gnustep/build.py --output "
            f"{shlex.quote(named)}` makes one."
        )
    return bundle


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
    if not names:
        return []
    # Methods are called as functions of other types, by Objective-C itself: later releases of clang look at that.
    return [f"-fsanitize={names}", "-fno-sanitize=function", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"]


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


def run(command: Sequence[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise CompilationError(f"{shlex.join(command)}\n{result.stdout}{result.stderr}".rstrip())
    if result.stderr:
        sys.stderr.write(result.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description="The native library's compiler, flags and sources.")
    commands = parser.add_subparsers(dest="command", required=True)
    flags = commands.add_parser("flags", help="print the flags that compile an Objective-C file and link it")
    flags.add_argument("--sanitize", action="append", default=[])
    arguments = parser.parse_args()
    try:
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
