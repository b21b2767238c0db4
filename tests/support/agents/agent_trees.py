# SPDX-License-Identifier: Apache-2.0
"""A tree of files that has one of everything."""

from __future__ import annotations

import os
from pathlib import Path

TIME = 1_600_000_000_123_456_789


def set_time(path: Path, time: int = TIME) -> None:
    os.utime(path, ns=(time, time), follow_symlinks=False)


def make_tree(root: Path) -> Path:
    """One of everything."""
    (root / "folder" / "inner").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "text").write_text("text")
    (root / "nothing").touch()
    (root / "folder" / "large").write_bytes(os.urandom(1_000_000))
    os.link(root / "text", root / "folder" / "inner" / "same")
    (root / "link").symlink_to("folder/../text")
    (root / "dangling").symlink_to("/no/such/thing")
    os.mkfifo(root / "fifo")
    (root / "program").write_text("#!/bin/sh\n")
    (root / "program").chmod(0o4751)
    (root / "folder").chmod(0o1700)
    with open(root / "holes", "wb") as file:
        file.truncate(10 << 20)
        file.seek(1 << 20)
        file.write(b"one" * 10000)
        file.seek(5 << 20)
        file.write(b"two")
    name = os.fsencode(root) + b"/" + bytes(set(range(1, 256)) - {0x2F})
    with open(name, "wb") as file:
        file.write(b"every byte but the two that a name has not")
    for path in sorted(root.rglob("*"), reverse=True):
        set_time(path)
    set_time(root)
    return root
