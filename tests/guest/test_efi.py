# SPDX-License-Identifier: Apache-2.0
"""Booting by EFI firmware, and the variables that it keeps."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import EFIBootLoader, EFIVariableStore, states
from applevz._host.nameless_files import NamelessFile
from guest_machine import PATIENCE, Guest
from processes import children

linux = pytest.mark.skipif(sys.platform != "linux", reason="the firmware and the guest are those of a Linux host")

# A variable that is kept, and known to a program when the firmware's own services have ended: the attributes that stand
# before a variable's value in its file (UEFI's specification, SetVariable).
ATTRIBUTES = r"\007\000\000\000"
VARIABLE = "/sys/firmware/efi/efivars/Applevz-6a1ea1bc-9b1c-4d4a-8f0e-2f9a3f1f4c11"
ANOTHER = VARIABLE.replace("Applevz", "Another")


@pytest.fixture
def efi(guest_files: Path, tmp_path: Path) -> Callable[..., applevz.VirtualMachineConfiguration]:
    """Makes a configuration that boots the guest's disk by EFI firmware, with a variable store of the test's own."""

    def make(store: Any = None, **fields: Any) -> applevz.VirtualMachineConfiguration:
        disk = applevz.DiskImageStorageDeviceAttachment(guest_files / "efi.img", read_only=True)
        given = {
            "memory_size": "256MiB",
            "storage_devices": [applevz.VirtioBlockDeviceConfiguration(disk)],
            **fields,
        }
        return applevz.VirtualMachineConfiguration(
            EFIBootLoader(store or EFIVariableStore(tmp_path / "variables")), **given
        )

    return make


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def mount_variables(guest: Guest) -> None:
    command = "insmod /modules/efivarfs.ko; mount -t efivarfs efivarfs /sys/firmware/efi/efivars && echo mounted"
    assert guest.run(command) == "mounted"


@linux
def test_a_guest_boots_by_firmware_and_finds_the_variable_that_it_wrote_again(
    efi: Callable[..., applevz.VirtualMachineConfiguration], tmp_path: Path
) -> None:
    path, identifier = tmp_path / "variables", applevz.GenericMachineIdentifier.random()
    platform = applevz.GenericPlatformConfiguration(identifier)
    configuration = efi(platform=platform)
    configuration.validate_save_restore_support()
    empty = digest(path)
    with applevz.VirtualMachine(configuration) as machine:
        guest = Guest(machine).start()
        assert guest.run("cat /sys/firmware/efi/fw_platform_size") == "64"
        assert guest.run("cat /sys/class/dmi/id/product_uuid") == str(
            uuid.UUID(bytes=identifier.data_representation[4:])
        )
        mount_variables(guest)
        assert guest.run(f"printf '{ATTRIBUTES}kept' >{VARIABLE} && echo written") == "written"
        # It is in the file when the guest has it, and the file is this machine's alone.
        written = digest(path)
        assert written != empty
        words = r"bootLoader\.variableStore\.URL is .*variables\", which is in use by a machine that runs"
        with applevz.VirtualMachine(efi()) as other:
            with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=words):
                other.start(timeout=PATIENCE)
            assert other.state is applevz.VirtualMachineState.STOPPED
        with pytest.raises(applevz.POSIXError, match="is in use by a machine that runs"):
            EFIVariableStore.create(path, overwrite=True)
        assert digest(path) == written

        # The flash memory is a part of what is saved.
        machine.pause(timeout=PATIENCE)
        machine.save_state(tmp_path / "state", timeout=PATIENCE)
        machine.stop(timeout=PATIENCE)
        machine.restore_state(tmp_path / "state", timeout=PATIENCE)
        machine.resume(timeout=PATIENCE)
        assert guest.run(f"tail -c 4 {VARIABLE}") == "kept"
        # Another one: Linux protects those that it does not know.
        assert guest.run(f"printf '{ATTRIBUTES}more' >{ANOTHER} && echo written") == "written"
        assert digest(path) != written
    changed = digest(path)
    (other_store := tmp_path / "other").write_bytes(path.read_bytes())
    for store, words in (
        (path, r"the checksum of bootLoader\.variableStore is \w+; .* was made with \w+"),
        (other_store, r"bootLoader\.variableStore\.URL is .*other\"; .* was made with .*variables"),
    ):
        machine = applevz.VirtualMachine(efi(EFIVariableStore(store), platform=platform))
        with machine, pytest.raises(applevz.RestoreError, match=words):
            machine.restore_state(tmp_path / "state", timeout=PATIENCE)
    assert digest(path) == changed

    with applevz.VirtualMachine(efi(platform=platform)) as machine:
        guest = Guest(machine).start()
        mount_variables(guest)
        assert guest.run(f"tail -c 4 {VARIABLE}; echo; tail -c 4 {ANOTHER}").split() == ["kept", "more"]
    assert sorted(os.listdir(tmp_path)) == ["other", "state", "variables"]


@linux
def test_files_without_a_name_are_known_by_what_is_in_them_and_the_state_brings_the_variables(
    efi: Callable[..., applevz.VirtualMachineConfiguration], guest_files: Path, tmp_path: Path
) -> None:
    EFIVariableStore.create(tmp_path / "empty")
    empty = (tmp_path / "empty").read_bytes()
    platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random())
    stores = []

    def configuration(seed: bytes = b"seed" * 512) -> applevz.VirtualMachineConfiguration:
        """One whose files are made anew, as another process would make them."""
        stores.append(NamelessFile("variables", lambda file: file.write(empty)))
        disks = [
            applevz.DiskImageStorageDeviceAttachment(guest_files / "efi.img", ephemeral=True),
            applevz.DiskImageStorageDeviceAttachment(NamelessFile("seed", lambda file: file.write(seed)), True),
        ]
        devices = [applevz.VirtioBlockDeviceConfiguration(disk) for disk in disks]
        return efi(EFIVariableStore(stores[-1]), platform=platform, storage_devices=devices)

    def variables(store: NamelessFile) -> bytes:
        return Path(os.fsdecode(store)).read_bytes()

    path = tmp_path / "state"
    with applevz.VirtualMachine(configuration()) as machine:
        guest = Guest(machine).start()
        mount_variables(guest)
        assert guest.run(f"printf '{ATTRIBUTES}kept' >{VARIABLE} && echo written") == "written"
        machine.suspend(timeout=PATIENCE, to=path)
    saved = variables(stores[0])
    assert saved != empty
    # Nobody finds such files: the state needs the image with a name alone.
    assert [disk.device for disk in states.inspect(path).disks] == ["storage_devices[0]"]
    with applevz.VirtualMachine(configuration()) as first, applevz.VirtualMachine(configuration()) as second:
        for machine in (first, second):
            machine.restore_state(path, timeout=PATIENCE, private=True)
            machine.start(timeout=PATIENCE)
        assert variables(stores[1]) == variables(stores[2]) == saved
        guest = Guest(first)
        assert guest.run(f"tail -c 4 {VARIABLE}") == "kept"
        assert guest.run(f"printf '{ATTRIBUTES}more' >{ANOTHER} && echo written") == "written"
        assert variables(stores[1]) != saved
        assert variables(stores[2]) == saved
    machine = applevz.VirtualMachine(configuration(b"tree" * 512))
    with machine, pytest.raises(applevz.RestoreError, match=r"the checksum of storageDevices\[1\] is \w+; .* made"):
        machine.restore_state(path, timeout=PATIENCE, private=True)
    machine = applevz.VirtualMachine(configuration(b"tree" * 1024))
    with machine, pytest.raises(applevz.RestoreError, match=r"the size of storageDevices\[1\] is 4096; .* 2048"):
        machine.restore_state(path, timeout=PATIENCE, private=True)


@linux
def test_a_store_is_made_where_it_is_missing_and_left_alone_where_it_is_there(
    efi: Callable[..., applevz.VirtualMachineConfiguration], tmp_path: Path
) -> None:
    path = tmp_path / "variables"
    efi().validate()
    empty = path.read_bytes()
    path.write_bytes(empty[:-1] + b"!")
    efi().validate()
    assert path.read_bytes() == empty[:-1] + b"!"
    with pytest.raises(applevz.POSIXError, match="which is there already") as caught:
        EFIVariableStore.create(path)
    assert isinstance(caught.value, FileExistsError)
    assert path.read_bytes() == empty[:-1] + b"!"
    assert EFIVariableStore.create(path, overwrite=True) == EFIVariableStore(path)
    assert path.read_bytes() == empty
    (tmp_path / "link").symlink_to("variables")
    path.write_bytes(b"old")
    EFIVariableStore.create(tmp_path / "link", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert path.read_bytes() == empty
    assert sorted(os.listdir(tmp_path)) == ["link", "variables"]


@linux
@pytest.mark.parametrize("kind", ["FIFO", "character device", "directory"])
def test_nothing_but_a_file_is_replaced_by_a_store(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "variables"
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif os.geteuid() != 0:
        pytest.skip("only root makes devices")
    else:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    before = path.stat()
    with pytest.raises(FileExistsError, match=f"URL is .*variables\", which is a {kind}; it must be a regular file"):
        EFIVariableStore.create(path, overwrite=True)
    assert path.stat() == before
    assert os.listdir(tmp_path) == ["variables"]


def put(offset: int, value: bytes) -> Callable[[bytes], bytes]:
    return lambda store: store[:offset] + value + store[offset + len(value) :]


def of_no_length(store: bytes) -> bytes:
    """With the checksum of its header right."""
    head = bytearray(put(32, bytes(8))(store)[:72])
    head[50:52] = bytes(2)
    head[50:52] = (-sum(struct.unpack("<36H", head)) & 0xFFFF).to_bytes(2, "little")
    return bytes(head) + store[72:]


# What is done to a store, or to its folder, and the words of its refusal.
STORES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", r"has 0 bytes; a store of the firmware on this host has \d+"),
    "cut": (lambda store: store[:-4096], r"has \d+ bytes; a store of the firmware on this host has \d+"),
    "zeros": (lambda store: bytes(len(store)), "is not an EFI variable store: it does not begin as one"),
    "of another kind": (put(16, bytes(16)), "is not an EFI variable store: it does not begin as one"),
    "without a header's length": (put(48, b"\xff\xff"), "its header has no length that one can have"),
    "damaged in its header": (put(45, b"!"), "the checksum of its header is not right"),
    "damaged where its variables begin": (put(72, bytes(16)), "where its variables should begin, they do not"),
    "longer than it is": (put(72 + 16, b"\xff\xff\xff\x7f"), "its header tells of more bytes than it has"),
    "shorter than its header": (of_no_length, "its header tells of more bytes than it has"),
    "not formatted": (put(72 + 20, b"\xff"), "it is marked as not formatted, or not healthy"),
}


@linux
@pytest.mark.parametrize("kind", STORES)
def test_a_store_that_is_damaged_is_refused_in_words_and_stays(
    efi: Callable[..., applevz.VirtualMachineConfiguration], tmp_path: Path, kind: str
) -> None:
    change, words = STORES[kind]
    path = tmp_path / "variables"
    EFIVariableStore.create(path)
    path.write_bytes(change(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=words) as caught:
        efi().validate()
    assert caught.value.failure_reason.startswith(f'bootLoader.variableStore.URL is "{path}", which ')
    assert caught.value.recovery_suggestion
    assert path.read_bytes() == before


@linux
def test_a_path_that_cannot_be_a_store_is_refused_in_words(
    efi: Callable[..., applevz.VirtualMachineConfiguration], tmp_path: Path
) -> None:
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match="variableStore.URL is .*is a directory"):
        efi(EFIVariableStore(tmp_path)).validate()
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError, match=r"bootLoader\.variableStore\.URL is .*dangling\".*No such file"):
        efi(EFIVariableStore(tmp_path / "dangling")).validate()
    with pytest.raises(FileNotFoundError, match=r"URL is .*no/folder\", where no file can be made: No such file"):
        efi(EFIVariableStore(tmp_path / "no" / "folder")).validate()
    with pytest.raises(applevz.InvalidArgumentTypeError, match=r"boot_loader\.variable_store is .*, of type str"):
        efi(str(tmp_path / "variables")).validate()
    with pytest.raises(applevz.InvalidArgumentTypeError, match=r"boot_loader\.variable_store\.path"):
        efi(EFIVariableStore(7)).validate()  # type: ignore[arg-type]
    with pytest.raises(applevz.InvalidArgumentTypeError, match="overwrite is 'yes'"):
        EFIVariableStore.create(tmp_path / "variables", overwrite="yes")  # type: ignore[arg-type]
    assert sorted(os.listdir(tmp_path)) == ["dangling"]


@linux
@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_store_that_may_not_be_written_is_refused_with_what_would_do(
    efi: Callable[..., applevz.VirtualMachineConfiguration], tmp_path: Path
) -> None:
    EFIVariableStore.create(tmp_path / "variables")
    (tmp_path / "variables").chmod(0o400)
    with pytest.raises(PermissionError, match="which cannot be opened for writing: Permission denied") as caught:
        efi().validate()
    assert "permission to read and write" in str(caught.value)


# ---- Firmware ----

SOUND: dict[str, Any] = {
    "interface-types": ["uefi"],
    "mapping": {
        "device": "flash",
        "executable": {"filename": "CODE", "format": "raw"},
        "nvram-template": {"filename": "VARIABLES", "format": "raw"},
    },
    "targets": [{"architecture": "x86_64", "machines": ["pc-i440fx-*", "pc-q35-*"]}],
    "features": ["acpi-s3"],
}


@pytest.fixture
def describe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts a descriptor, made of a sound one, into the folder that stands in for the host's."""
    folder = tmp_path / "firmware"
    folder.mkdir()
    variables = tmp_path / "empty"
    EFIVariableStore.create(variables)
    code = tmp_path / "code"
    code.write_bytes(bytes(3653632))
    monkeypatch.setenv("APPLEVZ_QEMU_FIRMWARE", str(folder))

    def put_descriptor(name: str = "50-sound.json", **changes: Any) -> Path:
        text = json.dumps({**SOUND, **changes}).replace('"CODE"', f'"{code}"').replace('"VARIABLES"', f'"{variables}"')
        (folder / name).write_text(text)
        return folder / name

    return put_descriptor


