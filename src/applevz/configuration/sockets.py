# SPDX-License-Identifier: Apache-2.0
"""Socket devices: sockets between guest and host."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["VirtioSocketDeviceConfiguration"]


@dataclass
class VirtioSocketDeviceConfiguration:
    """Sockets between the guest, where their family is AF_VSOCK, and this process: `VirtualMachine.socket_devices`.

    Here the family is AF_VSOCK on Linux and AF_UNIX on a Mac. Do not rely on either, nor on the addresses of the
    sockets. A machine has at most one, and on Linux cannot be saved with it. It needs `capabilities.sockets`, which on
    Linux takes the kernel's module vhost_vsock.
    """
