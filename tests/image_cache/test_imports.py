# SPDX-License-Identifier: Apache-2.0
"""Images that people have: each format becomes a raw disk once, and what means harm is refused before QEMU sees it."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import json
import lzma
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import images
from applevz._images.chains import Chain
from processes import alive, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="qemu-img is a part of QEMU's packages")
MEBIBYTE = 1 << 20
PATIENCE = 120.0


def qemu_img(*words: object) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def raw(tmp_path: Path, disk: bytes) -> Path:
    path = tmp_path / "source.img"
    path.write_bytes(disk)
    return path


@pytest.fixture
def no_qemu_img(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], list[str]]:
    """Puts a program in the place of qemu-img that notes how it is called. Gives what it noted."""
    folder = tmp_path / "programs"
    folder.mkdir()
    program = folder / "qemu-img"
    program.write_text(f'#!/bin/sh\necho "$@" >>{folder}/called\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return lambda: (folder / "called").read_text().splitlines() if (folder / "called").exists() else []


def is_disk(image: images.Image, disk: bytes) -> bool:
    return Path(image.path).read_bytes() == disk


# ---- What can be imported ----

FORMATS: dict[str, tuple[str, ...]] = {
    "qcow2 v3": ("-O", "qcow2"),
    "qcow2 v2": ("-O", "qcow2", "-o", "compat=0.10"),
    "qcow2 by zlib": ("-c", "-O", "qcow2"),
    "qcow2 by zstd": ("-c", "-O", "qcow2", "-o", "compression_type=zstd"),
    "qcow2 with subclusters": ("-O", "qcow2", "-o", "extended_l2=on"),
    "vmdk": ("-O", "vmdk"),
    "vmdk stream": ("-O", "vmdk", "-o", "subformat=streamOptimized"),
    "vdi": ("-O", "vdi"),
    "vhdx": ("-O", "vhdx"),
    "raw": ("-O", "raw"),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_becomes_a_raw_disk_once(
    kind: str, tmp_path: Path, raw: Path, disk: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "their disk"
    qemu_img("convert", "-f", "raw", *FORMATS[kind], raw, path)
    before = path.read_bytes()
    told: list[images.Progress] = []
    image = images.of(path, cache=cache, progress=told.append, user="ada", architecture="x86_64")
    # A format has a size of its own steps, as a VHDX of whole MiB.
    made = Path(image.path).read_bytes()
    assert made[: len(disk)] == disk
    assert not made[len(disk) :].strip(b"\0")
    assert image.size == len(made)
    assert (image.name, image.user, image.architecture, image.checksum) == ("their-disk", "ada", "x86_64", None)
    assert image.source == str(path)
    assert Path(image.path).stat().st_blocks * 512 < 2 * MEBIBYTE
    assert told[-1] == images.Progress("convert", image.size, image.size)
    assert path.read_bytes() == before

    monkeypatch.setenv("PATH", "/nowhere")  # without qemu-img: it is there already
    assert images.of(path, cache=cache, user="ada", architecture="x86_64") == image
    # It is the same disk for who notes something else.
    noted = images.of(path, cache=cache, user="eve", boot="kernel", architecture="x86_64")
    assert noted == dataclasses.replace(image, user="eve", boot="kernel")
    assert images.list(cache=cache) == [image]
    assert images.list(cache=cache) == [image]


@pytest.mark.parametrize(
    ("place", "data", "boot"),
    [
        (0, b"", "kernel"),
        (1080, b"\x53\xef", "kernel"),  # ext4's number, as of a system that a kernel beside it boots
        (510, b"\x55\xaa", "efi"),
        (512, b"EFI PART", "efi"),
        (4096, b"EFI PART", "efi"),
        (32769, b"CD001", "efi"),
    ],
)
def test_a_disk_tells_what_it_is_booted_by(place: int, data: bytes, boot: str, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "disk.raw"
    path.write_bytes((bytes(place) + data).ljust(1 << 16, b"\0"))
    for _ in range(2):
        assert images.of(path, cache=cache).boot == boot
    assert [image.boot for image in images.list(cache=cache)] == [boot]
    for given in ("efi", "kernel"):
        assert images.of(path, cache=cache, boot=given).boot == given


def test_a_file_that_changed_is_imported_anew(tmp_path: Path, raw: Path, disk: bytes, cache: Path) -> None:
    first = images.of(raw, cache=cache)
    changed = bytes(512) + disk[512:]
    status = raw.stat()
    raw.write_bytes(changed)
    os.utime(raw, ns=(status.st_atime_ns, status.st_mtime_ns))  # its length and date are as they were
    second = images.of(raw, cache=cache)
    assert is_disk(first, disk)
    assert is_disk(second, changed)
    assert images.list(cache=cache) == [second, first]
    assert images.prune(cache=cache) == [first]
    assert images.list(cache=cache) == [second]


def zstd(data: bytes) -> bytes:
    return bytes(pytest.importorskip("zstandard").ZstdCompressor(write_checksum=True).compress(data))


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("xz", lzma.compress), ("zst", zstd)])
def test_packed_files_are_unpacked(
    suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path, disk: bytes, qcow2: bytes, cache: Path
) -> None:
    half = len(disk) // 2
    # Several streams in one file are one, as for the programs.
    contents = {"disk.raw": pack(disk), "two.img": pack(disk[:half]) + pack(disk[half:]), "disk.qcow2": pack(qcow2)}
    for name, data in contents.items():
        path = tmp_path / f"{name}.{suffix}"
        path.write_bytes(data)
        told: list[images.Progress] = []
        image = images.of(path, cache=cache, progress=told.append)
        assert is_disk(image, disk), name
        assert Path(image.path).stat().st_blocks * 512 < 2 * MEBIBYTE, name
        assert sorted(os.listdir(Path(image.path).parent)) == ["disk.raw", "image.json"]
        assert images.Progress("decompress", len(data), len(data)) in told
    # What is called raw is raw, whatever it begins with: a guest may have written that.
    path = tmp_path / f"guest.raw.{suffix}"
    path.write_bytes(pack(qcow2))
    assert is_disk(images.of(path, cache=cache), qcow2)


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("xz", lzma.compress), ("zst", zstd)])
def test_what_is_packed_and_broken_or_too_large_is_refused(
    suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path, disk: bytes, cache: Path
) -> None:
    packed = pack(disk)
    data_of_no_pattern = random.Random(1).randbytes(4 * MEBIBYTE)  # noqa: S311
    cases = {
        "cut": (packed[:-2000], "ends in the middle"),
        "changed": (packed[:1000] + bytes(1000) + packed[2000:], "cannot be unpacked"),
        "followed": (packed + b"more", "cannot be unpacked|ends in the middle"),
        "twice": (pack(pack(disk)), "packed twice"),
        "odd": (pack(disk[:1000]), "1000 bytes, and a raw disk"),
        "bomb": (pack(bytes(64 * MEBIBYTE)), "more than 8388608 bytes"),
        "data": (pack(data_of_no_pattern), "takes up more than the 2097152 bytes"),
    }
    for name, (data, told) in cases.items():
        path = tmp_path / f"{name}.{suffix}"
        path.write_bytes(data)
        with pytest.raises(applevz.InvalidDiskImageError, match=told):
            images.of(path, cache=cache, maximum_size="8MiB", maximum_data="2MiB")
    assert images.list(cache=cache) == []
    assert list((cache / "work").iterdir()) == []


def test_backing_files_in_the_same_folder_are_a_part_of_the_image(
    tmp_path: Path, raw: Path, disk: bytes, cache: Path
) -> None:
    middle, outer = tmp_path / "middle.qcow2", tmp_path / "outer.qcow2"
    qemu_img("create", "-f", "qcow2", "-F", "raw", "-b", raw.name, middle)
    qemu_img("create", "-f", "qcow2", "-F", "qcow2", "-b", middle, outer)  # an absolute path
    subprocess.run(["qemu-io", "-c", "write -P 7 0 65536", outer], check=True, stdout=subprocess.DEVNULL)
    image = images.of(outer, cache=cache)
    assert is_disk(image, bytes([7]) * 65536 + disk[65536:])
    # One that is beneath it is a part of what tells whether it is the same.
    raw.write_bytes(disk[:-1] + b"!")
    assert Path(images.of(outer, cache=cache).path).read_bytes().endswith(b".!")

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(outer, elsewhere)
    with pytest.raises(applevz.InvalidDiskImageError, match="is outside of"):
        images.of(elsewhere / "outer.qcow2", cache=cache)
    assert images.of(elsewhere / "outer.qcow2", cache=cache, backing_folders=[tmp_path])


def test_the_path_of_an_image_is_that_image(raw: Path, tmp_path: Path, cache: Path) -> None:
    made = images.of(raw, cache=cache)
    (tmp_path / "link.img").symlink_to(made.path)
    for path in (made.path, Path(made.path), os.fsencode(made.path), tmp_path / "link.img"):
        assert images.of(path, cache=cache) == made
    assert images.of(made.path, cache=cache, file_format="raw", name="source.img") == made
    # What is noted is for the one who says it.
    noted = dataclasses.replace(made, user="ada", boot="efi", architecture="aarch64")
    assert images.of(made.path, cache=cache, user="ada", boot="efi", architecture="arm64") == noted
    with pytest.raises(applevz.InvalidDiskImageError, match="maximum_size"):
        images.of(made.path, cache=cache, maximum_size="1MiB")
    assert images.list(cache=cache) == [made]
    # Of another name it is another image, and so is one that is to have a checksum, or is in another cache.
    assert images.of(made.path, cache=cache, name="other").path != made.path
    with pytest.raises(applevz.InvalidDiskImageError, match="is not the one that was wanted"):
        images.of(made.path, cache=cache, checksum="sha256:" + "0" * 64)
    assert images.of(made.path, cache=tmp_path / "cache 2").name == "disk.raw"


def test_a_disk_of_the_cache_that_was_written_to_is_a_file_as_any_other(raw: Path, disk: bytes, cache: Path) -> None:
    made = images.of(raw, cache=cache)
    os.chmod(made.path, 0o600)
    with open(made.path, "r+b") as file:
        file.write(b"other")
    found = images.of(made.path, cache=cache)
    assert (found.name, found.path != made.path) == ("disk.raw", True)
    assert is_disk(found, b"other" + disk[5:])


# ---- What means harm ----


def with_backing(path: Path, name: str, kind: str | None = "raw") -> Path:
    """A qcow2 that names a backing file which qemu-img would not have made."""
    qemu_img("create", "-f", "qcow2", path, "1M")
    data = bytearray(path.read_bytes())
    extensions = b""
    if kind is not None:
        extensions = struct.pack(">II", 0xE2792ACA, len(kind)) + kind.encode().ljust((len(kind) + 7) // 8 * 8, b"\0")
    length = struct.unpack(">I", data[100:104])[0]
    data[length : length + len(extensions) + 8] = extensions + bytes(8)
    encoded = os.fsencode(name)
    data[2048 : 2048 + len(encoded)] = encoded
    data[8:20] = struct.pack(">QI", 2048, len(encoded))
    path.write_bytes(data)
    return path


ELSEWHERE = "/etc/shadow"


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        (ELSEWHERE, "raw", "is outside of"),
        ("../../../../../../../../../etc/shadow", "raw", "is outside of"),
        ("link", "raw", "is outside of"),
        ('json:{"driver":"file","filename":"/etc/shadow"}', "raw", "take for an address"),
        ("nbd://127.0.0.1/x", "raw", "take for an address"),
        ("nbd:unix:/run/x", "raw", "take for an address"),
        ("file:/etc/shadow", "raw", "take for an address"),
        ("fat:rw:/etc", "raw", "take for an address"),
        ("beneath", None, "has no format"),
        ("beneath", "host_device", "has the format 'host_device'"),
        ("pipe", "raw", "no regular file"),
        ("image", "qcow2", "circle"),
        ("beneath", "qcow2", "does not begin as an image of the format qcow2"),
    ],
)
def test_a_backing_file_that_leads_elsewhere_is_refused_before_qemu_sees_it(
    name: str, kind: str | None, told: str, tmp_path: Path, cache: Path, no_qemu_img: Callable[[], list[str]]
) -> None:
    (tmp_path / "link").symlink_to(ELSEWHERE)
    (tmp_path / "beneath").write_bytes(bytes(MEBIBYTE))
    os.mkfifo(tmp_path / "pipe")
    path = os.environ["PATH"]
    os.environ["PATH"] = path.partition(":")[2]
    image = with_backing(tmp_path / "image", name, kind)
    os.environ["PATH"] = path
    with pytest.raises(applevz.InvalidDiskImageError, match=told):
        images.of(image, cache=cache)
    assert no_qemu_img() == []


def test_the_name_of_a_backing_file_is_no_part_of_a_command(tmp_path: Path, cache: Path) -> None:
    """Whose image it is may have given it any name. What an error suggests may be copied to a shell."""
    image = with_backing(tmp_path / "image", "\x1b[2J; rm -rf ~", None)
    with pytest.raises(applevz.InvalidDiskImageError, match="has no format") as raised:
        images.of(image, cache=cache)
    assert "\x1b" not in str(raised.value)
    assert raised.value.recovery_suggestion is not None
    assert "rm -rf" not in raised.value.recovery_suggestion
    assert "-b FILE IMAGE" in raised.value.recovery_suggestion


def test_a_backing_file_that_is_missing_is_a_file_that_is_not_found(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(FileNotFoundError, match="The backing file 'gone'"):
        images.of(with_backing(tmp_path / "image", "gone"), cache=cache)
    with pytest.raises(FileNotFoundError):
        images.of(tmp_path / "none", cache=cache)


def test_a_circle_of_backing_files_is_seen(tmp_path: Path, cache: Path) -> None:
    first = with_backing(tmp_path / "first", "second", "qcow2")
    with_backing(tmp_path / "second", "./third", "qcow2")
    os.link(first, tmp_path / "third")  # the same file by another name
    with pytest.raises(applevz.InvalidDiskImageError, match="circle"):
        images.of(first, cache=cache)


def test_a_chain_without_end_is_given_up(tmp_path: Path, cache: Path) -> None:
    for number in range(40):
        with_backing(tmp_path / str(number), str(number + 1), "qcow2")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(applevz.InvalidDiskImageError, match="more than 32 backing files"):
        images.of(tmp_path / "0", cache=cache)
    assert os.listdir("/proc/self/fd") == before


def changed(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


@pytest.mark.parametrize(
    ("place", "new", "told"),
    [
        (4, struct.pack(">I", 4), "qcow2 image of the version 4"),
        (20, struct.pack(">I", 63), r"2\*\*63 bytes"),
        (24, struct.pack(">Q", 1 << 60), "1152921504606846976 bytes, and 274877906944 are allowed"),
        (24, struct.pack(">Q", 1 << 63), "bytes, and 274877906944 are allowed"),
        (24, bytes(8), "0 bytes"),
        (24, struct.pack(">Q", 1000), "1000 bytes"),
        (32, struct.pack(">I", 1), "encrypted"),
        (32, struct.pack(">I", 2), "encrypted"),
        (72, struct.pack(">Q", 1), "not closed"),
        (72, struct.pack(">Q", 2), "corrupt"),
        (72, struct.pack(">Q", 4), "in another file"),
        (72, struct.pack(">Q", 1 << 40), "not known: 0x10000000000"),
        (8, struct.pack(">QI", 1 << 40, 10), "10 bytes at the place 1099511627776"),
        (8, struct.pack(">QI", 4096, 1 << 31), "2147483648 bytes at the place 4096"),
    ],
)
def test_a_header_that_asks_for_too_much_is_refused_before_qemu_sees_it(
    place: int, new: bytes, told: str, tmp_path: Path, qcow2: bytes, cache: Path, no_qemu_img: Callable[[], list[str]]
) -> None:
    path = tmp_path / "image"
    path.write_bytes(changed(qcow2, place, new))
    with pytest.raises(applevz.InvalidDiskImageError, match=told):
        images.of(path, cache=cache)
    assert no_qemu_img() == []


def test_no_beginning_of_an_image_is_taken_for_the_whole(tmp_path: Path, raw: Path, cache: Path) -> None:
    # Of each format. QEMU reads zeros behind a file's end, so a download that ended early looks like a disk to it.
    for name in ("qcow2", "vmdk", "vdi", "vhdx"):
        path = tmp_path / name
        qemu_img("convert", "-f", "raw", "-O", name, raw, path)
        for length in (4, 8, 71, 72, 100, 103, 200, 511, 1000, 70_000, 500_000):
            cut = tmp_path / f"{name}-{length}"
            cut.write_bytes(path.read_bytes()[:length])
            with pytest.raises(applevz.InvalidDiskImageError):
                images.of(cut, cache=cache)


def test_vmdks_whose_data_is_elsewhere_are_refused(
    tmp_path: Path, raw: Path, cache: Path
) -> None:
    qemu_img("convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=monolithicFlat", raw, tmp_path / "flat.vmdk")
    with pytest.raises(applevz.InvalidDiskImageError, match="whose data is in other files"):
        images.of(tmp_path / "flat.vmdk", cache=cache)
    qemu_img("convert", "-f", "raw", "-O", "vmdk", raw, tmp_path / "disk.vmdk")
    data = (tmp_path / "disk.vmdk").read_bytes()
    # QEMU would read the description in it, and open what that names.
    words = b'RW 2048 FLAT "/etc/shadow" 0\n'
    place = data.index(b"RW ")
    hostile = changed(changed(data, 12, bytes(8)), place, words)
    (tmp_path / "hostile.vmdk").write_bytes(hostile)
    with pytest.raises(applevz.InvalidDiskImageError, match="files that it names"):
        images.of(tmp_path / "hostile.vmdk", cache=cache)


def test_images_with_a_parent_are_refused(tmp_path: Path, raw: Path, cache: Path) -> None:
    # Without it they would be taken for whole ones, with zeros where the parent has data.
    qemu_img("convert", "-f", "raw", "-O", "vmdk", raw, tmp_path / "disk.vmdk")
    qemu_img("create", "-f", "vmdk", "-F", "vmdk", "-b", tmp_path / "disk.vmdk", tmp_path / "child.vmdk")
    with pytest.raises(applevz.InvalidDiskImageError, match="what differs from another image"):
        images.of(tmp_path / "child.vmdk", cache=cache)
    qemu_img("convert", "-f", "raw", "-O", "vhdx", raw, tmp_path / "disk.vhdx")
    data = (tmp_path / "disk.vhdx").read_bytes()
    # The flag stands behind the size of a block, which QEMU makes 8 MiB or more for such a disk.
    item = data.index(bytes.fromhex("3767a1ca36fa434db3b633f0aa44e76b"))
    region = item // (64 << 10) * (64 << 10)
    place = region + struct.unpack("<I", data[item + 16 : item + 20])[0] + 4
    assert data[place] == 0
    (tmp_path / "child.vhdx").write_bytes(changed(data, place, b"\2"))
    with pytest.raises(applevz.InvalidDiskImageError, match="what differs from another image"):
        images.of(tmp_path / "child.vhdx", cache=cache)


@pytest.mark.parametrize("kind", ["luks", "vpc", "qed"])
def test_what_is_known_and_not_imported_is_told(kind: str, tmp_path: Path, cache: Path) -> None:
    beginnings = {"luks": b"LUKS\xba\xbe", "vpc": b"conectix", "qed": b"QED\0"}
    (tmp_path / "image").write_bytes(beginnings[kind].ljust(4096, b"\0"))
    words = {"luks": "encrypted by LUKS", "vpc": "a VHD", "qed": "a QED image"}
    with pytest.raises(applevz.InvalidDiskImageError, match=words[kind]):
        images.of(tmp_path / "image", cache=cache)


def test_an_image_that_unpacks_to_more_than_is_allowed_is_ended(tmp_path: Path, cache: Path) -> None:
    # All its clusters are one that is packed well and is not zeros.
    path = tmp_path / "raw"
    with open(path, "wb") as file:
        for _ in range(256):
            file.write(b"bomb" * (MEBIBYTE // 4))
    qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", path, tmp_path / "bomb.qcow2")
    assert (tmp_path / "bomb.qcow2").stat().st_size < 4 * MEBIBYTE
    with pytest.raises(applevz.InvalidDiskImageError, match="takes up more than the 16777216 bytes"):
        images.of(tmp_path / "bomb.qcow2", cache=cache, maximum_data="16MiB")
    assert list((cache / "work").iterdir()) == []


def test_a_program_that_writes_more_than_is_allowed_is_ended_at_once(
    tmp_path: Path, qcow2: bytes, disk: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = f"""\
