# SPDX-License-Identifier: Apache-2.0
"""Network cards."""

from __future__ import annotations

from dataclasses import dataclass, field

from .._identifiers import random_mac_address

__all__ = ["MACAddress", "NATNetworkDeviceAttachment", "VirtioNetworkDeviceConfiguration"]


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
class VirtioNetworkDeviceConfiguration:
    """A network card. Without an address it gets a random one each time a machine is made."""

    attachment: NATNetworkDeviceAttachment = field(default_factory=NATNetworkDeviceAttachment)
    mac_address: MACAddress | str | None = None
