# SPDX-License-Identifier: Apache-2.0
"""Ports of this host at which somebody answers with what comes, and what a connection to such a port brings back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PATIENCE = 600.0


@contextmanager
def echoing() -> Iterator[tuple[int, int]]:
    """The ports of TCP and UDP."""
    with socket.create_server(("127.0.0.1", 0)) as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))

        def one(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                while data := connection.recv(1 << 16):
                    connection.sendall(data)

        def streams() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=one, args=(stream.accept()[0],), daemon=True).start()

        def datagrams() -> None:
            while True:
                data, peer = other.recvfrom(70_000)
                if data == b"end":
                    return
                other.sendto(data, peer)

        threads = [threading.Thread(target=each, daemon=True) for each in (streams, datagrams)]
        for thread in threads:
            thread.start()
        try:
            yield stream.getsockname()[1], other.getsockname()[1]
        finally:
            stream.shutdown(socket.SHUT_RDWR)
            other.sendto(b"end", other.getsockname())
            for thread in threads:
                thread.join(PATIENCE)


def exchanged_over(connection: socket.socket, data: bytes) -> bytes:
    """Sends the data, and its end, and returns all that comes back."""

    def send() -> None:
        # Whether it is reset is for the reader to tell.
        with suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    came = bytearray()
    while part := connection.recv(1 << 16):
        came += part
    sender.join()
    return bytes(came)


def exchanged(port: int, data: bytes, patience: float = PATIENCE) -> bytes:
    """The same of a connection to a port of this host."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        return exchanged_over(connection, data)
