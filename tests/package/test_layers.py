# SPDX-License-Identifier: Apache-2.0
"""Which folder may import from which: the layers that docs/architecture.md draws, read from the imports themselves."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from places import NATIVE, ROOT

VIRTUALIZATION = NATIVE / "linux" / "Virtualization"

# From the lowest to the highest. A file imports from its own layer and from those before it. The folders of one layer
# may import from each other.
CLASSES = (
    ("include",),
    ("support",),
    ("host",),
    ("QEMU/program",),
    ("configuration",),
    (
        *("QEMU/boot", "QEMU/command_line", "QEMU/display", "QEMU/network", "QEMU/process", "QEMU/saved_states"),
        *("QEMU/sharing", "QEMU/storage"),
    ),
    ("machine", "devices"),
)
BRIDGE = (
    ("boundary",),
    ("waiting",),
    ("guest",),
    ("configuration",),
    ("machine",),
    ("devices", "capabilities.m", "log.m"),
)
# What lies below the bridge and the classes knows nothing of either.
PARTS = (
    ("native/messages", ("native/bridge", "native/linux/Virtualization")),
    ("native/linux/runtime", ("native/bridge", "native/messages", "native/linux/Virtualization")),
    ("native/linux/dispatch", ("native/bridge", "native/messages", "native/linux/Virtualization")),
    ("native/linux/Security", ("native/bridge", "native/messages", "native/linux/Virtualization")),
    ("native/linux/CoreFoundation", ("native/bridge", "native/messages", "native/linux/Virtualization")),
    ("native/linux/Virtualization", ("native/bridge",)),
    ("native/bridge", ("native/linux",)),
)


def imports(file: Path, folders: Sequence[Path]) -> Iterator[Path]:
    """The files of ours that a file imports by a name in quotation marks. One in brackets is a framework's."""
    for line in re.finditer(r'^\s*#\s*(?:import|include)\s+"([^"]+)"', file.read_text(encoding="utf-8"), re.M):
        for folder in (file.parent, *folders):
            if (folder / line[1]).is_file():
                yield (folder / line[1]).resolve()
                break


def sources(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.rglob("*")) if file.suffix in (".h", ".m", ".c")]


def layer_of(file: Path, root: Path, layers: Sequence[Sequence[str]]) -> int:
    name = file.relative_to(root).as_posix()
    found = [n for n, folders in enumerate(layers) if any(f"{name}/".startswith(f"{folder}/") for folder in folders)]
    assert len(found) == 1, f"{name} lies in {len(found)} layers: name its folder in this file"
    return found[0]


def upward(root: Path, layers: Sequence[Sequence[str]], folders: Sequence[Path]) -> list[str]:
    """The imports that go from a layer to one above it."""
    wrong = []
    for file in sources(root):
        layer = layer_of(file, root, layers)
        wrong += [
            f"{file.relative_to(root)} imports {imported.relative_to(root)}"
            for imported in imports(file, folders)
            if imported.is_relative_to(root) and layer_of(imported, root, layers) > layer
        ]
    return wrong


def test_the_classes_import_downwards_alone() -> None:
    assert upward(VIRTUALIZATION, CLASSES, [VIRTUALIZATION]) == []


def test_the_bridge_imports_downwards_alone() -> None:
    assert upward(NATIVE / "bridge", BRIDGE, [NATIVE / "bridge"]) == []


@pytest.mark.parametrize(("part", "others"), PARTS, ids=[part for part, _ in PARTS])
def test_a_part_knows_nothing_of_those_above_it(part: str, others: tuple[str, ...]) -> None:
    folders = [NATIVE / "include", NATIVE / "bridge", NATIVE / "messages", NATIVE / "linux", VIRTUALIZATION]
    wrong = [
        f"{file.relative_to(ROOT)} imports {imported.relative_to(ROOT)}"
        for file in sources(ROOT / part)
        for imported in imports(file, folders)
        if any(imported.is_relative_to(ROOT / other) for other in others)
    ]
    assert wrong == []