@linux
def test_a_host_without_firmware_says_which_package_has_it(
    efi: Callable[..., applevz.VirtualMachineConfiguration], tmp_path: Path, describe: Callable[..., Path]
) -> None:
    capability = applevz.capabilities.efi
    assert not capability
    assert f"No descriptor in {tmp_path}/firmware names EFI firmware" in capability.reason
    assert "the package ovmf" in capability.reason
    for call in (efi().validate, lambda: applevz.VirtualMachine(efi()), lambda: EFIVariableStore.create("store")):
        with pytest.raises(applevz.NotSupportedError, match="the package ovmf"):
            call()
    assert not Path("store").exists()
    assert not (tmp_path / "variables").exists()
    describe()
    assert applevz.capabilities.efi
    efi().validate()


@linux
@pytest.mark.parametrize(
    "changes",
    [
        {"interface-types": ["bios"]},
        {"mapping": {**SOUND["mapping"], "device": "memory"}},
        {"mapping": {**SOUND["mapping"], "mode": "combined"}},
        {"mapping": {**SOUND["mapping"], "executable": {"filename": "CODE", "format": "qcow2"}}},
        {"mapping": {**SOUND["mapping"], "nvram-template": {"filename": "/missing", "format": "raw"}}},
        {"mapping": {**SOUND["mapping"], "nvram-template": {"filename": "CODE\0", "format": "raw"}}},
        {"mapping": 7},
        {"targets": [{"architecture": "aarch64", "machines": ["virt-*", "pc-q35-*"]}]},
        {"targets": [{"architecture": "x86_64", "machines": ["pc-i440fx-*"]}]},
        {"targets": 7},
        {"features": ["requires-smm", "secure-boot"]},
        {"features": ["enrolled-keys"]},
    ],
)
def test_a_descriptor_of_other_firmware_is_passed_by(describe: Callable[..., Path], changes: dict[str, Any]) -> None:
    describe("10-other.json", **changes)
    assert not applevz.capabilities.efi
    describe("50-sound.json")
    assert applevz.capabilities.efi


