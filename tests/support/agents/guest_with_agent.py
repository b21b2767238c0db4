# SPDX-License-Identifier: Apache-2.0
"""A guest that has the agent as the first process of its initial file system, put there by the test itself."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import applevz


def newc(entries: list[tuple[str, int, bytes]]) -> bytes:
    """An archive of cpio's format newc: names, modes with their types, contents."""

    def entry(name: str, mode: int, data: bytes, number: int) -> bytes:
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        head = b"070701" + b"".join(b"%08X" % value for value in fields) + name.encode() + b"\0"
        return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)

    whole = b"".join(entry(*each, number) for number, each in enumerate(entries, 1))
    return whole + entry("TRAILER!!!", 0, b"", 0)


def with_agent(initrd: bytes, agent: bytes, entries: Sequence[tuple[str, int, bytes]] = ()) -> bytes:
    archive = newc([(".applevz", 0o040700, b""), (".applevz/agent", 0o100700, agent), *entries])
    return initrd + bytes(-len(initrd) % 4) + archive


@contextmanager
def agent_guest(
    kernel: Path,
    initrd: Path,
    folder: Path,
    program: Path,
    command_line: str = "console=hvc0",
    entries: Sequence[tuple[str, int, bytes]] = (),
    cpu_count: int = 1,
) -> Iterator[tuple[applevz.VirtualMachine, socket.socket]]:
    """A machine that was started, and the host's end of its agent's port."""
    ramdisk = folder / "initrd-with-agent"
    ramdisk.write_bytes(with_agent(initrd.read_bytes(), program.read_bytes(), entries))
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    port = applevz.VirtioConsolePortConfiguration(
        "org.applevz.agent.0", attachment=applevz.FileHandleSerialPortAttachment(theirs, theirs)
    )
    configuration = applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(kernel, ramdisk, f"{command_line} rdinit=/.applevz/agent"),
        cpu_count=cpu_count,
        memory_size="512MiB",
        console_devices=[applevz.VirtioConsoleDeviceConfiguration([port])],
    )
    with applevz.VirtualMachine(configuration) as machine, ours:
        theirs.close()
        machine.start()
        yield machine, ours
