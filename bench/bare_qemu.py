# SPDX-License-Identifier: Apache-2.0
"""QEMU driven over QMP by a few lines of Python, with the same devices and memory: what is left when nothing is in
between. The guest's memory is a file in memory that QEMU maps, and a saved state that file and a stream."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from subject import COMMAND_LINE, Guest, Machine, Subject

import applevz

MEMORY_FOLDER = Path("/dev/shm")


class BareMachine(Machine):
    def __init__(self, guest: Guest, memory: int, kernel: Path) -> None:
        self.guest, self.memory, self.kernel = guest, memory, kernel
        self.qemu: subprocess.Popen[bytes] | None = None
        self.file = MEMORY_FOLDER / f"applevz-bench-{os.getpid()}-{id(self)}"

    def launch(self, *arguments: str, file: Path, share: bool) -> None:
        ours, theirs = socket.socketpair()
        self.console, console = socket.socketpair()
        backend = {"qom-type": "memory-backend-file", "id": "memory", "size": self.memory << 20}
        backend |= {"mem-path": str(file), "share": share}
        words = f"{COMMAND_LINE} {applevz.command_line_additions()}".strip()
        accelerated = applevz.capabilities.hardware_acceleration
        machine = "microvm,acpi=on,rtc=on,isa-serial=off,auto-kernel-cmdline=off"
        # Emulated, an interrupt of the PIC's may end a boot.
        machine += "" if accelerated else ",pic=off"
        self.qemu = subprocess.Popen(
            [
                *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-S"),
                *("-machine", f"{machine},memory-backend=memory"),
                *("-global", "virtio-mmio.force-legacy=false"),
                *(
                    ("-accel", "kvm", "-cpu", "host")
                    if accelerated
                    else ("-accel", "tcg", "-cpu", "max,la57=off,erms=off,fsrm=off,svm=off")
                ),
                *("-smp", "1", "-m", f"{self.memory}M", "-object", json.dumps(backend)),
                *("-kernel", str(self.kernel), "-initrd", str(self.guest.initrd), "-append", words),
                *("-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-mon", "chardev=qmp,mode=control"),
                *("-chardev", f"socket,id=console,fd={console.fileno()}"),
                *("-device", "virtio-serial-device,max_ports=1", "-device", "virtconsole,chardev=console"),
                *arguments,
            ],
            pass_fds=[theirs.fileno(), console.fileno()],
        )
        theirs.close()
        console.close()
        self.control = ours
        self.answers = ours.makefile("rb")
        version = json.loads(self.answers.readline())["QMP"]["version"]["qemu"]
        # Where "fd:" is for sockets and pipes alone.
        self.takes_files = (version["major"], version["minor"]) >= (9, 1)
        self.execute("qmp_capabilities")

    def execute(self, command: str, descriptor: int | None = None, **arguments: object) -> object:
        message = json.dumps({"execute": command, "arguments": arguments}).encode()
        if descriptor is None:
            self.control.sendall(message)
        else:
            socket.send_fds(self.control, [message], [descriptor])
        while True:
            answer = json.loads(self.answers.readline())
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']['desc']}")

    def migrate(self, command: str, path: Path, mode: str) -> None:
        capabilities = [{"capability": name, "state": True} for name in ("x-ignore-shared", "events")]
        self.execute("migrate-set-capabilities", capabilities=capabilities)
        self.execute("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        if self.takes_files:
            self.execute(command, uri=f"file:{path}")
        else:
            with path.open(mode) as stream:
                self.execute("getfd", stream.fileno(), fdname="state")
            self.execute(command, uri="fd:state")
        while True:
            event = json.loads(self.answers.readline())
            if event.get("event") == "MIGRATION" and event["data"]["status"] in ("completed", "failed"):
                if event["data"]["status"] == "failed":
                    raise RuntimeError("the migration failed")
                return

    def start(self) -> None:
        self.launch(file=self.file, share=True)
        self.execute("cont")

    def read_until(self, text: bytes) -> None:
        seen = b""
        while text not in seen:
            seen += self.console.recv(4096)

    def write(self, text: bytes) -> None:
        self.console.sendall(text)

    def pause(self) -> None:
        self.execute("stop")

    def resume(self) -> None:
        self.execute("cont")

    def state(self) -> object:
        return self.execute("query-status")

    def save(self, path: Path) -> None:
        self.migrate("migrate", path, "wb")

    def suspend(self, path: Path) -> None:
        self.pause()
        self.save(path)
        self.stop()

    def restore(self, path: Path, private: bool, memory: Path | None = None) -> None:
        # The memory that was saved is the machine's again; or a copy of it is.
        self.launch("-incoming", "defer", file=memory or self.file, share=True)
        self.migrate("migrate-incoming", path, "rb")
        self.execute("cont")

    def stop(self) -> None:
        if self.qemu:
            self.qemu.kill()
            self.qemu.wait()
            self.qemu = None
            for end in (self.answers, self.control, self.console):
                end.close()

    def process(self) -> int:
        if self.qemu is None:
            raise LookupError("this machine does not run")
        return self.qemu.pid


class BareQEMU(Subject):
    name = "bare QEMU"

    def __init__(self, guest: Guest, folder: Path) -> None:
        if not shutil.which("qemu-system-x86_64"):
            raise SystemExit("qemu-system-x86_64 is missing")
        super().__init__(guest, folder)

    @contextmanager
    def machine(
        self, memory: int, kernel: Path | None = None, memory_folder: Path | None = None
    ) -> Iterator[BareMachine]:
        machine = BareMachine(self.guest, memory, kernel or self.guest.kernel)
        try:
            yield machine
        finally:
            machine.stop()
            machine.file.unlink(missing_ok=True)

    def failing_call(self) -> Callable[[], object]:
        # Python's own, of a system call.
        return lambda: os.open("/nowhere", os.O_RDONLY)

    def start_all(self, machines: list[Machine]) -> None:
        with ThreadPoolExecutor(len(machines)) as pool:
            list(pool.map(lambda machine: machine.start(), machines))
