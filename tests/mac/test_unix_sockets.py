# SPDX-License-Identifier: Apache-2.0
"""A machine's sockets as a Mac has them: of the family AF_UNIX, without addresses that tell anything.

The bridge and both faces run on the played Mac; this process plays the guest, as tests/native/unix_transport.h says.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from pathlib import Path

import pytest

import played_mac
from applevz._core.machine import connected_socket
from places import SCRIPTED_QEMU

PROGRAM = """
import asyncio, json, os, socket, sys, threading
import applevz
from applevz import aio

PATIENCE = 60
folder, face = sys.argv[1], {"blocking": applevz, "awaited": aio}[sys.argv[2]]

def guest_socket(kind, port):
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    end.settimeout(PATIENCE)
    end.bind(f"\\0applevz-{os.getpid()}-{kind}-7-{port}")
    return end

async def result_of(value):
    return await value if asyncio.iscoroutine(value) else value

async def call(function, *arguments):
    "A call that blocks, in a thread; or one of the loop's."
    if face is aio:
        return await function(*arguments)
    return await asyncio.to_thread(function, *arguments)

def talk(ours, theirs):
    "Each direction ends by itself."
    blocks = ours.getblocking()
    ours.setblocking(True)
    ours.sendall(b"hello")
    ours.shutdown(socket.SHUT_WR)
    heard = theirs.recv(100), theirs.recv(100)
    theirs.sendall(b"bye")
    theirs.close()
    answered = ours.recv(100), ours.recv(100)
    ours.close()
    return [ours.family.name, ours.type.name, blocks, [one.decode() for one in heard + answered]]

async def main():
    configuration = applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(f"{folder}/kernel"), memory_size="128MiB",
        socket_devices=[applevz.VirtioSocketDeviceConfiguration()])
    vm = face.VirtualMachine(configuration)
    (device,) = vm.socket_devices
    await result_of(vm.start(timeout=PATIENCE))
    listener = device.listen(99)
    guest = guest_socket("guest", 80)
    # A socket of the guest's that listens too late is tried again.
    connecting = asyncio.ensure_future(call(device.connect, 80, PATIENCE))
    await asyncio.sleep(0.05)
    guest.listen()
    ours = await connecting
    connected = talk(ours, guest.accept()[0])
    caller = guest_socket("caller", 1000)
    caller.connect(f"\\0applevz-{os.getpid()}-host-0-99")
    accepted = talk(await call(listener.accept, PATIENCE), caller)
    # One whose guest is gone before anybody takes it.
    with guest_socket("caller", 1001) as gone:
        gone.connect(f"\\0applevz-{os.getpid()}-host-0-99")
        gone.sendall(b"last words")
    with await call(listener.accept, PATIENCE) as late:
        late.setblocking(True)
        last = late.recv(100).decode(), late.recv(100).decode()
    listener.close()
    await result_of(vm.stop(timeout=PATIENCE))
    print(json.dumps([connected, accepted, last]))

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac need not be played")
@pytest.mark.timeout(900)  # the first of them builds the library
@pytest.mark.parametrize("face", ["blocking", "awaited"])
def test_sockets_of_another_family_carry_both_ways_and_end_each_way_by_itself(
    guest_files: Path, tmp_path: Path, face: str
) -> None:
    (tmp_path / "kernel").symlink_to(guest_files / "vmlinux")
    done = played_mac.run(
        PROGRAM,
        *(str(tmp_path), face),
        policy={"sockets": "unix"},
        APPLEVZ_QEMU=str(SCRIPTED_QEMU),
        APPLEVZ_QEMU_SCRIPT="{}",
    )
    assert done.returncode == 0, done.stderr
    connected, accepted, last = json.loads(done.stdout)
    assert connected == accepted == ["AF_UNIX", "SOCK_STREAM", face == "blocking", ["hello", "", "bye", ""]]
    assert last == ["last words", ""]


def test_a_connection_blocks_whatever_the_framework_did_with_its_descriptor() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs, connected_socket(ours.detach()) as connected:
        assert connected.gettimeout() is None
        assert os.get_blocking(connected.fileno())


def test_a_connection_whose_family_cannot_be_told_any_more_can_be_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Mac(socket.socket):
        def __init__(self, family: int = -1, kind: int = -1, proto: int = -1, fileno: int | None = None) -> None:
            if family == -1:
                raise OSError(errno.EINVAL, "Invalid argument")
            super().__init__(family, kind, proto, fileno)

    ours, theirs = socket.socketpair()
    theirs.sendall(b"last words")
    theirs.close()
    monkeypatch.setattr(socket, "socket", Mac)
    with connected_socket(ours.detach()) as connected:
        assert connected.type == socket.SOCK_STREAM
        assert connected.recv(100) == b"last words"
        assert connected.recv(100) == b""


def test_what_is_no_socket_is_closed_and_refused() -> None:
    reading, writing = os.pipe()
    with pytest.raises(OSError) as caught:
        connected_socket(writing)
    assert caught.value.errno == errno.ENOTSOCK
    assert os.read(reading, 1) == b""
    os.close(reading)
