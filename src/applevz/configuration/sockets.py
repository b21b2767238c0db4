# SPDX-License-Identifier: Apache-2.0
"""What gives a guest sockets to its host."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["VirtioSocketDeviceConfiguration"]


@dataclass
class VirtioSocketDeviceConfiguration:
    """Sockets of the family AF_VSOCK between the guest and this process: `VirtualMachine.socket_devices`.

    A machine has one at most, and on Linux cannot be saved with it. It needs `capabilities.sockets`: on Linux the
    kernel's module vhost_vsock.
    """
