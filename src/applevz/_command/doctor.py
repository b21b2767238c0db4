# SPDX-License-Identifier: Apache-2.0
"""`applevz doctor`: whether machines can run here, and what would mend it if not."""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from .. import LinuxBootLoader, VirtualMachine, VirtualMachineConfiguration, __version__, capabilities
from .._host import signing
from .._host.idle_kernels import idle_kernel
from .._host.nameless_files import NamelessFile
from ..errors import Error
from .failures import FAILED

__all__ = ["Finding", "doctor", "mending_command"]

# What machines can do without, and what for.
_FEATURES: Final = {
    "hardware_acceleration": "machines at the processor's own speed",
    "guest_agent": "programs in a guest",
    "efi": "guests that firmware boots, as those of `applevz run debian:13`",
    "disk_overlays": "disks that are gone with their machine",
    "save_restore": "saved states",
    "shared_directories": "directories of this host in a guest",
    "sockets": "sockets between guest and host",
    "confinement": "keeping a guest that breaks out from this host",
    "host_isolation": "keeping a guest on NAT from what listens on this host",
}
# The packages of the extras, by the modules that are looked for.
_EXTRAS: Final = {
    "cli": ("click", "rich"),
    "images": ("filelock", "platformdirs", "zstandard"),
    "seed": ("pycdlib",),
}
_PATIENCE: Final = 60.0
_BACKTICKS: Final = re.compile(r"`((?:apt-get|arch|dnf|modprobe|pacman|pip|python -m|zypper) [^`]+)`")
_ROOT_ONLY: Final = ("apt-get", "dnf", "modprobe", "pacman", "zypper")
# As the errors' suggestions name packages and modules.
_PACKAGES: Final = re.compile(r"\(Debian 12: the package ([a-z0-9.+-]+); later ones and Ubuntu: ([a-z0-9.+-]+)\)")
_PACKAGE: Final = re.compile(r"Debian[^:;)]*: the package ([a-z0-9][a-z0-9.+-]*[a-z0-9])")
_MODULES: Final = re.compile(r"the kernel module (\w+)(?: or (\w+))?")
_GROUP: Final = re.compile(r"by the group (\w+)")


@dataclass(frozen=True)
class Finding:
    """One line."""

    name: str
    well: bool
    needed: bool
    """No machine runs without it."""
    words: str
    """What was found; where something is missing, why."""
    hint: str = ""
    command: str = ""
    """The command that mends it, if one does."""


def mending_command(hint: str) -> str:
    """The command that an error's suggestion names, or that does what it says; "" for none."""
    if found := _BACKTICKS.search(hint):
        return f"sudo {found[1]}" if found[1].startswith(_ROOT_ONLY) else found[1]
    if shutil.which("apt-get"):
        if found := _PACKAGES.search(hint):
            return f"sudo apt-get install {found[1] if _is_debian_12() else found[2]}"
        if found := _PACKAGE.search(hint):
            return f"sudo apt-get install {found[1]}"
    if found := _MODULES.search(hint):
        is_amd = found[2] is not None and "AuthenticAMD" in _text_of("/proc/cpuinfo")
        return f"sudo modprobe {found[2] if is_amd else found[1]}"
    if found := _GROUP.search(hint):
        return f"sudo usermod --append --groups {found[1]} $USER  # and log in again"
    return ""


def _is_debian_12() -> bool:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return False
    return (release.get("ID"), release.get("VERSION_ID")) == ("debian", "12")


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""


def doctor(arguments: argparse.Namespace) -> int:
    """The command: 0 only if machines can run."""
    findings = list(_findings(None if arguments.json else _show))
    able = all(finding.well for finding in findings if finding.needed)
    if arguments.json:
        print(json.dumps({"able": able, "findings": [asdict(finding) for finding in findings]}, indent=1))
    else:
        print("Machines can run here." if able else "No machine can run here: mend what is marked with ✗.")
    return 0 if able else FAILED


