# SPDX-License-Identifier: Apache-2.0
"""What kind of computer a machine is to its guest."""

from __future__ import annotations

from dataclasses import dataclass

from .._identifiers import random_machine_identifier

__all__ = ["GenericMachineIdentifier", "GenericPlatformConfiguration"]


@dataclass(frozen=True)
class GenericMachineIdentifier:
    """What tells one machine from another to its guest. The bytes can be stored and given again."""

    data_representation: bytes

    @classmethod
    def random(cls) -> GenericMachineIdentifier:
        """A new one. Raises `Error` where the host has none to give (macOS 12)."""
        return cls(random_machine_identifier())


@dataclass
class GenericPlatformConfiguration:
    """The platform of every guest but macOS. Without an identifier the machine gets a new one each time it is made."""

    machine_identifier: GenericMachineIdentifier | None = None
