# SPDX-License-Identifier: Apache-2.0
"""The framework raises an exception for whatever the bridge asks of it, and a process lives on with an error.

libdispatch ends a process whose block lets an exception out, and so does ours. Each message of the bridge's to a class
of the framework's raises once, in a walk through the verbs of each face (raising_framework.py): the walk goes on to its
end, one of its steps fails with the exception's words, nothing is left behind, and the next walk is as if nothing had
been.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import played_mac
from places import SCRIPTED_QEMU

pytestmark = pytest.mark.timeout(900)  # the first of them builds the library

if sys.platform == "darwin":
    pytest.skip("a Mac need not be played", allow_module_level=True)

PROGRAM = Path(__file__).with_name("raising_framework.py").read_text()

EVENT = '{{"event": "{}", "data": {}, "timestamp": {{"seconds": 1, "microseconds": 1}}}}'
SCRIPT = {
    "answers": {"add-fd": '{"return": {"fdset-id": 1, "fd": 9}, "id": %d}\n'},
    # A program of the guest opens a port, and a device that is to go goes.
    "after": {"cont": "tell", "device_del": "tell", "migrate": "tell"},
    "events": [
        EVENT.format("MIGRATION", '{"status": "completed"}'),
        EVENT.format("VSERPORT_CHANGE", '{"id": "console0-port0", "open": true}'),
        EVENT.format("DEVICE_DELETED", '{"device": "%id", "path": "/"}'),
    ],
}

# A getter of what a machine is configured by.
CONFIGURED = re.compile(r"-\[VZ\w+(Configuration|ConfigurationArray|BootLoader) (\w+|objectAtIndexedSubscript:)\]")

LET_GO = "The machine is let go of whatever the framework raises: nobody could do anything about it."
NOT_TOLD = "What happens to a device whose delegate cannot be set is not told, and nothing else fails for it."
PORT = "An event of a port that cannot be told would tell nothing."
# What raises, and no step fails for: these, and what is read of a configuration to say which file a refusal is
# about, or to set the delegates of devices.
DROPPED = {
    "-[VZVirtualMachine removeObserver:forKeyPath:]": LET_GO,
    "-[VZVirtualMachine setDelegate:]": LET_GO,
    "-[VZVirtualMachine stopWithCompletionHandler:]": "POWEROFF lets go of a machine that is not stopped.",
    "-[VZVirtioConsoleDevice setDelegate:]": NOT_TOLD,
    "-[VZVirtualMachine consoleDevices]": NOT_TOLD,
    "-[VZNetworkBlockDeviceStorageDeviceAttachment setDelegate:]": NOT_TOLD,
    "-[VZVirtioConsoleDevice ports]": PORT,
    "-[VZVirtioConsolePortArray maximumPortCount]": PORT,
    "-[VZVirtioConsolePortArray objectAtIndexedSubscript:]": PORT,
    "-[VZVirtualMachine state]": "It is looked at again with the next notice.",
    "-[VZVirtualMachine socketDevices]": "A listener that is dropped is closed, whatever becomes of its port.",
    "-[VZVirtioSocketDevice removeSocketListenerForPort:]": "The same.",
    "-[VZVirtioSocketDevice setSocketListener:forPort:]": "It is heard of when the port is listened to anew.",
    "-[VZVirtioSocketConnection fileDescriptor]": "The guest that connects is refused.",
    "-[VZVirtioSocketDevice connectToPort:completionHandler:]": "Nobody waits any more for that attempt.",
}


@pytest.fixture(scope="module", params=["blocking", "awaited"])
def told(guest_files: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Any:
    folder = tmp_path_factory.mktemp("raising")
    (folder / "kernel").symlink_to(guest_files / "vmlinux")
    done = played_mac.run(
        PROGRAM,
        *(str(folder), request.param),
        policy={"sockets": "unix"},
        timeout=800,
        APPLEVZ_QEMU=str(SCRIPTED_QEMU),
        APPLEVZ_QEMU_SCRIPT=json.dumps(SCRIPT),
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("walk", ["devices", "states"])
def test_a_walk_goes_through_what_it_is_to_go_through(told: Mapping[str, Any], walk: str) -> None:
    late = "TimeoutError"
    expected = {"connect to nobody": late, "connect by the network": late, "restore": "RestoreError"}
    for step, outcome in told[walk]["plain"].items():
        assert outcome == expected.get(step, "done"), step
    assert len(told[walk]["walks"]) > 60


@pytest.mark.parametrize("walk", ["devices", "states"])
def test_an_exception_becomes_an_error_of_the_step_that_it_ends(told: Mapping[str, Any], walk: str) -> None:
    silent = []
    for message, raised in told[walk]["walks"].items():
        words = f"was told to raise for {message.split(' ')[1].removesuffix(']')}"
        if any(words in text for text in raised["texts"]):
            assert "ForeignExceptionError" in raised["outcomes"].values(), message
        else:
            silent.append(message)
    assert {message for message in silent if not CONFIGURED.fullmatch(message)} <= set(DROPPED)


@pytest.mark.parametrize("walk", ["devices", "states"])
def test_nothing_is_left_of_an_exception(told: Mapping[str, Any], walk: str) -> None:
    assert told[walk]["again"] == told[walk]["plain"]
    assert told[walk]["handles left"] == 0


def test_what_is_tried_again_later_ends_with_the_exception_of_that_attempt(told: Mapping[str, Any]) -> None:
    assert told["nobody"]["outcomes"]["connect"] == "ForeignExceptionError"
    assert "connectToPort" in told["nobody"]["texts"][0]
