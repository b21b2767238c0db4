# SPDX-License-Identifier: Apache-2.0
"""Network cards, and what they are connected to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .._values.identifiers import random_mac_address

__all__ = [
    "BridgedNetworkDeviceAttachment",
    "BridgedNetworkInterface",
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
    """Connects the guest to the network through the host (NAT). The guest gets its address by DHCP.

    A guest with NAT reaches other hosts, as the host does, and the name server that the host asks. The host itself it
    does not reach: not its loopback addresses, not its own, no broadcast and no multicast address, and not the
    addresses by which a cloud tells its machines their passwords. With `host_access` it does, by 10.0.2.2 (fec0::2) and
    by whatever address the host has. That it does not takes `capabilities.host_isolation`: without it, as on a Mac, the
    framework's or QEMU's NAT decides. `ConfinementPolicy(required=Confinement.HOST_ADDRESSES)` refuses a start that
    could not see to it.

    Without `internet` it reaches nothing: no other network, no name server, and nothing of the host, while
    `VirtualMachine.connect` reaches the guest. That needs `capabilities.isolated_networks`.

    All cards of a machine share what one of them may reach of these.
    """

    internet: bool = True
    host_access: bool = False


@dataclass(frozen=True)
class BridgedNetworkInterface:
    """A network of the host's that machines can be part of: `bridged_network_interfaces()`.

    `identifier` is its name on the host: on Linux that of a bridge, as `"br0"`; on a Mac that of a network interface,
    as `"en0"`. `localized_display_name` is a name to be shown, if the system has one. (`VZBridgedNetworkInterface`)
    """

    identifier: str
    localized_display_name: str | None = None

    def __str__(self) -> str:
        return self.identifier


@dataclass
class BridgedNetworkDeviceAttachment:
    """Makes the guest a part of a network of the host's, as a host of its own. `interface` is the network, or its name.

    It needs `capabilities.bridged_networks`. On Linux the card becomes a port of that bridge while the machine runs.
    For that the process needs the privilege CAP_NET_ADMIN; or QEMU's qemu-bridge-helper has it (setuid), and
    /etc/qemu/bridge.conf allows the bridge. A Mac wants the entitlement com.apple.vm.networking.
    """

    interface: BridgedNetworkInterface | str


@dataclass
class FileHandleNetworkDeviceAttachment:
    """Connects the card to a datagram socket of this process. Each datagram is an Ethernet frame.

    `file_handle` is a connected datagram socket, such as one end of `socket.socketpair(socket.AF_UNIX,
    socket.SOCK_DGRAM)`, or the number of its descriptor. It is duplicated when a machine is made, and stays yours.
    `maximum_transmission_unit` is the number of bytes that a frame holds beside its header: from 1500 to 65535.

    The socket's buffers become 1 MiB for sending (`SO_SNDBUF`) and 4 MiB for receiving (`SO_RCVBUF`), in the proportion
    that Apple's documentation recommends, or as much of that as the system allows. None becomes smaller. The buffers of
    the other end stay as they are: on a Mac a socket of the family AF_UNIX sends no datagram of more than 2048 bytes
    until its `SO_SNDBUF` is made larger.
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
