# SPDX-License-Identifier: Apache-2.0
"""Console devices: named ports, in which nothing is lost, whoever is slow and whatever happens to the machine."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import struct
import sys
import termios
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import (
    Console,
    EventKind,
    EventPort,
    FileHandleSerialPortAttachment,
    FileSerialPortAttachment,
    SpiceAgentPortAttachment,
    VirtioConsoleDeviceConfiguration,
    VirtioConsoleDeviceSerialPortConfiguration,
    VirtioConsolePortConfiguration,
    VirtualMachineState,
    aio,
)
from fixtures import Boot, Configure, MakeMachine
from guest_machine import PATIENCE, READY, Guest
from processes import children, eventually, open_descriptors, workers_end

linux = pytest.mark.skipif(sys.platform != "linux", reason="the test's guest is made on Linux")

MIB = 1 << 20
ODD = 'org.example.a b,c=d"é'


def node(port: int, device: int = 1) -> str:
    """The guest's name for a port. The devices count from the machine's serial port on, which is the first."""
    return f"/dev/vport{device}p{port + 1}"


def await_nodes(guest: Guest, *nodes: str) -> None:
    """They appear a moment after the driver."""
    for name in nodes:
        guest.run(f"while [ ! -c {name} ]; do usleep 1000; done")


# The guest's shell ends where something ends that it has in the background.
FOREVER = "exec sleep 1000000"


def send(guest: Guest, console: Console, place: str, data: bytes, expected: bytes | None = None) -> None:
    """Sends data through a port into the guest's file /data, which then is what is expected."""
    expected = data if expected is None else expected
    writer = threading.Thread(target=console.write, args=(data, PATIENCE), daemon=True)
    writer.start()
    guest.run(f"dd bs=64k count={len(expected) >> 16} iflag=fullblock of=/data <{place} 2>/dev/null")
    writer.join(PATIENCE)
    assert guest.run("crc32 /data").split()[0] == f"{zlib.crc32(expected):08x}"


def waiting(console: Console) -> int:
    """How many bytes of the guest's are there to be read."""
    with console._from_guest as descriptor:
        return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0])


def is_full(console: Console) -> bool:
    """Whether the guest's output waits for a reader: it is as much as the pipe takes."""
    with console._from_guest as descriptor:
        capacity = fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
    return waiting(console) > capacity - (1 << 16)


