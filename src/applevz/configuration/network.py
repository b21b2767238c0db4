# SPDX-License-Identifier: Apache-2.0
"""Network cards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .._identifiers import random_mac_address

__all__ = [
    "FileHandleNetworkDeviceAttachment",
    "MACAddress",
    "NATNetworkDeviceAttachment",
    "VirtioNetworkDeviceConfiguration",
]


@dataclass(frozen=True)
class MACAddress:
    """An Ethernet address as text, like `"0a:1b:2c:3d:4e:5f"`."""

    string: str

    @classmethod
    def random(cls) -> MACAddress:
        """A random locally administered unicast address."""
        return cls(random_mac_address())

    def __str__(self) -> str:
        return self.string


@dataclass
class NATNetworkDeviceAttachment:
    """The guest reaches the network through the host, with an address that it gets by DHCP."""


@dataclass
class FileHandleNetworkDeviceAttachment:
    """The other end of the cable is a datagram socket of this process: each datagram is an Ethernet frame.

    `file_handle` is a connected datagram socket, such as one end of `socket.socketpair(socket.AF_UNIX,
    socket.SOCK_DGRAM)`, or the number of its descriptor. It is duplicated when a machine is made, and stays yours.
    `maximum_transmission_unit` is what a frame holds beside its header, in bytes: from 1500 to 65535. Apple's
    documentation expects a receive buffer (`SO_RCVBUF`) of twice the send buffer (`SO_SNDBUF`), which has to hold a
    frame.
    """

    file_handle: Any
    maximum_transmission_unit: int = 1500


@dataclass
class VirtioNetworkDeviceConfiguration:
    """A network card. Without an address it gets a random one each time a machine is made."""

    attachment: NATNetworkDeviceAttachment | FileHandleNetworkDeviceAttachment = field(
        default_factory=NATNetworkDeviceAttachment
    )
    mac_address: MACAddress | str | None = None
