# SPDX-License-Identifier: Apache-2.0
"""Which file `make sign` signs: on Macs that are played by folders, links and stubs, with a codesign of the test's."""

from __future__ import annotations

import ctypes
import json
import os
import plistlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from applevz._host import signing
from places import ROOT

SIGNING = ROOT / "src" / "applevz" / "_host" / "signing.py"
ENTITLEMENTS = SIGNING.with_name("entitlements.plist")
COMMAND = ["--sign", "-", "--force", "--entitlements", str(ENTITLEMENTS)]
FRAMEWORK = "Python.framework/Versions/3.13"
XCODES = "Applications/Xcode.app/Contents/Developer/Library/Frameworks/Python3.framework/Versions/3.9"
APP = f"{FRAMEWORK}/Resources/Python.app/Contents/MacOS/Python"

# Does what codesign does with the file $APPLE's and $ENTITLED names, and writes down what it is asked.
CODESIGN = """\
#!{python} -I
import json, os, subprocess, sys
words = sys.argv[1:]
path = words[-1]
with open(os.environ["CALLS"], "a") as calls:
    print(json.dumps(words), file=calls)
played = json.loads(os.environ["CODESIGN"])
if "--verify" in words:
    sys.exit(0 if path in played.get("apples", []) else 3)
if "--display" in words:
    if path not in played.get("entitlements", {{}}):
        print(path + ": code object is not signed at all", file=sys.stderr)
        sys.exit(1)
    print(played["entitlements"][path])
    sys.exit(0)
if "refusal" in played:
    print(played["refusal"], file=sys.stderr)
    sys.exit(1)
if "spoiled" in played:
    temporary = path + ".cstemp"
    with open(temporary, "w") as file:
        print("#!/bin/sh", "kill -KILL $$", sep="\\n", file=file)
    os.chmod(temporary, 0o755)
    os.replace(temporary, path)
"""


class Mac:
    """A folder with Pythons in it. Those that run are copies of this one."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.calls_file = folder / "calls"
        self.environment = {**os.environ, "CALLS": str(self.calls_file), "CODESIGN": "{}"}
        self.environment["PATH"] = f"{folder / 'tools'}:{os.environ['PATH']}"
        self.file("tools/codesign", CODESIGN.format(python=sys.executable))
        for name in ("CALLS", "CODESIGN", "PATH"):
            monkeypatch.setenv(name, self.environment[name])
        self._monkeypatch = monkeypatch

    def play(self, **codesign: object) -> None:
        self.environment["CODESIGN"] = json.dumps(codesign)
        self._monkeypatch.setenv("CODESIGN", self.environment["CODESIGN"])

    def file(self, name: str, text: str = "") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def link(self, name: str, target: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        return path

    def python(self, name: str) -> Path:
        """One that runs, and is no link."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(sys.executable).resolve(), path)
        return path

    def calls(self) -> list[list[str]]:
        lines = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        return [json.loads(line) for line in lines]

    def signed(self) -> list[str]:
        """What was signed, by calls that are otherwise as they should be."""
        calls = [call for call in self.calls() if "--sign" in call]
        assert all(call[:-1] == COMMAND for call in calls)
        return [call[-1] for call in calls]

    def run(self, interpreter: Path) -> subprocess.CompletedProcess[str]:
        """As `make sign` does."""
        command = [str(interpreter), "-I", str(SIGNING)]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mac:
    return Mac(tmp_path, monkeypatch)


# ---- The file that is signed with ----


def test_the_entitlements_are_the_one_and_nothing_that_macos_reads_otherwise() -> None:
    text = ENTITLEMENTS.read_text(encoding="ascii")
    assert plistlib.loads(text.encode()) == {"com.apple.security.virtualization": True}
    assert "<!--" not in text


def test_a_wheel_and_a_source_distribution_bring_them(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("*.so", "*.egg-info", "__pycache__"))
    (source / "native").mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "MANIFEST.in", "native/oldest_python.py"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-W", "ignore", "setup.py", "--quiet", "egg_info", "build_py", "--build-lib", "built"]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    sources = (source / "build" / "metadata" / "applevz.egg-info" / "SOURCES.txt").read_text().splitlines()
    assert "src/applevz/_host/entitlements.plist" in sources
    assert (source / "built" / "applevz" / "_host" / "entitlements.plist").read_bytes() == ENTITLEMENTS.read_bytes()


