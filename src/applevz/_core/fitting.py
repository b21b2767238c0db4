# SPDX-License-Identifier: Apache-2.0
"""What a machine is made of that is restored from a state, where its configuration leaves a name open.

A state fits no machine that has another machine identifier, and its guest knows the addresses of its cards.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from ..configuration.machine import VirtualMachineConfiguration
from ..configuration.network import BridgedNetworkDeviceAttachment, MACAddress
from ..configuration.platforms import GenericMachineIdentifier

if TYPE_CHECKING:
    from .._states.saved_state import SavedState

__all__ = ["fitting"]


def fitting(
    configuration: VirtualMachineConfiguration, state: SavedState, new: Collection[object] = ()
) -> VirtualMachineConfiguration | None:
    """The configuration with the names that the state has, where it has none, or one of `new`. On a network of the
    host's no two cards may have the same address: such a card gets a new one, or keeps it, and its guest gets another
    card. None if the state does not say a name that is needed."""
    said = dict(state.fields)
    platform = configuration.platform
    identifier = platform.machine_identifier
    cards = list(configuration.network_devices)
    try:
        if identifier is None or identifier in new:
            # Behind the mark of one that is the UUID.
            uuid = UUID(said["platform.machineIdentifier"]).bytes
            mark = (identifier or GenericMachineIdentifier.random()).data_representation[: -len(uuid)]
            platform = replace(platform, machine_identifier=GenericMachineIdentifier(mark + uuid))
        for index, card in enumerate(cards):
            if isinstance(card.attachment, BridgedNetworkDeviceAttachment):
                cards[index] = replace(card, mac_address=card.mac_address or MACAddress.random())
            elif card.mac_address is None or card.mac_address in new:
                cards[index] = replace(card, mac_address=MACAddress(said[f"networkDevices[{index}].MACAddress"]))
    except (KeyError, ValueError):
        return None
    return replace(configuration, platform=platform, network_devices=cards)
