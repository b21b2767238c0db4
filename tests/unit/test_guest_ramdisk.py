# SPDX-License-Identifier: Apache-2.0
"""What a kernel is given when it is to start the guest's agent: the archive, and the words of its command line."""

from __future__ import annotations

import gzip
import os
import subprocess
from pathlib import Path

import pytest

import applevz
from applevz._host import guest_agent
from applevz._host.guest_agent import command_line_with_agent, ramdisk_with_agent
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
