# SPDX-License-Identifier: Apache-2.0
"""Files of EFI variables."""

from __future__ import annotations

from ._arguments import PathLike, boolean
from ._arguments import path as path_argument
from ._native import lib
from .errors import check

__all__ = ["create_variable_store"]


def create_variable_store(path: PathLike, overwrite: bool) -> None:
    """Makes the file of a store without variables; raises what `EFIVariableStore.create` says."""
    name = path_argument("path", path)
    check(lib.applevz_efi_variable_store_create(name, len(name), boolean("overwrite", overwrite)))
