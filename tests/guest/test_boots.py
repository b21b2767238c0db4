# SPDX-License-Identifier: Apache-2.0
"""Boots in a row, all of them: an emulated machine that hangs now and then hangs here. `make test-long` makes more of
them, and `make bench` a hundred."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import applevz
from fixtures import MakeMachine
from guest_machine import PATIENCE, READY

MANY = 12


@pytest.fixture(params=["quiet", "busy"])
def host(request: pytest.FixtureRequest) -> Iterator[str]:
    """A busy one has two processes that compute without end, so that an emulated timer is served late. On a quiet
    one its interrupt comes soonest."""
    with ExitStack() as stack:
        for _ in range(2 if request.param == "busy" else 0):
            spinner = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(spinner.kill)
        yield request.param


@pytest.mark.timeout(MANY * 30, func_only=True)
@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("processors", [1, 2])
@pytest.mark.parametrize("boots", [2, pytest.param(MANY, marks=pytest.mark.long)])
def test_boots_in_a_row_all_come_up_on_a_quiet_and_on_a_busy_host(
    machine: MakeMachine, processors: int, boots: int
) -> None:
    vm = machine(cpu_count=processors)
    for _ in range(boots):
        vm.start(timeout=PATIENCE)
        vm.console.read_until(READY, timeout=PATIENCE)
        vm.shutdown(applevz.ShutdownPolicy.HALT, timeout=PATIENCE)
