# SPDX-License-Identifier: Apache-2.0
"""What the host's own programs say; where there is no such program, they say nothing."""

from __future__ import annotations

import plistlib
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .item import Value

__all__ = ["QUESTION", "ask", "settings", "sign", "signature"]

# What a Python says of itself: run by that Python, whatever version it is.
QUESTION: Final = """
import json, os, platform, sys, sysconfig
try:
    import ctypes
    name = ctypes.create_string_buffer(4096)
    ctypes.CDLL(None)._NSGetExecutablePath(name, ctypes.byref(ctypes.c_uint32(4096)))
    runs = os.fsdecode(name.value)
except Exception:
    runs = "/proc/self/exe" if os.path.exists("/proc/self/exe") else sys.executable
print(json.dumps({
    "version": platform.python_version(),
    "implementation": platform.python_implementation(),
    "built for": sysconfig.get_platform(),
    "framework": sysconfig.get_config_var("PYTHONFRAMEWORK") or None,
    "free-threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "processor": platform.machine(),
    "executable": sys.executable,
    "base executable": getattr(sys, "_base_executable", None),
    "prefix": sys.prefix,
    "base prefix": sys.base_prefix,
    "runs": os.path.realpath(runs),
}))
"""

_SIGNED: Final = re.compile(r"^(Identifier|Format|CodeDirectory|Signature|TeamIdentifier|Runtime Version)\b.*$", re.M)


def ask(*command: str, seconds: float = 10.0, environment: dict[str, str] | None = None) -> tuple[int | None, str, str]:
    """The status of a program (negative for a signal, None where it cannot be run), its output and its error output."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, "", str(error)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def settings(names: Sequence[str]) -> dict[str, Value]:
    """Those of the kernel that it has (sysctl)."""
    found: dict[str, Value] = {}
    for name in names:
        status, text, _ = ask("sysctl", "-n", name)
        if status == 0 and text.strip():
            found[name] = text.strip()
    return found


def signature(program: str) -> dict[str, Value] | None:
    """What codesign says of a program: who signed it is left out, for that may be a person. None without codesign."""
    status, _, words = ask("codesign", "--display", "--verbose=4", program)
    if status is None:
        return None
    # Of a team only that there is one.
    lines = [re.sub(r"^(TeamIdentifier)=(?!not set).*", r"\1 is set", match[0]) for match in _SIGNED.finditer(words)]
    return {"signature": lines or words.strip().splitlines()[-1:], "entitlements": entitlements(program)}


def entitlements(program: str) -> Value:
    status, text, words = ask("codesign", "--display", "--entitlements", "-", "--xml", program)
    if status != 0:
        return words.strip().splitlines()[-1:]
    try:
        read = plistlib.loads(text[text.index("<") :].encode()) if "<" in text else {}
    except Exception as error:  # noqa: BLE001  # plistlib and its parser have exceptions of their own
        return f"{type(error).__name__}: {error}"
    return {str(key): value if isinstance(value, bool) else "…" for key, value in read.items()}


def sign(program: Path, names: Sequence[str]) -> tuple[bool, str]:
    """Signs a program ad hoc with entitlements; whether that was done, and what codesign says."""
    properties = program.with_name("entitlements.plist")
    properties.write_bytes(plistlib.dumps(dict.fromkeys(names, True)))
    status, text, words = ask("codesign", "--sign", "-", "--force", "--entitlements", str(properties), str(program))
    return status == 0, (text + words).strip()
