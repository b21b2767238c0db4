# SPDX-License-Identifier: Apache-2.0
"""A real guest on a real machine: what it was given is what it sees, and it obeys."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import ShutdownPolicy, VirtualMachineState
from fixtures import Boot, Configure, MakeMachine
from guest_machine import PATIENCE, READY, Guest
from processes import eventually

MEBIBYTE = 1 << 20


def sparse_image(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def disk(path: Path, identifier: str | None = None, **options: Any) -> applevz.VirtioBlockDeviceConfiguration:
    attachment = applevz.DiskImageStorageDeviceAttachment(path, **options)
    return applevz.VirtioBlockDeviceConfiguration(attachment, block_device_identifier=identifier)


ADDRESS = "0a:12:34:56:78:9a"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("disks")


@pytest.fixture(scope="module")
def given(configure: Configure, folder: Path) -> Iterator[Guest]:
    """A guest that was given something of everything."""
    images = [sparse_image(folder / f"disk {i},=.img", (8 + i) * MEBIBYTE) for i in range(3)]
    with images[1].open("r+b") as file:
        file.seek(4096)
        file.write(b"from the host\n")
    configuration = configure(
        words='key="a b"',
        cpu_count=2,
        memory_size="384MiB",
        network_devices=[applevz.VirtioNetworkDeviceConfiguration(mac_address=ADDRESS)],
        storage_devices=[disk(images[0], "first"), disk(images[1], read_only=True), disk(images[2], "third")],
        entropy_devices=[applevz.VirtioEntropyDeviceConfiguration()],
        memory_balloon_devices=[applevz.VirtioTraditionalMemoryBalloonDeviceConfiguration()],
        serial_ports=[applevz.VirtioConsoleDeviceSerialPortConfiguration() for _ in range(2)],
    )
    with applevz.VirtualMachine(configuration) as machine:
        yield Guest(machine).start()


def test_the_guest_sees_the_processors_and_the_memory_that_it_was_given(given: Guest) -> None:
    assert given.run("nproc") == "2"
    (kibibytes,) = re.findall(r"MemTotal:\s+(\d+) kB", given.run("cat /proc/meminfo"))
    total = int(kibibytes) * 1024
    # The kernel keeps some for itself; less than 384 MiB, and more than the next smaller machine has.
    assert 320 * MEBIBYTE < total <= 384 * MEBIBYTE


def test_the_guest_finds_virtualization_in_its_processor_only_where_it_was_given(boot: Boot, given: Guest) -> None:
    # Without KVM it is emulated, so that every host of these tests has it, but one whose KVM was loaded without it.
    count = "grep -cwE 'vmx|svm' /proc/cpuinfo"
    assert given.run(count) == "0"
    if applevz.capabilities.nested_virtualization:
        guest = boot(platform=applevz.GenericPlatformConfiguration(nested_virtualization=True))
        assert guest.run(count) == "1"


def test_the_guest_sees_its_command_line_with_what_was_documented_added_to_it(given: Guest) -> None:
    added = applevz.command_line_additions()
    line = f'console=hvc0 quiet key="a b" {added}'.strip()
    assert given.run("cat /proc/cmdline") == line


def test_the_guest_sees_its_network_card_by_its_address_and_gets_a_lease(given: Guest) -> None:
    assert given.run("cat /sys/class/net/eth0/address") == ADDRESS
    assert re.fullmatch(r"applevz guest: eth0 \d+\.\d+\.\d+\.\d+", given.run("dhcp").splitlines()[-1])


def sees_its_disks(guest: Guest) -> None:
    sizes = guest.run("cat /sys/block/vd?/size").split()
    assert [int(size) * 512 for size in sizes] == [(8 + i) * MEBIBYTE for i in range(3)]
    assert guest.run("cat /sys/block/vda/serial; echo; cat /sys/block/vdc/serial").split() == ["first", "third"]
    assert guest.run("cat /sys/block/vd?/ro").split() == ["0", "1", "0"]


def test_the_guest_finds_its_disks_in_order_by_size_identifier_and_mode(
    given: Guest, boot: Boot, tmp_path: Path
) -> None:
    sees_its_disks(given)
    # On a PC, too, not on a microvm alone.
    images = [sparse_image(tmp_path / f"disk {i},=.img", (8 + i) * MEBIBYTE) for i in range(3)]
    disks = [disk(images[0], "first"), disk(images[1], read_only=True), disk(images[2], "third")]
    sees_its_disks(boot(storage_devices=disks, command_line_additions=False))


def test_what_the_guest_writes_to_its_disk_the_host_reads(given: Guest, folder: Path) -> None:
    given.run("yes pattern | head -c 65536 | dd of=/dev/vda bs=4096 seek=256 conv=notrunc; sync")

    content = (folder / "disk 0,=.img").read_bytes()
    assert content[MEBIBYTE : MEBIBYTE + 65536] == (b"pattern\n" * 8192)
    assert content.count(0) == len(content) - 65536


def test_what_the_host_wrote_to_the_disk_the_guest_reads(given: Guest) -> None:
    assert given.run("dd if=/dev/vdb bs=4096 skip=1 count=1 2>/dev/null | head -n 1") == "from the host"


def test_a_guest_that_asks_for_random_numbers_has_a_source_of_them(given: Guest) -> None:
    assert given.run("cat /sys/class/misc/hw_random/rng_current").startswith("virtio_rng")
    assert len(given.run("head -c 32 /dev/hwrng | md5sum").split()[0]) == 32


def test_a_memory_balloon_is_there_for_the_guest(given: Guest) -> None:
    assert "0x0005" in given.run("cat /sys/bus/virtio/devices/*/device").split()


def test_a_machine_has_as_many_consoles_as_serial_ports(given: Guest) -> None:
    first, second = given.machine.consoles

    assert first is given.console
    given.run("echo over the second > /dev/hvc1")
    assert second.read_until("\n", timeout=PATIENCE).strip() == b"over the second"


def test_a_paused_guest_is_silent_and_goes_on_when_it_is_resumed(boot: Boot) -> None:
    guest = boot()
    guest.console.write(b"beat\n")
    guest.console.read_until("beat 3\n", timeout=PATIENCE)

    guest.machine.pause(timeout=PATIENCE)
    assert guest.machine.state is VirtualMachineState.PAUSED
    # What it had printed may still be under way; what comes after that is what a paused guest must not print.
    written = b""
    while True:
        try:
            written += guest.console.read(timeout=0.3)
        except applevz.TimeoutError:
            break
    with pytest.raises(applevz.TimeoutError):
        guest.console.read(timeout=1.0)

    guest.machine.resume(timeout=PATIENCE)
    assert guest.machine.state is VirtualMachineState.RUNNING
    beats = re.findall(rb"beat (\d+)\n", written)
    following = int(beats[-1]) + 1 if beats else 4
    guest.console.read_until(b"beat %d\n" % following, timeout=PATIENCE)


def test_a_guest_that_is_asked_to_power_down_does(boot: Boot) -> None:
    guest = boot()

    guest.machine.shutdown(ShutdownPolicy.POWERDOWN, timeout=PATIENCE)

    assert guest.machine.state is VirtualMachineState.STOPPED
    assert guest.machine.stop_error is None


def test_a_guest_may_ignore_that_it_is_asked_and_is_stopped_all_the_same(boot: Boot) -> None:
    guest = boot(words="ignore_power_button")

    with pytest.raises(applevz.TimeoutError) as caught:
        guest.machine.shutdown(ShutdownPolicy.POWERDOWN, timeout=1.0)
    assert isinstance(caught.value, TimeoutError)
    assert guest.machine.state is VirtualMachineState.RUNNING
    assert guest.run("echo alive") == "alive"

    guest.machine.shutdown(ShutdownPolicy.HALT, timeout=PATIENCE)
    assert guest.machine.state is VirtualMachineState.STOPPED


def test_a_guest_is_stopped_without_being_asked(boot: Boot) -> None:
    guest = boot()
    guest.machine.stop(timeout=PATIENCE)

    assert guest.machine.state is VirtualMachineState.STOPPED
    assert guest.machine.stop_error is None


def test_the_guests_own_power_off_is_noticed(boot: Boot) -> None:
    guest = boot()
    guest.console.write(b"poweroff\n")

    assert guest.machine.wait(VirtualMachineState.STOPPED, timeout=PATIENCE) is VirtualMachineState.STOPPED
    assert guest.machine.stop_error is None
    # And the console says that nothing more comes, rather than waiting for it.
    rest = guest.console.read(timeout=PATIENCE)
    while rest:
        rest = guest.console.read(timeout=PATIENCE)


def test_a_guest_that_reboots_comes_back_on_the_same_machine(boot: Boot) -> None:
    guest = boot()
    guest.console.write(b"reboot\n")

    guest.console.read_until(READY, timeout=PATIENCE)
    assert guest.machine.state is VirtualMachineState.RUNNING


def test_a_machine_is_started_again_after_it_stopped_each_way(boot: Boot) -> None:
    guest = boot()
    guest.machine.shutdown(ShutdownPolicy.POWEROFF, timeout=PATIENCE)
    guest.start()
    guest.machine.shutdown(ShutdownPolicy.POWERDOWN, timeout=PATIENCE)
    guest.start()
    assert guest.run("echo again") == "again"


@pytest.mark.parametrize(("kernel", "additions"), [("vmlinuz", True), ("vmlinuz", False), ("vmlinux", False)], ids=str)
def test_each_form_of_the_kernel_boots_with_and_without_additions_to_its_command_line(
    boot: Boot, kernel: str, additions: bool
) -> None:
    guest = boot(kernel=kernel, command_line_additions=additions)

    line = guest.run("cat /proc/cmdline")
    assert ("tsc_early_khz" in line) is (additions and "tsc_early_khz" in applevz.command_line_additions())
    guest.machine.shutdown(ShutdownPolicy.POWERDOWN, timeout=PATIENCE)


def test_the_verbs_that_ask_for_a_result_do_nothing_where_it_is_there(boot: Boot) -> None:
    guest = boot()
    machine = guest.machine

    machine.start(timeout=PATIENCE)
    assert machine.state is VirtualMachineState.RUNNING
    machine.suspend(timeout=PATIENCE)
    machine.suspend(timeout=PATIENCE)
    assert machine.state is VirtualMachineState.PAUSED
    with pytest.raises(applevz.InvalidVirtualMachineStateTransitionError, match="paused"):
        machine.shutdown(ShutdownPolicy.POWERDOWN, timeout=PATIENCE)
    assert machine.state is VirtualMachineState.PAUSED
    machine.start(timeout=PATIENCE)
    assert machine.state is VirtualMachineState.RUNNING
    assert guest.run("echo resumed") == "resumed"
    machine.suspend(timeout=PATIENCE)
    for policy in (ShutdownPolicy.HALT, ShutdownPolicy.POWERDOWN, ShutdownPolicy.HALT, ShutdownPolicy.POWEROFF):
        machine.shutdown(policy, timeout=PATIENCE)
        assert machine.state is VirtualMachineState.STOPPED


def test_a_serial_port_writes_to_a_file_that_it_empties_or_goes_on_with(machine: MakeMachine, tmp_path: Path) -> None:
    log = tmp_path / "console,log=.txt"
    log.write_text("before\n")
    for append in (True, False):
        port = applevz.VirtioConsoleDeviceSerialPortConfiguration(applevz.FileSerialPortAttachment(log, append=append))
        vm = machine(serial_ports=[port], words="ignore_power_button")
        vm.start(timeout=PATIENCE)
        assert eventually(lambda: READY in log.read_bytes(), PATIENCE)
        vm.stop(timeout=PATIENCE)
        assert log.read_text().startswith("before\n") is append


def test_a_serial_port_over_one_socket_goes_both_ways(machine: MakeMachine) -> None:
    ours, guests = socket.socketpair()
    with ours, guests:
        attachment = applevz.FileHandleSerialPortAttachment(guests, guests)
        vm = machine(serial_ports=[applevz.VirtioConsoleDeviceSerialPortConfiguration(attachment)])
        ours.settimeout(PATIENCE)
        vm.start(timeout=PATIENCE)
        received = b""
        while b"guest# " not in received:
            received += ours.recv(4096)
        ours.sendall(b"echo $((6 * 7))\n")
        while b"42\n" not in received:
            received += ours.recv(4096)
        vm.stop(timeout=PATIENCE)


def test_a_descriptor_that_was_handed_over_stays_its_owners(machine: MakeMachine) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    attachment = applevz.FileHandleSerialPortAttachment(None, writing)
    vm = machine(serial_ports=[applevz.VirtioConsoleDeviceSerialPortConfiguration(attachment)])
    vm.start(timeout=PATIENCE)
    try:
        assert os.get_blocking(writing)
        assert os.get_blocking(reading)
        assert os.read(reading, 1)
    finally:
        vm.stop(timeout=PATIENCE)
        os.close(reading)
        os.close(writing)


def test_a_terminal_that_is_a_serial_port_does_not_become_qemus_own(machine: MakeMachine) -> None:
    master, slave = os.openpty()
    attachment = applevz.FileHandleSerialPortAttachment(slave, slave)
    vm = machine(serial_ports=[applevz.VirtioConsoleDeviceSerialPortConfiguration(attachment)])
    try:
        vm.start(timeout=PATIENCE)
        # The interrupt character: a program whose controlling terminal this were would be ended by it.
        os.write(master, b"\x03")
        vm.pause(timeout=PATIENCE)
        vm.resume(timeout=PATIENCE)
        os.close(slave)
        os.close(master)
        master = slave = -1
        vm.pause(timeout=PATIENCE)
        assert vm.state is VirtualMachineState.PAUSED
    finally:
        vm.shutdown(ShutdownPolicy.POWEROFF, timeout=PATIENCE)
        for descriptor in (master, slave):
            if descriptor >= 0:
                os.close(descriptor)


def test_a_fifo_without_another_end_does_not_hold_a_machine_up(machine: MakeMachine, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reading = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        attachment = applevz.FileHandleSerialPortAttachment(reading, None)
        vm = machine(serial_ports=[applevz.VirtioConsoleDeviceSerialPortConfiguration(attachment)])
        vm.start(timeout=PATIENCE)
        vm.stop(timeout=PATIENCE)
    finally:
        os.close(reading)


def test_a_guest_goes_on_where_the_handle_of_a_file_stands(machine: MakeMachine, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\nand after\n")
    with log.open("r+b", buffering=0) as writing:
        writing.seek(len("before\n"))
        attachment = applevz.FileHandleSerialPortAttachment(None, writing)
        vm = machine(serial_ports=[applevz.VirtioConsoleDeviceSerialPortConfiguration(attachment)])
        vm.start(timeout=PATIENCE)
        assert eventually(lambda: READY in log.read_bytes(), PATIENCE)
        vm.stop(timeout=PATIENCE)
        assert not fcntl.fcntl(writing, fcntl.F_GETFL) & os.O_APPEND
    assert log.read_bytes().startswith(b"before\n" + READY)
