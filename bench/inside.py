# SPDX-License-Identifier: Apache-2.0
"""The rows of what is done inside the guest, by its agent.

What stands beside them as bare QEMU's is measured in the same guest, in turn with ours: a second port of the same kind
of device, to which a program of the guest writes and from which it reads with nothing in between, and the loop of the
guest's own shell.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rows import SMALL, Rows, Sizes, milliseconds, resident_memory, thread_count
from subject import COMMAND_LINE, Guest, Subject

import applevz
import applevz.aio
from applevz import images

PATIENCE = 300.0
# A file that is copied is in the guest's memory.
MEMORY = 1024
# What the guest's driver takes in one write.
BLOCK = 1 << 15
BUFFER = 1 << 20
PORT = "bench.bare"
FIND_PORT = f"grep -lx {PORT} /sys/class/virtio-ports/*/name"
TRUE = "/bin/true"


def configuration(
    guest: Guest, memory: int, platform: applevz.GenericPlatformConfiguration, bare: socket.socket | None = None
) -> applevz.VirtualMachineConfiguration:
    """A machine with the agent, and with the port that `bare` is the machine's end of."""
    ports = {} if bare is None else {PORT: applevz.FileHandleSerialPortAttachment(bare, bare)}
    return applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(guest.kernel, guest.initrd, COMMAND_LINE, guest_agent=True),
        memory_size=memory << 20,
        platform=platform,
        console_devices=[applevz.VirtioConsoleDeviceConfiguration(ports)] if ports else [],
    )


def inside(rows: Rows, subjects: list[Subject], sizes: Sizes) -> None:
    if not applevz.capabilities.guest_agent:
        return
    ours, bare = subjects[0], subjects[1]
    platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random())
    host, port = socket.socketpair()
    for end in (host, port):
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, option, BUFFER)
    with host, port, applevz.VirtualMachine(configuration(ours.guest, MEMORY, platform, port)) as machine:
        machine.start(timeout=PATIENCE)
        guest = machine.guest.wait(timeout=PATIENCE)
        commands(rows, ours, bare, guest, sizes)
        bytes_moved(rows, ours, bare, guest, BarePort(guest, host), sizes)
        trees(rows, ours, guest, sizes)
    asyncio.run(at_once(rows, ours, configuration(ours.guest, SMALL, platform), sizes))
    restores(rows, ours, configuration(ours.guest, SMALL, platform), sizes)
    if applevz.capabilities.disk_overlays and importlib.util.find_spec("filelock") is not None:
        launches(rows, ours, sizes)


