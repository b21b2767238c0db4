# SPDX-License-Identifier: Apache-2.0
"""Builds what is given out: the source distribution, and of that a wheel.

    python native/wheels.py --output dist

One wheel is for all Pythons from 3.10 on (PEP 384's stable ABI). On Linux it brings its GNUstep along, which is built
in a root of Debian 11 (native/gnustep/build.py), and says for which systems it is, as auditwheel finds. On macOS
delocate looks whether it takes nothing that a Mac does not have.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUNDLE = ROOT / "build" / "gnustep"
# A wheel that is larger has something in it that nobody meant to be there.
LARGEST_WHEEL = 4_000_000
LINUX_TOOLS = ("build", "auditwheel")
MAC_TOOLS = ("build", "delocate")


class WheelError(Exception):
    """It cannot be built; the message says why."""


def run(*command: str, **environment: str) -> None:
    # What pip put beside this Python is found before what the system has.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PATH": path, **environment}, check=False)
    if done.returncode != 0:
        raise WheelError(f"`{shlex.join(command)}` ended with status {done.returncode}.")


def only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise WheelError(f"There are {len(found)} files {pattern} in {folder}, where one was to be built.")
    return found[0]


def gnustep_platform() -> str:
    """Builds what wheels for Linux bring along, and says for which systems that is."""
    run(sys.executable, str(ROOT / "native" / "gnustep" / "build.py"), "--output", str(BUNDLE))
    specification = importlib.util.spec_from_file_location("gnustep_build", ROOT / "native" / "gnustep" / "build.py")
    if specification is None or specification.loader is None:
        raise WheelError("native/gnustep/build.py is missing.")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return f"{module.PLATFORM}_{platform.machine()}"


def repair_command(wheel: Path, folder: Path, macos: bool, tag: str) -> Sequence[str]:
    """What looks at the wheel, and puts it into the folder under its final name."""
    if macos:
        return ["delocate-wheel", "--wheel-dir", str(folder), "-v", str(wheel)]
    # Fails if what is in it takes a later system; what it takes of others is in it already.
    return ["auditwheel", "repair", "--plat", tag, "--only-plat", "--wheel-dir", str(folder), str(wheel)]


def build(output: Path) -> tuple[Path, Path]:
    """The source distribution and the wheel. Raises WheelError."""
    macos = sys.platform == "darwin"
    missing = [name for name in (MAC_TOOLS if macos else LINUX_TOOLS) if importlib.util.find_spec(name) is None]
    if missing:
        raise WheelError(f"{', '.join(missing)} is missing: `{sys.executable} -m pip install {' '.join(missing)}`.")
    tag = "" if macos else gnustep_platform()
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="wheels-", dir=output) as temporary:
        built, repaired = Path(temporary, "built"), Path(temporary, "repaired")
        # First the source distribution, and then the wheel out of that: so nothing is missing in it.
        environment = {} if macos else {"APPLEVZ_GNUSTEP": str(BUNDLE)}
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(built), str(ROOT), **environment)
        run(*repair_command(only(built, "*.whl"), repaired, macos, tag))
        found = [only(built, "*.tar.gz"), only(repaired, "*.whl")]
        size = found[1].stat().st_size
        if size > LARGEST_WHEEL:
            raise WheelError(f"{found[1].name} has {size} bytes, which are more than {LARGEST_WHEEL}.")
        source, wheel = (file.replace(output / file.name) for file in found)
    return source, wheel


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the source distribution and a wheel.")
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    arguments = parser.parse_args()
    try:
        files = build(arguments.output.resolve())
    except WheelError as error:
        print(error, file=sys.stderr)
        return 1
    for file in files:
        print(f"{file}: {file.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
