# SPDX-License-Identifier: Apache-2.0
"""The page for whoever has a Mac, and the workflow for GitHub's: what they say to run can be run as it is said."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from applevz import _check
from applevz._command.commands import APPLEVZ
from places import ROOT

PAGE = ROOT / "docs" / "on-a-mac.md"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def page_blocks() -> list[str]:
    return re.findall(r"^```sh[^\n]*\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def workflow_blocks(workflow: Path) -> list[str]:
    """What its steps run, with a word in the place of each expression."""
    text = re.sub(r"\$\{\{.*?\}\}", "expression", workflow.read_text(encoding="utf-8"))
    steps = re.finditer(r"^( *)(?:- )?run: (?:\|\n((?:\1 +[^\n]*\n|\n)+)|([^\n]+)\n)", text, re.MULTILINE)
    return [step[2] or step[3] for step in steps]


BLOCKS = [*page_blocks(), *(block for workflow in WORKFLOWS for block in workflow_blocks(workflow))]


def commands(block: str) -> list[list[str]]:
    """The words of each line, up to where its output goes."""
    lines = [
        line
        for line in block.replace("\\\n", " ").splitlines()
        if re.search(r"\bmake |-m applevz ", line) and "apt-get install" not in line
    ]
    words = [shlex.split(re.split(r" [|>]+ ", line)[0], comments=True) for line in lines]
    return [line[line.index("make") :] if "make" in line else line for line in words]


def test_the_workflow_and_the_page_have_commands() -> None:
    assert WORKFLOWS
    for blocks in (page_blocks(), workflow_blocks(ROOT / ".github" / "workflows" / "macos.yml")):
        together = "\n".join(blocks)
        assert all(words in together for words in ("make setup", "make sign", "-m applevz check"))


@pytest.mark.parametrize("block", BLOCKS)
def test_what_is_said_to_run_can_be_run(block: str) -> None:
    subprocess.run(["bash", "-n", "-c", block], check=True)
    for words in commands(block):
        if words[0] == "make":
            done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        elif "-m" in words:
            # Raises click.UsageError for what it does not know.
            name, *rest = words[words.index("-m") + 2 :]
            outer = click.Context(APPLEVZ, info_name="applevz")
            inner = APPLEVZ.get_command(outer, name)
            assert inner is not None
            inner.make_context(name, rest, parent=outer)


def test_the_page_names_every_item_of_the_list() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [item.name for item in _check.all_items()]
