# SPDX-License-Identifier: Apache-2.0
"""A saved state of a machine whose disks are gone with it, or have a base, holds what was written to them: whole or not
at all, and to be restored wherever the base is."""

from __future__ import annotations

import functools
import hashlib
import json
import mmap
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import applevz
import file_systems
from applevz import VirtualMachineState, states
from fixtures import Configure, MakeMachine
from guest_machine import PATIENCE, Guest
from places import SUPPORT
from processes import children, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the file is that of the Linux classes")

MIB = 1 << 20
WORDS = "of the base"
KINDS = ["ephemeral", "branch", "ephemeral branch"]
TRAILER, PATTERN = 88, "<QQQQQQQQQ16s"


# When each base was written last: a state of one is a state of all.
WRITTEN = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def identifier() -> applevz.GenericMachineIdentifier:
    return applevz.GenericMachineIdentifier.random()


@pytest.fixture(scope="module")
def fields(identifier: applevz.GenericMachineIdentifier) -> Callable[..., dict[str, Any]]:
    """What a configuration with a disk has, of machines that can be restored from each other's states."""

    def of(disk: applevz.DiskImageStorageDeviceAttachment, **others: Any) -> dict[str, Any]:
        disks = [applevz.VirtioBlockDeviceConfiguration(disk)]
        platform = applevz.GenericPlatformConfiguration(identifier)
        return {"platform": platform, "storage_devices": disks, "memory_size": "128MiB", **others}

    return of


@pytest.fixture
def make(machine: MakeMachine, fields: Callable[..., dict[str, Any]]) -> Callable[..., applevz.VirtualMachine]:
    return lambda disk, **others: machine(**fields(disk, **others))


def make_base(folder: Path) -> Path:
    path = folder / "base.img"
    applevz.create_disk_image(path, "64MiB")
    with path.open("r+b") as file:
        file.write(f"{WORDS}\n".encode())
    os.utime(path, ns=(WRITTEN, WRITTEN))
    return path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_base(tmp_path)


