# SPDX-License-Identifier: Apache-2.0
"""What libFuzzer begins with for each native reader: what is right, and a little of what is not. It is made here, of
what is described somewhere, and of the guest that tests have."""

from __future__ import annotations

import functools
import gzip
import json
import lzma
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

from agent_protocol import (
    ACCEPT,
    CLOSE,
    CONNECT,
    CREDIT,
    DATA,
    END,
    INFORMATION,
    LISTEN,
    OPEN,
    READ,
    RECEIVE_TREE,
    RESIZE,
    SEND_TREE,
    SIGNAL,
    START,
    TCP,
    TERMINAL,
    UDP,
    UNIX,
    WRITE,
    beginning,
    frame,
    start_payload,
)
from places import GUEST_FILES

__all__ = ["KERNEL", "LONGEST", "seeds"]

KERNEL = GUEST_FILES / "vmlinux"
LONGEST = 16 * 1024


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


# ---- The agent in the guest: steps, as programs/guest.c reads them

_SETTLE, _BEGIN, _RAW = 30, 31, 32
_RESTORED = 15


def step(operation: int, payload: bytes = b"", *, channel: int = 0, stream: int = 1, again: int = 0) -> bytes:
    return struct.pack("<BBBHB", operation, channel, stream, len(payload), again) + payload


def entry(kind: bytes, path: bytes, target: bytes = b"", size: int = 0, mode: int = 0o755) -> bytes:
    """A record of a tree."""
    head = struct.pack("<cIIIqIQ", kind, mode, 0, 0, 1_600_000_000, 1, size)
    return head + struct.pack("<I", len(path)) + path + struct.pack("<I", len(target)) + target


def tree() -> bytes:
    """A tree with one of each kind."""
    data = entry(b"d", b"") + entry(b"d", b"folder") + entry(b"f", b"folder/file", size=9)
    data += struct.pack("<QQ", 0, 4) + b"text" + struct.pack("<QQ", 9, 0)
    data += entry(b"l", b"link", b"folder/file") + entry(b"h", b"folder/same", b"folder/file")
    return data + entry(b"p", b"fifo") + entry(b"f", b"empty")


def steps_of_hosts() -> list[bytes]:
    settle = bytes([_SETTLE])
    path = struct.pack("<IIQ", READ, 0, 0) + b"\x01"
    written = struct.pack("<IIQ", WRITE | 4 | 8, 0o644, 0) + b"\x02"
    credit = struct.pack("<I", 1000)
    sending = [step(SEND_TREE, struct.pack("<I", 1) + bytes([number])) + settle * 3 for number in range(6)]
    unix, tcp = struct.pack("<BH", UNIX, 0) + b"\x01", struct.pack("<BH", TCP, 80) + b"127.0.0.1"
    udp = struct.pack("<BH", UDP, 53) + b"::1"
    datagram = struct.pack("<H", 5) + bytes(28) + b"hello"
    return [
        step(START, start_payload([b"cat", b"-"])) + step(DATA, b"hello") + step(END) + settle * 4,
        step(START, start_payload([b"cat"], flags=TERMINAL)) + settle + step(RESIZE, bytes(4)) + step(SIGNAL, credit),
        step(START, start_payload([b"none", b"-x"], variables=[b"A=b"], user="root")) + settle,
        step(START, start_payload([b"cat"])[:9], channel=1) + step(START, start_payload([b"cat"])[9:]) + settle,
        step(OPEN, path) + settle + step(CREDIT, credit, channel=1) + settle,
        step(OPEN, written) + step(DATA, b"text", again=20) + settle + step(END) + settle,
        step(RECEIVE_TREE, bytes(4) + b"\0") + step(DATA, tree()) + step(END) + settle,
        step(RECEIVE_TREE, bytes(4) + b"\x01") + step(DATA, entry(b"f", b"", size=1 << 40)) + step(END),
        *sending,
        step(LISTEN, unix) + step(ACCEPT, struct.pack("<I", 1), stream=2) + step(CONNECT, unix, stream=3) + settle
        + step(DATA, b"hello", stream=3) + settle + step(END, stream=3) + step(CLOSE, channel=1, stream=2) + settle,
        step(LISTEN, tcp) + step(CONNECT, tcp, stream=2) + settle + step(CLOSE) + settle,
        step(LISTEN, udp) + step(DATA, datagram) + step(CONNECT, udp, stream=2) + step(DATA, datagram, stream=2)
        + settle,
        step(INFORMATION, stream=0) + step(_RESTORED, struct.pack("<QI", 1 << 31, 5) + bytes(32), stream=0) + settle,
        step(_RAW, beginning(b"another host's n")[-36:]) + bytes([_BEGIN, _SETTLE]) + step(_RAW, frame(OPEN, 5, path))
        + settle,
    ]  # fmt: skip


# ---- QEMU's calls: programs/calls.m


def call(number: int, arguments: list[int], memory: bytes, flags: int = 1, outcome: int = 1) -> bytes:
    return struct.pack("<BBB6H", flags, number, outcome, *arguments) + memory


