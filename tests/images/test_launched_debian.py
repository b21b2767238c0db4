# SPDX-License-Identifier: Apache-2.0
"""A Debian disk that is launched: by EFI firmware, with a seed that cloud-init works off."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import applevz
from images import BOOT_PATIENCE

pytestmark = pytest.mark.skipif(
    not (applevz.capabilities.guest_agent and applevz.capabilities.efi and applevz.capabilities.disk_overlays),
    reason="there is no agent, no firmware, or no disk that goes with its machine",
)
for needed in ("filelock", "pycdlib"):
    pytest.importorskip(needed)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        made = hashlib.sha256()
        while part := file.read(1 << 20):
            made.update(part)
    return made.hexdigest()


def test_it_is_set_up_by_its_seed_and_its_disk_lasts(debian_disk: Path, tmp_path: Path) -> None:
    before, cache, lasting = digest(debian_disk), tmp_path / "cache", tmp_path / "lasting.img"
    users = [{"name": "ada", "shell": "/bin/sh"}]

    def launched() -> applevz.VirtualMachine:
        return applevz.launch(
            debian_disk, disk=lasting, users=users, memory_size="768MiB", timeout=BOOT_PATIENCE, cache=cache
        )

    with launched() as machine:
        guest = machine.guest
        done = guest.run(["cloud-init", "status", "--wait", "--long"], text=True, timeout=BOOT_PATIENCE)
        assert "status: done" in done.stdout, done.stdout
        assert guest.run(["id", "-un"], user="ada", text=True, timeout=BOOT_PATIENCE).stdout == "ada\n"
        assert guest.info(timeout=BOOT_PATIENCE).agent == applevz.__version__
        guest.write_bytes("/root/kept", b"kept", timeout=BOOT_PATIENCE)
        # It has nobody who would notice its power button.
        guest.run(["sync"], check=True, timeout=BOOT_PATIENCE)
    # Much less than the disk, which is as it was.
    assert lasting.stat().st_blocks * 512 < debian_disk.stat().st_size / 2
    assert digest(debian_disk) == before
    with launched() as machine:
        guest = machine.guest
        assert guest.read_bytes("/root/kept", timeout=BOOT_PATIENCE) == b"kept"
        # The seed is the same: cloud-init has done its work for this machine.
        guest.run(["cloud-init", "status", "--wait"], timeout=BOOT_PATIENCE)
        folders = guest.run("ls /var/lib/cloud/instances", shell=True, text=True, timeout=BOOT_PATIENCE).stdout
        assert len(folders.split()) == 1


# Of EFI: the attributes, then the value.
VARIABLE = "/sys/firmware/efi/efivars/Applevz-6a1ea1bc-9b1c-4d4a-8f0e-2f9a3f1f4c11"
MARK = f"printf '\\007\\000\\000\\000kept' >{VARIABLE} && cat /proc/sys/kernel/random/boot_id"


def test_it_goes_on_from_a_cached_state_with_its_variables_its_address_and_its_set_up_system(
    debian_disk: Path, tmp_path: Path
) -> None:
    before, cache, prepared = digest(debian_disk), tmp_path / "cache", []

    def printed(guest: applevz.Guest, command: str) -> str:
        return str(guest.run(command, shell=True, text=True, check=True, timeout=BOOT_PATIENCE).stdout)

    def prepare(guest: applevz.Guest) -> None:
        guest.run(["cloud-init", "status", "--wait"], timeout=BOOT_PATIENCE)
        prepared.append(printed(guest, MARK))

    def launched() -> applevz.VirtualMachine:
        return applevz.launch(
            debian_disk,
            users=[{"name": "ada", "shell": "/bin/sh"}],
            memory_size="768MiB",
            timeout=BOOT_PATIENCE,
            cache=cache,
            cached=True,
            prepare=prepare,
            prepare_key="1",
        )

    with launched() as machine:
        known = "cat /proc/sys/kernel/random/boot_id /sys/class/net/e*/address /etc/machine-id; id -un ada"
        told = printed(machine.guest, known)
        assert told.startswith(prepared[0])
        machine.guest.write_bytes("/root/first", b"", timeout=BOOT_PATIENCE)
        with launched() as second, launched() as third:
            for guest in (second.guest, third.guest):
                assert printed(guest, known) == told
                assert printed(guest, f"tail -c 4 {VARIABLE}") == "kept"
                assert printed(guest, "ls /root; echo >/root/another") == ""
                assert printed(guest, "cloud-init status").startswith("status: done")
    assert len(prepared) == 1
    assert digest(debian_disk) == before
