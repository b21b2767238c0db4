# SPDX-License-Identifier: Apache-2.0
"""What the words of the command line mean, and images as files: no machine is run."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
from pathlib import Path

import click
import pytest

import applevz
from applevz.__main__ import main
from applevz._command.commands import APPLEVZ
from applevz._command.machine_options import MachineOptions, Share, _forward
from applevz._command.terminal import detach_key
from command_line import Applevz


@pytest.fixture
def applevz_command(capfd: pytest.CaptureFixture[str]) -> Applevz:
    """In this process: none of these words runs a machine."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        status = main([str(word) for word in words])
        shown, told = capfd.readouterr()
        return subprocess.CompletedProcess([*map(str, words)], status, shown, told)

    return run


@pytest.mark.parametrize(
    ("words", "arguments", "is_chosen"),
    [
        ("80", {"guest_port": 80}, True),
        ("8080:80", {"host_port": 8080, "guest_port": 80}, False),
        ("0:80", {"host_port": 0, "guest_port": 80}, True),
        ("0.0.0.0:8080:80", {"host_address": "0.0.0.0", "host_port": 8080, "guest_port": 80}, False),  # noqa: S104
        ("[::1]:5353:53/udp", {"host_address": "::1", "host_port": 5353, "guest_port": 53, "protocol": "udp"}, False),
        ("/run/a.sock:80", {"host_path": "/run/a.sock", "guest_port": 80}, False),
        ("8080:/run/b.sock", {"host_port": 8080, "guest_path": "/run/b.sock"}, False),
        ("/a/tcp:/b/udp/tcp", {"host_path": "/a/tcp", "guest_path": "/b/udp"}, False),
    ],
)
def test_a_forward_is_read(words: str, arguments: dict[str, object], is_chosen: bool) -> None:
    found = _forward(words)
    assert found.arguments == {"protocol": "tcp", **arguments}
    assert found.is_chosen is is_chosen


@pytest.mark.parametrize("words", ["", "a", "80:", ":80", "host:80:80", "80/sctp", "1:2:3:4"])
def test_what_is_no_forward_is_refused(words: str) -> None:
    with pytest.raises(click.BadParameter, match="is not"):
        _forward(words)


@pytest.mark.parametrize(
    ("words", "key"), [("ctrl-]", b"\x1d"), ("Ctrl-A", b"\x01"), ("ctrl-@", b"\0"), ("none", None)]
)
def test_a_key_is_a_byte(words: str, key: bytes | None) -> None:
    assert detach_key(words) == key


@pytest.mark.parametrize("words", ["", "]", "ctrl-", "ctrl-1", "ctrl-ab", "alt-a"])
def test_what_is_no_key_is_refused(words: str) -> None:
    with pytest.raises(applevz.InvalidArgumentError, match="detach key"):
        detach_key(words)


def options_of(*words: str) -> MachineOptions:
    """What `applevz run` reads, without running it."""
    context = click.Context(APPLEVZ, info_name="applevz")
    command = APPLEVZ.get_command(context, "run")
    assert command is not None
    names = MachineOptions.__dataclass_fields__
    chosen = command.make_context("run", list(words), parent=context).params
    options = MachineOptions(**{name: value for name, value in chosen.items() if name in names})
    options.check()
    return options


def test_disks_shares_and_the_network_are_those_that_were_asked_for(tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(b"")
    words = ["--kernel", str(tmp_path / "kernel"), "--disk", "a:b", "--disk", "c:ro", "--network", "isolated"]
    words += ["--share", "/x:y:/mnt:ro", "--share", "z:tag", "--cpus", "1"]
    options = options_of(*words)
    assert options.shares == (Share("/x:y", "applevz0", "/mnt", True), Share("z", "tag", None, False))
    made = options.configuration()
    disks = [device.attachment for device in made.storage_devices]
    assert [(disk.path, disk.read_only) for disk in disks] == [("a:b", False), ("c", True)]
    assert [device.attachment for device in made.network_devices] == [
        applevz.NATNetworkDeviceAttachment(internet=False)
    ]
    assert isinstance(made.boot_loader, applevz.LinuxBootLoader)
    assert made.boot_loader.command_line == "console=hvc0"
    [card] = options_of("--efi", "disk", "--network", "host").configuration().network_devices
    assert card.attachment == applevz.NATNetworkDeviceAttachment(host_access=True)
    assert options_of("debian:13").internet is True
    assert options_of("--efi", "disk").internet is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--efi", "a", "--kernel", "b"], "--efi and --kernel are two ways"),
        (["--from", "a", "--memory", "1GiB"], "--memory and --from"),
        (["--initrd", "a", "--efi", "b"], "--initrd goes with --kernel"),
        (["--efi", "a", "--cached"], "--cached goes with an image"),
        (["debian:13", "--variables", "a"], "--variables goes with --efi"),
        (["debian:13", "--cached", "--share", "a:/b"], "cannot be saved"),
        (["debian:13", "--share", "a"], "is not DIR:TAG"),
        (["debian:13", "--copy-in", "a"], "is not SOURCE:TARGET"),
        (["debian:13", "--on-detach", "sleep"], "sleep"),
    ],
)
def test_words_that_make_no_sense_together_are_refused(words: list[str], told: str) -> None:
    with pytest.raises(click.UsageError) as error:
        options_of(*words)
    assert told in error.value.format_message()


