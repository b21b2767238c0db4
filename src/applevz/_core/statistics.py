# SPDX-License-Identifier: Apache-2.0
"""The figures of a machine: what the framework tells of what runs it, and what the guest's agent tells.

The framework's come through the native library, which looks at them. A guest may say what it likes: its figures are
taken if they are numbers that can be.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from .._native import Reference, ffi, lib, take_bytes
from .._values.sizes import size
from ..configuration.machine import VirtualMachineConfiguration
from ..errors import Error, check
from .deadline import Deadline
from .guest.files import read_file
from .guest.guest import BaseGuest
from .guest.streams import Waits

__all__ = ["DiskStatistics", "MachineStatistics", "NetworkStatistics", "Taken"]

# So long an agent may take for its part, of which there are many.
_AGENT_AT_MOST: Final = 2.0
_MOST: Final = 2**63 - 1
_LONGEST: Final = 1 << 16
_MOST_INTERFACES: Final = 32
_FIGURES: Final = (
    *("uptime", "processor_time", "memory_resident", "balloon_size"),
    *("guest_memory_total", "guest_memory_available", "guest_memory_free"),
)
# A line of the guest's /proc/net/dev (proc(5)): eight numbers of what was received, eight of what was sent.
_INTERFACE: Final = re.compile(rb"\s*([^\s:/]{1,15}):\s*(\d{1,19})\s+(\d{1,19})(?:\s+\d+){6}\s+(\d{1,19})\s+(\d{1,19})")


@dataclass(frozen=True)
class DiskStatistics:
    """What a storage device did since its machine was started or restored, as QEMU counts it (`query-blockstats`).

    Bytes, and operations, each from the guest's device. What cannot be told is None.
    """

    read_bytes: int | None = None
    read_operations: int | None = None
    written_bytes: int | None = None
    write_operations: int | None = None
    flush_operations: int | None = None


@dataclass(frozen=True)
class NetworkStatistics:
    """What went over a network card, as its guest receives and sends it. What cannot be told is None.

    A card on a bridge is counted by this host, since its machine was started or restored or the card was connected.
    Every other is counted by the guest, since that booted: `told_by_guest` is true then, and the guest may say what it
    likes.
    """

    received_bytes: int | None = None
    received_packets: int | None = None
    sent_bytes: int | None = None
    sent_packets: int | None = None
    told_by_guest: bool = False


@dataclass(frozen=True)
class MachineStatistics:
    """The figures of a machine at one moment: `VirtualMachine.statistics`. What cannot be told is None.

    `uptime` are the seconds since the machine was started or restored. `processor_time` are the seconds that what runs
    it has taken of the host's processors, the guest's part included. `memory_size` is what the machine has, in bytes,
    and `memory_resident` what it takes of the host's memory, with what runs it, and with what it shares with others.
    `balloon_size` is what the memory balloon leaves to the guest.

    `guest_memory_total`, `guest_memory_available` and `guest_memory_free` are what the guest says of its memory: its
    kernel has so much of it, could give so much to programs, and uses so much for nothing. `disks` has a figure for
    each of the configuration's `storage_devices`, and `networks` for each of its `network_devices`, in their order.
    """

    uptime: float | None
    processor_time: float | None
    memory_size: int
    memory_resident: int | None
    balloon_size: int | None
    guest_memory_total: int | None
    guest_memory_available: int | None
    guest_memory_free: int | None
    disks: tuple[DiskStatistics, ...]
    networks: tuple[NetworkStatistics, ...]


class Taken:
    """The figures that the native library has taken last, and what the guest's agent may add to them."""

    def __init__(self, machine: Reference, configuration: VirtualMachineConfiguration) -> None:
        text, length = ffi.new("char **"), ffi.new("size_t *")
        check(lib.applevz_machine_statistics(machine, text, length))
        told: dict[str, Any] = json.loads(take_bytes(text[0], length[0]))
        networks: list[dict[str, Any]] = told.pop("networks", [])
        disks: list[dict[str, Any]] = told.pop("disks", None) or [{} for _ in configuration.storage_devices]
        self._addresses = [network.pop("mac_address").lower() for network in networks]
        self.statistics = MachineStatistics(
            memory_size=size("memory_size", configuration.memory_size),
            disks=tuple(DiskStatistics(**disk) for disk in disks),
            networks=tuple(NetworkStatistics(**network) for network in networks),
            **{name: told.get(name) for name in _FIGURES},
        )

    def lacks_of(self, guest: BaseGuest, deadline: Deadline) -> bool:
        """Whether the guest's agent, which has answered before, is to be asked for what nobody else has told."""
        return guest._session.is_ready and not deadline.passed and (self._lacks_memory or self._lacks_networks)

    @property
    def _lacks_memory(self) -> bool:
        return self.statistics.guest_memory_total is None

    @property
    def _lacks_networks(self) -> bool:
        return any(card.received_bytes is None for card in self.statistics.networks)

    def with_guest(self, guest: BaseGuest, deadline: Deadline) -> Waits[MachineStatistics]:
        """The steps until the agent has told its part. One that fails, or takes too long, tells nothing."""
        limit = Deadline(deadline.remaining(_AGENT_AT_MOST))
        with suppress(Error):
            if self._lacks_memory:
                told = yield from guest._info(limit)
                self.statistics = replace(
                    self.statistics,
                    guest_memory_total=self._of_memory(told.memory_total),
                    guest_memory_available=self._of_memory(told.memory_available),
                )
            if self._lacks_networks:
                counted = yield from _cards(guest, limit)
                networks = [
                    card if card.received_bytes is not None else counted.get(address, card)
                    for card, address in zip(self.statistics.networks, self._addresses, strict=True)
                ]
                self.statistics = replace(self.statistics, networks=tuple(networks))
        return self.statistics

    def _of_memory(self, told: int) -> int | None:
        """No guest has more than its machine; 0 is what it does not tell."""
        return told if 0 < told <= self.statistics.memory_size else None


def _cards(guest: BaseGuest, deadline: Deadline) -> Waits[dict[str, NetworkStatistics]]:
    """What the guest has counted, by the MAC address of the interface."""
    table = yield from read_file(guest._session, b"/proc/net/dev", deadline, _LONGEST)
    cards: dict[str, NetworkStatistics] = {}
    for line in table.split(b"\n")[:_MOST_INTERFACES]:
        found = _INTERFACE.match(line)
        if found is None or found[1] == b"lo":
            continue
        path = b"/sys/class/net/%b/address" % found[1]
        address = (yield from read_file(guest._session, path, deadline, _LONGEST)).strip().decode("ascii", "replace")
        received, received_packets, sent, sent_packets = numbers = [int(number) for number in found.groups()[1:]]
        if max(numbers) <= _MOST:
            address = address.lower()
            cards[address] = NetworkStatistics(received, received_packets, sent, sent_packets, told_by_guest=True)
    return cards
