# SPDX-License-Identifier: Apache-2.0
"""What an agent tells of its guest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

__all__ = ["GuestAddress", "GuestInformation", "information_of"]

_MOST_LINES: Final = 10_000


@dataclass(frozen=True)
class GuestAddress:
    """An address of the guest's."""

    interface: str
    address: str


@dataclass(frozen=True)
class GuestInformation:
    """What the guest's agent tells of its guest, at one moment. What it did not tell is empty, or 0."""

    hostname: str
    kernel: str
    """The kernel's release, as `uname -r` prints it."""
    machine: str
    """The processor's architecture, as `uname -m` prints it."""
    os: dict[str, str]
    """The lines of the guest's os-release, as `{"ID": "debian", "VERSION_ID": "13"}`."""
    uptime: float
    """Seconds since the guest's kernel started."""
    load: tuple[float, float, float]
    """The load of the last minute, five minutes and fifteen minutes."""
    memory_total: int
    """Bytes."""
    memory_available: int
    """Bytes that could be used without swapping."""
    processors: int
    addresses: tuple[GuestAddress, ...]
    agent: str
    """The agent's version."""


def information_of(told: bytes) -> GuestInformation:
    """What the lines of a guest say. A line that is none, or whose value is none, is left out."""
    values: dict[str, str] = {}
    release: dict[str, str] = {}
    addresses = []
    for line in told.decode("utf-8", "replace").split("\n")[:_MOST_LINES]:
        key, separator, value = line.partition("=")
        if not separator:
            continue
        if key == "address":
            interface, _, address = value.partition(" ")
            addresses.append(GuestAddress(interface, address))
        elif key.startswith("os."):
            release[key[3:]] = value.strip("\"'")
        else:
            values[key] = value
    load = [_number(word) for word in values.get("load", "").split()[:3]]
    load += [0.0] * (3 - len(load))
    return GuestInformation(
        hostname=values.get("hostname", ""),
        kernel=values.get("kernel", ""),
        machine=values.get("machine", ""),
        os=release,
        uptime=_number(values.get("uptime", "")),
        load=(load[0], load[1], load[2]),
        memory_total=_whole(values.get("memory.total", "")),
        memory_available=_whole(values.get("memory.available", "")),
        processors=_whole(values.get("processors", "")),
        addresses=tuple(addresses),
        agent=values.get("agent", ""),
    )


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if 0.0 <= number < math.inf else 0.0


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
