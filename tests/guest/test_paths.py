# SPDX-License-Identifier: Apache-2.0
"""A path is bytes, and means what it means in this process: whatever stands in it, in every locale, at every place
that takes one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import (
    DiskImageStorageDeviceAttachment,
    FileSerialPortAttachment,
    MultipleDirectoryShare,
    SharedDirectory,
    VirtioBlockDeviceConfiguration,
    VirtioConsoleDeviceSerialPortConfiguration,
)
from fixtures import Configure, MakeMachine
from guest_machine import PATIENCE
from nbd_server import Server
from processes import children, eventually
from shares import device, served, servers, single

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the paths are handed over by the Linux classes")

# What means something to Foundation, to one of QEMU's parsers, to printf, to a URL or to mountinfo, or is not UTF-8.
NAMES = [
    rb"vm\x2d1",
    b"a\\b\\",
    b"\\",
    b" ",
    b"a b",
    b"a\nb",
    b"a\tb",
    b"a,b=c",
    b"%41%00%",
    b"a%2Fb",
    b"\"'`",
    b"-",
    b"--help",
    b"a;b?c#d",
    b"a:b",
    b"nbd:x",
    b"json:{}",
    b"fat:",
    b"~",
    b"C:\\x",
    b"...",
    b"\x01\x7f",
    "\N{LATIN SMALL LETTER A WITH DIAERESIS}".encode(),
    "a\N{COMBINING DIAERESIS}".encode(),
    "\N{GRINNING FACE}\N{RIGHT-TO-LEFT OVERRIDE}".encode(),
    "\U0010f7e4\U0010ffff".encode(),
    b"\xe4",
    b"a\xff\xfeb\x80",
    b"\xed\xb2\x80",
    b"\xc0\xaf",
    b"x" * 250,
]


@pytest.fixture(scope="module")
def small_initrd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("initrd") / "empty"
    path.write_bytes(bytes(512))
    return path


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_every_kind_of_file_may_have_every_name(
    configure: Configure, guest_files: Path, small_initrd: Path, tmp_path: Path, name: bytes
) -> None:
    folder = os.fsencode(tmp_path) + b"/" + name
    os.mkdir(folder)
    file = folder + b"/" + name
    before = set(os.listdir(tmp_path))
    for suffix, source in ((b"k", guest_files / "vmlinuz"), (b"i", small_initrd)):
        os.symlink(os.fsencode(source), file + suffix)
    applevz.create_disk_image(file + b"d", "1MiB")
    disk = DiskImageStorageDeviceAttachment(os.fsdecode(file + b"d"))
    log = FileSerialPortAttachment(file + b"l", append=False)
    configuration = configure(
        memory_size="128MiB",
        memory_directory=folder,
        storage_devices=[VirtioBlockDeviceConfiguration(disk)],
        serial_ports=[VirtioConsoleDeviceSerialPortConfiguration(log)],
    )
    configuration.boot_loader = applevz.LinuxBootLoader(file + b"k", os.fsdecode(file + b"i"), "console=hvc0")
    with applevz.VirtualMachine(configuration) as vm:
        vm.start(timeout=PATIENCE)
        vm.pause(timeout=PATIENCE)
        for _ in range(2):
            vm.save_state(file + b"s", overwrite=True, timeout=PATIENCE)
        vm.shutdown(applevz.ShutdownPolicy.POWEROFF, timeout=PATIENCE)
        vm.restore_state(os.fsdecode(file + b"s"), timeout=PATIENCE)
        vm.suspend(timeout=PATIENCE, to=file + b"t")
        vm.restore_state(file + b"t", timeout=PATIENCE)
        with pytest.raises(applevz.SaveError) as caught:
            vm.save_state(file + b"s", timeout=PATIENCE)
    assert isinstance(caught.value, FileExistsError)
    assert os.fsencode(caught.value.filename) == file + b"s"
    # Nothing was made anywhere else, and nothing was left.
    assert {entry[len(name) :] for entry in os.listdir(folder)} == {b"k", b"i", b"d", b"l", b"s", b"t"}
    assert set(os.listdir(tmp_path)) == before


LOCALES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "POSIX": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "UTF-8": {"LC_ALL": "C.UTF-8"},
    "Latin-1": {"LC_ALL": "C.UTF-8", "GNUSTEP_STRING_ENCODING": "NSISOLatin1StringEncoding"},
    "ASCII": {"LC_ALL": "C", "PYTHONUTF8": "1", "GNUSTEP_STRING_ENCODING": "NSASCIIStringEncoding"},
}
IN_A_LOCALE = """
import os, sys, applevz
from applevz import DiskImageStorageDeviceAttachment, FileSerialPortAttachment
from applevz import VirtioBlockDeviceConfiguration, VirtioConsoleDeviceSerialPortConfiguration
kernel, folder = sys.argv[1:]
folder = os.fsencode(folder)
for name in (b"\\xc3\\xa4\\xe2\\x82\\xac", b"\\xe4", b"a\\\\b"):
    path = os.fsdecode(folder + b"/" + name)
    applevz.create_disk_image(path + ".img", 512)
    configuration = applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(kernel), memory_size="128MiB",
        storage_devices=[VirtioBlockDeviceConfiguration(DiskImageStorageDeviceAttachment(path + ".img"))],
        serial_ports=[VirtioConsoleDeviceSerialPortConfiguration(FileSerialPortAttachment(path + ".log"))],
    )
    with applevz.VirtualMachine(configuration) as vm:
        vm.start(timeout=120)
        vm.suspend(timeout=120, to=path + ".state")
        vm.restore_state(path + ".state", timeout=120)
    try:
        configuration.boot_loader.kernel = path
        configuration.validate()
    except FileNotFoundError as error:
        assert os.fsencode(error.filename) == folder + b"/" + name, ascii(error.filename)
        str(error).encode()
