# SPDX-License-Identifier: Apache-2.0
"""The network cards of a machine."""

from __future__ import annotations

from typing import Any

from ._arguments import boolean
from ._native import Reference, ffi, lib
from .errors import check

__all__ = ["NetworkDevice"]


class NetworkDevice:
    """A network card of a machine (`VZNetworkDevice`). It keeps its machine."""

    __slots__ = ("_handle", "_index", "_machine")

    def __init__(self, machine: Any, handle: Reference, index: int) -> None:
        """A machine makes it: `VirtualMachine.network_devices`."""
        self._machine = machine
        self._handle = handle
        self._index = index

    @property
    def connected(self) -> bool:
        """Whether the card is connected to the attachment that the configuration has for it, as it is at first.

        It can be set at any time: the guest sees that its cable was pulled out or put in (`VZNetworkDevice.attachment`,
        set to nil or to that attachment). An attachment that fails is told as an event of
        `EventKind.NETWORK_DISCONNECTED`, after which this is false.
        """
        connected = ffi.new("bool *")
        check(lib.applevz_machine_network_device_is_connected(self._handle, self._index, connected))
        return bool(connected[0])

    @connected.setter
    def connected(self, value: bool) -> None:
        check(lib.applevz_machine_connect_network_device(self._handle, self._index, boolean("connected", value)))

    def __repr__(self) -> str:
        return f"<NetworkDevice {'connected' if self.connected else 'not connected'}>"
