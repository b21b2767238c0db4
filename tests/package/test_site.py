# SPDX-License-Identifier: Apache-2.0
"""The site of the pages, as far as it can be seen without building it; `make docs` builds it, and takes no warning."""

from __future__ import annotations

import importlib
import re
import sys

import pytest

import applevz
from places import ROOT

pytest.importorskip("filelock")
pytest.importorskip("platformdirs")


@pytest.fixture(autouse=True)
def website(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "website"))
    for name in ("make_site", "navigation", "reference"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_every_page_has_one_place_in_the_navigation() -> None:
    make_site, navigation, reference = map(importlib.import_module, ("make_site", "navigation", "reference"))
    there = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").glob("**/*.md")}
    there |= {*make_site.OTHER_PAGES.values(), *reference.pages()}
    named = [navigation.FIRST, *(name for names in navigation.GROUPS.values() for name in names)]
    assert sorted(re.sub(r".*<(.*)>", r"\1", name) + ".md" for name in named) == sorted(there)


def test_every_public_name_is_on_one_page_of_the_reference() -> None:
    reference = importlib.import_module("reference")
    directives = re.findall(r"^\.\. auto\w+:: (\S+)$", "\n".join(reference.pages().values()), re.MULTILINE)
    assert len(directives) == len(set(directives))
    own = [name.removeprefix("applevz.") for name in directives if name.count(".") == 1]
    modules = ["images", "ray", "states", "testing"]
    names = [name for name in applevz.__all__ if name != "__version__"]  # type: ignore[attr-defined]
    assert sorted(own) == sorted([*names, *modules])


def test_links_lead_to_where_pages_are_in_the_site() -> None:
    make_site = importlib.import_module("make_site")
    layout = make_site.Layout(ROOT / "build" / "tests" / "pages")
    text = "[a](../README.md#install) [b](images.md) [c](https://example.org/x.md)\n"
    text += "```python check: why\n[d](x.md)\n```\n"
    moved = layout.moved(text, "docs/launching.md", "launching.md")
    assert moved.splitlines() == [
        "[a](overview.md#install) [b](images.md) [c](https://example.org/x.md)",
        "```python check: why",
        "[d](x.md)",
        "```",
    ]
    with pytest.raises(SystemExit, match=r"docs/x\.md links to no-such-file"):
        layout.moved("[a](../no-such-file)", "docs/x.md", "x.md")
