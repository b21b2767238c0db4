# SPDX-License-Identifier: Apache-2.0
"""What a machine begins with."""

from __future__ import annotations

from dataclasses import dataclass

from .._arguments import PathLike

__all__ = ["LinuxBootLoader"]


@dataclass
class LinuxBootLoader:
    """Boots a Linux kernel without firmware.

    `kernel` and `initial_ramdisk` are files. On Linux hosts the platform may add words to the kernel's command line
    that make it boot faster and without fail (`applevz.command_line_additions()` tells them);
    `command_line_additions=False` turns that off.
    """

    kernel: PathLike
    initial_ramdisk: PathLike | None = None
    command_line: str = ""
    command_line_additions: bool = True
