# SPDX-License-Identifier: Apache-2.0
"""`make frameworks`: a program written for Apple's framework is compiled against what it installs, linked, and run,
with nothing but the compiler and pkg-config."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from guest_machine import PATIENCE
from native_programs import ROOT, load_toolchain

if sys.platform == "darwin":
    pytest.skip("macOS brings the frameworks", allow_module_level=True)

SOURCES = Path(__file__).with_name("frameworks")
READY = b"applevz guest: ready"
PROMPT = b"guest# "


@pytest.fixture(scope="module")
def prefix(tmp_path_factory) -> Path:
    installed = tmp_path_factory.mktemp("installed") / "first place"
    subprocess.run(["make", "--silent", "frameworks", f"PREFIX={installed}"], cwd=ROOT, check=True)
    # What is installed does not depend on where it is.
    moved = installed.with_name("another place")
    shutil.move(installed, moved)
    return moved


@pytest.fixture(scope="module")
def flags(prefix):
    """What pkg-config says, as words."""

    def words(what: str) -> list[str]:
        environment = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
        return shlex.split(
            subprocess.run(
                ["pkg-config", what, "virtualization"], capture_output=True, text=True, check=True, env=environment
            ).stdout
        )

    return words


@pytest.fixture(scope="module")
def clang() -> str:
    return load_toolchain().Toolchain.find().clang


@pytest.fixture(scope="module")
def compile_program(clang, flags, tmp_path_factory):
    def compile_program(source: Path, *options: str) -> Path:
        program = tmp_path_factory.mktemp("program") / source.stem
        driver = ["--driver-mode=g++"] if source.suffix == ".mm" else []
        command = [clang, *driver, "-Wall", "-Wextra", "-Werror", *options, source, *flags("--cflags")]
        command += [*flags("--libs"), "-o", program]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return program

    return compile_program


@pytest.fixture(scope="module", params=["with ARC", "without ARC"])
def launcher(request, compile_program) -> Path:
    return compile_program(SOURCES / "launcher.m", *(["-fobjc-arc"] if request.param == "with ARC" else []))


def read_until(process: subprocess.Popen[bytes], text: bytes) -> bytes:
    seen = b""
    while not seen.endswith(text):
        byte = process.stdout.read(1)
        assert byte, (seen, process.stderr.read())
        seen += byte
    return seen


@pytest.mark.parametrize(("way", "end"), [("main", "poweroff"), ("queue", "interrupt"), ("pipe", "interrupt")])
@pytest.mark.timeout(2 * PATIENCE)
def test_a_launcher_runs_a_guest(launcher, guest_files, way, end):
    with subprocess.Popen(
        [launcher, way, guest_files / "vmlinux", guest_files / "initrd.cpio.gz"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            read_until(process, READY)
            read_until(process, PROMPT)
            process.stdin.write(b"echo $((6 * 7))\n")
            process.stdin.flush()
            assert read_until(process, PROMPT).startswith(b"42\n")
            if end == "poweroff":
                process.stdin.write(b"poweroff\n")
                process.stdin.flush()
            else:
                process.send_signal(signal.SIGINT)
            words = process.communicate(timeout=PATIENCE)[1].decode()
        finally:
            process.kill()
    assert process.returncode == 0
    # Starting, Running, Stopped; asked politely, a guest stops by itself.
    expected = ["state 4", "state 1", "started", "state 0", "guest stopped, this machine's"]
    assert words.splitlines() == expected + (["the end"] if way == "pipe" else [])


def test_a_configuration_that_is_refused_says_why(launcher, tmp_path):
    result = subprocess.run(
        [launcher, "main", tmp_path / "no kernel", tmp_path / "no ramdisk"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.startswith("VZErrorDomain 2: ")
    assert f"{tmp_path}/no kernel" in result.stderr


def test_what_depends_on_the_state_is_observed_with_it(compile_program, guest_files):
    observer = compile_program(SOURCES / "observer.m", "-fobjc-arc")
    result = subprocess.run([observer, guest_files / "vmlinux"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        *["canStart 1 0", "state 0 4"],
        *["canRequestStop 0 1", "canPause 0 1", "canStop 0 1", "state 4 1", "started "],
        *["canRequestStop 1 0", "canPause 1 0", "canStop 1 0", "state 1 7"],
        *["canStart 0 1", "state 7 0", "stopped "],
    ]


def test_what_a_console_port_is_connected_to_is_exchanged_while_its_guest_writes(
    compile_program, guest_files, tmp_path
):
    program = compile_program(SOURCES / "ports.m", "-fobjc-arc")
    command = [program, guest_files / "vmlinux", guest_files / "initrd.cpio.gz", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (result.returncode, result.stderr) == (0, "")
    got = dict(line.split(" ", 1) for line in result.stdout.splitlines())
    assert list(got) == ["first", "second", "third", "missing", "file", "fourth"]
    # From one to the next nothing is lost and nothing comes twice, not within a line either.
    numbers = (got["first"] + got["second"] + got["third"]).split(";")[:-1]
    assert numbers == [str(number) for number in range(len(numbers))]
    # What the guest wrote while there was no attachment is gone; what the file has is one piece of the rest.
    filed = [int(number) for number in got["file"].split(";")[1:-1]]
    assert filed == list(range(filed[0], filed[0] + len(filed)))
    assert filed[0] > len(numbers)
    assert (got["missing"], got["fourth"]) == ("nil", "got it")


def test_a_program_in_objective_cxx_and_names_that_macos_has(compile_program):
    program = compile_program(SOURCES / "mixed.mm", "-fobjc-arc")
    result = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "1 function",
        "destroyed with its object",
        "destroyed by an exception that passes",
        "caught",
        "finally",
        "caught one of C++",
        "parts 3, phase of a later release",
        "/dev/null /dev/null 1 0",
        "a thread with a block",
        "terminal",
    ]


def test_every_class_constant_and_function_that_is_declared_is_there(prefix, compile_program, tmp_path):
    headers = sorted((prefix / "include" / "applevz").glob("*/*.h"))
    text = "\n".join(header.read_text() for header in headers)
    classes = sorted(set(re.findall(r"^@interface (VZ\w+)\s*[:<]", text, re.MULTILINE)))
    attributes = re.compile(r"\b(?:API_AVAILABLE\(.*?\)\)|__asm__\(.*?\)|(?:CF|DISPATCH)_[A-Z_]+)")
    declarations = [
        attributes.sub("", declaration)
        for declaration in re.findall(r"^(?:CF_EXPORT|DISPATCH_EXPORT|VZ_EXTERN)\b([^;]*);", text, re.MULTILINE)
    ]
    functions = {re.search(r"(\w+)\s*\(", line)[1] for line in declarations if "(" in line}
    constants = {re.search(r"(\w+)\s*$", line)[1] for line in declarations if "(" not in line}
    assert {"VZVirtualMachine", "VZLinuxBootLoader"} <= set(classes)
    assert {"dispatch_async", "CFRelease", "CFRunLoopRun"} <= functions
    assert {"VZErrorDomain", "_dispatch_source_type_signal"} <= constants
    source = tmp_path / "all.m"
    source.write_text(
        "#import <Virtualization/Virtualization.h>\n"
        "int main(void) { @autoreleasepool { volatile const void *seen;\n"
        + "".join(f"if (![{name} class]) return 1;\n" for name in classes)
        + "".join(f"seen = (const void *)&{name};\n" for name in sorted(functions | constants))
        + "(void)seen; } return 0; }\n"
    )
    subprocess.run([compile_program(source)], check=True)


def test_the_library_shows_only_what_its_headers_declare(prefix):
    symbols = subprocess.run(
        ["nm", "--dynamic", "--defined-only", "--format=posix", prefix / "lib" / "libVirtualization.so"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = {line.split()[0].removeprefix("__objc_class_name_") for line in symbols.splitlines()}
    headers = "\n".join(header.read_text() for header in (prefix / "include" / "applevz").rglob("*.h"))
    declared = set(re.findall(r"\w+", headers))
    assert {name for name in names if name not in declared} == set()


def test_a_program_has_what_apple_s_headers_bring_of_the_c_library(clang, flags):
    source = """
        #import <Foundation/Foundation.h>
        #if TARGET_OS_MAC || !TARGET_OS_LINUX
        #error "a target of Apple's"
        #endif
        int main(void) {
            signal(SIGPIPE, SIG_IGN);
            assert(isatty(0) || errno == ENOTTY);
            int descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
            jmp_buf place;
            if (setjmp(place) != 0 || fcntl(descriptor, F_GETFL) < 0)
                fprintf(stderr, "%s %" PRIu64, strerror(errno), (uint64_t)time(NULL));
            printf("%f %d %g %s", sqrt(2), isalpha('a'), DBL_MAX, setlocale(LC_ALL, NULL));
            return close(descriptor) == 0 && INT_MAX > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        }
    """
    command = [clang, "-x", "objective-c", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *flags("--cflags"), "-"]
    result = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("header", ["Foundation/Foundation", "CoreFoundation/CoreFoundation", "dispatch/dispatch"])
@pytest.mark.parametrize("language", ["objective-c", "objective-c++"])
@pytest.mark.parametrize("arc", [["-fobjc-arc"], []])
def test_a_header_compiles_alone(clang, flags, header, language, arc):
    result = subprocess.run(
        # No warning that a program asks for is one about the headers.
        [clang, "-x", language, *arc, "-Weverything", "-Werror", "-fsyntax-only", *flags("--cflags"), "-"],
        input=f"#import <{header}.h>\n#import <Virtualization/Virtualization.h>\nint main(void) {{ return 0; }}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_a_folder_that_cannot_be_written_is_named():
    result = subprocess.run(
        [sys.executable, ROOT / "native" / "frameworks.py", "--prefix", "/proc/applevz"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("/proc/applevz")
    assert "Traceback" not in result.stderr
