# SPDX-License-Identifier: Apache-2.0
"""Downloads from servers that break off, lie, dawdle and change their minds: a file is right, or not there."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import images
from applevz._images.transport import UnreachableError, redirected
from image_server import ImageServer, Served

# What makes a server silent for these tests. One that answers does so at once, also on a busy host.
SILENCE = 20.0


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def pull(server: ImageServer, cache: Path, data: bytes, path: str = "disk.qcow2", **options: Any) -> images.Image:
    options = {"checksum": sha256(data), "silence": SILENCE, **options}
    return images.pull(server.url + path, cache=cache, **options)


def left(cache: Path) -> list[str]:
    """What is in the cache besides its folders and locks."""
    return sorted(
        str(path.relative_to(cache))
        for path in cache.rglob("*")
        if not path.is_relative_to(cache / "locks") and path.parent != cache
    )


def is_disk(image: images.Image, disk: bytes) -> bool:
    return Path(image.path).read_bytes() == disk


def test_what_is_downloaded_is_a_raw_disk_that_nobody_writes_to(
    server: ImageServer, cache: Path, disk: bytes, qcow2: bytes
) -> None:
    server.files["disk.qcow2"] = Served(qcow2)
    told: list[images.Progress] = []
    image = pull(server, cache, qcow2, progress=told.append, name="ours", user="ada", architecture="arm64")
    assert is_disk(image, disk)
    assert (image.size, image.format, image.name, image.user) == (len(disk), "raw", "ours", "ada")
    assert (image.architecture, image.checksum, image.source) == ("aarch64", sha256(qcow2), server.url + "disk.qcow2")
    assert image.signed_by is None
    assert image.unsigned_reason == "the checksum was given with the address"
    assert Path(image.path).stat().st_mode & 0o777 == 0o400
    # The zeros are holes.
    assert Path(image.path).stat().st_blocks * 512 < 2 << 20
    assert {step.stage for step in told} == {"download", "convert"}
    downloaded = [step for step in told if step.stage == "download"]
    assert downloaded[-1] == images.Progress("download", len(qcow2), len(qcow2))
    assert [step.done for step in downloaded] == sorted(step.done for step in downloaded)
    # The download is not kept beside what was made of it.
    assert len(left(cache)) == 3

    # A second time nobody is asked.
    asked = len(server.asked)
    assert pull(server, cache, qcow2, name="ours", architecture="aarch64") == image
    assert pull(server, cache, qcow2, name="ours", architecture="aarch64", offline=True) == image
    assert len(server.asked) == asked


def test_a_server_that_breaks_off_is_gone_on_with(server: ImageServer, cache: Path, disk: bytes, qcow2: bytes) -> None:
    server.files["disk.qcow2"] = Served(qcow2, breaks_after=[300_000, 300_000, None])
    assert is_disk(pull(server, cache, qcow2), disk)
    asked = server.asked_for("disk.qcow2")
    assert [headers.get("range") for headers in asked] == [None, "bytes=300000-", "bytes=600000-"]
    assert [headers.get("if-range") for headers in asked] == [None, '"1"', '"1"']
    assert server.sent == len(qcow2)


def test_a_server_without_ranges_begins_again(server: ImageServer, cache: Path, disk: bytes, qcow2: bytes) -> None:
    server.files["disk.qcow2"] = Served(qcow2, ranges=False, breaks_after=[300_000, None])
    assert is_disk(pull(server, cache, qcow2), disk)
    assert server.sent == 300_000 + len(qcow2)


@pytest.mark.parametrize("heeds_if_range", [True, False], ids=["by If-Range", "by the tag"])
def test_a_file_that_changes_between_two_parts_is_downloaded_anew(
    server: ImageServer, cache: Path, disk: bytes, qcow2: bytes, heeds_if_range: bool
) -> None:
    def change(_: int) -> None:
        server.files["disk.qcow2"] = Served(qcow2, tag='"2"', heeds_if_range=heeds_if_range)

    other = bytes(byte ^ 255 for byte in qcow2)
    server.files["disk.qcow2"] = Served(other, breaks_after=[500_000], between=change)
    assert is_disk(pull(server, cache, qcow2), disk)


def test_pieces_of_two_files_are_thrown_away_and_the_whole_is_downloaded(
    server: ImageServer, cache: Path, disk: bytes, qcow2: bytes
) -> None:
    # No tag, no date: that it is another file is seen by the checksum alone.
    other = bytes(byte ^ 255 for byte in qcow2)
    server.files["disk.qcow2"] = Served(other, tag=None, breaks_after=[500_000])
    server.files["mirror"] = Served(qcow2, tag=None)
    image = pull(server, cache, qcow2, mirrors=[f"{server.url}mirror"])
    assert is_disk(image, disk)
    assert [headers.get("range") is None for headers in server.asked_for("mirror")] == [False, True]


def test_a_beginning_is_gone_on_with_by_another_server(
    server: ImageServer, cache: Path, disk: bytes, qcow2: bytes
) -> None:
    def go(_: int) -> None:
        server.files["disk.qcow2"].status = 503

    server.files["disk.qcow2"] = Served(qcow2, breaks_after=[500_000], between=go, part=500_000)
    server.files["mirror"] = Served(qcow2, tag='"of another server"')
    assert is_disk(pull(server, cache, qcow2, mirrors=[f"{server.url}mirror"]), disk)
    (asked,) = server.asked_for("mirror")
    assert asked["range"] == "bytes=500000-"
    assert "if-range" not in asked


@pytest.mark.parametrize(
    ("served", "told"),
    [
        (Served(b"x" * 1000, length=2000, ranges=False), "ended after 1000 of 2000 bytes"),
        (Served(b"", status=404), "status 404 Not Found"),
        (Served(b"", status=500), "status 500 Internal Server Error"),
        (Served(b"x", status=204), "status 204"),
        (Served(b"x" * 1000, length=1 << 40), "its file has 1099511627776 bytes"),
        (Served(b"x", headers={"Content-Encoding": "gzip"}), "the encoding 'gzip' unasked"),
        (Served(b"", status=302, location="file:///etc/passwd"), "'file:///etc/passwd', which is no address of http"),
        (Served(b"", status=302, location="ftp://127.0.0.1/x"), "'ftp://127.0.0.1/x', which is no address of http"),
        (Served(b"", status=302, location="//user@127.0.0.1/"), "which is no address of http"),
        (Served(b"", status=302), "it redirects to nowhere"),
        (Served(b"", status=302, location="/disk.qcow2"), "it redirects in a circle"),
        (Served(b"", status=302, location="other"), "it redirects in a circle"),
    ],
)
def test_a_server_that_lies_gets_no_image_made(server: ImageServer, cache: Path, served: Served, told: str) -> None:
    server.files["disk.qcow2"] = served
    server.files["other"] = Served(b"", status=307, location="/disk.qcow2")
    with pytest.raises(applevz.DownloadError) as caught:
        pull(server, cache, b"what is wanted")
    assert isinstance(caught.value, OSError)
    assert told in str(caught.value.failure_reason)
    assert f"{server.url}disk.qcow2" in str(caught.value.failure_reason)
    assert images.list(cache=cache) == []
    assert len(server.asked) <= 6


def test_more_bytes_than_are_allowed_are_not_waited_for(server: ImageServer, cache: Path) -> None:
    over = threading.Event()

    def between(sent: int) -> None:
        if sent >= 1 << 20:
            over.wait(60)

    # Nothing tells how long it is: the connection's end would.
    server.files["disk.qcow2"] = Served(b"x" * (2 << 20), between=between)
    with pytest.raises(applevz.DownloadError, match="524288 are allowed"):
        pull(server, cache, b"other", maximum_data="512KiB")
    over.set()


def test_many_redirects_are_followed_and_too_many_are_not(
    server: ImageServer, cache: Path, disk: bytes, qcow2: bytes
) -> None:
    for number in range(20):
        server.files[str(number)] = Served(b"", status=302, location=str(number + 1))
    server.files["20"] = Served(qcow2)
    assert is_disk(pull(server, cache, qcow2, "12"), disk)
    with pytest.raises(applevz.DownloadError, match="redirects more than 10 times"):
        pull(server, cache, qcow2, "0", name="other")


def test_a_redirect_takes_the_range_along(server: ImageServer, cache: Path, disk: bytes, qcow2: bytes) -> None:
    server.files["disk.qcow2"] = Served(b"", status=302, location="there")
    server.files["there"] = Served(qcow2, breaks_after=[300_000, None])
    assert is_disk(pull(server, cache, qcow2), disk)
    assert [headers.get("range") for headers in server.asked_for("there")] == [None, "bytes=300000-"]


def test_no_redirect_leads_from_https_to_http() -> None:
    assert redirected("https://host/a/b", "../c") == "https://host/c"
    assert redirected("http://host/a", "https://other/b#part") == "https://other/b"
    with pytest.raises(UnreachableError, match="from https to http://host/a"):
        redirected("https://host/a", "http://host/a")


def test_another_part_than_was_asked_for_is_not_taken(
    server: ImageServer, cache: Path, disk: bytes, qcow2: bytes
) -> None:
    wrong = f"bytes 0-{len(qcow2) - 1}/{len(qcow2)}"
    server.files["disk.qcow2"] = Served(qcow2, breaks_after=[300_000, None], content_range=wrong)
    assert is_disk(pull(server, cache, qcow2), disk)
    assert [headers.get("range") for headers in server.asked_for("disk.qcow2")] == [None, "bytes=300000-", None]


def test_a_wrong_checksum_makes_no_image_and_the_next_server_is_asked(
    server: ImageServer, cache: Path, disk: bytes, qcow2: bytes
) -> None:
    server.files["disk.qcow2"] = Served(b"something else")
    with pytest.raises(applevz.InvalidDiskImageError) as caught:
        pull(server, cache, qcow2)
    assert sha256(b"something else") in str(caught.value.failure_reason)
    assert sha256(qcow2) in str(caught.value.failure_reason)
    assert images.list(cache=cache) == []
    server.files["mirror"] = Served(qcow2)
    assert is_disk(pull(server, cache, qcow2, mirrors=[f"{server.url}mirror"]), disk)


def test_a_silent_server_is_given_up_and_the_next_one_asked(
    server: ImageServer, cache: Path, disk: bytes, qcow2: bytes
) -> None:
    over = threading.Event()
    server.files["disk.qcow2"] = Served(qcow2, between=lambda _: over.wait(60), part=1000)
    server.files["mirror"] = Served(qcow2)
    image = pull(server, cache, qcow2, mirrors=[f"{server.url}mirror"], silence=5)
    over.set()
    assert is_disk(image, disk)
    # Asked a second time, the first one had sent as much again.
    assert server.asked_for("mirror")[0]["range"] == "bytes=2000-"


def test_a_server_that_sends_headers_byte_by_byte_is_given_up(cache: Path) -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(2):
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    sent = b"HTTP/1.1 200 OK\r\nX: "
                    try:
                        while not over.wait(0.1):
                            connection.send(sent)
                            sent = b"x"
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        with pytest.raises(applevz.DownloadError, match="did not answer in 5 s"):
            images.pull(f"http://127.0.0.1:{port}/x", checksum=sha256(b"x"), cache=cache, silence=5)
        over.set()
        thread.join(60)


def test_the_time_of_the_whole_call_is_bounded(server: ImageServer, cache: Path, qcow2: bytes) -> None:
    over = threading.Event()
    server.files["disk.qcow2"] = Served(qcow2, between=lambda _: over.wait(60), part=1000)
    with pytest.raises(applevz.TimeoutError, match="what was downloaded is kept"):
        pull(server, cache, qcow2, timeout=2)
    over.set()
    assert images.list(cache=cache) == []


def test_nobody_there_is_an_error_that_says_so(cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(applevz.DownloadError, match="Connection refused") as caught:
        images.pull(f"http://127.0.0.1:{port}/x", checksum=sha256(b"x"), cache=cache)
    tells_of_the_ways_without(caught.value)


def tells_of_the_ways_without(error: applevz.Error) -> None:
    suggestion = error.recovery_suggestion or ""
    for way in ("reaches", "images.of(", "images.build_debian(", "images.pull(address, checksum="):
        assert suggestion.count(way) == 1, suggestion


def test_an_image_that_is_not_given_out_is_told_with_the_ways_without(server: ImageServer, cache: Path) -> None:
    with pytest.raises(applevz.DownloadError, match="404 Not Found") as caught:
        images.pull(f"{server.url}gone", checksum=sha256(b"x"), cache=cache)
    tells_of_the_ways_without(caught.value)


@pytest.mark.parametrize("hosts", [["no-such-host.invalid"], ["no-such-host.invalid", "nor-this-one.invalid"]])
def test_a_name_that_nobody_knows_is_told_with_the_ways_without(cache: Path, tmp_path: Path, hosts: list[str]) -> None:
    catalog = tmp_path / "catalog.json"
    entry = {
        "default": "1",
        "versions": {"1": []},
        "architectures": {"x86_64": "x86_64", "aarch64": "aarch64"},
        "boot": "efi",
        "folders": [f"https://{host}/" for host in hosts],
        "files": ["disk.qcow2"],
        "checksums": "SHA256SUMS",
    }
    catalog.write_text(json.dumps({"ours": entry}))
    with pytest.raises(applevz.DownloadError) as caught:
        images.pull("ours:1", catalog=catalog, cache=cache)
    assert all(host in (caught.value.failure_reason or "") for host in hosts)
    tells_of_the_ways_without(caught.value)


def test_a_server_s_certificate_is_looked_at(
    https_server: ImageServer,
    cache: Path,
    disk: bytes,
    qcow2: bytes,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    https_server.files["disk.qcow2"] = Served(qcow2, breaks_after=[300_000, None])
    with pytest.raises(applevz.DownloadError, match="certificate verify failed|CERTIFICATE_VERIFY_FAILED"):
        pull(https_server, cache, qcow2)
    assert https_server.asked == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_name("public.pem")))
    assert is_disk(pull(https_server, cache, qcow2), disk)
    assert https_server.asked_for("disk.qcow2")[1]["range"] == "bytes=300000-"


@pytest.mark.parametrize(
    ("source", "options", "told"),
    [
        ("https://host/disk", {}, "checksum is None"),
        ("https://host/disk", {"checksum": "abc"}, "checksum is 'abc'"),
        ("https://host/disk", {"checksum": f"md5:{'0' * 32}"}, "checksum is 'md5:"),
        ("ftp://host/disk", {"checksum": "0" * 64}, "source is 'ftp://host/disk'"),
        ("https://user:word@host/disk", {"checksum": "0" * 64}, "source is 'https://user:word@host/disk'"),
        ("https://host:port/disk", {"checksum": "0" * 64}, "source is"),
        ("https://host/a b", {"checksum": "0" * 64}, "source is"),
        ("https://host/a\r\nX: y", {"checksum": "0" * 64}, "source is"),
        ("https://host/disk", {"checksum": "0" * 64, "mirrors": ["file"]}, r"mirrors\[0\] is 'file'"),
        ("https://host/disk", {"checksum": "0" * 64, "mirrors": "https://host"}, "mirrors is 'https://host'"),
        ("https://host/disk", {"checksum": "0" * 64, "name": "a/b"}, "name is 'a/b'"),
        ("https://host/disk", {"checksum": "0" * 64, "architecture": "vax"}, "architecture is 'vax'"),
        ("https://host/disk", {"checksum": "0" * 64, "silence": 0}, "silence is 0"),
        ("https://host/disk", {"checksum": "0" * 64, "offline": 1}, "offline is 1"),
        ("https://host/disk", {"checksum": "0" * 64, "mirrors": [3]}, r"mirrors\[0\] is 3"),
        ("https://host/disk", {"checksum": "0" * 64, "user": 3}, "user is 3"),
        ("https://host/disk", {"checksum": "0" * 64, "progress": 3}, "progress is 3"),
        ("http://[", {"checksum": "0" * 64}, "source is 'http://\\['"),
        ("file://[", {"checksum": "0" * 64}, "source is 'file://\\['"),
        ("file:disk", {"checksum": "0" * 64}, "source is 'file:disk'"),
        ("file:///disk", {"checksum": "0" * 64, "mirrors": ["https://host/"]}, "has no other address"),
        ("file://host/disk", {"checksum": "0" * 64}, "source is 'file://host/disk'"),
        (17, {}, "source is 17"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_words(
    cache: Path, source: Any, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(applevz.InvalidArgumentError, match=told):
        images.pull(source, cache=cache, **options)


def test_a_file_of_this_host_is_taken_by_its_address(
    cache: Path, tmp_path: Path, disk: bytes, qcow2: bytes
) -> None:
    path = tmp_path / "a disk.qcow2"
    path.write_bytes(qcow2)
    assert is_disk(images.pull(path.as_uri(), checksum=sha256(qcow2), cache=cache), disk)
    with pytest.raises(applevz.InvalidDiskImageError, match="should be sha256:0000"):
        images.pull(path.as_uri(), checksum="0" * 64, cache=cache, name="other")
    with pytest.raises(FileNotFoundError):
        images.pull((tmp_path / "none").as_uri(), checksum="0" * 64, cache=cache)
    assert path.read_bytes() == qcow2


# ---- Several processes, and their ends ----

PROGRAM = """
import sys
from applevz import images
image = images.pull(sys.argv[1], checksum=sys.argv[2], cache=sys.argv[3], silence=60)
print(image.path)
"""


def start(server: ImageServer, cache: Path, data: bytes) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, f"{server.url}disk.qcow2", sha256(data), str(cache)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once_download_once(server: ImageServer, cache: Path, disk: bytes, qcow2: bytes) -> None:
    go = threading.Event()
    server.files["disk.qcow2"] = Served(qcow2, before=lambda: go.wait(120))
    processes = [start(server, cache, qcow2) for _ in range(3)]
    # Whichever came first waits for the server; the others for it.
    while not server.asked:
        assert all(process.poll() is None for process in processes)
    go.set()
    paths = {process.communicate(timeout=120)[0] for process in processes}
    assert all(process.returncode == 0 for process in processes)
    assert len(server.asked) == 1
    (path,) = paths
    assert Path(path.strip()).read_bytes() == disk


def test_a_process_that_is_killed_leaves_a_beginning_that_is_gone_on_with(
    server: ImageServer, cache: Path, disk: bytes, qcow2: bytes
) -> None:
    reached, over = threading.Event(), threading.Event()

    def between(sent: int) -> None:
        if sent >= 512 << 10:
            reached.set()
            over.wait(120)

    server.files["disk.qcow2"] = Served(qcow2, between=between)
    process = start(server, cache, qcow2)
    assert reached.wait(120)
    # What was sent has come when it is in the file.
    (part,) = (path for path in (cache / "downloads").iterdir() if path.suffix == "")
    while part.stat().st_size < 512 << 10:
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    over.set()
    assert images.list(cache=cache) == []
    server.files["disk.qcow2"] = Served(qcow2)
    assert is_disk(pull(server, cache, qcow2), disk)
    assert server.asked_for("disk.qcow2")[-1]["range"] == f"bytes={512 << 10}-"
    # Nothing is left but the image.
    assert len(left(cache)) == 3


def test_what_was_kept_and_then_damaged_is_seen(server: ImageServer, cache: Path, disk: bytes, qcow2: bytes) -> None:
    server.files["disk.qcow2"] = Served(qcow2, breaks_after=[500_000, 0, 0])
    with pytest.raises(applevz.DownloadError):
        pull(server, cache, qcow2)
    (part,) = (path for path in (cache / "downloads").iterdir() if path.suffix == "")
    with open(part, "r+b") as file:
        file.write(b"damaged")
    server.files["disk.qcow2"] = Served(qcow2)
    assert is_disk(pull(server, cache, qcow2), disk)
    assert [headers.get("range") for headers in server.asked_for("disk.qcow2")][-2:] == ["bytes=500000-", None]


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="takes a file system of its own")
@pytest.mark.parametrize("size", ["1M", "1600k"], ids=["in the download", "in the conversion"])
def test_a_full_disk_is_an_error_of_the_system_and_leaves_no_image(
    server: ImageServer, tmp_path: Path, disk: bytes, qcow2: bytes, size: str
) -> None:
    server.files["disk.qcow2"] = Served(qcow2)
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(small)]
    mounted = subprocess.run(mount, capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        with pytest.raises(applevz.POSIXError) as caught:
            pull(server, small / "cache", qcow2)
        assert caught.value.errno == 28
        assert images.list(cache=small / "cache") == []
        assert list((small / "cache" / "work").iterdir()) == []
        # With room it goes on.
        subprocess.run(["mount", "-o", "remount,size=16M", small], check=True)
        assert is_disk(pull(server, small / "cache", qcow2), disk)
    finally:
        subprocess.run(["umount", small], check=True)
