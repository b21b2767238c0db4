# SPDX-License-Identifier: Apache-2.0
"""`applevz.states`: saved states know which one they came of, and are listed, looked into, checked and removed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import states
from applevz.aio import states as awaited
from fixtures import Configure, MakeMachine, Script
from guest_machine import PATIENCE, Guest
from processes import children
from saved_state_files import TRAILER, description_of, forge, make_state
from two_faces import check_names_and_signatures

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the file is that of the Linux classes")

MIB = 1 << 20
NO_FORM = "its description has not the form of one"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.img"
    applevz.create_disk_image(path, "64MiB")
    return path


@pytest.fixture
def make(machine: MakeMachine, base: Path) -> Callable[..., applevz.VirtualMachine]:
    """Makes machines that can be restored from each other's states, with an ephemeral disk."""
    platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random())

    def one(*disks: applevz.DiskImageStorageDeviceAttachment) -> applevz.VirtualMachine:
        attachments = disks or (applevz.DiskImageStorageDeviceAttachment(base, ephemeral=True),)
        devices = [applevz.VirtioBlockDeviceConfiguration(disk) for disk in attachments]
        return machine(platform=platform, memory_size="128MiB", storage_devices=devices)

    return one


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "states"
    path.mkdir()
    return path


def saved(vm: applevz.VirtualMachine, path: Path) -> Path:
    """A state of a machine that has just begun."""
    vm.start(timeout=PATIENCE)
    vm.suspend(timeout=PATIENCE, to=path)
    return path


def write(guest: Guest, words: str, place: int) -> None:
    command = f"echo {words} | dd of=/dev/vda bs=512 seek={place} conv=sync,fsync 2>/dev/null && echo done"
    assert guest.run(command) == "done"


def read(guest: Guest, *places: int) -> list[str]:
    command = "dd if=/dev/vda bs=512 count=1 iflag=direct skip=%d 2>/dev/null | tr -d '\\0' | head -n 1"
    return [guest.run(command % place) for place in places]


def restored(vm: applevz.VirtualMachine, path: Path, private: bool = False) -> Guest:
    vm.restore_state(path, timeout=PATIENCE, private=private)
    vm.start(timeout=PATIENCE)
    return Guest(vm)


def shape(found: Sequence[states.SavedState]) -> list[tuple[str, int]]:
    return [(os.path.basename(state.path), state.depth) for state in found]


def command(*words: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "applevz", "state", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE)


# ---- Whether a machine fits it ----


def test_a_configuration_is_held_against_a_state_without_a_machine(
    configure: Configure,
    machine: MakeMachine,
    base: Path,
    tmp_path: Path,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    platform, another = (
        applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random()) for _ in range(2)
    )

    def fields(**changes: Any) -> dict[str, Any]:
        disk = applevz.DiskImageStorageDeviceAttachment(base, ephemeral=True)
        devices = [applevz.VirtioBlockDeviceConfiguration(disk)]
        return {"platform": platform, "memory_size": "128MiB", "storage_devices": devices, **changes}

    state = saved(machine(**fields()), tmp_path / "state")
    before = children()
    assert states.check_configuration(state, configure(**fields())) == states.inspect(state)
    assert asyncio.run(awaited.check_configuration(state, configure(**fields()))) == states.inspect(state)
    for changes, words in (
        ({"cpu_count": 2}, "CPUCount is 2"),
        ({"memory_size": "192MiB"}, "memorySize is"),
        ({"storage_devices": []}, "storageDevices"),
        ({"platform": another}, "machineIdentifier"),
        ({"entropy_devices": [applevz.VirtioEntropyDeviceConfiguration()]}, "entropyDevices"),
    ):
        with pytest.raises(applevz.RestoreError, match=words) as refused:
            states.check_configuration(state, configure(**fields(**changes)))
        with pytest.raises(applevz.RestoreError) as told:
            machine(**fields(**changes)).restore_state(state, private=True, timeout=PATIENCE)
        assert str(refused.value) == str(told.value)
    os.utime(base)
    with pytest.raises(applevz.RestoreError, match="written"):
        states.check_configuration(state, configure(**fields()))
    script(version=[9, 9])
    os.utime(base, ns=(0, states.inspect(state).disks[0].written_ns or 0))
    with pytest.raises(applevz.RestoreError, match="The version of QEMU is 9.9; the saved state was made with"):
        states.check_configuration(state, configure(**fields()))
    # One that is slow says nothing of its version, and is not to blame for that.
    monkeypatch.setenv("APPLEVZ_QEMU_TIMEOUT", "1")
    script(late=3600)
    with pytest.raises(applevz.RestoreError, match="--version did not end within 3 s") as late:
        states.check_configuration(state, configure(**fields()))
    assert str(late.value.recovery_suggestion).startswith("Try again when the host is less busy")
    script(version=["none", 0])
    with pytest.raises(applevz.RestoreError, match=r"--version says: QEMU emulator version none\.0") as mute:
        states.check_configuration(state, configure(**fields()))
    assert str(mute.value.recovery_suggestion).startswith("Install QEMU again")
    assert children() == before


