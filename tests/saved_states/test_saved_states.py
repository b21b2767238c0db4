# SPDX-License-Identifier: Apache-2.0
"""A machine's state in a file: a guest goes on where it was, in another machine, in another process, in many at once;
and whatever goes wrong leaves no file, the file as it was, and machines that obey."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import VirtualMachineState
from fixtures import Configure, MakeMachine, Script
from guest_machine import PATIENCE, PROMPT, Guest
from places import SCRIPTED_QEMU, SUPPORT
from processes import children, eventually
from saved_state_files import PATTERN, TRAILER, checksum, description_of, forge

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the file is that of the Linux classes")

PAUSED, STOPPED, RUNNING = VirtualMachineState.PAUSED, VirtualMachineState.STOPPED, VirtualMachineState.RUNNING


@pytest.fixture(scope="module")
def identifier() -> applevz.GenericMachineIdentifier:
    return applevz.GenericMachineIdentifier.random()


@pytest.fixture
def make(machine: MakeMachine, identifier: applevz.GenericMachineIdentifier) -> Callable[..., applevz.VirtualMachine]:
    """Makes machines that can be restored from each other's states."""
    return lambda **fields: machine(**{"platform": applevz.GenericPlatformConfiguration(identifier), **fields})


@pytest.fixture(scope="module")
def original(
    configure: Configure, identifier: applevz.GenericMachineIdentifier, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A state of a guest that has the words "still here" in a variable of its shell and in a file in its memory."""
    path = tmp_path_factory.mktemp("original") / "machine.state"
    with applevz.VirtualMachine(configure(platform=applevz.GenericPlatformConfiguration(identifier))) as vm:
        guest = Guest(vm).start()
        guest.run("word='still here'; echo $word > /tmp-word")
        vm.suspend(timeout=PATIENCE, to=path)
        assert vm.state is STOPPED
    return path


@pytest.fixture
def saved(original: Path, tmp_path: Path) -> Path:
    """That state in a file of the test's own."""
    path = tmp_path / "machine.state"
    subprocess.run(["cp", "--sparse=always", original, path], check=True)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def go_on(vm: applevz.VirtualMachine) -> Guest:
    assert vm.state is PAUSED
    vm.start(timeout=PATIENCE)
    return Guest(vm)


def fill(guest: Guest, path: str, mebibytes: int) -> None:
    """Writes noise to a file in the guest's memory; the same mebibyte again and again, for it is slow in making any."""
    noise = "[ -e /noise ] || dd if=/dev/urandom of=/noise bs=1M count=1 2>/dev/null"
    words = guest.run(f"{noise}; for i in $(seq {mebibytes}); do cat /noise; done > {path} && echo done")
    assert words == "done"


def remembers(guest: Guest) -> bool:
    return guest.run("echo $word; cat /tmp-word") == "still here\nstill here"


# ---- What was there is there again -------------------------------------------------------------------------------


@pytest.mark.parametrize("private", [False, True])
def test_a_guest_goes_on_where_it_was_in_another_machine(
    make: Callable[..., applevz.VirtualMachine], saved: Path, private: bool
) -> None:
    before = digest(saved)
    vm = make()
    vm.restore_state(saved, timeout=PATIENCE, private=private)
    guest = go_on(vm)
    assert remembers(guest)
    guest.run("dd if=/dev/zero of=/filled bs=1M count=30 2>&1")
    vm.shutdown(timeout=PATIENCE)
    assert digest(saved) == before


def test_the_same_machine_is_restored_from_what_it_saved_itself(
    make: Callable[..., applevz.VirtualMachine], tmp_path: Path
) -> None:
    vm = make()
    guest = Guest(vm).start()
    guest.run("word=one")
    vm.pause(timeout=PATIENCE)
    vm.save_state(tmp_path / "one", timeout=PATIENCE)
    assert vm.state is PAUSED
    vm.start(timeout=PATIENCE)
    assert guest.run("echo $word; word=two") == "one"
    vm.stop(timeout=PATIENCE)

    vm.restore_state(tmp_path / "one", timeout=PATIENCE)
    assert go_on(vm).run("echo $word") == "one"


def guest_memories() -> list[Path]:
    """The files that are the memory of this process's machines."""
    names = Path("/proc/self/fd").glob("*")
    return [name for name in names if os.path.lexists(name) and os.readlink(name).startswith("/memfd:applevz")]


@pytest.mark.parametrize("sparse", ["always", "never"])
def test_a_machine_that_is_taken_back_has_what_was_saved_and_nothing_of_what_came_after(
    make: Callable[..., applevz.VirtualMachine], original: Path, tmp_path: Path, sparse: str
) -> None:
    path = tmp_path / "state"
    vm = make()
    vm.restore_state(original, timeout=PATIENCE)
    guest = go_on(vm)
    fill(guest, "/old", 40)
    vm.pause(timeout=PATIENCE)
    vm.save_state(tmp_path / "saved", timeout=PATIENCE)
    subprocess.run(["cp", f"--sparse={sparse}", tmp_path / "saved", path], check=True)
    vm.start(timeout=PATIENCE)
    taken_over = False
    # It takes over the file that was its memory, unless this process did not get to run for a while.
    while not taken_over:
        guest.run("rm /old")
        fill(guest, "/new", 60)
        [memory] = guest_memories()
        inode, blocks = memory.stat().st_ino, memory.stat().st_blocks
        vm.stop(timeout=PATIENCE)
        vm.restore_state(path, timeout=PATIENCE)
        [memory] = guest_memories()
        taken_over = memory.stat().st_ino == inode
        saved, size = path.read_bytes(), memory.stat().st_size
        assert memory.read_bytes() == saved[:size]
        if sparse == "always":
            assert memory.stat().st_blocks < blocks - (15 << 20) // 512
        assert go_on(vm).run("ls /old /new 2>&1 | sort") == "/old\nls: /new: No such file or directory"


def test_memory_of_which_more_would_be_given_back_than_overwritten_is_not_taken_over(
    make: Callable[..., applevz.VirtualMachine], saved: Path
) -> None:
    vm = make()
    vm.restore_state(saved, timeout=PATIENCE)
    fill(go_on(vm), "/new", 80)
    for _ in range(2):
        [memory] = guest_memories()
        inode = memory.stat().st_ino
        assert memory.stat().st_blocks > saved.stat().st_blocks * 1.6
        vm.stop(timeout=PATIENCE)
        vm.restore_state(saved, timeout=PATIENCE)
        assert all(memory.stat().st_ino != inode for memory in guest_memories())
        fill(go_on(vm), "/new", 80)


def test_the_memory_of_a_stopped_machine_is_given_back_though_it_could_be_restored(
    make: Callable[..., applevz.VirtualMachine], saved: Path, tmp_path: Path
) -> None:
    vm = make(memory_directory=tmp_path)
    vm.restore_state(saved, timeout=PATIENCE)
    assert guest_memories() == []
    vm.suspend(timeout=PATIENCE, to=tmp_path / "handed over")
    handed_over = digest(tmp_path / "handed over")
    vm.restore_state(saved, timeout=PATIENCE)
    go_on(vm).run("dd if=/dev/urandom of=/new bs=1M count=8 2>&1")
    vm.stop(timeout=PATIENCE)
    assert digest(tmp_path / "handed over") == handed_over

    vm = make()
    vm.restore_state(saved, timeout=PATIENCE)
    inode = guest_memories()[0].stat().st_ino
    vm.stop(timeout=PATIENCE)
    assert eventually(lambda: not guest_memories())
    vm.restore_state(saved, timeout=PATIENCE)
    assert guest_memories()[0].stat().st_ino != inode
    assert remembers(go_on(vm))


def test_a_guest_that_counts_goes_on_counting_in_another_process(
    make: Callable[..., applevz.VirtualMachine],
    guest_files: Path,
    identifier: applevz.GenericMachineIdentifier,
    original: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / "machine.state"
    vm = make()
    vm.restore_state(original, timeout=PATIENCE)
    go_on(vm)
    vm.console.write(b"beat\n")
    vm.console.read_until(b"beat 5\n", timeout=PATIENCE)
    vm.suspend(timeout=PATIENCE, to=path)
    program = f"""
import applevz
from pathlib import Path
boot_loader = applevz.LinuxBootLoader({str(guest_files / "vmlinux")!r}, {str(guest_files / "initrd.cpio.gz")!r},
                                      "console=hvc0 quiet")
platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier({identifier.data_representation!r}))
with applevz.VirtualMachine(applevz.VirtualMachineConfiguration(boot_loader, memory_size="256MiB",
                                                                platform=platform)) as vm:
    vm.restore_state({str(path)!r}, timeout=60)
    vm.start(timeout=60)
    print(vm.console.read_until(b"\\n", timeout=60).decode(), end="")
    print(vm.console.read_until(b"\\n", timeout=60).decode(), end="")
"""
    words = subprocess.check_output([sys.executable, "-c", program], text=True, timeout=200)
    first, second = (int(line.split()[1]) for line in words.splitlines())
    assert second == first + 1
    assert first > 5


def test_many_clones_run_from_one_file_at_once_and_leave_it_as_it_was(
    make: Callable[..., applevz.VirtualMachine], saved: Path
) -> None:
    before, processes = digest(saved), children()
    clones = [make() for _ in range(8)]
    for clone in clones:
        clone.restore_state(saved, timeout=PATIENCE, private=True)
    guests = [go_on(clone) for clone in clones]
    assert all(remembers(guest) for guest in guests)
    for number, guest in enumerate(guests):
        guest.run(f"word={number}; dd if=/dev/urandom of=/filled bs=1M count=3 2>&1")
    assert [guest.run("echo $word") for guest in guests] == [str(number) for number in range(8)]
    assert len(children() - processes) == 8
    for clone in clones:
        clone.stop(timeout=PATIENCE)
    assert digest(saved) == before
    assert children() == processes


def test_a_clone_runs_on_when_its_file_is_removed(make: Callable[..., applevz.VirtualMachine], saved: Path) -> None:
    vm = make()
    vm.restore_state(saved, timeout=PATIENCE, private=True)
    saved.unlink()
    assert remembers(go_on(vm))


@pytest.mark.parametrize("private", [False, True])
def test_a_restored_machine_is_saved_again_and_again(
    make: Callable[..., applevz.VirtualMachine], saved: Path, tmp_path: Path, private: bool
) -> None:
    path = saved
    for number in range(3):
        vm = make()
        vm.restore_state(path, timeout=PATIENCE, private=private)
        guest = go_on(vm)
        assert remembers(guest)
        assert guest.run(f"echo $count; count={number}") == ("" if number == 0 else str(number - 1))
        path = tmp_path / f"state {number}"
        vm.suspend(timeout=PATIENCE, to=path)


def test_a_paused_machine_is_saved_twice(
    make: Callable[..., applevz.VirtualMachine], original: Path, tmp_path: Path
) -> None:
    vm = make()
    vm.restore_state(original, timeout=PATIENCE)
    go_on(vm).run("word=kept")
    vm.pause(timeout=PATIENCE)
    vm.save_state(tmp_path / "one", timeout=PATIENCE)
    vm.save_state(tmp_path / "two", timeout=PATIENCE)
    one, two = (tmp_path / name for name in ("one", "two"))
    assert description_of(two).pop("parent") == description_of(one)["identifier"]
    # But for what each is known by they are the same.
    for path in (one, two):
        words = {**description_of(path), "identifier": "0" * 32, "made": 0}
        words.pop("parent", None)
        forge(path, description=json.dumps(words).encode())
    assert digest(one) == digest(two)
    vm.start(timeout=PATIENCE)
    Guest(vm).run("word=newer")
    vm.pause(timeout=PATIENCE)
    vm.save_state(tmp_path / "one", timeout=PATIENCE, overwrite=True)
    vm.stop(timeout=PATIENCE)
    assert sorted(os.listdir(tmp_path)) == ["one", "two"]

    for name, word in (("one", "newer"), ("two", "kept")):
        vm.restore_state(tmp_path / name, timeout=PATIENCE)
        assert go_on(vm).run("echo $word") == word
        vm.stop(timeout=PATIENCE)


def test_a_machine_with_every_device_is_restored(make: Callable[..., applevz.VirtualMachine], tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    fields = {
        "storage_devices": [
            applevz.VirtioBlockDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(image), "serial")
        ],
        "network_devices": [applevz.VirtioNetworkDeviceConfiguration(mac_address="0a:1b:2c:3d:4e:5f")],
        "entropy_devices": [applevz.VirtioEntropyDeviceConfiguration()],
        "memory_balloon_devices": [applevz.VirtioTraditionalMemoryBalloonDeviceConfiguration()],
    }
    vm = make(**fields)
    guest = Guest(vm).start()
    assert "eth0" in guest.run("dhcp")
    guest.run("echo before > /dev/vda; sync")
    vm.suspend(timeout=PATIENCE, to=tmp_path / "state")

    vm = make(**fields)
    vm.restore_state(tmp_path / "state", timeout=PATIENCE)
    guest = go_on(vm)
    assert guest.run("head -c 6 /dev/vda; cat /sys/block/vda/serial") == "beforeserial"
    assert "eth0" in guest.run("dhcp")
    assert len(guest.run("head -c 16 /dev/hwrng | od -An -tx1 2>&1")) > 0
    guest.run("echo after > /dev/vda; sync; echo 3 > /proc/sys/vm/drop_caches")
    assert guest.run("head -c 5 /dev/vda") == "after"
    vm.stop(timeout=PATIENCE)

    # The guest of the saved state would not find the disk that it knows.
    with pytest.raises(applevz.RestoreError, match=r"the time when storageDevices\[0\] was written last"):
        vm.restore_state(tmp_path / "state", timeout=PATIENCE)


def test_a_guest_sets_its_clock_by_the_machines_after_it_was_restored(
    make: Callable[..., applevz.VirtualMachine], saved: Path
) -> None:
    # What passes while nothing runs.
    time.sleep(3)
    vm = make()
    vm.restore_state(saved, timeout=PATIENCE)
    guest = go_on(vm)
    assert time.time() - float(guest.run("date +%s")) > 2
    guest.run("hwclock -s -u")
    before = time.time()
    now = float(guest.run("date +%s"))
    # The clock that it reads has seconds.
    assert before - 2.5 < now < time.time() + 2.5


def test_memory_that_the_guest_never_used_takes_no_room(
    make: Callable[..., applevz.VirtualMachine], tmp_path: Path
) -> None:
    vm = make(memory_size="2GiB")
    Guest(vm).start()
    vm.suspend(timeout=PATIENCE, to=tmp_path / "state")
    status = (tmp_path / "state").stat()
    assert status.st_size > 2 << 30
    assert status.st_blocks * 512 < 400 << 20


# ---- States and arguments ----------------------------------------------------------------------------------------


def test_saving_needs_a_paused_machine_and_restoring_a_stopped_one(
    make: Callable[..., applevz.VirtualMachine], saved: Path, tmp_path: Path
) -> None:
    vm = make()
    for _ in ("stopped", "running"):
        state = vm.state
        with pytest.raises(applevz.InvalidVirtualMachineStateError, match="can be saved when it is paused|save: "):
            vm.save_state(tmp_path / "other", timeout=PATIENCE)
        assert vm.state is state
        vm.start(timeout=PATIENCE)
    for _ in ("running", "paused"):
        state = vm.state
        with pytest.raises(applevz.InvalidVirtualMachineStateTransitionError, match='to state "restoring" is invalid'):
            vm.restore_state(saved, timeout=PATIENCE)
        assert vm.state is state
        vm.suspend(timeout=PATIENCE)
    assert os.listdir(tmp_path) == [saved.name]


def test_a_machine_is_saving_while_it_is_saved_and_restoring_while_it_is_restored(
    make: Callable[..., applevz.VirtualMachine], tmp_path: Path, saved: Path
) -> None:
    vm = make()
    seen: list[VirtualMachineState] = []

    def watch(state: VirtualMachineState) -> threading.Thread:
        thread = threading.Thread(target=lambda: seen.append(vm.wait(state, timeout=PATIENCE)))
        thread.start()
        return thread

    thread = watch(VirtualMachineState.RESTORING)
    vm.restore_state(saved, timeout=PATIENCE)
    thread.join()
    thread = watch(VirtualMachineState.SAVING)
    vm.save_state(tmp_path / "other", timeout=PATIENCE)
    thread.join()
    assert seen == [VirtualMachineState.RESTORING, VirtualMachineState.SAVING]


def test_a_file_that_exists_is_refused_and_stays(make: Callable[..., applevz.VirtualMachine], tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("precious")
    vm = make()
    vm.start(timeout=PATIENCE)
    vm.pause(timeout=PATIENCE)
    with pytest.raises(applevz.SaveError, match="File exists") as caught:
        vm.save_state(path, timeout=PATIENCE)
    assert isinstance(caught.value, FileExistsError)
    assert path.read_text() == "precious"
    assert vm.state is PAUSED
    vm.save_state(path, timeout=PATIENCE, overwrite=True)
    vm.stop(timeout=PATIENCE)
    vm.restore_state(path, timeout=PATIENCE)
    assert vm.state is PAUSED
    assert os.listdir(tmp_path) == ["precious"]


@pytest.mark.parametrize("kind", ["FIFO", "device", "socket", "folder"])
def test_nothing_but_a_file_is_replaced(make: Callable[..., applevz.VirtualMachine], tmp_path: Path, kind: str) -> None:
    path = tmp_path / "precious"
    match kind:
        case "FIFO":
            os.mkfifo(path)
        case "device":
            if os.geteuid() != 0:
                pytest.skip("only root makes devices")
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        case "socket":
            with socket.socket(socket.AF_UNIX) as end:
                end.bind(str(path))
        case "folder":
            path.mkdir()
    before = path.stat()
    vm = make()
    vm.start(timeout=PATIENCE)
    vm.pause(timeout=PATIENCE)
    with pytest.raises(applevz.SaveError, match="precious\" cannot be replaced"):
        vm.save_state(path, timeout=PATIENCE, overwrite=True)
    assert path.stat() == before
    assert os.listdir(tmp_path) == ["precious"]
    assert vm.state is PAUSED


@pytest.mark.parametrize(("name", "kind"), [("nowhere/state", FileNotFoundError), ("file/state", NotADirectoryError)])
def test_a_folder_that_is_none_is_the_systems_error(
    make: Callable[..., applevz.VirtualMachine], tmp_path: Path, name: str, kind: type[Exception]
) -> None:
    (tmp_path / "file").write_text("")
    vm = make()
    vm.start(timeout=PATIENCE)
    vm.pause(timeout=PATIENCE)
    with pytest.raises(applevz.SaveError) as caught:
        vm.save_state(tmp_path / name, timeout=PATIENCE)
    assert isinstance(caught.value, kind)
    assert name in caught.value.failure_reason
    vm.start(timeout=PATIENCE)
    assert vm.state is RUNNING


def test_a_missing_file_is_the_systems_error(make: Callable[..., applevz.VirtualMachine], tmp_path: Path) -> None:
    vm = make()
    with pytest.raises(applevz.RestoreError) as caught:
        vm.restore_state(tmp_path / "nowhere", timeout=PATIENCE)
    assert isinstance(caught.value, FileNotFoundError)
    assert str(tmp_path / "nowhere") in caught.value.failure_reason
    assert vm.state is STOPPED


@pytest.mark.parametrize("argument", [{"path": 3}, {"path": "a\0b"}, {"path": "x", "overwrite": 1}])
def test_arguments_are_refused_by_name(make: Callable[..., applevz.VirtualMachine], argument: dict[str, Any]) -> None:
    name = "overwrite" if "overwrite" in argument else "path"
    with pytest.raises((applevz.InvalidArgumentError, applevz.InvalidArgumentTypeError), match=name):
        make().save_state(**argument)


def test_a_configuration_that_is_valid_can_be_saved_and_one_that_is_not_cannot(configure: Configure) -> None:
    configure().validate_save_restore_support()
    assert applevz.capabilities.save_restore
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match="CPUCount"):
        configure(cpu_count=100000).validate_save_restore_support()


def network_disk() -> applevz.NetworkBlockDeviceStorageDeviceAttachment:
    return applevz.NetworkBlockDeviceStorageDeviceAttachment("nbd://127.0.0.1:1/disk")


def agent_port() -> applevz.VirtioConsoleDeviceConfiguration:
    attachment = applevz.SpiceAgentPortAttachment()
    port = applevz.VirtioConsolePortConfiguration(attachment.PORT_NAME, attachment=attachment)
    return applevz.VirtioConsoleDeviceConfiguration([port])


# A device that cannot be saved: the field of the configuration, what is in it, and how the error begins.
UNSAVEABLE: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "NVM Express": (
        lambda folder: {"storage_devices": [applevz.NVMExpressControllerDeviceConfiguration(disk_image(folder))]},
        "storageDevices[0] is a VZNVMExpressControllerDeviceConfiguration, whose state QEMU does not save.",
    ),
    "network block device": (
        lambda folder: {
            "storage_devices": [
                applevz.VirtioBlockDeviceConfiguration(disk_image(folder)),
                applevz.VirtioBlockDeviceConfiguration(network_disk()),
            ]
        },
        "storageDevices[1].attachment is a VZNetworkBlockDeviceStorageDeviceAttachment, of which nobody can tell later",
    ),
    "network block device on USB": (
        lambda folder: {
            "usb_controllers": [
                applevz.XHCIControllerConfiguration([applevz.USBMassStorageDeviceConfiguration(network_disk())])
            ]
        },
        "usbControllers[0].usbDevices[0].attachment is a VZNetworkBlockDeviceStorageDeviceAttachment, of which nobody",
    ),
    "shared directory": (
        lambda folder: {
            "directory_sharing_devices": [
                applevz.VirtioFileSystemDeviceConfiguration(
                    "mine", applevz.SingleDirectoryShare(applevz.SharedDirectory(folder))
                )
            ]
        },
        'directorySharingDevices[0] (tag "mine") is a VZVirtioFileSystemDeviceConfiguration, whose state',
    ),
    "SPICE agent": (
        lambda folder: {"console_devices": [agent_port()]},
        "consoleDevices[0].ports[0].attachment is a VZSpiceAgentPortAttachment, whose state QEMU does not save.",
    ),
}


def disk_image(folder: Path) -> applevz.DiskImageStorageDeviceAttachment:
    (folder / "disk").write_bytes(bytes(1 << 20))
    return applevz.DiskImageStorageDeviceAttachment(folder / "disk")


@pytest.mark.parametrize("kind", UNSAVEABLE)
def test_validation_and_saving_refuse_the_same_devices_in_the_same_words(
    machine: MakeMachine, script: Script, tmp_path: Path, kind: str
) -> None:
    # A save that was not refused would fail for this.
    failed = '{"return": {"status": "failed", "error-desc": "QEMU was asked"}, "id": %d}\r\n'
    script(
        answers={"query-status": '{"return": {"status": "paused"}, "id": %d}\r\n', "query-migrate": failed},
        after={"migrate": "tell"},
        events=[json.dumps({"event": "MIGRATION", "data": {"status": "failed"}, "timestamp": {}})],
    )
    fields, words = UNSAVEABLE[kind]
    (tmp_path / "files").mkdir()
    vm = machine(**fields(tmp_path / "files"))
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError) as validated:
        vm.configuration.validate_save_restore_support()
    assert words in validated.value.failure_reason
    vm.start(timeout=PATIENCE)
    vm.pause(timeout=PATIENCE)
    for save in (vm.save_state, lambda path, timeout: vm.suspend(to=path, timeout=timeout)):
        with pytest.raises(applevz.SaveError) as caught:
            save(tmp_path / "state", timeout=PATIENCE)
        assert caught.value.failure_reason == validated.value.failure_reason
        assert caught.value.recovery_suggestion == validated.value.recovery_suggestion
        cause = caught.value.error.underlying
        assert (cause.domain, cause.code) == (validated.value.domain, validated.value.code)
        assert vm.state is PAUSED
    assert os.listdir(tmp_path) == ["files"]


