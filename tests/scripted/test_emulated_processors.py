# SPDX-License-Identifier: Apache-2.0
"""Guests with several processors are emulated by one thread where QEMU is one whose threads are not safe."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import applevz
from applevz import ShutdownPolicy
from fixtures import MakeMachine
from guest_machine import PATIENCE
from places import SCRIPTED_QEMU

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="there is no QEMU under Apple's framework"),
    pytest.mark.skipif(bool(applevz.capabilities.hardware_acceleration), reason="nothing is emulated with KVM"),
    pytest.mark.skipif(applevz.limits().maximum_cpu_count < 2, reason="this host has one processor"),
]


@pytest.fixture
def accelerator(machine: MakeMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """What a QEMU that says a version is given as its accelerator."""
    program, record = tmp_path / "qemu", tmp_path / "arguments.json"
    shutil.copy(SCRIPTED_QEMU, program)
    program.chmod(0o755)
    monkeypatch.setenv("APPLEVZ_QEMU", str(program))

    def of(version: tuple[int, int], processors: int) -> str:
        monkeypatch.setenv("APPLEVZ_QEMU_SCRIPT", json.dumps({"record": str(record), "version": version}))
        vm = machine(cpu_count=processors)
        vm.start(timeout=PATIENCE)
        vm.shutdown(ShutdownPolicy.POWEROFF, timeout=PATIENCE)
        arguments: list[str] = json.loads(record.read_text())
        return arguments[arguments.index("-accel") + 1]

    return of


@pytest.mark.parametrize(
    ("version", "given"),
    [
        ((7, 2), "tcg,thread=single"),
        ((8, 1), "tcg,thread=single"),
        ((8, 2), "tcg"),
        ((10, 0), "tcg"),
    ],
)
def test_threads_are_as_many_as_the_version_has_safe_ones(
    accelerator: Callable[..., str], version: tuple[int, int], given: str
) -> None:
    assert accelerator(version, 2) == given
    assert accelerator(version, 1) == "tcg"


def test_another_program_in_its_place_is_asked_anew(accelerator: Callable[..., str], tmp_path: Path) -> None:
    assert accelerator((7, 2), 2) == "tcg,thread=single"
    # What it said is remembered: the same program is not asked for each machine.
    assert accelerator((10, 0), 2) == "tcg,thread=single"
    shutil.copy(tmp_path / "qemu", tmp_path / "another")
    (tmp_path / "another").replace(tmp_path / "qemu")
    assert accelerator((10, 0), 2) == "tcg"