"""


@pytest.mark.parametrize("locale", LOCALES)
def test_a_path_is_the_same_in_every_locale(guest_files: Path, tmp_path: Path, locale: str) -> None:
    """Also that of GNUstep, which a variable of its own tells another one."""
    command: list[str | Path] = [sys.executable, "-c", IN_A_LOCALE, guest_files / "vmlinuz", tmp_path]
    done = subprocess.run(command, env=os.environ | LOCALES[locale], capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    made = {os.path.splitext(name) for name in os.listdir(os.fsencode(tmp_path))}
    stems = ("ä€".encode(), b"\xe4", b"a\\b")
    assert made == {(stem, suffix) for stem in stems for suffix in (b".img", b".log", b".state")}


def test_text_that_no_file_can_be_named_by_is_refused(configure: Configure) -> None:
    configuration = configure()
    configuration.boot_loader.kernel = "/\ud800"
    words = r"boot_loader\.kernel is '/\\ud800', which cannot be the name of a file"
    with pytest.raises(applevz.InvalidArgumentError, match=words):
        configuration.validate()


@pytest.mark.parametrize("slash", [b"/", b"//", b"/."])
def test_a_file_with_a_slash_behind_it_is_no_file(
    configure: Configure, guest_files: Path, tmp_path: Path, slash: bytes
) -> None:
    path = os.fsencode(tmp_path) + b"/file"
    applevz.create_disk_image(path, 512)
    for make in (
        lambda: [VirtioBlockDeviceConfiguration(DiskImageStorageDeviceAttachment(path + slash))],
        lambda: [VirtioBlockDeviceConfiguration(DiskImageStorageDeviceAttachment(os.fsdecode(path + slash)))],
    ):
        with pytest.raises(NotADirectoryError):
            configure(storage_devices=make()).validate()
    new = FileSerialPortAttachment(os.fsencode(tmp_path) + b"/new" + slash)
    ports = [VirtioConsoleDeviceSerialPortConfiguration(new)]
    with pytest.raises(applevz.Error) as caught:
        configure(serial_ports=ports).validate()
    assert isinstance(caught.value, (IsADirectoryError, FileNotFoundError))
    assert os.listdir(tmp_path) == ["file"]


def test_a_path_may_be_as_long_as_the_system_takes_it(configure: Configure, tmp_path: Path) -> None:
    """Up to PATH_MAX, with names as long as NAME_MAX, for what is made beside the file as well."""
    folder = os.fsencode(tmp_path)
    while len(folder) < 4095 - 255 - 2:
        folder += b"/" + b"d" * min(255, 4095 - 255 - 2 - len(folder))
    here = os.open("/", os.O_PATH)
    for part in folder.split(b"/")[1:]:
        if not os.path.isdir(f"/proc/self/fd/{here}/{os.fsdecode(part)}"):
            os.mkdir(part, dir_fd=here)
        here = os.open(part, os.O_PATH, dir_fd=here)
    name = folder + b"/" + b"n" * (4095 - len(folder) - 1 - 2)
    assert len(os.path.basename(name)) <= 254
    log = VirtioConsoleDeviceSerialPortConfiguration(FileSerialPortAttachment(name + b"l"))
    disk = name + b"d"
    applevz.create_disk_image(disk, 512)
    storage = [VirtioBlockDeviceConfiguration(DiskImageStorageDeviceAttachment(disk))]
    with applevz.VirtualMachine(configure(memory_size="128MiB", serial_ports=[log], storage_devices=storage)) as vm:
        vm.start(timeout=PATIENCE)
        vm.suspend(timeout=PATIENCE, to=name + b"s")
        vm.restore_state(name + b"s", timeout=PATIENCE)
        with pytest.raises(applevz.SaveError) as refusal:
            vm.save_state(name + b"too long", timeout=PATIENCE)
    assert refusal.value.errno == 36  # type: ignore[attr-defined]
    log = VirtioConsoleDeviceSerialPortConfiguration(FileSerialPortAttachment("/" * 5000))
    with pytest.raises(applevz.Error) as caught:
        configure(serial_ports=[log]).validate()
    assert caught.value.errno == 36  # type: ignore[attr-defined]


# ---- What a path means in this process -------------------------------------------------------------------------------


@pytest.fixture
def through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Folders that lead to the test's own by what they mean in this process alone."""
    monkeypatch.chdir(tmp_path)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield ["/proc/self/cwd", f"/proc/self/fd/{descriptor}", f"/dev/fd/{descriptor}", "/proc/thread-self/cwd"]
    os.close(descriptor)


