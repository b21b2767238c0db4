# SPDX-License-Identifier: Apache-2.0
"""libvirt, through its module for Python: the driver in this process (qemu:///embed), so that no daemon is needed and
none is waited for."""

from __future__ import annotations

import os
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import libvirt
from subject import COMMAND_LINE, Guest, Machine, Subject

import applevz

SETTINGS = """\
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
remember_owner = 0
stdio_handler = "file"
"""


class LibvirtMachine(Machine):
    def __init__(self, connection: libvirt.virConnect, description: str, name: str) -> None:
        self.connection, self.description, self.name = connection, description, name
        self.domain: Any = None  # a virDomain while it runs
        self.console = -1

    def open_console(self) -> None:
        self.close_console()
        source = ET.fromstring(self.domain.XMLDesc()).findall(".//console/source")[0]
        self.console = os.open(source.attrib["path"], os.O_RDWR | os.O_NOCTTY)
        with suppress(termios.error):
            tty.setraw(self.console)

    def close_console(self) -> None:
        if self.console >= 0:
            os.close(self.console)
            self.console = -1

    def start(self) -> None:
        self.domain = self.connection.createXML(self.description, 0)

    def read_until(self, text: bytes) -> None:
        if self.console < 0:
            self.open_console()
        seen = b""
        while text not in seen:
            seen += os.read(self.console, 4096)

    def write(self, text: bytes) -> None:
        if self.console < 0:
            self.open_console()
        os.write(self.console, text)

    def pause(self) -> None:
        self.domain.suspend()

    def resume(self) -> None:
        self.domain.resume()

    def state(self) -> object:
        return self.domain.state()

    def save(self, path: Path) -> None:
        self.close_console()
        self.domain.saveFlags(str(path), None, libvirt.VIR_DOMAIN_SAVE_RUNNING)

    def suspend(self, path: Path) -> None:
        self.save(path)

    def restore(self, path: Path, private: bool) -> None:
        self.close_console()
        self.connection.restore(str(path))
        self.domain = self.connection.lookupByName(self.name)

    def stop(self) -> None:
        self.close_console()
        if self.domain is not None:
            with suppress(libvirt.libvirtError):
                self.domain.destroy()
            self.domain = None

    def process(self) -> int:
        folders = Path("/proc").glob("[0-9]*/cmdline")
        wanted = f"guest={self.name}".encode()
        for folder in folders:
            with suppress(OSError):
                if wanted in folder.read_bytes():
                    return int(folder.parent.name)
        raise LookupError(self.name)


class Libvirt(Subject):
    name = "libvirt"
    import_statements: ClassVar[dict[str, str]] = {"import": "import libvirt"}

    def __init__(self, guest: Guest, folder: Path) -> None:
        super().__init__(guest, folder)
        root = folder / "libvirt"
        (root / "etc").mkdir(parents=True)
        (root / "etc" / "qemu.conf").write_text(SETTINGS, encoding="utf-8")
        os.environ["LIBVIRT_LOG_OUTPUTS"] = "4:stderr"
        # By default its errors go to standard error, too.
        libvirt.registerErrorHandler(lambda context, error: None, None)
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=self.serve, daemon=True).start()
        self.connection = libvirt.open(f"qemu:///embed?root={root}")
        self.count = 0

    @staticmethod
    def serve() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    @contextmanager
    def machine(
        self, memory: int, kernel: Path | None = None, memory_folder: Path | None = None
    ) -> Iterator[LibvirtMachine]:
        self.count += 1
        name = f"applevz-bench-{os.getpid()}-{self.count}"
        kvm = bool(applevz.capabilities.hardware_acceleration)
        description = f"""\
<domain type='{"kvm" if kvm else "qemu"}'>
  <name>{name}</name>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{escape(str(kernel or self.guest.kernel))}</kernel>
    <initrd>{escape(str(self.guest.initrd))}</initrd>
    <cmdline>{COMMAND_LINE}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='{"host-passthrough" if kvm else "maximum"}'/>
  <devices>
    <console type='pty'><target type='virtio'/></console>
    <memballoon model='none'/>
    <controller type='usb' model='none'/>
  </devices>
</domain>
"""
        machine = LibvirtMachine(self.connection, description, name)
        try:
            yield machine
        finally:
            machine.stop()

    def start_all(self, machines: list[Machine]) -> None:
        with ThreadPoolExecutor(len(machines)) as pool:
            list(pool.map(lambda machine: machine.start(), machines))

    def failing_call(self) -> Callable[[], object]:
        return lambda: self.connection.lookupByName("nobody")
