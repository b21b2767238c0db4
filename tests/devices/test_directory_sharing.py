# SPDX-License-Identifier: Apache-2.0
"""Shared directories: what a guest finds in them, what it cannot do, and what serves them."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import applevz
from applevz import MultipleDirectoryShare, SharedDirectory, SingleDirectoryShare
from guest_machine import PATIENCE, Guest
from processes import eventually
from shares import device, served, servers, single

linux = pytest.mark.skipif(sys.platform != "linux", reason="the test's guest is made on Linux")

ODD = "ä \n'$x"


# ---- A guest that finds three shares ----


class Shares:
    """A guest, and the folders of the host that it has mounted under /one, /only and /several."""

    def __init__(self, folder: Path, guest_files: Path) -> None:
        self.one, self.only, self.first, self.odd, self.other = (
            folder / name for name in ("a,b=c", "read-only", "first", ODD, "other")
        )
        for path in (self.one, self.only, self.first, self.odd, self.other):
            path.mkdir()
        (self.only / "file").write_text("kept\n")
        (self.only / "folder").mkdir()
        (self.first / "file").write_text("first\n")
        self.several = {"first": SharedDirectory(self.first, read_only=True), ODD: SharedDirectory(self.odd)}
        devices = [
            device("one,x=y", single(self.one)),
            device("only", single(self.only, read_only=True)),
            device("several", MultipleDirectoryShare(self.several)),
        ]
        loader = applevz.LinuxBootLoader(guest_files / "vmlinux", guest_files / "initrd.cpio.gz", "console=hvc0 quiet")
        self.machine = applevz.VirtualMachine(
            applevz.VirtualMachineConfiguration(loader, memory_size="256MiB", directory_sharing_devices=devices)
        )
        self.guest = Guest(self.machine).start()
        for tag, place in (("one,x=y", "one"), ("only", "only"), ("several", "several")):
            assert self.run(f"mkdir /{place} && mount -t virtiofs '{tag}' /{place} && echo mounted") == "mounted"

    def run(self, command: str) -> str:
        return self.guest.run(command)


@pytest.fixture(scope="module")
def shares(guest_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shares]:
    made = Shares(tmp_path_factory.mktemp("shares"), guest_files)
    yield made
    made.machine.shutdown(applevz.ShutdownPolicy.POWEROFF, timeout=PATIENCE)


@linux
def test_host_and_guest_see_each_other_s_writes(shares: Shares) -> None:
    (shares.one / "from the host").write_text("hello")
    assert shares.run("cat '/one/from the host'") == "hello"
    shares.run("mkdir /one/folder && echo answer > /one/folder/file && chmod 750 /one/folder")
    assert (shares.one / "folder" / "file").read_text() == "answer\n"
    assert stat.S_IMODE((shares.one / "folder").stat().st_mode) == 0o750
    (shares.one / "folder" / "file").write_text("changed")
    # A guest may believe what it saw for a second.
    assert eventually(lambda: shares.run("cat /one/folder/file") == "changed")
    shares.run("rm -r /one/folder")
    assert not (shares.one / "folder").exists()


@linux
def test_64_megabytes_come_through_intact_in_both_directions(shares: Shares) -> None:
    content = os.urandom(1 << 20) * 64
    (shares.one / "large").write_bytes(content)
    assert shares.run("dd if=/one/large of=/one/copy bs=1M conv=fsync 2>/dev/null && echo copied") == "copied"
    assert (shares.one / "copy").read_bytes() == content
    for name in ("large", "copy"):
        (shares.one / name).unlink()


WRITES = [
    "echo x > /only/file",
    "echo x >> /only/file",
    "echo x > /only/new",
    "mkdir /only/new",
    "rm /only/file",
    "mv /only/file /only/new",
    "ln /only/file /only/new",
    "ln -s file /only/new",
    "mknod /only/new p",
    "chmod 777 /only/file",
    "chown 7 /only/file",
    "touch -d 2001-01-01 /only/file",
    "rmdir /only/folder",
    "mount -o remount,rw /only && echo x > /only/new",
    "echo x > /several/first/file",
    "echo x > /several/new",
    "mkdir /several/new",
    "rmdir /several/first",
    "mv /several/first /several/second",
]


@linux
def test_a_read_only_share_refuses_whatever_a_guest_tries(shares: Shares) -> None:
    before = {path: path.lstat() for path in (shares.only, *sorted(shares.only.rglob("*")), shares.first / "file")}
    for command in WRITES:
        refusal = shares.run(f"({command}) 2>&1; echo status $?")
        assert "status 1" in refusal, command
        # Busy: where what is there is mounted in the guest, too.
        assert "Read-only file system" in refusal or "busy" in refusal.lower(), (command, refusal)
    assert shares.run("cat /only/file") == "kept"
    for path, status in before.items():
        assert (path.lstat()[:-3], path.lstat().st_mtime_ns) == (status[:-3], status.st_mtime_ns)
    assert sorted(os.listdir(shares.only)) == ["file", "folder"]


@linux
def test_it_is_the_process_that_serves_it_which_cannot_write_there(shares: Shares) -> None:
    """Nothing that a guest could bring it to do writes into the directory."""
    assert ("/", ["ro", "nodev"]) in [(place, options[:2]) for place, options in served(shares.only)]
    assert [(place, options[0]) for place, options in served(shares.first)] == [("/first", "ro")]
    assert [(place, options[0]) for place, options in served(shares.one)] == [("/", "rw")]


@linux
def test_several_directories_are_found_by_their_names(shares: Shares) -> None:
    assert shares.run("cat /several/first/file") == "first"
    assert shares.run("cd /several && printf '%s|' *") == f"first|{ODD}|"
    # All but its own name, which a shell's line cannot have.
    shares.run("cd /several/ä* && echo odd > file && cd /")
    assert (shares.odd / "file").read_text() == "odd\n"
    # Files of different directories may have the same number: they are on different devices then.
    devices = shares.run("stat -c %d /several /several/first /several/ä*").split()
    assert len(set(devices)) == 3


@linux
def test_nothing_outside_of_a_share_is_found_in_it(shares: Shares, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret\n")
    (shares.one / "absolute").symlink_to(tmp_path / "secret")
    (shares.one / "relative").symlink_to(os.path.relpath(tmp_path / "secret", shares.one))
    (shares.one / "root").symlink_to("/")
    for name in ("absolute", "relative"):
        assert "No such file" in shares.run(f"cat /one/{name} 2>&1")
    # A link is the guest's to follow, to places of its own.
    assert shares.run("[ /one/root/one -ef /one ] && [ /one/.. -ef / ] && echo its own") == "its own"
    assert shares.run(f"echo x > /one/absolute; ls {tmp_path}/secret 2>&1").endswith("No such file or directory")
    assert (tmp_path / "secret").read_text() == "secret\n"


@linux
def test_another_set_of_directories_takes_the_place_of_one_while_the_guest_runs(shares: Shares) -> None:
    (_, _, shared) = shares.machine.directory_sharing_devices
    (shares.other / "file").write_text("other\n")
    shares.run("exec 5< /several/first/file")
    try:
        shared.share = MultipleDirectoryShare(
            {"first": SharedDirectory(shares.other), "more": SharedDirectory(shares.first)}
        )
        assert eventually(lambda: shares.run("cat /several/first/file") == "other")
        assert shares.run("cd /several && printf '%s|' *") == "first|more|"
        assert shares.run("echo new > /several/more/new && echo written") == "written"
        assert (shares.first / "new").read_text() == "new\n"
        # What the guest had open it keeps.
        assert shares.run("cat <&5") == "first"
        assert isinstance(shared.share, MultipleDirectoryShare)
        assert shared.share.directories["more"] == SharedDirectory(os.fspath(shares.first), read_only=False)

        # A directory that is missing changes nothing.
        words = (
            r'directorySharingDevices\[0?2\]\.share\.directories\["gone"\]\.URL is ".*missing", which cannot be found'
        )
        with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=words) as caught:
            shared.share = MultipleDirectoryShare({"gone": SharedDirectory(shares.other / "missing")})
        assert isinstance(caught.value, FileNotFoundError)
        assert shares.run("cat /several/first/file") == "other"

        shared.share = None
        assert eventually(lambda: shares.run("ls /several") == "")
    finally:
        shares.run("exec 5<&-")
        shared.share = MultipleDirectoryShare(shares.several)
    assert eventually(lambda: shares.run("cat /several/first/file") == "first")


@linux
def test_a_single_directory_stays_while_the_machine_is_there(shares: Shares) -> None:
    (one, _, several) = shares.machine.directory_sharing_devices
    words = r'directorySharingDevices\[0\] \(tag "one,x=y"\): a VZSingleDirectoryShare is what the guest has mounted'
    for share in (None, MultipleDirectoryShare(), single(shares.other)):
        with pytest.raises(applevz.NotSupportedError, match=words):
            one.share = share
    with pytest.raises(applevz.NotSupportedError, match=r'\[2\] \(tag "several"\): a VZSingleDirectoryShare'):
        several.share = single(shares.other)
    assert one.share == SingleDirectoryShare(SharedDirectory(os.fspath(shares.one), read_only=False))
    assert (one.tag, repr(one)) == ("one,x=y", "<VirtioFileSystemDevice 'one,x=y'>")


@linux
def test_a_guest_that_turns_itself_off_is_no_failure_of_what_serves_it(shares: Shares) -> None:
    shares.guest.console.write(b"poweroff\n", timeout=PATIENCE)
    assert shares.machine.wait(applevz.VirtualMachineState.STOPPED, timeout=PATIENCE).name == "STOPPED"
    assert shares.machine.stop_error is None
    assert not servers()