def test_files_are_those_of_this_process(
    configure: Configure, guest_files: Path, tmp_path: Path, through: list[str]
) -> None:
    for number, folder in enumerate(through):
        prefix = f"{folder}/{number}"
        for suffix, source in (("k", "vmlinux"), ("i", "initrd.cpio.gz")):
            os.symlink(guest_files / source, prefix + suffix)
        applevz.create_disk_image(prefix + "d", 512)
        disk = VirtioBlockDeviceConfiguration(DiskImageStorageDeviceAttachment(prefix + "d"))
        log = VirtioConsoleDeviceSerialPortConfiguration(FileSerialPortAttachment(prefix + "l"))
        configuration = configure(memory_directory=folder, storage_devices=[disk], serial_ports=[log])
        configuration.boot_loader.kernel = prefix + "k"
        configuration.boot_loader.initial_ramdisk = prefix + "i"
        if number > 0:
            configuration.memory_size = "128MiB"
        with applevz.VirtualMachine(configuration) as vm:
            vm.start(timeout=PATIENCE)
            opened = {os.readlink(link) for link in Path(f"/proc/{qemu()}/fd").iterdir()}
            assert {f"{tmp_path}/{number}d", f"{tmp_path}/{number}l"} <= opened
            if number == 0:
                assert eventually(lambda: b"applevz guest: ready" in (tmp_path / "0l").read_bytes(), PATIENCE)
            vm.suspend(timeout=PATIENCE, to=prefix + "s")
            vm.restore_state(prefix + "s", timeout=PATIENCE)
        assert (tmp_path / f"{number}s").stat().st_size > 0


@pytest.mark.skipif(not applevz.capabilities.efi, reason="there is no firmware")
@pytest.mark.parametrize("name", [*NAMES, "through"], ids=ascii)
def test_a_variable_store_may_have_every_name(
    configure: Configure, tmp_path: Path, through: list[str], name: Any
) -> None:
    for prefix in through if name == "through" else [os.path.join(os.fsencode(tmp_path), name)]:
        path = os.fsencode(prefix)
        if name != "through":
            path += b"/" + name
            os.mkdir(prefix)
        else:
            path += b"/variables"
        before = set(os.listdir(tmp_path))
        for _ in range(2):
            applevz.EFIVariableStore.create(path, overwrite=True)
        with pytest.raises(FileExistsError):
            applevz.EFIVariableStore.create(os.fsdecode(path))
        loader = applevz.EFIBootLoader(applevz.EFIVariableStore(path))
        with applevz.VirtualMachine(applevz.VirtualMachineConfiguration(loader, memory_size="128MiB")) as vm:
            vm.start(timeout=PATIENCE)
            vm.pause(timeout=PATIENCE)
            other = applevz.VirtualMachine(applevz.VirtualMachineConfiguration(loader, memory_size="128MiB"))
            with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match="is in use by a machine"):
                other.start(timeout=PATIENCE)
            assert any(os.path.samefile(link, path) for link in Path(f"/proc/{qemu()}/fd").iterdir() if link.exists())
        assert set(os.listdir(tmp_path)) - {"variables"} == before - {"variables"}
        os.unlink(path)


