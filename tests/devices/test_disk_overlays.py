# SPDX-License-Identifier: Apache-2.0
"""Disks whose guests write elsewhere than to the image: what they write is gone with the machine, and the image is as
it was."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import applevz
import file_systems
from fixtures import Boot, Configure, MakeMachine
from guest_machine import PATIENCE, Guest
from places import SUPPORT
from processes import children, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a Mac's framework has no such disks")

KIB, MIB = 1 << 10, 1 << 20
WORDS = b"written to the base\n"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A sparse image of 64 MiB with a few words at its beginning, and at 1 MiB."""
    path = tmp_path / "base.img"
    applevz.create_disk_image(path, "64MiB")
    with path.open("r+b") as file:
        file.write(WORDS)
        file.seek(MIB)
        file.write(WORDS)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def ephemeral(path: Path, **fields: Any) -> applevz.DiskImageStorageDeviceAttachment:
    return applevz.DiskImageStorageDeviceAttachment(path, ephemeral=True, **fields)


def virtio(path: Path, **fields: Any) -> applevz.VirtioBlockDeviceConfiguration:
    return applevz.VirtioBlockDeviceConfiguration(ephemeral(path, **fields))


def first_words(guest: Guest, disk: str = "vda", skip: int = 0) -> str:
    return guest.run(f"dd if=/dev/{disk} bs=512 count=1 skip={skip} iflag=direct 2>/dev/null | tr -d '\\0' | head -n 1")


def write(guest: Guest, words: str, disk: str = "vda", skip: int = 0) -> None:
    command = f"echo {words} | dd of=/dev/{disk} bs=512 seek={skip} conv=sync,fsync 2>/dev/null && echo done"
    assert guest.run(command) == "done"


def descriptors(process: int) -> dict[str, int]:
    """What a process has open: the path of each file, and its flags."""
    found = {}
    for name in os.listdir(f"/proc/{process}/fd"):
        information = Path(f"/proc/{process}/fdinfo/{name}").read_text()
        flags = next(line.split()[1] for line in information.splitlines() if line.startswith("flags:"))
        found[os.readlink(f"/proc/{process}/fd/{name}")] = int(flags, 8)
    return found


# ---- Disks that are gone with their machine ----


def opened_below(process: int, folder: Path) -> int:
    """How many descriptors a process has of files there, with a name or without."""
    links = Path(f"/proc/{process}/fd").iterdir()
    return sum(os.readlink(link).startswith(str(folder)) for link in links)


def test_what_a_guest_writes_is_gone_with_the_machine_and_the_image_is_as_it_was(
    boot: Boot, base: Path, tmp_path: Path
) -> None:
    """On whatever bus a disk is: one machine has one on each, and one that comes while it runs."""
    folder = tmp_path / "overlays"
    folder.mkdir()
    before = digest(base), base.stat().st_mtime_ns
    disk = ephemeral(base, overlay_directory=folder)
    usb = applevz.USBMassStorageDeviceConfiguration(disk)
    guest = boot(
        kernel="desktop/vmlinux",
        storage_devices=[
            applevz.VirtioBlockDeviceConfiguration(disk),
            applevz.NVMExpressControllerDeviceConfiguration(disk),
            applevz.USBMassStorageDeviceConfiguration(disk),
        ],
        usb_controllers=[applevz.XHCIControllerConfiguration([usb])],
    )
    for _ in range(2):
        (qemu,) = children()
        opened = opened_below(qemu, tmp_path)
        device = guest.machine.usb_controllers[0].attach(
            applevz.USBMassStorageDeviceConfiguration(disk), timeout=PATIENCE
        )
        assert opened_below(qemu, tmp_path) > opened
        for name in ("vda", "nvme0n1", "sda", "sdb", "sdc"):
            guest.wait_for_disk(name)
            assert first_words(guest, name) == WORDS.decode().strip()
            write(guest, f"other-{name}", name)
            write(guest, f"more-{name}", name, skip=100_000)
            assert int(guest.run(f"cat /sys/block/{name}/size")) * 512 == 64 * MIB
        for name in ("vda", "nvme0n1", "sda", "sdb", "sdc"):
            assert first_words(guest, name) == f"other-{name}"
            assert first_words(guest, name, skip=2048) == WORDS.decode().strip()
            assert first_words(guest, name, skip=100_000) == f"more-{name}"
        assert os.listdir(folder) == []
        device.detach(timeout=PATIENCE)
        assert opened_below(qemu, tmp_path) == opened
        guest.run("while [ -b /dev/sdc ]; do usleep 10000; done")
        guest.machine.usb_controllers[0].attach(applevz.USBMassStorageDeviceConfiguration(disk), timeout=PATIENCE)
        guest.run("until [ -b /dev/sdc ]; do usleep 10000; done")
        guest.wait_for_disk("sdc")
        assert first_words(guest, "sdc") == WORDS.decode().strip()
        guest.machine.stop(timeout=PATIENCE)
        guest.start()
    assert (digest(base), base.stat().st_mtime_ns) == before


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, in memory."""
    with file_systems.in_memory(tmp_path / "mounted", "64m") as folder:
        yield folder


def test_many_machines_run_on_one_image_that_nobody_can_write(
    machine: MakeMachine, base: Path, mounted: Path
) -> None:
    """It lies in a file system that is mounted read-only: opening it for writing fails for root too."""
    image = mounted / "base.img"
    subprocess.run(["cp", "--sparse=always", base, image], check=True)
    subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)
    with pytest.raises(applevz.InvalidDiskImageError, match="Read-only file system"):
        machine(storage_devices=[applevz.VirtioBlockDeviceConfiguration(
            applevz.DiskImageStorageDeviceAttachment(image)
        )])  # fmt: skip
    guests = [Guest(machine(memory_size="128MiB", storage_devices=[virtio(image)])) for _ in range(2)]
    for guest in guests:
        guest.start()
    for qemu in children():
        flags = descriptors(qemu)[str(image)]
        assert flags & os.O_ACCMODE == os.O_RDONLY
    for number, guest in enumerate(guests):
        write(guest, f"number-{number}")
    for number, guest in enumerate(guests):
        assert first_words(guest) == f"number-{number}"
        guest.machine.stop(timeout=PATIENCE)
    assert digest(image) == digest(base)


def test_one_machine_has_one_image_twice(boot: Boot, base: Path) -> None:
    guest = boot(storage_devices=[virtio(base), virtio(base)])
    write(guest, "first", "vda")
    assert first_words(guest, "vda") == "first"
    assert first_words(guest, "vdb") == WORDS.decode().strip()


@pytest.mark.parametrize("victim", ["QEMU", "Python"])
def test_nothing_is_left_of_what_was_written_whoever_is_killed(
    guest_files: Path, base: Path, mounted: Path, victim: str
) -> None:
    free = os.statvfs(mounted).f_bfree
    program = f"""
