# SPDX-License-Identifier: Apache-2.0
"""The agent of arm64 guests, on a processor of QEMU's user mode: its tests once more. What it starts are programs of
this host."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_again import again
from agent_builds import FIRST_BUILD, build_for
from agent_protocol import Speaker, agent_process
from places import ROOT

EMULATOR = "qemu-aarch64"

pytestmark = [
    pytest.mark.timeout(FIRST_BUILD),
    pytest.mark.skipif(shutil.which(EMULATOR) is None, reason=f"{EMULATOR} is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="ziglang is not installed"),
]

globals().update(
    again(
        without=[
            # It looks which program answers.
            "test_hello_says_who_is_there_and_what_was_ended",
            # So does this one at the name of its processor.
            "test_information",
            # The emulator keeps signals of the C library for itself: one that whoever started it ignores, as make
            # does, stays ignored.
            "test_a_process_finds_signals_limits_and_descriptors_as_if_nothing_had_been_there",
            # The emulator has no vfork: the child has memory of its own, and what it says there of an execution that
            # failed never comes to the agent.
            "test_what_never_ran_says_why",
            "test_why_a_quiet_process_never_ran_or_was_killed_is_told_apart",
        ],
    )
)


@pytest.fixture(scope="module")
def program() -> Path:
    return build_for("aarch64", ROOT / "build" / "tests" / "arm64" / "guest-agent")


@pytest.fixture
def agent(program: Path) -> Iterator[Speaker]:
    with agent_process(program, [EMULATOR]) as (port, process):
        yield Speaker(port)
        port.close()
        assert process.wait(20) == 0


def test_it_says_its_version(program: Path) -> None:
    import applevz

    told = subprocess.run([EMULATOR, program, "--version"], capture_output=True, text=True, check=True).stdout
    assert told == f"{applevz.__version__}\n"
