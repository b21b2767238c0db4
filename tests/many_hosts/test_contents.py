# SPDX-License-Identifier: Apache-2.0
"""Files that reach a host by what is in them: once, checked, within bounds; and configurations that name them."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz._images.task import Task
from applevz.configuration import DiskImageStorageDeviceAttachment, VirtioBlockDeviceConfiguration
from applevz.ray._carried import carried_files, pathless, with_files
from applevz.ray._contents import Content, ContentStore, content_of, pieces_of, write_pieces
from applevz.ray._hosts import Host, Requirements, check_host, describe_host, machines_by_memory, resources
from applevz.ray._sources import source_argument
from processes import eventually

pytest.importorskip("filelock")
pytest.importorskip("platformdirs")

MEBI = 1 << 20
DATE = 1_700_000_000_123_456_789


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """A file with data, holes, and zeros that are no hole."""
    path = tmp_path / "a file"
    with path.open("wb") as file:
        file.write(b"begin" + bytes(3 * MEBI))
        file.seek(8 * MEBI)
        file.write(os.urandom(2 * MEBI))
        file.truncate(30 * MEBI + 7)
    return path


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "cache")


def task() -> Task:
    return Task(60.0)


def obtained(store: ContentStore, path: Path, *, dated: bool = False) -> Path:
    held = store.obtain(content_of(path, dated=dated), lambda: pieces_of(path), task())
    held.release()
    return held.path


# ---- What a file is ----


def test_a_file_is_known_by_the_sha256_of_all_of_it(sparse: Path) -> None:
    content = content_of(sparse)
    assert content.sha256 == hashlib.sha256(sparse.read_bytes()).hexdigest()
    assert content.size == 30 * MEBI + 7
    assert content_of(sparse) == content
    os.utime(sparse, ns=(1, DATE))
    assert content_of(sparse) == content
    assert content_of(sparse, dated=True).written_ns == DATE


def test_only_data_is_sent_and_the_holes_come_back(sparse: Path, tmp_path: Path) -> None:
    pieces = list(pieces_of(sparse))
    assert sum(len(data) for _, data in pieces) < 15 * MEBI
    copy = tmp_path / "copy"
    write_pieces(copy, content_of(sparse).size, pieces)
    assert copy.read_bytes() == sparse.read_bytes()
    assert copy.stat().st_blocks * 512 < 20 * MEBI
    empty = tmp_path / "empty"
    empty.touch()
    assert list(pieces_of(empty)) == []


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: None, FileNotFoundError),
        (lambda path: path.mkdir(), applevz.InvalidArgumentError),
        (os.mkfifo, applevz.InvalidArgumentError),
    ],
)
def test_what_is_no_file_is_refused_by_name(tmp_path: Path, make: Any, kind: type[Exception]) -> None:
    make(tmp_path / "thing")
    with pytest.raises(kind, match="thing"):
        content_of(tmp_path / "thing")


# ---- Once on a host, checked ----


def test_a_file_comes_once_however_many_need_it_at_the_same_time(store: ContentStore, sparse: Path) -> None:
    content = content_of(sparse)
    asked = []

    def pieces() -> Iterator[tuple[int, bytes]]:
        asked.append(threading.get_ident())
        time.sleep(0.05)
        yield from pieces_of(sparse)

    found: list[Path] = []

    def obtain() -> None:
        # As of another process: it has a store of its own.
        with_own = ContentStore(store.folder.parent)
        found.append(with_own.obtain(content, pieces, task()).path)

    threads = [threading.Thread(target=obtain) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(asked) == 1
    assert len(found) == 6
    assert len(set(found)) == 1
    assert found[0].read_bytes() == sparse.read_bytes()
    assert found[0].stat().st_mode & 0o777 == 0o400


def test_what_came_with_another_checksum_is_not_kept(store: ContentStore, sparse: Path) -> None:
    content = content_of(sparse)
    damaged = [(position, data[:-1] + b"?") for position, data in pieces_of(sparse)]
    with pytest.raises(applevz.DownloadError, match=f"SHA-256 {content.sha256} cannot be had") as caught:
        store.obtain(content, lambda: damaged, task())
    assert isinstance(caught.value, OSError)
    with pytest.raises(applevz.DownloadError, match="beyond its end"):
        store.obtain(content, lambda: [(content.size - 1, b"ab")], task())
    assert store.all() == []
    assert list((store.folder.parent / "work").iterdir()) == []
    assert obtained(store, sparse).exists()


def test_a_file_that_somebody_wrote_to_is_had_anew(store: ContentStore, sparse: Path) -> None:
    path = obtained(store, sparse)
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.write(b"BEGIN")
    assert store.find(content_of(sparse)) is None
    assert obtained(store, sparse) == path
    assert path.read_bytes() == sparse.read_bytes()


PROGRAM = """
import sys, time
from applevz._images.task import Task
from applevz.ray._contents import ContentStore, content_of, pieces_of
def pieces():
    for piece in pieces_of(sys.argv[2]):
        yield piece
        print("begun", flush=True)
        time.sleep(1000)