import sys
sys.path.insert(0, {str(SUPPORT)!r})
import applevz, os
from guest_machine import Guest
from places import SUPPORT
from processes import children, eventually
boot_loader = applevz.LinuxBootLoader({str(guest_files / "vmlinux")!r}, {str(guest_files / "initrd.cpio.gz")!r},
                                      "console=hvc0 quiet")
disk = applevz.DiskImageStorageDeviceAttachment({str(base)!r}, ephemeral=True, overlay_directory={str(mounted)!r})
disks = [applevz.VirtioBlockDeviceConfiguration(disk)]
vm = applevz.VirtualMachine(applevz.VirtualMachineConfiguration(boot_loader, memory_size="128MiB",
                                                                storage_devices=disks))
guest = Guest(vm).start()
guest.run("dd if=/dev/urandom of=/dev/vda bs=1M count=8 conv=fsync 2>/dev/null")
print(*children(), flush=True)
vm.wait(applevz.VirtualMachineState.ERROR)
print("ended", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        qemu = int(process.stdout.readline())
        assert os.listdir(mounted) == []
        assert (free - os.statvfs(mounted).f_bfree) * os.statvfs(mounted).f_frsize >= 8 * MIB
        ended = os.pidfd_open(qemu)
        if victim == "QEMU":
            os.kill(qemu, signal.SIGKILL)
            assert process.stdout.readline() == "ended\n"
        else:
            process.kill()
        # Readable once the process is gone.
        assert select.select([ended], [], [], PATIENCE)[0]
        os.close(ended)
    assert eventually(lambda: os.statvfs(mounted).f_bfree == free)
    assert os.listdir(mounted) == []


def room_of_overlay(folder: Path) -> int:
    """In bytes, of the one file without a name in that folder that this process's QEMU has."""
    (qemu,) = children()
    for name in os.listdir(f"/proc/{qemu}/fd"):
        target = os.readlink(f"/proc/{qemu}/fd/{name}")
        if target.startswith(str(folder)) and target.endswith("(deleted)"):
            return os.stat(f"/proc/{qemu}/fd/{name}").st_blocks * 512
    raise AssertionError("there is no overlay")


def test_an_overlay_takes_as_much_room_as_was_written_and_gives_back_what_is_discarded(
    boot: Boot, base: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "overlays"
    folder.mkdir()
    guest = boot(storage_devices=[virtio(base, overlay_directory=folder)])
    room = room_of_overlay(folder)
    assert room < 64 * KIB
    # 100 places, each in a cluster of its own.
    command = "for i in $(seq 100); do dd if=/dev/urandom of=/dev/vda bs=4k count=1 seek=$((i * 16)) conv=fsync; done"
    guest.run(f"({command}) 2>/dev/null")
    # And the tables, which say where what is.
    assert room_of_overlay(folder) - room < 100 * 4 * KIB + 256 * KIB
    guest.run("dd if=/dev/urandom of=/dev/vda bs=1M seek=16 count=16 conv=fsync 2>/dev/null")
    full = room_of_overlay(folder)
    assert full - room > 16 * MIB
    assert guest.run("blkdiscard -o 16777216 -l 16777216 /dev/vda && echo done") == "done"
    assert full - room_of_overlay(folder) > 15 * MIB
    assert guest.run("dd if=/dev/vda bs=1M skip=16 count=16 iflag=direct 2>/dev/null | tr -d '\\0' | wc -c") == "0"


def test_every_way_of_caching_works(boot: Boot, base: Path) -> None:
    ways = zip(applevz.DiskImageCachingMode, applevz.DiskImageSynchronizationMode, strict=True)
    disks = [virtio(base, caching_mode=caching, synchronization_mode=synchronized) for caching, synchronized in ways]
    guest = boot(storage_devices=disks)
    for number, name in enumerate(("vda", "vdb", "vdc")):
        write(guest, f"other-{number}", name, skip=1)
    for number, name in enumerate(("vda", "vdb", "vdc")):
        assert first_words(guest, name) == WORDS.decode().strip()
        assert first_words(guest, name, skip=1) == f"other-{number}"


def test_a_full_folder_is_the_guest_s_error_and_the_machine_goes_on(boot: Boot, base: Path, mounted: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=2m", mounted], check=True)
    guest = boot(storage_devices=[virtio(base, overlay_directory=mounted)])
    refused = guest.run("dd if=/dev/urandom of=/dev/vda bs=1M count=8 conv=fsync 2>&1 >/dev/null")
    assert "error" in refused
    assert first_words(guest, skip=2048 * 20) == ""
    assert guest.machine.state is applevz.VirtualMachineState.RUNNING
    guest.machine.stop(timeout=PATIENCE)


def test_an_image_that_a_machine_writes_is_refused_by_name(machine: MakeMachine, base: Path) -> None:
    writer = applevz.VirtioBlockDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(base))
    one = machine(memory_size="128MiB", storage_devices=[writer])
    other = machine(memory_size="128MiB", storage_devices=[virtio(base)])
    one.start(timeout=PATIENCE)
    with pytest.raises(applevz.InvalidDiskImageError) as caught:
        other.start(timeout=PATIENCE)
    assert f'storageDevices[0].attachment.URL is "{base}", which another process uses' in str(caught.value)
    one.stop(timeout=PATIENCE)
    other.start(timeout=PATIENCE)
    with pytest.raises(applevz.InvalidDiskImageError, match="which another process uses"):
        one.start(timeout=PATIENCE)


def test_a_raw_image_in_which_a_guest_wrote_another_format_is_refused(configure: Configure, base: Path) -> None:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/hostname", base], check=True)
    with pytest.raises(applevz.InvalidDiskImageError, match="is in qcow2 format, not raw"):
        configure(storage_devices=[virtio(base)]).validate()


# ---- Disks that hold what differs ----


def branch(path: Path, base: Path) -> applevz.VirtioBlockDeviceConfiguration:
    return applevz.VirtioBlockDeviceConfiguration(applevz.create_disk_image(path, base=base, clone=False))


def test_a_disk_holds_what_differs_from_its_base_from_one_machine_to_the_next(
    boot: Boot, base: Path, tmp_path: Path
) -> None:
    before = digest(base), base.stat().st_mtime_ns
    disks = [branch(tmp_path / "one", base), branch(tmp_path / "two", base)]
    assert (tmp_path / "one").stat().st_blocks * 512 < 64 * KIB
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o600
    guest = boot(storage_devices=disks)
    for disk in ("vda", "vdb"):
        assert int(guest.run(f"cat /sys/block/{disk}/size")) * 512 == 64 * MIB
        assert first_words(guest, disk) == WORDS.decode().strip()
        write(guest, f"on-{disk}", disk)
    assert first_words(guest, "vda", skip=2048) == WORDS.decode().strip()
    (qemu,) = children()
    # What was synced is the host's, whatever befalls QEMU.
    os.kill(qemu, signal.SIGKILL)
    guest.machine.wait(applevz.VirtualMachineState.ERROR, timeout=PATIENCE)
    other = boot(storage_devices=[
        applevz.VirtioBlockDeviceConfiguration(
            applevz.DiskImageStorageDeviceAttachment(tmp_path / name, read_only=name == "two", base=base)
        )
        for name in ("one", "two")
    ])  # fmt: skip
    assert [first_words(other, disk) for disk in ("vda", "vdb")] == ["on-vda", "on-vdb"]
    assert other.run("cat /sys/block/vda/ro /sys/block/vdb/ro").split() == ["0", "1"]
    assert (digest(base), base.stat().st_mtime_ns) == before


def test_a_disk_with_a_base_can_be_gone_with_its_machine_too(boot: Boot, base: Path, tmp_path: Path) -> None:
    disk = branch(tmp_path / "branch", base)
    guest = boot(storage_devices=[disk])
    write(guest, "in-the-branch", skip=7)
    guest.machine.shutdown(timeout=PATIENCE)
    before = digest(tmp_path / "branch")
    disk.attachment = applevz.DiskImageStorageDeviceAttachment(tmp_path / "branch", base=base, ephemeral=True)
    guest = boot(storage_devices=[disk, disk])
    for number, name in enumerate(("vda", "vdb")):
        assert first_words(guest, name) == WORDS.decode().strip()
        assert first_words(guest, name, skip=7) == "in-the-branch"
        write(guest, f"number-{number}", name, skip=7)
    assert [first_words(guest, name, skip=7) for name in ("vda", "vdb")] == ["number-0", "number-1"]
    assert digest(tmp_path / "branch") == before


@pytest.fixture
def cloning(tmp_path: Path) -> Iterator[Path]:
    """A file system in which files share data."""
    folder, image = tmp_path / "cloning", tmp_path / "file system"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(400 * MIB)
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    for make in (["mkfs.btrfs", "-q"], ["mkfs.xfs", "-q", "-m", "reflink=1"]):
        if shutil.which(make[0], path=environment["PATH"]):
            subprocess.run([*make, image], check=True, env=environment)
            if subprocess.run(["mount", "-o", "loop", image, folder], check=False).returncode == 0:
                break
    else:
        pytest.skip("there is no btrfs or XFS that could be mounted")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("clone", [None, True])
def test_a_clone_is_a_raw_image_where_the_file_system_has_clones(
    boot: Boot, base: Path, cloning: Path, clone: bool | None
) -> None:
    shutil.copy(base, cloning / "base.img")
    free = os.statvfs(cloning).f_bfree * os.statvfs(cloning).f_frsize
    attachment = applevz.create_disk_image(cloning / "disk", base=cloning / "base.img", clone=clone)
    assert attachment == applevz.DiskImageStorageDeviceAttachment(cloning / "disk")
    assert free - os.statvfs(cloning).f_bfree * os.statvfs(cloning).f_frsize < MIB
    assert digest(cloning / "disk") == digest(base)
    guest = boot(storage_devices=[applevz.VirtioBlockDeviceConfiguration(attachment)])
    write(guest, "other")
    guest.machine.shutdown(timeout=PATIENCE)
    assert (cloning / "disk").read_bytes().startswith(b"other\n")
    assert digest(cloning / "base.img") == digest(base)


def test_a_clone_that_cannot_be_is_refused_and_leaves_nothing(base: Path, mounted: Path) -> None:
    with pytest.raises(applevz.InvalidDiskImageError, match="must be in one file system that clones files") as caught:
        applevz.create_disk_image(mounted / "disk", base=base, clone=True)
    assert isinstance(caught.value, OSError)
    assert os.listdir(mounted) == []
    attachment = applevz.create_disk_image(mounted / "disk", base=base)
    assert attachment.base == base


def test_an_image_that_is_there_stays_as_it_is(base: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="cannot be made"):
        applevz.create_disk_image(tmp_path / "disk", base=base)
    assert (tmp_path / "disk").read_bytes() == b"mine"
    with pytest.raises(FileNotFoundError, match="cannot be made"):
        applevz.create_disk_image(tmp_path / "nowhere" / "disk", base=base)


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "qcow2", "odd"])
def test_a_base_that_cannot_be_one_is_refused_by_name_and_leaves_no_image(tmp_path: Path, kind: str) -> None:
    base = tmp_path / "base"
    if kind == "folder":
        base.mkdir()
    elif kind == "qcow2":
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", base, "1M"], check=True)
    elif kind != "missing":
        base.write_bytes(b"x" * 1000 if kind == "odd" else b"")
    with pytest.raises(applevz.InvalidDiskImageError, match=f'base is "{base}"') as caught:
        applevz.create_disk_image(tmp_path / "disk", base=base)
    assert isinstance(caught.value, FileNotFoundError) is (kind == "missing")
    assert not (tmp_path / "disk").exists()


