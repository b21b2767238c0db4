# SPDX-License-Identifier: Apache-2.0
"""The port of the guest's agent: a pair of sockets, of which the machine has one."""

from __future__ import annotations

from typing import Final

from ..._native import descriptors
from ...errors import make_posix

__all__ = ["Port"]

# As much as the system allows: what is larger saves the host some wakes.
_BUFFER: Final = 1 << 20


class Port:
    """The two ends of the port. The machine has a duplicate of the guest's."""

    __slots__ = ("guest", "host")

    def __init__(self) -> None:
        try:
            self.host, self.guest = descriptors(_pair)
        except OSError as error:
            raise make_posix(
                error, "No port can be made for the guest's agent.", "Close files that are no longer needed."
            ) from None


def _pair() -> tuple[int, int]:
    # Not with the package: most programs connect to nothing.
    import socket

    host, guest = socket.socketpair()
    host.setblocking(False)
    for end in (host, guest):
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
    return host.detach(), guest.detach()
