# SPDX-License-Identifier: Apache-2.0
"""The figures of a machine with a real guest: they are those of what the guest did."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import applevz
import applevz.aio
from applevz import MachineStatistics
from fixtures import Configure
from guest_machine import PATIENCE, with_agent
from processes import children

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="a Mac's framework tells nothing of what runs a machine"),
    pytest.mark.skipif(not applevz.capabilities.guest_agent, reason="this package was built without the agent"),
]

MIB = 1 << 20
DISK = 8 * MIB
PART = 64 << 10


@pytest.fixture(scope="module")
def configuration(
    configure: Configure, tmp_path_factory: pytest.TempPathFactory
) -> applevz.VirtualMachineConfiguration:
    folder = tmp_path_factory.mktemp("statistics")
    disks = []
    for name in ("read", "written"):
        applevz.create_disk_image(folder / name, DISK)
        disk = applevz.DiskImageStorageDeviceAttachment(folder / name, ephemeral=True)
        disks.append(applevz.VirtioBlockDeviceConfiguration(disk))
    card = applevz.VirtioNetworkDeviceConfiguration(applevz.NATNetworkDeviceAttachment(internet=False))
    return with_agent(
        configure(
            storage_devices=disks,
            network_devices=[card],
            memory_balloon_devices=[applevz.VirtioTraditionalMemoryBalloonDeviceConfiguration()],
        )
    )


@pytest.fixture(scope="module")
def machine(configuration: applevz.VirtualMachineConfiguration) -> Iterator[applevz.VirtualMachine]:
    with applevz.VirtualMachine(configuration) as machine:
        machine.start(timeout=PATIENCE)
        machine.guest.wait(timeout=PATIENCE)
        run(machine, "until [ -b /dev/vda ] && [ -b /dev/vdb ] && [ -d /sys/class/net/eth0 ]; do sleep 0.1; done")
        yield machine


def run(machine: applevz.VirtualMachine, command: str) -> None:
    machine.guest.run(command, shell=True, check=True, timeout=PATIENCE)


def taken(machine: applevz.VirtualMachine, fits: Callable[[MachineStatistics], object]) -> MachineStatistics:
    """The figures, once they are so: a guest's driver answers in its own time."""
    end = time.monotonic() + PATIENCE
    while not fits(found := machine.statistics(timeout=PATIENCE)):
        assert time.monotonic() < end, found
    return found


def test_disks_are_counted_each_by_itself(machine: applevz.VirtualMachine) -> None:
    before = machine.statistics(timeout=PATIENCE).disks
    run(machine, f"dd if=/dev/vda of=/dev/null bs={PART} count=16 iflag=direct")
    run(machine, f"dd if=/dev/zero of=/dev/vdb bs={PART} count=4 oflag=direct; sync /dev/vdb")
    first, second = (
        {name: after - earlier for name, after, earlier in zip(NAMES, values(one), values(other), strict=True)}
        for one, other in zip(machine.statistics(timeout=PATIENCE).disks, before, strict=True)
    )
    assert first["read_bytes"] == 16 * PART
    assert 1 <= first["read_operations"] <= 16 * PART // 512
    assert (first["written_bytes"], first["write_operations"]) == (0, 0)
    assert second["written_bytes"] == 4 * PART
    assert 1 <= second["write_operations"] <= 4 * PART // 512


NAMES = [field.name for field in dataclasses.fields(applevz.DiskStatistics)]


def values(disk: applevz.DiskStatistics) -> list[int]:
    found = dataclasses.astuple(disk)
    assert all(isinstance(value, int) for value in found)
    return list(found)


