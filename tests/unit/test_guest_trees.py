# SPDX-License-Identifier: Apache-2.0
"""What a guest sends as a tree: nothing of it is made outside of the target, whatever it says."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import struct
from pathlib import Path

import pytest

import applevz
from applevz._core.guest import trees
from applevz._core.guest.trees import TreeMaker, records

END = struct.pack("<QQ", 0, 0)


def entry(kind: str, path: bytes, data: bytes = b"", *, link: bytes = b"", mode: int = 0o644, size: int = -1) -> bytes:
    size = len(data) if size < 0 else size
    head = struct.pack("<cIIIqIQ", kind.encode(), mode, 0, 0, 1_000, 5, size)
    body = struct.pack("<QQ", 0, len(data)) + data if data else b""
    names = struct.pack("<I", len(path)) + path + struct.pack("<I", len(link)) + link
    return head + names + (body + END if kind == "f" and size else b"")


ROOT = entry("d", b"", mode=0o755)


def make(target: Path, *parts: bytes, piece: int = 1 << 20) -> TreeMaker:
    maker = TreeMaker(os.fsencode(target), lambda size: None)
    data = b"".join(parts)
    try:
        for start in range(0, len(data), piece):
            maker.feed(data[start : start + piece])
        maker.finish()
    finally:
        maker.close()
    return maker


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_what_is_sent_is_made(tmp_path: Path, piece: int) -> None:
    holes = entry("f", b"d/holes", size=1 << 20)[: -len(END)] + struct.pack("<QQ", 9, 1) + b"x" + END
    maker = make(
        tmp_path / "t",
        ROOT,
        entry("d", b"d", mode=0o500),
        entry("f", b"d/file", b"content", mode=0o4755),
        entry("h", b"hard", link=b"d/file"),
        entry("l", b"d/link", link=b"/nowhere"),
        entry("p", b"fifo"),
        entry("f", b"empty"),
        entry("f", b"\xff\n", b"strange"),
        holes,
        entry("e", b"unreadable", mode=errno.EACCES),
        piece=piece,
    )
    root = tmp_path / "t"
    assert (root / "d" / "file").read_bytes() == b"content"
    assert (root / "d" / "file").stat().st_mode == 0o100755
    assert (root / "d" / "file").stat().st_mtime_ns == 1_000_000_000_005
    assert (root / "hard").stat().st_ino == (root / "d" / "file").stat().st_ino
    assert os.readlink(root / "d" / "link") == "/nowhere"
    assert (root / "fifo").is_fifo()
    assert (root / "empty").read_bytes() == b""
    assert Path(os.fsdecode(bytes(root) + b"/\xff\n")).read_bytes() == b"strange"
    assert (root / "d" / "holes").stat().st_size == 1 << 20
    assert (root / "d" / "holes").read_bytes()[8:11] == b"\0x\0"
    assert ((root / "d").stat().st_mode, (root / "d").stat().st_mtime_ns) == (0o40500, 1_000_000_000_005)
    assert maker.failed == (errno.EACCES, b"unreadable")


@pytest.mark.parametrize(
    "bad",
    [
        entry("f", b"../out", b"x"), entry("f", b"/out", b"x"), entry("f", b"a//b", b"x"), entry("f", b"./out", b"x"),
        entry("f", b"..", b"x"), entry("f", b"a/../../out", b"x"), entry("f", b"a\0b", b"x"), entry("d", b"out/"),
        entry("l", b"link", link=b"..") + entry("f", b"link/out", b"x"),
        entry("l", b"link", link=b"..") + entry("d", b"link/out"),
        entry("d", b"a") + entry("l", b"a/up", link=b"../..") + entry("h", b"a/up/out", link=b"a"),
        entry("h", b"h", link=b"../secret"), entry("h", b"h", link=b"/etc/passwd"), entry("h", b"h", link=b""),
        entry("l", b"l", link=b"../secret") + entry("h", b"h", link=b"l"), entry("h", b"h", link=b"h"),
        entry("f", b"nowhere/f", b"x"), entry("b", b"device"), entry("d", b""), entry("f", b"", b"x"),
        entry("f", b"f", b"xx", size=1), entry("f", b"f", b"x", size=1 << 63), ROOT[:5] + b"\xff" * 60,
        entry("f", b"f", size=9)[: -len(END)] + struct.pack("<QQ", 2**64 - 1, 2) + b"xx",
        entry("f", b"f", size=9)[: -len(END)] + struct.pack("<QQ", 5, 1) + b"x" + struct.pack("<QQ", 4, 1) + b"x",
    ],
    ids=range(25),
)  # fmt: skip
def test_nothing_is_made_outside_of_the_target(tmp_path: Path, bad: bytes) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(applevz.Error) as caught:
        make(tmp_path / "t", ROOT, bad)
    assert isinstance(caught.value, OSError)
    assert sorted(os.listdir(tmp_path)) == ["secret", "t"]
    assert (tmp_path / "secret").read_text() == "secret"
    assert (tmp_path / "secret").stat().st_nlink == 1


def test_what_does_not_begin_with_its_root_or_ends_in_the_middle_is_refused(tmp_path: Path) -> None:
    for parts in ([entry("f", b"f", b"x")], [], [ROOT, entry("f", b"f", b"x")[:-1]], [entry("f", b"", b"x"), ROOT]):
        with pytest.raises(applevz.POSIXError):
            make(tmp_path / "t", *parts)


def test_folders_whose_paths_take_too_much_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "_MOST_BYTES", 30)
    again = [entry("d", b"ten bytes.")] * 3
    make(tmp_path / "t", ROOT, *again)
    with pytest.raises(applevz.POSIXError, match="has too many folders"):
        make(tmp_path / "t", ROOT, *again, entry("d", b"d"))


def test_what_is_in_the_way_is_replaced_and_never_written_into(tmp_path: Path) -> None:
    root = tmp_path / "t"
    root.mkdir()
    (tmp_path / "outside").write_text("outside")
    (tmp_path / "folder").mkdir()
    (root / "f").symlink_to(tmp_path / "outside")
    (root / "d").symlink_to(tmp_path / "folder")
    os.link(tmp_path / "outside", root / "g")
    (root / "kept").write_text("kept")
    make(root, ROOT, entry("f", b"f", b"new"), entry("f", b"g", b"new"), entry("d", b"d"), entry("f", b"d/x", b"new"))
    assert (tmp_path / "outside").read_text() == "outside"
    assert list((tmp_path / "folder").iterdir()) == []
    assert (root / "d" / "x").read_text() == "new"
    assert (root / "kept").read_text() == "kept"


def test_a_file_alone_is_made_as_the_target(tmp_path: Path) -> None:
    make(tmp_path / "t", entry("f", b"", b"alone", mode=0o600))
    assert (tmp_path / "t").read_text() == "alone"
    with pytest.raises(FileNotFoundError) as caught:
        make(tmp_path / "none" / "t", entry("f", b"", b"alone"))
    assert caught.value.filename == str(tmp_path / "none" / "t")


def test_records_of_this_host_are_made_again_as_they_were(tmp_path: Path) -> None:
    source = tmp_path / "s"
    (source / "d").mkdir(parents=True)
    (source / "d" / "f").write_bytes(os.urandom(300_000))
    os.link(source / "d" / "f", source / "h")
    (source / "l").symlink_to("d")
    with (source / "holes").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"x")
        file.truncate(3 << 20)
    sizes: list[int] = []
    make(tmp_path / "t", *records(os.fsencode(source), sizes.append))
    assert len(sizes) == 6
    assert (tmp_path / "t" / "d" / "f").read_bytes() == (source / "d" / "f").read_bytes()
    assert (tmp_path / "t" / "h").samefile(tmp_path / "t" / "d" / "f")
    assert (tmp_path / "t" / "holes").read_bytes() == (source / "holes").read_bytes()
    assert (tmp_path / "t" / "holes").stat().st_blocks < 1000
    assert (tmp_path / "t" / "d").stat().st_mtime_ns == (source / "d").stat().st_mtime_ns


def test_thousands_of_malformed_trees_make_nothing_outside(tmp_path: Path) -> None:
    choose = random.Random(7)  # noqa: S311  # the same each time
    (tmp_path / "secret").write_text("secret")
    good = b"".join(
        (
            ROOT,
            entry("d", b"a"),
            entry("f", b"a/f", b"x"),
            entry("l", b"a/l", link=b".."),
            entry("h", b"h", link=b"a/f"),
        )
    )
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(choose.randrange(1, 6)):
            data[choose.randrange(len(data))] = choose.choice((0, 1, 0x2F, 0x2E, 0xFF, choose.randrange(256)))
        with contextlib.suppress(applevz.Error):
            make(tmp_path / "t", bytes(data))
    assert sorted(os.listdir(tmp_path)) == ["secret", "t"]
    assert (tmp_path / "secret").stat().st_nlink == 1