def test_the_socket_of_a_server_is_that_of_this_process(
    machine: MakeMachine, tmp_path: Path, through: list[str]
) -> None:
    with Server(tmp_path) as server:
        for folder in through:
            url = server.url.replace(str(tmp_path), folder)
            disk = applevz.NetworkBlockDeviceStorageDeviceAttachment(url)
            vm = machine(memory_size="128MiB", storage_devices=[VirtioBlockDeviceConfiguration(disk)])
            vm.start(timeout=PATIENCE)
            vm.stop(timeout=PATIENCE)
            # Where it is not, the words have the path that it was given.
            missing = applevz.NetworkBlockDeviceStorageDeviceAttachment(f"nbd+unix:///?socket={folder}/none", timeout=1)
            vm = machine(memory_size="128MiB", storage_devices=[VirtioBlockDeviceConfiguration(missing)])
            with pytest.raises(applevz.NetworkBlockDeviceNegotiationFailedError, match=f"'{folder}/none'"):
                vm.start(timeout=PATIENCE)


def qemu() -> int:
    (process,) = (child for child in children() if Path(f"/proc/{child}/comm").read_text().startswith("qemu-system"))
    return process


def test_a_descriptor_of_this_process_is_a_file(configure: Configure, guest_files: Path, tmp_path: Path) -> None:
    """By the path that it has here, where QEMU has another file by that number."""
    applevz.create_disk_image(tmp_path / "disk", "1MiB")
    for form in ("/dev/fd/{}", "/proc/self/fd/{}"):
        with open(guest_files / "vmlinuz", "rb") as kernel, open(tmp_path / "disk", "r+b") as disk:
            (tmp_path / "deleted").write_bytes(bytes(512))
            with open(tmp_path / "deleted", "rb") as ramdisk:
                os.unlink(tmp_path / "deleted")
                attachment = DiskImageStorageDeviceAttachment(form.format(disk.fileno()))
                configuration = configure(
                    memory_size="128MiB", storage_devices=[VirtioBlockDeviceConfiguration(attachment)]
                )
                configuration.boot_loader.kernel = form.format(kernel.fileno())
                configuration.boot_loader.initial_ramdisk = form.format(ramdisk.fileno())
                with applevz.VirtualMachine(configuration) as vm:
                    vm.start(timeout=PATIENCE)
                    opened = [os.readlink(link) for link in Path(f"/proc/{qemu()}/fd").iterdir()]
                    assert str(tmp_path / "disk") in opened


def test_a_shared_directory_is_that_of_this_process(configure: Configure, tmp_path: Path, through: list[str]) -> None:
    """Not the folder / of the process that serves it."""
    (tmp_path / "below").mkdir()
    for folder in through:
        share = MultipleDirectoryShare({"here": SharedDirectory(folder), "below": SharedDirectory(f"{folder}/below")})
        devices = [device("single", single(folder)), device("several", share)]
        with applevz.VirtualMachine(configure(memory_size="128MiB", directory_sharing_devices=devices)) as vm:
            vm.start(timeout=PATIENCE)
            assert sorted(place for place, _ in served(tmp_path)) == ["/", "/here"]
            assert [place for place, _ in served(tmp_path / "below")] == ["/below"]
            vm.directory_sharing_devices[1].share = MultipleDirectoryShare({"new": SharedDirectory(folder)})
            assert sorted(place for place, _ in served(tmp_path)) == ["/", "/new"]
            assert vm.directory_sharing_devices[1].share == MultipleDirectoryShare({"new": SharedDirectory(folder)})


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_shared_directory_may_have_every_name(configure: Configure, tmp_path: Path, name: bytes) -> None:
    folder = os.fsencode(tmp_path) + b"/" + name
    os.mkdir(folder)
    os.mkdir(folder + b"/below")
    share = MultipleDirectoryShare({"a": SharedDirectory(folder, read_only=True)})
    devices = [device("single", single(os.fsdecode(folder))), device("several", share)]
    with applevz.VirtualMachine(configure(memory_size="128MiB", directory_sharing_devices=devices)) as vm:
        vm.start(timeout=PATIENCE)
        roots = [Path(f"/proc/{server}/root") for server in servers()]
        found = [place for root in roots for place in (root, root / "a") if place.exists()]
        # The root of the one, and what the other has by its name.
        assert eventually(lambda: sum(os.path.samestat(place.stat(), os.stat(folder)) for place in found) == 2)
        assert os.fsencode(vm.directory_sharing_devices[0].share.directory.path) == folder
