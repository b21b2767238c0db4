# SPDX-License-Identifier: Apache-2.0
"""Signatures of the files that have checksums, checked by the program gpgv and a keyring of the host's."""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import InvalidDiskImageError, make
from .task import Task

__all__ = ["Verdict", "check_signature"]

_SECONDS: Final = 60.0
_LARGEST_KEYRING: Final = 16 << 20
_VALID: Final = re.compile(rb"^\[GNUPG:\] VALIDSIG ([0-9A-F]{32,64}) .*$", re.MULTILINE)


@dataclass(frozen=True)
class Verdict:
    """The data that is signed. `signed_by` is the fingerprint of its key; None if nobody checked it, for a reason."""

    data: bytes
    signed_by: str | None
    unchecked: str | None = None


def check_signature(task: Task, data: bytes, signature: bytes | None, keyrings: Sequence[str], source: str) -> Verdict:
    """Checks `data` against a signature of its own, or against that in it if `signature` is None.

    Raises `InvalidDiskImageError` if a signature is wrong. Where gpgv or a keyring is missing, nothing is checked: the
    verdict says so.
    """
    keyring = next((name for name in keyrings if os.path.isfile(name)), None)
    if keyring is None:
        reason = f"there is no keyring {' or '.join(keyrings)}" if keyrings else "no keyring is known"
        return Verdict(data, None, reason)
    program = shutil.which("gpgv")
    if program is None:
        return Verdict(data, None, "the program gpgv is not installed")
    with tempfile.TemporaryDirectory(prefix="applevz-") as name:
        folder = Path(name)
        (folder / "data").write_bytes(data)
        (folder / "keyring").write_bytes(_keys(Path(keyring).read_bytes()[:_LARGEST_KEYRING]))
        command = [program, "--status-fd", "1", "--homedir", name, "--keyring", str(folder / "keyring")]
        if signature is None:
            command += ["--output", str(folder / "signed"), str(folder / "data")]
        else:
            (folder / "signature").write_bytes(signature)
            command += [str(folder / "signature"), str(folder / "data")]
        try:
            seconds = task.remaining(_SECONDS)
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            task.check()
            raise _wrong(source, keyring, f"gpgv did not end within {_SECONDS:g} s.") from None
        valid = _VALID.search(done.stdout)
        if done.returncode != 0 or valid is None:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            raise _wrong(source, keyring, f"gpgv: {words[-1][:200]}." if words else "gpgv gave no reason.")
        # What gpgv wrote is what is signed: what stands around it is not looked at.
        signed = (folder / "signed").read_bytes() if signature is None else data
        return Verdict(signed, valid[1].decode())


def _keys(data: bytes) -> bytes:
    """The keys of a keyring as gpgv reads them: without armor (RFC 9580, 6)."""
    if not data.startswith(b"-----BEGIN PGP PUBLIC KEY BLOCK-----"):
        return data
    keys = b""
    for block in re.findall(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(.*?)-----END PGP", data, re.DOTALL):
        lines = block.replace(b"\r", b"").split(b"\n\n", 1)[-1].split(b"\n")
        with contextlib.suppress(binascii.Error):
            keys += base64.b64decode(b"".join(line for line in lines if not line.startswith(b"=")))
    return keys


def _wrong(source: str, keyring: str, reason: str) -> Exception:
    return make(
        InvalidDiskImageError,
        f"The signature of {source} is not that of a key in {keyring}.",
        reason,
        "Name another keyring if the key is a newer one. Otherwise somebody changed the file.",
    )
