# SPDX-License-Identifier: Apache-2.0
"""`make frameworks`: a program written for Apple's framework is compiled against what it installs, linked, and run,
with nothing but the compiler and pkg-config."""

from __future__ import annotations

import concurrent.futures
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from guest_machine import PATIENCE
from native_programs import load_toolchain
from places import NATIVE, PROGRAM_SOURCES, ROOT, SCRIPTED_QEMU

if sys.platform == "darwin":
    pytest.skip("macOS brings the frameworks", allow_module_level=True)

SOURCES = PROGRAM_SOURCES / "frameworks"
PROGRAM_HEADERS = NATIVE / "linux" / "programs"
READY = b"applevz guest: ready"
PROMPT = b"guest# "


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    installed = tmp_path_factory.mktemp("installed") / "first place"
    subprocess.run(["make", "--silent", "frameworks", f"PREFIX={installed}"], cwd=ROOT, check=True)
    # What is installed does not depend on where it is.
    moved = installed.with_name("another place")
    shutil.move(installed, moved)
    return moved


@pytest.fixture(scope="module")
def flags(prefix: Path) -> Callable[[str], list[str]]:
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
    found: str = load_toolchain().Toolchain.find().clang
    return found


@pytest.fixture(scope="module")
def compile_program(
    clang: str, flags: Callable[[str], list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    def compile_program(source: Path, *options: str) -> Path:
        program = tmp_path_factory.mktemp("program") / source.stem
        driver = ["--driver-mode=g++"] if source.suffix == ".mm" else []
        command = [clang, *driver, "-Wall", "-Wextra", "-Werror", *options, str(source), *flags("--cflags")]
        command += [*flags("--libs"), "-o", str(program)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return program

    return compile_program


@pytest.fixture(scope="module", params=["with ARC", "without ARC"])
def launcher(request: pytest.FixtureRequest, compile_program: Callable[..., Path]) -> Path:
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
def test_a_launcher_runs_a_guest(launcher: Path, guest_files: Path, way: str, end: str) -> None:
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


def test_a_configuration_that_is_refused_says_why(launcher: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [launcher, "main", tmp_path / "no kernel", tmp_path / "no ramdisk"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.startswith("VZErrorDomain 2: ")
    assert f"{tmp_path}/no kernel" in result.stderr


def test_what_depends_on_the_state_is_observed_with_it(compile_program: Callable[..., Path], guest_files: Path) -> None:
    observer = compile_program(SOURCES / "observer.m", "-fobjc-arc")
    result = subprocess.run([observer, guest_files / "vmlinux"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        *["canStart 1 0", "state 0 4"],
        *["canRequestStop 0 1", "canPause 0 1", "canStop 0 1", "state 4 1", "started "],
        *["canRequestStop 1 0", "canPause 1 0", "canStop 1 0", "state 1 7"],
        *["canStart 0 1", "state 7 0", "stopped "],
    ]


STOPPED = (
    "Internal Virtualization error. The virtual machine stopped unexpectedly. QEMU was killed by signal 9 (Killed)."
)
SHUTDOWN = {"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}, "timestamp": {}}
ENDS = {
    "dies": (
        {"after": {"cont": "kill"}},
        ["started", "state 3, can start", f"stopped in state 3, can start: {STOPPED}"],
    ),
    # The verb that was under way is told last, and finds what the delegate began.
    "dies while pausing": (
        {"answers": {"stop": ""}, "after": {"stop": "kill"}},
        ["started", "state 5", "state 3, can start", f"stopped in state 3, can start: {STOPPED}"],
    ),
    "turns off": (
        {"after": {"cont": "events"}, "events": [json.dumps(SHUTDOWN)]},
        ["started", "state 0, can start", "guest stopped in state 0, can start"],
    ),
}
TRANSITION = 'Invalid virtual machine state transition. Transition from state "{}" to state "{}" is invalid.'
STATE = 'Invalid virtual machine state. Virtual machine state "{}" is invalid for {}.'


@pytest.fixture(scope="module")
def stops(compile_program: Callable[..., Path]) -> Path:
    return compile_program(SOURCES / "stops.m", "-fobjc-arc")


@pytest.mark.parametrize("way", ENDS)
def test_an_end_is_told_in_the_state_that_it_led_to_and_refusals_in_apple_s_words(
    stops: Path, guest_files: Path, way: str
) -> None:
    script, end = ENDS[way]
    environment = {**os.environ, "APPLEVZ_QEMU": str(SCRIPTED_QEMU), "APPLEVZ_QEMU_SCRIPT": json.dumps(script)}
    result = subprocess.run(
        [stops, guest_files / "vmlinux", way],
        capture_output=True,
        text=True,
        env=environment,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 0, result
    again = ["state 4", f"paused: {STOPPED}"] if way == "dies while pausing" else ["state 4"]
    assert result.stdout.splitlines() == [
        *["state 4", "state 1", *end],
        *[*again, "state 1", "started again"],
        "start: " + TRANSITION.format("running", "starting"),
        "resume: " + TRANSITION.format("running", "resuming"),
        "save: " + STATE.format("running", "saving"),
        "restore: " + TRANSITION.format("running", "restoring"),
        *["state 7", "state 0, can start", "stop"],
        "request: " + STATE.format("stopped", "requesting a stop"),
        "stop: " + TRANSITION.format("stopped", "stopping"),
        "the end",
    ]
    reason = TRANSITION.format("stopped", "stopping").partition(". ")[2]
    assert (
        f'Error Domain=VZErrorDomain Code=4 "{reason}" UserInfo={{NSLocalizedFailure=Invalid virtual machine state '
        f"transition., NSLocalizedFailureReason={reason}, NSLocalizedRecoverySuggestion="
    ) in result.stderr


def test_a_start_that_fails_says_so_in_apple_s_words_and_why(stops: Path, guest_files: Path) -> None:
    script = json.dumps({"die": [3, "the last words"]})
    environment = {**os.environ, "APPLEVZ_QEMU": str(SCRIPTED_QEMU), "APPLEVZ_QEMU_SCRIPT": script}
    with subprocess.Popen(
        [stops, guest_files / "vmlinux", "dies"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        lines = [process.stdout.readline().decode() for _ in range(3)]
        process.kill()
    assert lines[:2] == ["state 4\n", "state 0, can start\n"]
    assert lines[2].startswith(
        "started: Internal Virtualization error. The virtual machine failed to start. QEMU ended with "
    )


NO_SOUND = [
    "0 devices",
    "Invalid virtual machine configuration. audioDevices[0].streams has no output stream.",
    "Invalid virtual machine configuration. audioDevices[0].streams has 1 output streams and 2 input streams.",
    "Invalid virtual machine configuration. audioDevices[0].streams[0].sink is an instance of NSConstantString.",
]


@pytest.mark.parametrize("driver", ["", "pa"])
def test_sound_is_what_qemu_has_of_it_and_a_call_off_the_queue_ends_the_process_where_that_is_asked_for(
    compile_program: Callable[..., Path], guest_files: Path, tmp_path: Path, driver: str
) -> None:
    program = compile_program(SOURCES / "sound.m", "-fobjc-arc")

    def run(**script: object) -> tuple[int, list[str]]:
        environment = {**os.environ, "APPLEVZ_QEMU": str(SCRIPTED_QEMU), "APPLEVZ_QEMU_SCRIPT": json.dumps(script)}
        environment |= {"APPLEVZ_CHECK_QUEUE": "1", "APPLEVZ_QEMU_AUDIO": driver}
        result = subprocess.run(
            [program, guest_files / "vmlinux"],
            capture_output=True,
            text=True,
            env=environment,
            timeout=PATIENCE,
            check=False,
        )
        return result.returncode, result.stdout.splitlines()

    missing = "Guests have no sound on this host. QEMU 7.2 has no virtio sound device; 8.2 is the first that has."
    refused = f"The operation is not supported. audioDevices[0] is a VZVirtioSoundDeviceConfiguration. {missing}"
    assert run() == (0, [*NO_SOUND, refused])

    code, lines = run(version=[8, 2], record=str(tmp_path / "arguments"))
    assert code == -signal.SIGABRT
    assert lines[:4] == NO_SOUND
    assert lines[4:6] == ["valid", "copied 1 3"]
    assert "audioDevices[0] is a VZVirtioSoundDeviceConfiguration, whose state QEMU does not save" in lines[6]
    assert lines[7] == "reconfigured 1"
    assert lines[8].startswith("10 The operation is not supported. The display cannot be reconfigured.")
    assert lines[9].startswith("2 Invalid virtual machine configuration. configuration is an instance of ")
    assert lines[10:] == ["started "]
    arguments = json.loads((tmp_path / "arguments").read_text())
    backend = json.loads(arguments[arguments.index("-audiodev") + 1])
    assert backend == {"driver": driver or "none", "id": "audio0"}
    devices = [json.loads(arguments[i + 1]) for i, word in enumerate(arguments) if word == "-device"]
    (card,) = [device for device in devices if device["driver"] == "virtio-sound-pci"]
    assert (card["audiodev"], card["streams"]) == ("audio0", 3)


def test_what_a_console_port_is_connected_to_is_exchanged_while_its_guest_writes(
    compile_program: Callable[..., Path], guest_files: Path, tmp_path: Path
) -> None:
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


def test_a_program_in_objective_cxx_and_names_that_macos_has(compile_program: Callable[..., Path]) -> None:
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
        "with a block",
        "terminal",
    ]


@pytest.mark.parametrize("name", ["blocks", "corefoundation", "json", "names", "runloops", "tasks"])
def test_what_programs_take_for_granted_of_macos(
    compile_program: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    program = compile_program(SOURCES / f"{name}.m", "-fobjc-arc")
    arguments = [tmp_path] if name in {"names", "tasks"} else []
    result = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=PATIENCE
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_file_handles(compile_program: Callable[..., Path], tmp_path: Path) -> None:
    """Standard input is heard whatever becomes of other file handles."""
    program = compile_program(SOURCES / "filehandles.m", "-fobjc-arc")
    with subprocess.Popen(
        [program, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            for word, data in [(b"ready\n", b"first"), (b"again\n", b"second")]:
                read_until(process, word)
                process.stdin.write(data)
                process.stdin.flush()
            words = process.communicate(timeout=PATIENCE)[1].decode()
        finally:
            process.kill()
    assert (process.returncode, words) == (0, "")


@pytest.mark.parametrize(
    ("name", "way", "words"),
    [
        ("blocks", "foreign", "dispatch_block_cancel: the block was not made by dispatch_block_create"),
        ("blocks", "twice", "dispatch_block_wait: a block object may not be waited for more than once"),
        ("blocks", "again", "dispatch_block_wait: a block object may not be run more than once and waited for"),
        ("corefoundation", "index", "CoreFoundation: CFArrayGetValueAtIndex() was called with a range that the array"),
        ("corefoundation", "range", "CoreFoundation: CFDataGetBytes() was called with a range that the data does not"),
        ("corefoundation", "callbacks", "CoreFoundation: CFArrayCreateMutable() was called with other callbacks than"),
        ("corefoundation", "null", "CoreFoundation: CFURLCopyScheme() was called with NULL"),
    ],
)
def test_misuse_ends_the_process_with_a_word(
    compile_program: Callable[..., Path], name: str, way: str, words: str
) -> None:
    program = compile_program(SOURCES / f"{name}.m", "-fobjc-arc")
    result = subprocess.run([program, way], capture_output=True, text=True, check=False)
    assert result.returncode == -signal.SIGABRT
    assert result.stderr.startswith(words)


def test_the_log_goes_to_standard_error_where_it_is_asked_for(
    compile_program: Callable[..., Path], tmp_path: Path
) -> None:
    program = compile_program(SOURCES / "names.m", "-fobjc-arc")
    environment = {**os.environ, "OS_ACTIVITY_DT_MODE": "YES", "LC_ALL": "C"}
    result = subprocess.run([program, tmp_path], capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0
    lines = result.stderr.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} names\[\d+\]", line) for line in lines)
    assert [line.partition("]")[2] for line in lines] == [
        *[" plain", " error: [org.example.names:general] number 7, text, object, (1) 100%: No such file or directory"],
        *[" info: [org.example.names:general] 1", " debug: [org.example.names:general] debug"],
        *[" fault: [org.example.names:general] fault", " [org.example.names:general] typed"],
    ]


def test_a_corrected_header_is_for_the_release_that_it_was_made_of(
    prefix: Path, clang: str, flags: Callable[[str], list[str]], tmp_path: Path
) -> None:
    """After GNUstep's headers have become others, the program is compiled with those."""
    other = tmp_path / "GNUstepBase"
    other.mkdir()
    folder = Path(flags("--cflags")[flags("--cflags").index("-isystem") + 1])
    text = (folder / "GNUstepBase" / "GSConfig.h").read_text()
    (other / "GSConfig.h").write_text(
        re.sub(r"(GNUSTEP_BASE_SUBMINOR_VERSION\s+)\d+", r"\g<1>99", text), encoding="utf-8"
    )
    source = "#import <Foundation/Foundation.h>\nNSUInteger length(void) { return [NSData data].length; }\n"
    command = [clang, "-x", "objective-c", "-fsyntax-only"]
    for folders, code in [([], 0), (["-isystem", str(tmp_path)], 1)]:
        result = subprocess.run(
            [*command, *folders, *flags("--cflags"), "-"], input=source, capture_output=True, text=True, check=False
        )
        assert result.returncode == code, result.stderr
    assert (prefix / "include" / "applevz" / "Foundation" / "NSData.h").is_file()


def test_every_class_constant_and_function_that_is_declared_is_there(
    prefix: Path, compile_program: Callable[..., Path], tmp_path: Path
) -> None:
    headers = sorted((prefix / "include" / "applevz").glob("*/*.h"))
    text = "\n".join(header.read_text() for header in headers)
    classes = sorted(set(re.findall(r"@interface (VZ\w+)\s*[:<]", text)))
    attributes = re.compile(r"\b(?:API_AVAILABLE\(.*?\)\)|__asm__\(.*?\)|(?:CF|DISPATCH)_[A-Z_]+)")
    declarations = [
        attributes.sub("", declaration)
        for declaration in re.findall(r"^(?:(?:CF|DISPATCH|OS_\w+)_EXPORT|VZ_EXTERN)\b([^;]*);", text, re.MULTILINE)
    ]
    functions = {re.findall(r"(\w+)\s*\(", line)[0] for line in declarations if "(" in line}
    constants = {re.findall(r"(\w+)\s*$", line)[0] for line in declarations if "(" not in line}
    assert {"VZVirtualMachine", "VZLinuxBootLoader"} <= set(classes)
    assert {"dispatch_async", "CFRelease", "CFRunLoopRun", "SecTaskCreateFromSelf", "os_log_create"} <= functions
    assert {"VZErrorDomain", "_dispatch_source_type_signal", "kCFBooleanTrue"} <= constants
    source = tmp_path / "all.m"
    source.write_text(
        "#import <Security/Security.h>\n#import <Virtualization/Virtualization.h>\n"
        "#include <os/lock.h>\n#include <os/log.h>\n"
        "int main(void) { @autoreleasepool { volatile const void *seen;\n"
        + "".join(f"if (![{name} class]) return 1;\n" for name in classes)
        + "".join(f"seen = (const void *)&{name};\n" for name in sorted(functions | constants))
        + "(void)seen; } return 0; }\n"
    )
    subprocess.run([compile_program(source)], check=True)


def test_the_library_shows_only_what_its_headers_declare(prefix: Path) -> None:
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


MESSAGES = [
    *["before main 1", "LowerSender of Sender"],
    *["many:::::::::::::::: 1 2 3 4 5 0.6 0.7 0.8 0.9 10 11 12 13 14 15 16", "returned 1", "sum 3.75"],
    *["big 0.5 2.5 10.5", "long 42 0", "depth 505", "nil (nil) 0", "wide 11 22 33 44", "7 2.50 words", "processors 1"],
]


@pytest.mark.parametrize("options", [["-O0"], ["-O2"]], ids=["O0", "O2"])
def test_a_program_in_plain_c_sends_messages(compile_program: Callable[..., Path], options: list[str]) -> None:
    result = subprocess.run(
        [compile_program(SOURCES / "messages.c", *options)], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout.splitlines(), result.stderr) == (0, MESSAGES, "")


def test_a_language_without_headers_finds_all_it_needs_by_name(clang: str, prefix: Path, tmp_path: Path) -> None:
    program = tmp_path / "messages"
    command = [clang, "-Wall", "-Wextra", "-Werror", "-DDYNAMIC", str(SOURCES / "messages.c"), "-o", str(program)]
    subprocess.run(command, check=True)
    result = subprocess.run(
        [program, prefix / "lib" / "libVirtualization.so"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout.splitlines(), result.stderr) == (0, MESSAGES, "")


@pytest.mark.parametrize("options", [["-O0"], ["-O2", "-fobjc-arc"]], ids=["O0", "O2 with ARC"])
def test_objective_c_plus_plus_is_initialized_and_catches_what_both_languages_throw(
    compile_program: Callable[..., Path], options: list[str]
) -> None:
    program = compile_program(SOURCES / "exceptions.mm", "-std=c++17", *options)
    result = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "made before 109",
        "Problem",
        # Handlers of Objective-C; what stands before is told by a destructor on the way.
        "~r problem Problem",
        "~r exception",
        "~r id 1",
        "a text, finally",
        "~f NSRangeException",
        "any",
        # Handlers of C++.
        "~r Problem",
        "~r id",
        "~r any, 0 under way",
        "thrown",
        "of C++",
        # Through frames of both.
        "~r finally Problem",
        "finally of C++",
        "~r again Problem",
        "~r again because",
        "~r ~r Innermost in inner in Problem",
        "~r 0 Problem, 0 under way",
        "0 under way",
    ]


def test_a_program_has_what_apple_s_headers_bring_of_the_c_library(
    clang: str, flags: Callable[[str], list[str]]
) -> None:
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


def test_every_header_for_programs_alone_is_installed(prefix: Path) -> None:
    written = {path.relative_to(PROGRAM_HEADERS) for path in PROGRAM_HEADERS.rglob("*.h")}
    assert written
    installed = prefix / "include" / "applevz"
    assert [str(name) for name in sorted(written) if not (installed / name).is_file()] == []


def headers_of_programs(installed: Path) -> list[str]:
    """What a program may import: of a folder that has a header of the folder's name that one, which brings the others;
    of every other folder each."""
    names = [path.relative_to(installed) for path in sorted(installed.rglob("*.h"))]
    brought = {name.parent for name in names if name.stem == name.parent.name}
    return [str(name) for name in names if name.parent not in brought or name.stem == name.parent.name]


@pytest.mark.parametrize("language", ["objective-c", "objective-c++"])
@pytest.mark.parametrize("arc", [["-fobjc-arc"], []])
def test_a_header_compiles_alone(
    clang: str, flags: Callable[[str], list[str]], prefix: Path, language: str, arc: list[str]
) -> None:
    # No warning that a program asks for is one about the headers.
    command = [clang, "-x", language, *arc, "-Weverything", "-Werror", "-fsyntax-only", *flags("--cflags"), "-"]

    def told(header: str) -> str:
        program = f"#import <{header}>\n#import <Virtualization/Virtualization.h>\nint main(void) {{ return 0; }}\n"
        result = subprocess.run(command, input=program, capture_output=True, text=True, check=False)
        return result.stderr or ("" if result.returncode == 0 else str(result.returncode))

    headers = headers_of_programs(prefix / "include" / "applevz")
    assert {"Foundation/Foundation.h", "dispatch/dispatch.h", "os/log.h", "sys/stdio.h", "util.h"} <= set(headers)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        assert {header: words for header, words in zip(headers, pool.map(told, headers)) if words} == {}


def test_a_folder_that_cannot_be_written_is_named() -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "native" / "frameworks.py", "--prefix", "/proc/applevz"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("/proc/applevz")
    assert "Traceback" not in result.stderr