def test_what_is_no_state_or_no_configuration_is_refused(configure: Configure, folder: Path) -> None:
    family(folder, a=None)
    os.truncate(folder / "a", 100)
    with pytest.raises(applevz.RestoreError, match="its end is not that of one"):
        states.check_configuration(folder / "a", configure())
    with pytest.raises(applevz.InvalidArgumentError, match="configuration is None"):
        states.check_configuration(folder / "a", None)  # type: ignore[arg-type]
    family(folder, b=None)
    with pytest.raises(applevz.Error, match="cpu_count"):
        states.check_configuration(folder / "b", configure(cpu_count="two"))


# ---- Which came of which ----


def test_a_tree_of_three_generations_whose_states_need_their_base_and_not_each_other(
    make: Callable[..., applevz.VirtualMachine], base: Path, folder: Path
) -> None:
    vm = make()
    write(Guest(vm).start(), "one", 1)
    vm.suspend(timeout=PATIENCE, to=folder / "first")
    vm = make()
    write(restored(vm, folder / "first", private=True), "two", 2)
    vm.suspend(timeout=PATIENCE, to=folder / "second")
    vm = make()
    write(restored(vm, folder / "first"), "other", 2)
    vm.suspend(timeout=PATIENCE, to=folder / "other")
    vm = make()
    write(restored(vm, folder / "second", private=True), "three", 3)
    vm.suspend(timeout=PATIENCE, to=folder / "third")

    found = states.list(folder)
    assert shape(found) == [("first", 0), ("second", 1), ("third", 2), ("other", 1)]
    first, second, third, other = found
    assert (first.parent, second.parent, other.parent) == (None, first.identifier, first.identifier)
    assert third.parent == second.identifier
    assert len({state.identifier for state in found}) == 4
    for state in found:
        assert states.inspect(state.path) == states.check(state.path, timeout=PATIENCE) == state
        assert (state.memory_size, state.cpu_count, state.format_version) == (128 * MIB, 1, 5)
        (disk,) = state.disks
        assert (disk.device, disk.path, disk.size) == ("storage_devices[0]", str(base), 64 * MIB)
        assert disk.written_ns == base.stat().st_mtime_ns
        assert disk.fits()
        assert 0 < state.size_on_disk <= state.size
    assert states.needing(base, folder) == found

    # A machine that runs on a state goes on without it, and so does what came of it.
    vm = make()
    guest = restored(vm, folder / "third", private=True)
    assert states.remove(folder / "first") == [second, other]
    assert states.remove(folder / "second") == [third]
    assert shape(states.list(folder)) == [("other", 0), ("third", 0)]
    assert states.remove(folder / "third") == []
    assert read(guest, 1, 2, 3) == ["one", "two", "three"]
    vm.suspend(timeout=PATIENCE, to=folder / "fourth")
    assert states.check(folder / "fourth", timeout=PATIENCE).parent == third.identifier
    assert read(restored(make(), folder / "fourth"), 1, 2, 3) == ["one", "two", "three"]
    assert read(restored(make(), folder / "other"), 1, 2, 3) == ["one", "other", ""]

    # What cannot be done without is the base, as it was.
    os.utime(base)
    assert states.needing(base, folder) == []
    assert not states.inspect(folder / "other").disks[0].fits()
    with pytest.raises(applevz.RestoreError):
        make().restore_state(folder / "other", timeout=PATIENCE)