def test_a_guest_that_computes_takes_processor_time_and_time_goes_on(machine: applevz.VirtualMachine) -> None:
    before = machine.statistics(timeout=PATIENCE)
    run(machine, "i=0; while [ $i -lt 10000 ]; do i=$((i+1)); done")
    after = machine.statistics(timeout=PATIENCE)
    assert after.processor_time > before.processor_time
    assert after.uptime > before.uptime > 0
    assert after.memory_size == 256 * MIB
    # As the system tells it of one of the processes that this one runs.
    residents = [
        int(line.split()[1]) << 10
        for child in children()
        for line in Path(f"/proc/{child}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    ]
    assert any(abs(resident - after.memory_resident) < 64 * MIB for resident in residents)


def test_the_guest_tells_of_its_memory_by_its_balloon_and_gives_some_up(machine: applevz.VirtualMachine) -> None:
    before = taken(machine, lambda found: found.guest_memory_free is not None)
    assert before.balloon_size == 256 * MIB
    assert 0 < before.guest_memory_free <= before.guest_memory_total < 256 * MIB
    assert 0 < before.guest_memory_available < before.guest_memory_total
    (balloon,) = machine.memory_balloon_devices
    balloon.target_virtual_machine_memory_size = 192 * MIB
    try:
        after = taken(machine, lambda found: found.balloon_size == 192 * MIB)
        assert after.balloon_size == 192 * MIB
        taken(machine, lambda found: (found.guest_memory_free or before.guest_memory_free) < before.guest_memory_free)
    finally:
        balloon.target_virtual_machine_memory_size = 256 * MIB


def test_a_card_that_no_bridge_counts_is_counted_by_the_guest(machine: applevz.VirtualMachine) -> None:
    run(machine, "ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up")
    (before,) = machine.statistics(timeout=PATIENCE).networks
    run(machine, "arping -c 1 -w 5 -I eth0 10.0.2.2 > /dev/null")
    (after,) = machine.statistics(timeout=PATIENCE).networks
    assert after.told_by_guest
    assert after.sent_packets > before.sent_packets
    assert after.received_packets > before.received_packets
    assert after.sent_bytes - before.sent_bytes >= 42
    assert after.received_bytes > before.received_bytes


def test_a_paused_machine_tells_what_its_guest_does_not_and_a_stopped_one_nothing(
    machine: applevz.VirtualMachine,
) -> None:
    machine.pause(timeout=PATIENCE)
    paused = machine.statistics(timeout=PATIENCE)
    machine.resume(timeout=PATIENCE)
    assert paused.uptime is not None
    assert paused.disks[0].read_bytes is not None
    assert paused.guest_memory_total is paused.guest_memory_available is None
    assert paused.networks == (applevz.NetworkStatistics(),)


def test_one_that_does_not_run_has_no_figures(configuration: applevz.VirtualMachineConfiguration) -> None:
    nothing = MachineStatistics(
        uptime=None,
        processor_time=None,
        memory_size=256 * MIB,
        memory_resident=None,
        balloon_size=None,
        guest_memory_total=None,
        guest_memory_available=None,
        guest_memory_free=None,
        disks=(applevz.DiskStatistics(), applevz.DiskStatistics()),
        networks=(applevz.NetworkStatistics(),),
    )
    with applevz.VirtualMachine(configuration) as machine:
        assert machine.statistics(timeout=PATIENCE) == nothing
        machine.start(timeout=PATIENCE)
        assert machine.statistics(timeout=PATIENCE).uptime is not None
        machine.stop(timeout=PATIENCE)
        assert machine.statistics(timeout=PATIENCE) == nothing


def test_the_agent_tells_of_memory_where_there_is_no_balloon_in_both_faces(configure: Configure) -> None:
    async def use() -> MachineStatistics:
        async with applevz.aio.VirtualMachine(with_agent(configure())) as machine:
            await machine.start(timeout=PATIENCE)
            before = await machine.statistics(timeout=PATIENCE)
            assert before.guest_memory_total is None
            await machine.guest.wait(timeout=PATIENCE)
            return await machine.statistics(timeout=PATIENCE)

    found = asyncio.run(use())
    assert found.balloon_size is None
    assert 0 < found.guest_memory_available < found.guest_memory_total < found.memory_size
    assert found.guest_memory_free is None
    assert found.disks == found.networks == ()
