# SPDX-License-Identifier: Apache-2.0
"""A Debian disk with systemd and cloud-init, booted by EFI firmware, which gets the agent from a seed.

Booted once, and saved: what is done to it before stands in the order of the file, and each test after that goes on from
the state."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import applevz
from applevz import CloudInitSeed, EFIBootLoader, EFIVariableStore
from guest_machine import PATIENCE
from image_checks import EACH_CHECK, Check
from image_saved_checks import (
    Begun,
    check_a_loop_uses_the_guest,
    check_another_program_takes_the_guest_over,
    check_eight_clones_run_at_once,
    suspend_while_a_program_prints,
)
from images import BOOT_PATIENCE
from saved_systems import SavedSystem, copy_file

pytestmark = pytest.mark.skipif(
    not (applevz.capabilities.guest_agent and applevz.capabilities.efi), reason="there is no agent, or no firmware"
)
# A command in a system that is still busy with its first boot.
LONG = 300.0

SEED = CloudInitSeed(
    {"hostname": "seeded", "write_files": [{"path": "/etc/seeded", "content": "ü\u2028: 'yes'\n"}]},
    users=[{"name": "ada", "shell": "/bin/sh"}],
    guest_agent=True,
)


class Debian:
    """One disk with its seed and its store of variables."""

    def __init__(self, folder: Path) -> None:
        self.disk, self.seed, self.variables = (folder / name for name in ("disk.img", "seed.iso", "variables"))
        self.identifier = applevz.GenericMachineIdentifier.random()

    def configuration(self, seed: bool = True) -> applevz.VirtualMachineConfiguration:
        # It is a copy, and the host's own disk may be busy.
        mode = applevz.DiskImageSynchronizationMode.NONE
        disks = [applevz.DiskImageStorageDeviceAttachment(self.disk, synchronization_mode=mode)]
        if seed:
            disks.append(SEED.attachment(self.seed))
        return applevz.VirtualMachineConfiguration(
            EFIBootLoader(EFIVariableStore(self.variables)),
            cpu_count=2,
            memory_size="768MiB",
            platform=applevz.GenericPlatformConfiguration(self.identifier),
            storage_devices=[applevz.VirtioBlockDeviceConfiguration(disk) for disk in disks],
            guest_agent=True,
        )


@pytest.fixture(scope="module")
def debian(debian_disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Debian:
    made = Debian(tmp_path_factory.mktemp("debian"))
    copy_file(debian_disk, made.disk)
    return made


@pytest.fixture(scope="module")
def machine(debian: Debian) -> Iterator[applevz.VirtualMachine]:
    with applevz.VirtualMachine(debian.configuration()) as machine:
        machine.start(timeout=PATIENCE)
        machine.guest.wait(timeout=BOOT_PATIENCE)
        yield machine


def answer(guest: applevz.Guest, command: str) -> str:
    return str(guest.run(command, shell=True, text=True, timeout=LONG).stdout)


def test_cloud_init_works_the_seed_off_and_installs_the_agent(machine: applevz.VirtualMachine) -> None:
    guest = machine.guest
    done = guest.run(["cloud-init", "status", "--wait", "--long"], text=True, timeout=BOOT_PATIENCE)
    assert "status: done" in done.stdout, done.stdout
    assert answer(guest, "hostname; id -un ada") == "seeded\nada\n"
    assert guest.read_text("/etc/seeded") == "ü\u2028: 'yes'\n"
    assert guest.info().agent == applevz.__version__
    words = answer(guest, "systemctl show -p ActiveState,UnitFileState,KillMode,Restart applevz-agent")
    assert set(words.split()) == {"ActiveState=active", "UnitFileState=enabled", "KillMode=process", "Restart=always"}
    # The disk is let go of.
    assert answer(guest, "grep -c iso9660 /proc/mounts") == "0\n"


def test_a_restart_of_the_service_leaves_what_runs_detached(machine: applevz.VirtualMachine) -> None:
    guest = machine.guest
    pid = guest.popen(["sleep", "100000"], detached=True, timeout=LONG).pid
    before = answer(guest, "systemctl show -p MainPID --value applevz-agent")
    with contextlib.suppress(applevz.GuestConnectionLostError, applevz.GuestUnreachableError):
        guest.run(["systemctl", "restart", "applevz-agent"], timeout=LONG)
    guest.wait(timeout=LONG)
    assert answer(guest, "systemctl show -p MainPID --value applevz-agent") != before
    assert guest.read_text(f"/proc/{pid}/comm") == "sleep\n"
    # An agent that dies otherwise comes back, too.
    with contextlib.suppress(applevz.GuestConnectionLostError, applevz.GuestUnreachableError):
        guest.run("kill -9 $(systemctl show -p MainPID --value applevz-agent)", shell=True, timeout=LONG)
    guest.wait(timeout=LONG)
    assert answer(guest, f"cat /proc/{pid}/comm") == "sleep\n"
    guest.run(["kill", str(pid)], timeout=LONG)


@pytest.fixture(scope="module")
def begun_and_saved(debian: Debian, machine: applevz.VirtualMachine) -> tuple[Begun, SavedSystem]:
    """Ends the machine."""
    state = debian.disk.with_name("state")
    begun = suspend_while_a_program_prints(machine, state)
    return begun, SavedSystem(debian.configuration(), state, [debian.disk, debian.variables])


@EACH_CHECK
def test_the_agent(check: Check, begun_and_saved: tuple[Begun, SavedSystem], tmp_path: Path) -> None:
    with begun_and_saved[1].machine() as machine:
        check(machine, tmp_path)


def test_another_program_takes_the_guest_over(begun_and_saved: tuple[Begun, SavedSystem]) -> None:
    check_another_program_takes_the_guest_over(begun_and_saved[1], begun_and_saved[0])


def test_eight_clones_run_at_once(begun_and_saved: tuple[Begun, SavedSystem]) -> None:
    check_eight_clones_run_at_once(begun_and_saved[1])


def test_a_loop_uses_the_guest(begun_and_saved: tuple[Begun, SavedSystem], tmp_path: Path) -> None:
    check_a_loop_uses_the_guest(begun_and_saved[1], tmp_path)


def test_a_later_boot_without_the_seed_has_the_agent(
    debian: Debian, begun_and_saved: tuple[Begun, SavedSystem]
) -> None:
    begun_and_saved[1].provide_disks()
    with applevz.VirtualMachine(debian.configuration(seed=False)) as again:
        again.start(timeout=PATIENCE)
        guest = again.guest.wait(timeout=BOOT_PATIENCE)
        assert answer(guest, "cat /etc/hostname; ls /dev/vd?").split() == ["seeded", "/dev/vda"]
