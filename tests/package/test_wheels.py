# SPDX-License-Identifier: Apache-2.0
"""How a wheel is built, as far as that needs no minutes: where sources come from, what is built anew, and what is said
where something is missing. `make test-wheel` tries the wheel itself."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import applevz
from places import NATIVE, ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="on a Mac a wheel brings nothing along")

CONTENT = b"a source"


def load(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"tested_{name.replace('/', '_')}", NATIVE / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def gnustep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """native/gnustep/build.py, with one source of the test's own: a mirror's and its upstream's."""
    module = load("gnustep/build")
    monkeypatch.setattr(module, "DOWNLOADS", tmp_path / "downloads")
    source = {
        "version": "1.0",
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "upstream": (tmp_path / "upstream.tar.gz").as_uri(),
        "debian": "pool/source.tar.gz",
    }
    monkeypatch.setattr(module, "sources", lambda: {"source": source})
    return module


# ---- The sources ----


@pytest.mark.parametrize("place", ["mirror", "upstream"])
def test_a_source_comes_from_the_mirror_or_its_upstream_and_is_kept(
    gnustep: ModuleType, tmp_path: Path, place: str
) -> None:
    mirror = tmp_path / "mirror"
    (mirror / "pool").mkdir(parents=True)
    file = mirror / "pool" / "source.tar.gz" if place == "mirror" else tmp_path / "upstream.tar.gz"
    file.write_bytes(CONTENT)
    kept = gnustep.fetch("source", f"{mirror.as_uri()}/")
    assert kept.read_bytes() == CONTENT
    assert [path.name for path in kept.parent.iterdir()] == ["source-1.0.tar.gz"]

    file.unlink()
    assert gnustep.fetch("source", None) == kept


def test_a_source_of_another_content_is_refused_with_its_address(gnustep: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "upstream.tar.gz").write_bytes(b"another source")
    with pytest.raises(gnustep.BuildError) as caught:
        gnustep.fetch("source", tmp_path.as_uri())
    told = str(caught.value)
    assert f"Put it there as {tmp_path}/downloads/source-1.0.tar.gz." in told
    assert f"upstream.tar.gz: its checksum is not {hashlib.sha256(CONTENT).hexdigest()}" in told
    assert f"{tmp_path.as_uri()}/pool/source.tar.gz: " in told
    assert list((tmp_path / "downloads").iterdir()) == []


def test_a_kept_source_that_was_changed_is_fetched_again(gnustep: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "upstream.tar.gz").write_bytes(CONTENT)
    gnustep.fetch("source", None).write_bytes(b"cut")
    assert gnustep.fetch("source", None).read_bytes() == CONTENT


def test_the_sources_are_named_with_checksums_and_are_not_in_the_repository() -> None:
    for name, source in load("gnustep/build").sources().items():
        assert re.fullmatch(r"[0-9a-f]{64}", source["sha256"])
        assert f"{name}-{source['version']}.tar.gz" in source["upstream"]
    files = {file.name for file in (NATIVE / "gnustep").iterdir() if file.is_file()}
    assert files == {"build.py", "build_in_root.sh", "sources.json", "utf8.patch"}


def test_the_mirror_is_that_of_this_host_s_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "apt-get"
    lines = ["Canonical Ubuntu http://u/ubuntu", "Debian Debian-Security http://s/sec", "Debian Debian http://d/debian"]
    program.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    module = load("gnustep/build")
    assert module.configured_mirror() == "http://d/debian"
    program.write_text(f"#!/bin/sh\necho '{lines[0]}'\n")
    assert module.configured_mirror() is None
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert module.configured_mirror() is None


# ---- What is built ----


def test_what_the_recipe_says_is_built_anew_when_it_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = load("gnustep/build")
    for file in (NATIVE / "gnustep").iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    recipe = module.recipe()
    output = tmp_path / "output"
    output.mkdir()
    (output / "recipe").write_text(recipe)
    # Nothing is fetched nor made: there is no mirror here.
    assert module.build(output, "file:///nowhere") is False

    (tmp_path / "another.patch").write_text("--- a\n+++ b\n")
    assert module.recipe() != recipe


def test_the_library_looks_for_the_runtime_under_the_name_that_it_is_given() -> None:
    modules = (NATIVE / "linux" / "runtime" / "modules.c").read_text(encoding="utf-8")
    assert f'#define RUNTIME_NAME(name) "{load("gnustep/build").PREFIX}" name' in modules


def test_a_folder_that_is_no_gnustep_for_wheels_is_refused_in_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "setup.py", "--quiet", "build", "--build-base", str(tmp_path)]
    environment = {**os.environ, "APPLEVZ_GNUSTEP": str(tmp_path / "of mine")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    sentence = done.stderr.strip().splitlines()[-1]
    assert sentence.startswith(f"APPLEVZ_GNUSTEP is '{tmp_path}/of mine', where no GNUstep for wheels is: ")
    assert f"`python native/gnustep/build.py --output '{tmp_path}/of mine'` makes one." in sentence
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("macos", [False, True])
def test_a_wheel_is_looked_at_by_what_knows_the_system(macos: bool) -> None:
    words = load("wheels").repair_command(Path("/a/b.whl"), Path("/c"), macos, "manylinux_2_31_x86_64")
    assert words[0] == ("delocate-wheel" if macos else "auditwheel")
    assert {"--wheel-dir", "/c", "/a/b.whl"} <= set(words)


# ---- The version ----


def test_the_version_stands_in_one_place() -> None:
    version = re.escape(applevz.__version__)
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no clone")
    named = [
        name
        for name in listed.stdout.splitlines()
        if name.endswith((".py", ".toml", ".c", ".h", ".m", "Makefile"))
        and (ROOT / name).is_file()
        and re.search(rf'version\w*"?\s*[:=]\s*"{version}"', (ROOT / name).read_text(encoding="utf-8"), re.IGNORECASE)
    ]
    assert named == ["src/applevz/__init__.py"]
