# SPDX-License-Identifier: Apache-2.0
"""Kernels that are compressed inside of a bzImage: an emulated machine is started with what is in it."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gzip
import lzma
import mmap
import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import applevz
from fixtures import Configure
from guest_machine import PATIENCE, Guest
from native_programs import Programs, programs_of_virtualization
from processes import eventually

if sys.platform == "darwin":
    pytest.skip("macOS expands no kernels", allow_module_level=True)

emulated = pytest.mark.skipif(
    bool(applevz.capabilities.hardware_acceleration), reason="a processor expands it in no time"
)

EM_X86_64, EM_AARCH64 = 62, 183
HEADER = 0x250

# The version of the boot protocol that a kernel is told: QEMU's entry by the PVH note says 2.12, a bzImage has its own.
ENTERED_BY_NOTE = "0x020c"


def elf(machine: int = EM_X86_64, note: int = 18, address: int = 1 << 20, size: int = 1 << 18) -> bytes:
    """A kernel of one segment, and of what does not compress to nothing."""
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 7, 4096, address, address, size - 4096, size - 4096, 4096)
    notes = struct.pack("<IIQQQQQQ", 4, 4, 512, 0, 0, 20, 20, 4)
    chance = random.Random(size)  # noqa: S311  # the same bytes each time
    words = chance.randbytes(size // 2) + bytes(size - size // 2)
    head = (header + load + notes).ljust(512, b"\0") + struct.pack("<III4sI", 4, 4, note, b"Xen\0", 0)
    return head.ljust(4096, b"\0") + words[4096:]


def zstd(data: bytes) -> bytes:
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_compress.restype = ctypes.c_size_t
    out = ctypes.create_string_buffer(len(data) * 2)
    size = library.ZSTD_compress(out, ctypes.c_size_t(len(out)), data, ctypes.c_size_t(len(data)), 5)
    return out.raw[:size]


def lz4(data: bytes) -> bytes:
    """The legacy format, in blocks as the program of that name writes them."""
    library = ctypes.CDLL("liblz4.so.1")
    result = b"\x02\x21\x4c\x18"
    for start in range(0, len(data), 8 << 20):
        block = data[start : start + (8 << 20)]
        out = ctypes.create_string_buffer(len(block) * 2 + 64)
        size = library.LZ4_compress_default(block, out, len(block), len(out))
        result += struct.pack("<I", size) + out.raw[:size]
    return result


def xz(data: bytes) -> bytes:
    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 25}]
    return lzma.compress(data, check=lzma.CHECK_CRC32, filters=filters)


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "xz": xz, "zstd": zstd, "lz4": lz4}


def payload(kernel: bytes, compression: str = "gzip", size: int | None = None) -> bytes:
    """As a kernel's build makes it: with the size behind it, which gzip has itself."""
    compressed = COMPRESSIONS[compression](kernel)
    length = struct.pack("<I", len(kernel) if size is None else size)
    return compressed[:-4] + length if compression == "gzip" else compressed + length


def bz_image(content: bytes, *, offset: int = 0x300, length: int | None = None, protocol: int = 0x20F) -> bytes:
    head = bytearray(1024 + offset)
    head[0x1F1] = 1
    head[0x1FE:0x206] = b"\x55\xaa\xeb\x66HdrS"
    struct.pack_into("<H", head, 0x206, protocol)
    struct.pack_into("<II", head, 0x248, offset, len(content) if length is None else length)
    return bytes(head) + content


@pytest.fixture(scope="module")
def programs() -> Programs:
    return programs_of_virtualization()


@pytest.fixture
def expand(programs: Programs, tmp_path: Path) -> Callable[..., list[str]]:
    """What the program says of each of the files, with its reads and writes checked."""

    def run(*files: bytes) -> list[str]:
        paths = []
        for number, content in enumerate(files):
            (tmp_path / str(number)).write_bytes(content)
            paths.append(str(tmp_path / str(number)))
        done = programs.run("expanded_kernels", "address", *paths)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return run