# ---- Files that are not what they should be ----------------------------------------------------------------------


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def shorten_memory(path: Path) -> None:
    # The memory's first page is gone; everything behind it is whole.
    path.write_bytes(path.read_bytes()[4096:])


def flip(from_end: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(-from_end, os.SEEK_END)
            byte = file.read(1)[0]
            file.seek(-from_end, os.SEEK_END)
            file.write(bytes([byte ^ 1]))

    return change


def flip_memory(path: Path) -> None:
    with path.open("r+b") as file:
        # A byte of the first page that holds something.
        start = os.lseek(file.fileno(), 0, os.SEEK_DATA)
        file.seek(start)
        byte = file.read(1)[0]
        file.seek(start)
        file.write(bytes([byte ^ 0x80]))


def lose_memory(path: Path) -> None:
    """As after a power cut: a page that did not come to the disk."""
    with path.open("r+b") as file:
        start = os.lseek(file.fileno(), 1 << 20, os.SEEK_DATA)
        page = start // 4096
        while not any(os.pread(file.fileno(), 4096, page * 4096)):
            page += 1
        os.pwrite(file.fileno(), bytes(4096), page * 4096)


def newer(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-24, os.SEEK_END)
        file.write((6).to_bytes(8, "little"))


DAMAGE = {
    "cut off": (cut, "truncated"),
    "empty": (lambda path: os.truncate(path, 0), "truncated, or not a saved state: it has 0 bytes"),
    "another file": (lambda path: path.write_bytes(b"x" * 5000), "not a saved state"),
    "memory too short": (shorten_memory, "damaged: it has"),
    "the trailer": (flip(TRAILER - 4), "checksum of its trailer"),
    "the description": (flip(TRAILER + 20), "checksum of its description"),
    "the devices": (flip(TRAILER + 50000), "checksum of its devices' state"),
    "the guest's memory": (flip_memory, "checksum of the guest's memory"),
    "lost memory": (lose_memory, "checksum of the guest's memory"),
    "a newer version": (newer, "format version 6; this library reads version 5"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_file_that_is_not_a_whole_state_is_refused_in_words(
    make: Callable[..., applevz.VirtualMachine], saved: Path, kind: str
) -> None:
    change, words = DAMAGE[kind]
    change(saved)
    before, vm = children(), make()
    with pytest.raises(applevz.RestoreError) as caught:
        vm.restore_state(saved, timeout=PATIENCE)
    assert words in caught.value.failure_reason
    assert str(saved) in caught.value.failure_reason
    assert vm.state is STOPPED
    assert children() == before
    vm.start(timeout=PATIENCE)


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("change", [flip_memory, lose_memory])
def test_damage_is_seen_also_in_a_file_that_this_process_wrote_or_looked_at_just_now(
    make: Callable[..., applevz.VirtualMachine],
    saved: Path,
    tmp_path: Path,
    change: Callable[[Path], None],
    private: bool,
) -> None:
    vm = make()
    for path in (tmp_path / "written", saved):
        vm.restore_state(saved, timeout=PATIENCE, private=True)
        if path != saved:
            vm.stop(timeout=PATIENCE)
            vm.restore_state(saved, timeout=PATIENCE)
            vm.save_state(path, timeout=PATIENCE)
        vm.stop(timeout=PATIENCE)
        change(path)
        with pytest.raises(applevz.RestoreError, match="checksum of the guest's memory"):
            vm.restore_state(path, timeout=PATIENCE, private=private)
        assert vm.state is STOPPED


# ---- Files that somebody made so ----------------------------------------------------------------------------------

def other_memory(length: int) -> Callable[[Path], None]:
    """All lengths fit, and the memory is not that of the machine."""

    def change(path: Path) -> None:
        with path.open("rb") as file:
            size = file.seek(-TRAILER, os.SEEK_END)
            memory = struct.unpack(PATTERN, file.read())[0]
            file.seek(memory)
            rest = file.read(size - memory + TRAILER)
        with path.open("r+b") as file:
            file.truncate(0)
            file.truncate(length)
            file.seek(length)
            file.write(rest)
        with path.open("r+b") as file:
            place = file.seek(-TRAILER, os.SEEK_END)
            fields = list(struct.unpack(PATTERN, file.read()))
            fields[0] = length
            fields[7] = checksum(struct.pack("<7Q", *fields[:7]))
            file.seek(place)
            file.write(struct.pack(PATTERN, *fields))

    return change


HOSTILE = "\x1b]0;owned\x07\x9b2J\u202e\x7f"


def other_words(path: Path) -> None:
    words = description_of(path)
    words["fields"][1] = [words["fields"][1][0], HOSTILE + "x" * 100_000]
    forge(path, description=json.dumps(words).encode())


def other_version(path: Path) -> None:
    words = description_of(path)
    words["qemu"] = HOSTILE * 1000
    forge(path, description=json.dumps(words).encode())


def no_fields(path: Path) -> None:
    forge(path, description=json.dumps({**description_of(path), "fields": []}).encode())


NO_FORM = "its description has not the form of one"
FORGERIES = {
    "deep": (lambda path: forge(path, description=b"[" * 1_000_000), NO_FORM),
    "deep objects": (lambda path: forge(path, description=b'{"a":' * 100_000), NO_FORM),
    "deep in a member": (lambda path: forge(path, description=b'{"qemu":"7.2","fields":' + b"[" * 200_000), NO_FORM),
    "no object": (lambda path: forge(path, description=b"[1]"), NO_FORM),
    "nothing": (lambda path: forge(path, description=b""), NO_FORM),
    "a number for a version": (lambda path: forge(path, description=b'{"qemu":7,"fields":[],"disks":[]}'), NO_FORM),
    "fields of no pairs": (
        lambda path: forge(path, description=b'{"qemu":"7.2","fields":[["a"],7,{}],"disks":[]}'),
        NO_FORM,
    ),
    "fields of no texts": (
        lambda path: forge(path, description=b'{"qemu":"7.2","fields":[["a",[]]],"disks":[]}'),
        NO_FORM,
    ),
    "no fields": (no_fields, "bootLoader is"),
    "no identifier": (lambda path: forge(path, description=b'{"qemu":"7.2","fields":[],"disks":[]}'), NO_FORM),
    "no UTF-8": (lambda path: forge(path, description=b'{"qemu":"\xff","fields":[],"disks":[]}'), NO_FORM),
    "an end of a text": (
        lambda path: forge(path, description=b'{"qemu":"7.2\\u0000","fields":[],"disks":[]}'),
        NO_FORM,
    ),
    "words for a terminal": (other_words, "CPUCount is 1; "),
    "a version for a terminal": (other_version, "The version of QEMU is "),
    "a description beyond all": (lambda path: forge(path, description_length=1 << 62), "damaged"),
    "a sum that turns over": (
        lambda path: forge(path, memory_length=(1 << 64) - (1 << 20), stream_length=1 << 20),
        "damaged",
    ),
    "a sum of three": (
        lambda path: forge(path, memory_length=1 << 63, stream_length=(1 << 63) - 80, description_length=80),
        "more bytes than a file can have",
    ),
    "a negative length": (lambda path: forge(path, memory_length=(1 << 64) - 1), "damaged"),
    "a stream without an end": (lambda path: forge(path, stream=1 << 41), "which is too long for one"),
    "memory of a page less": (other_memory((256 << 20) - 4096), f"where its machine has {256 << 20}"),
    "memory of a page more": (other_memory((256 << 20) + 4096), f"where its machine has {256 << 20}"),
    "memory of half a page": (other_memory(2048), f"it holds 2048 bytes of memory, where its machine has {256 << 20}"),
    "memory without an end": (other_memory(1 << 41), f"it holds {1 << 41} bytes of memory"),
}


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("kind", FORGERIES)
def test_a_file_that_somebody_made_to_do_harm_is_refused_in_words_and_at_once(
    make: Callable[..., applevz.VirtualMachine], saved: Path, kind: str, private: bool
) -> None:
    change, words = FORGERIES[kind]
    change(saved)
    before, vm = children(), make()
    began = time.monotonic()
    with pytest.raises(applevz.RestoreError) as caught:
        vm.restore_state(saved, timeout=PATIENCE, private=private)
    assert time.monotonic() - began < 30
    assert words in caught.value.failure_reason
    assert len(str(caught.value)) < 5000
    assert not [c for c in str(caught.value) if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"]
    assert vm.state is STOPPED
    assert eventually(lambda: children() == before)


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("kind", ["FIFO", "socket", "directory", "device", "endless device"])
def test_what_is_no_file_is_not_opened_for_a_state(
    make: Callable[..., applevz.VirtualMachine], tmp_path: Path, kind: str, private: bool
) -> None:
    path = tmp_path / "machine.state"
    match kind:
        case "FIFO":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
        case "directory":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/null")
        case "endless device":
            path.symlink_to("/dev/zero")
    vm = make()
    with pytest.raises(applevz.RestoreError, match="it must be a regular file"):
        vm.restore_state(path, timeout=30, private=private)
    assert vm.state is STOPPED


DIFFERENCES: dict[str, tuple[dict[str, Any], str, str]] = {
    "CPUCount": ({"cpu_count": 2}, "CPUCount is 2; ", "with 1."),
    "memorySize": ({"memory_size": "257MiB"}, f"memorySize is {257 << 20}; ", f"with {256 << 20}."),
    "an identifier": ({"platform": applevz.GenericPlatformConfiguration()}, "platform.machineIdentifier is ", "with "),
    "a device more": (
        {"entropy_devices": [applevz.VirtioEntropyDeviceConfiguration()]},
        "entropyDevices.count is 1; ",
        "with 0.",
    ),
    "a device less": ({"serial_ports": []}, "serialPorts.count is 0; ", "with 1."),
}


@pytest.mark.parametrize("kind", DIFFERENCES)
def test_a_state_of_another_configuration_is_refused_with_both_values(
    make: Callable[..., applevz.VirtualMachine], saved: Path, kind: str
) -> None:
    fields, ours, theirs = DIFFERENCES[kind]
    vm = make(**fields)
    with pytest.raises(applevz.RestoreError) as caught:
        vm.restore_state(saved, timeout=PATIENCE)
    assert ours in caught.value.failure_reason
    assert theirs in caught.value.failure_reason
    assert vm.state is STOPPED
    assert "configuration" in caught.value.recovery_suggestion


@pytest.mark.skipif(not applevz.capabilities.nested_virtualization, reason="this host has none")
def test_a_state_of_another_processor_is_refused_with_both_values(
    make: Callable[..., applevz.VirtualMachine], saved: Path, identifier: applevz.GenericMachineIdentifier
) -> None:
    vm = make(platform=applevz.GenericPlatformConfiguration(identifier, nested_virtualization=True))
    with pytest.raises(applevz.RestoreError) as caught:
        vm.restore_state(saved, timeout=PATIENCE)
    assert "platform.nestedVirtualizationEnabled is YES; " in caught.value.failure_reason
    assert "with NO." in caught.value.failure_reason


def test_another_address_or_disk_is_refused_with_both_values(
    make: Callable[..., applevz.VirtualMachine], tmp_path: Path
) -> None:
    one, two, copy = tmp_path / "one.img", tmp_path / "two.img", tmp_path / "copy.img"
    one.write_bytes(bytes(1 << 20))
    shutil.copy2(one, copy)
    two.write_bytes(b"other" + bytes((1 << 20) - 5))
    os.utime(two, ns=(0, one.stat().st_mtime_ns))

    def fields(address: str = "0a:1b:2c:3d:4e:5f", image: Path = one) -> dict[str, Any]:
        disk = applevz.DiskImageStorageDeviceAttachment(image)
        return {
            "network_devices": [applevz.VirtioNetworkDeviceConfiguration(mac_address=address)],
            "storage_devices": [applevz.VirtioBlockDeviceConfiguration(disk)],
        }

    vm = make(**fields())
    vm.start(timeout=PATIENCE)
    vm.suspend(timeout=PATIENCE, to=tmp_path / "state")
    with pytest.raises(applevz.RestoreError) as caught:
        make(**fields(address="0a:1b:2c:3d:4e:60")).restore_state(tmp_path / "state", timeout=PATIENCE)
    assert "networkDevices[0].MACAddress is 0a:1b:2c:3d:4e:60; " in caught.value.failure_reason
    assert "with 0a:1b:2c:3d:4e:5f." in caught.value.failure_reason
    with pytest.raises(applevz.RestoreError) as caught:
        make(**fields(image=two)).restore_state(tmp_path / "state", timeout=PATIENCE)
    assert re.search(r"sample of what is in storageDevices\[0\].* is \w{16}; ", str(caught.value.failure_reason))
    # A copy of the disk, with the time of its last writing, is the same one wherever it is.
    make(**fields(image=copy)).restore_state(tmp_path / "state", timeout=PATIENCE)


def test_a_state_of_another_qemu_is_refused_with_both_versions(
    make: Callable[..., applevz.VirtualMachine], saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = make()
    before = children()
    monkeypatch.setenv("APPLEVZ_QEMU", str(SCRIPTED_QEMU))
    monkeypatch.setenv("APPLEVZ_QEMU_SCRIPT", json.dumps({"version": [9, 1]}))
    with pytest.raises(applevz.RestoreError, match=r"version of QEMU is 9\.1; the saved state was made with \d"):
        vm.restore_state(saved, timeout=PATIENCE)
    assert vm.state is STOPPED
    assert children() == before


def test_a_qemu_that_cannot_read_the_state_is_an_error_with_its_last_words(
    make: Callable[..., applevz.VirtualMachine], saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = make()
    words = subprocess.check_output(["qemu-system-x86_64", "--version"], text=True)
    version = [int(number) for number in re.findall(r"\d+", words)[:2]]
    monkeypatch.setenv("APPLEVZ_QEMU", str(SCRIPTED_QEMU))
    monkeypatch.setenv("APPLEVZ_QEMU_SCRIPT", json.dumps({"version": version, "after": {"migrate-incoming": "kill"}}))
    with pytest.raises(applevz.RestoreError, match="signal 9"):
        vm.restore_state(saved, timeout=PATIENCE)
    assert vm.state is STOPPED


# ---- The host fails ----------------------------------------------------------------------------------------------


@pytest.fixture(params=["tmpfs", "ext4"])
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system with room for 16 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount: list[str | Path] = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder]
    if request.param == "ext4":
        mount = ["mount", "-o", "loop", image := tmp_path / "image", folder]
        with image.open("wb") as file:
            file.truncate(16 << 20)
        if not shutil.which("mkfs.ext4", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
            pytest.skip("mkfs.ext4 is missing")
        subprocess.run(["mkfs.ext4", "-q", image], check=True, env={**os.environ, "PATH": "/usr/sbin:/sbin"})
    if subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("this user cannot mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_full_disk_leaves_no_file_and_a_machine_that_is_paused_and_obeys(
    make: Callable[..., applevz.VirtualMachine], original: Path, small: Path, tmp_path: Path, overwrite: bool
) -> None:
    vm = make()
    vm.restore_state(original, timeout=PATIENCE)
    guest = go_on(vm)
    guest.run("word=kept")
    vm.pause(timeout=PATIENCE)
    before = os.listdir(small), os.statvfs(small).f_bavail
    with pytest.raises(applevz.SaveError, match="No space left on device") as caught:
        vm.save_state(small / "state", timeout=PATIENCE, overwrite=overwrite)
    assert isinstance(caught.value, OSError)
    assert (os.listdir(small), os.statvfs(small).f_bavail) == before
    assert vm.state is PAUSED
    vm.save_state(tmp_path / "state", timeout=PATIENCE)
    vm.start(timeout=PATIENCE)
    assert guest.run("echo $word") == "kept"
    vm.stop(timeout=PATIENCE)
    vm.restore_state(tmp_path / "state", timeout=PATIENCE)
    assert go_on(vm).run("echo $word") == "kept"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_qemu_that_dies_while_it_is_saved_is_an_error_and_leaves_no_file(
    make: Callable[..., applevz.VirtualMachine],
    original: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: signal.Signals,
) -> None:
    before = children()
    vm = make()
    vm.start(timeout=PATIENCE)
    vm.pause(timeout=PATIENCE)
    (qemu,) = children() - before
    # Read at each command: short enough for the test, long enough for the answers before.
    monkeypatch.setenv("APPLEVZ_QEMU_TIMEOUT", "0.5")
    os.kill(qemu, signal.SIGSTOP)
    if how is signal.SIGKILL:
        threading.Timer(0.1, os.kill, (qemu, signal.SIGKILL)).start()
    with pytest.raises(applevz.InternalError, match="signal 9" if how is signal.SIGKILL else "did not answer"):
        vm.save_state(tmp_path / "state", timeout=PATIENCE)
    assert vm.state is VirtualMachineState.ERROR
    assert os.listdir(tmp_path) == []
    assert eventually(lambda: children() == before)
    monkeypatch.delenv("APPLEVZ_QEMU_TIMEOUT")
    vm.start(timeout=PATIENCE)
    vm.stop(timeout=PATIENCE)
    vm.restore_state(original, timeout=PATIENCE)
    assert remembers(go_on(vm))


def test_a_save_that_qemu_fails_leaves_no_file_and_can_be_repeated(
    machine: MakeMachine, script: Script, tmp_path: Path
) -> None:
    status = '{"return": {"status": "%s"}, "id": %%d}\r\n'
    script(
        answers={
            "query-status": status % "paused",
            "query-migrate": '{"return": {"status": "failed", "error-desc": "no such luck"}, "id": %d}\r\n',
        },
        after={"migrate": "tell"},
        events=[json.dumps({"event": "MIGRATION", "data": {"status": "failed"}, "timestamp": {}})],
    )
    vm = machine()
    vm.start(timeout=PATIENCE)
    vm.pause(timeout=PATIENCE)
    for _ in range(2):
        with pytest.raises(applevz.SaveError, match="no such luck"):
            vm.save_state(tmp_path / "state", timeout=PATIENCE)
        assert os.listdir(tmp_path) == []
        assert vm.state is PAUSED


def test_a_folder_that_has_only_files_with_names_gets_a_whole_one_or_none(
    guest_files: Path, identifier: applevz.GenericMachineIdentifier, tmp_path: Path
) -> None:
    # As network file systems are: O_TMPFILE is refused, so the file has a name of its own until it is whole.
    (tmp_path / "refusal.c").write_text(
        "#define _GNU_SOURCE\n"
        "#include <dlfcn.h>\n#include <errno.h>\n#include <fcntl.h>\n#include <stdarg.h>\n"
        "int openat(int folder, const char *path, int flags, ...) {\n"
        "    va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest);\n"
        "    if ((flags & O_TMPFILE) == O_TMPFILE) { errno = EOPNOTSUPP; return -1; }\n"
        '    return ((int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat"))(folder, path, flags, mode);\n'
        "}\n"
    )
    library = tmp_path / "refusal.so"
    subprocess.run(["clang", "-shared", "-fPIC", "-o", library, tmp_path / "refusal.c"], check=True)
    folder = tmp_path / "folder"
    folder.mkdir()
    program = f"""
import os, signal, sys, time, applevz
sys.path.insert(0, {str(SUPPORT)!r})
from processes import children
boot_loader = applevz.LinuxBootLoader({str(guest_files / "vmlinux")!r}, {str(guest_files / "initrd.cpio.gz")!r},
                                      "console=hvc0 quiet")
platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier({identifier.data_representation!r}))
vm = applevz.VirtualMachine(applevz.VirtualMachineConfiguration(boot_loader, memory_size="256MiB", platform=platform))
vm.start()
vm.pause()
folder = sys.argv[1]
vm.save_state(folder + "/state")
assert os.listdir(folder) == ["state"], os.listdir(folder)
vm.stop()
vm.restore_state(folder + "/state", private=True)
vm.resume()
vm.stop()
vm.start()
vm.pause()
# One whose QEMU ends when the memory is written and its own part is not.
(qemu,) = children()
os.kill(qemu, signal.SIGSTOP)
try:
    vm.save_state(folder + "/other", timeout=0.5)
except applevz.TimeoutError:
    pass
assert len(os.listdir(folder)) == 2, os.listdir(folder)
os.kill(qemu, signal.SIGKILL)
while vm.state is not applevz.VirtualMachineState.ERROR or os.listdir(folder) != ["state"]:
    time.sleep(0.01)
"""
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    subprocess.run([sys.executable, "-c", program, folder], env=environment, check=True, timeout=PATIENCE)


def test_a_process_that_is_killed_while_it_saves_leaves_a_whole_file_or_none(
    guest_files: Path,
    make: Callable[..., applevz.VirtualMachine],
    identifier: applevz.GenericMachineIdentifier,
    original: Path,
    tmp_path: Path,
) -> None:
    program = f"""
import sys, applevz
boot_loader = applevz.LinuxBootLoader({str(guest_files / "vmlinux")!r}, {str(guest_files / "initrd.cpio.gz")!r},
                                      "console=hvc0 quiet")
platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier({identifier.data_representation!r}))
vm = applevz.VirtualMachine(applevz.VirtualMachineConfiguration(boot_loader, memory_size="256MiB", platform=platform))
vm.restore_state({str(original)!r})
vm.resume()
vm.pause()
print("saving", flush=True)
vm.save_state(sys.argv[1])
"""
    for delay in (0.0, 0.01, 0.03, 0.06):
        path = tmp_path / f"state {delay}"
        process = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "saving\n"
        time.sleep(delay)
        process.kill()
        process.communicate()
        assert set(os.listdir(tmp_path)) <= {path.name}
        if path.exists():
            vm = make()
            vm.restore_state(path, timeout=PATIENCE)
            assert vm.state is PAUSED
            vm.stop(timeout=PATIENCE)
            path.unlink()


def test_a_machine_that_is_let_go_while_it_is_saved_leaves_nothing(
    make: Callable[..., applevz.VirtualMachine], original: Path, tmp_path: Path
) -> None:
    before = children()
    vm = make()
    vm.restore_state(original, timeout=PATIENCE)
    with pytest.raises(applevz.TimeoutError):
        vm.save_state(tmp_path / "state", timeout=0)
    vm.shutdown(applevz.ShutdownPolicy.POWEROFF, timeout=PATIENCE)
    assert vm.state is STOPPED
    assert eventually(lambda: children() == before)
    vm.start(timeout=PATIENCE)


@pytest.mark.parametrize("end", ["completed", "failed"])
def test_a_save_is_over_when_qemu_takes_commands_for_the_machine_again(
    machine: MakeMachine, script: Script, tmp_path: Path, end: str
) -> None:
    # It tells of the migration's end before it lets go of the machine, and refuses to go on with it in between.
    status = '{"return": {"status": "%s", "running": false, "singlestep": false}, "id": %%d}\r\n'
    script(
        answers={"query-status": [status % "finish-migrate"] * 3 + [status % "postmigrate"]},
        after={"migrate": "tell"},
        events=[json.dumps({"event": "MIGRATION", "data": {"status": end}, "timestamp": {}})],
        commands=str(tmp_path / "commands"),
    )
    vm = machine()
    vm.start(timeout=PATIENCE)
    vm.pause(timeout=PATIENCE)
    with pytest.raises(applevz.SaveError):
        vm.save_state(tmp_path / "nowhere" / "state", timeout=PATIENCE)
    commands = (tmp_path / "commands").read_text().splitlines()
    asked = commands[commands.index("migrate") + 1 :]
    assert asked == ["query-status"] * 4 + (["query-migrate"] if end == "failed" else [])


def test_saving_and_restoring_leave_no_descriptors_and_no_processes(
    make: Callable[..., applevz.VirtualMachine], saved: Path, tmp_path: Path
) -> None:
    def descriptors() -> set[str]:
        gc.collect()
        return set(os.listdir("/proc/self/fd"))

    vm = make()
    before, processes = None, children()
    for number in range(6):
        vm.restore_state(saved, timeout=PATIENCE, private=number % 2 == 0)
        vm.save_state(tmp_path / f"{number}", timeout=PATIENCE)
        vm.stop(timeout=PATIENCE)
        flip(TRAILER + 20)(tmp_path / f"{number}")
        with pytest.raises(applevz.RestoreError):
            vm.restore_state(tmp_path / f"{number}", timeout=PATIENCE)
        (tmp_path / f"{number}").unlink()
        # The first rounds open what is opened once.
        if number == 1:
            before = len(descriptors())
    assert children() == processes
    assert eventually(lambda: len(descriptors()) <= before)


def test_the_prompt_of_a_restored_guest_comes_once(make: Callable[..., applevz.VirtualMachine], saved: Path) -> None:
    vm = make()
    vm.restore_state(saved, timeout=PATIENCE)
    vm.start(timeout=PATIENCE)
    vm.console.write(b"echo once\n")
    assert vm.console.read_until(PROMPT, timeout=PATIENCE) == b"once\n" + PROMPT
