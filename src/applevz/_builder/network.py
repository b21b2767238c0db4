# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from .._native import Reference, lib
from .._values import arguments
from ..configuration.network import (
    BridgedNetworkDeviceAttachment,
    BridgedNetworkInterface,
    FileHandleNetworkDeviceAttachment,
    MACAddress,
    NATNetworkDeviceAttachment,
    VirtioNetworkDeviceConfiguration,
)
from ..errors import InvalidArgumentError, check_in, make
from .owned import Owned

__all__ = ["add_network_devices", "network_device_attachment"]


def add_network_devices(owned: Owned, handle: Reference, devices: object) -> None:
    kinds = (VirtioNetworkDeviceConfiguration,)
    for index, card in enumerate(arguments.items("network_devices", devices, kinds)):
        _add_network_device(owned, handle, f"network_devices[{index}]", card)


def network_device_attachment(owned: Owned, field: str, attachment: object) -> Reference:
    """The native attachment. It lives as long as `owned`."""
    kinds = (NATNetworkDeviceAttachment, BridgedNetworkDeviceAttachment, FileHandleNetworkDeviceAttachment)
    given = arguments.instance(field, attachment, kinds)
    if isinstance(given, NATNetworkDeviceAttachment):
        internet = arguments.boolean(f"{field}.internet", given.internet)
        host_access = arguments.boolean(f"{field}.host_access", given.host_access)
        return owned.make(lib.applevz_network_device_attachment_create_with_nat, internet, host_access, field=field)
    if isinstance(given, BridgedNetworkDeviceAttachment):
        interface = given.interface
        if isinstance(interface, BridgedNetworkInterface):
            interface = interface.identifier
        identifier = arguments.text(f"{field}.interface", interface)
        create = lib.applevz_network_device_attachment_create_with_bridged_interface
        return owned.make(create, identifier, len(identifier), field=field)
    descriptor = arguments.descriptor(f"{field}.file_handle", given.file_handle)
    suggestion = "Give a number from 1500 to 65535."
    unit = arguments.integer(f"{field}.maximum_transmission_unit", given.maximum_transmission_unit, suggestion)
    if not 1500 <= unit <= 65535:
        # The framework refuses it too, but 0 stands for its default on the way there.
        raise make(InvalidArgumentError, f"{field}.maximum_transmission_unit is {unit}.", "", suggestion)
    create = lib.applevz_network_device_attachment_create_with_file_handle
    return owned.make(create, descriptor, unit, field=field)


def _add_network_device(owned: Owned, handle: Reference, field: str, card: VirtioNetworkDeviceConfiguration) -> None:
    attachment = network_device_attachment(owned, f"{field}.attachment", card.attachment)
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
    check_in(field, lib.applevz_configuration_add_virtio_network_device(handle, attachment, address, len(address)))
