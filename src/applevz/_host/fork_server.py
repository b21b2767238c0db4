# SPDX-License-Identifier: Apache-2.0
"""What programs that run machines are copied from, where somebody makes many (native/fork_server)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from .._native import Reference, lib
from ..errors import Error, handle_of

__all__ = ["fork_server"]

_LIBRARY: Final = Path(__file__).resolve().parent.parent / "fork-server.so"


def fork_server() -> Reference | None:
    """As long as there is one, machines start from it. All are one and the same. None where there can be none: machines
    start as they do without it."""
    path = os.fsencode(_LIBRARY)
    try:
        server: Reference = handle_of(lib.applevz_fork_server_create, path, len(path))
    except Error:
        return None
    return server
