# SPDX-License-Identifier: Apache-2.0
"""What kind of computer a machine is to its guest."""

from __future__ import annotations

from dataclasses import dataclass

from .._identifiers import random_machine_identifier

__all__ = ["GenericMachineIdentifier", "GenericPlatformConfiguration"]


@dataclass(frozen=True)
class GenericMachineIdentifier:
    """What tells one machine from another to its guest (on Linux its UUID). The bytes can be stored and given again: a
    machine of which anything is kept, as a disk or a saved state, should keep its identifier, too."""

    data_representation: bytes

    @classmethod
    def random(cls) -> GenericMachineIdentifier:
        """A new one. Raises `Error` where the host has none to give (macOS 12)."""
        return cls(random_machine_identifier())


@dataclass
class GenericPlatformConfiguration:
    """The platform of every guest but macOS. Without an identifier the machine gets a new one each time it is made.

    With `generation_identifier` a saved state can go on as machines with an identity of their own. The guest finds a
    virtual machine generation identifier (Microsoft's specification of that name; QEMU's vmgenid), another one at each
    start and each restore: a guest that knows it makes its random numbers and keys anew. And a machine restored with
    other MAC addresses than it was saved with gets them: when it runs, its guest sees its network card taken away, and
    another put in its place. It needs `capabilities.generation_identifier`, and starts a little slower.

    With `nested_virtualization` the guest can run machines of its own, with KVM for one: it finds the processor's
    virtualization in it. It needs `capabilities.nested_virtualization`.
    """

    machine_identifier: GenericMachineIdentifier | None = None
    generation_identifier: bool = False
    nested_virtualization: bool = False
