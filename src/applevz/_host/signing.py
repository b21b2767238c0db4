# SPDX-License-Identifier: Apache-2.0
"""Signs the Python that runs it with the entitlement that virtual machines take on a Mac.

`make sign` runs this file by itself, before anything is built: it imports nothing of the package.

What has to be signed is the file that the process was started from in the end, which is seldom the one that was called:

    .venv/bin/python                       is a link, and so is what a version manager put on PATH;
    …/Python.framework/Versions/3.13/bin/python3.13
                                           of a framework build (python.org, Homebrew) is a stub, which starts
    …/Python.framework/Versions/3.13/Resources/Python.app/Contents/MacOS/Python
                                           in its own place, whatever copy or link of the stub was called.
"""

from __future__ import annotations

import os
import plistlib
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from xml.parsers.expat import ExpatError

ENTITLEMENT = "com.apple.security.virtualization"
# Without a comment in it: macOS, which reads it by a parser of its own, ends a program that was signed with one.
ENTITLEMENTS = Path(__file__).resolve().with_name("entitlements.plist")
PYTHON_APP = Path("Resources", "Python.app", "Contents", "MacOS", "Python")
# Where Apple's own Pythons are. Xcode may have any name.
APPLES_FOLDERS = ("/usr/bin", "/System", "/Library/Developer/CommandLineTools")
XCODES_FOLDER = ("Contents", "Developer")


class SigningError(Exception):
    """Nothing was signed. The message says why, and what would fix it."""


def executable_of(interpreter: Path) -> Path:
    """What an interpreter's file runs, as far as files tell: past all links and the stub of a framework build."""
    real = interpreter.resolve()
    for folder in real.parents:
        if folder.parent.name == "Versions" and (folder / PYTHON_APP).exists():
            return (folder / PYTHON_APP).resolve()
    return real


def running_executable() -> Path:
    """The file that this process runs."""
    try:
        # As the system tells, which knows of stubs that the files do not give away: a copy in an environment, for one.
        import ctypes

        tell = ctypes.CDLL(None)._NSGetExecutablePath
    except (ImportError, OSError, AttributeError):
        try:
            return Path("/proc/self/exe").resolve(strict=True)
        except OSError:
            return executable_of(Path(sys.executable))
    size = ctypes.c_uint32(0)
    tell(None, ctypes.byref(size))
    path = ctypes.create_string_buffer(size.value)
    tell(path, ctypes.byref(size))
    return Path(os.fsdecode(path.value)).resolve()


def _run(*words: str | os.PathLike[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def signing_command(executable: Path, entitled: bool = True) -> list[str]:
    """The words by which the file is signed ad hoc, with the entitlement or without any."""
    entitlements = ["--entitlements", str(ENTITLEMENTS)] if entitled else []
    return ["codesign", "--sign", "-", "--force", *entitlements, str(executable)]


def _is_apples(executable: Path) -> bool:
    if any(executable.is_relative_to(folder) for folder in APPLES_FOLDERS):
        return True
    if any(folder.parts[-2:] == XCODES_FOLDER for folder in executable.parents):
        return True
    return _run("codesign", "--verify", "-R=anchor apple", executable).returncode == 0


def has_entitlement(executable: Path) -> bool:
    shown = _run("codesign", "--display", "--entitlements", "-", "--xml", executable)
    try:
        return bool(plistlib.loads(shown.stdout)[ENTITLEMENT])
    except (plistlib.InvalidFileException, ExpatError, LookupError, TypeError):
        # It has no signature, or one without entitlements.
        return False


def _is_changeable(executable: Path) -> bool:
    """Whether this user may put another file in its place, and beside it what belongs to the signature of an app."""
    places = [executable, executable.parent]
    if executable.parts[-len(PYTHON_APP.parts) :] == PYTHON_APP.parts:
        places.append(executable.parent.parent)
    return all(os.access(place, os.W_OK) for place in places)


def _advice(executable: Path) -> str:
    """How to come to a Python that this user may sign."""
    if sys.prefix == sys.base_prefix:
        interpreter = shlex.quote(sys.executable)
        return f"Make a virtual environment, `{interpreter} -m venv --copies .venv`, and sign by its Python."
    if executable.parts[-len(PYTHON_APP.parts) :] == PYTHON_APP.parts:
        # `venv --copies` copies the stub, which would start the same file again.
        link = Path(sys.executable)
        while link.is_symlink() and not os.path.dirname(os.readlink(link)):
            link = link.with_name(os.readlink(link))
        words = [shlex.quote(str(path)) for path in (link, executable, link)]
        return "Give the virtual environment a copy of it, `rm -f {} && cp {} {}`, and sign again.".format(*words)
    prefix, interpreter = shlex.quote(sys.prefix), shlex.quote(str(executable))
    command = f"rm -r {prefix} && {interpreter} -m venv --copies {prefix}"
    return f"Make the virtual environment anew with a copy of it, `{command}`, and sign again."


def _look_at(executable: Path) -> None:
    """Raises SigningError where nothing can be signed."""
    if not shutil.which("codesign"):
        raise SigningError("There is no codesign. macOS has it; on another system no program needs to be signed.")
    if _is_apples(executable):
        raise SigningError(
            f"{executable} is Apple's own, and nobody else may sign it. Install a Python of your own (from python.org, "
            "by Homebrew, uv or pyenv), and make the virtual environment with that one: `rm -r .venv && make sign "
            "PYTHON=/path/to/python3` in applevz's source."
        )


def _sign(executable: Path, entitled: bool) -> None:
    if not _is_changeable(executable):
        raise SigningError(f"{executable} may not be changed by this user. {_advice(executable)}")
    command = signing_command(executable, entitled)
    signed = _run(*command)
    if signed.returncode != 0:
        words = os.fsdecode(signed.stderr).strip() or "it gave no reason"
        raise SigningError(f"`{shlex.join(command)}` failed with status {signed.returncode}: {words}")
    # macOS ends a program at its start whose signature it does not accept.
    ended = _run(executable, "-c", "").returncode
    if ended < 0:
        raise SigningError(
            f"{executable} was signed, and is ended by the signal {-ended} when it starts. Install this Python anew."
        )


def sign(executable: Path | None = None) -> str:
    """Signs what this process runs, and gives a sentence on what was done. Raises SigningError."""
    executable = executable or running_executable()
    _look_at(executable)
    if has_entitlement(executable):
        return f"{executable} has the entitlement {ENTITLEMENT} already."
    _sign(executable, True)
    return f"Signed {executable} with the entitlement {ENTITLEMENT}. A Python that is updated has to be signed again."


def unsign(executable: Path | None = None) -> str:
    """Takes the entitlement away again, and gives a sentence on what was done. Raises SigningError.

    The file is signed ad hoc without entitlements: that is what it was in the first place, and macOS runs nothing on
    Apple silicon that has no signature.
    """
    executable = executable or running_executable()
    _look_at(executable)
    if not has_entitlement(executable):
        return f"{executable} has not the entitlement {ENTITLEMENT}: there is nothing to undo."
    _sign(executable, False)
    return f"Signed {executable} without the entitlement {ENTITLEMENT}: it runs no machines now."


def main() -> int:
    try:
        print(sign())
    except SigningError as error:
        print(f"applevz: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
