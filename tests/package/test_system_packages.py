# SPDX-License-Identifier: Apache-2.0
"""Which system packages are installed: what the release has, by the compiler that is there, and no more than is needed.

The package manager is one of this test's own, of which the installed and the known packages are files."""

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

INSTALL = ROOT / "native" / "install-packages"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there are no packages")

PROGRAMS = {
    "dpkg-query": """
        case $1 in
            --show)
                [ ! -f "$SYSTEM/installed/$3" ] || echo installed
                [ "$3" != two-architectures ] || echo installed
                [ -f "$SYSTEM/installed/$3" ] ;;
            --search) cat "$SYSTEM/owner" ;;
        esac
    """,
    "apt-cache": '[ "$1 $2" = "show --no-all-versions" ] && [ -f "$SYSTEM/known/$3" ]',
    # What it is called with, and then what it would have done.
    "apt-get": """
        while [ "${1#-}" != "$1" ]; do [ "$1" = -o ] && shift; shift; done
        case $1 in
            update) echo update >>"$SYSTEM/calls"; cp "$SYSTEM"/release/* "$SYSTEM/known" ;;
            install)
                shift; while [ "${1#-}" != "$1" ]; do shift; done
                echo "install $*" >>"$SYSTEM/calls"
                for name; do [ -f "$SYSTEM/known/$name" ] || exit 100; touch "$SYSTEM/installed/$name"; done ;;
        esac
    """,
    "id": "echo 0",
    "clang": "",
}
# Programs of the system that the script needs besides.
SYSTEM_PROGRAMS = ("cat", "cp", "dirname", "env", "grep", "readlink", "sed", "touch")