@pytest.fixture(scope="module")
def original(
    configure: Configure, fields: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The folder of a guest that was saved with a disk of a kind, once for each: its state, and its disk."""

    @functools.cache
    def of(kind: str) -> Path:
        folder = tmp_path_factory.mktemp("original")
        with applevz.VirtualMachine(configure(**fields(disk_of(kind, make_base(folder))))) as vm:
            save(vm, folder / "state")
        return folder

    return of


@pytest.fixture
def saved_with(original: Callable[[str], Path], base: Path, tmp_path: Path) -> Callable[[str], Path]:
    """That state and that disk in files of the test's own, as if the guest had been saved here."""

    def of(kind: str) -> Path:
        names = {"ephemeral": ["state"], "itself": ["state", "base.img"]}.get(kind, ["state", "branch"])
        files = [original(kind) / name for name in names]
        subprocess.run(["cp", "--sparse=always", "--preserve=timestamps", *files, tmp_path], check=True)
        return tmp_path / "state"

    return of


def disk_of(kind: str, base: Path) -> applevz.DiskImageStorageDeviceAttachment:
    if kind == "itself":
        return applevz.DiskImageStorageDeviceAttachment(base)
    if kind == "ephemeral":
        return applevz.DiskImageStorageDeviceAttachment(base, ephemeral=True)
    path = base.with_name("branch")
    if not path.exists():
        applevz.create_disk_image(path, base=base, clone=False)
    return applevz.DiskImageStorageDeviceAttachment(path, base=base, ephemeral=kind != "branch")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(guest: Guest, words: str, place: int) -> None:
    command = f"echo {words} | dd of=/dev/vda bs=512 seek={place} conv=sync,fsync 2>/dev/null && echo done"
    assert guest.run(command) == "done"


def read(guest: Guest, *places: int) -> list[str]:
    """The first words at some places, from the disk itself."""
    command = "dd if=/dev/vda bs=512 count=1 iflag=direct skip=%d 2>/dev/null | tr -d '\\0' | head -n 1"
    return [guest.run(command % place) for place in places]


def save(vm: applevz.VirtualMachine, path: Path) -> None:
    """Suspends a guest that has written to its disk, and has read from it what stays in its memory."""
    guest = Guest(vm).start()
    write(guest, "saved", 5)
    write(guest, "saved", 100_000)
    vm.suspend(timeout=PATIENCE, to=path)


def restore(vm: applevz.VirtualMachine, path: Path, private: bool = False) -> Guest:
    vm.restore_state(path, timeout=PATIENCE, private=private)
    vm.start(timeout=PATIENCE)
    return Guest(vm)


# ---- What was written is there again ----


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_restored_guest_finds_its_disk_as_it_was(
    make: Callable[..., applevz.VirtualMachine],
    saved_with: Callable[[str], Path],
    base: Path,
    tmp_path: Path,
    kind: str,
    private: bool,
) -> None:
    before = digest(base)
    state = saved_with(kind)
    image = digest(state)
    if kind == "branch":
        # It goes on meanwhile: what comes later is not in the state.
        vm = make(disk_of(kind, base))
        guest = Guest(vm).start()
        write(guest, "later", 5)
        write(guest, "later", 7)
        vm.shutdown(timeout=PATIENCE)
    branch = digest(tmp_path / "branch") if kind != "ephemeral" else ""
    for words in ("one", "two"):
        vm = make(disk_of(kind, base))
        guest = restore(vm, state, private)
        assert read(guest, 0, 5, 100_000, 7) == [WORDS, "saved", "saved", ""]
        write(guest, words, 5)
        assert read(guest, 5) == [words]
        vm.stop(timeout=PATIENCE)
    assert digest(state) == image
    assert digest(base) == before
    if kind == "ephemeral branch" or private:
        assert kind == "ephemeral" or digest(tmp_path / "branch") == branch
    elif kind == "branch":
        # The disk is taken back as the memory is, and goes on from there.
        vm = make(disk_of(kind, base))
        assert read(Guest(vm).start(), 5, 7, 100_000) == ["two", "", "saved"]


def test_a_state_is_restored_where_the_base_is_when_nothing_else_is_left(
    make: Callable[..., applevz.VirtualMachine], saved_with: Callable[[str], Path], base: Path, tmp_path: Path
) -> None:
    saved_with("branch")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy2(base, elsewhere / "other-name")
    os.utime(elsewhere / "other-name", ns=(0, base.stat().st_mtime_ns))
    (tmp_path / "branch").unlink()
    base.unlink()
    disk = applevz.create_disk_image(elsewhere / "branch", base=elsewhere / "other-name", clone=False)
    assert read(restore(make(disk), tmp_path / "state"), 0, 5) == [WORDS, "saved"]


@pytest.mark.parametrize("kind", ["ephemeral", "branch"])
def test_many_run_privately_from_one_state_each_with_a_disk_of_its_own_and_the_file_removed(
    make: Callable[..., applevz.VirtualMachine], saved_with: Callable[[str], Path], base: Path, kind: str
) -> None:
    state = saved_with(kind)
    guests = [restore(make(disk_of(kind, base)), state, private=True) for _ in range(4)]
    state.unlink()
    for number, guest in enumerate(guests):
        assert read(guest, 5) == ["saved"]
        write(guest, f"number-{number}", 5)
    for number, guest in enumerate(guests):
        assert read(guest, 5, 100_000) == [f"number-{number}", "saved"]
        guest.machine.stop(timeout=PATIENCE)


def test_states_of_states_hold_what_each_guest_wrote_before(
    make: Callable[..., applevz.VirtualMachine], saved_with: Callable[[str], Path], base: Path, tmp_path: Path
) -> None:
    saved_with("ephemeral").rename(tmp_path / "0")
    places = [5]
    for number in range(1, 4):
        vm = make(disk_of("ephemeral", base))
        guest = restore(vm, tmp_path / str(number - 1), private=True)
        write(guest, str(number), 10 * number)
        places.append(10 * number)
        vm.suspend(timeout=PATIENCE, to=tmp_path / str(number))
        (tmp_path / str(number - 1)).unlink()
    for private in (True, False):
        guest = restore(make(disk_of("ephemeral", base)), tmp_path / "3", private)
        assert read(guest, *places) == ["saved", "1", "2", "3"]
        write(guest, "again", 5)
        assert read(guest, 5) == ["again"]


def test_a_machine_that_was_saved_runs_on_and_is_saved_again(
    make: Callable[..., applevz.VirtualMachine], base: Path, tmp_path: Path
) -> None:
    vm = make(disk_of("ephemeral", base))
    guest = Guest(vm).start()
    for number in range(3):
        write(guest, str(number), 5)
        vm.pause(timeout=PATIENCE)
        vm.save_state(tmp_path / str(number), timeout=PATIENCE)
        vm.resume(timeout=PATIENCE)
    vm.stop(timeout=PATIENCE)
    for number in (1, 0, 2):
        vm.restore_state(tmp_path / str(number), timeout=PATIENCE)
        vm.start(timeout=PATIENCE)
        assert read(guest, 5) == [str(number)]
        vm.stop(timeout=PATIENCE)


def test_several_disks_of_several_kinds_are_held_together(
    make: Callable[..., applevz.VirtualMachine], base: Path, tmp_path: Path
) -> None:
    uuid = "00112233-4455-6677-8899-AABBCCDDEEFF"

    def with_disks() -> applevz.VirtualMachine:
        ephemeral = disk_of("ephemeral", base)
        return make(
            ephemeral,
            storage_devices=[
                applevz.VirtioBlockDeviceConfiguration(ephemeral),
                applevz.VirtioBlockDeviceConfiguration(disk_of("branch", base)),
                applevz.USBMassStorageDeviceConfiguration(ephemeral),
            ],
            usb_controllers=[
                applevz.XHCIControllerConfiguration([applevz.USBMassStorageDeviceConfiguration(ephemeral, uuid)])
            ],
        )

    vm = with_disks()
    guest = Guest(vm).start()
    for disk in ("vda", "vdb"):
        guest.run(f"echo {disk} | dd of=/dev/{disk} bs=512 seek=5 conv=sync,fsync 2>/dev/null")
    vm.suspend(timeout=PATIENCE, to=tmp_path / "state")
    for private in (True, False):
        vm = with_disks()
        guest = restore(vm, tmp_path / "state", private)
        for disk in ("vda", "vdb"):
            assert guest.run(f"dd if=/dev/{disk} bs=512 skip=5 count=1 iflag=direct 2>/dev/null | head -n 1") == disk
        vm.stop(timeout=PATIENCE)


@pytest.mark.parametrize("kind", ["ephemeral", "branch"])
def test_a_disk_that_passes_by_the_page_cache_is_held_too(
    make: Callable[..., applevz.VirtualMachine],
    saved_with: Callable[[str], Path],
    base: Path,
    tmp_path: Path,
    kind: str,
) -> None:
    saved_with(kind)
    disk = disk_of(kind, base)
    disk.caching_mode = applevz.DiskImageCachingMode.UNCACHED
    for private in (True, False):
        vm = make(disk)
        guest = restore(vm, tmp_path / "state", private)
        assert read(guest, 0, 5) == [WORDS, "saved"]
        write(guest, "more", 6)
        vm.pause(timeout=PATIENCE)
        vm.save_state(tmp_path / "again", timeout=PATIENCE, overwrite=True)
        vm.stop(timeout=PATIENCE)
        again = make(disk)
        assert read(restore(again, tmp_path / "again", private=True), 5, 6) == ["saved", "more"]
        again.stop(timeout=PATIENCE)


def test_a_state_takes_as_much_room_as_was_written(
    make: Callable[..., applevz.VirtualMachine], tmp_path: Path
) -> None:
    applevz.create_disk_image(tmp_path / "large", "2GiB")
    disk = applevz.DiskImageStorageDeviceAttachment(tmp_path / "large", ephemeral=True)
    room = {}
    vm = make(disk)
    guest = Guest(vm).start()
    for written in (0, 8):
        guest.run(f"dd if=/dev/urandom of=/dev/vda bs=1M seek=1000 count={written} oflag=direct 2>/dev/null")
        vm.pause(timeout=PATIENCE)
        vm.save_state(tmp_path / str(written), timeout=PATIENCE)
        vm.resume(timeout=PATIENCE)
        room[written] = (tmp_path / str(written)).stat().st_blocks * 512
    assert 6 * MIB < room[8] - room[0] < 16 * MIB


def opened_in(folder: Path) -> list[str]:
    """What this process has open there."""
    links = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if os.path.lexists(link)]
    return [link for link in links if link.startswith(str(folder))]


