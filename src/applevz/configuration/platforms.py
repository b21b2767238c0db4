# SPDX-License-Identifier: Apache-2.0
"""Platforms: the kind of computer that a machine is to its guest."""

from __future__ import annotations

from dataclasses import dataclass

from .._values.identifiers import random_machine_identifier

__all__ = ["GenericMachineIdentifier", "GenericPlatformConfiguration"]


@dataclass(frozen=True)
class GenericMachineIdentifier:
    """Tells one machine from another to its guest (on Linux by its UUID).

    Store its bytes and give them again: a machine of which anything is kept, as a disk or a saved state, should keep
    its identifier, too.
    """

    data_representation: bytes

    @classmethod
    def random(cls) -> GenericMachineIdentifier:
        """Makes a new one. Raises `Error` if the host cannot (macOS 12)."""
        return cls(random_machine_identifier())


@dataclass
class GenericPlatformConfiguration:
    """The platform of every guest but macOS. Without an identifier the machine gets a new one each time it is made.

    With `generation_identifier` a saved state can go on as machines with identities of their own. The guest finds a
    virtual machine generation identifier (Microsoft's specification of that name; QEMU's vmgenid), which is another one
    at each start and each restore. A guest that knows it makes its random numbers and keys anew. If the machine is
    restored with other MAC addresses than it was saved with, it gets them: when it runs, its guest sees its network
    card taken away, and another put in its place. It needs `capabilities.generation_identifier`, and starts a little
    slower.

    With `nested_virtualization` the guest finds the processor's virtualization, and can run machines of its own, with
    KVM for one. It needs `capabilities.nested_virtualization`.
    """

    machine_identifier: GenericMachineIdentifier | None = None
    generation_identifier: bool = False
    nested_virtualization: bool = False
