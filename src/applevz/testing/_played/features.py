# SPDX-License-Identifier: Apache-2.0
"""What QEMU says that it has, for each capability of a host."""

from __future__ import annotations

# What machines are made of, by the capability that needs it.
_TYPES = {
    "virtualization": [
        *("microvm-machine", "pvpanic", "memory-backend-file", "virtio-serial-device", "virtio-serial-pci"),
    ],
    "hardware_acceleration": ["kvm-accel"],
    "generation_identifier": ["vmgenid", "pcie-root-port"],
    "efi": ["cfi.pflash01"],
    "shared_directories": ["vhost-user-fs-device", "vhost-user-fs-pci"],
    "sockets": ["vhost-vsock-device", "vhost-vsock-pci"],
    "screenshots": ["virtio-gpu-pci"],
    "early_console": ["isa-serial"],
    "input_events": ["qemu-xhci", "usb-kbd", "usb-tablet"],
    "sound": ["virtio-sound-pci"],
}
_MIGRATION = {"save_restore": ["x-ignore-shared", "events"]}


def types(lacks: list[str]) -> list[str]:
    """The types of QEMU's object model, but for those of capabilities that the host is to lack."""
    return _names_of(_TYPES, lacks)


def migration_capabilities(lacks: list[str]) -> list[str]:
    """What QEMU's migration can do, likewise."""
    return _names_of(_MIGRATION, lacks)


def _names_of(table: dict[str, list[str]], lacks: list[str]) -> list[str]:
    return [name for capability, names in table.items() if capability not in lacks for name in names]
