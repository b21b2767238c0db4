# SPDX-License-Identifier: Apache-2.0
"""What a serial port may be connected to: each kind in a guest, and what is refused."""

from __future__ import annotations

import gc
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import (
    FileHandleSerialPortAttachment,
    FileSerialPortAttachment,
    PseudoTerminalSerialPortAttachment,
    VirtioConsoleDeviceSerialPortConfiguration,
)
from fixtures import Boot, Configure, MakeMachine
from guest_machine import PATIENCE
from processes import eventually, workers_end

linux = pytest.mark.skipif(sys.platform != "linux", reason="the test's guest is made on Linux")


# A terminal forgets its settings when the last one closes it.
RAW = (
    "for port in {}; do (stty raw -echo; : >$port.set; exec sleep 1000000) <>$port & "
    "while [ ! -e $port.set ]; do usleep 1000; done; done"
)


def ports(*attachments: Any) -> list[VirtioConsoleDeviceSerialPortConfiguration]:
    return [VirtioConsoleDeviceSerialPortConfiguration(attachment) for attachment in attachments]


def read_until(descriptor: int, words: bytes) -> bytes:
    """What comes from a descriptor, up to and with the words."""
    received = b""
    end = time.monotonic() + PATIENCE
    while words not in received:
        assert select.select([descriptor], [], [], max(end - time.monotonic(), 0))[0], received
        received += os.read(descriptor, 1 << 16)
    return received


