# SPDX-License-Identifier: Apache-2.0
"""Installs native/linux as frameworks: headers, libraries and a pkg-config file, for programs in Objective-C that were
written for Apple's Virtualization framework.

    python native/frameworks.py --prefix /usr/local
    clang -fobjc-arc program.m $(pkg-config --cflags --libs virtualization) -o program

What is installed below the prefix:

    include/applevz/                  <Foundation/Foundation.h>, <Virtualization/Virtualization.h>, dispatch, … and,
                                      corrected, headers of the GNUstep that is installed
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

from toolchain import LINUX, LINUX_PARTS, PUBLIC_HEADERS, CompilationError, MissingTools, Toolchain

HEADERS = (
    *("Foundation/Foundation.h", "Virtualization/Virtualization.h", "objc/message.h", "objc/blocks_runtime.h"),
    *("objc/objc-arc.h", "Security/Security.h"),
    *("Cocoa/Cocoa.h", "mach/mach_time.h", "os/lock.h", "os/log.h", "sys/cdefs.h", "sys/stdio.h", "util.h"),
)
# What the bridge has no use for, and the library of the Python package does not have.
PROGRAMS = LINUX / "programs"
LIBRARY = "libVirtualization.so"
RUNTIME = "libapplevz-runtime.a"
OBJECTS = LINUX.parent.parent / "build" / "native"
DEFINITION = "-DAPPLEVZ_FRAMEWORKS=1"
PROGRAM_DEFINITION = "-DAPPLEVZ_FRAMEWORKS_PROGRAM=1"

# These make one of a subclass: Apple's, too, says `id`.
NO_INSTANCE = {("NSXMLNode", "DTDNodeWithXMLString")}

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
    command = [toolchain.clang, "-I", str(PROGRAMS), *flags, "-x", "objective-c", "-M", "-"]
    program = "".join(f"#import <{header}>\n" for header in HEADERS)
    rule = subprocess.run(command, input=program, capture_output=True, text=True, check=False)
    if rule.returncode != 0:
        raise CompilationError(f"{shlex.join(command)}\n{rule.stderr}")
    found = {}
    for word in shlex.split(rule.stdout.replace("\\\n", " ").partition(":")[2]):
        path = Path(word).resolve()
        for folder in (LINUX / "runtime", PROGRAMS, PUBLIC_HEADERS.parent, LINUX):
            if path.is_relative_to(folder):
                found[str(path.relative_to(folder))] = path
                break
    return found


def makes_instance(class_name: str, method: str) -> bool:
    """Whether a class method is one of those of which Apple says `instancetype`: that names what its class is, or the
    end of that, before it says of what. `arrayWithCapacity:` does in NSMutableArray, `JSONObjectWithData:` does not in
    NSJSONSerialization."""
    if (class_name, method) in NO_INSTANCE:
        return False
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*", class_name.removeprefix("NS"))
    made = re.split(r"(?<=[a-z0-9])(?:With|From|For|To|At|By)(?=[A-Z]|$)", method)[0].lower()
    return any("".join(words[first:]).lower() in made for first in range(len(words)))


def with_instance_types(header: str) -> str:
    """The text of a header of GNUstep's in which class methods that make an instance say so. GNUstep says `id` of many:
    `[NSString stringWithFormat:…].length` does not compile with that."""
    class_name = ""

    def declared(match: re.Match[str]) -> str:
        nonlocal class_name
        if match["class"]:
            class_name = match["class"]
        elif class_name and makes_instance(class_name, match["method"]):
            return match["before"] + "instancetype" + match["after"] + match["method"]
        return match[0]

    return re.sub(
        r"^\s*@interface\s+(?P<class>\w+)|(?P<before>^\s*\+\s*\(\s*)id(?P<after>\s*\)\s*)(?P<method>\w+)",
        declared,
        header,
        flags=re.MULTILINE,
    )


CORRECTED = """\
// Made by native/frameworks.py out of the header of this name of GNUstep {version}, for that release alone.
#include <GNUstepBase/GSConfig.h>
#if GNUSTEP_BASE_MAJOR_VERSION == {major} && GNUSTEP_BASE_MINOR_VERSION == {minor} && \\
    GNUSTEP_BASE_SUBMINOR_VERSION == {subminor}
{text}
#else
#include_next <Foundation/{name}>
#endif
"""


def corrected_headers(toolchain: Toolchain) -> dict[str, str]:
    """Headers to be found before GNUstep's of the same names."""
    flags = toolchain.compile_flags()
    folders = [Path(flags[index + 1]) for index, flag in enumerate(flags) if flag == "-isystem"]
    folder = next(folder for folder in folders if (folder / "Foundation" / "NSString.h").is_file())
    configuration = (folder / "GNUstepBase" / "GSConfig.h").read_text(encoding="utf-8")
    version = {
        name.lower(): number
        for name, number in re.findall(
            r"^#define\s+GNUSTEP_BASE_(MAJOR|MINOR|SUBMINOR)_VERSION\s+(\d+)", configuration, re.MULTILINE
        )
    }
    found = {}
    for header in sorted((folder / "Foundation").glob("*.h")):
        text = header.read_text(encoding="utf-8", errors="surrogateescape")
        corrected = with_instance_types(text)
        if corrected != text:
            found[f"Foundation/{header.name}"] = CORRECTED.format(
                version=".".join(version.values()), text=corrected, name=header.name, **version
            )
    return found


