# SPDX-License-Identifier: Apache-2.0
"""Capabilities are looked up in the QEMU that is there: once for each program, and by no machine that starts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import applevz
from fixtures import MakeMachine
from places import SCRIPTED_QEMU

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the machines of other platforms have no QEMU")

# What the capabilities are looked up by, each by names that QEMU has had since they came to it.
TYPES = {
    "virtualization": [
        "microvm-machine", "pvpanic", "memory-backend-file", "virtio-serial-device", "virtio-serial-pci",
    ],
    "generation_identifier": ["vmgenid", "pcie-root-port"],
    "efi": ["cfi.pflash01"],
    "shared_directories": ["vhost-user-fs-device", "vhost-user-fs-pci"],
    "screenshots": ["virtio-gpu-pci"],
    "early_console": ["isa-serial"],
    "input_events": ["qemu-xhci", "usb-kbd", "usb-tablet"],
    "save_restore": [],
    "memory_directory": [],
    "disk_overlays": [],
    "disk_limits": [],
}  # fmt: skip
ALL_TYPES = [name for names in TYPES.values() for name in names]


def ask(*commands: str) -> list[Any]:
    """What the QEMU of this host answers."""
    lines = "".join(json.dumps({"execute": command}) + "\n" for command in ("qmp_capabilities", *commands, "quit"))
    words = ["qemu-system-x86_64", "-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"]
    answers = subprocess.run(words, input=lines, capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line)["return"] for line in answers if "return" in json.loads(line)][1 : 1 + len(commands)]


def test_this_host_s_capabilities_are_those_of_its_qemu() -> None:
    (types,) = ask("qom-list-types")
    has_sound = "virtio-sound-pci" in {entry["name"] for entry in types}
    reason = applevz.capabilities.sound.reason or ""
    assert ("has no virtio-sound-pci" in reason) is not has_sound
    for name, wanted in TYPES.items():
        assert set(wanted) <= {entry["name"] for entry in types}
        capability = getattr(applevz.capabilities, name)
        assert capability or "QEMU" not in capability.reason, capability.reason


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Has capabilities looked up in a QEMU that has what is given. Gives its program."""
    program = tmp_path / "qemu"
    shutil.copy(SCRIPTED_QEMU, program)
    program.chmod(0o755)
    monkeypatch.setenv("APPLEVZ_QEMU", str(program))

    def use(
        types: list[object] | None = None, migration: tuple[str, ...] = ("events", "x-ignore-shared"), **script: object
    ) -> Path:
        answers = {
            "qom-list-types": [{"name": name} if isinstance(name, str) else name for name in types or ALL_TYPES],
            "query-migrate-capabilities": [{"capability": name, "state": False} for name in migration],
        }
        texts = {name: json.dumps({"return": answer})[:-1] + ', "id": %d}\r\n' for name, answer in answers.items()}
        script = {"answers": texts, "commands": str(tmp_path / "commands"), "version": [11, 1], **script}
        monkeypatch.setenv("APPLEVZ_QEMU_SCRIPT", json.dumps(script))
        return program

    return use


def test_all_is_there_where_qemu_has_all(qemu: Callable[..., Path]) -> None:
    qemu()
    for name in TYPES:
        capability = getattr(applevz.capabilities, name)
        assert capability or "QEMU" not in capability.reason, name


@pytest.mark.parametrize(("name", "missing"), [(name, missing) for name, names in TYPES.items() for missing in names])
def test_what_qemu_was_built_without_is_missing(qemu: Callable[..., Path], name: str, missing: str) -> None:
    qemu([kind for kind in ALL_TYPES if kind != missing])

    capability = getattr(applevz.capabilities, name)
    assert capability.reason.endswith(f"QEMU 11.1 has no {missing}.")
    assert isinstance(capability.error, applevz.NotSupportedError)
    others = [other for other in TYPES if other != name and name != "virtualization"]
    assert not [other for other in others if missing in (getattr(applevz.capabilities, other).reason or "")]


@pytest.mark.parametrize("missing", ["events", "x-ignore-shared"])
def test_machines_are_saved_where_qemu_s_migration_can_leave_their_memory_out(
    qemu: Callable[..., Path], missing: str
) -> None:
    qemu(migration=tuple({"events", "x-ignore-shared"} - {missing}))

    assert applevz.capabilities.save_restore.reason.endswith(f"The migration of QEMU 11.1 does not know {missing}.")
    assert applevz.capabilities.virtualization


def test_a_qemu_that_is_too_old_has_nothing(qemu: Callable[..., Path]) -> None:
    qemu(version=[6, 2])

    for name in TYPES:
        assert getattr(applevz.capabilities, name).reason.endswith("QEMU 6.2 is installed; 7.2 or later is needed.")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ({"die": [1, "no such option"]}, "closed the connection.*last words: no such option"),
        ({"die": [1, "no \x1b]0;owned\x07"]}, r"last words: no \\u001b\]0;owned\\u0007"),
        ({"greeting": ""}, "did not greet"),
        ({"greeting": "what?\r\n"}, "is not a QMP message"),
        ({"types": [[], 5, {"name": 7}, {"other": "a"}]}, "with no names"),
        ({"answers": {"qom-list-types": '{"return": {"name": "a"}, "id": %d}\r\n'}}, "with no names"),
        ({"answers": {"qom-list-types": '{"error": {"desc": "no \\u001b"}, "id": %d}\r\n'}}, "qom-list-types: no"),
        ({"after": {"qom-list-types": "kill"}}, "closed the connection"),
    ],
)
def test_a_qemu_that_does_not_say_what_it_has_has_nothing_and_is_asked_again(
    qemu: Callable[..., Path], script: dict[str, Any], words: str
) -> None:
    qemu(**script)
    with pytest.raises(applevz.NotSupportedError, match=words):
        raise applevz.capabilities.save_restore.error  # type: ignore[misc]

    qemu()
    assert applevz.capabilities.save_restore


def test_a_qemu_that_says_more_than_a_pipe_holds_is_heard_to_its_answers(qemu: Callable[..., Path]) -> None:
    qemu(words="warning: of something\n" * 4_000)
    assert applevz.capabilities.save_restore


def test_a_program_is_asked_once_and_again_when_another_is_in_its_place(
    qemu: Callable[..., Path], tmp_path: Path
) -> None:
    program = qemu()
    for _ in range(3):
        assert applevz.capabilities.save_restore
        assert applevz.capabilities.input_events
    asked = (tmp_path / "commands").read_text().splitlines()
    assert asked == ["qmp_capabilities", "qom-list-types", "query-migrate-capabilities"]

    qemu(migration=())
    assert applevz.capabilities.save_restore
    os.utime(program, (1, 1))
    assert not applevz.capabilities.save_restore
    assert (tmp_path / "commands").read_text().splitlines() == asked * 2


def test_a_machine_s_start_asks_for_nothing(qemu: Callable[..., Path], machine: MakeMachine, tmp_path: Path) -> None:
    qemu()
    vm = machine()
    vm.start(timeout=30)

    commands = (tmp_path / "commands").read_text().splitlines()
    assert commands.count("qmp_capabilities") == 1
    assert not {"qom-list-types", "query-migrate-capabilities"} & set(commands)
