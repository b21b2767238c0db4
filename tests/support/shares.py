# SPDX-License-Identifier: Apache-2.0
"""Configurations with shared directories, and the processes that serve them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from applevz import (
    MultipleDirectoryShare,
    SharedDirectory,
    SingleDirectoryShare,
    VirtioFileSystemDeviceConfiguration,
)
from processes import children


def device(
    tag: str, share: SingleDirectoryShare | MultipleDirectoryShare | None
) -> VirtioFileSystemDeviceConfiguration:
    return VirtioFileSystemDeviceConfiguration(tag, share)


def single(path: str | Path, read_only: bool = False) -> SingleDirectoryShare:
    return SingleDirectoryShare(SharedDirectory(path, read_only))


def servers() -> set[int]:
    """The process ids of the virtiofsd of this process."""
    return {child for child in children() if Path(f"/proc/{child}/comm").read_text().startswith("virtiofsd")}


def served(path: Path) -> list[tuple[str, list[str]]]:
    """Where in the root of a virtiofsd of this process the directory is mounted, and how."""
    mounts = "".join(Path(f"/proc/{server}/mountinfo").read_text() for server in servers())
    return [
        (place, options.split(","))
        for place, options in re.findall(rf" (?:/\S*)?{re.escape(os.fspath(path))} (/\S*) (\S+)", mounts)
    ]