def _show(finding: Finding) -> None:
    sign = "✓" if finding.well else "✗" if finding.needed else "-"
    print(_encodable(f"{sign} {finding.name}: {finding.words}"))
    if not finding.well:
        for lead, text in (("  hint: ", finding.hint), ("  $ ", finding.command)):
            if text:
                print(_encodable(lead + text))
    sys.stdout.flush()


def _encodable(text: str) -> str:
    encoding = sys.stdout.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace("✓", "ok").replace("✗", "FAILED").encode(encoding, "backslashreplace").decode(encoding)
    return text


def _findings(show: Callable[[Finding], None] | None) -> Iterator[Finding]:
    for finding in _all_findings():
        if show is not None:
            show(finding)
        yield finding


def _all_findings() -> Iterator[Finding]:
    yield Finding("applevz", True, True, f"{__version__}, for {platform.system()} on {platform.machine()}")
    executable = signing.running_executable()
    yield Finding("Python", True, True, f"{platform.python_version()}, which runs {executable}")
    # Where programs are signed at all.
    if shutil.which("codesign"):
        yield _entitlement()
    virtualization = _capability("virtualization", "machines", True)
    yield virtualization
    if virtualization.well:
        yield _machine()
    for name, purpose in _FEATURES.items():
        yield _capability(name, purpose, False)
    qemu_img = shutil.which("qemu-img")
    yield Finding(
        "qemu-img",
        qemu_img is not None,
        False,
        qemu_img or "there is no program of that name, which images are converted with",
        "" if qemu_img else "Install it (Debian and Ubuntu: the package qemu-utils).",
        "" if qemu_img else mending_command("Debian and Ubuntu: the package qemu-utils."),
    )
    for extra, modules in _EXTRAS.items():
        yield _extra(extra, modules)


def _entitlement() -> Finding:
    executable = signing.running_executable()
    if signing.has_entitlement(executable):
        return Finding("entitlement", True, True, f"{executable} has {signing.ENTITLEMENT}")
    return Finding(
        "entitlement",
        False,
        True,
        f"{executable} lacks {signing.ENTITLEMENT}",
        "Sign the program that really runs. A Python that is updated has to be signed again.",
        shlex.join([sys.executable, "-m", "applevz", "sign"]),
    )


def _of_error(name: str, needed: bool, error: Error) -> Finding:
    hint = error.recovery_suggestion or ""
    return Finding(
        name, False, needed, error.failure_reason or error.localized_description, hint, mending_command(hint)
    )


def _capability(name: str, purpose: str, needed: bool) -> Finding:
    title = name.replace("_", " ")
    error = getattr(capabilities, name).error
    if error is None:
        return Finding(title, True, needed, purpose)
    found = _of_error(title, needed, error)
    return found if needed else replace(found, words=f"{found.words} (for {purpose})")


def _machine() -> Finding:
    """Whether one starts, which is more than a look at what it takes."""
    begin = time.monotonic()
    try:
        kernel = NamelessFile("kernel", lambda file: file.write(idle_kernel()))
        configuration = VirtualMachineConfiguration(LinuxBootLoader(kernel), memory_size="128MiB")
        with VirtualMachine(configuration) as machine:
            machine.start(_PATIENCE)
    except Error as error:
        return _of_error("a machine", True, error)
    except OSError as error:
        return Finding("a machine", False, True, f"its kernel cannot be written: {error.strerror}")
    milliseconds = (time.monotonic() - begin) * 1000
    return Finding("a machine", True, True, f"started and stopped, in {milliseconds:.0f} ms")


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        # What a program put in the place of an import, or of a module.
        return False


def _extra(extra: str, modules: tuple[str, ...]) -> Finding:
    missing = [module for module in modules if not _is_there(module)]
    name = f"the extra {extra}"
    if not missing:
        return Finding(name, True, False, ", ".join(modules))
    command = shlex.join([sys.executable, "-m", "pip", "install", f"applevz[{extra}]"])
    return Finding(name, False, False, f"not installed: {', '.join(missing)}", "", command)
