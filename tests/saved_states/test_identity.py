# SPDX-License-Identifier: Apache-2.0
"""Machines that go on from one saved state as different ones: generation identifiers and MAC addresses."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import applevz
from fixtures import Configure, MakeMachine
from guest_machine import PATIENCE, Guest
from processes import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Apple's platform has no generation identifier")

MACHINE = applevz.GenericMachineIdentifier.random()
FIRST = applevz.MACAddress("52:54:00:00:00:01")
SECOND = applevz.MACAddress("52:54:00:00:00:02")


def card(address: applevz.MACAddress) -> applevz.VirtioNetworkDeviceConfiguration:
    return applevz.VirtioNetworkDeviceConfiguration(applevz.NATNetworkDeviceAttachment(), mac_address=address)


def fields(addresses: tuple[applevz.MACAddress, ...], generation_identifier: bool = True) -> dict[str, Any]:
    platform = applevz.GenericPlatformConfiguration(MACHINE, generation_identifier=generation_identifier)
    # nopat: later kernels refuse `devmem` a mapping of another kind than that of the identifier's driver.
    return {"platform": platform, "network_devices": [card(address) for address in addresses], "words": "nopat"}


@pytest.fixture
def make(machine: MakeMachine) -> Callable[..., applevz.VirtualMachine]:
    return lambda *addresses, generation_identifier=True: machine(**fields(addresses, generation_identifier))


@pytest.fixture(scope="module")
def saved(configure: Configure, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("identity") / "machine.state"
    with applevz.VirtualMachine(configure(**fields((FIRST,)))) as vm:
        Guest(vm).start().run("word=kept")
        vm.suspend(timeout=PATIENCE, to=path)
    return path


def go_on(vm: applevz.VirtualMachine, path: Path) -> Guest:
    vm.restore_state(path, timeout=PATIENCE, private=True)
    vm.start(timeout=PATIENCE)
    return Guest(vm)


def generation(guest: Guest) -> str:
    """The identifier as the guest finds it in its memory, by way of its ACPI tables."""
    table = guest.run("hexdump -v -e '1/1 \"%02x\"' /sys/firmware/acpi/tables/SSDT")
    name = re.search("56474941" + "0c(.{8})", table)  # Name (VGIA, DWord)
    assert name, table
    address = int.from_bytes(bytes.fromhex(name[1]), "little") + 40
    words = [guest.run(f"devmem {address + 4 * word:#x} 32") for word in range(4)]
    assert all(re.fullmatch("0x[0-9A-F]{8}", word) for word in words), words
    return "".join(words)


def addresses(guest: Guest) -> list[str]:
    return guest.run("cat /sys/class/net/eth*/address").split()


def test_a_guest_finds_another_generation_at_each_start_and_each_restore(
    make: Callable[..., applevz.VirtualMachine], saved: Path
) -> None:
    vm = make(FIRST)
    found = [generation(Guest(vm).start())]
    vm.stop(timeout=PATIENCE)
    for _ in range(2):
        guest = go_on(vm, saved)
        found += [generation(guest), generation(guest)]
        vm.stop(timeout=PATIENCE)
    started, first, first_again, second, second_again = found
    assert first == first_again
    assert second == second_again
    assert len({started, first, second}) == 3


def test_clones_of_one_state_have_the_mac_addresses_that_they_are_given(
    make: Callable[..., applevz.VirtualMachine], saved: Path
) -> None:
    clones = [(go_on(make(address), saved), address) for address in (FIRST, SECOND)]
    for guest, address in clones:
        assert eventually(lambda guest=guest, address=address: addresses(guest) == [str(address)]), addresses(guest)  # type: ignore[misc]
        assert guest.run("echo $word") == "kept"
    # The one that was given another has a card that works, on its own network.
    guest = clones[1][0]
    guest.machine.console.write(b"dhcp\n")
    guest.machine.console.read_until(b"applevz guest: eth0 10.", timeout=PATIENCE)


def test_of_several_cards_those_are_exchanged_that_differ(
    make: Callable[..., applevz.VirtualMachine], tmp_path: Path
) -> None:
    third = applevz.MACAddress("52:54:00:00:00:03")
    path = tmp_path / "machine.state"
    vm = make(FIRST, SECOND)
    guest = Guest(vm).start()
    indexes = guest.run("cat /sys/class/net/eth0/ifindex /sys/class/net/eth1/ifindex").split()
    vm.suspend(timeout=PATIENCE, to=path)

    guest = go_on(make(FIRST, third), path)
    assert eventually(lambda: addresses(guest) == [str(FIRST), str(third)]), addresses(guest)
    now = guest.run("cat /sys/class/net/eth0/ifindex /sys/class/net/eth1/ifindex").split()
    assert now[0] == indexes[0]
    assert now[1] != indexes[1]


def test_a_machine_is_saved_with_its_new_address_once_the_guest_has_it(
    make: Callable[..., applevz.VirtualMachine], saved: Path, tmp_path: Path
) -> None:
    vm = make(SECOND)
    vm.restore_state(saved, timeout=PATIENCE)
    # The guest has not run since.
    with pytest.raises(applevz.InvalidVirtualMachineStateError, match="about to have its network cards exchanged"):
        vm.save_state(tmp_path / "early", timeout=PATIENCE)
    assert not (tmp_path / "early").exists()

    vm.start(timeout=PATIENCE)
    guest = Guest(vm)
    assert eventually(lambda: addresses(guest) == [str(SECOND)])
    vm.suspend(timeout=PATIENCE, to=tmp_path / "later")
    again = go_on(make(SECOND), tmp_path / "later")
    assert addresses(again) == [str(SECOND)]
    assert again.run("echo $word") == "kept"


def test_without_a_generation_identifier_another_address_is_refused_in_words(
    make: Callable[..., applevz.VirtualMachine], tmp_path: Path
) -> None:
    path = tmp_path / "machine.state"
    vm = make(FIRST, generation_identifier=False)
    vm.start(timeout=PATIENCE)
    vm.suspend(timeout=PATIENCE, to=path)
    with pytest.raises(applevz.RestoreError) as caught:
        make(SECOND, generation_identifier=False).restore_state(path, timeout=PATIENCE, private=True)
    assert f"networkDevices[0].MACAddress is {SECOND}" in str(caught.value)
    assert f"was made with {FIRST}" in str(caught.value)
    assert "generation identifier" in str(caught.value)


def test_a_generation_identifier_is_part_of_what_was_saved(
    make: Callable[..., applevz.VirtualMachine], saved: Path
) -> None:
    with pytest.raises(applevz.RestoreError, match=r"platform\.generationIdentifier is NO; .* was made with YES"):
        make(FIRST, generation_identifier=False).restore_state(saved, timeout=PATIENCE)


def test_what_is_no_boolean_is_refused(make: Callable[..., applevz.VirtualMachine]) -> None:
    with pytest.raises(applevz.InvalidArgumentTypeError, match="platform.generation_identifier"):
        make(FIRST, generation_identifier="yes")