def test_the_parent_is_the_last_state_in_the_same_run_of_a_machine(
    make: Callable[..., applevz.VirtualMachine], folder: Path
) -> None:
    vm = make()
    vm.start(timeout=PATIENCE)
    vm.pause(timeout=PATIENCE)
    vm.save_state(folder / "one", timeout=PATIENCE)
    with pytest.raises(applevz.SaveError):
        vm.save_state(folder / "one", timeout=PATIENCE)  # which is no state
    vm.save_state(folder / "two", timeout=PATIENCE)
    vm.resume(timeout=PATIENCE)
    vm.suspend(timeout=PATIENCE, to=folder / "three")
    # Taken back.
    vm.restore_state(folder / "one", timeout=PATIENCE)
    vm.save_state(folder / "four", timeout=PATIENCE)
    vm.stop(timeout=PATIENCE)
    vm.start(timeout=PATIENCE)
    vm.suspend(timeout=PATIENCE, to=folder / "five")
    # A restore that fails leaves nothing behind.
    with pytest.raises(applevz.RestoreError):
        vm.restore_state(folder / "none", timeout=PATIENCE)
    vm.start(timeout=PATIENCE)
    vm.suspend(timeout=PATIENCE, to=folder / "six")
    expected = [("one", 0), ("two", 1), ("three", 2), ("four", 1), ("five", 0), ("six", 0)]
    assert shape(states.list(folder)) == expected


def family(folder: Path, **parents: int | None) -> None:
    """States whose names are letters, in turn, with a number each from 1 on."""
    for number, (name, parent) in enumerate(parents.items(), 1):
        above = None if parent is None else f"{parent:032x}"
        make_state(folder / name, identifier=f"{number:032x}", parent=above, made=number * 1_000_000)


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ({"a": None, "b": 1, "c": 1, "d": 2}, [("a", 0), ("b", 1), ("d", 2), ("c", 1)]),
        ({"a": 99, "b": 1}, [("a", 0), ("b", 1)]),
        ({"a": 1}, [("a", 0)]),
        ({"a": 3, "b": 1, "c": 2, "d": 3}, [("a", 0), ("b", 1), ("c", 2), ("d", 3)]),
        ({"a": None, "b": 3, "c": 2}, [("a", 0), ("b", 0), ("c", 1)]),
        ({}, []),
    ],
    ids=["a tree", "a parent that is gone", "its own parent", "a circle", "a circle aside", "nothing"],
)
def test_whatever_states_say_of_their_parents_each_is_listed_once(
    folder: Path, parents: dict[str, int | None], expected: list[tuple[str, int]]
) -> None:
    family(folder, **parents)
    assert shape(states.list(folder)) == expected


def test_a_long_line_of_states_is_listed(folder: Path) -> None:
    family(folder, **{f"s{number:04}": number or None for number in range(1500)})
    assert [state.depth for state in states.list(folder)] == [*range(1500)]


def test_what_came_of_a_state_is_listed_below_one_of_its_copies(folder: Path) -> None:
    family(folder, a=None, b=1)
    shutil.copy(folder / "a", folder / "copy")
    assert shape(states.list(folder)) == [("a", 0), ("b", 1), ("copy", 0)]
    # As long as there is a copy, nothing has lost its parent.
    assert states.remove(folder / "a") == []
    assert shape(states.remove(folder / "copy")) == [("b", 0)]


