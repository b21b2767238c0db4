# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from .._native import Reference, lib
from .._values import arguments
from ..configuration.platforms import GenericMachineIdentifier, GenericPlatformConfiguration
from ..errors import InvalidArgumentError, check, make

__all__ = ["set_platform"]


def set_platform(handle: Reference, platform: GenericPlatformConfiguration) -> None:
    arguments.instance("platform", platform, (GenericPlatformConfiguration,))
    data = b""
    if platform.machine_identifier is not None:
        field = "platform.machine_identifier"
        identifier = arguments.instance(field, platform.machine_identifier, (GenericMachineIdentifier,))
        data = arguments.instance(f"{field}.data_representation", identifier.data_representation, (bytes,))
        if not data:
            raise make(
                InvalidArgumentError,
                f"{field}.data_representation is empty.",
                "",
                "Give the bytes of an identifier that was stored, or no identifier to get a new one.",
            )
    generation_identifier = arguments.boolean("platform.generation_identifier", platform.generation_identifier)
    nested_virtualization = arguments.boolean("platform.nested_virtualization", platform.nested_virtualization)
    check(
        lib.applevz_configuration_set_generic_platform(
            handle, data, len(data), generation_identifier, nested_virtualization
        )
    )
