# SPDX-License-Identifier: Apache-2.0
"""A kernel that the host's processor does not boot is refused by name before the start, with what to do about it, also
where the framework looks into no kernel; looking at one reads little of it and waits for nothing."""

from __future__ import annotations

import gzip
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import played_mac

if sys.platform == "darwin":
    pytest.skip("a Mac need not be played", allow_module_level=True)

PROGRAM = """
import errno, itertools, json, os, sys
from pathlib import Path
import applevz, applevz.aio

folder = Path(sys.argv[1])
applevz.VirtualMachine, applevz.aio.VirtualMachine # whose modules another user may not read later

def configuration(kernel):
    return applevz.VirtualMachineConfiguration(applevz.LinuxBootLoader(kernel), memory_size="128MiB")

def attempt(act):
    try:
        act()
    except applevz.Error as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {"kinds": kinds, "reason": error.failure_reason, "suggestion": error.recovery_suggestion,
                "errno": errno.errorcode.get(getattr(error, "errno", None)), "file": getattr(error, "filename", None)}

def attempts(kernel):
    "The error of validating, and of making a machine in both faces, which is the same."
    acts = [lambda: configuration(kernel).validate(), lambda: applevz.VirtualMachine(configuration(kernel)),
            lambda: applevz.aio.VirtualMachine(configuration(kernel))]
    error, *others = [attempt(act) for act in acts]
    assert all(other == error for other in others), others
    return error

def tell(**what):
    print(json.dumps(what))
"""
EACH = "for name in sorted(os.listdir(folder)): tell(name=name, error=attempts(folder / name))"

Told = list[dict[str, Any]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Told]:
    def run(program: str, processor: str = "arm64", folder: Path = tmp_path, **environment: Any) -> Told:
        result = played_mac.run(PROGRAM + program, str(folder), policy={"processor": processor}, **environment)
        assert (result.returncode, result.stderr) == (0, "")
        return [json.loads(line) for line in result.stdout.splitlines()]

    return run


def at(offset: int, magic: bytes, length: int = 4096, beginning: bytes = b"") -> bytes:
    data = bytearray(length)
    data[: len(beginning)] = beginning
    data[offset : offset + len(magic)] = magic
    return bytes(data)


def elf(machine: int) -> bytes:
    return at(18, struct.pack("<H", machine), beginning=b"\x7fELF\x02\x01\x01")


def zboot(payload: bytes, compression: bytes, offset: int = 4096) -> bytes:
    head = struct.pack("<4s4sII8x16s", b"MZ\0\0", b"zimg", offset, len(payload), compression)
    return head.ljust(offset, b"\0") + payload + b"more"


IMAGE = at(56, b"ARM\x64", beginning=b"MZ\0\x91")
BZIMAGE = at(0x202, b"HdrS", beginning=b"MZ")[:0x1FE] + b"\x55\xaa" + at(0x202, b"HdrS")[0x200:]
KINDS = {
    "bzImage": (BZIMAGE, "an x86 kernel (bzImage)", "This host boots an uncompressed arm64 Image."),
    "vmlinux of x86": (elf(62), "an uncompressed x86 kernel (ELF vmlinux)", "This host boots"),
    "vmlinux of arm64": (elf(183), "an arm64 kernel as an ELF file (vmlinux), not as an Image", "This host boots"),
    "vmlinux of another": (elf(243), "an ELF file", "This host boots"),
    "zboot": (zboot(b"x" * 100, b"gzip"), "a compressed kernel inside an EFI program (vmlinuz.efi)", "Take the kernel"),
    "zboot of nobody": (
        zboot(b"x" * 100, b"$(rm)\x1b["),
        "a compressed kernel inside an EFI program",
        "and decompress",
    ),
    "zboot cut": (zboot(b"", b"gzip")[:20], "a compressed kernel inside an EFI program", "and decompress"),
    "EFI program": (at(0, b"MZ"), "an EFI program, not a kernel image", "an EFIBootLoader boots what is on a disk"),
    "gzip": (gzip.compress(IMAGE), "a gzip-compressed file", "gunzip < FILE > Image"),
    "xz": (b"\xfd7zXZ\0" + bytes(99), "an xz-compressed file", "unxz < FILE > Image"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(99), "a zstd-compressed file", "unzstd < FILE > Image"),
    "lz4": (b"\x04\x22\x4d\x18" + bytes(99), "an lz4-compressed file", "unlz4 < FILE > Image"),
    "bzip2": (b"BZh9" + bytes(99), "a bzip2-compressed file", "bunzip2 < FILE > Image"),
    "text": (b"#!/bin/sh\n", "not a Linux kernel image of a known kind", "This host boots"),
    "one byte": (b"M", "not a Linux kernel image of a known kind", "This host boots"),
    "Image cut": (IMAGE[:59], "an EFI program, not a kernel image", "This host boots"),
}


def test_apple_silicon_is_told_which_kernels_it_does_not_boot(play: Callable[..., Told], tmp_path: Path) -> None:
    for name, (data, _, _) in KINDS.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "Image").write_bytes(IMAGE)
    (tmp_path / "Image of 60 bytes").write_bytes(IMAGE[:60])
    (tmp_path / "link").symlink_to("Image")
    told = {one["name"]: one["error"] for one in play(EACH)}
    for name in ("Image", "Image of 60 bytes", "link"):
        assert told.pop(name) is None
    assert set(told) == set(KINDS)
    for name, error in told.items():
        _, description, suggestion = KINDS[name]
        assert error["kinds"][0] == "InvalidVirtualMachineConfigurationError"
        assert error["reason"].startswith(f'bootLoader.kernelURL is "{tmp_path / name}", which is {description}'), error
        assert suggestion in error["suggestion"], error
        assert "arm64 Image" in error["suggestion"]
        assert "\x1b" not in error["reason"] + error["suggestion"]


