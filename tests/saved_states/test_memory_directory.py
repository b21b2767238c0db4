# SPDX-License-Identifier: Apache-2.0
"""A guest's memory in a folder, and handing it over to a saved state without copying it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import applevz
import file_systems
from fixtures import Configure, MakeMachine
from guest_machine import PATIENCE, Guest
from processes import children, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Apple's framework keeps memory where it pleases")

STOPPED = applevz.VirtualMachineState.STOPPED
PAUSED = applevz.VirtualMachineState.PAUSED


@pytest.fixture
def make(machine: MakeMachine) -> MakeMachine:
    identifier = applevz.GenericMachineIdentifier.random()
    return lambda **fields: machine(platform=applevz.GenericPlatformConfiguration(identifier), **fields)


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory, with room for what the guest uses."""
    with file_systems.in_memory(tmp_path / "in memory", "300m") as folder:
        yield folder


def memory_of(vm: applevz.VirtualMachine) -> os.stat_result:
    """The file that QEMU has mapped as the guest's memory."""
    (process,) = children()
    size = 256 << 20
    maps = Path(f"/proc/{process}/maps").read_text().splitlines()
    (inode,) = {
        int(fields[4])
        for fields in map(str.split, maps)
        for start, end in [fields[0].split("-")]
        if int(end, 16) - int(start, 16) == size and "s" in fields[1]
    }
    # By the descriptor that it has of it: the mapping itself only root may follow.
    found = [os.stat(f"/proc/{process}/fd/{number}") for number in os.listdir(f"/proc/{process}/fd")]
    return next(status for status in found if status.st_ino == inode)


def fill(file: Path) -> None:
    """Leaves no room where the file is."""
    with file.open("wb", buffering=0) as writer, suppress(OSError):
        while True:
            writer.write(bytes(4096))


def identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def test_the_capability_is_there() -> None:
    assert applevz.capabilities.memory_directory


@pytest.mark.parametrize("where", ["on the disk", "in memory"])
def test_suspending_hands_the_memory_over_as_it_is(
    make: MakeMachine, tmp_path: Path, request: pytest.FixtureRequest, where: str
) -> None:
    folder = request.getfixturevalue("in_memory") if where == "in memory" else tmp_path / "on the disk"
    folder.mkdir(exist_ok=True)
    state = folder / "machine.state"
    vm = make(memory_directory=folder)
    guest = Guest(vm).start()
    guest.run("word=kept")
    assert os.listdir(folder) == []
    memory = identity(memory_of(vm))
    vm.suspend(timeout=PATIENCE, to=state)
    assert vm.state is STOPPED
    assert identity(state.stat()) == memory
    assert os.listdir(folder) == ["machine.state"]
    kinds = [(event.kind.name, event.state.name) for event in iter_events(vm)]
    assert kinds[-3:] == [("STATE_CHANGED", name) for name in ("PAUSED", "STOPPING", "STOPPED")]

    for private in (True, False):
        other = make(memory_directory=folder)
        other.restore_state(state, timeout=PATIENCE, private=private)
        other.start(timeout=PATIENCE)
        assert Guest(other).run("echo $word") == "kept"
        other.stop(timeout=PATIENCE)
    assert identity(state.stat()) == memory

    # What was copied from a state is handed over as well.
    again = folder / "again.state"
    vm.restore_state(state, timeout=PATIENCE)
    vm.suspend(timeout=PATIENCE, to=again)
    vm.restore_state(again, timeout=PATIENCE)
    vm.start(timeout=PATIENCE)
    assert guest.run("echo $word") == "kept"

    # It may take the place of the state that the machine was restored from.
    again.chmod(0o640)
    guest.run("word=newer")
    memory = identity(memory_of(vm))
    vm.suspend(timeout=PATIENCE, to=again, overwrite=True)
    assert (identity(again.stat()), again.stat().st_mode & 0o777) == (memory, 0o640)
    assert sorted(os.listdir(folder)) == ["again.state", "machine.state"]
    vm.restore_state(again, timeout=PATIENCE, private=True)
    vm.start(timeout=PATIENCE)
    assert guest.run("echo $word") == "newer"