def test_the_agent_s_work_is_refused_without_one(applevz_command: Applevz) -> None:
    done = applevz_command("run", "--kernel", "a", "--no-agent", "--", "true")
    assert done.returncode == 2
    assert "leave --no-agent out" in done.stderr
    done = applevz_command("run", "--kernel", "a", "--copy-out", "a:b")
    assert done.returncode == 2
    assert "--copy-out is done after COMMAND" in done.stderr
    done = applevz_command("run", "debian:13", "--lasting-disk", "a", "--save", "b", "--", "true")
    assert done.returncode == 2
    assert "--save and --lasting-disk" in done.stderr


# ---- Images as files ----


def test_an_image_is_made_looked_at_and_resized(applevz_command: Applevz, tmp_path: Path) -> None:
    path, child = tmp_path / "disk.img", tmp_path / "child.img"
    assert applevz_command("image", "create", path, "1MiB").returncode == 0
    assert applevz_command("image", "create", path, "1MiB").returncode == 1
    for size, words, status, length in (("3MiB", [], 0, 3), ("2MiB", [], 1, 3), ("2MiB", ["--shrink"], 0, 2)):
        done = applevz_command("image", "resize", path, size, *words)
        assert (done.returncode, path.stat().st_size) == (status, length << 20), done.stderr
    assert "2097153 bytes" in applevz_command("image", "resize", path, "2097153B").stderr
    [said] = json.loads(applevz_command("image", "info", "--json", path).stdout)
    assert (said["format"], said["size"], said["size_on_disk"]) == ("raw", 2 << 20, 0)
    if not applevz.capabilities.disk_overlays:
        return
    assert applevz_command("image", "create", child, "--base", path).returncode == 0
    refused = applevz_command("image", "resize", child, "8MiB")
    assert refused.returncode == 1
    assert "only a raw image is resized" in refused.stderr or shutil.which("qemu-img") is None


@pytest.mark.skipif(sys.platform != "linux", reason="locks of open files are Linux's")
def test_an_image_that_a_machine_has_open_is_not_resized(applevz_command: Applevz, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    applevz.create_disk_image(path, "1MiB")
    with path.open("r+b") as file:
        # As QEMU has it: a lock of the open file, of a byte behind its beginning.
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi", fcntl.F_RDLCK, os.SEEK_SET, 100, 1, 0))
        done = applevz_command("image", "resize", path, "2MiB")
    assert done.returncode == 1
    assert "A program has it open as a disk." in done.stderr
    assert path.stat().st_size == 1 << 20


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img converts images")
def test_an_image_is_converted_whole_or_not_at_all(applevz_command: Applevz, tmp_path: Path) -> None:
    raw, packed, made = tmp_path / "raw", tmp_path / "packed.qcow2", tmp_path / "made"
    raw.write_bytes(b"words" + bytes((1 << 20) - 5))
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, packed], check=True)
    [said] = json.loads(applevz_command("image", "info", "--json", packed).stdout)
    assert (said["format"], said["size"]) == ("qcow2", 1 << 20)
    assert f"file      {packed}\nformat    qcow2\ndisk      1 MiB (1048576 bytes)\n" in applevz_command(
        "image", "info", packed
    ).stdout
    assert applevz_command("image", "convert", packed, made).returncode == 0
    assert made.read_bytes() == raw.read_bytes()
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    exists = applevz_command("image", "convert", packed, made)
    assert exists.returncode == 1
    assert "hint: Give --force." in exists.stderr
    assert applevz_command("image", "convert", "--force", packed, made).returncode == 0
    refused = applevz_command("image", "convert", "--maximum-size", "512KiB", packed, tmp_path / "no")
    assert refused.returncode == 1
    assert "524288 are allowed" in refused.stderr
    broken = tmp_path / "broken.qcow2"
    broken.write_bytes(packed.read_bytes()[:100])
    assert applevz_command("image", "convert", broken, tmp_path / "no").returncode == 1
    nowhere = applevz_command("image", "convert", packed, tmp_path / "none" / "no")
    assert nowhere.returncode == 1
    assert "Traceback" not in nowhere.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.qcow2", "made", "packed.qcow2", "raw"]
