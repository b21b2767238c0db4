# SPDX-License-Identifier: Apache-2.0
"""This library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import ClassVar

from subject import COMMAND_LINE, Guest, Machine, Subject

import applevz
from applevz._native import lib
from applevz.errors import check
from processes import children

PATIENCE = 120.0
NO_CAPABILITY = 1000
NOTHING = applevz.Confinement(0)


class OurMachine(Machine):
    def __init__(self, vm: applevz.VirtualMachine) -> None:
        self.vm = vm
        self.before = children()

    def start(self) -> None:
        self.vm.start(timeout=PATIENCE)

    def read_until(self, text: bytes) -> None:
        self.vm.console.read_until(text, timeout=PATIENCE)

    def write(self, text: bytes) -> None:
        self.vm.console.write(text, timeout=PATIENCE)

    def pause(self) -> None:
        self.vm.pause(timeout=PATIENCE)

    def resume(self) -> None:
        self.vm.resume(timeout=PATIENCE)

    def state(self) -> object:
        return self.vm.state

    def save(self, path: Path) -> None:
        self.vm.save_state(path, timeout=PATIENCE)

    def suspend(self, path: Path) -> None:
        self.vm.suspend(timeout=PATIENCE, to=path)

    def restore(self, path: Path, private: bool) -> None:
        self.vm.restore_state(path, timeout=PATIENCE, private=private)
        self.vm.resume(timeout=PATIENCE)

    def stop(self) -> None:
        self.vm.stop(timeout=PATIENCE)

    def process(self) -> int:
        return max(children() - self.before)


class Ours(Subject):
    name = "applevz"
    import_statements: ClassVar[dict[str, str]] = {
        "import": "import applevz",
        "import with the machine's class": "from applevz import VirtualMachine, VirtualMachineConfiguration",
    }
    has_private_clones = True
    hands_memory_over = True

    def __init__(self, guest: Guest, folder: Path) -> None:
        super().__init__(guest, folder)
        # A machine can be restored only as itself.
        self.platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random())

    @contextmanager
    def machine(
        self,
        memory: int,
        kernel: Path | None = None,
        memory_folder: Path | None = None,
        disk: Path | None = None,
        waived: applevz.Confinement = NOTHING,
    ) -> Iterator[OurMachine]:
        disks = []
        if disk is not None:
            attachment = applevz.DiskImageStorageDeviceAttachment(disk, ephemeral=True, overlay_directory=self.folder)
            disks = [applevz.VirtioBlockDeviceConfiguration(attachment)]
        configuration = applevz.VirtualMachineConfiguration(
            applevz.LinuxBootLoader(kernel or self.guest.kernel, self.guest.initrd, COMMAND_LINE),
            memory_size=memory << 20,
            platform=self.platform,
            memory_directory=memory_folder,
            storage_devices=disks,
            confinement=applevz.ConfinementPolicy(waived=waived),
        )
        with applevz.VirtualMachine(configuration) as vm:
            yield OurMachine(vm)

    def unconfined_machine(self, memory: int) -> AbstractContextManager[OurMachine]:
        return self.machine(memory, waived=~NOTHING)

    def start_all(self, machines: list[Machine]) -> None:
        with ThreadPoolExecutor(len(machines)) as pool:
            list(pool.map(lambda machine: machine.start(), machines))

    def failing_call(self) -> Callable[[], object]:
        # The shortest way to an error that was made natively: its life is that of any other.
        return lambda: check(lib.applevz_capability_check(NO_CAPABILITY))