def test_nothing_of_a_disk_is_kept_by_a_machine_that_is_stopped(
    make: Callable[..., applevz.VirtualMachine], saved_with: Callable[[str], Path], base: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "overlays"
    folder.mkdir()
    vm = make(applevz.DiskImageStorageDeviceAttachment(base, ephemeral=True, overlay_directory=folder))
    vm.restore_state(saved_with("ephemeral"), timeout=PATIENCE)
    vm.suspend(timeout=PATIENCE, to=tmp_path / "again")
    for private in (False, True):
        restore(vm, tmp_path / "again", private)
        vm.stop(timeout=PATIENCE)
        # What is let go of on other threads may take a moment.
        assert eventually(lambda: not opened_in(tmp_path))


def branch_of_branch(base: Path, size: str | None = None) -> applevz.DiskImageStorageDeviceAttachment:
    """Made once; a branch of one in which nothing differs."""
    lower, path = base.with_name("lower"), base.with_name("leaf")
    if not lower.exists():
        applevz.create_disk_image(lower, base=base, clone=False)
        applevz.create_disk_image(path, size, base=[lower, base], clone=False)
    return applevz.DiskImageStorageDeviceAttachment(path, base=[lower, base])


@pytest.mark.parametrize("is_ephemeral", [False, True])
def test_a_state_holds_a_larger_disk_whose_base_has_a_base(
    make: Callable[..., applevz.VirtualMachine], base: Path, tmp_path: Path, is_ephemeral: bool
) -> None:
    last = 96 * MIB // 512 - 1
    disk = branch_of_branch(base, "96MiB")
    disk.ephemeral = is_ephemeral
    vm = make(disk)
    guest = Guest(vm).start()
    write(guest, "saved", 5)
    write(guest, "last", last)
    vm.suspend(timeout=PATIENCE, to=tmp_path / "state")
    before = digest(base), digest(tmp_path / "lower")
    for private in (True, False):
        vm = make(disk)
        guest = restore(vm, tmp_path / "state", private)
        assert read(guest, 0, 5, last) == [WORDS, "saved", "last"]
        write(guest, "more", last)
        vm.stop(timeout=PATIENCE)
    assert (digest(base), digest(tmp_path / "lower")) == before
    (needed,) = states.inspect(tmp_path / "state").disks
    assert (needed.size, needed.image_size) == (96 * MIB, (96 if is_ephemeral else 64) * MIB)
    assert needed.fits()
    states.check(tmp_path / "state")


def test_a_state_is_not_restored_with_a_disk_of_another_size(
    make: Callable[..., applevz.VirtualMachine], saved_with: Callable[[str], Path], base: Path, tmp_path: Path
) -> None:
    saved_with("branch")
    larger = applevz.create_disk_image(tmp_path / "larger", "96MiB", base=base, clone=False)
    for private in (True, False):
        with pytest.raises(applevz.RestoreError, match="holds a disk of 67108864 bytes; this one has 100663296"):
            make(larger).restore_state(tmp_path / "state", timeout=PATIENCE, private=private)


# ---- What is refused ----


def test_another_base_is_refused_with_what_differs(
    make: Callable[..., applevz.VirtualMachine], saved_with: Callable[[str], Path], base: Path, tmp_path: Path
) -> None:
    saved_with("ephemeral")
    was = base.stat().st_mtime_ns
    os.utime(base, ns=(0, was + 1))
    for private in (False, True):
        vm = make(disk_of("ephemeral", base))
        with pytest.raises(applevz.RestoreError, match="a base that was written last at") as caught:
            vm.restore_state(tmp_path / "state", timeout=PATIENCE, private=private)
        assert f'storageDevices[0].attachment is "{base}", of which the saved state' in str(caught.value)
        assert vm.state is VirtualMachineState.STOPPED
    os.utime(base, ns=(0, was))
    assert read(restore(make(disk_of("ephemeral", base)), tmp_path / "state"), 5) == ["saved"]


def test_another_base_of_the_same_size_and_time_is_refused(
    make: Callable[..., applevz.VirtualMachine], saved_with: Callable[[str], Path], base: Path, tmp_path: Path
) -> None:
    saved_with("ephemeral")
    time_of_base = base.stat().st_mtime_ns
    with base.open("r+b") as file:
        file.write(b"another")
    os.utime(base, ns=(0, time_of_base))
    for private in (False, True):
        with pytest.raises(applevz.RestoreError, match="held something else, of the same size and time"):
            make(disk_of("ephemeral", base)).restore_state(tmp_path / "state", timeout=PATIENCE, private=private)


def test_a_disk_of_another_kind_is_refused_by_name(
    make: Callable[..., applevz.VirtualMachine], saved_with: Callable[[str], Path], base: Path, tmp_path: Path
) -> None:
    saved_with("ephemeral")
    for disk in (disk_of("branch", base), applevz.DiskImageStorageDeviceAttachment(base)):
        with pytest.raises(applevz.RestoreError, match=r"storageDevices\[0\]\.attachment\.ephemeral is NO"):
            make(disk).restore_state(tmp_path / "state", timeout=PATIENCE)


def test_a_disk_that_no_state_holds_is_refused_once_it_was_written_and_the_error_names_the_cure(
    make: Callable[..., applevz.VirtualMachine], saved_with: Callable[[str], Path], base: Path, tmp_path: Path
) -> None:
    saved_with("itself")
    disk = applevz.DiskImageStorageDeviceAttachment(base)
    restore(make(disk), tmp_path / "state").machine.stop(timeout=PATIENCE)
    os.utime(base)
    with pytest.raises(applevz.RestoreError, match=r"the time when storageDevices\[0\] was written last") as caught:
        make(disk).restore_state(tmp_path / "state", timeout=PATIENCE)
    assert "ephemeral, or has a base" in (caught.value.recovery_suggestion or "")


def test_a_disk_that_no_state_holds_may_be_a_copy_somewhere_else(
    make: Callable[..., applevz.VirtualMachine], saved_with: Callable[[str], Path], base: Path, tmp_path: Path
) -> None:
    saved_with("itself")
    time_of_base = base.stat().st_mtime_ns
    copies = [Path(shutil.copy(base, tmp_path / name)) for name in ("one", "two", "other")]
    copy = applevz.DiskImageStorageDeviceAttachment(copies[0])
    with pytest.raises(applevz.RestoreError, match="was written last is") as caught:
        make(copy).restore_state(tmp_path / "state", timeout=PATIENCE)
    assert "cp --preserve=timestamps" in (caught.value.recovery_suggestion or "")
    with copies[2].open("r+b") as file:
        file.write(b"another")
    for path in copies:
        os.utime(path, ns=(0, time_of_base))
    other = applevz.DiskImageStorageDeviceAttachment(copies[2])
    with pytest.raises(applevz.RestoreError, match=r"the sample of what is in storageDevices\[0\] is "):
        make(other).restore_state(tmp_path / "state", timeout=PATIENCE)
    guests = [
        restore(make(applevz.DiskImageStorageDeviceAttachment(path)), tmp_path / "state", private=True)
        for path in copies[:2]
    ]
    for number, guest in enumerate(guests):
        write(guest, f"number-{number}", 5)
    assert [read(guest, 0, 5, 100_000) for guest in guests] == [[WORDS, f"number-{n}", "saved"] for n in range(2)]


def test_a_disk_that_another_machine_uses_is_not_put_back(
    make: Callable[..., applevz.VirtualMachine], saved_with: Callable[[str], Path], base: Path, tmp_path: Path
) -> None:
    saved_with("branch")
    disk = disk_of("branch", base)
    other = make(disk)
    guest = Guest(other).start()
    write(guest, "other", 9)
    before = (tmp_path / "branch").stat().st_ino
    with pytest.raises(applevz.RestoreError, match="which another process uses"):
        make(disk).restore_state(tmp_path / "state", timeout=PATIENCE)
    assert (tmp_path / "branch").stat().st_ino == before
    assert read(restore(make(disk), tmp_path / "state", private=True), 5, 9) == ["saved", ""]
    assert read(guest, 9) == ["other"]


# ---- Files that are damaged, or that somebody made so ----


def checksum(data: bytes) -> int:
    """As QEMUSavedStateFormat.c has it."""
    total = 1
    for start in range(0, len(data), 8):
        total = (total ^ int.from_bytes(data[start : start + 8], "little")) * 0x9E3779B97F4A7C15 & (1 << 64) - 1
        total ^= total >> 32
    return total


def page_checksum(number: int, page: bytes) -> int:
    mask = (1 << 64) - 1

    def mix(total: int, word: int) -> int:
        total = (total ^ word) * 0x9E3779B97F4A7C15 & mask
        return total ^ total >> 32

    lanes = [1, 2, 3, 4]
    for index, word in enumerate(struct.unpack("<512Q", page)):
        lanes[index % 4] = mix(lanes[index % 4], word)
    total = mix(1, number)
    for lane in lanes:
        total = mix(total, lane)
    return total


class State:
    """A saved state that is taken apart, and put together with checksums that are right. What is changed of `data` is
    changed in the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("r+b") as file:
            end = file.seek(-TRAILER, os.SEEK_END)
            self.fields = list(struct.unpack(PATTERN, file.read()))
            self.length = file.seek(end - self.fields[2])
            self.description = json.loads(file.read(self.fields[2]))
            self.data = mmap.mmap(file.fileno(), self.length)

    @property
    def layer(self) -> dict[str, int]:
        found: dict[str, int] = self.description["disks"][0]["layers"][0]
        return found

    def write(self) -> None:
        layer = self.layer
        part = self.data[layer["position"] : layer["position"] + layer["length"]]
        pages = (part[start : start + 4096].ljust(4096, b"\0") for start in range(0, len(part), 4096))
        layer["checksum"] = sum(page_checksum(n, page) for n, page in enumerate(pages) if any(page)) % (1 << 64)
        self.describe()

    def describe(self) -> None:
        """Writes the description, whatever stands in it."""
        words = json.dumps(self.description).encode()
        self.fields[2], self.fields[5] = len(words), checksum(words)
        self.fields[7] = checksum(struct.pack("<7Q", *self.fields[:7]))
        with self.path.open("r+b") as file:
            file.truncate(self.length)
            file.seek(self.length)
            file.write(words + struct.pack(PATTERN, *self.fields))


@pytest.fixture
def saved(saved_with: Callable[[str], Path]) -> Path:
    return saved_with("ephemeral")


@pytest.mark.parametrize("private", [False, True])
def test_damage_of_a_disk_is_seen(
    make: Callable[..., applevz.VirtualMachine], saved: Path, base: Path, private: bool
) -> None:
    layer = State(saved).layer
    with saved.open("r+b") as file:
        file.seek(layer["position"] + layer["length"] - 1)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    vm = make(disk_of("ephemeral", base))
    with pytest.raises(applevz.RestoreError, match="checksum of what a disk holds is not right"):
        vm.restore_state(saved, timeout=PATIENCE, private=private)
    assert vm.state is VirtualMachineState.STOPPED
    assert children() == set()


HEADERS: dict[str, tuple[int, str, tuple[int, ...]]] = {
    "a backing file": (8, ">QI", (512, 13)),
    "an external data file": (72, ">Q", (16 | 4,)),
    "another format": (0, ">I", (0x4B444D56,)),
    "another size": (24, ">Q", (1 << 40,)),
    "a table behind the end": (40, ">Q", (1 << 40,)),
}


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("kind", HEADERS)
def test_an_overlay_that_a_guest_made_to_do_harm_is_not_given_to_qemu(
    make: Callable[..., applevz.VirtualMachine], saved: Path, base: Path, kind: str, private: bool
) -> None:
    """All checksums are right: it is what a QEMU left that a guest had taken over."""
    state = State(saved)
    place, form, values = HEADERS[kind]
    struct.pack_into(form, state.data, state.layer["position"] + place, *values)
    state.write()
    vm = make(disk_of("ephemeral", base))
    with pytest.raises(applevz.RestoreError, match="of which the saved state holds something that"):
        vm.restore_state(saved, timeout=PATIENCE, private=private)
    assert vm.state is VirtualMachineState.STOPPED


def test_the_checksums_of_a_state_that_is_put_together_again_are_right(
    make: Callable[..., applevz.VirtualMachine], saved: Path, base: Path
) -> None:
    """Without which the test above would see another refusal."""
    State(saved).write()
    assert read(restore(make(disk_of("ephemeral", base)), saved), 5) == ["saved"]


NO_FORM = "its description has not the form of one"
PLACES: dict[str, tuple[dict[str, Any], str]] = {
    "in the memory": ({"position": 0}, NO_FORM),
    "not at a page": ({"position": 128 * MIB + 1}, NO_FORM),
    "behind the end": ({"position": 1 << 40}, NO_FORM),
    "longer than there is": ({"length": 1 << 40}, NO_FORM),
    "longer than there can be": ({"length": (1 << 64) - 1}, NO_FORM),
    "nothing": ({"length": 0}, NO_FORM),
    "a negative length": ({"length": -4096}, NO_FORM),
    "text": ({"length": "4096"}, NO_FORM),
    "no position": ({"position": None}, NO_FORM),
}


@pytest.mark.parametrize("kind", PLACES)
def test_a_place_where_no_overlay_is_is_refused(
    make: Callable[..., applevz.VirtualMachine], saved: Path, base: Path, kind: str
) -> None:
    state = State(saved)
    changed, words = PLACES[kind]
    state.description["disks"][0]["layers"][0] = {**state.layer, **changed}
    state.describe()
    with pytest.raises(applevz.RestoreError, match=words):
        make(disk_of("ephemeral", base)).restore_state(saved, timeout=PATIENCE)


def part(layer: dict[str, int], page: int) -> dict[str, int]:
    return {**layer, "position": layer["position"] + 4096 * page, "length": 4096}


@pytest.mark.parametrize("kind", ["no disks", "no layers", "many layers", "overlapping", "twice", "another name"])
def test_disks_that_are_none_are_refused(
    make: Callable[..., applevz.VirtualMachine], saved: Path, base: Path, kind: str
) -> None:
    state = State(saved)
    disk = state.description["disks"][0]
    disks: Any = {
        "no disks": None,
        "no layers": [{**disk, "layers": []}],
        "many layers": [{**disk, "layers": [part(state.layer, n) for n in range(17)]}],
        "overlapping": [{**disk, "layers": [part(state.layer, 1), part(state.layer, 0)]}],
        "twice": [{**disk, "layers": [part(state.layer, n)]} for n in range(2)],
        "another name": [{**disk, "name": "storageDevices[1].attachment"}],
    }[kind]
    state.description["disks"] = disks
    state.describe()
    words = "which the saved state does not hold" if kind == "another name" else NO_FORM
    with pytest.raises(applevz.RestoreError, match=words):
        make(disk_of("ephemeral", base)).restore_state(saved, timeout=PATIENCE)


# ---- Whole or not at all ----


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for the memory of a guest, and not for its disk."""
    with file_systems.in_memory(tmp_path / "small", "80m") as folder:
        yield folder


def test_a_disk_for_which_there_is_no_room_leaves_no_file_and_a_machine_that_obeys(
    make: Callable[..., applevz.VirtualMachine], base: Path, small: Path, tmp_path: Path
) -> None:
    vm = make(disk_of("ephemeral", base))
    guest = Guest(vm).start()
    guest.run("dd if=/dev/urandom of=/dev/vda bs=1M count=60 oflag=direct 2>/dev/null")
    write(guest, "kept", 5)
    vm.pause(timeout=PATIENCE)
    before = os.statvfs(small).f_bavail
    with pytest.raises(applevz.SaveError, match="No space left on device") as caught:
        vm.save_state(small / "state", timeout=PATIENCE)
    assert isinstance(caught.value, OSError)
    assert os.listdir(small) == []
    assert os.statvfs(small).f_bavail == before
    vm.save_state(tmp_path / "state", timeout=PATIENCE)
    vm.resume(timeout=PATIENCE)
    assert read(guest, 5) == ["kept"]
    # Nor does what a restore copies fit there.
    other = make(applevz.DiskImageStorageDeviceAttachment(base, ephemeral=True, overlay_directory=small))
    subprocess.run(["mount", "-o", "remount,size=16m", small], check=True)
    with pytest.raises(applevz.RestoreError, match="No space left on device"):
        other.restore_state(tmp_path / "state", timeout=PATIENCE)
    assert read(restore(other, tmp_path / "state", private=True), 5) == ["kept"]


def words_in(branch: Path, place: int) -> str:
    """The first words at a place to which something was written, of a disk that no machine has, and that is whole."""
    subprocess.run(["qemu-img", "check", "-q", "-U", "-f", "qcow2", branch], check=True)
    out = branch.with_name("sector")
    # Its count is of what it skips, too.
    words = f"bs=512 skip={place} count={place + 1} if={branch} of={out}".split()
    subprocess.run(["qemu-img", "dd", "-U", "-f", "qcow2", "-O", "raw", *words], check=True)
    found = out.read_bytes()[:512].rstrip(b"\0").decode().strip()
    out.unlink()
    return found


def test_a_process_that_is_killed_while_it_saves_or_restores_leaves_a_whole_state_and_a_whole_disk(
    guest_files: Path,
    make: Callable[..., applevz.VirtualMachine],
    saved_with: Callable[[str], Path],
    identifier: applevz.GenericMachineIdentifier,
    base: Path,
    tmp_path: Path,
) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(SUPPORT)!r})
import applevz
from guest_machine import Guest
boot_loader = applevz.LinuxBootLoader({str(guest_files / "vmlinux")!r}, {str(guest_files / "initrd.cpio.gz")!r},
                                      "console=hvc0 quiet")
platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier({identifier.data_representation!r}))
disk = applevz.DiskImageStorageDeviceAttachment({str(tmp_path / "branch")!r}, base={str(base)!r})
disks = [applevz.VirtioBlockDeviceConfiguration(disk)]
vm = applevz.VirtualMachine(applevz.VirtualMachineConfiguration(boot_loader, memory_size="128MiB", platform=platform,
                                                                storage_devices=disks))
vm.restore_state({str(tmp_path / "first")!r})
print("restored", flush=True)
vm.save_state(sys.argv[1])
vm.stop()
vm.restore_state(sys.argv[1])
"""
    saved_with("branch").rename(tmp_path / "first")
    disk = disk_of("branch", base)
    names = set(os.listdir(tmp_path))
    for number, delay in enumerate((0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)):
        path = tmp_path / f"state {number}"
        process = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        if number % 3:
            assert process.stdout.readline() == "restored\n"
        time.sleep(delay)
        process.kill()
        process.communicate()
        assert words_in(tmp_path / "branch", 5) == "saved"
        # A name that something had for a moment may be left.
        assert {name for name in os.listdir(tmp_path) if not name.startswith(".applevz-")} <= names | {path.name}
        for state in (tmp_path / "first", path):
            if state.exists():
                vm = make(disk)
                assert read(restore(vm, state), 5, 100_000) == ["saved", "saved"]
                vm.stop(timeout=PATIENCE)
                assert words_in(tmp_path / "branch", 5) == "saved"
        path.unlink(missing_ok=True)
    assert read(Guest(make(disk)).start(), 0, 5, 100_000) == [WORDS, "saved", "saved"]
