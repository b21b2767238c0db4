# SPDX-License-Identifier: Apache-2.0
"""A Debian that `images.build_debian` makes, booted by its kernel and by EFI firmware, with the agent and a seed in it.

Each is made twice: from the same packages come the same bytes."""

from __future__ import annotations

import filecmp
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import applevz
from applevz import images
from images import BOOT_PATIENCE
from saved_systems import copy_file

pytest.importorskip("filelock")
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="it is made of Debian's packages"),
    pytest.mark.skipif(not applevz.capabilities.guest_agent, reason="this package was built without the agent"),
]

SEED = applevz.CloudInitSeed({"hostname": "made-here", "write_files": [{"path": "/etc/seeded", "content": "yes\n"}]})
BOOTS = pytest.mark.parametrize("image", ["kernel", "efi"], indirect=True, scope="module")


def build(cache: Path, boot: str, progress: Callable[[images.Progress], object] | None = None) -> images.Image:
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    return images.build_debian(release, packages=["less"], seed=SEED, boot=boot, progress=progress, cache=cache)


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> images.Image:
    if request.param == "efi" and not applevz.capabilities.efi:
        pytest.skip("there is no firmware")
    steps: list[images.Progress] = []
    made = build(tmp_path_factory.mktemp("cache"), request.param, steps.append)
    assert list(dict.fromkeys(step.stage for step in steps)) == ["packages", "install", "disk"]
    done = [step.done for step in steps]
    assert done == sorted(set(done))
    assert {step.total for step in steps} == {done[-1]}
    return made


@BOOTS
def test_it_is_made_once(image: images.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Path(image.path).parents[2]
    assert images.list(cache=cache) == [image]
    assert list((cache / "work").iterdir()) == []
    kernels = ["initial_ramdisk", "kernel"] if image.boot == "kernel" else []
    assert sorted(path.name for path in Path(image.path).parent.iterdir()) == ["disk.raw", "image.json", *kernels]
    monkeypatch.setenv("PATH", "/nowhere")
    assert build(cache, image.boot) == image


@BOOTS
def test_it_boots_with_the_agent_and_the_seed(image: images.Image, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    copy_file(Path(image.path), disk)
    disk.chmod(0o600)
    loader: applevz.EFIBootLoader | applevz.LinuxBootLoader
    if image.boot == "efi":
        loader = applevz.EFIBootLoader(applevz.EFIVariableStore(tmp_path / "variables"))
    else:
        assert image.kernel is not None
        assert image.command_line is not None
        loader = applevz.LinuxBootLoader(image.kernel, image.initial_ramdisk, image.command_line)
    configuration = applevz.VirtualMachineConfiguration(
        loader,
        memory_size="768MiB",
        storage_devices=[applevz.VirtioBlockDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(disk))],
        guest_agent=True,
    )
    with applevz.VirtualMachine(configuration) as machine:
        machine.start(timeout=BOOT_PATIENCE)
        guest = machine.guest.wait(timeout=BOOT_PATIENCE)
        done = guest.run(["cloud-init", "status", "--wait"], timeout=BOOT_PATIENCE, text=True)
        assert "status: done" in done.stdout, done
        assert guest.read_bytes("/etc/seeded", timeout=BOOT_PATIENCE) == b"yes\n"
        told = guest.run(["hostname"], text=True, timeout=BOOT_PATIENCE, check=True).stdout
        assert told == "made-here\n"
        guest.run(["less", "--version"], timeout=BOOT_PATIENCE, check=True)
        free = guest.run(["df", "--output=size", "-B1M", "/"], text=True, timeout=BOOT_PATIENCE, check=True).stdout
        assert int(free.split()[-1]) > 1500  # of 2 GiB
        guest.run(["poweroff"], timeout=BOOT_PATIENCE)
        machine.wait(applevz.VirtualMachineState.STOPPED, timeout=BOOT_PATIENCE)
    system = file_system(image, disk, tmp_path)
    assert subprocess.run(["e2fsck", "-f", "-n", system], capture_output=True).returncode == 0


def file_system(image: images.Image, disk: Path, folder: Path) -> Path:
    """The file of the system's file system."""
    if image.boot == "kernel":
        return disk
    done = subprocess.run(["sfdisk", "--json", disk], capture_output=True, check=True)
    system = json.loads(done.stdout)["partitiontable"]["partitions"][1]
    found = folder / "system.img"
    words = [f"if={disk}", f"of={found}", "bs=512", f"skip={system['start']}", f"count={system['size']}", "conv=sparse"]
    subprocess.run(["dd", "status=none", *words], check=True)
    return found


@BOOTS
def test_the_same_packages_make_the_same_bytes(image: images.Image, tmp_path: Path) -> None:
    again = build(tmp_path / "cache", image.boot)
    for first in (image.path, image.kernel, image.initial_ramdisk):
        if first is not None:
            assert filecmp.cmp(first, Path(again.path).with_name(Path(first).name), shallow=False), first


@BOOTS
def test_it_is_launched(image: images.Image, tmp_path: Path) -> None:
    pytest.importorskip("pycdlib")
    # No name beside this one's: the seed is in the image, and the disk of a seed would be another one.
    with applevz.launch(image, memory_size="768MiB", timeout=BOOT_PATIENCE, cache=tmp_path) as machine:
        assert machine.guest.run(["less", "--version"], timeout=BOOT_PATIENCE).returncode == 0
        is_efi = machine.guest.run(["test", "-d", "/sys/firmware/efi"], timeout=BOOT_PATIENCE).returncode == 0
        assert is_efi == (image.boot == "efi")
