# SPDX-License-Identifier: Apache-2.0
"""Block devices of the host as disks, by an open file; and a file system of the host that is full."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import applevz
from fixtures import Boot, Configure, MakeMachine
from guest_machine import PATIENCE, Guest
from processes import eventually, open_descriptors, workers_end

linux = pytest.mark.skipif(sys.platform != "linux", reason="the test's guest is made on Linux")

MIB = 1 << 20


def disk(handle: Any, **fields: Any) -> applevz.VirtioBlockDeviceConfiguration:
    attachment = applevz.DiskBlockDeviceStorageDeviceAttachment(handle, **fields)
    return applevz.VirtioBlockDeviceConfiguration(attachment)


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """Three block devices over files beside which nothing is."""
    if not shutil.which("losetup"):
        pytest.skip("there is no losetup")
    folder = tmp_path_factory.mktemp("loops")
    devices: list[Path] = []
    try:
        for name in ("first", "second", "third"):
            applevz.create_disk_image(folder / name, "2MiB")
            made = subprocess.run(
                ["losetup", "--find", "--show", folder / name], capture_output=True, text=True, check=False
            )
            if made.returncode:
                pytest.skip(f"losetup cannot make a block device here: {made.stderr.strip()}")
            devices.append(Path(made.stdout.strip()))
        yield devices
    finally:
        for device in devices:
            subprocess.run(["losetup", "--detach", device], check=True)


def contents(device: Path, count: int) -> bytes:
    with open(device, "rb", buffering=0) as file:
        return file.read(count)


@linux
def test_a_guest_reads_and_writes_block_devices_as_far_as_it_may(boot: Boot, loops: list[Path]) -> None:
    with open(loops[2], "r+b", buffering=0) as file:
        file.write(b"read this")
    with open(loops[0], "r+b") as first, open(loops[1], "rb") as second, open(loops[2], "r+b") as third:
        guest = boot(storage_devices=[disk(first), disk(second.fileno()), disk(third, read_only=True)])
    sizes = guest.run("cat /sys/block/vd?/size").split()
    assert [int(size) * 512 // MIB for size in sizes] == [2, 2, 2]
    # The second was opened for reading only; of the third the configuration says so.
    assert guest.run("cat /sys/block/vd?/ro").split() == ["0", "1", "1"]
    assert guest.run("echo written | dd of=/dev/vda bs=512 conv=sync,fsync 2>/dev/null; echo $?") == "0"
    assert contents(loops[0], 512).startswith(b"written\n")
    assert guest.run("head -c 9 /dev/vdc") == "read this"


@linux
def test_a_machine_with_a_block_device_cannot_be_saved_and_says_why(configure: Configure, loops: list[Path]) -> None:
    with open(loops[0], "rb") as file:
        configuration = configure(storage_devices=[disk(file)])
        configuration.validate()
        words = (
            r"storageDevices\[0\]\.attachment is a VZDiskBlockDeviceStorageDeviceAttachment, of which nobody can tell"
        )
        with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=words):
            configuration.validate_save_restore_support()


@linux
def test_one_block_device_is_not_written_by_two_disks_by_whichever_name(
    configure: Configure, loops: list[Path]
) -> None:
    image = applevz.DiskImageStorageDeviceAttachment(loops[0], read_only=True)
    with open(loops[0], "r+b") as one, open(loops[0], "rb") as other:
        words = r"storageDevices\[1\]\.attachment\.fileHandle is descriptor \d+, the same image as storageDevices\[0\]"
        for first in (disk(other), applevz.VirtioBlockDeviceConfiguration(image)):
            with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=words):
                configure(storage_devices=[first, disk(one)]).validate()
        configure(storage_devices=[disk(other), disk(one, read_only=True)]).validate()


REFUSED = {
    "a file": (lambda folder: os.open(folder, os.O_TMPFILE | os.O_RDWR), "which is not a block device's"),
    "a directory": (lambda folder: os.open(folder, os.O_RDONLY), "which is not a block device's"),
    "a pipe": (lambda _: os.pipe()[0], "which is not a block device's"),
    "the null device": (lambda _: os.open(os.devnull, os.O_RDWR), "which is not a block device's"),
}


@linux
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_block_device_is_refused_in_words_and_leaves_no_descriptor(
    configure: Configure, tmp_path: Path, kind: str
) -> None:
    make, words = REFUSED[kind]
    descriptor = make(tmp_path)
    assert workers_end()
    before = None
    for _ in range(4):
        with pytest.raises(applevz.InvalidDiskImageError) as caught:
            configure(storage_devices=[disk(descriptor)]).validate()
        assert "fileHandle has descriptor" in str(caught.value)
        assert words in str(caught.value)
        assert "Open a block device" in str(caught.value)
        # The error's traceback has the configuration, and that the pipes of its console.
        del caught
        gc.collect()
        # The first brings what all later ones share. Machines of earlier tests may give theirs back meanwhile.
        before = before or open_descriptors()
        assert open_descriptors() <= before
    os.close(descriptor)


@linux
def test_a_block_device_that_is_open_for_writing_only_is_refused(configure: Configure, loops: list[Path]) -> None:
    descriptor = os.open(loops[0], os.O_WRONLY)
    with pytest.raises(applevz.InvalidDiskImageError, match="which was not opened for reading"):
        configure(storage_devices=[disk(descriptor)]).validate()
    os.close(descriptor)


@pytest.mark.parametrize("handle", [None, "disk", -1, 2**31, True])
def test_what_has_no_descriptor_is_refused_by_name(configure: Configure, handle: Any) -> None:
    with pytest.raises(applevz.InvalidArgumentError, match=r"storage_devices\[0\]\.attachment\.file_handle"):
        configure(storage_devices=[disk(handle)]).validate()


def test_a_synchronization_mode_of_another_kind_is_refused_by_name(configure: Configure) -> None:
    mode = applevz.DiskImageSynchronizationMode.FULL
    with pytest.raises(applevz.InvalidArgumentTypeError, match="synchronization_mode"):
        configure(storage_devices=[disk(0, synchronization_mode=mode)]).validate()


# ---- The descriptor ----


@linux
def test_the_handle_stays_its_owner_s_and_every_duplicate_is_closed_once(
    configure: Configure, loops: list[Path]
) -> None:
    program = """
