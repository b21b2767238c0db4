# SPDX-License-Identifier: Apache-2.0
"""What keeps a machine's program from the rest of the host, made native."""

from __future__ import annotations

from .._native import Reference, lib
from .._values.arguments import instance
from ..configuration.confinement import Confinement, ConfinementPolicy
from ..errors import InvalidArgumentError, check_in, make

__all__ = ["set_confinement"]


def set_confinement(configuration: Reference, policy: ConfinementPolicy) -> None:
    instance("confinement", policy, (ConfinementPolicy,))
    required: Confinement = instance("confinement.required", policy.required, (Confinement,))
    waived: Confinement = instance("confinement.waived", policy.waived, (Confinement,))
    if required & waived:
        raise make(
            InvalidArgumentError,
            f"confinement.required is {required!r}, and confinement.waived is {waived!r}.",
            "What is required cannot be left out.",
            "Name each part of it in one of the two.",
        )
    if required or waived:
        error = lib.applevz_configuration_set_confinement(configuration, required.value, waived.value)
        check_in("confinement", error)
