# SPDX-License-Identifier: Apache-2.0
"""Trees that the guest agent sends and makes; and that it makes nothing outside the one that is asked for."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from agent_protocol import RECORD, Record, Speaker, receive_tree, records, send_tree
from agent_trees import TIME, set_time


def describe(root: Path) -> dict[bytes, tuple[object, ...]]:
    """What there is to be compared."""
    found: dict[bytes, tuple[object, ...]] = {}
    groups: dict[int, list[bytes]] = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in [*folders, *files, b"."]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            kind = stat.S_IFMT(status.st_mode)
            content: bytes = b""
            if kind == stat.S_IFREG:
                content = Path(os.fsdecode(path)).read_bytes()
                groups.setdefault(status.st_ino, []).append(os.path.relpath(path, os.fsencode(root)))
            elif kind == stat.S_IFLNK:
                content = os.readlink(path)
            found[os.path.relpath(path, os.fsencode(root))] = (status.st_mode, status.st_mtime_ns, content)
    found[b"//links"] = tuple(sorted(tuple(sorted(names)) for names in groups.values() if len(names) > 1))
    return found


def test_a_tree_is_the_same_after_both_ways(agent: Speaker, tree: Path, tmp_path: Path) -> None:
    sent = send_tree(agent, tree)
    assert (sent.failed, sent.done, sent.ended) == (None, (0, b""), {1})
    made = receive_tree(agent, tmp_path / "target", bytes(sent.data[1]))
    assert made.done == (0, b"")
    assert describe(tmp_path / "target") == describe(tree)
    # Holes are neither sent nor made.
    assert len(sent.data[1]) < 2_000_000
    assert (tmp_path / "target" / "holes").stat().st_blocks * 512 < 1 << 20


def test_a_tree_says_everything_of_its_files(agent: Speaker, tree: Path) -> None:
    found = {record.path: record for record in records(bytes(send_tree(agent, tree).data[1]))}
    assert found[b""].kind == b"d"
    assert (found[b"program"].kind, found[b"program"].mode, found[b"program"].modified) == (b"f", 0o4751, TIME)
    assert (found[b"link"].kind, found[b"link"].target) == (b"l", b"folder/../text")
    assert found[b"fifo"].kind == b"p"
    assert found[b"holes"].content == (tree / "holes").read_bytes()
    assert [offset for offset, _ in found[b"holes"].extents] == [1 << 20, 5 << 20]
    linked = {found[b"text"].kind, found[b"folder/inner/same"].kind}
    assert linked == {b"f", b"h"}
    assert (found[b"text"].user, found[b"text"].group) == (os.geteuid(), os.getegid())


def test_folders_come_before_what_is_in_them(agent: Speaker, tree: Path) -> None:
    seen = set()
    for record in records(bytes(send_tree(agent, tree).data[1])):
        if record.path:
            assert os.path.dirname(record.path) in seen
        if record.kind == b"d":
            seen.add(record.path)


def test_a_root_that_is_a_file_is_one_record(agent: Speaker, tree: Path, tmp_path: Path) -> None:
    for name in ("text", "link"):
        sent = bytes(send_tree(agent, tree / name).data[1])
        (record,) = records(sent)
        # The root is followed, as any path is that somebody names.
        assert (record.kind, record.path, record.content) == (b"f", b"", b"text")
    assert receive_tree(agent, tmp_path / "copy", sent).done == (0, b"")
    assert (tmp_path / "copy").read_text() == "text"


def test_links_are_followed_where_that_is_asked_for_and_a_loop_is_an_error(agent: Speaker, tree: Path) -> None:
    (tree / "folder" / "loop").symlink_to("..")
    (tree / "folder" / "inner" / "same").unlink()
    found = {record.path: record for record in records(bytes(send_tree(agent, tree, flags=1).data[1]))}
    assert found[b"link"].content == b"text"
    assert (found[b"folder/loop"].kind, found[b"folder/loop"].mode) == (b"e", errno.ELOOP)
    assert b"dangling" not in found


def test_what_cannot_be_sent_is_told(agent: Speaker, tmp_path: Path) -> None:
    assert send_tree(agent, tmp_path / "none").failed == (errno.ENOENT, "open")
    assert send_tree(agent, "/dev/null").failed == (errno.EINVAL, "open")
    assert agent.open_stream(10, b"") is not None
    if os.geteuid() != 0:
        (tmp_path / "closed").mkdir(mode=0)
        (record,) = [each for each in records(bytes(send_tree(agent, tmp_path).data[1])) if each.path == b"closed"]
        assert (record.kind, record.mode) == (b"e", errno.EACCES)


def test_a_deep_tree(agent: Speaker, tmp_path: Path) -> None:
    deep = tmp_path / "deep" / "/".join(["d"] * 300)
    deep.mkdir(parents=True)
    (deep / "bottom").write_text("bottom")
    sent = send_tree(agent, tmp_path / "deep")
    assert receive_tree(agent, tmp_path / "copy", bytes(sent.data[1])).done == (0, b"")
    assert (tmp_path / "copy" / "/".join(["d"] * 300) / "bottom").read_text() == "bottom"


def test_many_small_files_under_a_credit_of_few_bytes(agent: Speaker, tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"{number}").write_text(f"{number}" * 10)
    found = {record.path: record for record in records(bytes(send_tree(agent, tmp_path).data[1]))}
    assert len(found) == 2001
    assert all(found[b"%d" % number].content == b"%d" % number * 10 for number in range(2000))


def test_a_file_that_is_there_is_replaced_and_not_written_into(agent: Speaker, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "outside").write_text("untouched")
    os.link(tmp_path / "outside", tmp_path / "target" / "file")
    (tmp_path / "target" / "link").symlink_to("../outside")
    tree = [Record(b"d", b""), Record(b"f", b"file", extents=[(0, b"new")]), Record(b"f", b"link", extents=[(0, b"n")])]
    assert receive_tree(agent, tmp_path / "target", b"".join(record.pack() for record in tree)).done == (0, b"")
    assert (tmp_path / "outside").read_text() == "untouched"
    assert (tmp_path / "target" / "file").read_text() == "new"
    assert not (tmp_path / "target" / "link").is_symlink()


def test_what_is_in_a_folder_s_way_is_removed_and_a_folder_is_kept(agent: Speaker, tmp_path: Path) -> None:
    target = tmp_path / "target"
    (tmp_path / "outside").mkdir()
    (target / "kept").mkdir(parents=True)
    (target / "kept" / "file").write_text("kept")
    (target / "file").write_text("gone")
    (target / "link").symlink_to("../outside")
    names = [b"", b"kept", b"file", b"link", b"link/below"]
    assert receive_tree(agent, target, b"".join(Record(b"d", name).pack() for name in names)).done == (0, b"")
    assert (target / "kept" / "file").read_text() == "kept"
    assert (target / "file").is_dir()
    assert (target / "link" / "below").is_dir()
    assert not (target / "link").is_symlink()
    assert not list((tmp_path / "outside").iterdir())
    # A folder is never emptied: what it holds is nobody's to remove.
    tree = b"".join(record.pack() for record in (Record(b"d", b""), Record(b"f", b"kept", extents=[(0, b"new")])))
    assert receive_tree(agent, target, tree).done in ((errno.EISDIR, b"kept"), (errno.EPERM, b"kept"))


def test_users_are_set_where_that_is_asked_for(agent: Speaker, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    tree = [
        Record(b"d", b"", 0o755, 12, 13),
        Record(b"f", b"f", 0o6755, 14, 15),
        Record(b"l", b"l", target=b"x", user=16),
    ]
    data = b"".join(record.pack() for record in tree)
    for flags, expected in [(0, [(0, 0)] * 3), (1, [(12, 13), (14, 15), (16, 0)])]:
        target = tmp_path / f"{flags}"
        assert receive_tree(agent, target, data, flags).done == (0, b"")
        found = [path.lstat() for path in (target, target / "f", target / "l")]
        assert [(status.st_uid, status.st_gid) for status in found] == expected
        assert stat.S_IMODE(found[1].st_mode) == 0o6755


HOSTILE = [
    b"..",
    b"../outside",
    b"a/../../outside",
    b"/outside",
    b"/",
    b"a//b",
    b".",
    b"./a",
    b"a/.",
    b"a/",
    b"link/file",
    b"link",
]


@pytest.mark.parametrize("kind", [b"d", b"f", b"l", b"p", b"h"])
@pytest.mark.parametrize("path", HOSTILE, ids=os.fsdecode)
def test_nothing_is_made_outside_the_root(agent: Speaker, tmp_path: Path, kind: bytes, path: bytes) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("untouched")
    set_time(outside / "file")
    set_time(outside)
    target = tmp_path / "target"
    tree = [
        Record(b"d", b""),
        Record(b"d", b"a"),
        Record(b"f", b"first", extents=[(0, b"x")]),
        Record(b"l", b"link", target=os.fsencode(outside)),
        Record(kind, path, 0o777, target=b"first", extents=[(0, b"hostile")] if kind == b"f" else []),
    ]
    stream = receive_tree(agent, target, b"".join(record.pack() for record in tree))
    if path != b"link":
        assert stream.done is not None
        assert stream.done[0] in {errno.EINVAL, errno.ELOOP, errno.ENOTDIR}
    assert (outside / "file").read_text() == "untouched"
    assert (outside.stat().st_mtime_ns, (outside / "file").stat().st_mtime_ns) == (TIME, TIME)
    assert sorted(os.listdir(tmp_path)) == ["outside", "target"]
    assert sorted(os.listdir(outside)) == ["file"]


@pytest.mark.parametrize("target", [b"../outside", b"/etc/passwd", b"", b".", b"link/file", b"none"])
def test_a_hard_link_reaches_nothing_outside_the_root(agent: Speaker, tmp_path: Path, target: bytes) -> None:
    (tmp_path / "outside").write_text("secret")
    tree = [Record(b"d", b""), Record(b"l", b"link", target=b".."), Record(b"h", b"mine", target=target)]
    stream = receive_tree(agent, tmp_path / "target", b"".join(record.pack() for record in tree))
    assert stream.done is not None
    assert stream.done[0] != 0
    assert not (tmp_path / "target" / "mine").exists()


def test_a_root_that_is_a_link_below_itself_is_not_walked_again(agent: Speaker, tmp_path: Path) -> None:
    # The folder becomes a link after it was made: what is said of it last is not set on what the link names.
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    tree = [Record(b"d", b""), Record(b"d", b"a", 0o777), Record(b"l", b"a", target=os.fsencode(outside))]
    stream = receive_tree(agent, tmp_path / "target", b"".join(record.pack() for record in tree))
    assert stream.done is not None
    assert stream.done[0] == errno.EISDIR
    assert stat.S_IMODE(outside.stat().st_mode) == 0o700


def test_wrong_records_end_the_tree(agent: Speaker, tmp_path: Path) -> None:
    root = Record(b"d", b"").pack()
    file = Record(b"f", b"f", extents=[(0, b"abc"), (10, b"def")])
    wrong = {
        "kind": root + Record(b"x", b"x").pack(),
        "no root": Record(b"f", b"f", extents=[(0, b"abc")]).pack(),
        "two roots": root + root,
        "a NUL": root + Record(b"f", b"a\0b").pack(),
        "a long path": root + Record(b"f", b"a/" * 3000).pack(),
        "falling extents": root + Record(b"f", b"f", size=20, extents=[(10, b"abc"), (0, b"def")]).pack(),
        "extents over each other": root + Record(b"f", b"f", size=20, extents=[(0, b"abc"), (2, b"def")]).pack(),
        "an extent behind the end": root + Record(b"f", b"f", size=5, extents=[(3, b"abc")]).pack(),
        "a huge extent": root + Record(b"f", b"f", size=5).pack()[:-16] + b"\1" + b"\xff" * 15,
        "a huge size": root + Record(b"f", b"f", size=1 << 63).pack(),
        "nanoseconds": root + RECORD.pack(b"f", 0, 0, 0, 0, 10**9, 0) + bytes([1, 0, 0, 0]) + b"f" + bytes(4),
        "an end in a record": root + file.pack()[:20],
        "an end in an extent": root + file.pack()[:-20],
    }
    for name, data in wrong.items():
        stream = receive_tree(agent, tmp_path / name, data)
        assert stream.done is not None, name
        assert stream.done[0] in {errno.EPROTO, errno.EINVAL, errno.ENAMETOOLONG}, name
    assert receive_tree(agent, tmp_path / "right", root + file.pack()).done == (0, b"")
    assert (tmp_path / "right" / "f").read_bytes() == b"abc" + bytes(7) + b"def"


@pytest.mark.long
def test_folders_that_take_too_much_memory_end_the_tree(agent: Speaker, tmp_path: Path) -> None:
    paths = [b"/".join([b"x" * 250] * depth) for depth in range(1, 17)]
    data = Record(b"d", b"").pack() + b"".join(Record(b"d", path).pack() for path in paths)
    # The same folder again and again: it is remembered each time.
    stream = receive_tree(agent, tmp_path / "t", data + Record(b"d", paths[-1]).pack() * 70_000, timeout=250)
    assert stream.done == (errno.ENOMEM, paths[-1])


def test_a_tree_byte_by_byte(agent: Speaker, tree: Path, tmp_path: Path) -> None:
    (tree / "folder" / "large").unlink()
    (tree / "holes").unlink()
    data = bytes(send_tree(agent, tree).data[1])
    stream = agent.open_stream(11, b"\0\0\0\0" + os.fsencode(tmp_path / "copy"))
    for byte in data:
        agent.send(2, stream.number, bytes([byte]))
    agent.send(3, stream.number)
    agent.wait(lambda: stream.done)
    assert stream.done == (0, b"")
    assert (tmp_path / "copy" / "text").read_text() == "text"


def test_a_tree_that_is_closed_in_the_middle(agent: Speaker, tree: Path, tmp_path: Path) -> None:
    agent.gives_credit = False
    stream = agent.open_stream(10, b"\0\0\0\0" + os.fsencode(tree))
    agent.wait(lambda: len(stream.data[1]) >= 200_000)
    agent.close(stream)
    other = agent.open_stream(11, b"\0\0\0\0" + os.fsencode(tmp_path / "copy"))
    agent.write(other, bytes(stream.data[1][:100_000]), end=False)
    agent.close(other)
    # Nothing is left open; that no memory is lost is said at the end.
    assert len(os.listdir(f"/proc/{int.from_bytes(agent.hello[16:20], 'little')}/fd")) < 12