# ---- Other files ----


def test_a_folder_has_other_files_too(folder: Path) -> None:
    make_state(folder / "state")
    (folder / "empty").touch()
    (folder / "notes").write_text("nothing" * 100, encoding="utf-8")
    (folder / "cut").write_bytes((folder / "state").read_bytes()[:-1])
    os.mkfifo(folder / "fifo")
    (folder / "folder").mkdir()
    make_state(folder / "folder" / "below")
    (folder / "link").symlink_to("state")
    (folder / "loop").symlink_to("loop")
    make_state(folder / ".applevz-1234")  # which is being written
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        refused: list[str] = []
        assert shape(states.list(folder, refused=lambda path, error: refused.append(path))) == [("state", 0)]
    assert refused == []
    assert states.inspect(folder / "link").identifier == states.inspect(folder / "state").identifier
    before = sorted(folder.iterdir())
    for name in ("empty", "notes", "cut", "fifo", "folder", "loop", "none"):
        for function in (states.inspect, states.check, states.remove):
            with pytest.raises(applevz.RestoreError) as caught:
                function(folder / name)
            assert str(folder / name) in str(caught.value)
    assert sorted(folder.iterdir()) == before
    with pytest.raises(FileNotFoundError):
        states.inspect(folder / "none")


def test_folders_that_are_none_are_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        states.list(tmp_path / "none")
    with pytest.raises(NotADirectoryError):
        states.list(make_state(folder / "state"))
    with pytest.raises(FileNotFoundError, match="none"):
        states.needing(tmp_path / "none", folder)
    with pytest.raises(applevz.InvalidArgumentError, match="refused is 7"):
        states.list(folder, refused=7)  # type: ignore[arg-type]
    with pytest.raises(applevz.InvalidArgumentError, match="path is"):
        states.inspect("a\0b")


def test_names_that_are_no_text_are_names(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/\xff\xf4\x8f\x9c\x80"
    os.mkdir(folder)
    path = Path(os.fsdecode(folder + b"/\xfe"))
    make_state(path, images=[{"name": "storageDevices[0].attachment", "path": "/x%ff%0a"}])
    (state,) = states.list(folder)
    assert state.path == str(path)
    assert states.check(state.path) == state
    assert [disk.path for disk in state.disks] == [os.fsdecode(b"/x\xff\n")]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users reach."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to become somebody else")
def test_a_state_takes_no_more_than_the_right_to_read_it(open_folder: Path) -> None:
    make_state(open_folder / "theirs").chmod(0o444)
    make_state(open_folder / "secret").chmod(0o600)
    states.check(open_folder / "theirs")
    refused: list[applevz.Error] = []
    os.seteuid(65534)
    try:
        state = states.check(open_folder / "theirs")
        found = states.list(open_folder, refused=lambda path, error: refused.append(error))
        with pytest.raises(PermissionError) as caught:
            states.inspect(open_folder / "secret")
        with pytest.raises(PermissionError):
            states.remove(open_folder / "theirs")
    finally:
        os.seteuid(0)
    assert found == [state]
    assert isinstance(caught.value, applevz.RestoreError)
    assert "may read" in str(caught.value)
    (error,) = refused
    assert isinstance(error, PermissionError)
    assert (open_folder / "theirs").exists()