def exports(headers: dict[str, Path]) -> str:
    """A version script that shows what the headers declare: a class is reached by a symbol of its name, the rest has
    its visibility from its declaration. Classes of our own stay the library's own."""
    declared = "\n".join(path.read_text(encoding="utf-8") for path in headers.values())
    classes = sorted(set(re.findall(r"@interface (VZ\w+)\s*[:<]", declared)))
    names = [f"__objc_class_name_{name}" for name in classes]
    # A program finds these before GNUstep's of the same names, which have other values.
    names += re.findall(r"^NSERROR_KEY (\w+);", declared, re.MULTILINE)
    names += ["VZ*", "CF*", "kCF*", "dispatch_*", "_dispatch_*", "os_log_*", "_os_log_*", "os_unfair_lock_*"]
    names += ["_Block_*", "SecTask*", "objc_msgSend*", "object_getClass"]
    names += re.findall(r"(objc_\w+)\(", headers["objc/objc-arc.h"].read_text(encoding="utf-8"))
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


def version() -> str:
    """The package's, as it stands in the one place that says it."""
    text = (LINUX.parent.parent / "src" / "applevz" / "__init__.py").read_text(encoding="utf-8")
    return text.partition('\n__version__ = "')[2].partition('"')[0]


def install(prefix: Path, destdir: str) -> None:
    toolchain = Toolchain.find()
    root = Path(f"{destdir}{prefix}") if destdir else prefix
    headers = public_headers(toolchain)
    build = OBJECTS / "frameworks"
    build.mkdir(parents=True, exist_ok=True)
    (build / "exports.map").write_text(exports(headers), encoding="utf-8")
    library = toolchain.compile(
        toolchain.linux_sources(*LINUX_PARTS, "Foundation", "programs"),
        build / LIBRARY,
        build_dir=OBJECTS,
        shared=True,
        extra_compile_flags=[DEFINITION, "-I", str(PROGRAMS)],
        precompiled=PUBLIC_HEADERS / "Virtualization.h",
        united=True,
        extra_link_flags=[f"-Wl,-soname,{LIBRARY}", "-Wl,-S"],
        exports=build / "exports.map",
    )
    flags = [*toolchain.compile_flags(), DEFINITION, PROGRAM_DEFINITION, "-I", str(PROGRAMS)]
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
    for name, text in corrected_headers(toolchain).items():
        (include / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    folder = root / "lib"
    (folder / "pkgconfig").mkdir(parents=True, exist_ok=True)
    for file in (library, archive):
        # Renamed into place: a program that runs has the old library mapped.
        temporary = folder / f".{file.name}.{os.getpid()}"
        shutil.copy2(file, temporary)
        temporary.replace(folder / file.name)
    package = PACKAGE.format(
        version=version(), compile=shlex.join(program_flags(toolchain)), link=shlex.join(toolchain.link_libraries())
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
