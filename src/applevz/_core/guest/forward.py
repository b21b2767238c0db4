# SPDX-License-Identifier: Apache-2.0
"""Forwards: ports and paths of the host that lead into the guest, and of the guest that lead to the host.

What listens at the end of a forward is the host's choice, in both directions. The guest's agent opens nothing: the host
asks it for each connection that it got, and for a bounded number of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ..._values.arguments import shown
from ..._values.unique import Unique
from ...errors import Error, InvalidArgumentError, make
from ..deadline import Deadline
from .relay import Relay
from .session import Session
from .streams import Waits

if TYPE_CHECKING:
    from .forward_heads import Forwarding

__all__ = ["BaseForward", "forward_steps"]

_TO: Final = ("guest", "host")


def forward_steps(
    session: Session,
    relay: Callable[[], Relay],
    *,
    host_port: Any,
    guest_port: Any,
    host_address: Any,
    guest_address: Any,
    host_path: Any,
    guest_path: Any,
    protocol: Any,
    to: Any,
    deadline: Deadline,
) -> Waits[Forwarding]:
    """The steps that begin a forward. Raises `InvalidArgumentError` at once.

    `relay` gives what carries it, behind the last step that waits.
    """
    from .datagram_forwards import DatagramsToGuest, DatagramsToHost
    from .forward_heads import to_guest_steps, to_host_steps
    from .places import GuestPlace, HostPlace, protocol_kind
    from .stream_forwards import ConnectionsToGuest, ConnectionsToHost

    kind = protocol_kind(protocol)
    if to not in _TO:
        raise make(InvalidArgumentError, f"to is {shown(to)}.", "", 'Give "guest" or "host".')
    to_guest = to == "guest"
    if protocol == "udp" and (host_path is not None or guest_path is not None):
        raise make(InvalidArgumentError, "A path is given, and protocol is 'udp'.", "", "Give ports.")
    for side, port, path in (("host", host_port, host_path), ("guest", guest_port, guest_path)):
        if port is not None and path is not None:
            words = f"{side}_port is {shown(port)}, and {side}_path is {shown(path)}."
            raise make(InvalidArgumentError, words, "", "Leave one of them out.")
        if port is None and path is None and side == to:
            raise make(
                InvalidArgumentError,
                f"Neither {side}_port nor {side}_path is given.",
                f"The forward leads to the {side}.",
                "Give the port or the path that it leads to.",
            )
    host = HostPlace(kind, host_address, host_port or 0, host_path, listens=to_guest)
    guest = GuestPlace(kind, guest_address, guest_port or 0, guest_path, listens=not to_guest)
    if to_guest:
        return to_guest_steps(DatagramsToGuest if protocol == "udp" else ConnectionsToGuest, relay, host, guest)
    return to_host_steps(
        DatagramsToHost if protocol == "udp" else ConnectionsToHost, session, relay, host, guest, deadline
    )


class BaseForward(Unique):
    """A forward, for a face to end."""

    def __init__(self, forwarding: Forwarding, protocol: str) -> None:
        self._forwarding = forwarding
        self._protocol = protocol

    def __repr__(self) -> str:
        return f"<Forward of {self._protocol} {self._forwarding.words}{' (closed)' if self.closed else ''}>"

    @property
    def port(self) -> int:
        """The port that is listened to: the host's, or the guest's if the forward leads to the host. 0 if it is a
        path."""
        return self._forwarding.listening_port

    @property
    def path(self) -> Any:
        """The path that is listened to; None if it is a port."""
        return self._forwarding.listening_path

    @property
    def protocol(self) -> str:
        """`"tcp"` or `"udp"`."""
        return self._protocol

    @property
    def connections(self) -> int:
        """How many connections there are now; of UDP, how many peers."""
        return self._forwarding.open_links

    @property
    def error(self) -> Error | OSError | None:
        """Why the last connection that failed did; None if none has."""
        return self._forwarding.error

    @property
    def closed(self) -> bool:
        """Whether the forward has ended."""
        return self._forwarding.over