def calls() -> list[bytes]:
    four = struct.pack("<H", 2) + struct.pack(">H", 443) + bytes([93, 184, 216, 34]) + bytes(8)
    loopback = struct.pack("<H", 2) + struct.pack(">H", 10809) + bytes([127, 0, 0, 1]) + bytes(8)
    six = struct.pack("<H", 10) + struct.pack(">HI", 53, 0) + bytes(10) + b"\xff\xff" + bytes([127, 0, 0, 1]) + bytes(4)
    local = struct.pack("<H", 1) + b"/run/server\0"
    message = struct.pack("<QI4x4QI4x", 56, 16, 72, 2, 0, 0, 0)
    parts = struct.pack("<4Q", 104, 3, 0, 200)
    return [
        call(0, [2, 1, 0, 0, 0, 0], b""),
        *(call(number, [3, 0, 16, 0, 0, 0], four, flags) for number in (1, 2) for flags in (0, 1, 5, 33, 37)),
        *(call(1, [3, 0, 16, 0, 0, 0], loopback, flags, number) for flags in (1, 3, 5, 36, 53) for number in range(4)),
        *(call(1, [2, 0, 28, 0, 0, 0], six, flags) for flags in (1, 2, 3, 5)),
        *(call(1, [2, 0, 14, 0, 0, 0], local, flags) for flags in (0, 4, 8)),
        call(3, [3, 16, 5, 0, 0, 16], four + b"hello"),
        call(3, [3, 16, 0xFFFE, 0, 0, 0], four + b"hello"),
        *(call(6, [0, 0, 2, 0, 0, 0], path, flags) for path in (b"/proc/self/fd/7\0", b"/proc") for flags in (0, 128)),
        *(call(number, [3, 0, 1, 0, 0, 0], message + four + parts + b"abc" * 100) for number in (4, 5)),
    ]


# ---- All of them


def beginning_of(path: Path, length: int) -> bytes:
    with path.open("rb") as file:
        return file.read(length)


@functools.cache
def seeds() -> Mapping[str, list[bytes]]:
    """By the names of the readers."""
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
    kernels = [beginning_of(KERNEL, 4096), beginning_of(KERNEL.with_name("vmlinuz"), LONGEST)]
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
    figures = [
        {"return": [{"node-name": "disk0", "stats": {"rd_bytes": 1, "wr_operations": 2}}]},
        {"return": {"actual": 1 << 27}},
        {"return": {"last-update": 4_000_000_000, "stats": {"stat-total-memory": 1 << 27, "stat-free-memory": 5}}},
    ]
    network = "TCP[HOST_FORWARD]  12 127.0.0.1 4321   10.0.2.15    22     0     0\r\n"
    migration = {"event": "MIGRATION", "data": {"status": "completed"}}
    unplugged = [
        {"event": "DEVICE_DELETED", "data": {"device": name}} for name in ("net0", "net1", "usb-disk0-device")
    ]
    nothing: dict[str, object] = {"return": {}}
    answers_of = [
        figures,
        [{"return": ""}, {"return": network}, {"error": {"class": "GenericError", "desc": "no"}}],
        [nothing, migration, nothing, {"return": {"status": "failed", "error-desc": "why"}}],
        [nothing, *unplugged, nothing, nothing],
        [nothing, {"error": {"desc": "built without libpng"}}],
        [nothing, nothing, *unplugged, nothing],
    ]
    conversations = [
        bytes([number]) + b"".join(map(line, [*some, *some])) for number, some in enumerate(answers_of)
    ]
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
        "usage": [
            b"12 (a) b) (c)) S 1 12 12 0 -1 4194560 1 2 3 4 55 66 0 0 20 0 1 0 999 1 1",
            b"  tap0: 1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n",
        ],
        "url": [
            b"nbd://server", b"nbd://[fe80::1%25eth0]:10810/a%20disk", b"nbd+unix:///export?socket=/run/nbd%2esock",
            b"nbds://server/?a=b", b"nbd://user@server:99999/#x",
        ],
        "command-line": [
            b"console=ttyS0 root=/dev/vda1 quiet -- init arguments", b'a="b c" "d e"=f tsc_early_khz=0x10 maxcpus=0',
            b"pci=noacpi,nomsi acpi=off \"open", "ä=\xa0 b\xc2\xa0c".encode("latin-1"),
        ],
        "program": [beginning_of(Path(sys.executable).resolve(), LONGEST), program()],
        "words": [
            b"qemu-system-x86_64: -blockdev {\"node-name\":\"disk0\"}: Failed to get \"write\" lock\n",
            b"qemu-system-x86_64: -device {\"drive\":\"disk0\"}: Connection refused\nIs another process using it?\n",
            b"cannot set up guest memory 'ram': Cannot allocate memory\n", b"'/proc/self/fd/7' " + b"\xe2\x82" * 3000,
            b"virtiofsd version 7.2.0\xff\n",
        ],
        "answers": conversations,
        "calls": calls(),
        "guest": steps_of_hosts(),
    }  # fmt: skip


def program() -> bytes:
    """An ELF file with the tables that a program has, and nothing else."""
    texts = b"\0GLIBC_2.38\0GLIBC_2.4\0malloc\0"
    interpreter = b"/lib64/ld-linux-x86-64.so.2\0"
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 200, 0, 64, 56, 1, 64, 2, 0)
    segment = struct.pack("<IIQQQQQQ", 3, 4, 400, 0, 0, len(interpreter), len(interpreter), 1)
    sections = struct.pack("<IIQQQQIIQQ", 0, 11, 0, 0, 0, 0, 1, 0, 0, 0)
    sections += struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, 450, len(texts), 0, 0, 0, 0)
    return (head + segment).ljust(200, b"\0") + sections.ljust(200, b"\0") + interpreter.ljust(50, b"\0") + texts