# ---- What runs, as files tell ----


def homebrew(mac: Mac) -> Path:
    mac.file(f"opt/homebrew/Cellar/python@3.13/3.13.1/Frameworks/{APP}")
    mac.file(f"opt/homebrew/Cellar/python@3.13/3.13.1/Frameworks/{FRAMEWORK}/bin/python3.13")
    mac.link("opt/homebrew/Cellar/python@3.13/3.13.1/bin/python3.13", f"../Frameworks/{FRAMEWORK}/bin/python3.13")
    mac.link("opt/homebrew/opt/python@3.13", "../Cellar/python@3.13/3.13.1")
    mac.link("work/.venv/bin/python3.13", f"{mac.folder}/opt/homebrew/opt/python@3.13/bin/python3.13")
    return mac.link("work/.venv/bin/python", "python3.13")


def python_org(mac: Mac) -> Path:
    mac.file(f"Library/Frameworks/{APP}")
    mac.file(f"Library/Frameworks/{FRAMEWORK}/bin/python3.13")
    mac.link(f"Library/Frameworks/{FRAMEWORK}/bin/python3", "python3.13")
    mac.link("Library/Frameworks/Python.framework/Versions/Current", "3.13")
    mac.link("usr/local/bin/python3", "../../../Library/Frameworks/Python.framework/Versions/Current/bin/python3")
    return mac.link("work/.venv/bin/python", f"{mac.folder}/usr/local/bin/python3")


def xcode(mac: Mac) -> Path:
    mac.file(f"{XCODES}/Resources/Python.app/Contents/MacOS/Python")
    return mac.file(f"{XCODES}/bin/python3.9")


def uv(mac: Mac) -> Path:
    mac.file("home/.local/share/uv/python/cpython-3.13.1-macos-aarch64-none/bin/python3.13")
    mac.link("home/.local/share/uv/python/cpython-3.13-macos-aarch64-none", "cpython-3.13.1-macos-aarch64-none")
    interpreter = f"{mac.folder}/home/.local/share/uv/python/cpython-3.13-macos-aarch64-none/bin/python3.13"
    return mac.link("work/.venv/bin/python", interpreter)


def pyenv(mac: Mac) -> Path:
    mac.file("home/.pyenv/versions/3.13.1/bin/python3.13")
    mac.link("home/.pyenv/versions/3.13.1/bin/python", "python3.13")
    return mac.link("work/.venv/bin/python", f"{mac.folder}/home/.pyenv/versions/3.13.1/bin/python")


def copy(mac: Mac) -> Path:
    # Of no framework's Python: what `venv --copies` makes.
    return mac.file("work/.venv/bin/python")


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (homebrew, f"opt/homebrew/Cellar/python@3.13/3.13.1/Frameworks/{APP}"),
        (python_org, f"Library/Frameworks/{APP}"),
        (xcode, f"{XCODES}/Resources/Python.app/Contents/MacOS/Python"),
        (uv, "home/.local/share/uv/python/cpython-3.13.1-macos-aarch64-none/bin/python3.13"),
        (pyenv, "home/.pyenv/versions/3.13.1/bin/python3.13"),
        (copy, "work/.venv/bin/python"),
    ],
)
def test_what_an_interpreter_runs_is_found_by_files(mac: Mac, layout: Callable[[Mac], Path], expected: str) -> None:
    assert signing.executable_of(layout(mac)) == mac.folder / expected


# ---- What runs, as the system tells ----


def test_the_system_s_word_counts_for_more_than_files(mac: Mac, monkeypatch: pytest.MonkeyPatch) -> None:
    # A copy of a framework's stub looks like an interpreter of its own.
    app = mac.file(f"Library/Frameworks/{APP}")
    mac.link("elsewhere", str(app))
    told = os.fsencode(mac.folder / "elsewhere")

    def tell(buffer: object, size: object) -> int:
        # As <mach-o/dyld.h> says: nothing is written where it does not fit, and the size that would do is.
        room = size._obj  # type: ignore[attr-defined]
        if room.value <= len(told):
            room.value = len(told) + 1
            return -1
        buffer.value = told  # type: ignore[attr-defined]
        return 0

    class Library:
        _NSGetExecutablePath = staticmethod(tell)

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library())
    assert signing.running_executable() == app


