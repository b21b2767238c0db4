# SPDX-License-Identifier: Apache-2.0
"""A kernel that dies before it has a driver for its console is heard on the early one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import EventKind, VirtualMachineState
from fixtures import Configure
from guest_machine import PATIENCE

pytestmark = pytest.mark.skipif(not applevz.capabilities.early_console, reason="this host has no early console")


def early(configuration: applevz.VirtualMachineConfiguration, **fields: Any) -> applevz.VirtualMachineConfiguration:
    assert isinstance(configuration.boot_loader, applevz.LinuxBootLoader)
    configuration.boot_loader = dataclasses.replace(configuration.boot_loader, early_console=True, **fields)
    return configuration


@pytest.mark.parametrize("additions", [True, False], ids=["microvm", "q35"])
def test_a_kernel_without_anything_to_run_says_why_it_dies(configure: Configure, additions: bool) -> None:
    words = "rdinit=/nonexistent init=/nonexistent"
    configuration = configure(words=words, command_line_additions=additions)
    with applevz.VirtualMachine(early(configuration, initial_ramdisk=None)) as vm:
        assert vm.consoles == (vm.console, vm.early_console)
        vm.start(timeout=PATIENCE)
        with pytest.raises(applevz.GuestPanickedError, match="root fs"):
            vm.wait(VirtualMachineState.STOPPED, timeout=PATIENCE, panic=True)
        event = vm.events.next(timeout=PATIENCE)
        while event.kind is not EventKind.GUEST_PANICKED:
            event = vm.events.next(timeout=PATIENCE)
        if b"root fs" in vm.console.peek():
            return  # this kernel has the driver built in, for this kind of machine
        vm.early_console.read_until("end Kernel panic", timeout=PATIENCE)
        with pytest.raises(applevz.TimeoutError, match=r"printed nothing so far\. On the early console: .*root fs"):
            vm.console.read(timeout=0)


@pytest.mark.skipif(not applevz.capabilities.guest_agent, reason="this package was built without the agent")
def test_an_agent_that_cannot_be_waited_for_fails_with_what_the_kernel_said(
    configure: Configure, guest_files: Path
) -> None:
    configuration = early(configure(words="root=/dev/nonesuch"), guest_agent=True)
    # An archive without a first program: the agent finds nothing to execute, and no driver for its port is loaded.
    assert isinstance(configuration.boot_loader, applevz.LinuxBootLoader)
    archive = guest_files / "agent.cpio.gz"
    configuration.boot_loader = dataclasses.replace(configuration.boot_loader, initial_ramdisk=archive)
    with applevz.VirtualMachine(configuration) as vm:
        vm.start(timeout=PATIENCE)
        with pytest.raises(applevz.GuestPanickedError, match="Kernel panic"):
            vm.guest.wait(timeout=PATIENCE)


def test_a_kernel_with_a_driver_goes_on_there(configure: Configure, tmp_path: Path) -> None:
    identifier = applevz.GenericMachineIdentifier.random()
    platform = applevz.GenericPlatformConfiguration(machine_identifier=identifier)
    configuration = configure(platform=platform)
    without = dataclasses.replace(configuration)
    with applevz.VirtualMachine(without) as vm, pytest.raises(applevz.InvalidStateError, match="early_console=True"):
        vm.early_console  # noqa: B018
    with applevz.VirtualMachine(early(configuration, command_line="console=hvc0")) as vm:
        vm.start(timeout=PATIENCE)
        vm.console.read_until("guest# ", timeout=PATIENCE)
        printed = vm.early_console.read_until("bootconsole", timeout=PATIENCE)
        assert b"Linux version" in printed
        vm.suspend(timeout=PATIENCE)
        vm.save_state(tmp_path / "state", timeout=PATIENCE)
        vm.stop(timeout=PATIENCE)
        vm.restore_state(tmp_path / "state", timeout=PATIENCE)
        vm.start(timeout=PATIENCE)
        vm.console.write("echo $((40 + 2))\n")
        vm.console.read_until("42", timeout=PATIENCE)
    with (
        applevz.VirtualMachine(without) as vm,
        pytest.raises(applevz.RestoreError, match="earlyConsole"),
    ):
        vm.restore_state(tmp_path / "state", timeout=PATIENCE)
