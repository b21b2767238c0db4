# SPDX-License-Identifier: Apache-2.0
"""Tests that do to a machine what nobody does to his own. Each has a machine of its own."""

from __future__ import annotations

from collections.abc import Callable

from applevz import VirtualMachine


def test_a_broken_configuration_is_seen(vm: VirtualMachine) -> None:
    vm.guest.write_text("/etc/service.conf", "port = eighty\n")
    checked = vm.guest.run("grep -E 'port = [0-9]+$' /etc/service.conf", shell=True, timeout=60)
    assert checked.returncode == 1


def test_nothing_is_left_of_what_another_test_did(vm: VirtualMachine) -> None:
    assert vm.guest.read_text("/etc/service.conf", timeout=60) == "port = 80\n"


def test_a_system_without_its_configuration(vm: VirtualMachine) -> None:
    vm.guest.run(["rm", "-rf", "/etc"], check=True, timeout=60)
    assert vm.guest.run(["ls", "/etc"], timeout=60).returncode != 0


def test_two_machines_are_apart(vm_factory: Callable[[], VirtualMachine]) -> None:
    first, second = vm_factory(), vm_factory()
    first.guest.write_text("/etc/service.conf", "port = 443\n", timeout=60)
    assert second.guest.read_text("/etc/service.conf", timeout=60) == "port = 80\n"