def whole(kernel: bytes) -> str:
    return f"{len(kernel)} {sum(kernel)}"


def test_every_format_that_distributions_use_is_expanded(expand: Callable[..., list[str]]) -> None:
    kernel = elf()
    assert expand(*(bz_image(payload(kernel, name)) for name in COMPRESSIONS)) == [whole(kernel)] * len(COMPRESSIONS)
    # Several blocks of lz4, and a magic number between two of them.
    large = elf(size=9 << 20)
    blocks = lz4(large)
    first = 8 + struct.unpack_from("<I", blocks, 4)[0]
    both = blocks[:first] + blocks[:4] + blocks[first:] + struct.pack("<I", len(large))
    assert expand(bz_image(payload(large, "lz4")), bz_image(both)) == [whole(large)] * 2


def test_what_is_not_as_expected_is_left_to_the_kernels_own_program(expand: Callable[..., list[str]]) -> None:
    kernel = elf()
    content = payload(kernel)
    others = {
        "for another processor": bz_image(payload(elf(EM_AARCH64))),
        "without the note": bz_image(payload(elf(note=17))),
        "no ELF file": bz_image(payload(b"MZ" + kernel[2:])),
        "of 32 bits": bz_image(payload(kernel[:4] + b"\1" + kernel[5:])),
        "loaded beyond the memory": bz_image(payload(elf(address=(16 << 20) - 4096))),
        "larger than the memory": bz_image(payload(elf(size=17 << 20))),
        "of an old protocol": bz_image(content, protocol=0x207),
        "of an unknown compression": bz_image(b"BZh9" + content[4:]),
        "without a payload": bz_image(content, length=0),
        "with a payload beyond its end": bz_image(content, length=len(content) + 1),
        "with a payload far away": bz_image(content, length=0xFFFFFFFF),
        "of a size that is too large": bz_image(payload(kernel, "xz", size=len(kernel) + 1)),
        "of a size that is too small": bz_image(payload(kernel, "lz4", size=len(kernel) - 1)),
        "of a size that nothing has": bz_image(payload(kernel, "zstd", size=0xFFFFFFFF)),
        "of no size": bz_image(payload(kernel, "zstd", size=0)),
        "without its header's end": bz_image(content)[: HEADER - 1],
        "empty": b"",
    }
    said = expand(*others.values())
    assert dict(zip(others, said, strict=True)) == dict.fromkeys(others, "none")


def test_damage_anywhere_is_harmless(expand: Callable[..., list[str]]) -> None:
    kernel = elf(size=1 << 14)
    chance = random.Random(4)  # noqa: S311  # the same damage each time
    files = []
    for name in COMPRESSIONS:
        image = bz_image(payload(kernel, name))
        for _ in range(60):
            damaged = bytearray(image)
            for _ in range(chance.choice([1, 1, 4, 40])):
                damaged[chance.randrange(HEADER - 8, len(damaged))] = chance.randrange(256)
            files.append(bytes(damaged[: chance.choice([len(damaged)] * 3 + [chance.randrange(len(damaged))])]))
    said = expand(*files)
    assert len(said) == len(files)
    assert said.count("none") > len(files) // 2


@pytest.fixture
def opaque(guest_files: Path, tmp_path: Path) -> Path:
    """The guest's bzImage, with a header that does not say where the kernel is: its own program does not ask."""
    image = bytearray((guest_files / "vmlinuz").read_bytes())
    struct.pack_into("<II", image, 0x248, 0, 0)
    (tmp_path / "opaque").write_bytes(image)
    (tmp_path / "initrd.cpio.gz").symlink_to(guest_files / "initrd.cpio.gz")
    return tmp_path / "opaque"