def test_a_state_that_is_being_written_is_whole_or_not_there(
    make: Callable[..., applevz.VirtualMachine], folder: Path
) -> None:
    vm = make()
    vm.start(timeout=PATIENCE)
    vm.pause(timeout=PATIENCE)

    def save() -> None:
        for _ in range(5):
            vm.save_state(folder / "state", overwrite=True, timeout=PATIENCE)

    refused: list[applevz.Error] = []
    seen: set[str] = set()
    thread = threading.Thread(target=save)
    thread.start()
    while thread.is_alive():
        found = states.list(folder, refused=lambda path, error: refused.append(error))
        seen |= {state.identifier for state in found}
        assert len(found) <= 1
    thread.join()
    seen |= {states.check(folder / "state", timeout=PATIENCE).identifier}
    assert refused == []
    assert seen


# ---- What somebody made so ----

LAYER = {"position": 0, "length": 4096, "checksum": 0}
DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "no identifier": {"identifier": None},
    "a short identifier": {"identifier": "0" * 31},
    "an identifier of other digits": {"identifier": "Z" * 32},
    "a number for an identifier": {"identifier": 7},
    "a number for a parent": {"parent": 7},
    "a parent with an end": {"parent": "0" * 31 + "\n"},
    "no time": {"made": None},
    "a time before all": {"made": -1},
    "a time after all": {"made": 1 << 62},
    "a time in words": {"made": "now"},
    "part of a time": {"made": 0.5},
    "no images": {"images": None},
    "images that are none": {"images": [7]},
    "an image twice": {"images": [{"name": "a", "path": "/"}, {"name": "a", "path": "/"}]},
    "an image without a path": {"images": [{"name": "a"}]},
    "disks of a file without": {"disks": [{"name": "a", "layers": [LAYER]}]},
    "fields of one": {"fields": [["memorySize"]]},
    "a version that is none": {"qemu": []},
}


@pytest.mark.parametrize("kind", DESCRIPTIONS)
def test_a_description_that_somebody_made_up_is_refused(folder: Path, kind: str) -> None:
    path = make_state(folder / "state", **DESCRIPTIONS[kind])
    refused: list[applevz.Error] = []
    assert states.list(folder, refused=lambda path, error: refused.append(error)) == []
    assert [NO_FORM in str(error) for error in refused] == [True]
    for function in (states.inspect, states.check, states.remove):
        with pytest.raises(applevz.RestoreError, match=NO_FORM):
            function(path)
    assert path.exists()


def test_what_a_state_says_of_images_may_be_anything(folder: Path, base: Path) -> None:
    paths = ["relative", "/with%00nul", "/%1b]0;owned%07", "%", "", "/%ff", "/" + "x" * 100_000]
    images = [{"name": f"storageDevices[{n}].attachment", "path": path} for n, path in enumerate(paths)]
    fields = [["memorySize", "x"], ["CPUCount", "9" * 500], ["the size of storageDevices[0]", "-1"]]
    fields += [["the time when storageDevices[0] was written last", "1.9999999999 s"]]
    fields += [["the time when storageDevices[5] was written last", "99999999999999999999.5 s"]]
    words = "\x1b]0;owned\x07\u202e" * 100
    path = make_state(folder / "state", images=images, fields=fields, qemu=words)
    state = states.inspect(path)
    assert [disk.path for disk in state.disks] == [
        *(None, None, "/\x1b]0;owned\x07", None, None, os.fsdecode(b"/\xff"), "/" + "x" * 100_000)
    ]
    assert (state.memory_size, state.cpu_count, state.machine_type) == (None, None, None)
    assert not any(disk.fits() or disk.fits(base) for disk in state.disks)
    assert states.needing(base, folder) == []
    for line in (["inspect", path], ["list", folder]):
        done = command(*line)
        assert done.returncode == 0, done.stderr
        assert all(letter.isprintable() or letter == "\n" for letter in done.stdout)
    with pytest.raises(applevz.RestoreError, match="does not say how much memory"):
        states.check(path)


def test_a_description_full_of_disks_is_read(folder: Path) -> None:
    images = [{"name": f"{n}", "path": ""} for n in range(15_000)]
    fields = [["memorySize", "4096"], *([f"{n}", ""] for n in range(30_000))]
    path = make_state(folder / "state", images=images, fields=fields)
    state = states.check(path, timeout=PATIENCE)
    assert len(state.disks) == len(images)
    assert len(state.fields) == len(fields)


