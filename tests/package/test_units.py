# SPDX-License-Identifier: Apache-2.0
"""The files of a folder are compiled as one: what the compiler would not say of that."""

from __future__ import annotations

import collections
import re
from pathlib import Path

import pytest

from native_programs import load_toolchain
from places import NATIVE

toolchain = load_toolchain()
# A variable of a file, of any type, that is given no value: two of one name would be one variable (C11, 6.9.2).
TENTATIVE = re.compile(r"^static (?!const\b)[^=(){}]*?\b(?P<name>\w+)(?:\[[^\]]*\])?;", re.MULTILINE)
SOURCES = [
    *toolchain.sources_in(NATIVE / "bridge"),
    *toolchain.Toolchain.linux_sources(*toolchain.LINUX_PARTS, "Foundation", "programs"),
]


def shared_variables(files: dict[Path, str]) -> list[str]:
    """The variables of a unit that two of its files would share."""
    found = collections.Counter(
        (toolchain.unit_of(file), name) for file, text in files.items() for name in set(TENTATIVE.findall(text))
    )
    return [f"{unit}: {name}" for (unit, name), count in found.items() if count > 1]


def test_no_two_files_of_a_unit_share_a_variable() -> None:
    files = {file: file.read_text(encoding="utf-8") for file in SOURCES if file.suffix == ".m"}
    assert len(files) > 150
    assert any(TENTATIVE.search(text) for text in files.values())
    assert shared_variables(files) == []


@pytest.mark.parametrize(
    "variable", ["static int count;", "static NSMutableArray<NSString *> *count;", "static char count[4];"]
)
def test_a_shared_variable_would_be_seen(variable: str) -> None:
    folder = NATIVE / "bridge" / "machine"
    assert shared_variables(dict.fromkeys((folder / "a.m", folder / "b.m"), variable)) == ["bridge-machine: count"]
    assert shared_variables({folder / "a.m": variable, NATIVE / "bridge" / "guest" / "b.m": variable}) == []


def test_each_file_is_in_one_unit_and_a_unit_that_did_not_change_stays_as_old_as_it_is(tmp_path: Path) -> None:
    files = toolchain.unite(SOURCES, tmp_path)
    units = [Path(file) for file in files if Path(file).parent == tmp_path]
    imported = [name for unit in units for name in re.findall(r'^#import "(.*)"$', unit.read_text(), re.MULTILINE)]
    assert sorted([*imported, *(file for file in files if file.endswith(".c"))]) == sorted(map(str, SOURCES))
    assert len(units) < 40

    times = {unit: unit.stat().st_mtime_ns for unit in units}
    left_out = next(file for file in SOURCES if file.name == "machine_states.m")
    toolchain.unite([file for file in SOURCES if file != left_out], tmp_path)
    changed = [unit.stem for unit, time in times.items() if unit.stat().st_mtime_ns != time]
    assert changed == [toolchain.unit_of(left_out)]
