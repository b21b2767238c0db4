# SPDX-License-Identifier: Apache-2.0
"""What the pages say is tried: code is run as it is printed, links lead somewhere, files that are named are there."""

from __future__ import annotations

import ast
import fnmatch
import os
import re
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from io import IOBase
from pathlib import Path
from socket import socket
from typing import Any

import pytest

import applevz
import pages
from guest_machine import PATIENCE
from pages import PAGES, Block
from places import ROOT

README = ROOT / "README.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
LONGEST_README = 150

# What the examples of a page print, where that is known.
PRINTED = {
    "README.md": r"\d+\.\d+\..*\n\n",
    "consoles.md": r"\d+\.\d+\..*\n\nready\n\n/dev/pts/\d+\n",
    "errors.md": r"(?s).*/no-such-kernel\nVZErrorDomain 2 .*no-such-kernel.*",
    "events.md": r"(?s)1 STATE_CHANGED STARTING by START.*STATE_CHANGED STOPPED by STOP \n",
    "asyncio.md": r"1 STATE_CHANGED STARTING\n2 STATE_CHANGED RUNNING\n",
}


def name_of(page: Path) -> str:
    return page.name


def python_pages() -> list[Path]:
    return [page for page in PAGES if pages.blocks(page, "python")]


def programs_of(page: Path) -> list[Block]:
    return [block for block in pages.blocks(page, "python") if not block.reason]


def first_configuration() -> str:
    """What every other page goes on from."""
    return pages.blocks(README, "python")[0].code.partition("with VirtualMachine")[0]


@pytest.fixture
def names(guest_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What a reader has who tries the blocks in a folder with the guest: what the package exports, and the
    configuration of the first program."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "guest").symlink_to(guest_files)
    for name in ("vmlinuz", "initrd.cpio.gz"):
        (tmp_path / name).symlink_to(guest_files / name)
    names = {name: getattr(applevz, name) for name in applevz.__all__}  # type: ignore[attr-defined]
    exec(first_configuration(), names)  # noqa: S102
    yield names
    for value in names.values():
        if isinstance(value, (socket, IOBase)):
            value.close()


def run(block: Block, names: dict[str, Any]) -> None:
    """Runs a block; its waits are those of an emulated guest on a busy host."""
    code = re.sub(r"timeout=[1-9]\d*", f"timeout={PATIENCE}", block.code)
    # A traceback shows the page's lines.
    exec(compile("\n" * block.line + code, str(block.page), "exec"), names)  # noqa: S102


# ---- Code ----


@pytest.mark.parametrize("page", [page for page in python_pages() if programs_of(page)], ids=name_of)
def test_the_examples_of_a_page_run_in_their_order(
    page: Path, names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    ran = 0
    for block in programs_of(page):
        if not block.needs or getattr(applevz.capabilities, block.needs):
            run(block, names)
            ran += 1
    if not ran:
        pytest.skip("the host has no capability for any of them")
    printed = capsys.readouterr().out
    assert re.fullmatch(PRINTED.get(page.name, r"(?s).*"), printed), printed


def test_the_examples_of_all_pages_are_right_by_the_type_checker(tmp_path: Path) -> None:
    for page in python_pages():
        code = "\n".join(block.code for block in pages.blocks(page, "python"))
        own = {
            alias.asname or alias.name
            for node in ast.walk(ast.parse(code))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for alias in node.names
        }
        given = ", ".join(name for name in applevz.__all__ if name not in own)  # type: ignore[attr-defined]
        program = f"from applevz import {given}\n"
        if page != README:
            program += "configuration: VirtualMachineConfiguration\nmachine: VirtualMachine\n"
        if "VirtualMachine" in own:
            program = program.replace("machine: VirtualMachine\n", "")
        # Not by the page's name, which may be that of a module.
        (tmp_path / f"page_{page.stem.replace('-', '_')}.py").write_text(program + code)
    command = [sys.executable, "-m", "mypy", "--config-file=", "--check-untyped-defs", "--follow-imports=silent"]
    command += ["--ignore-missing-imports", "--cache-dir", str(ROOT / "build" / "tests" / "mypy"), str(tmp_path)]
    environment = {**os.environ, "MYPYPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_block_is_tried_or_says_why_not(page: Path) -> None:
    for block in pages.blocks(page):
        assert block.language in ("python", "sh"), block.place
        assert block.marker == "" or block.needs or block.reason, f"{block.place}: {block.marker}"
        if block.needs:
            assert isinstance(getattr(applevz.capabilities, block.needs), applevz.Capability), block.place
        if block.language == "sh" and block.page != README:
            assert block.reason, block.place


SHELL = [block for page in PAGES for block in pages.blocks(page, "sh")]


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.place)
def test_what_a_shell_is_told_makes_sense(block: Block) -> None:
    subprocess.run(["sh", "-n", "-c", block.code], check=True)
    for line in block.code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["make"]:
            done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        for word in words:
            if re.match(r"(bench|docs|guest|native|src|tests|tools)/", word):
                assert list(ROOT.glob(word.partition("::")[0])), f"{block.place}: {word} is not there"


def test_the_package_is_installed_as_printed(tmp_path: Path) -> None:
    (block,) = (block for block in pages.blocks(README, "sh") if block.heading == "Install")
    for line in block.code.splitlines():
        # The Python that the tests run with; and from another folder, in which nothing is found but what was installed.
        words = line.replace("python3", sys.executable).replace("install .", f"install --quiet {ROOT}").split()
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    program = "import applevz; print(applevz.__file__, bool(applevz.capabilities.virtualization))"
    told = subprocess.check_output(["environment/bin/python", "-c", program], cwd=tmp_path, text=True)
    assert told.startswith(str(tmp_path / "environment"))
    assert told.endswith(" True\n")


# ---- Links and names ----


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= LONGEST_README


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in pages.links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}, which is not there"
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in pages.anchors(target), f"{page.name} links to {link}: there is no such heading"


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    new = {README}
    while new:
        reached |= new
        links = {(page.parent / link.partition("#")[0]).resolve() for page in new for link in pages.links(page)}
        new = {target for target in links if target.suffix == ".md" and target.exists()} - reached
    assert set(PAGES) <= reached


def files() -> list[Path]:
    """The files of the repository that somebody wrote."""
    left_out = {"build", "__pycache__", "dist"}
    found = []
    for folder, folders, inside in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in left_out and not name.startswith(".")]
        found += [Path(folder, name).relative_to(ROOT) for name in inside]
    return found


