# SPDX-License-Identifier: Apache-2.0
"""`applevz.aio.images`: the same functions, awaited, which can be cancelled at any moment."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import threading
from pathlib import Path

import pytest

import applevz
from applevz import images
from applevz.aio import images as awaited
from image_server import ImageServer, Served
from two_faces import check_names_and_signatures


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "applevz files"]


def test_both_faces_have_the_same_names_and_signatures() -> None:
    check_names_and_signatures(images, awaited)


def test_what_is_awaited_is_what_blocks(server: ImageServer, cache: Path, disk: bytes, qcow2: bytes) -> None:
    server.files["disk.qcow2"] = Served(qcow2)
    seen = []

    async def main() -> None:
        def told(step: images.Progress) -> None:
            seen.append((step.stage, threading.current_thread() is threading.main_thread()))

        image = await awaited.pull(f"{server.url}disk.qcow2", checksum=sha256(qcow2), cache=cache, progress=told)
        assert Path(image.path).read_bytes() == disk
        assert await awaited.list(cache=cache) == [image] == images.list(cache=cache)
        again = await awaited.of(image.path, cache=cache, name="again")
        assert await awaited.prune(cache=cache) == []
        assert await awaited.remove("again", cache=cache) == [again]
        with pytest.raises(applevz.ImageNotFoundError):
            await awaited.remove("again", cache=cache)
        with pytest.raises(applevz.InvalidArgumentError):
            await awaited.pull("gentoo", cache=cache)

    asyncio.run(main())
    assert {stage for stage, _ in seen} >= {"download", "convert"}
    assert all(in_loop for _, in_loop in seen)
    assert threads() == []


def test_the_loop_runs_on_while_a_server_is_waited_for(
    server: ImageServer, cache: Path, disk: bytes, qcow2: bytes
) -> None:
    go = threading.Event()
    server.files["disk.qcow2"] = Served(qcow2, before=lambda: go.wait(120))

    async def main() -> None:
        call = asyncio.ensure_future(awaited.pull(f"{server.url}disk.qcow2", checksum=sha256(qcow2), cache=cache))
        while not server.asked:
            await asyncio.sleep(0.01)
        go.set()
        assert (await call).size == len(disk)

    asyncio.run(main())


@pytest.mark.parametrize("place", ["answer", "body"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_cancelled_download_ends_at_once_and_is_gone_on_with(
    scheme: str,
    place: str,
    server: ImageServer,
    cache: Path,
    disk: bytes,
    qcow2: bytes,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if scheme == "https":
        certificate: Path = request.getfixturevalue("certificate")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_name("public.pem")))
        server = request.getfixturevalue("https_server")
    reached, over = threading.Event(), threading.Event()

    def stop(sent: int = 0) -> None:
        if place == "answer" or sent >= 512 << 10:
            reached.set()
            over.wait(120)

    served = Served(qcow2, between=stop) if place == "body" else Served(qcow2, before=stop)
    server.files["disk.qcow2"] = served

    async def main() -> None:
        # Nothing would end it by itself before the test's own limit.
        came: list[images.Progress] = []
        call = asyncio.ensure_future(
            awaited.pull(
                f"{server.url}disk.qcow2", checksum=sha256(qcow2), cache=cache, silence=3600, progress=came.append
            )
        )
        # What was sent has not come yet.
        while not reached.is_set() or (place == "body" and not came):
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert threads() == []
        assert list((cache / "work").iterdir()) == []
        over.set()
        server.files["disk.qcow2"] = Served(qcow2)
        # Nobody has the lock any more.
        image = await awaited.pull(f"{server.url}disk.qcow2", checksum=sha256(qcow2), cache=cache)
        assert Path(image.path).read_bytes() == disk

    asyncio.run(main())
    assert ("range" in server.asked_for("disk.qcow2")[-1]) is (place == "body")


def test_a_cancelled_conversion_ends_its_program_and_leaves_nothing(
    tmp_path: Path, cache: Path, disk: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A qemu-img that says nothing more, and ends by a signal alone.
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "qemu-img").write_text(
        f"#!/bin/sh\nexec >&- 2>&-\n: >{tmp_path}/started\nexec {shutil.which('sleep')} 3600\n"
    )
    (folder / "qemu-img").chmod(0o755)
    path = tmp_path / "disk.img"
    path.write_bytes(disk)
    monkeypatch.setenv("PATH", str(folder))

    async def main() -> None:
        call = asyncio.ensure_future(awaited.of(path, cache=cache))
        while not (tmp_path / "started").exists():
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert threads() == []
        assert list((cache / "work").iterdir()) == []
        assert await awaited.list(cache=cache) == []

    asyncio.run(main())


def test_a_call_that_waits_for_another_one_is_cancelled_alone(
    server: ImageServer, cache: Path, disk: bytes, qcow2: bytes
) -> None:
    go = threading.Event()
    server.files["disk.qcow2"] = Served(qcow2, before=lambda: go.wait(120))

    async def main() -> None:
        def pull() -> asyncio.Future[images.Image]:
            return asyncio.ensure_future(
                awaited.pull(f"{server.url}disk.qcow2", checksum=sha256(qcow2), cache=cache)
            )

        first = pull()
        while not server.asked:
            await asyncio.sleep(0.01)
        second, third = pull(), pull()
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        go.set()
        assert await first == await third
        assert len(server.asked) == 1

    asyncio.run(main())
