# SPDX-License-Identifier: Apache-2.0
"""Boots in a row, all of them: an emulated machine that hangs now and then hangs here. `make bench` makes a hundred."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from guest_machine import PATIENCE, READY

import applevz

BOOTS = 12


@pytest.fixture
def busy_host() -> Iterator[None]:
    """Two processes that compute without end: an emulated timer is served late. All other tests boot without."""
    with ExitStack() as stack:
        for _ in range(2):
            spinner = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(spinner.kill)
        yield


@pytest.mark.timeout(BOOTS * 30)
@pytest.mark.usefixtures("busy_host")
def test_boots_in_a_row_all_come_up_on_a_busy_host(machine):
    vm = machine()
    for _ in range(BOOTS):
        vm.start(timeout=PATIENCE)
        vm.console.read_until(READY, timeout=PATIENCE)
        vm.shutdown(applevz.ShutdownPolicy.HALT, timeout=PATIENCE)
