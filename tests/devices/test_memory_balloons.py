# SPDX-License-Identifier: Apache-2.0
"""The memory balloon: what its target does to a guest, and what is refused as one."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

import pytest

import applevz
from applevz import aio
from fixtures import Boot, Configure, MakeMachine
from guest_machine import PATIENCE, Guest
from processes import eventually

linux = pytest.mark.skipif(sys.platform != "linux", reason="the test's guest is made on Linux")

MIB = 1 << 20
BALLOON = (applevz.VirtioTraditionalMemoryBalloonDeviceConfiguration(),)


def memory_of(guest: Guest) -> int:
    """What the guest's kernel has to give out, in MiB."""
    return int(guest.run("sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")) >> 10


@linux
def test_a_guest_s_memory_follows_the_target(boot: Boot) -> None:
    guest = boot(memory_size="512MiB", memory_balloon_devices=BALLOON)
    (balloon,) = guest.machine.memory_balloon_devices
    whole = memory_of(guest)
    assert balloon.target_virtual_machine_memory_size == 512 * MIB

    balloon.target_virtual_machine_memory_size = "256MiB"
    assert balloon.target_virtual_machine_memory_size == 256 * MIB
    assert eventually(lambda: memory_of(guest) <= whole - 256), (whole, memory_of(guest))

    balloon.target_virtual_machine_memory_size = 512 * MIB
    assert eventually(lambda: memory_of(guest) == whole)


@linux
def test_a_target_that_was_set_before_the_start_holds_from_the_start_on(machine: MakeMachine) -> None:
    vm = machine(memory_size="512MiB", memory_balloon_devices=BALLOON)
    vm.memory_balloon_devices[0].target_virtual_machine_memory_size = "300.5MiB"
    assert vm.memory_balloon_devices[0].target_virtual_machine_memory_size == 300 * MIB
    for _ in range(2):
        guest = Guest(vm).start()
        assert eventually(lambda guest=guest: memory_of(guest) <= 300)  # type: ignore[misc]
        vm.stop(timeout=PATIENCE)


@pytest.mark.parametrize("target", [0, (4 * MIB) - 1, 512 * MIB + 1, 2**63])
def test_a_target_out_of_range_is_refused_with_the_range_and_changes_nothing(machine: MakeMachine, target: Any) -> None:
    vm = machine(memory_size="512MiB", memory_balloon_devices=BALLOON)
    (balloon,) = vm.memory_balloon_devices
    with pytest.raises(applevz.InvalidArgumentError) as caught:
        balloon.target_virtual_machine_memory_size = target
    assert f"target_virtual_machine_memory_size is {target} bytes" in str(caught.value)
    assert str(applevz.limits().minimum_memory_size) in str(caught.value)
    assert str(512 * MIB) in str(caught.value)
    assert balloon.target_virtual_machine_memory_size == 512 * MIB


@pytest.mark.parametrize("target", [None, 1.5, "much", True])
def test_what_is_no_size_is_refused_by_name(machine: MakeMachine, target: Any) -> None:
    (balloon,) = machine(memory_balloon_devices=BALLOON).memory_balloon_devices
    with pytest.raises((applevz.InvalidArgumentError, applevz.InvalidArgumentTypeError), match="^.*target_virtual"):
        balloon.target_virtual_machine_memory_size = target


def test_a_machine_without_a_balloon_has_none(machine: MakeMachine) -> None:
    assert machine().memory_balloon_devices == ()


def test_a_balloon_keeps_its_machine(configure: Configure) -> None:
    configuration = configure(memory_size="96MiB", memory_balloon_devices=BALLOON)
    (balloon,) = applevz.VirtualMachine(configuration).memory_balloon_devices
    gc.collect()
    assert balloon.target_virtual_machine_memory_size == 96 * MIB
    assert repr(balloon) == f"<VirtioTraditionalMemoryBalloonDevice {96 * MIB} bytes>"


def test_both_faces_have_the_same_balloons(configure: Configure) -> None:
    async def look() -> int:
        async with aio.VirtualMachine(configure(memory_size="256MiB", memory_balloon_devices=BALLOON)) as vm:
            vm.memory_balloon_devices[0].target_virtual_machine_memory_size = "128MiB"
            return vm.memory_balloon_devices[0].target_virtual_machine_memory_size

    assert asyncio.run(look()) == 128 * MIB