def own_memory(process: int | str) -> int:
    """What a process keeps in memory that is no file's, as a guest's memory is; in bytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def taken(vm: applevz.VirtualMachine) -> list[applevz.Event]:
    events = []
    with suppress(applevz.TimeoutError):
        while True:
            events.append(vm.events.next(timeout=0))
    return events


@pytest.fixture(scope="module")
def module_configuration(guest_files: Path) -> applevz.VirtualMachineConfiguration:
    return applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(guest_files / "vmlinux", guest_files / "initrd.cpio.gz", "console=hvc0 quiet"),
        memory_size="512MiB",
    )


@pytest.fixture(scope="module")
def guest(module_configuration: applevz.VirtualMachineConfiguration) -> Iterator[Guest]:
    """One that has all that the tests look at."""
    module_configuration.console_devices = [
        VirtioConsoleDeviceConfiguration(ports={"stream": None, ODD: None}),
        VirtioConsoleDeviceConfiguration(
            [
                VirtioConsolePortConfiguration(),
                VirtioConsolePortConfiguration("further console", is_console=True),
            ],
            maximum_port_count=5,
        ),
    ]
    with applevz.VirtualMachine(module_configuration) as vm:
        guest = Guest(vm).start()
        await_nodes(guest, node(0), node(1), node(0, 2), "/dev/hvc1")
        yield guest


# ---- What the guest sees ----


@linux
def test_a_guest_finds_the_ports_by_their_names_and_in_their_places(guest: Guest) -> None:
    names = guest.run("cd /sys/class/virtio-ports; for port in *; do echo $port=$(cat $port/name 2>/dev/null); done")
    assert names.splitlines() == [
        "vport0p0=",
        "vport1p1=stream",
        f"vport1p2={ODD}",
        "vport2p1=",
        "vport2p2=further console",
    ]
    first, second = guest.machine.console_devices
    assert [port.name for port in first.ports] == ["stream", ODD]
    assert [port.index for port in second.ports] == [0, 1]
    assert first.ports[ODD] is first.ports[1]
    assert first.ports["stream"].console is not first.ports[ODD].console
    assert repr(first.ports[0]) == "<VirtioConsolePort 0 'stream'>"
    assert guest.machine.consoles == (guest.console,)


@linux
def test_a_port_is_a_stream_in_both_directions(guest: Guest) -> None:
    port = guest.machine.console_devices[0].ports[ODD].console
    port.write("to the guest\n", timeout=PATIENCE)
    assert guest.run(f"read -r line <{node(1)}; echo $line") == "to the guest"
    guest.run(f"echo from the guest >{node(1)}")
    assert port.readline(timeout=PATIENCE) == b"from the guest\n"


@linux
def test_a_port_may_be_a_console_and_have_no_name(guest: Guest) -> None:
    ports = guest.machine.console_devices[1].ports
    guest.run(f"echo without a name >{node(0, 2)}")
    assert ports[0].console.readline(timeout=PATIENCE) == b"without a name\n"
    guest.run("exec 7<>/dev/hvc1; stty raw <&7; echo as a console >&7")
    assert ports[1].console.readline(timeout=PATIENCE) == b"as a console\n"


@linux
def test_the_opening_and_the_closing_of_a_port_are_events(guest: Guest) -> None:
    vm = guest.machine
    expected = EventPort(1, 0, None)

    def next_of_port() -> applevz.Event:
        while True:
            event = vm.events.next(timeout=PATIENCE)
            if event.port == expected:
                return event

    guest.run(f"exec 5>{node(0, 2)}")
    # What another test did there may be told only now.
    while (opened := next_of_port()).kind is not EventKind.PORT_OPENED:
        pass
    assert (opened.kind, opened.cause) == (EventKind.PORT_OPENED, applevz.EventCause.GUEST)
    assert opened.state is opened.state_before is VirtualMachineState.RUNNING
    guest.run("exec 5>&-")
    assert next_of_port().kind is EventKind.PORT_CLOSED
    # Faster than QEMU tells of: openings and closings still take turns, and the last is told.
    guest.run(f"for time in 1 2 3 4 5; do : >{node(0, 2)}; done; exec 5>{node(0, 2)}")
    for _ in range(3):
        assert next_of_port().kind is EventKind.PORT_OPENED
        guest.run("exec 5>&-")
        assert next_of_port().kind is EventKind.PORT_CLOSED
        guest.run(f"exec 5>{node(0, 2)}")
    guest.run("exec 5>&-")


# ---- Back-pressure ----


@linux
def test_a_hundred_megabytes_go_through_in_each_direction_whoever_is_slow(guest: Guest) -> None:
    vm, port = guest.machine, guest.machine.console_devices[0].ports["stream"].console
    data = os.urandom(MIB) * 100
    (qemu,) = children()
    gc.collect()
    before = own_memory(qemu), own_memory("self")

    send(guest, port, node(0), data)
    guest.run(f"(cat /data >{node(0)}; {FOREVER}) &")
    received, checked = 0, 0
    while received < len(data):
        if received >= checked:
            # The reader stops. So does the guest's writer, and nothing else.
            assert eventually(lambda: is_full(port), PATIENCE)
            if checked:
                vm.pause(timeout=PATIENCE)
                vm.resume(timeout=PATIENCE)
            assert guest.run("echo obeys") == "obeys"
            checked += 40 * MIB
        piece = port.read(MIB, timeout=PATIENCE)
        assert piece == data[received : received + len(piece)]
        received += len(piece)
    assert waiting(port) == 0
    after = own_memory(qemu), own_memory("self")
    # Of what QEMU has grown by, a part is the guest's code, translated.
    assert after[0] - before[0] < 50 * MIB, (before, after)
    assert after[1] - before[1] < 20 * MIB, (before, after)


@linux
def test_a_full_stream_goes_through_a_saved_state_without_loss(boot: Boot, tmp_path: Path) -> None:
    guest = boot(console_devices=[VirtioConsoleDeviceConfiguration({"out": None, "in": None})])
    vm = guest.machine
    out, into = (port.console for port in vm.console_devices[0].ports)
    expected = os.urandom(12 * MIB)
    await_nodes(guest, node(0), node(1))
    send(guest, into, node(1), expected)
    guest.run(f"mv /data /sent; (cat /sent >{node(0)}; {FOREVER}) &")
    # Whoever reads has it open already, and does not take anything yet.
    guest.run(f"exec 6<{node(1)}")
    data = os.urandom(16 * MIB)
    with pytest.raises(applevz.TimeoutError) as caught:
        into.write(data, timeout=1)
    accepted = int(str(caught.value).split(" of ")[0].split()[-1])
    assert 0 < accepted < len(data)
    assert eventually(lambda: is_full(out), PATIENCE)

    vm.pause(timeout=PATIENCE)
    received = bytearray()
    # The reader comes back while the machine stands still: it finds what was sent, and nothing of what is saved.
    while waiting(out):
        received += out.read(MIB, timeout=PATIENCE)
    vm.save_state(tmp_path / "state", timeout=PATIENCE)
    with pytest.raises(applevz.TimeoutError):
        out.read(timeout=0.2)
    vm.stop(timeout=PATIENCE)
    vm.restore_state(tmp_path / "state", timeout=PATIENCE)
    with pytest.raises(applevz.TimeoutError):
        out.read(timeout=0.2)
    # A state that was restored can be saved again before it runs.
    vm.save_state(tmp_path / "again", timeout=PATIENCE)
    vm.stop(timeout=PATIENCE)
    vm.restore_state(tmp_path / "again", timeout=PATIENCE, private=True)
    vm.resume(timeout=PATIENCE)
    while len(received) < len(expected):
        received += out.read(MIB, timeout=PATIENCE)
    assert received == expected

    send(guest, into, "&6", data[accepted:], data)
    assert EventKind.PORT_OPENED in [event.kind for event in taken(vm) if event.port == EventPort(0, 1, "in")]


@linux
def test_what_differs_in_the_ports_is_named_when_a_state_is_restored(machine: MakeMachine, tmp_path: Path) -> None:
    def devices(name: str = "stream", count: int | None = None, is_console: bool = False) -> dict[str, Any]:
        port = VirtioConsolePortConfiguration(name, is_console=is_console)
        return {"console_devices": [VirtioConsoleDeviceConfiguration([port], count)], "platform": platform}

    platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random())
    with machine(**devices()) as vm:
        vm.start(timeout=PATIENCE)
        vm.pause(timeout=PATIENCE)
        vm.save_state(tmp_path / "state", timeout=PATIENCE)
    differences = {
        r'consoleDevices\[0\].ports\[0\].name is "other".*"stream"': devices("other"),
        r"consoleDevices\[0\].ports\[0\].isConsole is YES.*NO": devices(is_console=True),
        r"consoleDevices\[0\].ports.maximumPortCount is 2.*1": devices(count=2),
        r"consoleDevices.count is 0.*1": {"platform": platform},
    }
    for words, fields in differences.items():
        with pytest.raises(applevz.RestoreError, match=words):
            machine(**fields).restore_state(tmp_path / "state", timeout=PATIENCE)
    vm = machine(**devices())
    vm.restore_state(tmp_path / "state", timeout=PATIENCE)
    assert vm.state is VirtualMachineState.PAUSED


# ---- The SPICE agent ----

# spice-protocol's vd_agent.h: a chunk for the client's port; in it a message of protocol 1 and type 6, of two words:
# whether the other side is to answer, and a bit for each capability.
ANNOUNCE_CAPABILITIES = struct.pack("<II IIQI II", 1, 28, 1, 6, 0, 8, 1, 0)
CLIPBOARD_BY_DEMAND = 1 << 5


@linux
def test_a_guest_s_spice_agent_is_answered_and_offered_the_clipboard_where_it_is_shared(boot: Boot) -> None:
    ports = [
        VirtioConsolePortConfiguration(name, attachment=SpiceAgentPortAttachment(shares))
        for name, shares in ((SpiceAgentPortAttachment.PORT_NAME, True), ("another", False))
    ]
    guest = boot(console_devices=[VirtioConsoleDeviceConfiguration(ports)])
    await_nodes(guest, node(0), node(1))
    assert guest.run("cat /sys/class/virtio-ports/vport1p1/name") == "com.redhat.spice.0"
    message = "".join(f"\\x{byte:02x}" for byte in ANNOUNCE_CAPABILITIES)

    def messages(place: str, count: int) -> list[tuple[int, ...]]:
        """The first messages that an agent gets that sends one itself."""
        length = len(ANNOUNCE_CAPABILITIES)
        answer = guest.run(
            f"exec 3<>{place}; printf '{message}' >&3; dd bs=1 count={count * length} <&3 2>/dev/null "
            "| hexdump -v -e '1/1 \"%02x\"'; exec 3>&-"
        )
        return list(struct.iter_unpack("<II IIQI II", bytes.fromhex(answer)))

    capabilities = []
    for place in (node(0), node(1)):
        received = messages(place, 1)
        if received[0][-2] == 1:
            # Later versions of QEMU announce theirs first, and ask for the agent's; the answer to its own comes then.
            received = messages(place, 2)
            assert [message[-2] for message in received] == [1, 0]
        for port, size, protocol, kind, _, _, _, found in received:
            assert (port, size, protocol, kind) == (1, 28, 1, 6)
            assert found == received[-1][-1]
        assert received[-1][-2] == 0
        capabilities.append(received[-1][-1])
    assert [bool(found & CLIPBOARD_BY_DEMAND) for found in capabilities] == [True, False]


@linux
def test_a_machine_with_a_spice_agent_s_port_cannot_be_saved_and_says_why(machine: MakeMachine, tmp_path: Path) -> None:
    port = VirtioConsolePortConfiguration(SpiceAgentPortAttachment.PORT_NAME, attachment=SpiceAgentPortAttachment())
    vm = machine(console_devices=[VirtioConsoleDeviceConfiguration([port])])
    words = (
        r"consoleDevices\[0\]\.ports\[0\]\.attachment is a VZSpiceAgentPortAttachment, whose state QEMU does not save"
    )
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=words):
        vm.configuration.validate_save_restore_support()
    vm.start(timeout=PATIENCE)
    vm.pause(timeout=PATIENCE)
    with pytest.raises(applevz.SaveError, match=words):
        vm.save_state(tmp_path / "state", timeout=PATIENCE)
    assert vm.state is VirtualMachineState.PAUSED
    assert not (tmp_path / "state").exists()


# ---- What is refused ----


def test_a_console_cannot_be_a_spice_agent_s(configure: Configure) -> None:
    port = VirtioConsolePortConfiguration(is_console=True, attachment=SpiceAgentPortAttachment())
    words = r"consoleDevices\[0\]\.ports\[0\]\.attachment is a VZSpiceAgentPortAttachment, and the port is a console"
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=words):
        configure(console_devices=[VirtioConsoleDeviceConfiguration([port])]).validate()


def test_a_serial_port_cannot_be_a_spice_agent_s(configure: Configure) -> None:
    port = VirtioConsoleDeviceSerialPortConfiguration(SpiceAgentPortAttachment())  # type: ignore[arg-type]
    words = r"serial_ports\[0\]\.attachment is a SpiceAgentPortAttachment"
    with pytest.raises(applevz.InvalidArgumentError, match=words):
        configure(serial_ports=[port]).validate()


def port_with(**fields: Any) -> list[VirtioConsoleDeviceConfiguration]:
    return [VirtioConsoleDeviceConfiguration([VirtioConsolePortConfiguration(**fields)])]


REFUSED = {
    "an empty name": (lambda: port_with(name=""), r"console_devices\[0\]\.ports\[0\]\.name is empty"),
    "a NUL": (lambda: port_with(name="a\0b"), r"console_devices\[0\]\.ports\[0\]\.name is .*NUL"),
    "no text": (lambda: port_with(name=b"bytes"), r"console_devices\[0\]\.ports\[0\]\.name is b'bytes'"),
    "a line break": (lambda: port_with(name="a\nb"), r"consoleDevices\[0\]\.ports\[0\]\.name is .*control character"),
    "a long name": (lambda: port_with(name="é" * 128), r"ports\[0\]\.name is .*takes 256 bytes"),
    "one name twice": (
        lambda: port_with(name="twice") + port_with(name="twice"),
        r'consoleDevices\[1\]\.ports\[0\]\.name is "twice", as is consoleDevices\[0\]\.ports\[0\]\.name',
    ),
    "no console": (lambda: port_with(is_console="yes"), r"console_devices\[0\]\.ports\[0\]\.is_console is 'yes'"),
    "no attachment": (lambda: port_with(attachment=5), r"console_devices\[0\]\.ports\[0\]\.attachment is 5"),
    "no choice": (
        lambda: port_with(attachment=SpiceAgentPortAttachment("yes")),  # type: ignore[arg-type]
        r"ports\[0\]\.attachment\.shares_clipboard is 'yes'",
    ),
    "a file that is missing": (
        lambda: port_with(attachment=FileSerialPortAttachment("/missing/file")),
        "/missing/file.*cannot be created",
    ),
    "no ports": (lambda: [VirtioConsoleDeviceConfiguration(5)], r"console_devices\[0\]\.ports is 5"),  # type: ignore[arg-type]
    "a port that is none": (
        lambda: [VirtioConsoleDeviceConfiguration(["x"])],  # type: ignore[list-item]
        r"console_devices\[0\]\.ports\[0\] is 'x'",
    ),
    "no device": (lambda: [None], r"console_devices\[0\] is None"),
    "no places": (lambda: [VirtioConsoleDeviceConfiguration([], 0)], r"maximum_port_count is 0.*Give a number from 1"),
    "too few places": (
        lambda: [VirtioConsoleDeviceConfiguration({"a": None, "b": None}, 1)],
        r"consoleDevices\[0\]\.ports\[1\] is beyond the device's last place: its maximumPortCount is 1",
    ),
    "too many places": (
        lambda: [VirtioConsoleDeviceConfiguration({}, 511)],
        r"consoleDevices\[0\]\.ports\.maximumPortCount is 511.*at most 510",
    ),
}


@linux
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_port_is_refused_in_words(configure: Configure, kind: str) -> None:
    make, words = REFUSED[kind]
    gc.collect()
    assert workers_end()
    before = open_descriptors()
    with pytest.raises(applevz.Error, match=f"(?s){words}") as caught:
        configure(console_devices=make()).validate()
    assert isinstance(
        caught.value,
        (
            applevz.InvalidArgumentError,
            applevz.InvalidArgumentTypeError,
            applevz.InvalidVirtualMachineConfigurationError,
        ),
    )
    del caught
    gc.collect()
    assert open_descriptors() <= before


def test_a_console_is_for_one_port(configure: Configure) -> None:
    console = Console()
    ports = {"a": console, "b": console}
    with pytest.raises(
        applevz.InvalidArgumentError, match=r"console_devices\[0\].ports\[1\].attachment is a Console that"
    ):
        configure(console_devices=[VirtioConsoleDeviceConfiguration(ports)]).validate()
    serial = [VirtioConsoleDeviceSerialPortConfiguration(console)]
    with pytest.raises(
        applevz.InvalidArgumentError, match=r"console_devices\[0\].ports\[0\].attachment is a Console that"
    ):
        configure(serial_ports=serial, console_devices=[VirtioConsoleDeviceConfiguration({"a": console})]).validate()
    other = aio.Console()
    with pytest.raises(applevz.InvalidArgumentTypeError, match=r"ports\[0\].attachment is .*a Console of applevz"):
        applevz.VirtualMachine(configure(console_devices=[VirtioConsoleDeviceConfiguration({"a": other})]))


def test_a_port_that_is_not_there_is_named(machine: MakeMachine) -> None:
    vm = machine(
        console_devices=[VirtioConsoleDeviceConfiguration({"a": None, "b": FileHandleSerialPortAttachment(1)})]
    )
    ports = vm.console_devices[0].ports
    assert len(ports) == 2
    with pytest.raises(applevz.InvalidArgumentError, match="no port with the name 'c'.*'a', 'b'"):
        _ = ports["c"]
    with pytest.raises(applevz.InvalidArgumentError, match="no port at 2.*2 ports"):
        _ = ports[2]
    with pytest.raises(applevz.InvalidStateError, match="VirtioConsolePort 1 'b'> has no console"):
        _ = ports["b"].console
    assert machine().console_devices == ()


def test_machines_that_are_made_and_dropped_leave_no_descriptor(configure: Configure) -> None:
    configuration = configure(console_devices=[VirtioConsoleDeviceConfiguration({"a": None, "b": None})])
    applevz.VirtualMachine(configuration)
    gc.collect()
    before = open_descriptors()
    for _ in range(50):
        vm = applevz.VirtualMachine(configuration)
        assert len(vm.console_devices[0].ports) == 2
        del vm
        with pytest.raises(applevz.Error):
            configure(console_devices=[VirtioConsoleDeviceConfiguration({"a": None, "": None})]).validate()
    # A worker that is idle keeps a pipe of Foundation's for a while.
    assert eventually(lambda: gc.collect() >= 0 and open_descriptors() <= before)


# ---- asyncio ----


@linux
def test_a_port_s_console_is_awaited_where_the_machine_is(configure: Configure) -> None:
    async def talk() -> None:
        configuration = configure(console_devices=[VirtioConsoleDeviceConfiguration({"stream": None})])
        async with aio.VirtualMachine(configuration) as vm:
            await vm.start(timeout=PATIENCE)
            await vm.console.read_until(READY, timeout=PATIENCE)
            port = vm.console_devices[0].ports["stream"].console
            assert isinstance(port, aio.Console)
            # Both at once, in one task each: more than any buffer holds.
            data = os.urandom(3 * MIB)
            await vm.console.write(
                f"while [ ! -c {node(0)} ]; do usleep 1000; done; exec 5<>{node(0)}; cat <&5 >&5 &\n"
            )
            writing = asyncio.create_task(port.write(data, timeout=PATIENCE))
            received = bytearray()
            while len(received) < len(data):
                received += await port.read(timeout=PATIENCE)
            await writing
            assert received == data
            async for event in vm.events:
                if event.kind is EventKind.PORT_OPENED:
                    assert event.port == EventPort(0, 0, "stream")
                    break

    asyncio.run(talk())
