# SPDX-License-Identifier: Apache-2.0
"""Tests with the plugin of pytest, beside tests that boot a machine each: one run of pytest has both, in turn."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from ours import Ours
from rows import SMALL, Rows, Sizes
from subject import COMMAND_LINE, Subject

import applevz

# So many tests with the plugin come to one that boots: that takes long, and its figures differ by little.
TO_ONE_BOOT = 20
FIGURES = "figures.json"

_CONFTEST = f"""
import collections, json

took = collections.defaultdict(float)

def pytest_runtest_logreport(report):
    took[report.nodeid] += report.duration

def pytest_sessionfinish(session):
    with open({FIGURES!r}, "w", encoding="utf-8") as file:
        json.dump(took, file)
"""

# Each asks its guest the same. What was said of the guest is taken from the plugin's options.
_TESTS = """
import pytest
from applevz import VirtualMachine

def look(machine):
    assert machine.guest.run("echo $((6 * 7))", shell=True, timeout=600).stdout == b"42\\n"

def by_plugin(vm):
    look(vm)

def by_boot(vm_configuration):
    with VirtualMachine(vm_configuration()) as machine:
        machine.start(timeout=600)
        look(machine)

"""


def plugin(rows: Rows, subjects: list[Subject], sizes: Sizes) -> None:
    ours = next((subject for subject in subjects if isinstance(subject, Ours)), None)
    if ours is None or not (applevz.capabilities.guest_agent and applevz.capabilities.save_restore):
        return
    figures = run_tests(ours, ours.folder / "tests", sizes.tests)
    by_plugin = [took for name, took in figures.items() if "by_plugin" in name]
    by_boot = [took for name, took in figures.items() if "by_boot" in name]
    fresh = rows.row("test with a fresh machine of the plugin's")
    for took in by_plugin:
        fresh.add(ours, took * 1e3)
    # The first one's has the boot.
    rows.row(f"{len(by_plugin)} tests with the plugin and their one boot, each").add(
        ours, statistics.fmean(by_plugin) * 1e3
    )
    booted = rows.row(f"test that boots its own machine, {len(by_boot)} of them")
    for took in by_boot:
        booted.add(ours, took * 1e3)


def run_tests(ours: Ours, folder: Path, count: int) -> dict[str, float]:
    """What each test took, with what the plugin does before and after it, in seconds by its name."""
    folder.mkdir()
    tests = []
    for number in range(count):
        tests.append(f"def test_by_plugin_{number}(vm): by_plugin(vm)")
        if number % TO_ONE_BOOT == TO_ONE_BOOT - 1 or number == count - 1:
            tests.append(f"def test_by_boot_{number}(vm_configuration): by_boot(vm_configuration)")
    (folder / "conftest.py").write_text(_CONFTEST, encoding="utf-8")
    (folder / "test_machines.py").write_text(_TESTS + "\n".join(tests) + "\n", encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    # No other plugin of this environment has a part in it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_applevz", "-p", "no:cacheprovider"]
    command += [f"--applevz-kernel={ours.guest.kernel}", f"--applevz-initrd={ours.guest.initrd}"]
    command += [f"--applevz-command-line={COMMAND_LINE}", f"--applevz-memory={SMALL}MiB", "--applevz-timeout=600"]
    done = subprocess.run(
        [*command, f"--basetemp={folder / 'temporary'}"], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"The tests that are measured failed:\n{done.stdout}{done.stderr}")
    found: dict[str, float] = json.loads((folder / FIGURES).read_text(encoding="utf-8"))
    return found
