# SPDX-License-Identifier: Apache-2.0
"""A server of network block devices, and what a machine tells of one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import applevz
from applevz import EventKind
from guest_machine import PATIENCE
from processes import eventually

CONNECTED, FAILED = EventKind.NETWORK_BLOCK_DEVICE_CONNECTED, EventKind.NETWORK_BLOCK_DEVICE_FAILED


class Server:
    """qemu-nbd with one disk, at a local socket."""

    def __init__(self, folder: Path, export: str = "disk", *options: str) -> None:
        self.image, self.socket = folder / f"{export} image", folder / f"{export} socket"
        self.export, self.options = export, options
        applevz.create_disk_image(self.image, "4MiB")
        self.start()

    @property
    def url(self) -> str:
        return f"nbd+unix:///{self.export}?socket={str(self.socket).replace(' ', '%20')}"

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        program = [
            "qemu-nbd",
            "--format=raw",
            "--persistent",
            "--shared=4",
            "--export-name",
            self.export,
            *self.options,
        ]
        self.process = subprocess.Popen([*program, "--socket", self.socket, self.image])
        assert eventually(self.socket.exists)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def next_event(vm: applevz.VirtualMachine, *kinds: applevz.EventKind) -> applevz.Event:
    while (event := vm.events.next(timeout=PATIENCE)).kind not in kinds:
        pass
    return event
