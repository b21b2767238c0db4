# SPDX-License-Identifier: Apache-2.0
"""`applevz image`: what it prints, and how it ends."""

from __future__ import annotations

import hashlib
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from image_server import ImageServer, Served


def line_of(cache: Path, *words: str) -> list[str]:
    # A group has no options of its own.
    inner = [*words, "--cache", str(cache)] if words else []
    return [sys.executable, "-m", "applevz", "image", *inner]


def command(cache: Path, *words: object) -> subprocess.CompletedProcess[str]:
    line = line_of(cache, *map(str, words))
    return subprocess.run(line, capture_output=True, text=True, timeout=120)


def test_images_are_pulled_imported_listed_and_removed(
    server: ImageServer, cache: Path, tmp_path: Path, disk: bytes, qcow2: bytes
) -> None:
    server.files["disk.qcow2"] = Served(qcow2)
    checksum = hashlib.sha256(qcow2).hexdigest()
    done = command(cache, "pull", f"{server.url}disk.qcow2", "--checksum", checksum)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == disk
    assert done.stderr == "No signature was checked: the checksum was given with the address.\n"

    (tmp_path / "theirs.img").write_bytes(disk)
    done = command(cache, "import", tmp_path / "theirs.img", "--architecture", "arm64")
    assert done.returncode == 0, done.stderr
    imported = done.stdout.strip()

    lines = command(cache, "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["disk.qcow2", "theirs.img"]
    assert lines[1].split()[1:4] == ["aarch64", "3", "MiB"]
    assert lines[1].endswith(imported)

    assert command(cache, "prune").stdout == "There was nothing to remove.\n"
    assert command(cache, "remove", "theirs.img").stdout == f"removed: theirs.img {imported}\n"
    assert len(command(cache, "list").stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["pull", "gentoo"], 1, "source is 'gentoo'"),
        (["pull", "debian:13", "--offline"], 1, "offline is True"),
        (["remove", "none"], 1, "no image of that name"),
        (["import", "/nowhere/disk"], 1, "/nowhere/disk"),
        (["import", "/dev/null"], 1, "no regular file"),
        (["build-debian", "../x"], 1, "release is '../x'"),
        (["build-debian", "13", "--boot", "bios"], 1, "boot is 'bios'"),
        (["build-debian", "13", "--package", "vim", "--package=--x"], 1, "packages[1] is '--x'"),
        (["build-debian", "13", "--architecture", "riscv64"], 2, "--architecture"),
        (["build-debian", "13", "--user-data", "/nowhere/x"], 1, "'/nowhere/x' cannot be read"),
        (["build-debian", "13", "--user-data", sys.executable], 1, "no text in UTF-8"),
        (["build-debian", "13", "--user-data", "/dev/null"], 1, "user_data is ''"),
        (["list", "prune"], 2, "unexpected extra argument"),
        ([], 2, "Missing command"),
    ],
)
def test_the_command_refuses_in_words(words: list[str], status: int, told: str, cache: Path) -> None:
    done = command(cache, *words)
    assert done.returncode == status
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_time_out_and_an_interruption_say_what_is_kept(server: ImageServer, cache: Path, qcow2: bytes) -> None:
    reached, over = threading.Event(), threading.Event()

    def stop(_: int) -> None:
        reached.set()
        over.wait(120)

    server.files["first"] = Served(qcow2, between=lambda _: over.wait(120))
    done = command(cache, "pull", f"{server.url}first", "--checksum", "0" * 64, "--timeout", "2")
    assert done.returncode == 1
    assert "is not there after 2 s" in done.stderr
    assert "what was downloaded is kept" in done.stderr
    server.files["second"] = Served(qcow2, between=stop)
    words = ["pull", f"{server.url}second", "--checksum", "0" * 64]
    line = line_of(cache, *words)
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        assert reached.wait(120)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=120)
    over.set()
    assert process.returncode == 130
    assert told == "\napplevz: interrupted; what was downloaded is kept.\n"


def test_what_no_server_gives_is_told_with_the_commands_that_do_without(server: ImageServer, cache: Path) -> None:
    done = command(cache, "pull", f"{server.url}gone", "--checksum", "0" * 64)
    assert done.returncode == 1
    what, why, hint = done.stderr.splitlines()
    assert what.endswith("cannot be downloaded.")
    assert "404 Not Found" in why
    for way in ("reaches", "`applevz run ./FILE`", "`applevz image build-debian ", "`applevz image pull ADDRESS "):
        assert hint.count(way) == 1, hint
    # It takes no more than what the first page has installed for it.
    assert "efi" not in hint
    # A shell calls no functions.
    assert "images." not in hint


def test_a_terminal_is_shown_how_far_it_is(server: ImageServer, cache: Path, qcow2: bytes) -> None:
    server.files["disk.qcow2"] = Served(qcow2)
    ours, theirs = pty.openpty()
    checksum = hashlib.sha256(qcow2).hexdigest()
    line = line_of(cache, "pull", f"{server.url}disk.qcow2", "--checksum", checksum)
    with subprocess.Popen(line, stderr=theirs, stdout=subprocess.PIPE) as process:
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError:
            pass  # the other end was closed
        process.communicate(timeout=120)
    os.close(ours)
    assert process.returncode == 0
    # A bar stands between the two.
    assert re.search(rb"downloaded: [^\r\n]* 1 MiB of 1 MiB", shown)
    assert re.search(rb"converted: [^\r\n]* 3 MiB of 3 MiB", shown)


@pytest.mark.skipif(sys.platform != "linux", reason="Debian's tools are on Linux")
def test_a_debian_is_asked_for_and_its_steps_are_shown(cache: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    programs = {
        "mmdebstrap": f'printf "%s\\n" "$@" >{told}; echo I: extracting archives... >&2; exit 25',
        "unshare": 'while [ "$1" != env ]; do shift; done; exec "$@"',
    }
    programs |= dict.fromkeys(("genext2fs", "mformat", "mcopy", "sfdisk"), "exit 1")
    (tmp_path / "programs").mkdir()
    for name, text in programs.items():
        (tmp_path / "programs" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "programs" / name).chmod(0o755)
    (tmp_path / "user-data").write_text("#cloud-config\n")
    words = ["build-debian", "13", "--package", "less", "--boot", "efi", "--mirror", "https://host/debian"]
    words += ["--user-data", str(tmp_path / "user-data"), "--size", "1GiB", "--without-guest-agent"]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PATH": f"{tmp_path / 'programs'}:{os.environ['PATH']}"}
    line = line_of(cache, *words)
    with subprocess.Popen(line, stderr=theirs, stdout=subprocess.PIPE, env=environment) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:
            pass  # how a terminal ends
    os.close(ours)
    assert process.returncode == 1
    assert re.search(rb"installing them: [^\r\n]* step 2 of 9", shown)
    assert b"mmdebstrap failed" in shown
    asked = told.read_text().splitlines()
    assert asked[-1] == "https://host/debian"
    assert "trixie" in asked
    packages = next(word for word in asked if word.startswith("--include=")).partition("=")[2].split(",")
    assert {"less", "cloud-init", "systemd-boot-efi"} <= set(packages)