#!/bin/sh
for target; do :; done
case $1 in
    info) echo '{{"virtual-size": {len(disk)}}}' ;;
    check) exit 63 ;;
    convert) head -c 2097152 /dev/urandom >"$target"; sync "$target"; exec sleep 3600 ;;
esac
"""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "qemu-img").write_text(program)
    (folder / "qemu-img").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    (tmp_path / "image").write_bytes(qcow2)
    with pytest.raises(applevz.InvalidDiskImageError, match="takes up more than the 1048576 bytes"):
        images.of(tmp_path / "image", cache=cache, maximum_data="1MiB")


def test_a_process_that_is_killed_takes_its_program_along(
    tmp_path: Path, qcow2: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    begun = tmp_path / "begun"
    (folder / "qemu-img").write_text(f"#!/bin/sh\necho $$ >{begun}.new\nmv {begun}.new {begun}\nexec sleep 3600\n")
    (folder / "qemu-img").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    (tmp_path / "image").write_bytes(qcow2)
    program = f"from applevz import images; images.of({str(tmp_path / 'image')!r}, cache={str(cache)!r})"
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        assert eventually(begun.exists, PATIENCE)
        process.kill()
    child = int(begun.read_text())
    assert eventually(lambda: not alive(child), PATIENCE)
    # The next call has the lock, and finds no leftovers.
    monkeypatch.setenv("PATH", os.environ["PATH"].partition(":")[2])
    assert images.of(tmp_path / "image", cache=cache).size
    assert list((cache / "work").iterdir()) == []


def test_an_image_that_is_written_to_meanwhile_is_not_kept(
    tmp_path: Path, qcow2: bytes, cache: Path
) -> None:
    path = tmp_path / "image"
    path.write_bytes(qcow2)

    def write(_: images.Progress) -> None:
        with open(path, "r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(b"more")

    with pytest.raises(applevz.InvalidDiskImageError, match="changed while it was read"):
        images.of(path, cache=cache, progress=write)
    assert images.list(cache=cache) == []


def test_qemu_finds_no_file_by_a_name_in_an_image(tmp_path: Path, raw: Path, cache: Path) -> None:
    outer = tmp_path / "outer.qcow2"
    qemu_img("create", "-f", "qcow2", "-F", "raw", "-b", raw.name, outer)
    with Chain(str(outer), None, [str(tmp_path)]) as chain:
        options = chain.options()
        numbers = chain.numbers
    assert options["file"]["filename"] == f"/dev/fd/{numbers[0]}"
    assert options["backing"]["file"]["filename"] == f"/dev/fd/{numbers[1]}"
    assert options["backing"]["driver"] == "raw"
    assert "source" not in json.dumps(options)


def test_the_word_of_the_caller_is_the_format(tmp_path: Path, qcow2: bytes, disk: bytes, cache: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(qcow2)
    assert is_disk(images.of(path, cache=cache, file_format="raw"), qcow2)
    assert is_disk(images.of(path, cache=cache, file_format="qcow2"), disk)
    with pytest.raises(applevz.InvalidDiskImageError, match="does not begin as an image of the format vmdk"):
        images.of(path, cache=cache, file_format="vmdk")
    with pytest.raises(applevz.InvalidDiskImageError, match="does not begin as an image of the format vdi"):
        images.of(path, cache=cache, file_format="vdi")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"file_format": "qcow"}, "file_format is 'qcow'"),
        ({"boot": "bios"}, "boot is 'bios'"),
        ({"name": "../x"}, r"name is '\.\./x'"),
        ({"name": 3}, "name is 3"),
        ({"user": 3}, "user is 3"),
        ({"architecture": "vax"}, "architecture is 'vax'"),
        ({"checksum": "x"}, "checksum is 'x'"),
        ({"maximum_size": "much"}, "maximum_size is 'much'"),
        ({"backing_folders": "/"}, "backing_folders is '/'"),
        ({"timeout": -1}, "timeout is -1"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_words(
    options: dict[str, Any], told: str, raw: Path, cache: Path
) -> None:
    with pytest.raises(applevz.InvalidArgumentError, match=told):
        images.of(raw, cache=cache, **options)


def test_other_files_are_no_disks(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("words")
    (tmp_path / "bz2").write_bytes(bz2.compress(b"words"))
    for name in ("empty", "text", "bz2", "."):
        with pytest.raises(applevz.InvalidDiskImageError):
            images.of(tmp_path / name, cache=cache)


def test_without_qemu_img_the_error_names_its_package(
    raw: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(applevz.NotSupportedError, match="apt-get install qemu-utils"):
        images.of(raw, cache=cache)
    assert list((cache / "work").iterdir()) == []


def test_a_checksum_is_that_of_the_file(raw: Path, cache: Path) -> None:
    with pytest.raises(applevz.InvalidDiskImageError, match="should be sha256:0000"):
        images.of(raw, cache=cache, checksum="0" * 64)
