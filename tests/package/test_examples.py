# SPDX-License-Identifier: Apache-2.0
"""The programs of the tutorials, run as their readers run them, with the default guest where they have Debian's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import applevz
import guest_with_agent
import pages
from guest_machine import PATIENCE
from places import ROOT

EXAMPLES = ROOT / "examples"
pytestmark = pytest.mark.skipif(not applevz.capabilities.guest_agent, reason="this package was built without the agent")
launches = pytest.mark.skipif(not applevz.capabilities.disk_overlays, reason="this host launches no images")

# What cloud-init would do to the default guest: it finds the seed, and waits until all is done.
CLOUD_INIT = b"""#!/bin/sh
[ "$*" = "status --wait" ] || exit 2
until [ -e /dev/vdb ]; do sleep 0.1; done
grep -q "hostname.*ci" /dev/vdb && grep -q "packages" /dev/vdb && grep -q "make" /dev/vdb || exit 1
touch /packages-are-there
echo "status: done"
"""


def run(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-W", "error", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=2 * PATIENCE)


@pytest.fixture
def image(guest_files: Path, tmp_path: Path) -> list[str | Path]:
    """The words that name the default guest in place of an image."""
    pytest.importorskip("filelock")
    pytest.importorskip("pycdlib")
    (tmp_path / "disk.img").write_bytes(bytes(1 << 20))
    words: list[str | Path] = ["--kernel", guest_files / "vmlinux", "--initrd", guest_files / "initrd.cpio.gz"]
    return [*words, "--command-line", "console=hvc0 quiet", "--cache", tmp_path / "cache", "./disk.img"]


def test_every_example_is_on_a_page() -> None:
    there = {path for path in EXAMPLES.rglob("*.py") if "__pycache__" not in path.parts}
    shown = {path for page in pages.PAGES for path in pages.included(page)}
    assert shown == there


def test_each_test_has_a_fresh_machine(guest_files: Path, tmp_path: Path) -> None:
    pytest.importorskip("filelock")
    guest = [f"--applevz-kernel={guest_files / 'vmlinux'}", f"--applevz-initrd={guest_files / 'initrd.cpio.gz'}"]
    words = ["-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull, "--applevz-memory=256MiB", *guest]
    done = run(tmp_path, *words, EXAMPLES / "fresh_machines")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


@launches
@pytest.mark.skipif(not applevz.capabilities.confinement, reason="this host does not confine what runs a machine")
def test_an_untrusted_program_comes_to_an_end_whatever_it_does(image: list[str | Path], tmp_path: Path) -> None:
    scripts = {
        "works": "echo \"$(ls /sys/class/net)\"; printf '\\033[31mred\\n'; exit 3",
        "floods": "yes",
        "panics": "echo c > /proc/sysrq-trigger",
        "deletes": "rm -rf /bin /etc; echo gone",
        "again": "ls /bin/sh",
    }
    for name, script in {**scripts, "forever": "while :; do :; done"}.items():
        (tmp_path / name).write_text(script)
    program = EXAMPLES / "untrusted_program.py"
    done = run(tmp_path, program, "--seconds", str(PATIENCE), *image, *scripts)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line not in ("y", "")]
    assert lines == [
        "lo",
        "\N{REPLACEMENT CHARACTER}[31mred",
        "works: exit status 3",
        "floods: printed too much",
        "panics: brought its kernel down",
        "gone",
        "deletes: exit status 0",
        "/bin/sh",
        "again: exit status 0",
    ]
    done = run(tmp_path, program, "--seconds", "1", *image, "forever")
    assert (done.returncode, done.stdout) == (0, "forever: not done within 1 s\n"), done.stderr


@launches
def test_a_project_is_tested_in_a_guest_and_its_report_comes_back(image: list[str | Path], tmp_path: Path) -> None:
    place = image.index("--initrd") + 1
    ramdisk = Path(image[place]).read_bytes()
    played = guest_with_agent.newc([("bin/cloud-init", 0o100755, CLOUD_INIT)])
    image[place] = tmp_path / "initrd"
    Path(image[place]).write_bytes(ramdisk + bytes(-len(ramdisk) % 4) + played)
    project = tmp_path / "project"
    project.mkdir()
    command = ["sh", "check"]
    (project / "check").write_text("ls /packages-are-there && echo '<report/>' > report.xml && exit 4")
    for _ in range(2):
        done = run(tmp_path, EXAMPLES / "debian_in_ci.py", "--package", "make", *image, project, *command)
        assert (done.returncode, done.stdout) == (4, "/packages-are-there\n"), done.stderr
        assert (tmp_path / "report.xml").read_text() == "<report/>\n"
        (tmp_path / "report.xml").unlink()
    # The second one went on from the state that the first one left.
    assert len(applevz_states(tmp_path / "cache")) == 1


def applevz_states(cache: Path) -> list[object]:
    from applevz import images

    return list(images.cached_states(cache=cache))


def test_kernels_run_side_by_side_and_each_leaves_what_it_said(guest_files: Path, tmp_path: Path) -> None:
    kernels = [str(guest_files / "vmlinux"), f"{guest_files / 'vmlinuz'},crash"]
    told = "grep -q crash /proc/cmdline && echo c > /proc/sysrq-trigger; uname -s"
    words: list[str | Path] = ["--initrd", guest_files / "initrd.cpio.gz", "--run", told]
    done = run(tmp_path, EXAMPLES / "kernels.py", *kernels, *words)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [f"{kernels[0]}: exit status 0: Linux", f"{kernels[1]}: panicked"]
    assert "Linux version" in (tmp_path / "1-vmlinux.dmesg").read_text()
    assert "sysrq triggered crash" in (tmp_path / "2-vmlinuz.console").read_text()
    assert not (tmp_path / "2-vmlinuz.dmesg").exists()
