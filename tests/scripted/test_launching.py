# SPDX-License-Identifier: Apache-2.0
"""What `launch` is given, and that it leaves nothing if it fails: no machine runs to its end here."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import inspect
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

import applevz
import applevz.aio
from applevz import images
from applevz._core.launching import root_is_mounted
from applevz._host import guest_agent
from applevz._host.nameless_files import NamelessFile
from applevz._images.store import Store
from applevz.testing import image_configuration
from fixtures import Script
from guest_machine import PATIENCE
from processes import children, eventually, open_descriptors

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="a Mac's framework has no disks that go with their machine"),
    pytest.mark.skipif(
        not (applevz.capabilities.guest_agent and applevz.capabilities.efi), reason="there is no agent, or no firmware"
    ),
]
pytest.importorskip("pycdlib")


class EnoughError(Exception):
    """The configuration was seen: nothing is to be started."""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, with nothing in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def image_of(path: Path, **fields: Any) -> images.Image:
    given = {
        "path": str(path),
        "name": "ours",
        "version": None,
        "architecture": None,
        "size": 1 << 20,
        "checksum": None,
        "source": str(path),
        "user": None,
        "boot": "efi",
        "signed_by": None,
        "unsigned_reason": "it is a test's",
        "made": 0.0,
    }
    return images.Image(**{**given, **fields})


@pytest.fixture
def image(tmp_path: Path) -> images.Image:
    """A disk of zeros."""
    applevz.create_disk_image(tmp_path / "disk.raw", "1MiB")
    return image_of(tmp_path / "disk.raw")


@pytest.fixture
def descriptors(image: images.Image, script: Script) -> set[tuple[str, str]]:
    """What is open after a launch: what the library keeps for all its machines, and nothing of that one."""
    script()
    with applevz.launch(image, wait=False, timeout=PATIENCE):
        pass
    return left_open()


def left_open() -> set[tuple[str, str]]:
    """What is open once all is gone that nobody can reach."""
    gc.collect()
    return open_descriptors()


def configuration_of(image: Any, **given: Any) -> applevz.VirtualMachineConfiguration:
    """What `launch` would have made a machine of."""
    seen = []

    def see(configuration: applevz.VirtualMachineConfiguration) -> None:
        seen.append(configuration)
        raise EnoughError

    with pytest.raises(EnoughError):
        applevz.launch(image, configure=see, **given)
    return seen[0]


def test_both_faces_have_the_same_signature() -> None:
    first, second = inspect.signature(applevz.launch), inspect.signature(applevz.aio.launch)
    assert first.parameters == second.parameters
    assert inspect.iscoroutinefunction(applevz.aio.launch)
    assert (applevz.launch.__doc__ or "").split("If it fails")[0] == (applevz.aio.launch.__doc__ or "").split(
        "If it fails"
    )[0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"image": 5}, "image is 5"),
        ({"image": "gentoo:13"}, "image is 'gentoo:13', which the catalog does not have"),
        ({"image": "debian:99"}, "image is 'debian:99'"),
        ({"image": "disk.qcow2"}, "a path with a slash"),
        ({"image": "https://host/disk.qcow2"}, "image is 'https://host/disk.qcow2', an address"),
        ({"image": "/a\0b"}, "image is"),
        ({"disk": 5}, "disk is 5"),
        ({"overlay_directory": 5}, "overlay_directory is 5"),
        ({"disk": "/a", "overlay_directory": "/b"}, "overlay_directory is '/b', and disk is '/a'"),
        ({"kernel": 5}, "kernel is 5"),
        ({"kernel": "/k", "initial_ramdisk": 5}, "initial_ramdisk is 5"),
        ({"initial_ramdisk": "/i"}, "initial_ramdisk is '/i', and kernel is None"),
        ({"command_line": "quiet"}, "command_line is 'quiet', and kernel is None"),
        ({"kernel": "/k", "command_line": 5}, "command_line is 5"),
        ({"memory_size": "much"}, "memory_size"),
        ({"internet": "no"}, "internet is 'no'"),
        ({"host_access": "no"}, "host_access is 'no'"),
        ({"host_access": True, "internet": False}, "host_access is True, and internet is False"),
        ({"host_access": True, "internet": None}, "host_access is True, and internet is None"),
        ({"resource_limits": "1GiB"}, "resource_limits is '1GiB'"),
        ({"resource_limits": applevz.ResourceLimits(overlay_size=0)}, "resource_limits.overlay_size is 0"),
        ({"seed": {}}, "seed is {}"),
        ({"seed": applevz.CloudInitSeed(), "packages": ["git"]}, r"packages is \['git'\], and seed is given"),
        ({"users": "ada"}, "users is 'ada'"),
        ({"user_data": "nothing known"}, "user_data is 'nothing known'"),
        ({"configure": 5}, "configure is 5"),
        ({"wait": 1}, "wait is 1"),
        ({"progress": 5}, "progress is 5"),
        ({"timeout": -1}, "timeout is -1"),
    ],
    ids=lambda given: ", ".join(given) if isinstance(given, dict) else "",
)
def test_what_does_not_fit_is_refused_by_its_name_before_anything_is_done(
    given: dict[str, Any], words: str, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(applevz.InvalidArgumentError, match=words):
        applevz.launch(**{"image": "debian:13", "cache": cache, **given})
    with pytest.raises(applevz.InvalidArgumentError, match=words):
        asyncio.run(applevz.aio.launch(**{"image": "debian:13", "cache": cache, **given}))
    assert not cache.exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cpu_count": "two"}, "cpu_count is 'two'"),
        ({"cpu_count": 0}, "CPUCount is 0"),
        ({"overlay_directory": "/nowhere/at/all"}, "/nowhere/at/all"),
        ({"disk": "/nowhere/at/all"}, "/nowhere/at/all"),
    ],
)
def test_what_the_framework_refuses_leaves_nothing(
    given: dict[str, Any], words: str, image: images.Image, temporary: Path, descriptors: set[tuple[str, str]]
) -> None:
    with pytest.raises(applevz.Error, match=words):
        applevz.launch(image, **given)
    assert eventually(lambda: left_open() <= descriptors)
    assert os.listdir(temporary) == []


def test_an_image_for_another_processor_and_one_that_wants_a_kernel_are_refused(image: images.Image) -> None:
    path = Path(image.path)
    other = {"x86_64": "aarch64"}.get(os.uname().machine, "x86_64")
    with pytest.raises(applevz.InvalidArgumentError, match=f"image is 'ours' for {other}"):
        applevz.launch(image_of(path, architecture=other))
    with pytest.raises(applevz.InvalidArgumentError, match="kernel is None, and the image 'ours'"):
        applevz.launch(image_of(path, boot="kernel"))


def test_what_is_missing_on_this_host_is_said_before_anything_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: Script
) -> None:
    cache = tmp_path / "cache"
    script()
    with pytest.raises(applevz.NotSupportedError, match="QEMU does not say what it has"):
        applevz.launch("debian:13", cache=cache)
    # One that is slow is not to blame.
    monkeypatch.setenv("APPLEVZ_QEMU_TIMEOUT", "1")
    script(answers={"qom-list-types": ""})
    with pytest.raises(applevz.NotSupportedError, match="did not answer the command .* within 3 s") as late:
        applevz.launch("debian:13", cache=cache)
    assert str(late.value.recovery_suggestion).startswith("Try again when the host is less busy")
    monkeypatch.delenv("APPLEVZ_QEMU_TIMEOUT")
    monkeypatch.delenv("APPLEVZ_QEMU")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pycdlib", None)
        with pytest.raises(applevz.NotSupportedError, match=r"applevz\[seed\]"):
            applevz.launch("debian:13", cache=cache)
    monkeypatch.setattr(guest_agent, "_PROGRAM", tmp_path / "none")
    with pytest.raises(applevz.NotSupportedError, match="without the guest's agent"):
        applevz.launch("debian:13", cache=cache)
    assert not cache.exists()


def test_an_image_of_a_name_and_of_a_file_are_found_in_the_cache(image: images.Image, tmp_path: Path) -> None:
    pytest.importorskip("filelock")
    cache = tmp_path / "cache"
    steps: list[images.Progress] = []
    with pytest.raises(applevz.InvalidArgumentError, match=r"kernel is None, and the image 'disk\.raw'"):
        applevz.launch(Path(image.path), cache=cache)
    images.remove("disk.raw", cache=cache)
    with open(image.path, "r+b") as file:  # as a table of partitions begins
        os.pwrite(file.fileno(), b"\x55\xaa", 510)
    (first,) = configuration_of(Path(image.path), cache=cache, progress=steps.append).storage_devices[:1]
    (made,) = images.list(cache=cache)
    assert (made.name, made.boot) == ("disk.raw", "efi")
    assert steps
    assert isinstance(first.attachment, applevz.DiskImageStorageDeviceAttachment)
    assert first.attachment.path == made.path
    # Text is a path if it has a slash.
    configuration_of(image.path, cache=cache)
    assert images.list(cache=cache) == [made]
    # What boots it makes no other image of it.
    configuration_of(image.path, cache=cache, kernel=image.path)
    assert images.list(cache=cache) == [made]


def test_the_machine_is_what_a_cloud_image_wants(image: images.Image, tmp_path: Path) -> None:
    configuration = configuration_of(image, users=["ada"], packages=["git"], overlay_directory=tmp_path)
    configuration.validate()
    assert configuration.guest_agent is True
    assert isinstance(configuration.boot_loader, applevz.EFIBootLoader)
    assert 1 <= configuration.cpu_count <= 2
    assert configuration.memory_size == 1 << 30
    disk, seed = (device.attachment for device in configuration.storage_devices)
    wanted = applevz.DiskImageStorageDeviceAttachment(image.path, ephemeral=True, overlay_directory=bytes(tmp_path))
    assert disk == wanted
    assert isinstance(seed, applevz.DiskImageStorageDeviceAttachment)
    assert seed.read_only
    made = applevz.CloudInitSeed(users=["ada"], packages=["git"], guest_agent=True).image()
    assert Path(os.fsdecode(seed.path)).read_bytes() == made
    (card,) = configuration.network_devices
    assert card.attachment == applevz.NATNetworkDeviceAttachment()
    assert configuration_of(image, internet=None).network_devices == []
    (card,) = configuration_of(image, internet=False).network_devices
    assert card.attachment == applevz.NATNetworkDeviceAttachment(internet=False)
    given = applevz.ResourceLimits(overlay_size="1GiB", processors=1.5)
    assert configuration_of(image, resource_limits=given).resource_limits == given
    assert configuration_of(image).resource_limits == applevz.ResourceLimits()
    (card,) = configuration_of(image, host_access=True).network_devices
    assert card.attachment == applevz.NATNetworkDeviceAttachment(host_access=True)


def test_a_seed_gets_the_agent_and_is_left_as_it_is(image: images.Image) -> None:
    seed = applevz.CloudInitSeed("#cloud-config\n{}\n", {"instance-id": "ours"})
    attachment = configuration_of(image, seed=seed).storage_devices[1].attachment
    assert isinstance(attachment, applevz.DiskImageStorageDeviceAttachment)
    wanted = applevz.CloudInitSeed(seed.user_data, seed.meta_data, guest_agent=True)
    assert Path(os.fsdecode(attachment.path)).read_bytes() == wanted.image()
    assert seed.guest_agent is False


def test_with_a_kernel_the_agent_comes_with_the_initial_ramdisk_if_there_is_one(image: images.Image) -> None:
    with_ramdisk = configuration_of(image, kernel="/k", initial_ramdisk="/i")
    loader = with_ramdisk.boot_loader
    assert isinstance(loader, applevz.LinuxBootLoader)
    assert (loader.kernel, loader.initial_ramdisk, loader.guest_agent) == (b"/k", b"/i", True)
    assert "root=/dev/vda" in loader.command_line
    assert len(with_ramdisk.storage_devices) == 1
    # … and the seed that is asked for does not bring a second one.
    with_seed = configuration_of(image, kernel="/k", initial_ramdisk="/i", packages=["git"])
    attachment = with_seed.storage_devices[1].attachment
    assert isinstance(attachment, applevz.DiskImageStorageDeviceAttachment)
    assert Path(os.fsdecode(attachment.path)).read_bytes() == applevz.CloudInitSeed(packages=["git"]).image()
    without = configuration_of(image, kernel="/k", command_line="quiet")
    assert without.boot_loader == applevz.LinuxBootLoader(b"/k", None, "quiet")
    assert len(without.storage_devices) == 2


def test_an_image_may_have_its_kernel_itself(image: images.Image) -> None:
    fields = {"boot": "kernel", "kernel": "/k", "initial_ramdisk": "/i", "command_line": "root=/dev/vda of-the-image"}
    given = image_of(Path(image.path), **fields)
    loader = applevz.LinuxBootLoader(b"/k", b"/i", "root=/dev/vda of-the-image", guest_agent=True)
    configuration = configuration_of(given)
    assert configuration.boot_loader == loader
    assert len(configuration.storage_devices) == 1
    # Each may be given in its place; with another kernel none of them is meant.
    with_words = configuration_of(given, command_line="root=/dev/vda other").boot_loader
    assert with_words == dataclasses.replace(loader, command_line="root=/dev/vda other")
    assert configuration_of(given, kernel="/other", command_line="other").boot_loader == applevz.LinuxBootLoader(
        b"/other", None, "other"
    )


@pytest.mark.parametrize("memfd", [True, False])
def test_what_is_made_for_a_machine_is_there_as_long_as_it_and_no_longer(
    image: images.Image, temporary: Path, monkeypatch: pytest.MonkeyPatch, memfd: bool
) -> None:
    if not memfd:
        monkeypatch.delattr(os, "memfd_create")
    configuration = configuration_of(image)
    machine = applevz.VirtualMachine(configuration)
    assert isinstance(configuration.boot_loader, applevz.EFIBootLoader)
    paths = [configuration.boot_loader.variable_store.path, configuration.storage_devices[1].attachment.path]
    assert all(isinstance(path, NamelessFile) for path in paths)
    names = [Path(os.fsdecode(path)) for path in paths]
    targets = [os.path.realpath(name) for name in names]
    assert len(os.listdir(temporary)) == (0 if memfd else 2)
    # Whatever becomes of the configuration.
    del paths, configuration.boot_loader
    configuration.storage_devices = []
    assert all(name.exists() for name in names)
    del machine, configuration
    assert not any(name.exists() and os.path.realpath(name) == target for name, target in zip(names, targets))
    assert os.listdir(temporary) == []


@pytest.mark.parametrize("lasting", [False, True])
def test_a_qemu_that_dies_leaves_no_machine_and_no_file(
    image: images.Image,
    descriptors: set[tuple[str, str]],
    script: Script,
    tmp_path: Path,
    temporary: Path,
    lasting: bool,
) -> None:
    script(die=[3, "last words"])
    disk = tmp_path / "lasting.img" if lasting else None
    before, files = children(), sorted(os.listdir(tmp_path))
    with pytest.raises(applevz.InternalError, match="last words"):
        applevz.launch(image, disk=disk)
    with pytest.raises(applevz.InternalError, match="last words"):
        asyncio.run(applevz.aio.launch(image, disk=disk))
    assert children() <= before
    assert sorted(os.listdir(tmp_path)) == files
    assert os.listdir(temporary) == []
    assert eventually(lambda: left_open() <= descriptors)


def test_a_lasting_disk_that_was_there_stays(image: images.Image, script: Script, tmp_path: Path) -> None:
    script(die=[3, "last words"])
    disk = tmp_path / "lasting.img"
    applevz.create_disk_image(disk, base=image.path, clone=False)
    data = disk.read_bytes()
    with pytest.raises(applevz.InternalError, match="last words"):
        applevz.launch(image, disk=disk)
    assert disk.read_bytes() == data


def test_a_file_that_took_the_place_of_the_lasting_disk_stays(
    image: images.Image, script: Script, tmp_path: Path
) -> None:
    disk = tmp_path / "lasting.img"

    def replace(_: object) -> None:
        (tmp_path / "other").write_text("somebody else's")
        (tmp_path / "other").replace(disk)
        raise EnoughError

    with pytest.raises(EnoughError):
        applevz.launch(image, disk=disk, configure=replace)
    assert disk.read_text() == "somebody else's"


def test_ctrl_c_leaves_no_machine_and_no_file(
    image: images.Image, descriptors: set[tuple[str, str]], tmp_path: Path, temporary: Path
) -> None:
    before = children()

    def press() -> None:
        if eventually(lambda: children() - before, PATIENCE):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    # This guest has no agent: nothing else ends the call.
    with pytest.raises(KeyboardInterrupt):
        applevz.launch(image, disk=tmp_path / "lasting.img")
    thread.join()
    assert eventually(lambda: children() <= before, PATIENCE)
    assert not (tmp_path / "lasting.img").exists()
    assert os.listdir(temporary) == []
    assert eventually(lambda: left_open() <= descriptors)


def test_a_cancelled_launch_leaves_no_machine_and_no_file(
    image: images.Image, descriptors: set[tuple[str, str]], tmp_path: Path, temporary: Path
) -> None:
    before = children()

    async def main() -> None:
        call = asyncio.ensure_future(applevz.aio.launch(image, disk=tmp_path / "lasting.img"))
        while not children() - before:
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(main())
    assert eventually(lambda: children() <= before, PATIENCE)
    assert not (tmp_path / "lasting.img").exists()
    assert os.listdir(temporary) == []
    assert eventually(lambda: left_open() <= descriptors)


def test_a_machine_that_is_not_waited_for_runs_and_is_ended_as_any_other(image: images.Image, script: Script) -> None:
    script()
    before = children()
    with applevz.launch(image, wait=False, timeout=PATIENCE) as machine:
        assert machine.state is applevz.VirtualMachineState.RUNNING
        assert len(children() - before) == 1

    async def main() -> None:
        async with await applevz.aio.launch(image, wait=False, timeout=PATIENCE) as machine:
            assert machine.state is applevz.VirtualMachineState.RUNNING

    asyncio.run(main())
    assert eventually(lambda: children() <= before, PATIENCE)


def test_the_path_of_an_image_in_the_cache_is_that_image_with_its_kernel(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    store = Store(cache)
    with store.work("made here") as work:
        for name in ("disk.raw", "kernel", "initial_ramdisk"):
            (work / name).write_bytes(bytes(1 << 20))
        fields = {"boot": "kernel", "kernel": str(work / "kernel"), "initial_ramdisk": str(work / "initial_ramdisk")}
        made = store.publish(work, image_of(work / "disk.raw", command_line="root=/dev/vda ours", **fields), "key")
    assert made.kernel is not None
    assert made.initial_ramdisk is not None
    files = os.fsencode(made.kernel), os.fsencode(made.initial_ramdisk)
    loader = applevz.LinuxBootLoader(*files, "root=/dev/vda ours", guest_agent=True)
    for path in (made.path, Path(made.path), os.fsencode(made.path)):
        configuration = configuration_of(path, cache=cache)
        assert configuration.boot_loader == loader
        assert len(configuration.storage_devices) == 1
        # As of an image itself.
        assert configuration_of(path, cache=cache, command_line="other").boot_loader == dataclasses.replace(
            loader, command_line="other"
        )

    def see(configuration: applevz.VirtualMachineConfiguration) -> None:
        assert configuration.boot_loader == loader
        raise EnoughError

    async def main() -> None:
        with pytest.raises(EnoughError):
            await applevz.aio.launch(made.path, cache=cache, configure=see)

    asyncio.run(main())
    configuration = image_configuration(made.path, cache=cache)
    assert configuration.boot_loader == loader
    assert images.list(cache=cache) == [made]


def test_who_waits_for_a_guest_is_told_that_it_was_started(image: images.Image, script: Script) -> None:
    script()
    steps: list[images.Progress] = []
    # The agent of this one answers nothing.
    with pytest.raises(applevz.GuestNotAnsweringError):
        applevz.launch(image, timeout=1, progress=steps.append)
    assert steps == [images.Progress("boot", 0, None)]

    async def main() -> None:
        with pytest.raises(applevz.GuestNotAnsweringError):
            await applevz.aio.launch(image, timeout=1, progress=steps.append)

    asyncio.run(main())
    assert steps == [images.Progress("boot", 0, None)] * 2
    with applevz.launch(image, wait=False, timeout=PATIENCE, progress=steps.append):
        pass
    assert len(steps) == 2


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        (b"", False),
        (b"rootfs / rootfs rw 0 0\nproc /proc proc rw 0 0\n", False),
        (b"rootfs / rootfs rw 0 0\n/dev/vda /sysroot ext4 rw 0 0\n", False),
        (b"proc /proc proc rw 0 0\n/dev/vda / ext4 ro 0 0\n", True),
        (b"rootfs / rootfs rw 0 0\n/dev/vda / ext4 rw 0 0\n", True),
        (b"none / rootfs\n/ /\n\xff\n / \n", False),
    ],
)
def test_a_guest_is_at_its_root_once_that_is_mounted_over_the_initial_one(mounts: bytes, expected: bool) -> None:
    assert root_is_mounted(mounts) is expected
