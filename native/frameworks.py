# SPDX-License-Identifier: Apache-2.0
"""Installs native/linux as frameworks: headers, libraries and a pkg-config file, for programs in Objective-C that were
written for Apple's Virtualization framework.

    python native/frameworks.py --prefix /usr/local
    clang -fobjc-arc program.m $(pkg-config --cflags --libs virtualization) -o program

What is installed below the prefix:

    include/applevz/                  <Foundation/Foundation.h>, <Virtualization/Virtualization.h>, dispatch, …
    lib/libVirtualization.so          CoreFoundation, dispatch and Virtualization
    lib/libapplevz-runtime.a          what clang's code needs of the runtime: each program has its own, as it has its
                                      own start-up files
    lib/pkgconfig/virtualization.pc   the flags; the folder may be moved with all that is in it
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from toolchain import LINUX, CompilationError, MissingTools, Toolchain

HEADERS = ("Foundation/Foundation.h", "Virtualization/Virtualization.h", "objc/message.h", "objc/blocks_runtime.h")
LIBRARY = "libVirtualization.so"
RUNTIME = "libapplevz-runtime.a"
OBJECTS = LINUX.parent.parent / "build" / "native"
DEFINITION = "-DAPPLEVZ_FRAMEWORKS=1"

PACKAGE = """\
prefix=${{pcfiledir}}/../..
libdir=${{prefix}}/lib
includedir=${{prefix}}/include/applevz

Name: Virtualization
Description: the classes of Apple's Virtualization framework, over QEMU
Version: {version}
Cflags: -isystem${{includedir}} {compile}
Libs: -L${{libdir}} -Wl,-rpath,${{libdir}} -lVirtualization -Wl,--whole-archive -lapplevz-runtime \
-Wl,--no-whole-archive {link}
"""


def public_headers(toolchain: Toolchain) -> dict[str, Path]:
    """The headers that a program can reach, by the names under which it includes them."""
    flags = [*toolchain.language_flags("program.m"), *toolchain.compile_flags()]
    command = [toolchain.clang, *flags, "-x", "objective-c", "-M", "-"]
    program = "".join(f"#import <{header}>\n" for header in HEADERS)
    rule = subprocess.run(command, input=program, capture_output=True, text=True, check=False)
    if rule.returncode != 0:
        raise CompilationError(f"{shlex.join(command)}\n{rule.stderr}")
    found = {}
    for word in shlex.split(rule.stdout.replace("\\\n", " ").partition(":")[2]):
        path = Path(word).resolve()
        for folder in (LINUX / "runtime", LINUX):
            if path.is_relative_to(folder):
                found[str(path.relative_to(folder))] = path
                break
    return found


def exports(headers: dict[str, Path]) -> str:
    """A version script that shows what the headers declare: a class is reached by a symbol of its name, the rest has
    its visibility from its declaration. Classes of our own stay the library's own."""
    declared = "\n".join(path.read_text(encoding="utf-8") for path in headers.values())
    classes = sorted(set(re.findall(r"^@interface (VZ\w+)\s*[:<]", declared, re.MULTILINE)))
    names = [f"__objc_class_name_{name}" for name in classes]
    names += ["VZ*", "CF*", "kCF*", "dispatch_*", "_dispatch_*", "_Block_*"]
    return "{\n    global:\n" + "".join(f"        {name};\n" for name in names) + "    local:\n        *;\n};\n"


def program_flags(toolchain: Toolchain) -> list[str]:
    """What a program's compilation needs, with ARC or without."""
    ours = ("-fobjc-arc", "-fobjc-arc-exceptions", "-std=gnu11")
    flags = [flag for flag in toolchain.language_flags("program.m") if flag not in ours]
    flags += ["-fblocks", "-fexceptions", "-pthread"]
    compile_flags = toolchain.compile_flags()
    # _GNU_SOURCE stays: on macOS the C library's headers show all they have, posix_openpt and the like, without a word.
    flags += [flag for flag in compile_flags if flag.startswith("-D") and flag != "-DNDEBUG"]
    system = [index for index, flag in enumerate(compile_flags) if flag == "-isystem"]
    return flags + [flag for index in system for flag in compile_flags[index : index + 2]]


def install(prefix: Path, destdir: str) -> None:
    toolchain = Toolchain.find()
    root = Path(f"{destdir}{prefix}") if destdir else prefix
    headers = public_headers(toolchain)
    build = OBJECTS / "frameworks"
    build.mkdir(parents=True, exist_ok=True)
    (build / "exports.map").write_text(exports(headers), encoding="utf-8")
    library = toolchain.compile(
        toolchain.linux_sources("runtime", "CoreFoundation", "dispatch", "Foundation", "Virtualization"),
        build / LIBRARY,
        build_dir=OBJECTS,
        shared=True,
        extra_compile_flags=[DEFINITION],
        extra_link_flags=[f"-Wl,-soname,{LIBRARY}", "-Wl,-S"],
        exports=build / "exports.map",
    )
    flags = [*toolchain.compile_flags(), DEFINITION]
    objects = toolchain.objects(toolchain.linux_sources("runtime"), build_dir=OBJECTS, flags=flags)
    archive = build / RUNTIME
    archive.unlink(missing_ok=True)
    subprocess.run(["ar", "rcsD", archive, *objects], check=True)

    include = root / "include" / "applevz"
    shutil.rmtree(include, ignore_errors=True)
    for name, path in headers.items():
        target = include / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    folder = root / "lib"
    (folder / "pkgconfig").mkdir(parents=True, exist_ok=True)
    for file in (library, archive):
        # Renamed into place: a program that runs has the old library mapped.
        temporary = folder / f".{file.name}.{os.getpid()}"
        shutil.copy2(file, temporary)
        temporary.replace(folder / file.name)
    package = PACKAGE.format(
        version="0.1.0", compile=shlex.join(program_flags(toolchain)), link=shlex.join(toolchain.link_libraries())
    )
    (folder / "pkgconfig" / "virtualization.pc").write_text(package, encoding="utf-8")
    print(f"{len(headers)} headers, {LIBRARY}, {RUNTIME} and virtualization.pc are in {root}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Install native/linux as frameworks for programs in Objective-C.")
    parser.add_argument("--prefix", type=Path, default=Path("/usr/local"), help="by default /usr/local")
    parser.add_argument("--destdir", default="", help="where a package is being made: a folder before the prefix")
    arguments = parser.parse_args()
    if sys.platform == "darwin":
        parser.error("macOS has the frameworks already")
    try:
        install(arguments.prefix.resolve(), arguments.destdir)
    except (MissingTools, CompilationError) as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}: name a folder as the prefix that you may write.", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
