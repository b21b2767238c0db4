# SPDX-License-Identifier: Apache-2.0
"""The network cards of a machine, and the host's networks that they can be connected to."""

from __future__ import annotations

from typing import Any

from ._arguments import boolean
from ._builder.network import network_device_attachment
from ._builder.owned import Owned
from ._identifiers import given
from ._machine_devices import MachineDevice
from ._native import NULL, Reference, ffi, lib
from .configuration.network import BridgedNetworkInterface, NetworkDeviceAttachment
from .errors import check

__all__ = ["Attachments", "NetworkDevice", "bridged_network_interfaces"]


def bridged_network_interfaces() -> tuple[BridgedNetworkInterface, ...]:
    """The networks of the host that a `BridgedNetworkDeviceAttachment` can have now
    (`VZBridgedNetworkInterface.networkInterfaces`): on Linux the bridges of this process's network namespace."""
    texts = given(lib.applevz_bridged_network_interfaces).decode().split("\0")[:-1]
    pairs = zip(texts[::2], texts[1::2], strict=True)
    return tuple(BridgedNetworkInterface(name, shown or None) for name, shown in pairs)


class Attachments:
    """What the cards of one machine were connected to last, beside what its configuration had then."""

    def __init__(self, configured: list[NetworkDeviceAttachment]) -> None:
        self.configured = configured
        # By a card's index: the native attachment, kept so that no other one can have its address, and what it is of.
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
        """What the card is connected to: at first that of the configuration; None for a cable that is pulled out.

        It can be set at any time, to None or to another attachment; the guest sees the cable go and come. What cannot
        be connected raises `NetworkError`, and leaves the card without a cable, which is an event of
        `EventKind.NETWORK_DISCONNECTED`; so is an attachment that fails later, and a bridge that QEMU's helper refuses
        to a machine that is not stopped. One that is set stays for later starts, until `POWEROFF` has to let go of the
        machine.
        """
        present = self._present()
        if not present:
            return None
        handle, attachment = self._attachments.given.get(self._index, (NULL, None))
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
                if present == native:
                    self._attachments.given[self._index] = present, value

    @property
    def connected(self) -> bool:
        """Whether the card has an attachment, as it has at first.

        It can be set at any time, to False, or to True, which connects it to that of the configuration.
        """
        return bool(self._present())

    @connected.setter
    def connected(self, value: bool) -> None:
        check(lib.applevz_machine_connect_network_device(self._handle, self._index, boolean("connected", value)))

    def _present(self) -> Reference:
        out = ffi.new("applevz_network_device_attachment **")
        check(lib.applevz_machine_network_device_attachment(self._handle, self._index, out))
        return ffi.gc(out[0], lib.applevz_network_device_attachment_release) if out[0] else NULL

    def __repr__(self) -> str:
        return f"<NetworkDevice {'connected' if self.connected else 'not connected'}>"