def test_a_base_that_a_machine_writes_is_refused(machine: MakeMachine, base: Path, tmp_path: Path) -> None:
    disk = applevz.VirtioBlockDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(base))
    vm = machine(storage_devices=[disk])
    vm.start(timeout=PATIENCE)
    with pytest.raises(applevz.InvalidDiskImageError, match="which another process writes"):
        applevz.create_disk_image(tmp_path / "disk", base=base)
    vm.stop(timeout=PATIENCE)
    applevz.create_disk_image(tmp_path / "disk", base=base)


def test_an_image_without_a_size_and_without_a_base_is_refused(base: Path, tmp_path: Path) -> None:
    wrong: list[dict[str, Any]] = [{}, {"size": "1MiB", "clone": True}, {"base": []}, {"base": base, "size": 1000}]
    for fields in wrong:
        with pytest.raises(applevz.InvalidArgumentError):
            applevz.create_disk_image(tmp_path / "disk", **fields)
    with pytest.raises(applevz.InvalidArgumentTypeError, match="clone"):
        applevz.create_disk_image(tmp_path / "disk", base=base, clone="yes")  # type: ignore[arg-type]
    assert not (tmp_path / "disk").exists()


def validate(configure: Configure, path: Path, base: Path, **fields: Any) -> None:
    disk = applevz.DiskImageStorageDeviceAttachment(path, base=base, **fields)
    configure(storage_devices=[applevz.VirtioBlockDeviceConfiguration(disk)]).validate()