class System:
    """A system of some packages that are installed and some that its release has."""

    def __init__(self, folder: Path, release: str, installed: str = "", compiler: str = "clang-14") -> None:
        self.folder = folder
        programs = folder / "bin"
        for name in ("installed", "known", "release", "bin"):
            (folder / name).mkdir()
        for name in release.split():
            (folder / "release" / name).touch()
        for name in installed.split():
            (folder / "installed" / name).touch()
        (folder / "calls").touch()
        (folder / "owner").write_text(f"{compiler}: /a/path\n" if compiler else "")
        for name, text in PROGRAMS.items():
            (programs / name).write_text(f"#!/bin/sh\n{text}\n")
            (programs / name).chmod(0o755)
        for name in SYSTEM_PROGRAMS:
            (programs / name).symlink_to(shutil.which(name) or name)

    def run(self, *sections: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", INSTALL, *sections],
            env={"PATH": str(self.folder / "bin"), "SYSTEM": str(self.folder), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def system(tmp_path: Path) -> Callable[..., System]:
    return lambda *words, **names: System(tmp_path, *words, **names)


def names(*sections: str) -> set[str]:
    """All that some sections name."""
    found, section = set(), ""
    for text in (ROOT / "native" / "debian-packages.txt").read_text().splitlines():
        line = text.partition("#")[0].strip()
        if line.startswith("["):
            section = line.strip("[]")
        elif line and section in sections:
            found |= {name.strip() for name in line.split("|")}
    return found


ALL = names("build", "run", "guest", "test")
DEBIAN_12 = " ".join(ALL - {"virtiofsd", "libclang-rt-CLANG-dev"} | {"libclang-rt-14-dev", "libclang-rt-19-dev"})
DEBIAN_13 = " ".join(ALL - {"libclang-rt-CLANG-dev"} | {"libclang-rt-17-dev", "libclang-rt-19-dev"})


def installed_by(system: System) -> set[str]:
    return {name for call in system.calls() for name in call.split()[1:]}


def test_no_package_s_name_has_the_number_of_one_release() -> None:
    # That of lz4's library is its interface's.
    assert {name for name in ALL | names("peers") if re.search(r"-\d", name)} == {"liblz4-1"}


@pytest.mark.parametrize(
    ("release", "compiler", "expected"),
    [
        (DEBIAN_12, "clang-14", {"libclang-rt-14-dev", "qemu-system-common"}),
        # With another version beside it that was installed by hand, and is the one that is used.
        (DEBIAN_12, "clang-19", {"libclang-rt-19-dev", "qemu-system-common"}),
        (DEBIAN_13, "clang-19", {"libclang-rt-19-dev", "virtiofsd"}),
    ],
)
def test_a_release_gives_the_packages_that_it_has(
    system: Callable[..., System], release: str, compiler: str, expected: set[str]
) -> None:
    machine = system(release, compiler=compiler)

    done = machine.run()

    assert done.returncode == 0, done.stderr
    assert expected <= installed_by(machine)
    of_one_kind = {"virtiofsd", "qemu-system-common", "libclang-rt-14-dev", "libclang-rt-17-dev", "libclang-rt-19-dev"}
    assert installed_by(machine) == (ALL | expected) - (of_one_kind - expected) - {"libclang-rt-CLANG-dev"}


def test_the_number_of_a_compiler_is_asked_for_when_it_is_there(system: Callable[..., System]) -> None:
    machine = system(DEBIAN_12)
    program = machine.folder / "bin" / "clang"
    program.rename(machine.folder / "clang")
    # As installing the package does.
    apt = machine.folder / "bin" / "apt-get"
    apt.write_text(apt.read_text() + '[ ! -f "$SYSTEM/installed/clang" ] || cp "$SYSTEM/clang" "$SYSTEM/bin/clang"\n')

    assert machine.run("build", "test").returncode == 0
    assert machine.calls()[0] == "update"
    assert "libclang-rt-14-dev" not in machine.calls()[1].split()
    assert machine.calls()[2:] == ["install libclang-rt-14-dev"]


def test_a_compiler_of_no_package_brings_what_it_needs(system: Callable[..., System]) -> None:
    machine = system(DEBIAN_12, compiler="")

    assert machine.run("test").returncode == 0
    assert not [name for name in installed_by(machine) if name.startswith("libclang-rt")]


def test_the_compiler_that_the_environment_names_is_the_one_that_counts(system: Callable[..., System]) -> None:
    machine = system(DEBIAN_12)
    # The only one that is there.
    (machine.folder / "bin" / "clang").rename(machine.folder / "bin" / "clang-of-mine")

    assert machine.run("test", CLANG="clang-of-mine").returncode == 0
    assert "libclang-rt-14-dev" in installed_by(machine)


def test_what_a_guest_is_made_with_and_what_tests_need_is_installed_for_those_alone(
    system: Callable[..., System],
) -> None:
    machine = system(DEBIAN_13, compiler="clang-19")

    assert machine.run("build", "run").returncode == 0
    assert installed_by(machine) == names("build", "run") - {"qemu-system-common"}
    assert not installed_by(machine) & (names("guest", "test") | {"libclang-rt-19-dev"})


def test_where_everything_is_there_nothing_is_asked_of_the_network(system: Callable[..., System]) -> None:
    # Nor is it where apt knows no package at all: what has an alternative is known by what is installed.
    machine = system("", installed=DEBIAN_12)

    done = machine.run()

    assert (done.returncode, machine.calls()) == (0, []), done.stdout


def test_a_package_of_two_architectures_is_there(system: Callable[..., System]) -> None:
    machine = system(DEBIAN_12, installed=DEBIAN_12)
    query = machine.folder / "bin" / "dpkg-query"
    query.write_text(query.read_text().replace("two-architectures", "zstd"))

    assert machine.run("guest").returncode == 0
    assert machine.calls() == []


def test_a_package_that_cannot_be_installed_ends_it(system: Callable[..., System]) -> None:
    machine = system(DEBIAN_12.replace("mtools", ""))

    assert machine.run("test").returncode == 100
    assert machine.calls()[0] == "update"
    assert len(machine.calls()) == 2


def test_without_privilege_the_command_is_told(system: Callable[..., System]) -> None:
    machine = system(DEBIAN_12, installed=" ".join(set(DEBIAN_12.split()) - {"lz4", "mtools"}))
    (machine.folder / "bin" / "id").write_text("#!/bin/sh\necho 1000\n")

    done = machine.run()

    assert done.returncode == 1
    told = done.stderr.strip().splitlines()
    assert len(told) == 1
    assert told[0].endswith("run 'apt-get install lz4 mtools'.")
    assert machine.calls() == []


@pytest.mark.parametrize(
    ("goal", "sections"),
    [
        ("setup", "build run"),
        ("run", "build run guest"),
        ("run KERNEL=/a INITRD=/b", "build run"),
        ("guest", "build run guest"),
        ("test", "build run guest test"),
        ("lint", "build run"),
        ("wheel", "build run wheel"),
    ],
)
def test_each_goal_installs_what_it_takes(goal: str, sections: str, tmp_path: Path) -> None:
    # What make would do in a fresh clone.
    command = ["make", "--dry-run", f"STAMPS={tmp_path}/stamps", f"VENV={tmp_path}/venv", *goal.split()]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    asked = re.findall(r"^native/install-packages (.*)$", done.stdout, re.MULTILINE)
    # In a dry run a stamp that another's recipe makes is not there.
    assert asked[0] == sections
    assert all(set(words.split()) <= set(sections.split()) for words in asked)
