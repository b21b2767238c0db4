# SPDX-License-Identifier: Apache-2.0
"""By what the state of a cached launch is known, what cannot be cached, and the cache of such states."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import os
import shutil
import socket
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import applevz
import applevz.aio
from applevz import images
from applevz._core import launch_keys
from applevz._core.cached_launching import CachedLaunch
from applevz._core.launching import Launch
from applevz._host import guest_agent, processors
from applevz._images import cached_states
from applevz._images.cached_states import CachedState
from applevz._images.store import Store
from applevz._images.task import Task
from applevz._states.saved_state import SavedState
from applevz.aio import images as aio_images
from guest_machine import PATIENCE
from saved_state_files import make_state

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="a Mac's framework has no disks that go with their machine"),
    pytest.mark.skipif(
        not (applevz.capabilities.guest_agent and applevz.capabilities.efi), reason="there is no agent, or no firmware"
    ),
]
pytest.importorskip("filelock")
pytest.importorskip("pycdlib")

NOTHING = inspect.signature(applevz.launch).parameters


@pytest.fixture
def image(tmp_path: Path) -> images.Image:
    """A disk of zeros."""
    path = tmp_path / "disk.raw"
    applevz.create_disk_image(path, "1MiB")
    return images.Image(
        path=str(path),
        name="ours",
        version=None,
        architecture=None,
        size=1 << 20,
        checksum=None,
        source=str(path),
        user=None,
        boot="efi",
        signed_by=None,
        unsigned_reason="it is a test's",
        made=0.0,
    )


@pytest.fixture
def files(tmp_path: Path, guest_files: Path) -> dict[str, Any]:
    """A kernel and an initial RAM disk, which a test may change."""
    for name in ("vmlinux", "initrd.cpio.gz"):
        shutil.copy2(guest_files / name, tmp_path / name)
    return {"kernel": tmp_path / "vmlinux", "initial_ramdisk": tmp_path / "initrd.cpio.gz"}


def cached_launch(image: images.Image, **given: Any) -> CachedLaunch:
    """What a call of `launch` decides before it looks for a state."""
    cache = given.pop("cache", Path(image.path).with_name("cache"))
    fields = {
        name: parameter.default
        for name, parameter in NOTHING.items()
        if name not in ("image", "cache")
    }
    what = Launch(image, **{**fields, "cached": True, **given})
    return CachedLaunch(what, what.configuration(image), cache)


def key(image: images.Image, **given: Any) -> str:
    return cached_launch(image, **given)._state.path.stem


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cached": 1}, "cached is 1"),
        ({"cached": True, "disk": "work.img"}, "cached is True, and disk is 'work.img'"),
        ({"cached": True, "wait": False}, "wait is False, and cached is True"),
        ({"prepare": print, "wait": False}, "wait is False, and prepare is given"),
        ({"prepare": 5}, "prepare is 5"),
        ({"cached": True, "prepare": print}, "prepare_key is None"),
        ({"prepare_key": "1"}, "prepare_key is '1', and prepare is None"),
        ({"prepare": print, "prepare_key": 1}, "prepare_key is 1"),
    ],
    ids=lambda given: ", ".join(given) if isinstance(given, dict) else "",
)
def test_what_does_not_go_together_is_refused_by_its_name_before_anything_is_done(
    given: dict[str, Any], words: str, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(applevz.InvalidArgumentError, match=words):
        applevz.launch("debian:13", cache=cache, **given)
    with pytest.raises(applevz.InvalidArgumentError, match=words):
        asyncio.run(applevz.aio.launch("debian:13", cache=cache, **given))
    assert not cache.exists()


# ---- The key ----


def change(**fields: Any) -> Callable[[applevz.VirtualMachineConfiguration], None]:
    def configure(configuration: applevz.VirtualMachineConfiguration) -> None:
        for name, value in fields.items():
            setattr(configuration, name, value)

    return configure


def storage(path: Path, **fields: Any) -> Callable[[applevz.VirtualMachineConfiguration], None]:
    def configure(configuration: applevz.VirtualMachineConfiguration) -> None:
        disk = applevz.DiskImageStorageDeviceAttachment(path, **fields)
        devices = [*configuration.storage_devices, applevz.VirtioBlockDeviceConfiguration(disk)]
        configuration.storage_devices = devices

    return configure


def test_the_same_has_the_same_key_though_each_machine_has_an_identity_of_its_own(
    image: images.Image, files: dict[str, Any], tmp_path: Path
) -> None:
    assert key(image, packages=["git"]) == key(image, packages=["git"])
    first = key(image, **files)
    (tmp_path / "other").mkdir()
    moved = {name: shutil.copy(path, tmp_path / "other") for name, path in files.items()}
    log = applevz.FileSerialPortAttachment
    port = applevz.VirtioConsoleDeviceSerialPortConfiguration
    assert first == key(image, **moved) == key(image, **files, overlay_directory=tmp_path, timeout=5)
    assert first == key(image, **files, configure=lambda _: None, cache=tmp_path / "elsewhere")
    assert first == key(image, **files, prepare=None)
    assert key(image, **files, configure=change(serial_ports=[port(log(tmp_path / "a"))])) == key(
        image, **files, configure=change(serial_ports=[port(log(tmp_path / "b"))])
    )
    waived = applevz.ConfinementPolicy(waived=applevz.Confinement.FILES)
    assert first == key(image, **files, configure=change(confinement=waived))
    limits = applevz.ResourceLimits(overlay_size="1GiB", disk_bytes_per_second="10MiB")
    assert first == key(image, **files, configure=change(resource_limits=limits))
    # Without an identifier a machine has a random one, too.
    plain = change(
        platform=applevz.GenericPlatformConfiguration(),
        network_devices=[applevz.VirtioNetworkDeviceConfiguration()],
    )
    assert key(image, **files, configure=plain) == key(image, **files, configure=plain)


def test_whatever_decides_what_the_guest_is_makes_another_key(
    image: images.Image, files: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, second = tmp_path / "other.raw", tmp_path / "second.raw"
    for path in (other, second):
        applevz.create_disk_image(path, "1MiB")
    branch, top = tmp_path / "branch", tmp_path / "top"
    applevz.create_disk_image(branch, base=other, clone=False)
    applevz.create_disk_image(top, base=[branch, other], clone=False)
    identifier = applevz.GenericMachineIdentifier.random()
    card = applevz.VirtioNetworkDeviceConfiguration
    given: list[dict[str, Any]] = [
        {},
        {"command_line": "quiet"},
        {"cpu_count": 1},
        {"memory_size": "512MiB"},
        {"internet": False},
        {"internet": None},
        {"packages": ["git"]},
        {"packages": ["vim"]},
        {"users": ["ada"]},
        {"user_data": "#!/bin/sh\n"},
        {"ssh_authorized_keys": ["ssh-ed25519 AAAA"]},
        {"seed": applevz.CloudInitSeed(packages=["git"], meta_data={"instance-id": "ours"})},
        {"prepare": print, "prepare_key": "1"},
        {"prepare": print, "prepare_key": "2"},
        {"configure": change(entropy_devices=[])},
        {"configure": change(stop_at_reset=True)},
        {"configure": change(platform=applevz.GenericPlatformConfiguration(identifier))},
        {"configure": change(network_devices=[card(mac_address="52:54:00:00:00:01")])},
        {"configure": change(network_devices=[card(), card()])},
        {"configure": change(memory_balloon_devices=[applevz.VirtioTraditionalMemoryBalloonDeviceConfiguration()])},
        {"configure": storage(second, read_only=True)},
        {"configure": storage(other, read_only=True)},
        {"configure": storage(second, ephemeral=True)},
        {"configure": storage(branch, ephemeral=True, base=other)},
        {"configure": storage(top, ephemeral=True, base=[branch, other])},
        {"initial_ramdisk": None},
    ]
    keys = [key(image, **{**files, **one}) for one in given]
    keys.append(key(image))  # by firmware
    keys.append(key(dataclasses.replace(image, path=str(other)), **files))
    # What is in the files, though a file has the same size, and was read a moment ago.
    for path in files.values():
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        keys.append(key(image, **files))
    os.utime(second, ns=(0, 1_000_000_000))
    keys.append(key(image, **{**files, "configure": storage(second, read_only=True)}))
    os.utime(image.path, ns=(0, 1_000_000_000))
    keys.append(key(image, **files))
    (tmp_path / "new.raw").write_bytes(Path(image.path).read_bytes())
    os.utime(tmp_path / "new.raw", ns=(0, 1_000_000_000))
    (tmp_path / "new.raw").replace(image.path)
    keys.append(key(image, **files))
    # The library, the agent that it brings, and the processor where it is the guest's own.
    with monkeypatch.context() as patch:
        patch.setattr(applevz, "__version__", "0.0.9")
        keys.append(key(image, **files))
    with monkeypatch.context() as patch:
        (tmp_path / "agent").write_bytes(b"another agent")
        patch.setattr(guest_agent, "_PROGRAM", tmp_path / "agent")
        keys.append(key(image, **files))
    for processor in ("one", "another"):
        with monkeypatch.context() as patch:
            patch.setattr(launch_keys, "capabilities", types.SimpleNamespace(hardware_acceleration=True))
            patch.setattr(launch_keys, "processor_identity", lambda processor=processor: processor)
            keys.append(key(image, **files))
    assert len(set(keys)) == len(keys)


def test_a_processor_is_known_by_what_it_can_do_and_not_by_its_speed_of_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(processors, "_DESCRIPTION", path)
    found = []
    for speed, flags in (("1000", "fpu"), ("2000", "fpu"), ("2000", "fpu avx")):
        path.write_text(f"processor\t: 0\nmodel name\t: some\ncpu MHz\t\t: {speed}\nflags\t\t: {flags}\n\nflags\t: x\n")
        found.append(processors.processor_identity())
    assert found[0] == found[1] != found[2]
    path.unlink()
    assert processors.processor_identity()


class Disk(applevz.DiskImageStorageDeviceAttachment):
    """One that may do anything."""


def test_what_configure_did_is_refused_if_nobody_can_tell_whether_it_is_the_same_the_next_time(
    image: images.Image, tmp_path: Path
) -> None:
    path = tmp_path / "other.raw"
    applevz.create_disk_image(path, "1MiB")
    card = applevz.VirtioNetworkDeviceConfiguration
    port = applevz.VirtioConsoleDeviceSerialPortConfiguration
    block = applevz.VirtioBlockDeviceConfiguration
    store = applevz.EFIVariableStore(tmp_path / "variables")
    one, other_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other_end:
        for configure, words in (
            (storage(path), r"configuration\.storage_devices\[2\]\.attachment\.path is .*, which lasts"),
            (
                change(boot_loader=applevz.EFIBootLoader(store)),
                r"configuration\.boot_loader\.variable_store\.path is .*, which lasts",
            ),
            (
                change(network_devices=[card(applevz.FileHandleNetworkDeviceAttachment(one))]),
                r"configuration\.network_devices\[0\]\.attachment is FileHandle",
            ),
            (
                change(serial_ports=[port(applevz.FileHandleSerialPortAttachment(None, 1))]),
                r"configuration\.serial_ports\[0\]\.attachment is FileHandle",
            ),
            (
                change(serial_ports=[port(applevz.PseudoTerminalSerialPortAttachment())]),
                r"configuration\.serial_ports\[0\]\.attachment is <Pseudo",
            ),
            (
                change(storage_devices=[block(Disk(path, ephemeral=True))]),
                r"configuration\.storage_devices\[0\]\.attachment is Disk",
            ),
            (
                change(
                    usb_controllers=[
                        applevz.XHCIControllerConfiguration(
                            [
                                applevz.USBMassStorageDeviceConfiguration(
                                    applevz.DiskImageStorageDeviceAttachment(path, ephemeral=True)
                                )
                            ]
                        )
                    ]
                ),
                r"usb_controllers\[0\]\.usb_devices\[0\]\.uuid is None",
            ),
        ):
            with pytest.raises(applevz.InvalidArgumentError, match=f"cached is True, and {words}"):
                applevz.launch(image, cached=True, configure=configure, cache=tmp_path / "cache")
    # … and what nobody saves, by the framework's words.
    disk = applevz.DiskImageStorageDeviceAttachment(path, ephemeral=True)
    configure = change(storage_devices=[applevz.NVMExpressControllerDeviceConfiguration(disk)])
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match="NVMExpressController"):
        applevz.launch(image, cached=True, configure=configure, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").glob("states/*")) == []


# ---- What a machine is made of that goes on ----


def test_a_machine_that_goes_on_is_that_of_the_state_and_has_another_address_on_a_network_of_the_host(
    image: images.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # There is no such network.
    monkeypatch.setattr(applevz.VirtualMachineConfiguration, "validate_save_restore_support", lambda _: None)
    card = applevz.VirtioNetworkDeviceConfiguration
    bridged = card(applevz.BridgedNetworkDeviceAttachment("br9"))
    fixed = card(mac_address="52:54:00:00:00:09")
    launch = cached_launch(image, configure=change(network_devices=[card(), bridged, fixed]))
    assert launch.configuration() is None
    identifier = applevz.GenericMachineIdentifier.random()
    uuid = identifier.data_representation[4:].hex()
    fields = [
        ["memorySize", str(1 << 30)],
        ["platform.machineIdentifier", uuid],
        *([f"networkDevices[{number}].MACAddress", f"52:54:00:00:01:0{number}"] for number in range(3)),
    ]
    make_state(launch._state.path, fields=fields)
    configuration = launch.configuration()
    assert configuration is not None
    assert configuration.platform == applevz.GenericPlatformConfiguration(
        identifier, bool(applevz.capabilities.generation_identifier)
    )
    first, second, third = (str(device.mac_address) for device in configuration.network_devices)
    assert first == "52:54:00:00:01:00"
    assert second != "52:54:00:00:01:01"
    assert third == "52:54:00:00:00:09"
    # The other one is as it was.
    assert str(launch._configuration.network_devices[0].mac_address) != first
    for wrong in ([], [["platform.machineIdentifier", "x"]]):
        make_state(launch._state.path, fields=[["memorySize", str(1 << 30)], *wrong])
        assert launch.configuration() is None


# ---- The cache ----


def put(cache: Path, name: str, **said: Any) -> CachedState:
    """Publishes a state, as a launch does."""
    state, task = CachedState(cache, name), Task(PATIENCE)
    with state.lock(task), state.work() as path:
        make_state(path, **said)
        state.publish(path, task)
    return state


def names(states: Any) -> list[str]:
    return [Path(state.path).stem for state in states]


def test_those_that_were_not_used_for_longest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setattr(cached_states, "_MOST_STATES", 3)
    states = {name: put(cache, name) for name in "abc"}
    for age, name in enumerate("bca"):
        os.utime(cache / "states" / f"{name}.used", (0, age))
    assert names(images.cached_states(cache=cache)) == ["a", "c", "b"]
    states["b"].use()
    put(cache, "d")
    assert set(names(images.cached_states(cache=cache))) == {"a", "b", "d"}
    assert set(os.listdir(cache / "states")) == {f"{name}.{kind}" for name in "abd" for kind in ("state", "used")}
    assert asyncio.run(aio_images.cached_states(cache=cache)) == images.cached_states(cache=cache)


def test_a_state_that_is_damaged_or_was_refused_is_not_found_and_one_in_its_place_is(tmp_path: Path) -> None:
    state = put(tmp_path / "cache", "a", identifier=f"{1:032x}")
    assert isinstance(state.found(), SavedState)
    state.refuse()
    assert state.found() is None
    put(tmp_path / "cache", "a", identifier=f"{2:032x}")
    found = state.found()
    assert found is not None
    assert found.identifier == f"{2:032x}"
    os.truncate(state.path, 100)
    assert state.found() is None
    state.path.unlink()
    assert state.found() is None


def test_a_folder_in_the_place_of_a_state_is_named_and_is_in_the_way_of_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    put(cache, "a")
    folder = cache / "states" / "b.state"
    folder.mkdir()
    with pytest.raises(applevz.POSIXError, match="cannot be used, because of") as caught:
        put(cache, "b")
    assert isinstance(caught.value, IsADirectoryError)
    assert caught.value.filename == str(folder)
    assert str(folder) in str(caught.value)
    assert caught.value.recovery_suggestion == "Move that folder away: a file has its name."
    monkeypatch.setattr(cached_states, "_MOST_STATES", 1)
    put(cache, "c")
    assert names(images.cached_states(cache=cache)) == ["c"]
    assert folder.is_dir()


def needing(image: Path) -> dict[str, Any]:
    """What a state says that needs an image which it does not hold."""
    status = image.stat()
    written = f"{status.st_mtime_ns // 10**9}.{status.st_mtime_ns % 10**9:09d} s"
    return {
        "images": [{"name": "storageDevices[0].attachment", "path": str(image)}],
        "fields": [
            ["memorySize", str(128 << 20)],
            ["the size of storageDevices[0]", str(status.st_size)],
            ["the time when storageDevices[0] was written last", written],
        ],
    }


def test_states_go_with_their_image_and_what_is_none_goes_too(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    disks = [tmp_path / f"{name}.img" for name in "ab"]
    for size, disk in enumerate(disks, 1):
        applevz.create_disk_image(disk, size << 20)
    first, second = (images.of(disk, cache=cache) for disk in disks)
    put(cache, "a", **needing(Path(first.path)))
    put(cache, "b", **needing(Path(second.path)))
    put(cache, "c")
    images.remove(first, cache=cache)
    assert set(names(images.cached_states(cache=cache))) == {"b", "c"}
    # A file that was cut off, leftovers, and a state whose image was changed.
    (cache / "states" / "d.state").write_bytes(b"cut off")
    for name in ("e.used", ".applevz-left", "stranger"):
        (cache / "states" / name).touch()
    os.chmod(second.path, 0o600)
    os.utime(second.path, ns=(0, 0))
    images.prune(cache=cache)
    assert sorted(os.listdir(cache / "states")) == ["c.state", "c.used"]


def test_what_a_killed_process_left_is_removed_with_the_next_state_of_whatever_name(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    store = Store(cache)
    with store.lock(Task(PATIENCE), "state gone"), store.work("state gone") as work:
        (work / "new.state").write_bytes(b"half")
        left = tmp_path / "left"
        shutil.copytree(work, left)
    left.rename(work)
    with store.lock(Task(PATIENCE), "state held"), store.work("state held") as held:
        put(cache, "other")
        assert held.exists()  # somebody is at it
        assert not work.exists()


def test_who_waits_for_another_is_told_once_and_waits_no_longer_than_he_said(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    told: list[images.Progress] = []
    state = CachedState(cache, "a")
    with state.lock(Task(PATIENCE)):
        task = Task(0.3, told.append)
        with pytest.raises(applevz.TimeoutError), CachedState(cache, "a").lock(task):
            pass
        assert told == [images.Progress("wait", 0, None)]
        stopped = Task(None)
        threading.Timer(0.2, stopped.stop).start()
        with pytest.raises(applevz.OperationCancelledError), CachedState(cache, "a").lock(stopped):
            pass
        with CachedState(cache, "b").lock(Task(PATIENCE)):
            pass


def test_a_launch_that_waits_for_another_ends_with_its_time_or_its_task_and_leaves_that_alone(
    image: images.Image, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    state = cached_launch(image, cache=cache)._state
    told: list[images.Progress] = []

    async def main() -> None:
        call = asyncio.ensure_future(
            applevz.aio.launch(image, cached=True, cache=cache, progress=told.append, timeout=PATIENCE)
        )
        while not told:
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    with state.lock(Task(PATIENCE)):
        with pytest.raises(applevz.TimeoutError, match="the state of this guest is not made"):
            applevz.launch(image, cached=True, cache=cache, timeout=0.5)
        asyncio.run(main())
    with state.lock(Task(PATIENCE)):  # nobody else has it
        pass