def test_a_base_that_is_not_as_it_was_is_refused_with_what_would_do(
    configure: Configure, base: Path, tmp_path: Path
) -> None:
    path = tmp_path / "disk"
    applevz.create_disk_image(path, base=base, clone=False)
    moved = base.rename(tmp_path / "moved")
    with pytest.raises(applevz.InvalidDiskImageError, match=f'base is "{base}", which cannot be found') as caught:
        validate(configure, path, base)
    assert isinstance(caught.value, FileNotFoundError)
    validate(configure, path, moved)
    copy = Path(shutil.copy2(moved, tmp_path / "copy"))
    os.utime(copy, ns=(0, moved.stat().st_mtime_ns))
    validate(configure, path, copy)
    os.utime(copy, ns=(0, moved.stat().st_mtime_ns + 1))
    with pytest.raises(applevz.InvalidDiskImageError, match="a base that was written last at") as caught_time:
        validate(configure, path, copy)
    advice = caught_time.value.recovery_suggestion
    assert advice is not None
    subprocess.run([*advice.split(": ")[1].removesuffix("FILE.").split(), copy], check=True)
    validate(configure, path, copy)
    os.truncate(copy, 32 * MIB)
    words = "was made of a base of 67108864 bytes; this one has 33554432"
    with pytest.raises(applevz.InvalidDiskImageError, match=words):
        validate(configure, path, copy)