def test_a_python_without_ctypes_knows_what_it_runs(mac: Mac, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter = homebrew(mac)
    monkeypatch.setitem(sys.modules, "ctypes", None)
    assert signing.running_executable() == Path(sys.executable).resolve()

    # Nor does a Mac have /proc.
    resolve = Path.resolve

    def without_proc(path: Path, strict: bool = False) -> Path:
        if path.is_relative_to("/proc"):
            raise FileNotFoundError(path)
        return resolve(path, strict)

    monkeypatch.setattr(Path, "resolve", without_proc)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    assert signing.running_executable().is_relative_to(mac.folder / "opt/homebrew/Cellar")
    assert signing.running_executable().match(APP)


# What it starts takes the stub for what it runs, as on a Mac.
STUB = """\
#!{python} -I
import os, sys
os.execv({app!r}, sys.argv)
"""


@pytest.mark.parametrize("copies", [False, True])
def test_a_stub_that_starts_another_program_in_its_place_is_not_what_is_signed(mac: Mac, copies: bool) -> None:
    # All that is there is run: the link, the stub behind it or a copy of that, and what that starts.
    app = mac.python(f"Library/Frameworks/{APP}")
    stub = STUB.format(python=sys.executable, app=str(app))
    mac.file(f"Library/Frameworks/{FRAMEWORK}/bin/python3.13", stub)
    if copies:
        interpreter = mac.file("work/bin/python", stub)
    else:
        interpreter = mac.link("work/bin/python", f"{mac.folder}/Library/Frameworks/{FRAMEWORK}/bin/python3.13")

    done = mac.run(interpreter)

    assert (done.returncode, done.stderr) == (0, "")
    assert mac.signed() == [str(app)]
    assert done.stdout.startswith(f"Signed {app} with the entitlement com.apple.security.virtualization.")


@pytest.mark.parametrize("copies", [False, True])
def test_of_a_virtual_environment_that_is_signed_which_it_runs(mac: Mac, copies: bool) -> None:
    real = mac.python("home/.pyenv/versions/3.13.1/bin/python3.13")
    mac.file("work/.venv/pyvenv.cfg", f"home = {Path(sys.base_prefix, 'bin')}\n")
    if copies:
        interpreter = mac.python("work/.venv/bin/python")
    else:
        mac.link("work/.venv/bin/python3", str(real))
        interpreter = mac.link("work/.venv/bin/python", "python3")

    done = mac.run(interpreter)

    assert (done.returncode, done.stderr) == (0, "")
    assert mac.signed() == [str(interpreter if copies else real)]


def test_the_package_has_it_as_a_command(mac: Mac) -> None:
    app = mac.python("work/bin/python")
    mac.environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [str(app), "-m", "applevz", "sign"]
    done = subprocess.run(command, env=mac.environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert mac.signed() == [str(app)]


# ---- What is not signed ----


def refusal(path: Path) -> str:
    with pytest.raises(signing.SigningError) as caught:
        signing.sign(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "place",
    [
        "/usr/bin/python3",
        "/System/Volumes/Preboot/python3",
        "/Library/Developer/CommandLineTools/Library/Frameworks/Python3.framework/Versions/3.9/bin/python3.9",
        "/Applications/Xcode-beta.app/Contents/Developer/usr/bin/python3",
    ],
)
def test_apples_own_python_is_told_by_its_place(mac: Mac, place: str) -> None:
    told = refusal(Path(place))
    assert told.startswith(f"{place} is Apple's own, and nobody else may sign it. Install a Python of your own")
    assert "make sign PYTHON=" in told
    assert mac.calls() == []


def test_apples_own_python_is_told_by_its_signature(mac: Mac) -> None:
    path = mac.file("moved/python3")
    mac.play(apples=[str(path)])
    assert refusal(path).startswith(f"{path} is Apple's own")
    assert mac.calls() == [["--verify", "-R=anchor apple", str(path)]]


def plist(**entitlements: bool) -> str:
    names = {"virtualization": "com.apple.security.virtualization", "other": "com.apple.security.cs.allow-jit"}
    return plistlib.dumps({names[name]: value for name, value in entitlements.items()}).decode()


def test_what_has_the_entitlement_keeps_its_signature(mac: Mac) -> None:
    path = mac.file("python3")
    mac.play(entitlements={str(path): plist(virtualization=True, other=True)})
    assert signing.sign(path) == f"{path} has the entitlement com.apple.security.virtualization already."
    assert mac.signed() == []


OTHERS = [plist(other=True), plist(virtualization=False), plistlib.dumps([]).decode()]


@pytest.mark.parametrize("shown", ["", "<plist", "Executable=/a\n", *OTHERS])
def test_a_signature_without_it_is_replaced(mac: Mac, shown: str) -> None:
    path = mac.python("python3")
    mac.play(entitlements={str(path): shown})
    assert signing.sign(path).startswith(f"Signed {path} ")
    assert mac.signed() == [str(path)]


@pytest.fixture
def unchangeable(mac: Mac, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Has this user lack the right to write there; root has every right to what is there."""

    def set_(path: Path) -> None:
        access = os.access
        monkeypatch.setattr(os, "access", lambda asked, mode: Path(asked) != path and access(asked, mode))

    return set_


def of_environment(monkeypatch: pytest.MonkeyPatch, prefix: Path, executable: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setattr(sys, "base_prefix", "/another")
    monkeypatch.setattr(sys, "executable", str(executable))


@pytest.mark.parametrize("place", [".", "..", "../.."])
def test_a_framework_s_python_that_may_not_be_changed_is_copied(
    mac: Mac, unchangeable: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    # With an environment of copies the same file would be started.
    python_org(mac)
    link = mac.folder / "work/.venv/bin/python"
    inner = mac.link("work/.venv/bin/python3", "python")
    of_environment(monkeypatch, mac.folder / "work/.venv", inner)
    app = mac.folder / "Library/Frameworks" / APP
    unchangeable((app / place).resolve() if place != "." else app)

    told = refusal(app)

    assert told.startswith(f"{app} may not be changed by this user.")
    command = re.search("`(.*)`", told)
    assert command is not None
    assert command[1] == f"rm -f {link} && cp {app} {link}"
    assert mac.signed() == []
    # What is told is what does: from there on that is signed which this user owns.
    app.write_text("the real one")
    subprocess.run(["/bin/sh", "-c", command[1]], check=True)
    assert not link.is_symlink()
    assert signing.executable_of(inner) == link
    assert link.read_text() == "the real one"
    assert (mac.folder / f"Library/Frameworks/{FRAMEWORK}/bin/python3.13").read_text() == ""


def test_another_python_that_may_not_be_changed_is_copied_by_a_new_environment(
    mac: Mac, unchangeable: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = mac.file("opt/python 3/bin/python3.13")
    unchangeable(real)
    of_environment(monkeypatch, mac.folder / "work/.venv", mac.link("work/.venv/bin/python", str(real)))
    environment = mac.folder / "work/.venv"
    command = f"rm -r {environment} && '{real}' -m venv --copies {environment}"
    advice = f"Make the virtual environment anew with a copy of it, `{command}`, and sign again."
    assert refusal(real) == f"{real} may not be changed by this user. {advice}"


def test_outside_of_an_environment_one_is_made(
    mac: Mac, unchangeable: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = mac.file("opt/bin/python3.13")
    unchangeable(real.parent)
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(sys, "executable", str(real))
    assert f"`{real} -m venv --copies .venv`" in refusal(real)
    assert mac.signed() == []


def test_a_system_without_codesign_says_so(mac: Mac) -> None:
    interpreter = mac.python("work/bin/python")
    (mac.folder / "tools" / "codesign").unlink()
    mac.environment["PATH"] = str(mac.folder / "tools")
    done = mac.run(interpreter)
    sentence = "There is no codesign. macOS has it; on another system no program needs to be signed."
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"applevz: {sentence}\n")


# ---- What fails ----


def test_a_codesign_that_fails_is_told_with_its_words(mac: Mac) -> None:
    interpreter = mac.python("work/bin/python")
    mac.play(refusal="a/path: the codesign_allocate helper tool cannot be found or used")
    done = mac.run(interpreter)
    assert done.returncode == 1
    words = "a/path: the codesign_allocate helper tool cannot be found or used"
    assert re.fullmatch(rf"applevz: `codesign --sign - .*` failed with status 1: {words}\n", done.stderr)


def test_a_program_that_macos_ends_once_it_was_signed_is_told(mac: Mac) -> None:
    interpreter = mac.python("work/bin/python")
    mac.play(spoiled=True)
    done = mac.run(interpreter)
    assert done.returncode == 1
    sentence = f"applevz: {interpreter} was signed, and is ended by the signal 9 when it starts."
    assert done.stderr.startswith(sentence)
