# SPDX-License-Identifier: Apache-2.0
"""The played Mac itself: its classes are those of Apple's headers, and tell what happens in the order of the policy."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import debug_build
import played_mac
from native_programs import Programs, extensions

if sys.platform == "darwin":
    pytest.skip("a Mac need not be played", allow_module_level=True)

# What the host that plays it may lack.
LACKED_BY_HOSTS = {"bridged_networks", "efi", "guest_agent", "nested_virtualization", "shared_directories", "sockets"}
STOPPED, RUNNING, PAUSED, _ERROR, STARTING, PAUSING, _RESUMING, STOPPING = range(8)


GUEST_SHUTDOWN = json.dumps(
    {
        "event": "SHUTDOWN",
        "data": {"guest": True, "reason": "guest-shutdown"},
        "timestamp": {"seconds": 0, "microseconds": 0},
    }
)


@pytest.fixture(scope="module")
def programs() -> Programs:
    return Programs("played", [], bridge=True, played_mac=True)


@pytest.fixture
def order(
    programs: Programs, guest_files: Path, script: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    """What a machine tells of those verbs on a QEMU that follows the script."""

    def told(policy: dict[str, str], *verbs: str, **qemu: object) -> list[str]:
        script(**qemu)
        for name, value in played_mac.environment_of(policy).items():
            monkeypatch.setenv(name, value)
        result = programs.run("order", "O0", str(guest_files / "vmlinux"), *verbs)
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout.splitlines()

    return told


def test_another_process_that_makes_the_build_too_changes_nothing_under_a_program_that_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = played_mac.folder() / "applevz" / "libapplevz.so"
    marks: list[Any] = []

    def watched(source: str | Path, destination: str | Path) -> None:
        replaced(source, destination)
        # A program that starts now loads it.
        marks.append(b"played_mac_messages" in library.read_bytes())

    replaced = debug_build.replace
    monkeypatch.setattr(debug_build, "replace", watched)
    with library.open("rb") as mapped:
        before = mapped.read()
        played_mac.folder.__wrapped__()  # as in a process that has not made it yet
        mapped.seek(0)
        assert mapped.read() == before
    assert len(marks) > 50
    assert all(marks)


def test_no_class_answers_to_a_selector_that_is_not_apples(programs: Programs) -> None:
    # The header declares some of Apple's own, too; and those of an object that only an extension gives.
    selectors = [
        method[1:]
        for protocol, methods in extensions().items()
        for method in methods
        if protocol != "AppleVZSavedState" and re.match("applevz|setApplevz", method[1:])
    ]
    assert "applevzConnectToPort:whileWanted:completionHandler:" in selectors

    result = programs.run("selectors", "O0", *selectors)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("policy", "of_each_verb"),
    [
        ({}, "seen {0}, {1} {0} 0, turn, turn"),
        ({"observation": "early"}, "seen {0}, turn, {1} {0} 0, turn"),
        ({"observation": "late"}, "{1} {0} 0, seen {0}, turn, turn"),
        ({"completion": "late"}, "seen {0}, turn, {1} {0} 0, turn"),
        ({"completion": "twice late"}, "seen {0}, turn, turn, {1} {0} 0"),
        ({"completion": "never"}, "seen {0}, turn, turn"),
        ({"completion": "twice"}, "seen {0}, {1} {0} 0, turn, {1} {0} 0, turn"),
        ({"state": "late"}, "{1} {2} 0, seen {0}, turn, turn"),
    ],
)
def test_a_verb_is_told_in_the_order_of_the_policy(
    order: Callable[..., list[str]], policy: dict[str, str], of_each_verb: str
) -> None:
    verbs = [(STARTING, RUNNING, "start"), (PAUSING, PAUSED, "pause"), (STOPPING, STOPPED, "stop")]
    expected = [f"seen {passing}, {of_each_verb.format(lasting, verb, passing)}" for passing, lasting, verb in verbs]
    assert order(policy, "start", "pause", "stop") == ", ".join(expected).split(", ")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, "seen 0, delegate 0, turn, turn"),
        ({"delegate": "early"}, "delegate 1, seen 0, turn, turn"),
        ({"delegate": "late"}, "seen 0, turn, delegate 0, turn"),
        ({"observation": "early"}, "seen 0, turn, delegate 0, turn"),
        ({"observation": "late"}, "delegate 0, seen 0, turn, turn"),
        ({"state": "late"}, "delegate 1, seen 0, turn, turn"),
    ],
)
def test_the_end_of_a_guest_is_told_in_the_order_of_the_policy(
    order: Callable[..., list[str]], policy: dict[str, str], expected: str
) -> None:
    told = order(policy, "start", "end", after={"cont": "events"}, events=[GUEST_SHUTDOWN])
    # The end may be told before the start has been, which is a verb's.
    # Whoever observes late that it runs sees that it has ended. A machine of which neither was told is starting.
    told = [line.replace(f"delegate {STARTING}", f"delegate {RUNNING}") for line in told]
    of_the_end = dict.fromkeys(line for line in told if line.startswith("delegate") or line == "seen 0")
    assert list(of_the_end) == [line for line in expected.split(", ") if line != "turn"]


@pytest.mark.parametrize(
    ("owner", "selector"),
    [
        ("VZVirtualMachine", "state"),
        ("VZVirtualMachine", "canStart"),
        ("VZVirtualMachine", "delegate"),
        ("VZVirtualMachine", "networkDevices"),
        ("VZNetworkDevice", "attachment"),
        ("VZVirtioConsoleDevice", "ports"),
        ("VZVirtioConsolePort", "attachment"),
        ("VZVirtioTraditionalMemoryBalloonDevice", "targetVirtualMachineMemorySize"),
        ("VZXHCIController", "usbDevices"),
    ],
)
def test_a_call_off_the_queue_ends_the_process_in_words(
    programs: Programs, guest_files: Path, owner: str, selector: str
) -> None:
    result = programs.run("queue", "O0", str(guest_files / "vmlinux"), owner, selector)
    assert (result.returncode, result.stdout) == (-signal.SIGABRT, "on its queue\n")
    assert result.stderr.startswith("played Mac: ")
    assert "queue" in result.stderr


def test_python_runs_over_it_with_what_a_mac_has() -> None:
    program = """
import json, applevz
kind = applevz.Capabilities
names = [name for name, value in vars(kind).items() if isinstance(value, property)]
print(json.dumps({name: [getattr(kind, name).__doc__, bool(getattr(applevz.capabilities, name))] for name in names}))
"""
    result = played_mac.run(program)
    assert (result.returncode, result.stderr) == (0, "")
    capabilities = json.loads(result.stdout)
    assert not capabilities["screenshots"][1]
    assert capabilities["save_restore"][1]
    # The table of the platforms is made of these words.
    never = {name for name, (words, _) in capabilities.items() if "On a Mac: never" in words}
    there = {name for name, (_, is_there) in capabilities.items() if is_there}
    assert not never & there
    assert set(capabilities) - never - there <= LACKED_BY_HOSTS