def iter_events(vm: applevz.VirtualMachine) -> Iterator[applevz.Event]:
    while True:
        try:
            yield vm.events.next(timeout=0)
        except applevz.TimeoutError:
            return


def test_another_file_system_gets_a_copy(make: MakeMachine, in_memory: Path, tmp_path: Path) -> None:
    state = tmp_path / "machine.state"
    vm = make(memory_directory=in_memory)
    guest = Guest(vm).start()
    guest.run("word=kept")
    free = os.statvfs(in_memory).f_bavail
    vm.suspend(timeout=PATIENCE, to=state)
    assert os.listdir(in_memory) == []
    assert eventually(lambda: os.statvfs(in_memory).f_bavail > free)
    vm.restore_state(state, timeout=PATIENCE)
    vm.start(timeout=PATIENCE)
    assert guest.run("echo $word") == "kept"


TROUBLES = {
    "a file of that name": "File exists",
    "a full disk": "No space",
    "no file to replace": 'machine.state" cannot be replaced: it is not a regular file',
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_machine_that_cannot_be_handed_over_goes_on(make: MakeMachine, in_memory: Path, trouble: str) -> None:
    state, filler = in_memory / "machine.state", in_memory / "filler"
    vm = make(memory_directory=in_memory)
    guest = Guest(vm).start()
    guest.run("word=kept")
    vm.pause(timeout=PATIENCE)
    length = memory_of(vm).st_size
    if trouble == "a full disk":
        fill(filler)
    elif trouble == "a file of that name":
        state.write_text("somebody's")
    else:
        os.mkfifo(state)
    with pytest.raises(applevz.SaveError, match=TROUBLES[trouble]):
        vm.suspend(timeout=PATIENCE, to=state, overwrite=trouble == "no file to replace")
    assert vm.state is PAUSED
    assert memory_of(vm).st_size == length
    if trouble == "a full disk":
        assert os.listdir(in_memory) == ["filler"]
        filler.unlink()
    else:
        assert state.is_fifo() or state.read_text() == "somebody's"
        state.unlink()
    vm.start(timeout=PATIENCE)
    assert guest.run("echo $word") == "kept"
    vm.suspend(timeout=PATIENCE, to=state)
    vm.restore_state(state, timeout=PATIENCE, private=True)
    vm.start(timeout=PATIENCE)
    assert guest.run("echo $word") == "kept"


def test_a_saved_machine_with_its_memory_in_a_folder_runs_on(make: MakeMachine, tmp_path: Path) -> None:
    vm = make(memory_directory=tmp_path)
    guest = Guest(vm).start()
    guest.run("word=before")
    vm.pause(timeout=PATIENCE)
    vm.save_state(tmp_path / "machine.state", timeout=PATIENCE)
    vm.start(timeout=PATIENCE)
    guest.run("word=after")
    vm.stop(timeout=PATIENCE)
    vm.restore_state(tmp_path / "machine.state", timeout=PATIENCE)
    vm.start(timeout=PATIENCE)
    assert guest.run("echo $word") == "before"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere", "No such file or directory"),
        ("file", "Not a directory"),
        ("/proc", "(Operation not supported|No such file or directory|Permission denied)"),
    ],
)
def test_a_folder_that_cannot_hold_memory_is_refused_by_name(
    configure: Configure, tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / "file").write_bytes(b"")
    configuration = configure(memory_directory=tmp_path / name)
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError) as error:
        configuration.validate()
    assert re.search(f"memoryDirectory is .*: {words}", error.value.failure_reason or "")
    assert "O_TMPFILE" in error.value.recovery_suggestion


def test_a_value_that_is_no_path_is_refused_by_name(configure: Configure) -> None:
    with pytest.raises(applevz.InvalidArgumentTypeError, match="memory_directory"):
        configure(memory_directory=3).validate()
