# SPDX-License-Identifier: Apache-2.0
"""Images by name: a server and a cache of its own for each test."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_server import ImageServer, image_server

for needed in ("filelock", "platformdirs"):
    pytest.importorskip(needed)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """This host's servers are asked by themselves, whatever a user's environment says."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture
def server() -> Iterator[ImageServer]:
    with image_server() as made:
        yield made


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate of this host, by an authority that nobody knows."""
    if not shutil.which("openssl"):
        pytest.skip("the program openssl makes certificates")
    path = tmp_path / "certificate.pem"
    words = "-x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    command = ["openssl", "req", *words.split(), "-keyout", str(path), "-out", str(tmp_path / "public.pem")]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + (tmp_path / "public.pem").read_bytes())
    return path


@pytest.fixture
def https_server(certificate: Path) -> Iterator[ImageServer]:
    with image_server(certificate) as made:
        yield made


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def disk() -> bytes:
    """A raw disk: 1 MiB that nothing packs, 2 MiB of zeros, and words at its end."""
    data = random.Random(17).randbytes(1 << 20)  # noqa: S311
    return data + bytes(2 << 20) + b"the end".ljust(4096, b".")


@pytest.fixture(scope="session")
def qcow2(disk: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The same disk as qcow2."""
    if sys.platform == "darwin":
        pytest.skip("qemu-img is a part of QEMU's packages")
    folder = tmp_path_factory.mktemp("qcow2")
    (folder / "disk.raw").write_bytes(disk)
    names = str(folder / "disk.raw"), str(folder / "disk.qcow2")
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *names], check=True)
    return (folder / "disk.qcow2").read_bytes()
