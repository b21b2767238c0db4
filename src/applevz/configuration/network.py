# SPDX-License-Identifier: Apache-2.0
"""Network cards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .._identifiers import random_mac_address

__all__ = [
    "BridgedNetworkDeviceAttachment",
    "BridgedNetworkInterface",
    "FileHandleNetworkDeviceAttachment",
    "MACAddress",
    "NATNetworkDeviceAttachment",
    "NetworkDeviceAttachment",
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


@dataclass(frozen=True)
class BridgedNetworkInterface:
    """A network of the host's that machines can be part of: `bridged_network_interfaces()`.

    `identifier` is its name on the host: a bridge's, as `"br0"`, on Linux, a network interface's, as `"en0"`, on a Mac.
    `localized_display_name` is a name to be shown, where the system has one. (`VZBridgedNetworkInterface`)
    """

    identifier: str
    localized_display_name: str | None = None

    def __str__(self) -> str:
        return self.identifier


@dataclass
class BridgedNetworkDeviceAttachment:
    """The guest is part of a network of the host's, as a host of its own: of `interface`, or the one so called.

    It needs `capabilities.bridged_networks`. On Linux the card becomes a port of that bridge while the machine runs.
    For that the process needs the privilege CAP_NET_ADMIN, or QEMU's qemu-bridge-helper has it (setuid) and
    /etc/qemu/bridge.conf allows the bridge. A Mac wants the entitlement com.apple.vm.networking.
    """

    interface: BridgedNetworkInterface | str


@dataclass
class FileHandleNetworkDeviceAttachment:
    """The other end of the cable is a datagram socket of this process: each datagram is an Ethernet frame.

    `file_handle` is a connected datagram socket, such as one end of `socket.socketpair(socket.AF_UNIX,
    socket.SOCK_DGRAM)`, or the number of its descriptor. It is duplicated when a machine is made, and stays yours.
    `maximum_transmission_unit` is what a frame holds beside its header, in bytes: from 1500 to 65535. The send buffer
    (`SO_SNDBUF`) has to hold a frame, and the receive buffer (`SO_RCVBUF`) to be twice as large, unless both are as the
    system makes them; Apple's documentation recommends four times.
    """

    file_handle: Any
    maximum_transmission_unit: int = 1500


NetworkDeviceAttachment = (
    NATNetworkDeviceAttachment | BridgedNetworkDeviceAttachment | FileHandleNetworkDeviceAttachment
)


@dataclass
class VirtioNetworkDeviceConfiguration:
    """A network card. Without an address it gets a random one each time a machine is made."""

    attachment: NetworkDeviceAttachment = field(default_factory=NATNetworkDeviceAttachment)
    mac_address: MACAddress | str | None = None
