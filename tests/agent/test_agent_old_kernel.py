# SPDX-License-Identifier: Apache-2.0
"""The package's agent on a kernel of 4.4: its tests once more, with all that came later refused."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator

import pytest

import old_kernel
from agent_again import again
from agent_on_this_host import PROGRAM, needs_agent
from agent_protocol import Speaker, agent_process

pytestmark = [
    *needs_agent,
    pytest.mark.skipif(platform.machine() not in old_kernel.PROCESSORS, reason="its system calls are not known"),
]

STARTER = [sys.executable, old_kernel.__file__]

globals().update(
    again(
        # It looks which program answers.
        without=["test_hello_says_who_is_there_and_what_was_ended"],
    )
)


@pytest.fixture
def agent() -> Iterator[Speaker]:
    with agent_process(PROGRAM, STARTER) as (port, process):
        yield Speaker(port)
        port.close()
        assert process.wait(20) == 0


def refusal(statement: str) -> str:
    program = f"import os\ntry:\n    {statement}\nexcept OSError as error:\n    print(error.errno)"
    return subprocess.run([*STARTER, sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_what_is_younger_is_refused_and_nothing_else() -> None:
    # Of 4.5, and with an argument of 4.14, each beside what was there before.
    assert refusal("os.copy_file_range(0, 1, 1)") == "38\n"
    assert refusal("os.memfd_create('name', 4)") == "22\n"
    assert refusal("os.memfd_create('name', 0)") == ""
    assert refusal("os.pread(os.open('/dev/zero', 0), 1, 0)") == ""