def test_another_version_is_named(folder: Path) -> None:
    path = make_state(folder / "state")
    with path.open("r+b") as file:
        file.seek(-24, os.SEEK_END)
        file.write((3).to_bytes(8, "little"))
    with pytest.raises(applevz.RestoreError, match="is of format version 3; this library reads version 5"):
        states.inspect(path)


# ---- Whether all of it is right ----


def place_of_layer(path: Path) -> int:
    return int(description_of(path)["disks"][0]["layers"][0]["position"])


def flip(path: Path, position: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        value = file.read(1)[0]
        file.seek(position)
        file.write(bytes([value ^ 1]))


def other_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(place_of_layer(path))
        file.write(b"x")


def other_memory_size(path: Path) -> None:
    words = description_of(path)
    words["fields"] = [[name, "4096" if name == "memorySize" else value] for name, value in words["fields"]]
    forge(path, description=json.dumps(words).encode())


def first_data(path: Path) -> int:
    """Where the memory holds something."""
    with path.open("rb") as file:
        position = os.lseek(file.fileno(), MIB, os.SEEK_DATA)
        while not os.pread(file.fileno(), 1, position)[0]:
            position += 1
    return position


def clear(path: Path) -> None:
    place = first_data(path) // 4096 * 4096
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes(4096))


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "the memory": (lambda path: flip(path, first_data(path)), "the checksum of the guest's memory is not right"),
    "lost memory": (clear, "the checksum of the guest's memory is not right"),
    "a disk": (lambda path: flip(path, place_of_layer(path) + 65536), "the checksum of what a disk holds is not right"),
    "a disk's header": (other_header, "holds something of a disk that"),
    "the devices": (lambda path: flip(path, path.stat().st_size - TRAILER - 20_000), "of its devices' state is not"),
    "other memory": (other_memory_size, f"holds {128 * MIB} bytes of memory, where its machine has 4096"),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, configure: Configure) -> Path:
    """A state of a machine that has just begun, with a disk."""
    folder = tmp_path_factory.mktemp("original")
    applevz.create_disk_image(folder / "base.img", "64MiB")
    disk = applevz.DiskImageStorageDeviceAttachment(folder / "base.img", ephemeral=True)
    disks = [applevz.VirtioBlockDeviceConfiguration(disk)]
    with applevz.VirtualMachine(configure(memory_size="128MiB", storage_devices=disks)) as vm:
        return saved(vm, folder / "state")


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_check_says_what_is_damaged(original: Path, folder: Path, kind: str) -> None:
    path = folder / "state"
    subprocess.run(["cp", "--sparse=always", original, path], check=True)
    change, words = DAMAGE[kind]
    assert states.check(path, timeout=PATIENCE) == states.inspect(path)
    change(path)
    states.inspect(path)
    with pytest.raises(applevz.RestoreError, match=words):
        states.check(path, timeout=PATIENCE)
    done = command("check", path)
    assert done.returncode == 1
    assert words in done.stderr


def test_a_check_tells_how_far_it_is_and_ends_in_time(original: Path) -> None:
    steps: list[states.Progress] = []
    state = states.check(original, progress=steps.append, timeout=PATIENCE)
    assert {(step.stage, step.total) for step in steps} == {("verify", state.size)}
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, state.size)
    assert len(set(done)) > 3
    with pytest.raises(applevz.TimeoutError, match="the check of .* has not ended after 0 s"):
        states.check(original, timeout=0)
    with pytest.raises(applevz.InvalidArgumentError, match="progress"):
        states.check(original, progress=7)  # type: ignore[arg-type]