def kernels_in_memory() -> list[str]:
    """Files in memory that this process has, and that are larger than any but an expanded kernel."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        path = f"/proc/self/fd/{name}"
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(path).startswith("/memfd:applevz") and 32 << 20 < os.stat(path).st_size < 100 << 20:
                found.append(path)
    return found


@emulated
def test_a_bz_image_is_expanded_and_its_states_go_on_with_either_form_of_the_kernel(
    configure: Configure, opaque: Path, tmp_path: Path
) -> None:
    platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random())

    def machine(kernel: str) -> applevz.VirtualMachine:
        return applevz.VirtualMachine(configure(kernel=kernel, platform=platform))

    def save(kernel: str, state: Path) -> str:
        with machine(kernel) as vm:
            guest = Guest(vm).start()
            version = guest.run("cat /sys/kernel/boot_params/version")
            assert len(kernels_in_memory()) == (kernel == "vmlinuz")
            vm.suspend(timeout=PATIENCE, to=state)
            return version

    def goes_on(kernel: str, state: Path) -> None:
        with machine(kernel) as vm:
            vm.restore_state(state, timeout=PATIENCE)
            vm.resume(timeout=PATIENCE)
            assert Guest(vm).run("echo goes on") == "goes on"

    # By the note it is entered where its own program would have jumped to.
    assert save("vmlinuz", tmp_path / "expanded") == ENTERED_BY_NOTE
    goes_on("vmlinuz", tmp_path / "expanded")
    goes_on("vmlinux", tmp_path / "expanded")
    assert eventually(lambda: kernels_in_memory() == [])
    assert save(str(opaque), tmp_path / "as it is") != ENTERED_BY_NOTE
    goes_on(str(opaque), tmp_path / "as it is")
    goes_on("vmlinuz", tmp_path / "as it is")
    for kernel, state, words in (
        (str(opaque), "expanded", r"QEMU's kernel format is bzImage; .* was made with ELF"),
        ("vmlinux", "as it is", r"QEMU's kernel format is ELF; .* was made with bzImage"),
    ):
        with machine(kernel) as vm, pytest.raises(applevz.RestoreError, match=words):
            vm.restore_state(tmp_path / state, timeout=PATIENCE)


def elf_with(*segments: tuple[int, ...], size: int = 1 << 16) -> bytes:
    """A kernel with the note, and with these segments: type, offset, size in the file, address, size in memory."""
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, EM_X86_64, 1, 0, 64, 0, 0, 64, 56, len(segments) + 1, 0, 0, 0
    )
    notes = struct.pack("<IIQQQQQQ", 4, 4, size - 20, 0, 0, 20, 20, 4)
    table = b"".join(
        struct.pack("<IIQQQQQQ", kind, 7, offset, 0, address, length, room, 4096)
        for kind, offset, length, address, room in segments
    )
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", 0)
    chance = random.Random(size)  # noqa: S311  # the same bytes each time
    return (header + notes + table).ljust(size // 2, b"\0") + chance.randbytes(size - size // 2 - 20) + note


MIB = 1 << 20
TOP = (1 << 64) - 4096


def test_a_kernel_whose_parts_qemu_cannot_load_is_left_to_its_own_program(expand: Callable[..., list[str]]) -> None:
    sound = [(1, 0, 4096, MIB, 8192), (1, 4096, 0, MIB + 8192, 4096)]
    others = {
        "in the wrong order": sound[::-1],
        "one byte after another": [(1, i, 1, MIB + i, 1) for i in range(300)],
        "with an empty one in another": [*sound, (1, 0, 0, MIB + 100, 0)],
        "with one that is not loaded and nowhere": [*sound, (6, TOP, TOP, TOP, TOP)],
    }
    kernels = {name: elf_with(*segments) for name, segments in others.items()}
    said = expand(*(bz_image(payload(kernel)) for kernel in kernels.values()))
    assert dict(zip(kernels, said, strict=True)) == {name: whole(kernel) for name, kernel in kernels.items()}

    others = {
        "on each other": [*sound, (1, 0, 1, MIB + 8191, 1)],
        "the same twice": [sound[0]] * 2,
        "beyond the file": [(1, 1 << 16, 1, MIB, 1)],
        "with more in the file than in memory": [(1, 0, 2, MIB, 1)],
        "with an offset that overflows": [(1, TOP, 8192, MIB, 8192)],
        "with an address that overflows": [(1, 0, 1, TOP, 8192)],
        "of sizes whose sum overflows": [(1, 0, 1, MIB, TOP - MIB), (1, 0, 1, TOP, 4095)],
        "below what is a kernel's": [(1, 0, 1, MIB - 1, 1)],
        "without any": [(6, 0, 1, MIB, 1)],
    }
    said = expand(*(bz_image(payload(elf_with(*segments))) for segments in others.values()))
    assert dict(zip(others, said, strict=True)) == dict.fromkeys(others, "none")


@dataclass(frozen=True)
class Told:
    kernels: list[str]  # each with its machine's number, in the order in which they were ready
    count: int  # of different ones
    largest: int  # bytes of a file in memory that were asked for


@pytest.fixture
def together(programs: Programs) -> Callable[..., Told]:
    """What the program says of machines that start with the files at once."""

    def run(*files: Path) -> Told:
        command: list[str | Path] = [programs.executable("expanded_kernels", "O3"), "together", *files]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        *kernels, last = done.stdout.splitlines()
        return Told(kernels, *map(int, last.split()))

    return run


@emulated
def test_what_a_kernel_claims_takes_no_room(together: Callable[..., Told], tmp_path: Path) -> None:
    lone = tmp_path / "lone"
    lone.write_bytes(bz_image(payload(elf())))
    assert together(lone) == Told([f"0 {whole(elf())}"], 1, len(elf()))
    odd = []
    for name in COMPRESSIONS:
        claim, bomb = tmp_path / f"claim-{name}", tmp_path / f"bomb-{name}"
        claim.write_bytes(bz_image(payload(b"\x7fELF" + bytes(64), name, size=(4 << 30) - 1)))
        bomb.write_bytes(bz_image(payload(bytes(40 << 20), name)))
        odd += [claim, bomb]
    sparse = tmp_path / "sparse"
    sparse.write_bytes(bz_image(b"\x1f\x8b\x08", length=(4 << 30) - 4096))
    os.truncate(sparse, 4 << 30)
    for file in (*odd, sparse):
        assert together(file) == Told(["0 none"], 0, 0), file.name


@emulated
def test_machines_of_one_kernel_share_it_and_those_of_others_do_not_wait(
    together: Callable[..., Told], tmp_path: Path
) -> None:
    slow, fast = tmp_path / "slow", tmp_path / "fast"
    large = elf(size=240 << 20)
    slow.write_bytes(bz_image(payload(large, "zstd")))
    fast.write_bytes(bz_image(payload(elf())))
    told = together(slow, slow, fast, slow)
    assert told.kernels == [f"2 {whole(elf())}", *(f"{i} {whole(large)}" for i in (0, 1, 3))]
    assert told.count == 2


@emulated
def test_the_kernel_that_machines_share_cannot_be_written_by_whoever_has_it(configure: Configure) -> None:
    with applevz.VirtualMachine(configure(kernel="vmlinuz")) as vm:
        Guest(vm).start()
        (name,) = kernels_in_memory()
        size = os.stat(name).st_size
        # Opened anew for writing it still cannot be written: neither by a QEMU that its guest took over.
        descriptor = os.open(name, os.O_RDWR)
        try:
            with pytest.raises(PermissionError):
                os.pwrite(descriptor, b"owned", 4096)
            with pytest.raises(PermissionError):
                os.ftruncate(descriptor, size - 1)
            with pytest.raises(PermissionError):
                mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        finally:
            os.close(descriptor)
        descriptor = os.open(name, os.O_RDONLY)
        try:
            seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
            assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) == seals
            assert os.fstat(descriptor).st_size == size
        finally:
            os.close(descriptor)
