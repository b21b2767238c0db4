# SPDX-License-Identifier: Apache-2.0
"""Items about Pythons: what runs when they are called, and what a signature does to each kind."""

from __future__ import annotations

import glob
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from .._host import signing
from .item import Item, Options, Seen, Value
from .programs import QUESTION, ask, sign, signature

__all__ = ["ITEMS"]

_VIRTUALIZATION: Final = "com.apple.security.virtualization"
_NETWORKING: Final = "com.apple.vm.networking"

# Where each kind is on a Mac, and some of them elsewhere.
_PLACES: Final = {
    "the command line tools'": "/Library/Developer/CommandLineTools/usr/bin/python3",
    "Xcode's": "/Applications/Xcode*.app/Contents/Developer/usr/bin/python3",
    "python.org's": "/Library/Frameworks/Python*.framework/Versions/*/bin/python3",
    "Homebrew's on Apple silicon": "/opt/homebrew/opt/python@3.*/bin/python3.*[0-9]",
    "Homebrew's on Intel": "/usr/local/opt/python@3.*/bin/python3.*[0-9]",
    "MacPorts'": "/opt/local/Library/Frameworks/Python.framework/Versions/*/bin/python3",
    "pyenv's": "~/.pyenv/versions/*/bin/python3",
    "uv's": "~/.local/share/uv/python/*/bin/python3",
    "conda's": "~/*conda*/bin/python3",
    "miniforge's": "~/miniforge*/bin/python3",
    "GitHub's": "~/hostedtoolcache/Python/*/*/bin/python3",
    "on PATH": "",
}
# So many are looked at: who has more has them twice.
_MOST: Final = 16


def _says(python: str) -> dict[str, Value] | None:
    """What a Python says of itself; None where it cannot be run."""
    status, words, _ = ask(python, "-c", QUESTION)
    with suppress(ValueError):
        said = json.loads(words) if status == 0 else None
        return said if isinstance(said, dict) else None
    return None


def _python(seen: Seen, options: Options) -> None:
    said = _says(sys.executable)
    if said is None:
        seen("this Python", "It does not say what it is.")
        return
    for key, value in said.items():
        seen(key, value)
    seen("virtual environment", said["prefix"] != said["base prefix"])
    seen("what `make sign` would sign", str(signing.running_executable()))
    seen("what runs, as far as files tell", str(signing.executable_of(Path(sys.executable))))
    for key, value in (signature(str(said["runs"])) or {"signature": "There is no codesign here."}).items():
        seen(key, value)


def _candidates() -> Iterator[tuple[str, str]]:
    yield "this one", sys.executable
    for kind, pattern in _PLACES.items():
        for name in sorted(glob.glob(os.path.expanduser(pattern))):
            yield kind, name
    # /usr/bin/python3 asks for the tools to be installed, in a window, where they are not.
    names = ["python3", *(f"python3.{minor}" for minor in range(9, 16))]
    for name in names:
        found = shutil.which(name)
        if found and (not found.startswith("/usr/bin/") or not shutil.which("xcode-select")):
            yield "on PATH", found


def _pythons(seen: Seen, options: Options) -> None:
    looked_at: set[str] = set()
    for kind, python in _candidates():
        said = _says(python)
        if said is None:
            continue  # one that was not chosen, of those that share a name
        runs = str(said["runs"])
        if runs in looked_at or len(looked_at) == _MOST:
            continue
        looked_at.add(runs)
        told = {key: said[key] for key in ("version", "built for", "framework", "runs")}
        value: dict[str, Value] = {"called": python, **told}
        signed = signature(runs)
        if signed is None:
            seen(kind, {**value, "signature": "There is no codesign here."})
            continue
        value |= signed
        for name in (_VIRTUALIZATION, _NETWORKING):
            folder = options.path(f"{len(looked_at)}")
            value[f"a copy with {name}"] = _copy(runs, str(said["base prefix"]), name, folder)
        seen(kind, value)


def _copy(runs: str, prefix: str, name: str, folder: Path) -> Value:
    """What becomes of a copy of a program that is signed ad hoc with an entitlement."""
    folder.mkdir(exist_ok=True)
    copy = folder / "python"
    try:
        shutil.copyfile(runs, copy)
    except OSError as error:
        return f"It cannot be copied: {error.strerror}."
    copy.chmod(0o700)
    done, words = sign(copy, [name])
    if not done:
        return {"codesign": words[-500:]}
    # Where its library and its modules are: it looks for them beside itself.
    environment = {**os.environ, "PYTHONHOME": prefix, "DYLD_LIBRARY_PATH": f"{prefix}/lib"}
    status, printed, words = ask(str(copy), "-c", "print('it runs')", environment=environment)
    if printed.strip() == "it runs":
        return "It is signed, and runs."
    if status is None:
        ended = "cannot be run"
    else:
        ended = f"is killed by signal {-status}" if status < 0 else f"ends with {status}"
    return {"it": f"It is signed, and {ended}.", "words": words.strip()[-500:]}


ITEMS: Final = (
    Item(
        "python",
        "This Python, and what really runs",
        "A framework build's `python3` starts another program, in Python.app. The entitlement counts of what runs.",
        "What runs can be found, and is what has to be signed.",
        _python,
    ),
    Item(
        "pythons",
        "The signature of each kind of Python",
        "An ad hoc signature may have com.apple.security.virtualization. com.apple.vm.networking is given out by "
        "Apple; what happens to a program that was signed with it ad hoc is not documented.",
        "A Python can be signed again by its owner. Copies are signed here, and nothing of the host's is changed.",
        _pythons,
        seconds=240.0,
    ),
)