def test_a_file_without_data_is_checked_at_once_however_long_it_is(folder: Path) -> None:
    path = make_state(folder / "state", memory=1 << 41)
    steps: list[states.Progress] = []
    assert states.check(path, timeout=PATIENCE, progress=steps.append).memory_size == 1 << 41
    assert len(steps) < 10
    forge(path, stream=1 << 41)
    with pytest.raises(applevz.RestoreError, match="too long for one"):
        states.check(path, timeout=PATIENCE)


# ---- asyncio and the command line ----


def test_both_faces_have_the_same_names_and_signatures() -> None:
    check_names_and_signatures(states, awaited)


def test_what_is_awaited_is_what_blocks(folder: Path, base: Path, original: Path) -> None:
    family(folder, a=None, b=1)
    (folder / "c").write_bytes((folder / "a").read_bytes())
    flip(folder / "c", 8)  # in its description
    here = threading.current_thread()
    told: list[tuple[str, bool]] = []

    async def main() -> None:
        def refused(path: str, error: applevz.Error) -> None:
            told.append((os.path.basename(path), threading.current_thread() is here))

        def progress(step: states.Progress) -> None:
            told.append((step.stage, threading.current_thread() is here))

        assert await awaited.list(folder, refused=refused) == states.list(folder)
        assert await awaited.inspect(folder / "a") == states.inspect(folder / "a")
        assert await awaited.check(folder / "a", progress=progress, timeout=PATIENCE) == states.inspect(folder / "a")
        assert await awaited.needing(base, folder) == []
        with pytest.raises(applevz.RestoreError):
            await awaited.check(folder / "c")
        with pytest.raises(applevz.TimeoutError):
            await awaited.check(original, timeout=0)
        assert shape(await awaited.remove(folder / "a")) == [("b", 0)]

        # The check has begun, and is cancelled in between.
        begun = asyncio.Event()
        task = asyncio.ensure_future(awaited.check(original, progress=lambda step: begun.set()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ("c", True) in told
    assert ("verify", True) in told
    assert all(is_here for _, is_here in told)


def test_the_command_lists_looks_into_checks_and_removes(folder: Path, base: Path, original: Path) -> None:
    family(folder, a=None, b=1)
    subprocess.run(["cp", "--sparse=always", original, folder / "c"], check=True)
    lines = command("list", folder).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["a", "b", "c"]
    assert [len(line) - len(line.lstrip()) for line in lines] == [0, 2, 0]
    assert lines[2].endswith(str(original.with_name("base.img")))
    assert len(command("list", folder, "--needing", original.with_name("base.img")).stdout.splitlines()) == 1
    assert command("list", folder, "--needing", base).stdout == ""

    text = command("inspect", folder / "c").stdout
    assert "memory      128 MiB\n" in text
    assert f"MiB in the state; needs {original.with_name('base.img')} (as it was)\n" in text
    assert command("check", folder / "c").stdout == f"whole: {folder / 'c'}\n"
    orphan = f"without a parent now, but whole: {folder / 'b'}\n"
    assert command("remove", folder / "a").stdout == f"removed: {folder / 'a'}\n{orphan}"
    assert not (folder / "a").exists()

    flip(folder / "b", 8)
    done = command("list", folder)
    assert done.returncode == 1
    assert "not readable: " in done.stderr
    assert "the checksum of its description is not right" in done.stderr
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["inspect", "/nowhere/state"], 1, "/nowhere/state"),
        (["remove", "/dev/null"], 1, "/dev/null"),
        (["list", "/nowhere"], 1, "/nowhere"),
        (["inspect", "a", "--needing", "b"], 2, "No such option"),
        (["list", "a", "b"], 2, "unexpected extra argument"),
        (["check"], 2, "Missing argument"),
        ([], 2, "Missing command"),
    ],
)
def test_the_command_says_what_is_wrong(words: list[str], status: int, told: str) -> None:
    done = command(*words)
    assert done.returncode == status
    assert told in done.stderr
    assert "Traceback" not in done.stderr
