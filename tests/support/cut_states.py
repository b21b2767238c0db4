# SPDX-License-Identifier: Apache-2.0
"""A program that saves and restores a machine with disks, and is killed meanwhile by those who start it."""

from __future__ import annotations

import json
import os
import sys

import applevz
from guest_machine import Guest

# What is under way, in turn. Each is printed when it begins, and something else when one ends that no other follows.
PHASES = ("restore", "write", "save", "restore privately", "save over", "hand over")


def machine(folder: str, kernel: str, initrd: str, identifier: bytes) -> applevz.VirtualMachine:
    """One with an ephemeral disk and a branch of `base` in the folder, in which its memory is a file, too."""
    base, branch = (os.path.join(folder, name) for name in ("base", "branch"))
    disks = [
        applevz.DiskImageStorageDeviceAttachment(base, ephemeral=True, overlay_directory=folder),
        applevz.DiskImageStorageDeviceAttachment(branch, base=base, overlay_directory=folder),
    ]
    return applevz.VirtualMachine(
        applevz.VirtualMachineConfiguration(
            applevz.LinuxBootLoader(kernel, initrd, "console=hvc0 quiet"),
            memory_size="128MiB",
            memory_directory=folder,
            platform=applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier(identifier)),
            storage_devices=[applevz.VirtioBlockDeviceConfiguration(disk) for disk in disks],
        )
    )


def begin(phase: str) -> None:
    print(phase, flush=True)


def write(vm: applevz.VirtualMachine) -> None:
    """The guest writes to both disks."""
    vm.start()
    Guest(vm).run("for d in vda vdb; do echo more | dd of=/dev/$d bs=512 seek=6 conv=sync,fsync 2>/dev/null; done")


def run(vm: applevz.VirtualMachine, first: str, path: str) -> None:
    begin("restore")
    vm.restore_state(first)
    begin("write")
    write(vm)
    vm.pause()
    begin("save")
    vm.save_state(path)
    begin("saved")
    vm.stop()
    begin("restore privately")
    vm.restore_state(path, private=True)
    begin("save over")
    vm.save_state(path, overwrite=True)
    begin("saved again")
    vm.stop()
    vm.restore_state(first)
    write(vm)
    begin("hand over")
    vm.suspend(to=path, overwrite=True)
    begin("end")


if __name__ == "__main__":
    first, path, folder, kernel, initrd, identifier = json.loads(sys.argv[1])
    try:
        run(machine(folder, kernel, initrd, bytes.fromhex(identifier)), first, path)
    except applevz.Error as error:
        # Of a QEMU that was killed.
        print("refused:", error.failure_reason, flush=True)
