# SPDX-License-Identifier: Apache-2.0
"""What every test may ask for: the default guest, prepared once, and machines that are stopped at the test's end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import applevz
from fixtures import Boot, Configure, MakeMachine, Script
from guest_machine import Guest
from places import GUEST_FILES, PREPARE_GUEST, SCRIPTED_QEMU

# The files that take longest, in this order: begun last, one of them would be waited for alone.
LONG = ("test_boots", "test_stateful", "test_embedding", "test_saved_states", "test_native_runtime")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture(scope="session")
def guest_files() -> Path:
    """The folder of the default guest's files. A Mac cannot make them."""
    if sys.platform == "darwin":
        pytest.skip("the default guest is made on Debian only")
    subprocess.run([sys.executable, PREPARE_GUEST, "--all"], check=True)
    return GUEST_FILES


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Ctrl-C is KeyboardInterrupt, also where the tests run in the background of a shell, which has them ignore it."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.fixture(scope="session")
def configure(guest_files: Path) -> Configure:
    """Makes a configuration of the default guest; what is given is added to it or replaces it."""

    def make(
        *, words: str = "", kernel: str = "vmlinux", command_line_additions: bool = True, **fields: Any
    ) -> applevz.VirtualMachineConfiguration:
        boot_loader = applevz.LinuxBootLoader(
            guest_files / kernel,
            initial_ramdisk=(guest_files / kernel).with_name("initrd.cpio.gz"),
            command_line=f"console=hvc0 quiet {words}".strip(),
            command_line_additions=command_line_additions,
        )
        return applevz.VirtualMachineConfiguration(boot_loader, **{"memory_size": "256MiB", **fields})

    return make


@pytest.fixture
def machine(configure: Configure) -> Iterator[MakeMachine]:
    """Makes a machine of `configure`'s configuration, stopped at first, and stops it at the test's end."""
    with ExitStack() as stack:
        yield lambda **fields: stack.enter_context(applevz.VirtualMachine(configure(**fields)))


@pytest.fixture
def boot(machine: MakeMachine) -> Boot:
    """Boots a machine of `configure`'s configuration."""
    return lambda **fields: Guest(machine(**fields)).start()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Has machines run on a QEMU that follows a script."""

    def use(**script: Any) -> None:
        monkeypatch.setenv("APPLEVZ_QEMU", str(SCRIPTED_QEMU))
        monkeypatch.setenv("APPLEVZ_QEMU_SCRIPT", json.dumps(script))

    return use