@pytest.mark.parametrize("place", [0, MIB, 64 * MIB - 512])
def test_a_base_that_is_another_of_the_same_size_and_time_is_refused(
    configure: Configure, base: Path, tmp_path: Path, place: int
) -> None:
    """As builders make it that give all files one time."""
    disk = applevz.create_disk_image(tmp_path / "disk", base=base, clone=False)
    time = base.stat().st_mtime_ns
    other = Path(shutil.copy(base, tmp_path / "other"))
    with other.open("r+b") as file:
        file.seek(place)
        file.write(b"another")
    os.utime(other, ns=(0, time))
    with pytest.raises(applevz.InvalidDiskImageError, match="held something else, of the same size and time"):
        validate(configure, tmp_path / "disk", other)
    # Also in the place of the one that this process knows already.
    validate(configure, tmp_path / "disk", base)
    os.replace(other, base)
    with pytest.raises(applevz.InvalidDiskImageError, match="held something else, of the same size and time"):
        configure(storage_devices=[applevz.VirtioBlockDeviceConfiguration(disk)]).validate()


def test_two_branches_that_were_made_at_once_are_two_bases(configure: Configure, base: Path, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one", "two")]
    for path in paths:
        applevz.create_disk_image(path, base=base, clone=False)
        os.utime(path, ns=(0, 0))
    applevz.create_disk_image(tmp_path / "leaf", base=[paths[0], base], clone=False)
    disk = applevz.DiskImageStorageDeviceAttachment(tmp_path / "leaf", base=[paths[1], base])
    with pytest.raises(applevz.InvalidDiskImageError, match="held something else, of the same size and time"):
        configure(storage_devices=[applevz.VirtioBlockDeviceConfiguration(disk)]).validate()


def test_what_is_attached_the_other_way_round_is_refused_with_what_would_do(
    configure: Configure, base: Path, tmp_path: Path
) -> None:
    applevz.create_disk_image(tmp_path / "raw", "64MiB")
    with pytest.raises(applevz.InvalidDiskImageError, match="is no overlay.*raw is attached without base"):
        validate(configure, tmp_path / "raw", base)
    branch(tmp_path / "branch", base)
    disk = applevz.DiskImageStorageDeviceAttachment(tmp_path / "branch")
    with pytest.raises(applevz.InvalidDiskImageError, match="is in qcow2 format.*attached with that base"):
        configure(storage_devices=[applevz.VirtioBlockDeviceConfiguration(disk)]).validate()


# ---- Disks that are larger than their base ----


def grown(size: int = 96 * MIB) -> dict[int, str]:
    """Places in a disk, in sectors, where a test writes: the last of the base, the next one, the last of all."""
    return {64 * MIB // 512 - 1: "base", 64 * MIB // 512: "behind", size // 512 - 1: "last"}


@pytest.mark.parametrize("is_clone", [False, True])
def test_a_disk_that_is_larger_than_its_base_has_zeros_behind_that_and_keeps_what_is_written_there(
    boot: Boot, base: Path, request: pytest.FixtureRequest, tmp_path: Path, is_clone: bool
) -> None:
    folder = request.getfixturevalue("cloning") if is_clone else tmp_path
    if is_clone:
        shutil.copy2(base, folder)
    path = folder / base.name
    disk = applevz.create_disk_image(folder / "disk", "96MiB", base=path, clone=is_clone)
    assert disk.base == (None if is_clone else path)
    guest = boot(storage_devices=[applevz.VirtioBlockDeviceConfiguration(disk)])
    assert int(guest.run("cat /sys/block/vda/size")) * 512 == 96 * MIB
    assert first_words(guest) == WORDS.decode().strip()
    zeros = "dd if=/dev/vda bs=1M skip=64 iflag=direct 2>/dev/null | tr -d '\\0' | wc -c"
    assert guest.run(zeros) == "0"
    for place, words in grown().items():
        write(guest, words, skip=place)
    guest.machine.shutdown(timeout=PATIENCE)
    # As it is, and with an overlay above.
    disks = [dataclasses.replace(disk, read_only=True), dataclasses.replace(disk, ephemeral=True)]
    again = boot(storage_devices=[applevz.VirtioBlockDeviceConfiguration(each) for each in disks])
    for name in ("vda", "vdb"):
        assert [first_words(again, name, skip=place) for place in grown()] == list(grown().values())
    write(again, "more", "vdb", skip=96 * MIB // 512 - 2)
    assert first_words(again, "vdb", skip=96 * MIB // 512 - 2) == "more"
    assert path.stat().st_size == 64 * MIB


def test_a_disk_that_is_smaller_than_its_base_is_refused_in_words(base: Path, tmp_path: Path) -> None:
    for clone in (None, False, True):
        with pytest.raises(applevz.InvalidDiskImageError, match="not smaller than its base") as caught:
            applevz.create_disk_image(tmp_path / "disk", "32MiB", base=base, clone=clone)
        assert "67108864 bytes, and size is 33554432" in str(caught.value)
    assert not (tmp_path / "disk").exists()


# ---- Branches of branches ----


def chain(base: Path, depth: int) -> applevz.DiskImageStorageDeviceAttachment:
    """Branches of which each is made of the one before."""
    disk = applevz.DiskImageStorageDeviceAttachment(base)
    for number in range(depth):
        path = base.with_name(f"branch {number}")
        disk = applevz.create_disk_image(path, base=disk, clone=False)
        # The system's clock of files may stand still for milliseconds.
        os.utime(path, ns=(0, base.stat().st_mtime_ns + number + 1))
    return disk


def test_a_branch_of_a_branch_has_what_each_below_it_has_and_none_of_them_changes(
    boot: Boot, base: Path, tmp_path: Path
) -> None:
    disk = applevz.DiskImageStorageDeviceAttachment(base)
    images = [base]
    for number in range(3):
        path = tmp_path / str(number)
        disk = applevz.create_disk_image(path, base=[str(image) for image in reversed(images)], clone=False)
        guest = boot(storage_devices=[applevz.VirtioBlockDeviceConfiguration(disk)])
        assert [first_words(guest, skip=place) for place in range(1, 1 + number)] == [
            f"from-{place}" for place in range(1, 1 + number)
        ]
        write(guest, f"from-{number + 1}", skip=number + 1)
        guest.machine.shutdown(timeout=PATIENCE)
        images.append(path)
    digests = [digest(image) for image in images]
    leaf = applevz.DiskImageStorageDeviceAttachment(images[-1], base=list(reversed(images[:-1])))
    disks = [dataclasses.replace(leaf, ephemeral=True), dataclasses.replace(leaf, read_only=True)]
    guest = boot(storage_devices=[applevz.VirtioBlockDeviceConfiguration(each) for each in disks])
    (qemu,) = children()
    opened = descriptors(qemu)
    assert all(opened[str(image)] & os.O_ACCMODE == os.O_RDONLY for image in images)
    for name in ("vda", "vdb"):
        assert [first_words(guest, name, skip=place) for place in range(1, 4)] == [f"from-{n}" for n in range(1, 4)]
        assert first_words(guest, name, skip=2048) == WORDS.decode().strip()
    guest.machine.stop(timeout=PATIENCE)
    assert [digest(image) for image in images] == digests


def test_what_create_disk_image_returns_is_a_base(base: Path, tmp_path: Path) -> None:
    disk = chain(base, 3)
    below = [base.with_name("branch 1"), base.with_name("branch 0"), base]
    assert disk == applevz.DiskImageStorageDeviceAttachment(base.with_name("branch 2"), base=below)


def test_a_chain_is_as_long_as_it_may_be_and_no_longer(boot: Boot, base: Path) -> None:
    disk = chain(base, 16)
    guest = boot(storage_devices=[applevz.VirtioBlockDeviceConfiguration(disk)])
    assert first_words(guest, skip=2048) == WORDS.decode().strip()
    guest.machine.stop(timeout=PATIENCE)
    with pytest.raises(applevz.InvalidDiskImageError, match="base names 17 images"):
        applevz.create_disk_image(base.with_name("one more"), base=disk, clone=False)
    assert not base.with_name("one more").exists()


def test_a_chain_that_lacks_one_has_another_order_or_leads_to_itself_is_refused_by_place(
    configure: Configure, base: Path
) -> None:
    chain(base, 3)
    zero, one, two = (base.with_name(f"branch {number}") for number in range(3))
    wrong = {
        rf'base is "{one}", which is in qcow2 format.*named after it': [one],
        rf'base\[1\] is "{one}", which was made of a base': [zero, one, base],
        r"base\[1\] is .*, which also lies below itself": [one, base, base],
        r"base\[0\] is .*, which also lies below itself": [zero, zero, base],
    }
    wrong[rf'base\[0\] is "{one}", which was made of a base'] = [one, base]
    for words, bases in wrong.items():
        disk = applevz.DiskImageStorageDeviceAttachment(two, base=bases)
        with pytest.raises(applevz.InvalidDiskImageError, match=words):
            configure(storage_devices=[applevz.VirtioBlockDeviceConfiguration(disk)]).validate()


@pytest.mark.parametrize("kind", ["a backing file", "an external data file", "another format"])
def test_an_image_in_the_midst_of_a_chain_that_was_not_made_here_is_refused(
    configure: Configure, base: Path, kind: str
) -> None:
    disk = chain(base, 2)
    path = base.with_name("branch 0")
    before = path.stat()
    data = bytearray(path.read_bytes())
    HOSTILE[kind](data)
    path.write_bytes(data)
    os.utime(path, ns=(0, before.st_mtime_ns))
    with pytest.raises(applevz.InvalidDiskImageError, match=rf'base\[0\] is "{path}", which (is|has|names)'):
        configure(storage_devices=[applevz.VirtioBlockDeviceConfiguration(disk)]).validate()


def test_a_branch_that_was_written_since_is_no_base_any_more(boot: Boot, configure: Configure, base: Path) -> None:
    disk = chain(base, 2)
    lower = applevz.DiskImageStorageDeviceAttachment(base.with_name("branch 0"), base=base)
    guest = boot(storage_devices=[applevz.VirtioBlockDeviceConfiguration(lower)])
    with pytest.raises(applevz.InvalidDiskImageError, match=r"another process writes"):
        applevz.create_disk_image(base.with_name("other"), base=lower, clone=False)
    write(guest, "since")
    guest.machine.shutdown(timeout=PATIENCE)
    with pytest.raises(applevz.InvalidDiskImageError, match="a base that was written last at"):
        configure(storage_devices=[applevz.VirtioBlockDeviceConfiguration(disk)]).validate()


def test_a_clone_of_a_branch_is_a_branch_of_the_same_base(boot: Boot, base: Path, cloning: Path) -> None:
    shutil.copy2(base, cloning)
    branch = applevz.create_disk_image(cloning / "branch", base=cloning / base.name, clone=False)
    guest = boot(storage_devices=[applevz.VirtioBlockDeviceConfiguration(branch)])
    write(guest, "in-the-branch", skip=7)
    guest.machine.shutdown(timeout=PATIENCE)
    clone = applevz.create_disk_image(cloning / "clone", base=branch)
    assert clone == applevz.DiskImageStorageDeviceAttachment(cloning / "clone", base=cloning / base.name)
    again = boot(storage_devices=[applevz.VirtioBlockDeviceConfiguration(clone)])
    assert first_words(again, skip=7) == "in-the-branch"
    with pytest.raises(applevz.InvalidDiskImageError, match="cannot be made"):
        applevz.create_disk_image(cloning / "larger", "96MiB", base=branch, clone=True)
    larger = applevz.create_disk_image(cloning / "larger", "96MiB", base=branch)
    assert larger.base == [cloning / "branch", cloning / base.name]


# ---- Images that somebody made to do harm ----


def put(at: int, form: str, *values: int) -> Callable[[bytearray], None]:
    return lambda data: struct.pack_into(form, data, at, *values)


HOSTILE = {
    "another format": put(0, ">I", 0x4B444D56),
    "version 2": put(4, ">I", 2),
    "version 4": put(4, ">I", 4),
    "a backing file": put(8, ">QI", 512, 13),
    "a backing file without a name": put(8, ">Q", 512),
    "small clusters": put(20, ">I", 9),
    "large clusters": put(20, ">I", 31),
    "no size": put(24, ">Q", 0),
    "an odd size": put(24, ">Q", 64 * MIB + 1),
    "another size": put(24, ">Q", 32 * MIB),
    "a huge size": put(24, ">Q", 1 << 62),
    "encryption": put(32, ">I", 1),
    "no table": put(36, ">I", 0),
    "a huge table": put(36, ">I", 0xFFFFFFFF),
    "a table behind the end": put(40, ">Q", 1 << 40),
    "a table at the last byte of all": put(40, ">Q", (1 << 64) - (1 << 16)),
    "a table in the header": put(40, ">Q", 0),
    "counts behind the end": put(48, ">Q", 1 << 40),
    "many counts": put(56, ">I", 0xFFFFFFFF),
    "no counts": put(56, ">I", 0),
    "snapshots": put(60, ">IQ", 1, 1 << 16),
    "damage that QEMU marked": put(72, ">Q", 16 | 2),
    "an external data file": put(72, ">Q", 16 | 4),
    "an unknown feature": put(72, ">Q", 16 | 1 << 40),
    "no subclusters": put(72, ">Q", 0),
    "lazy counts": put(80, ">Q", 1),
    "bitmaps": put(88, ">Q", 1),
    "a raw external file": put(88, ">Q", 2),
    "wide counts": put(96, ">I", 6),
    "a short header": put(100, ">I", 72),
    "a long header": put(100, ">I", 0xFFFFFFFF),
    "another compression": put(104, ">B", 1),
    "the name of a data file": put(112, ">II", 0x44415441, 24),
    "no words on the base": put(112, ">II", 0x6803F857, 24),
    "no end": put(112, ">II", 0x6803F857, 0xFFFFFFFF),
    "words on a base of another length": put(116, ">I", 16),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_image_that_was_not_made_here_is_refused_in_words(
    configure: Configure, base: Path, tmp_path: Path, kind: str
) -> None:
    """Each is as QEMU might take it: a machine would read another file of this host."""
    path = tmp_path / "disk"
    applevz.create_disk_image(path, base=base, clone=False)
    data = bytearray(path.read_bytes())
    HOSTILE[kind](data)
    path.write_bytes(data)
    with pytest.raises(applevz.InvalidDiskImageError, match=f'URL is "{path}", which (is|was|has|names)'):
        validate(configure, path, base)


@pytest.mark.parametrize("length", [0, 4, 111, 4096, 3 << 16])
def test_an_image_that_was_cut_off_is_refused_in_words(
    configure: Configure, base: Path, tmp_path: Path, length: int
) -> None:
    path = tmp_path / "disk"
    applevz.create_disk_image(path, base=base, clone=False)
    os.truncate(path, length)
    with pytest.raises(applevz.InvalidDiskImageError, match="which is (no overlay|damaged)"):
        validate(configure, path, base)


def test_a_guest_that_writes_a_header_into_its_disk_reads_what_it_wrote(
    boot: Boot, base: Path, tmp_path: Path
) -> None:
    """The first bytes of a disk are the guest's. Nobody takes them for those of an image."""
    disks = [branch(tmp_path / name, base) for name in ("one", "two")]
    guest = boot(storage_devices=disks)
    header = r"printf 'QFI\373\0\0\0\003\0\0\0\0\0\0\002\0\0\0\0\015'"
    for name in ("vda", "vdb"):
        assert guest.run(f"{header} | dd of=/dev/{name} bs=512 conv=sync,fsync 2>/dev/null && echo done") == "done"
    guest.machine.stop(timeout=PATIENCE)
    disks[1].attachment = applevz.DiskImageStorageDeviceAttachment(tmp_path / "two", base=base, ephemeral=True)
    again = boot(storage_devices=disks)
    for name in ("vda", "vdb"):
        assert again.run(f"dd if=/dev/{name} bs=3 count=1 2>/dev/null") == "QFI"
        assert int(again.run(f"cat /sys/block/{name}/size")) * 512 == 64 * MIB
    again.machine.stop(timeout=PATIENCE)


# ---- What is refused ----


def test_a_disk_that_is_ephemeral_and_read_only_is_refused(configure: Configure, base: Path) -> None:
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=r"ephemeral is YES, and readOnly too"):
        configure(storage_devices=[virtio(base, read_only=True)]).validate()


def test_a_folder_for_overlays_of_a_disk_that_has_none_is_refused(configure: Configure, base: Path) -> None:
    disk = applevz.DiskImageStorageDeviceAttachment(base, overlay_directory=base.parent)
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=r"overlayDirectory is .*ephemeral is NO"):
        configure(storage_devices=[applevz.VirtioBlockDeviceConfiguration(disk)]).validate()


@pytest.mark.parametrize(("name", "error"), [("nowhere", FileNotFoundError), ("base.img", NotADirectoryError)])
def test_a_folder_that_cannot_hold_overlays_is_refused_by_name(
    configure: Configure, base: Path, name: str, error: type[OSError]
) -> None:
    folder = base.parent / name
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=r"overlayDirectory is ") as caught:
        configure(storage_devices=[virtio(base, overlay_directory=folder)]).validate()
    assert str(folder) in str(caught.value)
    assert isinstance(caught.value, error)


@pytest.mark.parametrize(("field", "value"), [("ephemeral", 1), ("ephemeral", "yes"), ("overlay_directory", 3)])
def test_what_is_no_value_is_refused_by_name(configure: Configure, base: Path, field: str, value: Any) -> None:
    disk = applevz.DiskImageStorageDeviceAttachment(base, **{"ephemeral": True, field: value})
    with pytest.raises(applevz.InvalidArgumentTypeError, match=rf"storage_devices\[0\]\.attachment\.{field}"):
        configure(storage_devices=[applevz.VirtioBlockDeviceConfiguration(disk)]).validate()


def in_memory_by_default(base: Path, **fields: Any) -> str:
    """What a process says to such a disk whose default folder is in memory."""
    program = (
        "import applevz\n"
        f"disk = applevz.DiskImageStorageDeviceAttachment({str(base)!r}, ephemeral=True, **{fields!r})\n"
        "configuration = applevz.VirtualMachineConfiguration(\n"
        f"    boot_loader=applevz.LinuxBootLoader({str(base)!r}),\n"
        "    storage_devices=[applevz.VirtioBlockDeviceConfiguration(disk)])\n"
        "try:\n    configuration.validate()\nexcept applevz.Error as error:\n    print(error)\n"
    )
    script = 'mount -t tmpfs none /var/tmp && exec "$0" -c "$1"'
    words = ["unshare", "--mount", "sh", "-c", script, sys.executable, program]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_a_default_folder_in_memory_is_refused_and_the_same_is_taken_if_it_is_named(base: Path) -> None:
    words = 'overlayDirectory is nil, and the default, "/var/tmp", is in this host\'s memory'
    assert words in in_memory_by_default(base)
    assert "overlayDirectory" not in in_memory_by_default(base, overlay_directory="/var/tmp")


def test_the_capability_is_there() -> None:
    assert applevz.capabilities.disk_overlays