def test_every_file_and_every_name_of_the_architecture_is_there() -> None:
    paths = [str(path) for path in files()]
    folders = {f"/{parent}/" for path in paths for parent in Path(path).parents}
    sources = "\n".join(
        (ROOT / path).read_text(encoding="utf-8", errors="replace")
        for path in paths
        if path.endswith((".py", ".pyi", ".h", ".m", ".c"))
    )
    words = set(re.findall(r"\w+", sources))
    named = pages.names(ARCHITECTURE)
    assert len(named) > 100
    for name in named:
        if re.fullmatch(r"[\w+/.-]+\.(py|pyi|h|m|c|md)", name):
            assert fnmatch.filter(paths, f"*/{name}"), f"there is no file {name}"
        elif name.endswith("/"):
            assert fnmatch.filter(folders, f"*/{name}"), f"there is no folder {name}"
        else:
            for word in re.findall(r"[A-Za-z_]\w{3,}", name):
                known = word in words or any(other.startswith(word) for other in words if "…" in name)
                assert known, f"{name}: {word} is in no source file"


def test_every_capability_is_on_its_page() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", pages.text_of(ROOT / "docs" / "capabilities.md"), re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    there = [name for name, value in vars(applevz.Capabilities).items() if isinstance(value, property)]
    assert sorted(listed) == sorted(there)


def test_every_kind_of_event_is_on_its_page() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", pages.text_of(ROOT / "docs" / "events.md"), re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)]
    assert sorted(listed) == sorted(kind.name for kind in applevz.EventKind)


# ---- What is given out ----


def test_what_is_given_out_as_source_has_the_pages(tmp_path: Path) -> None:
    command = [sys.executable, "setup.py", "--quiet", "egg_info", "--egg-base", str(tmp_path)]
    command += ["sdist", "--formats", "tar", "--dist-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("*.tar")
    with tarfile.open(archive) as tar:
        inside = {name.partition("/")[2] for name in tar.getnames()}
        (information,) = (name for name in tar.getnames() if name.count("/") == 1 and name.endswith("/PKG-INFO"))
        member = tar.extractfile(information)
        assert member is not None
        description = member.read().decode()
    assert {str(page.relative_to(ROOT)) for page in PAGES} <= inside
    # An index of packages shows the README alone: a link into the repository would lead to a page that is not there.
    assert "Description-Content-Type: text/markdown" in description
    assert "## A first program" in description
    assert not re.findall(r"\]\((?!https?:)[^)]*\)", description)