class Kinds:
    """A port of each kind, and what is at its other side."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.socket, self.socket_of_guest = map(stack.enter_context, socket.socketpair())
        self.reading, self.writing_of_guest = os.pipe()
        self.reading_of_guest, self.writing = os.pipe()
        self.file = folder / "file"
        self.file.write_bytes(b"before\n")
        self.emptied = folder / "emptied"
        self.emptied.write_bytes(b"before\n")
        # It stands behind "0123", and in front of the rest.
        self.placed = stack.enter_context(open(folder / "placed", "w+b", buffering=0))
        self.placed.write(b"0123456789" * 3)
        self.placed.seek(4)
        self.logged = stack.enter_context(open(folder / "logged", "ab", buffering=0))
        self.logged.write(b"before\n")
        self.terminal = PseudoTerminalSerialPortAttachment()
        stack.callback(self.terminal.close)
        self.ports = ports(
            None,
            FileHandleSerialPortAttachment(self.socket_of_guest, self.socket_of_guest.fileno()),
            FileHandleSerialPortAttachment(self.reading_of_guest, self.writing_of_guest),
            FileSerialPortAttachment(self.file, append=True),
            FileSerialPortAttachment(self.emptied),
            FileHandleSerialPortAttachment(file_handle_for_writing=self.placed),
            FileHandleSerialPortAttachment(file_handle_for_writing=self.logged),
            self.terminal,
            None,
            None,
        )

    def close(self) -> None:
        for descriptor in (self.reading, self.writing, self.reading_of_guest, self.writing_of_guest):
            os.close(descriptor)


@pytest.fixture
def kinds(tmp_path: Path) -> Iterator[Kinds]:
    with ExitStack() as stack:
        kinds = Kinds(tmp_path, stack)
        stack.callback(kinds.close)
        yield kinds


@linux
def test_ten_ports_keep_their_order_and_are_each_what_they_are_connected_to(boot: Boot, kinds: Kinds) -> None:
    guest = boot(serial_ports=kinds.ports)
    vm = guest.machine
    # Linux has eight of them (HVC_ALLOC_TTY_ADAPTERS); the others are there, and have no node.
    assert len(guest.run("echo /sys/class/virtio-ports/vport*p0").split()) == 10
    everything = " ".join(f"/dev/hvc{index}" for index in range(1, 8))
    guest.run(f"for port in {everything}; do while [ ! -c $port ]; do usleep 1000; done; done")
    guest.run(RAW.format(everything))
    guest.run("for number in 1 2 3 4 5 6 7; do echo port $number >/dev/hvc$number; done")

    assert read_until(kinds.socket.fileno(), b"\n") == b"port 1\n"
    assert read_until(kinds.reading, b"\n") == b"port 2\n"
    assert eventually(lambda: kinds.file.read_bytes() == b"before\nport 3\n")
    assert eventually(lambda: kinds.emptied.read_bytes() == b"port 4\n")
    placed = b"0123port 5\n" + (b"0123456789" * 3)[11:]
    assert eventually(lambda: (kinds.file.parent / "placed").read_bytes() == placed)
    assert eventually(lambda: (kinds.file.parent / "logged").read_bytes() == b"before\nport 6\n")

    # And the other way.
    kinds.socket.sendall(b"to 1\n")
    os.write(kinds.writing, b"to 2\n")
    for number in (1, 2):
        assert guest.run(f"read -r line </dev/hvc{number}; echo $line") == f"to {number}"

    # The terminal is logged in on, which is left and come back to.
    guest.run('(while read -r line; do eval "$line"; done </dev/hvc7 >/dev/hvc7) &')
    expected = [b"port 7\n", b""]
    for first in expected:
        terminal = os.open(kinds.terminal.path, os.O_RDWR | os.O_NOCTTY)
        os.write(terminal, b"echo $((6 * 7))\n")
        assert read_until(terminal, b"42\n") == first + b"42\n"
        os.close(terminal)

    # What was written by one machine is behind the handle's place, and the next goes on there.
    vm.stop(timeout=PATIENCE)
    assert os.lseek(kinds.placed.fileno(), 0, os.SEEK_CUR) == len(b"0123port 5\n")
    # Nothing was set on what is the host program's own.
    assert os.get_blocking(kinds.reading_of_guest)
    assert os.get_blocking(kinds.writing_of_guest)
    kinds.socket.close()


@linux
def test_three_ports_carry_much_at_once_each_its_own(boot: Boot) -> None:
    guest = boot(serial_ports=ports(None, None, None))
    first, second = guest.machine.consoles[1:]
    guest.run("for port in /dev/hvc1 /dev/hvc2; do while [ ! -c $port ]; do usleep 1000; done; done")
    guest.run(RAW.format("/dev/hvc1 /dev/hvc2"))
    guest.run("for number in 1 2; do (seq ${number}000 ${number}999 >/dev/hvc$number; exec sleep 1000000) & done")
    for number, console in ((1, first), (2, second)):
        expected = b"".join(b"%d\n" % value for value in range(number * 1000, (number + 1) * 1000))
        received = b""
        while len(received) < len(expected):
            received += console.read(timeout=PATIENCE)
        assert received == expected
    assert guest.run("echo obeys") == "obeys"


def handles(reading: Any = None, writing: Any = None) -> Callable[[], Any]:
    return lambda: FileHandleSerialPortAttachment(reading, writing)


def different() -> Any:
    one, other = socket.socketpair()
    return FileHandleSerialPortAttachment(one.detach(), other.detach())


class NoDescriptor:
    def fileno(self) -> int:
        raise OSError("there is none")


def closed_terminal() -> PseudoTerminalSerialPortAttachment:
    terminal = PseudoTerminalSerialPortAttachment()
    terminal.close()
    assert terminal.closed
    return terminal


REFUSED = {
    "a closed descriptor": (lambda: FileHandleSerialPortAttachment(None, 10**6), "writing: .*cannot be duplicated"),
    "no descriptor": (handles(NoDescriptor()), r"file_handle_for_reading is .*has no file descriptor.*there is none"),
    "no file": (handles("text"), r"file_handle_for_reading is 'text'"),
    "a negative number": (handles(-5), "file_handle_for_reading is -5, which is negative"),
    "neither": (handles(), "Neither a file handle for reading nor one for writing"),
    "a folder": (lambda: FileHandleSerialPortAttachment(os.open("/", os.O_RDONLY)), "which is a directory's"),
    "reading of what is written": (lambda: FileHandleSerialPortAttachment(os.pipe()[1]), "not open for reading"),
    "writing of what is read": (lambda: FileHandleSerialPortAttachment(None, os.pipe()[0]), "not open for writing"),
    "two sockets": (different, "which are different files, one of them a socket"),
    "a folder's path": (lambda: FileSerialPortAttachment("/"), "cannot be written to.*[Dd]irectory"),
    "a closed terminal": (closed_terminal, "file_handle_for_reading is <Pseudo.*has no file descriptor"),
}


@linux
@pytest.mark.parametrize("kind", REFUSED)
def test_what_no_port_is_connected_to_is_refused_in_words(configure: Configure, kind: str) -> None:
    make, words = REFUSED[kind]
    attachment = make()
    counts = []
    # What the first call of a process opens stays open.
    for _ in range(5):
        with pytest.raises(applevz.Error, match=f"(?s){words}"):
            configure(serial_ports=ports(attachment)).validate()
        gc.collect()
        counts.append(len(os.listdir("/dev/fd")))
    assert counts[-1] <= counts[0]


def test_two_terminals_are_different_ones_and_give_their_descriptors_back(configure: Configure) -> None:
    counts = []
    for _ in range(5):
        one, other = PseudoTerminalSerialPortAttachment(), PseudoTerminalSerialPortAttachment()
        assert one.path != other.path
        assert repr(one) == f"<PseudoTerminalSerialPortAttachment {one.path}>"
        configure(serial_ports=ports(one, other)).validate()
        with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match="different files"):
            configure(serial_ports=ports(FileHandleSerialPortAttachment(one, other))).validate()
        one.close()
        one.close()
        other.close()
        assert one.closed
        gc.collect()
        counts.append(len(os.listdir("/dev/fd")))
    assert counts[-1] <= counts[0]


def test_what_is_given_stays_its_owner_s_and_every_duplicate_is_closed_once(configure: Configure, kinds: Kinds) -> None:
    configuration = configure(serial_ports=kinds.ports)
    counts = []
    for rounds in (1, 50):
        for _ in range(rounds):
            configuration.validate()
            vm = applevz.VirtualMachine(configuration)
            del vm
            with pytest.raises(applevz.Error):
                configure(serial_ports=[*kinds.ports, *ports(FileHandleSerialPortAttachment())]).validate()
        gc.collect()
        assert workers_end()
        counts.append(len(os.listdir("/dev/fd")))
    assert counts[0] == counts[1]
    os.write(kinds.writing_of_guest, b"still open")
    assert os.read(kinds.reading, 100) == b"still open"


# ---- The file of a port ----


@linux
def test_a_file_is_emptied_when_a_guest_begins_and_at_no_other_time(machine: MakeMachine, tmp_path: Path) -> None:
    """What a guest printed before it was saved is there when it goes on."""
    log, disk = tmp_path / "log", tmp_path / "disk"
    applevz.create_disk_image(disk, 512)
    disks = [applevz.VirtioBlockDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(disk))]
    device = applevz.VirtioConsoleDeviceConfiguration(
        [applevz.VirtioConsolePortConfiguration("port", attachment=FileSerialPortAttachment(log.with_name("port")))]
    )
    identifier = applevz.GenericMachineIdentifier.random()

    def make() -> applevz.VirtualMachine:
        return machine(
            platform=applevz.GenericPlatformConfiguration(identifier),
            serial_ports=[VirtioConsoleDeviceSerialPortConfiguration(FileSerialPortAttachment(log, append=False))],
            console_devices=[device],
            storage_devices=disks,
        )

    log.write_bytes(b"former\n")
    log.with_name("port").write_bytes(b"former\n")
    vm = make()
    vm.start(timeout=PATIENCE)
    assert eventually(lambda: log.read_bytes().endswith(b"guest# "), PATIENCE)
    printed = log.read_bytes()
    assert b"former" not in printed

    # Somebody starts it once more by mistake: that machine's disk is in use, and its file stays.
    with pytest.raises(applevz.InvalidDiskImageError):
        make().start(timeout=PATIENCE)
    assert log.read_bytes() == printed

    vm.suspend(timeout=PATIENCE, to=tmp_path / "state")
    other = make()
    other.restore_state(tmp_path / "state", timeout=PATIENCE)
    assert log.read_bytes() == printed
    other.start(timeout=PATIENCE)
    assert log.read_bytes() == printed
    other.stop(timeout=PATIENCE)
    # Begun anew, without a restore.
    other.start(timeout=PATIENCE)
    assert not log.read_bytes().startswith(printed)
    assert log.with_name("port").read_bytes() == b""
