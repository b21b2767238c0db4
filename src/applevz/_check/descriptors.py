# SPDX-License-Identifier: Apache-2.0
"""Items about descriptors: how much a pipe and a socket take, and what the framework does to those that it is given."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from contextlib import ExitStack
from functools import partial
from typing import Final

from .. import (
    FileHandleNetworkDeviceAttachment,
    FileHandleSerialPortAttachment,
    VirtioConsoleDeviceSerialPortConfiguration,
    VirtioNetworkDeviceConfiguration,
)
from .item import Item, Options, Seen
from .machines import PATIENCE, configuration, needs_virtualization, settle, watched
from .programs import settings
from .told import attempt

__all__ = ["ITEMS"]

_MEBIBYTE: Final = 1 << 20


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error.errno))


def _room(chunk: int, size: int | None = None) -> str:
    """How many bytes a pipe takes that nobody reads, in pieces of so many."""
    reading, writing = os.pipe()
    try:
        if size is not None:
            fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, size)
        os.set_blocking(writing, False)
        written = 0
        try:
            while written < 1 << 24:
                written += os.write(writing, bytes(chunk))
        except OSError as error:
            return f"{written}, then {_name(error)}"
        return f"more than {written}"
    finally:
        os.close(reading)
        os.close(writing)


def _pipes(seen: Seen, options: Options) -> None:
    for chunk in (1, 512, 4096, 65536):
        seen(f"bytes in pieces of {chunk}", _room(chunk))
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        seen("bytes in pieces of 4096, of a pipe that was to be 1 MiB", _room(4096, _MEBIBYTE))
    else:
        seen("the size of a pipe", "cannot be set")
    seen("settings", settings(["kern.ipc.maxpipekva", "kern.ipc.pipekva", "fs.pipe-max-size"]))


def _sockets(seen: Seen, options: Options) -> None:
    names = ("kern.ipc.maxsockbuf", "net.local.dgram.maxdgram", "net.local.dgram.recvspace", "net.core.wmem_max")
    seen("settings", settings([*names, "net.core.rmem_max"]))
    for words, sizes in (
        ("as they are made", {}),
        ("to be 1 and 4 MiB", {socket.SO_SNDBUF: _MEBIBYTE, socket.SO_RCVBUF: 4 * _MEBIBYTE}),
    ):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with ours, theirs:
            for end in (ours, theirs):
                end.setblocking(False)
                for option, size in sizes.items():
                    # Each is a thing to be seen, and none keeps from the next.
                    attempt(
                        seen, f"{words}: a size of {size}", partial(end.setsockopt, socket.SOL_SOCKET, option, size)
                    )
            seen(f"{words}: SO_SNDBUF", ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))
            seen(f"{words}: SO_RCVBUF", ours.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
            for size in (1514, 9014, 65549):
                seen(f"{words}: datagrams of {size} bytes", _datagrams(ours, theirs, size))


def _datagrams(ours: socket.socket, theirs: socket.socket, size: int) -> str:
    """How many of them wait for a reader; all are taken away again."""
    sent = 0
    try:
        while sent < 1 << 16:
            ours.send(bytes(size))
            sent += 1
        ended = "more"
    except OSError as error:
        ended = f"then {_name(error)}"
    received = 0
    try:
        while True:
            theirs.recv(1 << 17)
            received += 1
    except OSError:
        return f"{sent}, {ended}; {received} received"


def _shared(seen: Seen, options: Options) -> None:
    def look(kind: str, descriptor: int) -> None:
        copy = os.dup(descriptor)
        try:
            os.set_blocking(copy, False)
            seen(f"{kind}: O_NONBLOCK set on a copy (dup) is seen on the original", not os.get_blocking(descriptor))
        finally:
            os.close(copy)

    ends = os.pipe()
    look("a pipe", ends[0])
    for end in ends:
        os.close(end)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        look("a socket", ours.fileno())
        seen("a socket: it is seen on the other end", not os.get_blocking(theirs.fileno()))


def _given(seen: Seen, options: Options) -> None:
    needs_virtualization()
    with ExitStack() as stack:
        from_guest, guest_writes = os.pipe()
        guest_reads, to_guest = os.pipe()
        for end in (from_guest, guest_writes, guest_reads, to_guest):
            stack.callback(os.close, end)
        ours, theirs = (stack.enter_context(end) for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        given = {"the guest's output": guest_writes, "the guest's input": guest_reads, "the network": theirs.fileno()}
        kept = {"our end of its output": from_guest, "our end of its input": to_guest, "our socket": ours.fileno()}

        def look(when: str) -> None:
            nonblocking = [name for name, end in {**given, **kept}.items() if not os.get_blocking(end)]
            seen(f"{when}: descriptors with O_NONBLOCK", nonblocking)
            sizes = [theirs.getsockopt(socket.SOL_SOCKET, option) for option in (socket.SO_SNDBUF, socket.SO_RCVBUF)]
            seen(f"{when}: SO_SNDBUF and SO_RCVBUF of the network's socket", sizes)

        look("before")
        port = FileHandleSerialPortAttachment(guest_reads, guest_writes)
        made_of = configuration(
            options,
            serial_ports=[VirtioConsoleDeviceSerialPortConfiguration(port)],
            network_devices=[VirtioNetworkDeviceConfiguration(FileHandleNetworkDeviceAttachment(theirs))],
        )
        with watched(seen, options, made_of) as machine:
            look("made")
            attempt(seen, "start", lambda: machine.start(PATIENCE))
            settle()
            look("started")
            attempt(seen, "stop", lambda: machine.stop(PATIENCE))
            settle()
            look("stopped")
        settle()
        look("released")


ITEMS: Final = (
    Item(
        "pipes",
        "How much a pipe takes",
        "Not documented by Apple; known of macOS: 16 KiB at first, 64 KiB at most, and less where the system has many.",
        "A console's pipe takes 16 KiB or more.",
        _pipes,
    ),
    Item(
        "sockets",
        "How much a datagram socket takes",
        "A network attachment's SO_RCVBUF is to be twice its SO_SNDBUF, better four times. What a socket has when it "
        "is made, and may have, is the system's.",
        "1 MiB for sending and 4 MiB for receiving can be set, and a frame of 65549 bytes goes through then.",
        _sockets,
    ),
    Item(
        "shared-descriptors",
        "O_NONBLOCK on copies of a descriptor",
        "POSIX: a copy shares its file status flags with the original. Two ends of a pipe or a socket pair do not.",
        "The same.",
        _shared,
    ),
    Item(
        "given-descriptors",
        "What the framework does to descriptors that it is given",
        "A file handle must be valid. Whether the framework sets O_NONBLOCK on it, which a copy shares, is not "
        "documented.",
        "It may: the package keeps the other ends of pipes and sockets, which do not share it.",
        _given,
        seconds=120.0,
    ),
)
