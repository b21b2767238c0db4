# SPDX-License-Identifier: Apache-2.0
"""A file has the name that a program gave it, byte by byte, where Foundation decomposes characters.

On a Mac `fileSystemRepresentation` makes two characters of an umlaut: another name to a file system that compares
bytes. So no path goes through it. Here such a Foundation is played (`"paths": "decomposed"`).
"""

from __future__ import annotations

import json
import sys
import unicodedata
from pathlib import Path

import pytest
from test_raising_framework import SCRIPT

import played_mac
from places import SCRIPTED_QEMU

pytestmark = pytest.mark.timeout(900)  # the first of them builds the library

if sys.platform == "darwin":
    pytest.skip("a Mac need not be played", allow_module_level=True)

PROGRAM = """
import json, os, sys
import applevz

PATIENCE = 60
folder = sys.argv[1]
applevz.create_disk_image(f"{folder}/Gerät", "1MiB")
vm = applevz.VirtualMachine(applevz.VirtualMachineConfiguration(
    applevz.LinuxBootLoader(f"{folder}/Kern für Prüfungen"), memory_size="128MiB",
    storage_devices=[applevz.VirtioBlockDeviceConfiguration(
        applevz.DiskImageStorageDeviceAttachment(f"{folder}/Gerät"))],
    serial_ports=[applevz.VirtioConsoleDeviceSerialPortConfiguration(
        applevz.FileSerialPortAttachment(f"{folder}/Ausgänge"))]))
with open(f"{folder}/Zustände", "wb") as file:
    file.write(b"earlier")
vm.start(timeout=PATIENCE)
vm.pause(timeout=PATIENCE)
vm.save_state(f"{folder}/Zustände", timeout=PATIENCE, overwrite=True)
vm.save_state(f"{folder}/noch ein Zustand für später", timeout=PATIENCE)
told = []
for call in (lambda: vm.save_state(f"{folder}/Zustände", timeout=PATIENCE),
             lambda: vm.restore_state(f"{folder}/Übrige", timeout=PATIENCE),
             lambda: applevz.VirtualMachineConfiguration(applevz.LinuxBootLoader(f"{folder}/Früher")).validate()):
    try:
        call()
    except applevz.Error as error:
        told.append([type(error).__name__, error.filename, str(error)])
    vm.stop(timeout=PATIENCE) if vm.state is applevz.VirtualMachineState.PAUSED else None
print(json.dumps([sorted(os.listdir(folder)), os.path.getsize(f"{folder}/Zustände"), told]))
"""


def test_every_file_has_the_name_that_it_was_given(guest_files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Maschinenräume"
    folder.mkdir()
    (folder / "Kern für Prüfungen").symlink_to(guest_files / "vmlinux")
    names = ["Ausgänge", "Gerät", "Kern für Prüfungen", "Zustände", "noch ein Zustand für später"]
    assert all(unicodedata.normalize("NFC", name) == name for name in names)
    done = played_mac.run(
        PROGRAM,
        str(folder),
        policy={"paths": "decomposed"},
        APPLEVZ_QEMU=str(SCRIPTED_QEMU),
        APPLEVZ_QEMU_SCRIPT=json.dumps(SCRIPT),
    )
    assert done.returncode == 0, done.stderr
    found, size, told = json.loads(done.stdout)
    assert found == sorted(names)
    assert size > len("earlier")
    for (_, filename, words), name in zip(told, ("Zustände", "Übrige", "Früher"), strict=True):
        assert filename == str(folder / name)
        assert f'"{folder / name}"' in words