@linux
def test_a_descriptor_that_is_none_is_passed_by(describe: Callable[..., Path]) -> None:
    for name, text in {"00.json": "", "01.json": "[1]", "02.json": "{", "03.json": "{}", "04.txt": "x"}.items():
        describe(name).write_text(text)
    assert not applevz.capabilities.efi
    describe()
    assert applevz.capabilities.efi


@linux
def test_firmware_whose_empty_variables_are_damaged_is_refused(
    efi: Callable[..., applevz.VirtualMachineConfiguration], tmp_path: Path, describe: Callable[..., Path]
) -> None:
    describe()
    (tmp_path / "empty").write_bytes(bytes(540672))
    with pytest.raises(applevz.NotSupportedError, match=r"empty variable store .*empty\" is not an EFI variable store"):
        EFIVariableStore.create(tmp_path / "variables")
    assert not (tmp_path / "variables").exists()


@linux
def test_a_store_of_firmware_that_is_there_no_longer_is_refused_when_the_machine_starts(
    efi: Callable[..., applevz.VirtualMachineConfiguration], tmp_path: Path, describe: Callable[..., Path]
) -> None:
    descriptor = describe()
    before = children()
    with applevz.VirtualMachine(efi()) as machine:
        descriptor.unlink()
        with pytest.raises(applevz.NotSupportedError, match="the package ovmf"):
            machine.start(timeout=PATIENCE)
        assert machine.state is applevz.VirtualMachineState.STOPPED
    assert children() == before
