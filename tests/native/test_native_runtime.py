# SPDX-License-Identifier: Apache-2.0
"""The runtime layer and the CoreFoundation subset, by Objective-C programs of one behaviour each.

Every program is built at -O0 and -O3 and once with AddressSanitizer and UndefinedBehaviorSanitizer; those with threads
once with ThreadSanitizer, too. A program's exit status is its verdict, and what it printed says which line failed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from native_programs import Programs, load_toolchain
from places import NATIVE, PROGRAM_SOURCES, ROOT

if TYPE_CHECKING:
    from toolchain import Toolchain

if sys.platform == "darwin":
    pytest.skip("macOS brings its own runtime", allow_module_level=True)

TOOLCHAIN = NATIVE / "toolchain.py"
PARTS = ("runtime", "CoreFoundation")
PROGRAMS = Programs("runtime", PARTS)
THREADED = ("blocks", "ownership", "properties", "thread_pools", "threads", "weak_threads")
CASES = [(name, flavour) for flavour in ("O0", "O3", "address") for name in PROGRAMS.names()]
CASES += [(name, "thread") for name in THREADED]


@pytest.mark.parametrize(("program", "flavour"), CASES)
def test_program(program: str, flavour: str) -> None:
    result = PROGRAMS.run(program, flavour)
    output = (result.stdout + result.stderr).splitlines()
    # A sanitizer without llvm-symbolizer says so when it looks a suppressed leak up.
    assert (result.returncode, [line for line in output if "external symbolizer" not in line]) == (0, [])


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    found: Toolchain = load_toolchain().Toolchain.find()
    return found


@pytest.fixture(scope="session")
def libraries(toolchain: Toolchain) -> list[Path]:
    """Two shared libraries with a copy of the layer each."""
    return [
        toolchain.compile(
            [PROGRAM_SOURCES / "runtime" / "parts" / "library.m", *toolchain.linux_sources(*PARTS)],
            ROOT / "build" / "native-tests" / f"{name}.so",
            build_dir=ROOT / "build" / "native-tests" / "objects",
            shared=True,
            extra_compile_flags=[f"-DCLASS_NAME={name}"],
        )
        for name in ("FirstLibrary", "SecondLibrary")
    ]


def run_host(script: str, libraries: list[Path], **environment: str) -> Any:
    """Run a Python host that loads the libraries with ctypes; return what it prints as JSON."""
    prologue = (
        "import ctypes, json, os, signal, sys\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.setlocale.restype = ctypes.c_char_p\n"
        "libc.signal.restype = ctypes.c_void_p\n"
        f"paths = {[str(library) for library in libraries]!r}\n"
        "def load():\n"
        "    loaded = [ctypes.CDLL(path) for path in paths]\n"
        "    for library in loaded:\n"
        "        library.library_make_error.restype = ctypes.c_void_p\n"
        "        library.library_make_block.restype = ctypes.c_void_p\n"
        "        library.library_live.restype = ctypes.c_long\n"
        "        library.library_consume_errors.restype = ctypes.c_long\n"
        "        library.library_sees_watched.restype = ctypes.c_bool\n"
        "    return loaded\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", prologue + script],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_errors_of_one_library_are_read_and_released_by_another_without_growth(libraries: list[Path]) -> None:
    script = """
first, second = load()
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
consume = lambda count: second.library_consume_errors(first.library_make_error, ctypes.c_long(count))
assert consume(50_000) == 50_000
before = resident()
assert consume(200_000) == 200_000
print(json.dumps([resident() - before, first.library_live(), second.library_live()]))
"""
    growth, first_live, second_live = run_host(script, libraries)
    assert abs(growth) < 1 << 20
    assert (first_live, second_live) == (0, 0)


def test_two_copies_of_the_layer_share_objects_weak_references_blocks_and_exceptions(libraries: list[Path]) -> None:
    script = """
