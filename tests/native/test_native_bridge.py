# SPDX-License-Identifier: Apache-2.0
"""The C interface by itself, with sanitizers: tests/native/bridge/*.m."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from native_programs import Programs
from places import SCRIPTED_QEMU

if sys.platform == "darwin":
    pytest.skip("there is no QEMU under Apple's framework", allow_module_level=True)


@pytest.fixture(scope="module")
def programs() -> Programs:
    return Programs("bridge", [], bridge=True)


@pytest.mark.parametrize("flavour", ["address", "thread"])
def test_machines_of_several_threads_leave_no_handle_and_no_error_behind(
    programs: Programs, flavour: str, guest_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPLEVZ_QEMU", str(SCRIPTED_QEMU))
    monkeypatch.setenv("APPLEVZ_QEMU_SCRIPT", json.dumps({}))

    result = programs.run("machine", flavour, str(guest_files / "vmlinux"), "3", "4", timeout=200)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("flavour", ["address", "thread"])
def test_channels_tell_of_each_completion_once_whoever_announces_releases_and_reads(
    programs: Programs, flavour: str
) -> None:
    result = programs.run("channel", flavour, "4", "400", timeout=200)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("flavour", ["address"])
def test_a_network_card_that_loses_its_attachment_is_told_as_an_event(
    programs: Programs, flavour: str, guest_files: Path
) -> None:
    result = programs.run("network", flavour, str(guest_files / "vmlinux"), timeout=200)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("flavour", ["address"])
def test_a_usb_disk_that_is_refused_leaves_the_delegate_to_the_disk_that_it_shares_its_attachment_with(
    programs: Programs, flavour: str, guest_files: Path
) -> None:
    result = programs.run("usb", flavour, str(guest_files / "vmlinux"), timeout=200)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("flavour", ["address"])
def test_a_machine_s_sockets_are_connected_listened_to_and_left(
    programs: Programs, flavour: str, guest_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPLEVZ_QEMU", str(SCRIPTED_QEMU))
    monkeypatch.setenv("APPLEVZ_QEMU_SCRIPT", json.dumps({}))
    result = programs.run("sockets", flavour, str(guest_files / "vmlinux"), timeout=200)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("flavour", ["address", "thread"])
def test_a_guest_is_waited_for_no_longer_than_there_is_one(
    programs: Programs, flavour: str, guest_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPLEVZ_QEMU", str(SCRIPTED_QEMU))
    monkeypatch.setenv("APPLEVZ_QEMU_SCRIPT", json.dumps({}))
    result = programs.run("guest_connections", flavour, str(guest_files / "vmlinux"), timeout=200)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("flavour", ["address", "thread"])
def test_a_guest_is_connected_to_at_the_address_that_its_lease_tells(
    programs: Programs, flavour: str, tmp_path: Path
) -> None:
    result = programs.run("leases", flavour, str(tmp_path), timeout=200)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("flavour", ["address"])
def test_a_guest_s_agent_is_heard_within_bounds_whatever_it_says(programs: Programs, flavour: str) -> None:
    result = programs.run("guest_agent", flavour, timeout=200)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("flavour", ["O0", "O3"])
def test_what_notices_hold_is_given_back(programs: Programs, flavour: str, guest_files: Path) -> None:
    result = programs.run("notices", flavour, str(guest_files / "vmlinux"), timeout=200)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
