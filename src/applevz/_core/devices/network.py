# SPDX-License-Identifier: Apache-2.0
"""The network cards of a machine, and the host's networks that they can be connected to."""

from __future__ import annotations

from typing import Any

from ..._builder.network import network_device_attachment
from ..._builder.owned import Owned
from ..._native import Reference, lib
from ..._values.arguments import boolean
from ..._values.identifiers import bytes_made_by
from ...configuration.network import BridgedNetworkInterface, NetworkDeviceAttachment
from ...errors import check, handle_of
from .device import MachineDevice

__all__ = ["Attachments", "NetworkDevice", "bridged_network_interfaces"]


def bridged_network_interfaces() -> tuple[BridgedNetworkInterface, ...]:
    """The networks of the host that a `BridgedNetworkDeviceAttachment` can be of now
    (`VZBridgedNetworkInterface.networkInterfaces`). On Linux they are the bridges of this process's network
    namespace."""
    texts = bytes_made_by(lib.applevz_bridged_network_interfaces).decode().split("\0")[:-1]
    pairs = zip(texts[::2], texts[1::2], strict=True)
    return tuple(BridgedNetworkInterface(name, shown or None) for name, shown in pairs)


class Attachments:
    """The attachments of one machine's cards: those of its configuration, and those that were set last."""

    def __init__(self, configured: list[NetworkDeviceAttachment]) -> None:
        self.configured = configured
        # By a card's index: the native attachment, kept so that no other one can get its address, and the caller's.
        self.given: dict[int, tuple[Reference, NetworkDeviceAttachment]] = {}


class NetworkDevice(MachineDevice):
    """A network card of a machine (`VZNetworkDevice`). It keeps its machine."""

    __slots__ = ("_attachments",)

    def __init__(self, machine: Any, handle: Reference, index: int, attachments: Attachments) -> None:
        """A machine makes it: `VirtualMachine.network_devices`."""
        super().__init__(machine, handle, index)
        self._attachments = attachments

    @property
    def attachment(self) -> NetworkDeviceAttachment | None:
        """The network that the card is connected to: at first that of the configuration. None: its cable is pulled out.

        It can be set at any time, to None or to another attachment; the guest sees the cable go and come. An attachment
        that cannot be connected raises `NetworkError` and leaves the card without a cable, which is an event of
        `EventKind.NETWORK_DISCONNECTED`. The same event comes for an attachment that fails later, and for a bridge that
        QEMU's helper refuses to a machine that is not stopped. An attachment that is set stays for later starts, until
        `POWEROFF` has to let go of the machine.
        """
        present = self._present()
        if present is None:
            return None
        handle, attachment = self._attachments.given.get(self._index, (None, None))
        return attachment if present == handle else self._attachments.configured[self._index]

    @attachment.setter
    def attachment(self, value: NetworkDeviceAttachment | None) -> None:
        if value is None:
            self.connected = False
            return
        with Owned() as owned:
            native = network_device_attachment(owned, "attachment", value)
            try:
                check(lib.applevz_machine_set_network_device_attachment(self._handle, self._index, native))
            finally:
                present = self._present()
                if present is not None and present == native:
                    self._attachments.given[self._index] = present, value

    @property
    def connected(self) -> bool:
        """Whether the card has an attachment. At first it has.

        It can be set at any time. False pulls the cable out; True connects the card to the attachment of the
        configuration.
        """
        return self._present() is not None

    @connected.setter
    def connected(self, value: bool) -> None:
        check(lib.applevz_machine_connect_network_device(self._handle, self._index, boolean("connected", value)))

    def _present(self) -> Reference | None:
        attachment: Reference | None
        attachment = handle_of(lib.applevz_machine_network_device_attachment, self._handle, self._index)
        return attachment

    def __repr__(self) -> str:
        return f"<NetworkDevice {'connected' if self.connected else 'not connected'}>"
