# SPDX-License-Identifier: Apache-2.0
"""Builds the site of the pages: `make docs`. A warning is an error, and so is a link that leads nowhere.

The pages are written for whoever reads them in the repository. Their links are paths from one file to another one, also
to files that are no pages. So the pages are first laid out as the site has them, in build/pages: each link to a page
leads to its place there, a file that is linked to is taken along, and the pages that are made of the sources stand
beside them. Sphinx reads that folder.
"""

from __future__ import annotations

import argparse
import os
import posixpath
import re
import shutil
import subprocess
import sys
from pathlib import Path

import navigation
import reference

ROOT = Path(__file__).resolve().parent.parent
WEBSITE = ROOT / "website"
PAGES = ROOT / "build" / "pages"
SITE = ROOT / "build" / "site"

# The pages outside of docs/, and their names in the site.
OTHER_PAGES = {"README.md": "overview.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}

_FENCE = re.compile(r"^(?P<head>```[^\n]*\n)(?P<code>.*?^```)$", re.MULTILINE | re.DOTALL)
_INCLUDE = re.compile(r"^(```\{literalinclude\}) (\S+)")
_LINK = re.compile(r"(?P<text>\]\()(?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")


class Layout:
    """The folder that Sphinx reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        for name, place in OTHER_PAGES.items():
            self.write(place, self.moved((ROOT / name).read_text(encoding="utf-8"), name, place))
        for page in sorted((ROOT / "docs").glob("**/*")):
            place = page.relative_to(ROOT / "docs").as_posix()
            if page.suffix == ".md":
                self.write(place, self.moved(page.read_text(encoding="utf-8"), f"docs/{place}", place))
            elif page.is_file():
                self.take(page, place)
        for place, text in reference.pages().items():
            self.write(place, text)
        first = self.folder / f"{navigation.FIRST}.md"
        self.write(first.name, first.read_text(encoding="utf-8") + toctrees())

    def write(self, place: str, text: str) -> None:
        file = self.folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def take(self, file: Path, place: str) -> None:
        (self.folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, self.folder / place)

    def moved(self, text: str, name: str, place: str) -> str:
        """A page's text, with its links as they are from its place in the site."""

        def link(found: re.Match[str]) -> str:
            if re.match(r"[a-z]+:", found["target"]):
                return found[0]
            target = self.place_of(posixpath.normpath(posixpath.join(posixpath.dirname(name), found["target"])), name)
            relative = posixpath.relpath(target, posixpath.dirname(place) or ".")
            return f"{found['text']}{relative}{found['anchor'] or ''})"

        def include(found: re.Match[str]) -> str:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), found[2]))
            return f"{found[1]} /{self.place_of(path, name)}"

        parts = []
        end = 0
        for block in _FENCE.finditer(text):
            parts += [_LINK.sub(link, text[end : block.start()]), _INCLUDE.sub(include, block["head"]), block["code"]]
            end = block.end()
        return "".join([*parts, _LINK.sub(link, text[end:])])

    def place_of(self, path: str, name: str) -> str:
        """Where a file of the repository is in the site."""
        if path in OTHER_PAGES:
            return OTHER_PAGES[path]
        if path.startswith("docs/"):
            return path.removeprefix("docs/")
        if not (ROOT / path).is_file():
            raise SystemExit(f"{name} links to {path}, which is no file of the repository.")
        # Shown by a browser, whatever its name ends in.
        place = f"sources/{path}.txt"
        self.take(ROOT / path, place)
        return place


def toctrees() -> str:
    """The navigation, as Sphinx has it from the first page."""
    text = ""
    for caption, names in navigation.GROUPS.items():
        text += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(names) + "\n```\n"
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description="Builds the site of the pages.")
    parser.add_argument("--output", type=Path, default=SITE, help="folder of the site (%(default)s)")
    arguments = parser.parse_args()
    Layout(PAGES).make()
    shutil.rmtree(arguments.output, ignore_errors=True)
    command: list[str | Path] = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    command += ["--conf-dir", WEBSITE, "--doctree-dir", ROOT / "build" / "doctrees", PAGES, arguments.output]
    status = subprocess.run(command, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}).returncode
    if status == 0:
        print(f"The site is {arguments.output / 'index.html'}.")
    return status


if __name__ == "__main__":
    sys.exit(main())
