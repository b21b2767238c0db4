# SPDX-License-Identifier: Apache-2.0
"""The pages that a reader has, taken apart: blocks of code, headings, links.

A block of Python is run as it stands. Behind the language its first line may say otherwise:

    ```python needs: sockets           is run if that capability of the host is true
    ```python check: needs a disk      is looked at by the type checker alone, for that reason
    ```sh check: installs packages     is looked at alone: its syntax, the targets of make, the files of the repository

A program of `examples/` is taken into the site's page from its file, and tests/package/test_examples.py runs it:

    ```{literalinclude} ../../examples/kernels.py
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from places import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("**/*.md"))]

_FENCE = re.compile(r"^```(?P<language>[^\s`]*)(?: (?P<marker>[^\n]*))?\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_INCLUDE = re.compile(r"^```\{literalinclude\} (?P<path>\S+)$", re.MULTILINE)
_HEADING = re.compile(r"^#+ (?P<heading>.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]+\]\((?P<target>[^)\s]+)\)")

# In place of a language: the block is a file.
INCLUDED = "{literalinclude}"


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    heading: str
    language: str
    marker: str
    code: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def needs(self) -> str:
        """The capability without which it is not run; "" for none."""
        return self.marker.removeprefix("needs: ") if self.marker.startswith("needs: ") else ""

    @property
    def reason(self) -> str:
        """Why it is not run; "" if it is."""
        return self.marker.removeprefix("check: ") if self.marker.startswith("check: ") else ""


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _without_blocks(text: str) -> str:
    """The text with empty lines in place of each block of code, and without code in a line."""
    text = _FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)
    return re.sub(r"^    .*$", "", text, flags=re.MULTILINE)


def blocks(page: Path, language: str = "") -> list[Block]:
    text = text_of(page)
    found = []
    for part in _FENCE.finditer(text):
        before = text[: part.start()]
        headings = _HEADING.findall(_without_blocks(before))
        block = Block(
            page,
            before.count("\n") + 1,
            headings[-1] if headings else "",
            part["language"],
            part["marker"] or "",
            part["code"],
        )
        found.append(block)
    found = [block for block in found if block.language != INCLUDED]
    return [block for block in found if not language or block.language == language]


def included(page: Path) -> list[Path]:
    """The files that the page shows in place of blocks of its own."""
    return [(page.parent / found["path"]).resolve() for found in _INCLUDE.finditer(text_of(page))]


def anchors(page: Path) -> set[str]:
    """The anchors that the headings get where such pages are shown."""
    found: set[str] = set()
    for heading in _HEADING.findall(_without_blocks(text_of(page))):
        words = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", words.lower()).strip().replace(" ", "-")
        number = 0
        while (name := anchor if number == 0 else f"{anchor}-{number}") in found:
            number += 1
        found.add(name)
    return found


def links(page: Path) -> list[str]:
    """What the page links to within the repository: a path from its folder, an anchor, or both."""
    text = re.sub(r"`[^`\n]*`(?!\])", "", _without_blocks(text_of(page)))
    found = [link["target"] for link in _LINK.finditer(text)]
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def names(page: Path) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`\n]+)`", _without_blocks(text_of(page)))
