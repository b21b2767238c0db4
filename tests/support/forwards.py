# SPDX-License-Identifier: Apache-2.0
"""Forwards of a guest without a machine, as `VirtualMachine.forward` makes them."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from applevz._blocking.forward import Forward
from applevz._blocking.guest import Guest

PLACES: dict[str, Any] = {
    **dict.fromkeys(("host_port", "guest_port", "host_path", "guest_path")),
    "host_address": "127.0.0.1",
    "guest_address": "127.0.0.1",
    "protocol": "tcp",
    "to": "guest",
}
DIRECTIONS = pytest.mark.parametrize("to", ["guest", "host"])


def forward(guest: Guest, timeout: float = 60.0, **places: Any) -> Forward:
    return guest._forward(timeout, **{**PLACES, **places})


def refused(port: int) -> bool:
    """Whether nobody listens to a port."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False
