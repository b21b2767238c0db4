# SPDX-License-Identifier: Apache-2.0
"""The Virtualization framework's headers as the SDK of an older macOS has them: without what came later.

`@available` guards what runs; a compiler with an older SDK has never heard of the names. By these headers it is seen,
on a machine with one SDK, whether the bridge compiles with those before it.
"""

from __future__ import annotations

import re
from pathlib import Path

FRAMEWORK = "Virtualization.framework"
VERSION = re.compile(r"\bAPI_AVAILABLE\(\s*macos\(([\d.]+)\)")
# Lines that end no statement and belong to none.
LINES = re.compile(r"^[ \t]*(?:#.*|NS_(?:ASSUME_NONNULL|HEADER_AUDIT)_(?:BEGIN|END)(?:\(.*\))?)[ \t]*$", re.MULTILINE)
CLASS = re.compile(r"^@interface\s+(\w+)\s*:\s*([^\n{]*)", re.MULTILINE)
PROTOCOL = re.compile(r"^@protocol\s+(\w+)\b(?!\s*[;,])", re.MULTILINE)


def introduced(text: str) -> tuple[int, ...]:
    """The macOS that a declaration says it came with; () where it says nothing."""
    versions = [tuple(int(part) for part in found.split(".")) for found in VERSION.findall(text)]
    return max(versions, default=())


def statements(text: str, end: str = ";") -> list[str]:
    """What ends with one of the characters, outside of brackets, and lines of the preprocessor; in their order."""
    found, start, depth, position = [], 0, 0, 0
    while position < len(text):
        line = LINES.match(text, position) if text[start:position].strip() == "" else None
        if line:
            found.append(text[start : line.end()])
            start = position = line.end()
            continue
        depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(text[position], 0)
        position += 1
        if depth == 0 and text[position - 1] in end:
            found.append(text[start:position])
            start = position
    return [*found, text[start:]]


def with_head_lines(text: str) -> str:
    """The text with each class and each protocol named in a line that begins with that, as Apple has it: what lays out
    C may put the attributes into the same line, and the superclass into the next."""
    text = re.sub(r"^(VZ_EXPORT\b[^;\n]*?)[ \t]+(?=@(?:interface|protocol)\b)", r"\1\n", text, flags=re.MULTILINE)
    return re.sub(r"^(@(?:interface|protocol)\s+\w+)[ \t]*\n[ \t]+(?=[:<])", r"\1 ", text, flags=re.MULTILINE)


def declarations(text: str) -> list[str]:
    """The declarations of a header without comments: a class or a protocol with all it has is one."""
    found = []
    rest = with_head_lines(text)
    while block := re.search(r"@(?:interface|protocol)\s+\w+[^;]*?\n.*?@end", rest, re.DOTALL):
        *before, head = statements(rest[: block.start()])
        found += [*before, head + block[0]]
        rest = rest[block.end() :]
    return found + statements(rest)


def without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)


def header(text: str, version: tuple[int, ...]) -> str:
    """A header without what is newer than that version of macOS."""
    return "".join(older(declaration, version) for declaration in declarations(without_comments(text)))


def head(declaration: str) -> str:
    """The line that names a class or a protocol, with what stands before it; empty for anything else."""
    found = re.match(r".*?@(?:interface|protocol)\s+\w+[^;\n]*\n", declaration, re.DOTALL)
    return found[0] if found and declaration.endswith("@end") else ""


def older(declaration: str, version: tuple[int, ...]) -> str:
    """What a declaration was with that version of macOS: empty where it is newer."""
    if start := head(declaration):
        members = statements(declaration[len(start) : -len("@end")])
        kept = "".join(member for member in members if introduced(member) <= version)
        return f"{start}{kept}@end" if introduced(start) <= version else ""
    values = re.search(r"\{(.*)\}", declaration, re.DOTALL)
    if introduced(declaration.replace(values[0], "") if values else declaration) > version:
        return ""
    if not values:
        return declaration
    kept = "".join(value for value in statements(values[1], ",") if introduced(value) <= version)
    return declaration.replace(values[1], kept)


def without_lost(text: str, classes: dict[str, str], protocols: set[str]) -> str:
    """A class does not conform to what is not there, and has what its lost superclass has for one."""

    def head(match: re.Match[str]) -> str:
        declared = match[0]
        for _ in classes:
            declared = re.sub(r"(?<=:\s)\w+", lambda found: classes.get(found[0], found[0]), declared)
        start, _, conformances = declared.partition("<")
        names = dict.fromkeys(name for name in re.findall(r"\w+", conformances) if name not in protocols)
        return start.rstrip() + (f" <{', '.join(names)}>" if names else "")

    return re.sub(r"^@(?:interface|protocol)\s+\w+[^;\n]*$", head, text, flags=re.MULTILINE)


def framework(headers: Path, version: str, folder: Path) -> Path:
    """Writes the headers of a version such as 13.0 as a framework into the folder, for the compiler's -iframework. Who
    imports <Virtualization/Virtualization.h> has an SDK of that version by its __MAC_OS_X_VERSION_MAX_ALLOWED, too."""
    release = tuple(int(part) for part in version.split("."))
    texts = {path.name: with_head_lines(path.read_text(encoding="utf-8")) for path in sorted(headers.glob("*.h"))}
    cut = {name: header(text, release) for name, text in texts.items()}
    whole, left = "\n".join(texts.values()), "\n".join(cut.values())
    classes = dict(CLASS.findall(whole))
    for name, _ in CLASS.findall(left):
        del classes[name]
    protocols = set(PROTOCOL.findall(whole)) - set(PROTOCOL.findall(left))
    target = folder / FRAMEWORK / "Headers"
    target.mkdir(parents=True)
    for name, text in cut.items():
        (target / name).write_text(without_lost(text, classes, protocols), encoding="utf-8")
    # Some SDKs let nobody else say which they are.
    umbrella = target / "Virtualization.h"
    name, number = "__MAC_OS_X_VERSION_MAX_ALLOWED", "{:02}{:02}00".format(*release)
    text = umbrella.read_text(encoding="utf-8")
    umbrella.write_text(f"{text}#undef {name}\n#define {name} {number}\n", encoding="utf-8")
    return folder
