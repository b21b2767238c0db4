# SPDX-License-Identifier: Apache-2.0
"""Paths that come back from the native library: as URLs, since a path need not be text."""

from __future__ import annotations

import os
from urllib.parse import unquote_to_bytes, urlsplit

__all__ = ["path_of_url"]


def path_of_url(url: str) -> str:
    """The path of a file's URL, as text. `os.fsencode` makes its bytes of it again."""
    return os.fsdecode(unquote_to_bytes(urlsplit(url).path))