def test_an_import_upwards_is_seen(tmp_path: Path) -> None:
    copy = tmp_path / "Virtualization"
    shutil.copytree(VIRTUALIZATION, copy)
    file = copy / "configuration" / "boot" / "VZLinuxBootLoader.m"
    file.write_text(f'#import "machine/VZVirtualMachine+Private.h"\n{file.read_text(encoding="utf-8")}')
    assert upward(copy, CLASSES, [copy]) == [
        "configuration/boot/VZLinuxBootLoader.m imports machine/VZVirtualMachine+Private.h"
    ]


def test_no_folder_of_sources_is_too_full_to_be_looked_through() -> None:
    # Apple's headers are one folder there, too.
    parts = (NATIVE, *(ROOT / name for name in ("bench", "guest", "src", "tests")))
    folders = {file.parent for part in parts for file in part.rglob("*") if file.is_file()}
    full = {
        folder.relative_to(ROOT).as_posix(): count
        for folder in folders
        if "__pycache__" not in folder.parts and (count := sum(1 for _ in folder.iterdir())) > 42
    }
    full.pop("native/linux/Virtualization/include/Virtualization", None)
    assert full == {}


PACKAGE = ROOT / "src" / "applevz"


def module_name(file: Path) -> str:
    parts = ("applevz", *file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


class Imports(ast.NodeVisitor):
    """The modules of the package that a module imports, wherever it does; but for what checkers of types alone see."""

    def __init__(self, file: Path, modules: Collection[str]) -> None:
        name = module_name(file)
        self.package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
        self.modules = modules
        self.found: set[str] = set()
        self.visit(ast.parse(file.read_text(encoding="utf-8")))

    def visit_If(self, node: ast.If) -> None:
        for part in node.orelse if ast.unparse(node.test) == "TYPE_CHECKING" else [*node.body, *node.orelse]:
            self.visit(part)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level:
            base = ".".join([*self.package[: len(self.package) - node.level + 1], *filter(None, [node.module])])
            names = {f"{base}.{name.name}" for name in node.names}
            self.found |= names & set(self.modules) or {base}


def circle(graph: Mapping[str, Collection[str]]) -> list[str]:
    """Modules of which each imports the next, and the last the first; none if there are no such ones."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return path[path.index(name) :]
        if name not in done:
            for other in sorted(graph.get(name, ())):
                if found := walk(other, [*path, name]):
                    return found
            done.add(name)
        return []

    return next(filter(None, (walk(name, []) for name in graph)), [])


def module_graph() -> dict[str, set[str]]:
    files = {module_name(file): file for file in PACKAGE.rglob("*.py")}
    # Each module is in the package, and has what that imports at once.
    return {name: Imports(file, files).found - {"applevz"} for name, file in files.items()}


def test_no_modules_import_each_other() -> None:
    assert circle(module_graph()) == []


def test_modules_that_import_each_other_are_seen() -> None:
    graph = module_graph()
    graph["applevz.configuration.consoles"].add("applevz._core.machine")
    assert {"applevz.configuration.consoles", "applevz._core.machine"} <= set(circle(graph))


def test_a_face_is_imported_by_nothing_below_it_and_not_by_the_other_one() -> None:
    faces = ("applevz._blocking", "applevz.aio")
    # What is for tests, and what serves machines to other hosts, uses a machine as a program does.
    programs = ("applevz.testing", "applevz.ray")
    above = {"applevz", "applevz.__main__", *(name for name in module_graph() if name.startswith(programs))}
    wrong = [
        f"{name} imports {other}"
        for name, others in module_graph().items()
        for face in faces
        for other in others
        if f"{other}.".startswith(f"{face}.")
        and not f"{name}.".startswith(f"{face}.")
        and name not in above
        and not name.startswith("applevz._command.")
    ]
    assert wrong == []