def commands(rows: Rows, ours: Subject, bare: Subject, guest: applevz.Guest, sizes: Sizes) -> None:
    count = sizes.commands
    loop = f"i=0; while [ $i -lt {count // 5} ]; do {TRUE}; i=$((i+1)); done"
    for _ in range(5):
        # As long as it takes to start the shell is no part of the loop.
        empty = milliseconds(run, guest, ["sh", "-c", ":"])
        took = milliseconds(run, guest, ["sh", "-c", loop]) - empty
        rows.row("command in the guest").add(bare, max(0.0, took) / (count // 5))
        for _ in range(count // 5):
            rows.row("command in the guest").add(ours, milliseconds(run, guest, [TRUE]))
    grows = Growth()
    begin = time.perf_counter()
    for _ in range(count):
        run(guest, [TRUE])
    rows.row(f"{count} commands in turn").add(ours, (time.perf_counter() - begin) * 1e3)
    grows.add(rows, ours, f"{count} commands in turn")


def run(guest: applevz.Guest, arguments: list[str]) -> None:
    guest.run(arguments, check=True, timeout=PATIENCE)


class BarePort:
    """A port of the guest's that nothing of this library is behind, and how long so many bytes take there."""

    def __init__(self, guest: applevz.Guest, host: socket.socket) -> None:
        self.guest, self.host = guest, host
        # A console has no name there, of which grep complains.
        found = guest.run(["sh", "-c", FIND_PORT], text=True, timeout=PATIENCE).stdout
        self.device = f"/dev/{Path(found.strip()).parent.name}"

    def out(self, size: int) -> float:
        """From the guest to the host."""
        buffer = bytearray(BUFFER)
        with self._dd("if=/dev/zero", f"of={self.device}", size) as process:
            begin = time.perf_counter()
            left = size
            while left:
                left -= self.host.recv_into(buffer)
            took = time.perf_counter() - begin
            process.wait(timeout=PATIENCE)
        return took * 1e3

    def into(self, size: int) -> float:
        """From the host to the guest, until a program has read it."""
        data = memoryview(bytes(BUFFER))
        with self._dd(f"if={self.device}", "of=/dev/null", size) as process:
            begin = time.perf_counter()
            left = size
            while left:
                left -= self.host.send(data[:left])
            process.wait(timeout=PATIENCE)
            return (time.perf_counter() - begin) * 1e3

    @contextmanager
    def _dd(self, source: str, target: str, size: int) -> Iterator[applevz.GuestProcess]:
        words = ["dd", source, target, f"bs={BLOCK}", f"count={size // BLOCK}", "iflag=fullblock"]
        with self.guest.popen(words, timeout=PATIENCE) as process:
            yield process


def bytes_moved(rows: Rows, ours: Subject, bare: Subject, guest: applevz.Guest, port: BarePort, sizes: Sizes) -> None:
    # Whole blocks, for dd.
    stream, file = sizes.stream_size << 20, sizes.file_size << 20
    data = bytes(max(stream, file))
    reading = ["dd", "if=/dev/zero", "bs=64k", f"count={stream >> 16}"]
    pipe = f"dd if=/dev/zero bs=64k count={stream >> 16} | dd of=/dev/null bs=64k"

    def row(name: str, size: int, action: Callable[[], object], reference: Callable[[], float]) -> None:
        found = rows.row(f"{name}, {size >> 20} MiB")
        found.add(ours, milliseconds(action))
        found.add(bare, reference())

    def output() -> None:
        done = guest.run(reading, timeout=PATIENCE)
        if len(done.stdout) != stream:
            raise RuntimeError(f"{len(done.stdout)} of {stream} bytes came out of the guest")

    for _ in range(sizes.rounds):
        row("output of a command", stream, output, lambda: port.out(stream))
        row(
            "input of a command",
            stream,
            lambda: guest.run(["dd", "of=/dev/null", "bs=64k"], input=data[:stream], check=True, timeout=PATIENCE),
            lambda: port.into(stream),
        )
        rows.row(f"pipe of the guest's own, {stream >> 20} MiB").add(bare, milliseconds(run, guest, ["sh", "-c", pipe]))
        row(
            "file into the guest",
            file,
            lambda: guest.write_bytes("/file", data[:file], timeout=PATIENCE),
            lambda: port.into(file),
        )
        row("file out of the guest", file, lambda: guest.read_bytes("/file", timeout=PATIENCE), lambda: port.out(file))
        run(guest, ["rm", "/file"])


def trees(rows: Rows, ours: Subject, guest: applevz.Guest, sizes: Sizes) -> None:
    count = sizes.files
    source, target = ours.folder / "tree", ours.folder / "tree out of the guest"
    for number in range(count):
        path = source / str(number // 100) / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(100 + number % 100 * 40))
    for _ in range(sizes.rounds):
        into = milliseconds(lambda: guest.copy_in(source, "/tree", timeout=PATIENCE))
        rows.row(f"tree into the guest, {count} files").add(ours, into)
        out = milliseconds(lambda: guest.copy_out("/tree", target, timeout=PATIENCE))
        rows.row(f"tree out of the guest, {count} files").add(ours, out)
        run(guest, ["rm", "-r", "/tree"])
        shutil.rmtree(target)
    shutil.rmtree(source)


async def at_once(rows: Rows, ours: Subject, given: applevz.VirtualMachineConfiguration, sizes: Sizes) -> None:
    count = sizes.commands_at_once
    async with applevz.aio.VirtualMachine(given) as machine:
        await machine.start(timeout=PATIENCE)
        guest = await machine.guest.wait(timeout=PATIENCE)
        await guest.run([TRUE], timeout=PATIENCE)
        for _ in range(sizes.rounds):
            grows = Growth()
            begin = time.perf_counter()
            calls = [guest.run(["echo", str(number)], timeout=PATIENCE) for number in range(count)]
            done = await asyncio.gather(*calls)
            rows.row(f"{count} commands at once").add(ours, (time.perf_counter() - begin) * 1e3)
            right = sum(each.stdout == b"%d\n" % number for number, each in enumerate(done))
            rows.row(f"answers of {count} commands at once that were lost", "").add(ours, count - right)
            grows.add(rows, ours, f"{count} commands at once")


class Growth:
    """What the host's process has more than before."""

    def __init__(self) -> None:
        self.memory, self.threads, self.descriptors = resident_memory(), thread_count(), descriptor_count()

    def add(self, rows: Rows, ours: Subject, of: str) -> None:
        rows.row(f"{of}: more memory", "KiB").add(ours, max(0.0, resident_memory() - self.memory))
        rows.row(f"{of}: more threads", "").add(ours, max(0, thread_count() - self.threads))
        rows.row(f"{of}: more descriptors", "").add(ours, max(0, descriptor_count() - self.descriptors))


def descriptor_count() -> int:
    return len(os.listdir("/proc/self/fd"))


def restores(rows: Rows, ours: Subject, given: applevz.VirtualMachineConfiguration, sizes: Sizes) -> None:
    path: Path = ours.folder / "state with the agent"
    with applevz.VirtualMachine(given) as machine:
        machine.start(timeout=PATIENCE)
        run(machine.guest.wait(timeout=PATIENCE), [TRUE])
        machine.suspend(timeout=PATIENCE, to=path)
    for _ in range(3 * sizes.rounds):
        with applevz.VirtualMachine(given) as machine:

            def restore(machine: applevz.VirtualMachine = machine) -> None:
                machine.restore_state(path, timeout=PATIENCE, private=True)
                machine.resume(timeout=PATIENCE)
                run(machine.guest, [TRUE])

            rows.row("restore to a command's result, private, 256 MiB").add(ours, milliseconds(restore))
    path.unlink()


def launches(rows: Rows, ours: Subject, sizes: Sizes) -> None:
    """Until the agent answers: at first by a boot, and a state that is saved, then from that state."""
    folder = ours.folder / "launches"
    folder.mkdir()
    disk = folder / "disk.img"
    applevz.create_disk_image(disk, "64MiB")
    cache = folder / "cache"
    image = images.of(disk, cache=cache, timeout=PATIENCE)
    guest = ours.guest

    def launch() -> applevz.VirtualMachine:
        return applevz.launch(
            image,
            kernel=guest.kernel,
            initial_ramdisk=guest.initrd,
            command_line=COMMAND_LINE,
            memory_size=SMALL << 20,
            internet=None,
            cached=True,
            cache=cache,
            timeout=PATIENCE,
        )

    for name, count in (("launch that makes a state", 1), ("launch from its state", 3 * sizes.rounds)):
        for _ in range(count):
            begin = time.perf_counter()
            with launch():
                rows.row(f"{name}, {SMALL} MiB").add(ours, (time.perf_counter() - begin) * 1e3)
    shutil.rmtree(folder)
