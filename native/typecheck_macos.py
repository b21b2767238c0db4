# SPDX-License-Identifier: Apache-2.0
"""Type-checks native/bridge and native/messages for Macs, on any machine that has clang and a macOS SDK.

    python native/typecheck_macos.py --sdk /path/to/MacOSX.sdk

For each processor, with the SDK as it is: what is newer than the oldest macOS has to stand behind `@available`. Then
with the SDK's Virtualization framework cut down to that of each older macOS, whose SDK somebody may build with:
native/bridge/newer_sdk.h has to declare what it lacks.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import older_sdk
from toolchain import (
    BRIDGE_INCLUDES,
    MESSAGES,
    NATIVE,
    OLDEST_MACOS,
    WARNINGS,
    CompilationError,
    MissingTools,
    Toolchain,
    enumeration,
    macos_sdk,
    release_of,
    run,
    sdk_version,
    sources_in,
)

PROCESSORS = ("arm64", "x86_64")
TARGETS = tuple(f"{processor}-apple-macos{OLDEST_MACOS}" for processor in PROCESSORS)
# Of each of these macOS there is an SDK that the library may be built with, besides the newest.
OLDER_SDKS = (OLDEST_MACOS, "14.0", "15.0")
FOLDERS = (NATIVE / "bridge", MESSAGES)


def sources() -> list[str]:
    return [str(source) for folder in FOLDERS for source in sources_in(folder)]


def deployment_macro(clang: str, target: str) -> list[str]:
    """The macro by which headers of new SDKs know the deployment target; clang has it from its version 17 on."""
    name = "__ENVIRONMENT_OS_VERSION_MIN_REQUIRED__"
    command = [clang, "-target", target, "-dM", "-E", "-x", "c", os.devnull]
    known = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [] if name in known else [f"-D{name}=__ENVIRONMENT_MAC_OS_X_VERSION_MIN_REQUIRED__"]


def check_flags(clang: str, target: str, sdk: str) -> list[str]:
    """What every check of a file is compiled with: the warnings of the build, and of what is not guarded."""
    flags = ["-target", target, *deployment_macro(clang, target), "-isysroot", sdk, "-std=gnu11", "-fblocks"]
    return [*flags, "-Werror", *WARNINGS, "-Wunguarded-availability", *BRIDGE_INCLUDES]


def language_flags(file: str) -> list[str]:
    """What the language of a file adds to `check_flags`."""
    return ["-fobjc-arc", "-fobjc-exceptions", "-fobjc-arc-exceptions"] if file.endswith(".m") else []


def older_flags(sdk: str, version: str, folder: Path) -> list[str]:
    """What makes the SDK one of an older macOS. The folder gets the headers."""
    headers = Path(sdk, "System", "Library", "Frameworks", older_sdk.FRAMEWORK, "Headers")
    return ["-iframework", str(older_sdk.framework(headers, version, folder))]


def passes(clang: str, sdk: str, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The name and the flags of each pass over all files."""
    for target in TARGETS:
        yield target, check_flags(clang, target, sdk)
    newest = sdk_version(sdk)
    for version in OLDER_SDKS:
        # One processor will do: what an SDK declares for one of them alone, the first passes have looked at.
        if newest is None or release_of(version) < release_of(newest):
            flags = check_flags(clang, TARGETS[0], sdk)
            yield f"the SDK of macOS {version}", [*flags, *older_flags(sdk, version, folder / version)]


def typecheck(chosen_sdk: str | None = None) -> None:
    """Raises MissingTools or CompilationError."""
    if not (chosen_sdk or os.environ.get("SDKROOT") or shutil.which("xcrun")):
        raise MissingTools("There is no macOS SDK on this machine: name one with `--sdk PATH`.")
    sdk = macos_sdk(chosen_sdk)
    clang = Toolchain.find_macos_clang() if sys.platform == "darwin" else Toolchain.find_clang()
    if not clang:
        raise MissingTools("clang is missing: install it, or name one in the environment variable CLANG.")
    files = sources()
    with tempfile.TemporaryDirectory() as folder:
        all_passes = dict(passes(clang, sdk, Path(folder)))
        jobs = [
            [clang, *flags, *language_flags(file), "-fsyntax-only", file]
            for flags in all_passes.values()
            for file in files
        ]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(run, jobs))
    names = enumeration(tuple(all_passes))
    print(f"{len(files)} files of native/bridge and native/messages type-check for {names}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Type-checks native/bridge and native/messages for macOS.")
    parser.add_argument("--sdk", help="folder of a macOS SDK; by default the one of this machine")
    arguments = parser.parse_args()
    try:
        typecheck(arguments.sdk)
    except (MissingTools, CompilationError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
