# SPDX-License-Identifier: Apache-2.0
"""The report, in Markdown and as data, without names of users, hosts and home folders."""

from __future__ import annotations

import os
import pwd
import re
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from .item import Value
from .runner import PREFIX, Outcome

__all__ = ["Private", "as_data", "as_markdown"]

# The version of the data.
FORMAT: Final = 1


class Private:
    """Takes out of text whose host it is: the home folder is `~`, names of users and hosts are `<user>`, `<host>`."""

    def __init__(self) -> None:
        home, names = _user()
        temporary, host = tempfile.gettempdir(), socket.gethostname()
        folders = {os.path.expanduser("~"): "~", home: "~", temporary: "<temporary>"}
        folders |= {os.path.realpath(path): word for path, word in folders.items() if path}
        people = dict.fromkeys(names, "<user>") | dict.fromkeys((host, host.split(".")[0]), "<host>")
        # An item's own folder is all that it has. A file system's root would be found everywhere.
        own = f"(?:/{re.escape(PREFIX)}\\w+)?"
        words = {f"({re.escape(path)}{own})(?![\\w.-])": word for path, word in _longest_first(folders, "", "/")}
        # Everybody's root and localhost are nobody's.
        words |= {
            f"(?<!\\w)({re.escape(name)})(?!\\w)": word
            for name, word in _longest_first(people, "", "root", "localhost")
        }
        self._words = list(words.values())
        self._pattern = re.compile("|".join(words), re.IGNORECASE)

    def text(self, text: str) -> str:
        return self._pattern.sub(lambda match: self._words[match.lastindex - 1], text)  # type: ignore[operator]

    def value(self, value: Value) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(key): self.value(inner) for key, inner in value.items()}
        if isinstance(value, Sequence):
            return [self.value(inner) for inner in value]
        return value


def _longest_first(words: Mapping[str, str], *but: str) -> list[tuple[str, str]]:
    """A folder may be in another one, and a name a part of another one."""
    return sorted(((key, word) for key, word in words.items() if key not in but), key=lambda pair: -len(pair[0]))


def _user() -> tuple[str, set[str]]:
    """Whose process this is: his home folder, and how he is called."""
    names = {os.environ.get("USER", ""), os.environ.get("LOGNAME", "")}
    try:
        entry = pwd.getpwuid(os.getuid())
    except KeyError:
        return "", names
    return entry.pw_dir, names | {entry.pw_name, entry.pw_gecos.split(",")[0]}


def as_data(outcomes: Iterable[Outcome], version: str, private: Private) -> dict[str, Any]:
    """The report as what JSON has."""
    return {
        "format": FORMAT,
        "applevz": version,
        "items": [
            {
                "name": outcome.item.name,
                "title": outcome.item.title,
                "documented": outcome.item.documented,
                "assumed": outcome.item.assumed,
                "outcome": outcome.outcome,
                "detail": private.text(outcome.detail),
                "seconds": round(outcome.seconds, 3),
                "seen": [{"key": private.text(key), "value": private.value(value)} for key, value in outcome.seen],
                "output": private.text(outcome.output),
            }
            for outcome in outcomes
        ],
    }


def as_markdown(report: Mapping[str, Any]) -> str:
    """The same for a person, who can paste it into an issue as it is."""
    items = report["items"]
    lines = [
        f"# applevz {report['applevz']}: what this host does",
        "",
        "| item | outcome | s |",
        "|---|---|---|",
        *(f"| [{item['name']}](#{_anchor(item)}) | {item['outcome']} | {item['seconds']:.1f} |" for item in items),
    ]
    for item in items:
        lines += ["", f"## {item['name']}: {item['title']}", ""]
        lines += [f"Documented: {item['documented']}", "", f"Assumed: {item['assumed']}", ""]
        seen = [line for one in item["seen"] for line in _lines(one["key"], one["value"])]
        if item["outcome"] == "seen":
            lines += ["Seen:"]
        else:
            lines += [f"**{item['outcome'].capitalize()}.** {_first_line(item['detail'])}"]
        if "\n" in item["detail"].strip():
            lines += ["", *_fenced(item["detail"].strip().splitlines())]
        if seen:
            lines += ["", *_fenced(seen)]
        if item["output"].strip():
            lines += ["", "Its process printed:", "", *_fenced(item["output"].strip().splitlines())]
    return "\n".join(lines) + "\n"


def _anchor(item: Mapping[str, Any]) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", f"{item['name']}: {item['title']}".lower()).replace(" ", "-")


def _first_line(text: str) -> str:
    # Of a traceback the last line says what was raised.
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def _fenced(lines: Sequence[str]) -> list[str]:
    longest = max((len(match[0]) for line in lines for match in re.finditer(r"`{3,}", line)), default=2)
    fence = "`" * (longest + 1)
    return [f"{fence}text", *lines, fence]


def _lines(key: str, value: Any, indent: str = "") -> list[str]:
    """A value as indented lines; an error in short, a list of rows as a table."""
    if isinstance(value, Mapping) and "chain" in value:
        return _error_lines(key, value, indent)
    if isinstance(value, Mapping):
        return [f"{indent}{key}:", *_further(value.items(), indent)]
    if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        return [f"{indent}{key}:", *(f"{indent}  {line}" for line in _table(value))]
    if isinstance(value, list) and any(isinstance(inner, (Mapping, list)) or len(str(inner)) > 60 for inner in value):
        return [f"{indent}{key}:", *_further((("-", inner) for inner in value), indent)]
    words = ", ".join(map(_shown, value)) or "none" if isinstance(value, list) else _shown(value)
    first, *rest = words.splitlines() or [""]
    return [f"{indent}{key}: {first}".rstrip(), *(f"{indent}  {line}" for line in rest)]


def _further(pairs: Iterable[tuple[str, Any]], indent: str) -> Iterator[str]:
    for key, value in pairs:
        yield from _lines(key, value, f"{indent}  ")


def _error_lines(key: str, error: Mapping[str, Any], indent: str) -> list[str]:
    """An issue takes 65536 characters: what says the same twice is said once."""
    number = f"; errno {error['errno']}" if "errno" in error else ""
    lines = [f"{indent}{key}: {', '.join(error.get('exception', []))}{number}".rstrip()]
    for link in error["chain"]:
        told = ""
        for text in (link["description"], link["reason"], link["suggestion"]):
            told += f" {text}" if text and text not in told else ""
        keys = ", ".join(link["keys"]) or "nothing"
        lines += [f"{indent}  {link['domain']} {link['code']}:{told}", f"{indent}    has {keys}"]
    return lines


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns, *([_cell(row.get(name, "")) for name in columns] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
