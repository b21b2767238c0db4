# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from .. import _arguments as arguments
from .._native import Reference, lib
from ..configuration.network import MACAddress, NATNetworkDeviceAttachment, VirtioNetworkDeviceConfiguration
from ..errors import InvalidArgumentError, check, make
from .owned import Owned

__all__ = ["add_network_devices"]


def add_network_devices(owned: Owned, handle: Reference, devices: object) -> None:
    kinds = (VirtioNetworkDeviceConfiguration,)
    for index, card in enumerate(arguments.items("network_devices", devices, kinds)):
        _add_network_device(owned, handle, f"network_devices[{index}]", card)


def _add_network_device(owned: Owned, handle: Reference, field: str, card: VirtioNetworkDeviceConfiguration) -> None:
    arguments.instance(f"{field}.attachment", card.attachment, (NATNetworkDeviceAttachment,))
    attachment = owned.make("network_device_attachment", lib.applevz_network_device_attachment_create_with_nat)
    address = b""
    if card.mac_address is not None:
        given = card.mac_address.string if isinstance(card.mac_address, MACAddress) else card.mac_address
        address = arguments.text(f"{field}.mac_address", given)
        if not address:
            raise make(
                InvalidArgumentError,
                f"{field}.mac_address is empty.",
                "",
                'Give an address like "0a:1b:2c:3d:4e:5f", or none to get a random one.',
            )
    check(lib.applevz_configuration_add_virtio_network_device(handle, attachment, address, len(address)))
