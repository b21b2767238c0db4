# SPDX-License-Identifier: Apache-2.0
"""How the default guest is made of a release's packages, whose kernels keep their drivers differently."""

from __future__ import annotations

import gzip
import importlib.util
import lzma
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from places import PREPARE_GUEST

pytestmark = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="the default guest is made on Debian only")


@pytest.fixture(scope="module")
def prepare() -> ModuleType:
    path = PREPARE_GUEST
    specification = importlib.util.spec_from_file_location("guest_preparation", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def driver(name: str, *, depends: str = "") -> bytes:
    """What a driver's file says of itself, as `modinfo` reads it."""
    return b"\x7fELF\0" + f"name={name}\0depends={depends}\0license=GPL\0".encode()


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


DRIVERS = {
    "block/disk.ko": driver("disk", depends="core-of_disks,middle"),
    "block/core_of-disks.ko.xz": lzma.compress(driver("core_of_disks", depends="lowest"), check=lzma.CHECK_CRC32),
    "lib/middle.ko.gz": gzip.compress(driver("middle", depends="lowest")),
    "lib/lowest.ko": driver("lowest"),
    "net/other.ko": driver("other", depends="lowest"),
    "net/unwanted.ko": driver("unwanted"),
}


def made(folder: Path, drivers: dict[str, bytes]) -> Path:
    for name, content in drivers.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_drivers_come_with_what_they_need_in_the_order_in_which_they_are_loaded(
    prepare: ModuleType, tmp_path: Path
) -> None:
    compressed = {"block/packed.ko.zst": zstd(driver("packed", depends="lowest"))} if shutil.which("zstd") else {}
    modules, target = made(tmp_path / "kernel", {**DRIVERS, **compressed}), tmp_path / "modules"

    wanted = ["disk", "other", "built-in", *(["packed"] if compressed else [])]
    names = prepare.copy_modules(modules, wanted, target)

    assert (target / "disk.order").read_text() == "lowest core_of-disks middle disk\n"
    assert (target / "other.order").read_text() == "lowest other\n"
    expected = {"lowest", "core_of-disks", "middle", "disk", "other", *(["packed"] if compressed else [])}
    assert set(names) == expected
    assert {file.name for file in target.glob("*.ko")} == {f"{name}.ko" for name in expected}
    # A kernel has built in what it has no file for.
    assert not (target / "built-in.order").exists()
    for file in target.glob("*.ko"):
        assert file.read_bytes().startswith(b"\x7fELF")


def test_a_driver_that_is_compressed_in_an_unknown_way_is_an_error(prepare: ModuleType, tmp_path: Path) -> None:
    modules = made(tmp_path / "kernel", {"disk.ko.new": b"NEW!" + driver("disk")})

    with pytest.raises(prepare.PreparationError, match=r"disk\.ko\.new"):
        prepare.copy_modules(modules, ["disk"], tmp_path / "modules")


def package(folder: Path, files: dict[str, bytes]) -> Path:
    """A package as `apt-get download` gives it."""
    fields = {"Package": "linux-image-1", "Version": "1", "Architecture": "all", "Maintainer": "a <a@b.c>"}
    control = "".join(f"{name}: {value}\n" for name, value in {**fields, "Description": "a kernel"}.items())
    root = made(folder / "root", {"DEBIAN/control": control.encode(), **files})
    file = folder / "linux-image-1_1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", root, file], check=True, capture_output=True)
    return file


KERNEL_FOLDERS = ("arch", "block", "crypto", "drivers", "fs", "lib", "net")


@pytest.mark.parametrize("place", ["lib/modules", "usr/lib/modules"])
def test_a_kernel_s_drivers_are_found_where_its_release_has_them(
    prepare: ModuleType, tmp_path: Path, place: str
) -> None:
    kept = {f"{place}/6.1/kernel/{name}/deep/{name}.ko": driver(name) for name in KERNEL_FOLDERS}
    left = {f"{place}/6.1/kernel/sound/loud.ko": driver("loud"), "usr/share/doc/a": b"a"}
    file = package(tmp_path, {"boot/vmlinuz-6.1": b"kernel", **kept, **left})
    target = tmp_path / "unpacked"

    prepare.unpack("linux-image-1", file, target)

    found = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert found == {"boot/vmlinuz-6.1", *kept}


def test_a_failed_command_is_told_in_its_own_words(prepare: ModuleType, tmp_path: Path) -> None:
    # The last line of what tar says is only that there were others.
    file = package(tmp_path, {"boot/vmlinuz-6.1": b"kernel", "usr/modules/6.1/kernel/drivers/a.ko": driver("a")})

    with pytest.raises(prepare.PreparationError) as caught:
        prepare.unpack("linux-image-1", file, tmp_path / "unpacked")

    assert "lib/modules/*/kernel/drivers/*: Not found in archive" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    # Nothing is wrong with the package: downloaded again it would be the same.
    assert file.exists()


def test_a_package_that_is_damaged_is_downloaded_again(prepare: ModuleType, tmp_path: Path) -> None:
    file = package(tmp_path, {"boot/vmlinuz-6.1": b"kernel"})
    file.write_bytes(file.read_bytes()[:-100])

    with pytest.raises(prepare.PreparationError, match="removed, so that the next run downloads it again"):
        prepare.unpack("linux-image-1", file, tmp_path / "unpacked")

    assert not file.exists()


def test_a_missing_command_is_told_with_its_package(prepare: ModuleType) -> None:
    with pytest.raises(prepare.PreparationError, match="install the package no-such-program"):
        prepare.run("no-such-program")
    with pytest.raises(prepare.PreparationError, match="status 3: it gave no reason"):
        prepare.run(sys.executable, "-c", "raise SystemExit(3)")
