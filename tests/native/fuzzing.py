# SPDX-License-Identifier: Apache-2.0
"""The readers of what others send or leave (tests/native/fuzz/parsers.m), under libFuzzer and the sanitizers.

    python tests/native/fuzzing.py --seconds 600                    all of them, one after the other
    python tests/native/fuzzing.py state qmp --seconds 600 --seed 7
    python tests/native/fuzzing.py state --input crash-1234         one input again

What is found interesting is kept in build/fuzzing/<reader>, and begun with the next time; so is what fails.
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from native_programs import BUILD, FLAVOURS, load_toolchain, sanitizer_options
from places import GUEST_FILES, PROGRAM_SOURCES, ROOT

if TYPE_CHECKING:
    from toolchain import Toolchain

FOUND = ROOT / "build" / "fuzzing"
KERNEL = GUEST_FILES / "vmlinux"
LONGEST = 16 * 1024
READERS = (
    "json", "qmp", "agent", "leases", "state", "kernel", "compressed", "variables", "overlay", "firmware", "peers",
)  # fmt: skip

# The fuzzer sees the branches of these files, and of those that are compiled as one with them; all others are as the
# tests of the bridge have them.
WATCHED = {
    "HostDecompression", "HostFileTransfer", "HostForwardedPeers", "HostOverlayImage", "LinuxELFKernel",
    "LinuxKernelImage", "QEMUExpandedKernel", "QEMUFirmware", "QEMUMemoryCopy", "QEMUOverlayCopy",
    "QEMUSavedState", "QEMUSavedStateFormat",
    "QEMUVariableStore", "QEMUVersion", "QMPConnection", "VZVirtioConsoleDevice", "VZVirtualMachine", "dhcp_leases",
    "guest_agent", "json_grammar", "json_reader", "json_values", "kernel_files", "shown_text",
}  # fmt: skip


def line(message: object) -> bytes:
    return json.dumps(message).encode() + b"\r\n"


def state(memory: int, description: dict[str, object], stream: bytes = b"stream") -> bytes:
    origin = {"identifier": "0123456789abcdef" * 2, "made": 1, "images": []}
    words = json.dumps({**origin, **description}).encode()
    trailer = struct.pack("<QQQQQQQQQ16s", memory, len(stream), len(words), 0, 0, 0, 0, 0, 4, b"applevz state\r\n")
    return b"\x01" + bytes(memory) + stream + words + trailer


def variables() -> bytes:
    head = bytearray(1024)
    head[16:32] = bytes.fromhex("8d2bf1ff96768b4ca9852747075b4f50")
    head[32:40] = (1024).to_bytes(8, "little")
    head[40:44] = b"_FVH"
    head[48:50] = (72).to_bytes(2, "little")
    head[72:88] = bytes.fromhex("782cf3aa7b949a43a1802e144ec37792")
    head[88:92] = (900).to_bytes(4, "little")
    head[92:94] = b"\x5a\xfe"
    total = sum(struct.unpack("<36H", head[:72])) & 0xFFFF
    head[50:52] = (-total & 0xFFFF).to_bytes(2, "little")
    return bytes(head)


def overlay() -> bytes:
    numbers = (0x514649FB, 3, 0, 0, 16, 1 << 30, 0, 4, 3 << 16, 1 << 16, 1, 0, 0, 16, 0, 0, 4, 112, 0)
    head = struct.pack(">IIQIIQIIQQIIQQQQIIQ", *numbers)
    head += struct.pack(">IIQQQII", 0x617A6273, 24, 1 << 30, 5, 6, 0, 0)
    return head.ljust(LONGEST, b"\0")


def seeds() -> dict[str, list[bytes]]:
    """What each reader is begun with: what is right, and a little of what is not."""
    events = [
        {"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}, "timestamp": {"seconds": 1}},
        {"event": "STOP"},
        {"event": "VSERPORT_CHANGE", "data": {"id": "console0-port0", "open": True}},
        {"event": "DEVICE_DELETED", "data": {"device": "usb-disk0-device", "path": "/machine"}},
        {"event": "BLOCK_JOB_COMPLETED", "data": {"device": "disk0-read", "error": "No such file"}},
    ]
    answers = [{"return": {"status": "running"}, "id": 1}, {"error": {"class": "GenericError", "desc": "no"}, "id": 2}]
    greeting = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}}, "capabilities": ["oob"]}}
    lease = b"{\n\tname=guest\n\tip_address=192.168.64.7\n\thw_address=1,52:54:0:a:b:c\n\tlease=0x66000000\n}\n"
    kernels = [KERNEL.read_bytes()[:4096], KERNEL.with_name("vmlinuz").read_bytes()[:LONGEST]]
    firmware = {
        "interface-types": ["uefi"],
        "mapping": {
            "device": "flash",
            "executable": {"filename": "/usr/share/OVMF/OVMF_CODE_4M.fd", "format": "raw"},
            "nvram-template": {"filename": "/usr/share/OVMF/OVMF_VARS_4M.fd", "format": "raw"},
        },
        "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}],
        "features": ["acpi-s3"],
    }
    texts = b'{"a":[null,true,false,0,-1,1.5e3,"\\u00e4\\ud83d\\ude00\xc3\xa4"],"b":{"c":{}},"d":18446744073709551615}'
    plain = b"applevz" * 30
    size = len(plain).to_bytes(2, "big")
    return {
        "json": [texts, b"[" * 40, b'{"a":1,"a":2}'],
        "qmp": [b"".join(map(line, [greeting, *answers, *events])), *map(line, events), *map(line, answers)],
        "agent": [line({"return": {}}), line({"error": {"desc": "no clock"}}), b'\x01\xff{"return": {}}\n'],
        "leases": [lease, lease.replace(b"1,52", b"ff,f1:f5:dd:7f:0:3:0:1:52")],
        "state": [
            state(0, {"qemu": "7.2", "fields": [["memorySize", "4096"]], "disks": []}),
            state(4096, {"qemu": "7.2", "fields": [["memorySize", "4096"], ["MACAddress", "x"]], "disks": [],
                         "parent": "f" * 32}),
            state(0, {"qemu": "7.2", "fields": [["memorySize", "4096"], ["the size of storageDevices[1]", "512"], [
                "the time when storageDevices[1] was written last", "1.000000002 s"]], "disks": [], "images": [
                {"name": "storageDevices[1].attachment", "path": "/a%20b"}]}),
            state(0, {"qemu": "7.2", "fields": [], "disks": [{"name": "storageDevices[0].attachment", "layers": [
                {"position": 0, "length": 4096, "checksum": 1 << 63}]}]}),
        ],
        "kernel": kernels,
        "compressed": [
            size + compressed
            for compressed in (gzip.compress(plain), lzma.compress(plain), b"\x28\xb5\x2f\xfd", b"\x02\x21\x4c\x18")
        ],
        "variables": [variables()],
        "overlay": [overlay(), overlay()[:4096]],
        "firmware": [json.dumps(firmware).encode()],
        "peers": [b"  1: 0100407F:9C41 0100007F:0016 01 00000000:00000000 00:00000000 00000000  1000        0 34567 1"],
    }  # fmt: skip


def build() -> Path:
    """The program. The objects are those of the tests of the bridge, but for the readers' own."""
    toolchain_module = load_toolchain()
    toolchain: Toolchain = toolchain_module.Toolchain.find()
    flavour = FLAVOURS["address"]
    header = toolchain_module.PUBLIC_HEADERS / "Virtualization.h"
    units = [Path(unit) for unit in toolchain_module.unite(toolchain.sources(), BUILD / "objects" / "units")]
    watched = [unit for unit in units if is_watched(unit)]
    flags = toolchain_module.UNITED_FLAGS
    others = toolchain.objects(
        [unit for unit in units if unit not in watched],
        build_dir=BUILD / "objects",
        flags=[*toolchain.compile_flags(debug=True, **flavour), *flags],
        precompiled=header,
    )
    output = BUILD / "fuzzing" / "parsers"
    output.unlink(missing_ok=True)  # whose being up to date is judged by the readers alone
    return toolchain.compile(
        [PROGRAM_SOURCES / "fuzz" / "parsers.m", *watched],
        output,
        build_dir=BUILD / "objects",
        debug=True,
        precompiled=header,
        extra_compile_flags=[*flags, "-fsanitize=fuzzer-no-link"],
        extra_link_flags=[*map(str, others), "-fsanitize=fuzzer"],
        **flavour,
    )


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
    parser = argparse.ArgumentParser(description="Fuzz the readers of what others send.")
    parser.add_argument("readers", nargs="*", metavar="reader", help=", ".join(READERS))
    parser.add_argument("--seconds", type=int, default=60, help="for each reader; by default 60")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers; by default another each time")
    parser.add_argument("--input", type=Path, help="a file to be read once, in place of what is made up")
    arguments = parser.parse_args()
    program, failed = build(), 0
    for reader in arguments.readers or READERS:
        folder = FOUND / reader
        what = [str(arguments.input)] if arguments.input else [
            f"-max_total_time={arguments.seconds}", f"-seed={arguments.seed}", str(folder),
        ]  # fmt: skip
        result = run(program, reader, *what, folder=folder)
        failed += result.returncode != 0
        print(f"{reader}: {executions(result.stderr)} inputs, {'failed' if result.returncode else 'nothing found'}")
        if result.returncode != 0:
            print(result.stderr[-6000:])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
