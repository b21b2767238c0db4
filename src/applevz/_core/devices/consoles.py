# SPDX-License-Identifier: Apache-2.0
"""The console devices of a machine, and their ports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from ..._values.arguments import integer, shown
from ..._values.unique import Unique
from ...errors import InvalidArgumentError, InvalidStateError, make
from ..console import BaseConsole

__all__ = ["ConsolePort", "VirtioConsoleDevice", "VirtioConsolePort", "VirtioConsolePorts"]

ConsoleKind = TypeVar("ConsoleKind", bound=BaseConsole)


class ConsolePort(NamedTuple):
    """The port at a place of a console device, as the machine was made with it."""

    name: str | None
    console: BaseConsole | None
    is_console: bool


class VirtioConsolePort(Unique, Generic[ConsoleKind]):
    """A port of a machine's console device (`VZVirtioConsolePort`)."""

    __slots__ = ("_console", "_index", "_name")

    def __init__(self, index: int, name: str | None, console: ConsoleKind | None) -> None:
        """A machine makes it: `VirtioConsoleDevice.ports`."""
        self._index = index
        self._name = name
        self._console = console

    @property
    def index(self) -> int:
        """The port's place in its device, from 0. Linux counts from 1: `/dev/vport0p1` is the first."""
        return self._index

    @property
    def name(self) -> str | None:
        """The name by which the guest finds the port. None if it has none."""
        return self._name

    @property
    def console(self) -> ConsoleKind:
        """The host's end of the port. Raises `InvalidStateError` if the port has another attachment."""
        if self._console is None:
            raise make(
                InvalidStateError,
                f"{self!r} has no console.",
                "It has another attachment than a Console.",
                "Leave the port's `attachment` of the configuration out.",
            )
        return self._console

    def __repr__(self) -> str:
        return f"<VirtioConsolePort {self._index}{'' if self._name is None else f' {shown(self._name)}'}>"


class VirtioConsolePorts(Unique, Generic[ConsoleKind]):
    """The ports of a console device, by name or by place: `ports["org.example.log"]`, `ports[0]`."""

    __slots__ = ("_ports",)

    def __init__(self, ports: Sequence[VirtioConsolePort[ConsoleKind]]) -> None:
        """A machine makes it: `VirtioConsoleDevice.ports`."""
        self._ports = tuple(ports)

    def __getitem__(self, key: str | int) -> VirtioConsolePort[ConsoleKind]:
        """The port with that name, or at that place. Raises `InvalidArgumentError` if there is no such port."""
        if isinstance(key, str):
            for port in self._ports:
                if port.name == key:
                    return port
            names = ", ".join(shown(port.name) for port in self._ports if port.name is not None) or "no names"
            raise make(
                InvalidArgumentError, f"There is no port with the name {shown(key)}.", f"The ports have {names}."
            )
        place = integer("the port's place", key)
        if place >= len(self._ports):
            raise make(InvalidArgumentError, f"There is no port at {place}.", f"There are {len(self._ports)} ports.")
        return self._ports[place]

    def __iter__(self) -> Iterator[VirtioConsolePort[ConsoleKind]]:
        return iter(self._ports)

    def __len__(self) -> int:
        return len(self._ports)

    def __repr__(self) -> str:
        return f"<VirtioConsolePorts {list(self._ports)!r}>"


class VirtioConsoleDevice(Unique, Generic[ConsoleKind]):
    """A console device of a machine (`VZVirtioConsoleDevice`).

    A program of the guest that opens or closes one of its ports causes an event: `EventKind.PORT_OPENED`,
    `PORT_CLOSED`.
    """

    __slots__ = ("_ports",)

    def __init__(self, ports: VirtioConsolePorts[ConsoleKind]) -> None:
        """A machine makes it: `VirtualMachine.console_devices`."""
        self._ports = ports

    @property
    def ports(self) -> VirtioConsolePorts[ConsoleKind]:
        """The device's ports, in the order of the configuration."""
        return self._ports

    def __repr__(self) -> str:
        return f"<VirtioConsoleDevice {list(self._ports)!r}>"
