# SPDX-License-Identifier: Apache-2.0
"""The native readers of what others send or leave, under libFuzzer and the sanitizers: those of the library in
programs/parsers.m and the files beside it, and the agent in the guest in programs/guest.c.

    export PYTHONPATH=tests/support:tests/support/agents
    python tests/fuzzing/native_readers.py state --input crash-1234    # one input again
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from native_seeds import KERNEL, LONGEST, seeds

from native_programs import BUILD, FLAVOURS, load_toolchain, precompiled_header, sanitizer_options
from places import NATIVE, TESTS
from processes import locked

if TYPE_CHECKING:
    from toolchain import Toolchain

__all__ = ["READERS", "build", "executions", "run"]

PROGRAMS = TESTS / "fuzzing" / "programs"
# The agent in the guest is a program of its own.
GUEST = "guest"
READERS = (
    "json", "qmp", "answers", "calls", "agent", "leases", "state", "kernel", "compressed", "variables", "overlay",
    "firmware", "peers", "usage", "url", "command-line", "program", "words", GUEST,
)  # fmt: skip

# The fuzzer sees the branches of these files, and of those that are compiled as one with them; all others are as the
# tests of the bridge have them.
WATCHED = {
    "HostDecompression", "HostFileTransfer", "HostForwardedPeers", "HostOverlayImage", "HostProcess", "HostProgramFile",
    "HostSupervisor", "HostUsage", "LinuxELFKernel", "LinuxKernelImage", "LinuxKernelParameters", "QEMUEnd",
    "QEMUExpandedKernel", "QEMUFirmware", "QEMULinuxCommandLine", "QEMUMemoryCopy", "QEMUOverlayCopy",
    "QEMUPortConnection", "QEMUSavedState", "QEMUSavedStateFormat", "QEMUScreenshots", "QEMUStartedDisk",
    "QEMUVariableStore", "QEMUVersion", "QMPConnection", "VZNetworkBlockDeviceURL", "VZVirtioConsoleDevice",
    "VZVirtualMachine", "dhcp_leases", "guest_agent", "json_grammar", "json_reader", "json_values", "kernel_files",
    "shown_text",
}  # fmt: skip

# What the programs do in place of the system.
WRAPPED = (
    "bind", "connect", "dispatch_after", "host_call_allow", "host_call_answer", "host_call_descriptor",
    "host_call_descriptor_count", "host_call_give", "host_call_read", "host_call_waits", "host_call_write",
    "host_listener_take", "sendto",
)  # fmt: skip
WRAPPED_IN_GUEST = ("clock_settime", "frame_path", "launch", "place_read", "sendto")


def build() -> dict[str, Path]:
    """The programs, by the readers. The objects are those of the tests of the bridge, but for the readers' own."""
    # Tests in another process may want the same objects, or run the programs.
    with locked(BUILD / ".lock"):
        return _build()


def _build() -> dict[str, Path]:
    toolchain_module = load_toolchain()
    toolchain: Toolchain = toolchain_module.Toolchain.find()
    flavour = FLAVOURS["address"]
    header = precompiled_header()
    units = [Path(unit) for unit in toolchain_module.unite(toolchain.sources(), BUILD / "objects" / "units")]
    watched = [unit for unit in units if is_watched(unit)]
    flags = toolchain_module.UNITED_FLAGS
    others = toolchain.objects(
        [unit for unit in units if unit not in watched],
        build_dir=BUILD / "objects",
        flags=[*toolchain.compile_flags(debug=True, **flavour), *flags],
        precompiled=header,
    )
    output = BUILD / "fuzzing" / "parsers.made"
    output.unlink(missing_ok=True)  # whose being up to date is judged by the readers alone
    made = toolchain.compile(
        [*sorted(PROGRAMS.glob("*.m")), *watched],
        output,
        build_dir=BUILD / "objects",
        debug=True,
        precompiled=header,
        extra_compile_flags=[*flags, "-fsanitize=fuzzer-no-link"],
        extra_link_flags=[*map(str, others), "-fsanitize=fuzzer", *wraps(WRAPPED)],
        **flavour,
    )
    parsers = made.replace(BUILD / "fuzzing" / "parsers")
    guest = build_guest(toolchain)
    return {reader: guest if reader == GUEST else parsers for reader in READERS}


def build_guest(toolchain: Toolchain) -> Path:
    """The program of the agent, with all of that but its main function's call."""
    agent = (file for file in sorted((NATIVE / "agent").glob("*.c")) if file.name != "main.c")
    return toolchain.compile(
        [PROGRAMS / "guest.c", *agent],
        BUILD / "fuzzing" / "guest",
        build_dir=BUILD / "objects",
        extra_compile_flags=["-fsanitize=fuzzer-no-link", '-DAGENT_VERSION="1"'],
        extra_link_flags=["-fsanitize=fuzzer", *wraps(WRAPPED_IN_GUEST)],
        **FLAVOURS["address"],
    )


def wraps(names: tuple[str, ...]) -> list[str]:
    """What is called by each name is the program's own function, __wrap_…, and not that of another file."""
    return [f"-Wl,--wrap={name}" for name in names]


def is_watched(unit: Path) -> bool:
    """Whether one of the files of a unit is, or a file that is compiled alone."""
    imported = re.findall(r'^#import "(.*)"$', unit.read_text(encoding="utf-8"), re.MULTILINE)
    return not WATCHED.isdisjoint({unit.stem, *(Path(name).stem for name in imported)})


def run(program: Path, reader: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Begins with the seeds, and with what the folder has; what is found goes there."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()[reader]):
        (folder / f"seed-{number}").write_bytes(seed)
    environment = {**os.environ, **sanitizer_options(), "FUZZ_TARGET": reader, "FUZZ_KERNEL": str(KERNEL)}
    # What was freed is kept for a while, but not for as long as to be taken for a leak.
    environment["ASAN_OPTIONS"] = "quarantine_size_mb=32"
    # Leaks are the other programs' to find: each input would be run twice.
    options = ["-detect_leaks=0", "-rss_limit_mb=1024", "-timeout=20", "-print_final_stats=1", f"-max_len={LONGEST}"]
    # The shell makes a process of its own for it: libFuzzer measures the greatest size that its process ever had, and
    # one that this process starts by itself begins with this one's.
    return subprocess.run(
        ["sh", "-c", '"$0" "$@"; exit', program, *options, f"-artifact_prefix={folder}/", *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        check=False,
    )


def executions(output: str) -> int:
    """How many inputs were read."""
    found = re.search(r"stat::number_of_executed_units:\s+(\d+)", output)
    return int(found[1]) if found else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Have a native reader read one input.")
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--input", type=Path, required=True, help="the file of the input")
    arguments = parser.parse_args()
    program = build()[arguments.reader]
    folder = BUILD / "fuzzing" / "inputs" / arguments.reader
    result = run(program, arguments.reader, str(arguments.input), folder=folder)
    print(result.stderr[-6000:])
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