import os, sys, time
from pathlib import Path
import applevz

def configuration(handle):
    disk = applevz.VirtioBlockDeviceConfiguration(applevz.DiskBlockDeviceStorageDeviceAttachment(handle))
    loader = applevz.LinuxBootLoader(sys.argv[1], None, "")
    return applevz.VirtualMachineConfiguration(loader, memory_size="256MiB", serial_ports=[], storage_devices=[disk])

def copies():
    links = Path("/proc/self/fd").iterdir()
    return sum(os.path.lexists(link) and os.readlink(link) == sys.argv[2] for link in links)

handle = open(sys.argv[2], "r+b", buffering=0)
for _ in range(5):
    configuration(handle).validate()
assert copies() == 1
machine = applevz.VirtualMachine(configuration(handle))
assert copies() == 2
for _ in range(2):
    machine.start(timeout=60)
    machine.stop(timeout=60)
# Its position is its own.
assert handle.tell() == 0
assert len(handle.read(4096)) == 4096
del machine
end = time.monotonic() + 30
while copies() > 1 and time.monotonic() < end:
    time.sleep(0.01)
assert copies() == 1
"""
    kernel = os.fspath(configure().boot_loader.kernel)
    done = subprocess.run(
        [sys.executable, "-c", program, kernel, loops[1]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# ---- A host without room ----


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"a file system cannot be mounted here: {made.stderr.strip()}")
    yield folder
    assert eventually(lambda: subprocess.run(["umount", folder], capture_output=True, check=False).returncode == 0)


@linux
def test_a_full_disk_of_the_host_is_an_error_to_the_guest_and_the_machine_lives_on(
    machine: MakeMachine, small: Path
) -> None:
    applevz.create_disk_image(small / "disk", "8MiB")
    with pytest.raises(applevz.POSIXError, match="cannot be made"):
        applevz.create_disk_image(small / "disk", "8MiB")
    vm = machine(
        storage_devices=[
            applevz.VirtioBlockDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(small / "disk"))
        ]
    )
    guest = Guest(vm).start()
    assert guest.run("dd if=/dev/urandom of=/dev/vda bs=1M count=4 conv=fsync 2>/dev/null; echo $?").endswith("1")
    assert vm.state is applevz.VirtualMachineState.RUNNING
    assert (small / "disk").stat().st_blocks * 512 <= MIB
    # What was written before is there, and there is room again where it is overwritten.
    assert guest.run("echo written | dd of=/dev/vda bs=512 conv=sync,fsync 2>/dev/null; echo $?").endswith("0")
    assert (small / "disk").read_bytes().startswith(b"written\n")
    vm.stop(timeout=PATIENCE)