ContentStore(sys.argv[1]).obtain(content_of(sys.argv[2]), pieces, Task(None))
"""


def test_a_process_that_is_killed_in_the_middle_leaves_no_half_and_no_lock(store: ContentStore, sparse: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(store.folder.parent), str(sparse)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert store.find(content_of(sparse)) is None
        with pytest.raises(applevz.TimeoutError):
            store.obtain(content_of(sparse), lambda: pieces_of(sparse), Task(0.2))
        process.kill()
    assert obtained(store, sparse).read_bytes() == sparse.read_bytes()
    assert list((store.folder.parent / "work").iterdir()) == []


def test_an_image_keeps_the_date_by_which_a_state_knows_it(store: ContentStore, sparse: Path) -> None:
    os.utime(sparse, ns=(1, DATE))
    path = obtained(store, sparse, dated=True)
    assert path.stat().st_mtime_ns == DATE
    assert path != obtained(store, sparse)
    assert len(store.all()) == 2


# ---- What is kept ----


def test_what_is_kept_is_listed_and_removed_but_for_what_is_in_use(store: ContentStore, tmp_path: Path) -> None:
    held = []
    for number in range(3):
        path = tmp_path / str(number)
        path.write_bytes(bytes([number + 1]) * MEBI)
        held.append(store.obtain(content_of(path), lambda path=path: pieces_of(path), task()))  # type: ignore[misc]
    held[0].release()
    listed = {stored.sha256: stored for stored in store.all()}
    assert len(listed) == 3
    first, second, _ = (content_of(tmp_path / str(number)).sha256 for number in range(3))
    assert not listed[first].in_use
    assert listed[second].in_use
    assert listed[second].size == MEBI
    assert abs(listed[second].used - time.time()) < 60
    assert [stored.sha256 for stored in store.remove(second)] == []
    assert [stored.sha256 for stored in store.remove()] == [first]
    for one in held:
        one.release()
        one.release()
    assert len(store.remove()) == 2
    assert list(store.folder.iterdir()) == []


def test_those_that_were_not_used_for_longest_make_room(tmp_path: Path) -> None:
    store = ContentStore(tmp_path / "cache", most=int(2.5 * MEBI))
    paths = []
    for number in range(4):
        paths.append(tmp_path / str(number))
        paths[-1].write_bytes(os.urandom(MEBI))
    contents = [content_of(path) for path in paths]
    for number in (0, 1):
        kept = obtained(store, paths[number])
        os.utime(kept.with_name(kept.name + ".used"), (number, number))
    held = store.find(contents[0])
    assert held is not None
    os.utime(held.path.with_name(held.path.name + ".used"), (0, 0))
    # The first is in use, though nobody else was not used for so long.
    obtained(store, paths[2])
    assert {stored.sha256 for stored in store.all()} == {contents[0].sha256, contents[2].sha256}
    held.release()
    obtained(store, paths[3])
    assert {stored.sha256 for stored in store.all()} == {contents[2].sha256, contents[3].sha256}


def test_nothing_else_in_the_folder_is_taken_for_a_file_of_its_own(store: ContentStore, sparse: Path) -> None:
    path = obtained(store, sparse)
    (store.folder / "notes").write_text("mine")
    os.symlink(path, store.folder / f"{'a' * 64}-{path.stat().st_size}-1000000000000000000")
    assert [stored.path for stored in store.all()] == [str(path)]
    linked = Content("a" * 64, path.stat().st_size)
    assert store.find(linked) is None
    store.remove()
    assert (store.folder / "notes").exists()


# ---- Where files come from ----


@pytest.mark.parametrize("kind", ["folder", "file://", "memory://"])
def test_files_come_from_a_folder_or_an_object_store(
    store: ContentStore, sparse: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "memory://":
        pytest.importorskip("fsspec")
    folder = tmp_path / "given out"
    place = {"folder": str(folder), "file://": f"file://{folder}", "memory://": "memory://states/here"}[kind]
    source = source_argument("files", place)
    content = content_of(sparse)
    for _ in range(2):
        source.publish(content, os.fsencode(sparse))
    again = pickle.loads(pickle.dumps(source))
    path = store.obtain(content, lambda: again.pieces(content), task()).path
    assert path.read_bytes() == sparse.read_bytes()
    assert path.stat().st_blocks * 512 < 20 * MEBI
    if kind != "memory://":
        assert [file.name for file in folder.iterdir()] == [content.sha256]
        assert (folder / content.sha256).stat().st_blocks * 512 < 20 * MEBI


def test_a_file_that_is_not_where_it_should_be_is_an_error_that_names_the_place(
    store: ContentStore, tmp_path: Path
) -> None:
    source = source_argument("files", tmp_path / "empty")
    with pytest.raises(applevz.DownloadError, match="empty' cannot be read"):
        store.obtain(Content("0" * 64, 5), lambda: source.pieces(Content("0" * 64, 5)), task())
    for wrong in ("", 5, "a\0b"):
        with pytest.raises(applevz.InvalidArgumentError, match="files is"):
            source_argument("files", wrong)  # type: ignore[arg-type]  # what is wrong


def test_an_address_that_nothing_here_reaches_is_refused(sparse: Path) -> None:
    pytest.importorskip("fsspec")
    source = source_argument("files", "nothing-like-it://bucket/states")
    with pytest.raises(applevz.NotSupportedError, match="nothing-like-it://bucket/states"):
        source.publish(content_of(sparse), os.fsencode(sparse))


# ---- Configurations ----


def test_a_configuration_goes_without_its_paths_and_comes_with_those_of_the_host(tmp_path: Path) -> None:
    names = ("kernel", "ramdisk", "disk", "lower", "lowest", "usb")
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(bytes([number]) * 512)
    path = {name: tmp_path / name for name in names}
    disk = DiskImageStorageDeviceAttachment(path["disk"], base=[path["lower"], path["lowest"]])
    stick = DiskImageStorageDeviceAttachment(path["usb"], ephemeral=True)
    network = applevz.NetworkBlockDeviceStorageDeviceAttachment("nbd://server/disk")
    configuration = applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(path["kernel"], path["ramdisk"], "console=hvc0"),
        storage_devices=[VirtioBlockDeviceConfiguration(network), VirtioBlockDeviceConfiguration(disk)],
        usb_controllers=[applevz.XHCIControllerConfiguration([applevz.USBMassStorageDeviceConfiguration(stick)])],
    )
    carried = carried_files(configuration)
    assert {os.path.basename(os.fsdecode(name)) for _, name in carried} == set(names)
    sent = pickle.dumps(pathless(configuration))
    assert os.fsencode(tmp_path) not in sent
    places = {file.place: f"/elsewhere/{os.path.basename(os.fsdecode(name))}" for file, name in carried}
    there: Any = with_files(pickle.loads(sent), places)
    assert there.boot_loader == applevz.LinuxBootLoader("/elsewhere/kernel", "/elsewhere/ramdisk", "console=hvc0")
    assert there.storage_devices[0].attachment == network
    assert there.storage_devices[1].attachment.path == "/elsewhere/disk"
    assert there.storage_devices[1].attachment.base == ["/elsewhere/lower", "/elsewhere/lowest"]
    assert there.usb_controllers[0].usb_devices[0].attachment.path == "/elsewhere/usb"
    assert configuration.storage_devices[1].attachment is disk
    # Images are known by their dates as well.
    assert {file.content.written_ns for file, name in carried if name.endswith(b"usb")} == {
        path["usb"].stat().st_mtime_ns
    }


def test_a_disk_that_its_machine_writes_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(512))
    disk = VirtioBlockDeviceConfiguration(DiskImageStorageDeviceAttachment(tmp_path / "disk"))
    configuration = applevz.VirtualMachineConfiguration(storage_devices=[disk])
    with pytest.raises(applevz.InvalidArgumentError, match=r"storage_devices\[0\]\.attachment is an image that"):
        carried_files(configuration)


# ---- Hosts ----


def test_a_host_that_differs_is_refused_with_what_differs() -> None:
    here = describe_host()
    assert here.processors >= 1
    assert here.memory > 1 << 20
    needed = Requirements(here.version, here.architecture, here.processor, None)
    fields = dict(vars(here), missing=())
    check_host(Host(**fields), needed)
    for field, words in (
        ("version", "The version of applevz is 'other'; it has to be "),
        ("architecture", "The processor's architecture is 'other'; it has to be "),
        ("processor", "The processor is 'other'; it has to be "),
    ):
        with pytest.raises(applevz.RestoreError, match=words):
            check_host(Host(**{**fields, field: "other"}), needed)
    check_host(Host(**{**fields, "processor": "other"}), Requirements(here.version, here.architecture, None, None))
    with pytest.raises(applevz.NotSupportedError, match=r"capability save_restore\. No QEMU\."):
        check_host(Host(**{**fields, "missing": (("save_restore", "No QEMU."),)}), needed)


def test_a_host_carries_as_many_machines_as_its_memory_and_its_processors_allow() -> None:
    assert machines_by_memory(100 << 30, 1 << 30) == 85
    assert machines_by_memory(1 << 20, 1 << 30) == 1
    told = resources()
    assert told == ({} if describe_host().missing else {"applevz": describe_host().processors})


def test_waiting_for_what_is_held_by_others_ends(store: ContentStore, sparse: Path) -> None:
    path = obtained(store, sparse)
    held = [store.find(content_of(sparse)) for _ in range(2)]
    assert store.remove() == []
    for one in held:
        assert one is not None
        one.release()
    assert eventually(lambda: store.remove() or not path.exists(), 10)
