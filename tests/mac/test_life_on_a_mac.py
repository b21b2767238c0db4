# SPDX-License-Identifier: Apache-2.0
"""Every verb, of both faces, in whatever order a framework tells of what it did (played_mac.py, played_life.py)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import played_mac
from native_programs import Programs
from places import SUPPORT

if sys.platform == "darwin":
    pytest.skip("a Mac need not be played", allow_module_level=True)

FACES = ["applevz", "aio"]
SHUTDOWN = json.dumps(
    {"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}, "timestamp": {"seconds": 0}}
)
# Key-value observation, the delegate, the completion handler, and the state itself, in each order.
ORDERS: dict[str, dict[str, str]] = {
    "as ours": {},
    "observed early": {"observation": "early"},
    "observed late": {"observation": "late"},
    "completed late": {"completion": "late"},
    "completed twice late": {"completion": "twice late"},
    "completed twice": {"completion": "twice"},
    "delegate early": {"delegate": "early"},
    "delegate late": {"delegate": "late"},
    "state late": {"state": "late"},
    "delegate early, observed late, completed twice late": {
        "delegate": "early",
        "observation": "late",
        "completion": "twice late",
    },
    "state late, observed late": {"state": "late", "observation": "late"},
    "state late, never observed": {"state": "late", "observation": "never"},
}

# Each of the others differs from one of these in one thing.
MOST = ("as ours", "delegate early, observed late, completed twice late", "state late, observed late")

PROGRAM = f"""
import runpy, sys
sys.path[:0] = {[str(Path(__file__).parent), str(SUPPORT)]!r}
import played_life
played_life.main()
"""


def live(
    guest_files: Path, folder: Path, face: str, walk: str, policy: dict[str, Any], *, sanitized: bool = False
) -> None:
    result = played_mac.run(
        PROGRAM,
        face,
        walk,
        str(folder),
        policy=policy,
        sanitized=sanitized,
        PLAYED_KERNEL=str(guest_files / "vmlinux"),
    )
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    "order", [order if order in MOST else pytest.param(order, marks=pytest.mark.long) for order in ORDERS]
)
def test_a_verb_returns_with_its_state_and_its_events(guest_files: Path, tmp_path: Path, face: str, order: str) -> None:
    live(guest_files, tmp_path, face, "scripted", ORDERS[order])


@pytest.mark.parametrize("face", FACES)
def test_a_completion_that_never_comes_is_ended_by_time_and_by_poweroff(
    guest_files: Path, tmp_path: Path, face: str
) -> None:
    live(guest_files, tmp_path, face, "never", {"completion": "never"})


@pytest.mark.parametrize("face", FACES)
def test_what_the_delegate_says_of_a_run_stays_with_it_when_the_machine_has_been_started_again(
    guest_files: Path, tmp_path: Path, face: str
) -> None:
    live(guest_files, tmp_path, face, "restarts", {"delegate until": str(tmp_path / "told")})


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("order", ["as ours", "completed late", "completed twice"])
def test_what_belongs_to_a_machine_is_used_on_its_queue(
    guest_files: Path, tmp_path: Path, face: str, order: str
) -> None:
    live(guest_files, tmp_path, face, "devices", {"sockets": "unix", **ORDERS[order]})


@pytest.mark.parametrize(
    ("owner", "selector"),
    [
        ("VZVirtualMachine", "startWithCompletionHandler:"),
        ("VZVirtualMachine", "restoreMachineStateFromURL:completionHandler:"),
        ("VZVirtualMachine", "pauseWithCompletionHandler:"),
        ("VZVirtualMachine", "stopWithCompletionHandler:"),
        ("VZVirtualMachine", "requestStopWithError:"),
        ("VZVirtualMachine", "resumeWithCompletionHandler:"),
        ("VZVirtualMachine", "saveMachineStateToURL:completionHandler:"),
        ("VZNetworkDevice", "setAttachment:"),
        ("VZVirtioTraditionalMemoryBalloonDevice", "setTargetVirtualMachineMemorySize:"),
        ("VZUSBController", "attachDevice:completionHandler:"),
        ("VZVirtioSocketDevice", "connectToPort:completionHandler:"),
        ("VZVirtioSocketDevice", "setSocketListener:forPort:"),
    ],
)
def test_what_raises_is_the_error_of_the_call(guest_files: Path, tmp_path: Path, owner: str, selector: str) -> None:
    live(guest_files, tmp_path, "applevz", "raising", {"sockets": "unix", "raises": {owner: selector}})


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("order", ["as ours", "state late", "delegate early, observed late, completed twice late"])
def test_a_state_is_saved_and_restored(guest_files: Path, tmp_path: Path, face: str, order: str) -> None:
    live(guest_files, tmp_path, face, "saves", ORDERS[order])


@pytest.mark.parametrize(
    ("face", "order"), [("applevz", "delegate early, observed late, completed twice late"), ("aio", "state late")]
)
def test_a_guest_boots_prints_much_and_turns_itself_off(
    guest_files: Path, tmp_path: Path, face: str, order: str
) -> None:
    live(guest_files, tmp_path, face, "boots", ORDERS[order])


@pytest.mark.parametrize("order", ["state late, observed late", "delegate early, observed late, completed twice late"])
def test_no_memory_is_used_after_its_end(guest_files: Path, tmp_path: Path, order: str) -> None:
    live(guest_files, tmp_path, "aio", "scripted", ORDERS[order], sanitized=True)


def test_a_second_connection_that_raises_is_the_error_of_the_first(guest_files: Path, tmp_path: Path) -> None:
    live(guest_files, tmp_path, "applevz", "reconnecting", {"sockets": "unix", "second connection": "raises"})


# ---- The C interface by itself ----


@pytest.fixture(scope="module")
def programs() -> Programs:
    return Programs("bridge", [], bridge=True, played_mac=True)


@pytest.mark.parametrize(
    ("flavour", "order"),
    [
        ("address", "state late, observed late"),
        pytest.param("thread", "delegate early, observed late, completed twice late", marks=pytest.mark.long),
        pytest.param("thread", "state late", marks=pytest.mark.long),
    ],
)
def test_machines_of_several_threads_leave_nothing_behind(
    programs: Programs,
    guest_files: Path,
    script: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    flavour: str,
    order: str,
) -> None:
    script()
    for name, value in played_mac.environment_of(ORDERS[order]).items():
        monkeypatch.setenv(name, value)
    result = programs.run("machine", flavour, str(guest_files / "vmlinux"), "3", "4", timeout=200)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("name", ["network", "usb", "sockets"])
def test_what_belongs_to_a_machine_is_used_on_its_queue_by_the_c_interface(
    programs: Programs, guest_files: Path, script: Callable[..., None], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    script()
    for variable, value in played_mac.environment_of({"completion": "late"}).items():
        monkeypatch.setenv(variable, value)
    result = programs.run(name, "address", str(guest_files / "vmlinux"), timeout=200)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


NEXT_VERB = {
    "pause": ({}, ["0 4", "4 1", "1 5", "5 2", "2 6", "6 1"]),
    "end": ({"after": {"cont": "events"}}, ["0 4", "4 1", "1 0", "kind 1 in 0", "0 4", "4 1"]),
    "early": ({}, ["0 4", "4 1", "1 5", "5 2"]),
}


@pytest.mark.parametrize("what", NEXT_VERB)
def test_no_state_is_missed_whatever_happens_in_the_turn_in_which_it_is_told_of(
    programs: Programs, guest_files: Path, script: Callable[..., None], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    qemu, expected = NEXT_VERB[what]
    script(**qemu, events=[SHUTDOWN])
    for name, value in played_mac.environment_of({"observation": "late"}).items():
        monkeypatch.setenv(name, value)
    result = programs.run("next_verb", "O0", str(guest_files / "vmlinux"), what, str(len(expected)), timeout=200)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == expected