def test_an_intel_mac_is_told_the_others(play: Callable[..., Told], tmp_path: Path) -> None:
    for name, (data, _, _) in KINDS.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "Image").write_bytes(IMAGE)
    told = {one["name"]: one["error"] for one in play(EACH, "x86-64")}
    assert [name for name, error in told.items() if error is None] == ["bzImage", "vmlinux of x86"]
    assert "which is an arm64 kernel (Image)." in told["Image"]["reason"]
    assert "bzImage" in told["gzip"]["suggestion"]


@pytest.mark.parametrize("compressed", ["gzip", "zboot"])
def test_what_is_suggested_gives_the_image(play: Callable[..., Told], tmp_path: Path, compressed: str) -> None:
    payload = gzip.compress(IMAGE)
    (tmp_path / "kernel").write_bytes(payload if compressed == "gzip" else zboot(payload, b"gzip", offset=4711))
    [told] = play(EACH)
    command = re.search(r"\((.* > Image)\)", told["error"]["suggestion"])
    assert command is not None
    subprocess.run(["sh", "-c", command[1].replace("FILE", "kernel")], cwd=tmp_path, check=True)
    assert (tmp_path / "Image").read_bytes() == IMAGE
    assert play("tell(error=attempts(folder / 'Image'))") == [{"error": None}]


def test_a_kernel_that_is_exchanged_is_refused_by_the_start(play: Callable[..., Told], tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(IMAGE)
    (tmp_path / "other").write_bytes(gzip.compress(IMAGE))
    program = """
import asyncio
kernel, other = folder / "kernel", folder / "other"
vm = applevz.VirtualMachine(configuration(kernel))
twin = applevz.aio.VirtualMachine(configuration(kernel))
other.replace(kernel)
def begun():
    "Whether the framework has been asked to start: the state has changed then."
    return attempt(lambda: vm.events.next(timeout=0)) is None

for again in range(2):
    tell(error=attempt(vm.start), state=vm.state.name)
    tell(error=attempt(lambda: asyncio.run(twin.start())), state=twin.state.name)
kernel.unlink()
tell(error=attempt(vm.start), state=vm.state.name)
tell(begun=begun())
"""
    *exchanged, missing, start = play(program)
    assert start == {"begun": False}
    assert len(exchanged) == 4
    for told in exchanged:
        assert told["state"] == "STOPPED"
        assert told["error"]["kinds"][0] == "InvalidVirtualMachineConfigurationError"
        assert "which is a gzip-compressed file" in told["error"]["reason"]
    assert (missing["error"]["errno"], missing["error"]["file"]) == ("ENOENT", str(tmp_path / "kernel"))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that other users may search, too."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_what_is_no_file_is_not_waited_for(play: Callable[..., Told], open_folder: Path) -> None:
    os.mkfifo(open_folder / "fifo")
    (open_folder / "device").symlink_to("/dev/zero")
    (open_folder / "terminal").symlink_to("/dev/tty")
    (open_folder / "folder").mkdir()
    (open_folder / "empty").write_bytes(b"")
    (open_folder / "nowhere").symlink_to("missing")
    (open_folder / "loop").symlink_to("loop")
    (open_folder / "closed").write_bytes(IMAGE)
    (open_folder / "closed").chmod(0)
    with (open_folder / "endless").open("wb") as file:
        file.truncate(1 << 40)
    program = f"""
if os.geteuid() == 0:
    os.seteuid(65534)
{EACH}
"""
    told = {one["name"]: one["error"] for one in play(program, folder=open_folder)}
    words = {
        "fifo": (None, "is no regular file"),
        "device": (None, "is no regular file"),
        "terminal": (None, "is no regular file"),
        "folder": ("EISDIR", "is a directory"),
        "empty": (None, "is empty"),
        "nowhere": ("ENOENT", "cannot be found: No such file or directory"),
        "loop": ("ELOOP", "cannot be found: "),
        "closed": ("EACCES", "cannot be opened: Permission denied"),
        "endless": (None, "is not a Linux kernel image of a known kind"),
    }
    assert set(told) == set(words)
    for name, (number, reason) in words.items():
        error = told[name]
        assert error["kinds"][0] == "InvalidVirtualMachineConfigurationError"
        assert (error["errno"], error["file"]) == (number, number and str(open_folder / name)), error
        assert error["reason"].startswith(f'bootLoader.kernelURL is "{open_folder / name}", which {reason}'), error


def test_the_kernel_is_no_affair_of_another_boot_loader(play: Callable[..., Told], tmp_path: Path) -> None:
    program = """
if applevz.capabilities.efi:
    loader = applevz.EFIBootLoader(applevz.EFIVariableStore(folder / "variables"))
    tell(error=attempt(applevz.VirtualMachineConfiguration(loader, memory_size="128MiB").validate))
"""
    assert play(program) in ([{"error": None}], [])
