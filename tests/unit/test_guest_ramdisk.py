# SPDX-License-Identifier: Apache-2.0
"""What a kernel is given when it is to start the guest's agent: the archive, and the words of its command line."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import applevz
from applevz._host import guest_agent
from applevz._host.guest_agent import command_line_with_agent, ramdisk_with_agent
from applevz._values.file_identities import STEP
from fixtures import Configure

AGENT = b"rdinit=/.applevz/agent"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"", AGENT),
        (b"console=hvc0 quiet", b"console=hvc0 quiet " + AGENT),
        (b"quiet -- single", b"quiet " + AGENT + b" -- single"),
        (b"--", AGENT + b" --"),
        (b"a=-- b", b"a=-- b " + AGENT),
        (b'key="a -- b" --  c', b'key="a -- b" ' + AGENT + b" --  c"),
        (b"rdinit=/init quiet", b"rdinit=/init quiet " + AGENT + b" applevz_rdinit=/init"),
        (b'"rdinit=/a b"', b'"rdinit=/a b" ' + AGENT + b' applevz_rdinit="/a b"'),
        (b"rdinit=/1 rdinit=/2", b"rdinit=/1 rdinit=/2 " + AGENT + b" applevz_rdinit=/2"),
        (b"-- rdinit=/x", AGENT + b" -- rdinit=/x"),
        (b"xrdinit=/x", b"xrdinit=/x " + AGENT),
    ],
    ids=str,
)
def test_the_words_stand_before_what_is_for_init(line: bytes, expected: bytes) -> None:
    assert command_line_with_agent(line) == expected


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """An agent that the package would carry."""
    program = tmp_path / "guest-agent"
    program.write_bytes(b"\x7fELF program")
    monkeypatch.setattr(guest_agent, "_PROGRAM", program)
    return b"\x7fELF program"


@pytest.mark.parametrize("memfd", [True, False])
@pytest.mark.parametrize("size", range(1, 6))
def test_the_agent_is_an_archive_behind_the_user_s(
    agent: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, memfd: bool
) -> None:
    if not memfd:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    users = gzip.compress(b"archive") + bytes(size)
    source = tmp_path / "initrd"
    source.write_bytes(users)
    ramdisk = ramdisk_with_agent(bytes(source))
    content = Path(os.fsdecode(ramdisk.path)).read_bytes()
    assert content.startswith(users)
    begin = content.index(b"070701")
    assert begin % 4 == 0
    assert not content[len(users) : begin].strip(b"\0")
    folder = tmp_path / "unpacked"
    folder.mkdir()
    subprocess.run(["cpio", "-id", "--quiet"], cwd=folder, input=content[begin:], check=True)
    assert (folder / ".applevz" / "agent").read_bytes() == agent
    assert (folder / ".applevz" / "agent").stat().st_mode == 0o100700
    path = Path(os.fsdecode(ramdisk.path))
    del ramdisk
    assert not path.exists()


def test_machines_with_the_same_ramdisk_have_one_file_that_nobody_writes_to(agent: bytes, tmp_path: Path) -> None:
    source = tmp_path / "initrd"
    source.write_bytes(b"archive")
    fresh = ramdisk_with_agent(bytes(source))
    # It was written just now: it may be again, in the same step of the file system's clock.
    assert ramdisk_with_agent(bytes(source)) is not fresh
    _wait_until_settled(source)
    one = ramdisk_with_agent(bytes(source))
    assert ramdisk_with_agent(bytes(source)) is one
    with pytest.raises(PermissionError), open(one, "r+b") as file:
        file.write(b"A")
    assert Path(os.fsdecode(one)).read_bytes().startswith(b"archive")
    # With others the user's file, or the agent, is another.
    for changed in (source, guest_agent._PROGRAM):
        changed.write_bytes(b"another")
        other = ramdisk_with_agent(bytes(source))
        assert other is not one
        assert b"another" in Path(os.fsdecode(other)).read_bytes()
    path = os.fsdecode(one)
    target = os.readlink(path)
    del one
    assert not os.path.lexists(path) or os.readlink(path) != target


CHILD = """
import os, sys, warnings
from pathlib import Path
from applevz._host import guest_agent

guest_agent._PROGRAM, source = Path(sys.argv[1]), os.fsencode(sys.argv[2])
one = guest_agent.ramdisk_with_agent(source)
assert guest_agent.ramdisk_with_agent(source) is one
warnings.simplefilter("ignore")
child = os.fork()
if child == 0:
    # As a daemon does.
    os.closerange(3, 1000)
    made = guest_agent.ramdisk_with_agent(source)
    right = made is not one and Path(os.fsdecode(made)).read_bytes().startswith(b"archive")
    os._exit(0 if right else 1)
sys.exit(os.waitpid(child, 0)[1])
"""


def test_a_child_that_was_forked_has_a_file_of_its_own(agent: bytes, tmp_path: Path) -> None:
    source = tmp_path / "initrd"
    source.write_bytes(b"archive")
    _wait_until_settled(source)
    subprocess.run([sys.executable, "-c", CHILD, guest_agent._PROGRAM, source], check=True)


def _wait_until_settled(path: Path) -> None:
    while time.time_ns() - path.stat().st_ctime_ns <= STEP:
        time.sleep(0.05)


def test_an_agent_without_an_initial_ramdisk_is_refused_by_name(agent: bytes) -> None:
    loader = applevz.LinuxBootLoader("kernel", guest_agent=True)
    with pytest.raises(applevz.InvalidArgumentError, match=r"boot_loader\.initial_ramdisk is None"):
        applevz.VirtualMachineConfiguration(loader).validate()
    with pytest.raises(applevz.InvalidArgumentError, match=r"boot_loader\.guest_agent"):
        applevz.VirtualMachineConfiguration(applevz.LinuxBootLoader("kernel", "initrd", guest_agent=1)).validate()  # type: ignore[arg-type]


def test_a_ramdisk_that_cannot_be_read_is_what_it_is_without_the_agent(agent: bytes, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in ("missing", ".", "fifo"):
        told = []
        for agent_too in (True, False):
            loader = applevz.LinuxBootLoader(__file__, tmp_path / name, guest_agent=agent_too)
            with pytest.raises(applevz.InvalidVirtualMachineConfigurationError) as caught:
                applevz.VirtualMachineConfiguration(loader).validate()
            told.append((type(caught.value), str(caught.value)))
        assert told[0] == told[1]


def test_a_package_without_the_agent_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_agent, "_PROGRAM", tmp_path / "none")
    assert not applevz.capabilities.guest_agent
    assert "without the guest's agent" in applevz.capabilities.guest_agent.reason
    loader = applevz.LinuxBootLoader("kernel", __file__, guest_agent=True)
    with pytest.raises(applevz.NotSupportedError, match="without the guest's agent"):
        applevz.VirtualMachineConfiguration(loader).validate()


def test_a_machine_without_the_port_says_which_field_would_help(configure: Configure) -> None:
    with applevz.VirtualMachine(configure()) as machine, pytest.raises(applevz.InvalidStateError, match="guest_agent"):
        _ = machine.guest
    with applevz.VirtualMachine(configure(guest_agent=True)) as machine:
        assert machine.guest is machine.guest
        with pytest.raises(applevz.GuestUnreachableError, match="not running"):
            machine.guest.run(["true"], timeout=5)