first, second = load()
seen = []
for one, other in ((first, second), (second, first)):
    error = ctypes.c_void_p(one.library_make_error(1))
    other.library_watch(error)
    one.library_watch(error)
    assert other.library_sees_watched() and one.library_sees_watched()
    other.library_release(error)
    seen.append([other.library_sees_watched(), one.library_sees_watched(), one.library_live()])
    block = ctypes.c_void_p(one.library_make_block(40))
    other.library_watch(block)
    result = other.library_call_block(block, 2)
    assert other.library_sees_watched()
    other.library_release(block)
    seen.append([result, other.library_sees_watched(), one.library_live()])
    seen.append([one.library_catch(other.library_throw), other.library_live()])
    seen.append([one.library_run_operation(3), one.library_live()])
print(json.dumps(seen))
"""
    expected = [[False, False, 0], [42, False, 0], [1, 0], [15, 0]]
    assert run_host(script, libraries) == expected * 2


def test_loading_and_using_the_layer_leaves_the_process_as_it_was(libraries: list[Path], tmp_path: Path) -> None:
    script = """
def state():
    handlers = []
    for number in range(1, 65):
        if number in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
            continue
        handler = libc.signal(number, ctypes.c_void_p(0))
        libc.signal(number, ctypes.c_void_p(handler))
        handlers.append(handler)
    return [handlers, libc.setlocale(6, None).decode(), sorted(os.environ.items()), len(os.listdir("/proc/self/task")),
            os.getcwd(), os.umask(0o77) | os.umask(0o22), sorted(os.listdir("/proc/self/fd"))]
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
os.umask(0o22)
libc.setlocale(6, b"C")
before = state()
loaded = load()
after_load = state()
for library in loaded:
    assert library.library_use_foundation() > 0
after_use = state()
print(json.dumps([before, after_load, after_use]))
"""
    home = tmp_path / "home"
    home.mkdir()
    for name in (home, tmp_path / "there is no such home"):
        before, after_load, after_use = run_host(
            script, libraries, HOME=str(name), LANG="C.UTF-8", LC_ALL="C.UTF-8", LC_MESSAGES="de_DE.UTF-8"
        )
        assert after_load == before
        assert after_use == before
    assert list(tmp_path.rglob("*")) == [home]


def test_nothing_of_the_layer_but_blocks_and_core_foundation_is_exported(libraries: list[Path]) -> None:
    output = subprocess.run(
        ["nm", "--dynamic", "--defined-only", libraries[0]], capture_output=True, text=True, check=True
    ).stdout
    exported = {line.split()[-1] for line in output.splitlines()}
    foreign = {name for name in exported if not name.startswith(("library_", "CF"))}
    assert foreign == {"_Block_copy", "_Block_release"}


def test_sources_are_compiled_once(toolchain: Toolchain, tmp_path: Path) -> None:
    source = tmp_path / "answer.m"
    header = tmp_path / "answer.h"
    header.write_text("#define ANSWER 3\n")
    source.write_text('#include "answer.h"\nint main(void) { return ANSWER; }\n')

    def build(**options: Any) -> tuple[int, int, dict[Path, int]]:
        executable = toolchain.compile([source], tmp_path / "answer", build_dir=tmp_path / "objects", **options)
        objects = {file: file.stat().st_mtime_ns for file in (tmp_path / "objects").rglob("*.o")}
        return subprocess.run([executable], check=False).returncode, executable.stat().st_mtime_ns, objects

    first = build()
    assert first[0] == 3
    assert build() == first
    header.write_text("#define ANSWER 4\n")
    changed = build()
    assert changed[0] == 4
    assert len(build(optimize="-O0")[2]) == 2


def test_a_failing_compilation_raises_with_the_compiler_s_words(toolchain: Toolchain, tmp_path: Path) -> None:
    source = tmp_path / "wrong.m"
    source.write_text("int main(void) { return undeclared_name; }\n")
    error = sys.modules["native_toolchain"].CompilationError
    with pytest.raises(error, match="undeclared_name"):
        toolchain.compile([source], tmp_path / "wrong", build_dir=tmp_path / "objects")


def test_a_missing_compiler_is_one_sentence_that_names_the_packages(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, TOOLCHAIN, "flags"],
        capture_output=True,
        text=True,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("clang ")
    assert "apt-get install clang libgnustep-base-dev" in result.stderr
