# SPDX-License-Identifier: Apache-2.0
"""Figures that QEMU tells: what cannot be one is left out, and nothing that QEMU does keeps the others from coming."""

from __future__ import annotations

import json
import sys
import threading
import time
from itertools import zip_longest
from typing import Any

import pytest

import applevz
from applevz import DiskStatistics, VirtualMachineState
from applevz.testing import FakeGuest, FakeHypervisor
from fixtures import Configure, MakeMachine, Script
from guest_machine import PATIENCE, with_agent
from processes import children, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no QEMU under Apple's framework")

MIB = 1 << 20
STATS = {"rd_bytes": 1, "rd_operations": 2, "wr_bytes": 3, "wr_operations": 4, "flush_operations": 5}
WHOLE = DiskStatistics(1, 2, 3, 4, 5)


def answer(value: Any) -> str:
    return f'{{"return": {json.dumps(value)}, "id": %d}}\r\n'


REFUSED = '{"error": {"class": "GenericError", "desc": "no"}, "id": %d}\r\n'


def disk(**stats: Any) -> dict[str, Any]:
    return {"node-name": "disk0", "stats": {**STATS, **stats}}


@pytest.fixture
def fields(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    image = tmp_path_factory.mktemp("disk") / "image"
    applevz.create_disk_image(image, MIB)
    attachment = applevz.DiskImageStorageDeviceAttachment(image, read_only=True)
    balloon = applevz.VirtioTraditionalMemoryBalloonDeviceConfiguration()
    return {
        "storage_devices": [applevz.VirtioBlockDeviceConfiguration(attachment)] * 2,
        "memory_balloon_devices": [balloon],
    }


NONE = DiskStatistics()
DISKS: list[tuple[Any, tuple[DiskStatistics, DiskStatistics]]] = [
    ([disk(), {"node-name": "disk1", "stats": STATS}], (WHOLE, WHOLE)),
    ([disk(rd_bytes=-1, wr_bytes="3")], (DiskStatistics(None, 2, None, 4, 5), NONE)),
    ([disk(rd_bytes=1.5, wr_bytes=True)], (DiskStatistics(None, 2, None, 4, 5), NONE)),
    ([disk(rd_bytes=2**63 - 1, wr_bytes=2**63)], (DiskStatistics(2**63 - 1, 2, None, 4, 5), NONE)),
    ([disk(rd_bytes=10**40, wr_bytes=None)], (DiskStatistics(None, 2, None, 4, 5), NONE)),
    ([{"node-name": "disk0"}, {"node-name": "disk1", "stats": [1]}], (NONE, NONE)),
    ([{"node-name": 0, "stats": STATS}, {"stats": STATS}, 7, None, []], (NONE, NONE)),
    ([{"node-name": "disk2", "stats": STATS}, disk()], (WHOLE, NONE)),
    ({"node-name": "disk0", "stats": STATS}, (NONE, NONE)),
    ("disk0", (NONE, NONE)),
]


def test_what_is_no_figure_of_a_disk_is_left_out(machine: MakeMachine, script: Script, fields: dict[str, Any]) -> None:
    told = [answer(one) for one, _ in DISKS]
    script(answers={"query-blockstats": [*told, REFUSED], "query-balloon": REFUSED, "qom-get": REFUSED})
    vm = machine(**fields)
    vm.start(timeout=PATIENCE)
    for one, expected in [*DISKS, ("a refusal", (NONE, NONE))]:
        found = vm.statistics(timeout=PATIENCE)
        assert found.disks == expected, one
        # What the host itself counts.
        assert found.processor_time is not None
        assert found.memory_resident > 0


LATER = 2**62
GUEST = {"stat-total-memory": 200 * MIB, "stat-available-memory": 100 * MIB, "stat-free-memory": 50 * MIB}


TOLD: list[tuple[Any, tuple[int | None, ...]]] = [
    (GUEST, (200 * MIB, 100 * MIB, 50 * MIB)),
    # What a guest has not told, and what its machine has not got.
    ({**GUEST, "stat-free-memory": 2**64 - 1}, (200 * MIB, 100 * MIB, None)),
    ({**GUEST, "stat-total-memory": 257 * MIB}, (None, 100 * MIB, 50 * MIB)),
    ({**GUEST, "stat-available-memory": "1"}, (200 * MIB, None, 50 * MIB)),
]
SIZES: list[tuple[Any, int | None]] = [
    ({"actual": 128 * MIB}, 128 * MIB),
    ({"actual": -1}, None),
    ({"actual": 257 * MIB}, None),
    ({"actual": "1"}, None),
    ({"actual": 1.0}, None),
    ([], None),
]


def test_what_is_no_figure_of_a_guest_is_left_out(machine: MakeMachine, script: Script, fields: dict[str, Any]) -> None:
    told = [answer({"stats": one, "last-update": LATER}) for one, _ in TOLD]
    script(answers={"qom-get": [*told, REFUSED], "query-balloon": [answer(one) for one, _ in SIZES]})
    vm = machine(**fields)
    vm.start(timeout=PATIENCE)
    for (one, expected), (_, size) in zip_longest(TOLD, SIZES, fillvalue=("a refusal", (None, None, None))):
        found = vm.statistics(timeout=PATIENCE)
        assert (found.guest_memory_total, found.guest_memory_available, found.guest_memory_free) == expected, one
        assert found.balloon_size == size


@pytest.mark.parametrize("told", [{"stats": GUEST, "last-update": 1}, {"stats": [GUEST], "last-update": "now"}, []])
def test_what_a_guest_told_long_ago_is_no_figure(
    machine: MakeMachine, script: Script, fields: dict[str, Any], told: Any
) -> None:
    script(answers={"qom-get": answer(told), "qom-set": REFUSED})
    vm = machine(**fields)
    vm.start(timeout=PATIENCE)
    found = vm.statistics(timeout=PATIENCE)
    assert found.guest_memory_total is found.guest_memory_available is found.guest_memory_free is None


def test_the_latest_time_that_can_be_told_is_not_long_ago(
    machine: MakeMachine, script: Script, fields: dict[str, Any]
) -> None:
    script(answers={"qom-get": answer({"stats": GUEST, "last-update": 2**63 - 1}), "qom-set": REFUSED})
    vm = machine(**fields)
    vm.start(timeout=PATIENCE)
    assert vm.statistics(timeout=PATIENCE).guest_memory_total == 200 * MIB


def test_an_answer_that_does_not_come_ends_the_wait_and_no_machine(
    machine: MakeMachine, script: Script, fields: dict[str, Any]
) -> None:
    script(answers={"query-blockstats": ["", answer([disk()])], "qom-get": REFUSED})
    vm = machine(**fields)
    vm.start(timeout=PATIENCE)
    with pytest.raises(applevz.TimeoutError, match=r"figures were not there within 0\.2 s"):
        vm.statistics(timeout=0.2)
    assert vm.state is VirtualMachineState.RUNNING
    assert vm.statistics(timeout=PATIENCE).disks[0] == WHOLE
    vm.stop(timeout=PATIENCE)


@pytest.mark.parametrize("command", ["query-blockstats", "query-balloon", "qom-get"])
def test_a_qemu_that_ends_meanwhile_leaves_what_was_told_before(
    machine: MakeMachine, script: Script, fields: dict[str, Any], command: str
) -> None:
    script(answers={command: ""}, after={command: "kill"})
    vm = machine(**fields)
    vm.start(timeout=PATIENCE)
    found = vm.statistics(timeout=PATIENCE)
    assert found.processor_time is not None
    assert found.guest_memory_total is None
    with pytest.raises(applevz.InternalError):
        vm.wait(VirtualMachineState.STOPPED, timeout=PATIENCE)
    assert vm.statistics(timeout=PATIENCE).uptime is None


def test_a_guest_without_a_driver_is_asked_and_given_up(
    machine: MakeMachine, script: Script, fields: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    commands = tmp_path_factory.mktemp("commands") / "commands"
    script(commands=str(commands), answers={"qom-get": answer({"stats": GUEST, "last-update": 0})})
    vm = machine(**fields)
    vm.start(timeout=PATIENCE)
    assert vm.statistics(timeout=PATIENCE).guest_memory_total is None

    def asked() -> list[str]:
        words = commands.read_text().split()
        return words[words.index("qom-get") :]

    # Asked at once, looked at a few times, and asked no more, which nobody waits for.
    assert eventually(lambda: asked().count("qom-set") == 3, PATIENCE)
    assert 2 <= asked().count("qom-get") <= 10


def test_a_guest_s_answer_is_waited_for(machine: MakeMachine, script: Script, fields: dict[str, Any]) -> None:
    silent, told = ({"stats": GUEST, "last-update": moment} for moment in (0, int(time.time()) + 3600))
    script(answers={"qom-get": [answer(silent), answer(silent), answer(told)]})
    vm = machine(**fields)
    vm.start(timeout=PATIENCE)
    assert vm.statistics(timeout=PATIENCE).guest_memory_free == 50 * MIB


def test_a_machine_that_is_let_go_meanwhile_is_not_kept(
    configure: Configure, script: Script, fields: dict[str, Any]
) -> None:
    script(answers={"query-blockstats": ""})
    before = children()
    vm = applevz.VirtualMachine(configure(**fields))
    vm.start(timeout=PATIENCE)
    with pytest.raises(applevz.TimeoutError):
        vm.statistics(timeout=0)
    del vm
    assert eventually(lambda: children() <= before)


def test_there_are_figures_in_a_state_on_the_way_to_another(configure: Configure, fields: dict[str, Any]) -> None:
    with FakeHypervisor() as hypervisor, applevz.VirtualMachine(configure(**fields)) as vm:
        for verb, state in ((vm.start, "STARTING"), (vm.pause, "PAUSING"), (vm.resume, "RESUMING")):
            hypervisor.hold(verb.__name__)
            thread = threading.Thread(target=verb)
            thread.start()
            hypervisor.wait_held(verb.__name__)
            found = vm.statistics(timeout=PATIENCE)
            assert vm.state.name == state
            assert found.uptime is not None
            assert found.processor_time is not None
            hypervisor.release(verb.__name__)
            thread.join(PATIENCE)
        vm.stop(timeout=PATIENCE)
        assert vm.statistics(timeout=PATIENCE).uptime is None


# ---- What the agent tells ----

ADDRESS = "52:54:00:00:00:01"
CARD = applevz.NetworkStatistics(1, 2, 3, 4, told_by_guest=True)
UNKNOWN = applevz.NetworkStatistics()


def table(*lines: str) -> str:
    heads = "Inter-|   Receive  |  Transmit\n face |bytes    packets errs|bytes    packets errs\n"
    return heads + "".join(f"{line}\n" for line in lines)


LINE = "{}: {} 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0"


@pytest.mark.parametrize(
    ("total", "available", "net_dev", "address", "expected"),
    [
        (200 * MIB, 50 * MIB, table("lo: 9 9", LINE.format(" eth0", 1)), ADDRESS.upper(), (200 * MIB, 50 * MIB, CARD)),
        (257 * MIB, 0, table(LINE.format("eth0", 2**63)), ADDRESS, (None, None, UNKNOWN)),
        ("-1", "many", table(LINE.format("eth0", -1)), ADDRESS, (None, None, UNKNOWN)),
        (200 * MIB, 100 * MIB, table(LINE.format("eth0", 1)), "another card's", (200 * MIB, 100 * MIB, UNKNOWN)),
        (200 * MIB, 100 * MIB, table(LINE.format("../../../eth0", 1)), ADDRESS, (200 * MIB, 100 * MIB, UNKNOWN)),
        (200 * MIB, 100 * MIB, "\x00\xff" * 70_000, ADDRESS, (200 * MIB, 100 * MIB, UNKNOWN)),
    ],
)
def test_what_an_agent_tells_is_taken_if_it_can_be(
    configure: Configure,
    total: object,
    available: object,
    net_dev: str,
    address: str,
    expected: tuple[int | None, int | None, applevz.NetworkStatistics],
) -> None:
    guest = FakeGuest(
        information={"memory.total": str(total), "memory.available": str(available)},
        files={"/proc/net/dev": net_dev, "/sys/class/net/eth0/address": f"{address}\n"},
    )
    card = applevz.VirtioNetworkDeviceConfiguration(
        applevz.NATNetworkDeviceAttachment(), mac_address=applevz.MACAddress(ADDRESS)
    )
    with FakeHypervisor(guest), applevz.VirtualMachine(with_agent(configure(network_devices=[card]))) as vm:
        vm.start(timeout=PATIENCE)
        # Nobody is asked who has not answered.
        assert vm.statistics(timeout=PATIENCE).guest_memory_total is None
        vm.guest.wait(timeout=PATIENCE)
        found = vm.statistics(timeout=PATIENCE)
        assert (found.guest_memory_total, found.guest_memory_available, found.networks[0]) == expected
        assert found.guest_memory_free is None


def test_an_agent_that_has_gone_tells_nothing(configure: Configure) -> None:
    with FakeHypervisor() as hypervisor, applevz.VirtualMachine(with_agent(configure())) as vm:
        vm.start(timeout=PATIENCE)
        vm.guest.wait(timeout=PATIENCE)
        assert vm.statistics(timeout=PATIENCE).guest_memory_total is not None
        hypervisor.machine.panic()
        assert vm.statistics(timeout=PATIENCE).guest_memory_total is None
        assert vm.state is VirtualMachineState.RUNNING
