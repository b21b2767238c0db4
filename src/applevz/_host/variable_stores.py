# SPDX-License-Identifier: Apache-2.0
"""EFI variable stores: the files that keep the firmware's variables."""

from __future__ import annotations

from .._native import lib
from .._values.arguments import PathLike, boolean
from .._values.arguments import path as path_argument
from ..errors import check

__all__ = ["create_variable_store"]


def create_variable_store(path: PathLike, overwrite: bool) -> None:
    """Makes the file of a store without variables. Raises the errors of `EFIVariableStore.create`."""
    name = path_argument("path", path)
    check(lib.applevz_efi_variable_store_create(name, len(name), boolean("overwrite", overwrite)))
