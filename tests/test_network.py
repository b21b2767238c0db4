# SPDX-License-Identifier: Apache-2.0
"""Networks over a datagram socket of the host program."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from guest_machine import PATIENCE, Guest
from processes import eventually, workers_end

import applevz
from applevz import aio

linux = pytest.mark.skipif(sys.platform != "linux", reason="the test's guest is made on Linux")

FIRST, SECOND = applevz.MACAddress("52:54:00:00:01:01"), applevz.MACAddress("52:54:00:00:01:02")


def pair():
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)


def card(handle, address=None, **fields):
    attachment = applevz.FileHandleNetworkDeviceAttachment(handle, **fields)
    return applevz.VirtioNetworkDeviceConfiguration(attachment, mac_address=address)


@linux
def test_two_guests_talk_through_the_host_program(boot):
    first, second = pair()
    with first, second:
        one = boot(network_devices=[card(first, FIRST)])
        other = boot(network_devices=[card(second.fileno(), SECOND)])
        # Nothing of the pair is needed here any more: the machines have descriptors of their own.
    one.run("ifconfig eth0 10.9.8.1 netmask 255.255.255.0 up")
    other.run("ifconfig eth0 10.9.8.2 netmask 255.255.255.0 up")
    assert "3 packets received" in one.run("ping -c 3 -W 20 10.9.8.2")
    assert other.run("arp -n | grep -o '52:54:00:00:01:01'") == "52:54:00:00:01:01"


@linux
def test_the_host_program_sees_frames_and_sends_them(boot):
    ours, theirs = pair()
    with ours:
        with theirs:
            guest = boot(network_devices=[card(theirs, FIRST, maximum_transmission_unit=4000)])
        assert guest.run("cat /sys/class/net/eth0/mtu") == "4000"
        guest.run("ifconfig eth0 10.9.8.1 netmask 255.255.255.0 up")
        ours.settimeout(PATIENCE)
        # Who has 10.9.8.1? The guest, which says so.
        sender = bytes.fromhex("525400000102")
        request = struct.pack(
            "!6s6sH HHBBH 6s4s6s4s",
            *(b"\xff" * 6, sender, 0x0806),
            *(1, 0x0800, 6, 4, 1),
            *(sender, socket.inet_aton("10.9.8.2"), bytes(6), socket.inet_aton("10.9.8.1")),
        )

        def answered():
            ours.send(request)
            frame = ours.recv(65536)
            return frame[:6] == sender and frame[12:14] == b"\x08\x06" and frame[20:22] == b"\x00\x02"

        assert eventually(answered)


@linux
def test_the_socket_stays_its_owner_s_and_every_duplicate_is_closed_once(configure):
    program = """
import os, socket, sys, time
from pathlib import Path
import applevz

def configuration(handle):
    card = applevz.VirtioNetworkDeviceConfiguration(applevz.FileHandleNetworkDeviceAttachment(handle))
    loader = applevz.LinuxBootLoader(sys.argv[1], None, "")
    return applevz.VirtualMachineConfiguration(loader, memory_size="256MiB", serial_ports=[], network_devices=[card])

ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
name = os.readlink(f"/proc/self/fd/{theirs.fileno()}")

def copies():
    links = Path("/proc/self/fd").iterdir()
    return sum(os.path.lexists(link) and os.readlink(link) == name for link in links)

for _ in range(5):
    configuration(theirs).validate()
assert copies() == 1
machine = applevz.VirtualMachine(configuration(theirs))
assert copies() == 2
machine.start(timeout=60)
machine.stop(timeout=60)
ours.send(b"still open")
assert theirs.recv(100) == b"still open"
del machine
end = time.monotonic() + 30
while copies() > 1 and time.monotonic() < end:
    time.sleep(0.01)
assert copies() == 1
"""
    kernel = os.fspath(configure().boot_loader.kernel)
    done = subprocess.run([sys.executable, "-c", program, kernel], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def small() -> socket.socket:
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.connect(("127.0.0.1", 9))
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 5000)
    return end


def sized(sending: int, receiving: int) -> socket.socket:
    """One end of a pair, with buffers of these sizes as setsockopt takes them."""
    end, other = pair()
    other.close()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sending)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receiving)
    return end


REFUSED = {
    "a stream": (lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), {}, "not a datagram socket"),
    "not connected": (lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), {}, "that is not connected"),
    "a file": (lambda: open("/dev/null", "rb"), {}, "which is not a socket's"),
    "a small buffer": (small, {"maximum_transmission_unit": 65535}, "does not hold a frame"),
    "a small receive buffer": (
        lambda: sized(100_000, 199_999),
        {},
        "whose receive buffer of 199999 bytes is less than twice its send buffer of 100000 bytes",
    ),
}


@linux
@pytest.mark.parametrize("kind", REFUSED)
def test_what_no_frames_go_through_is_refused_in_words(configure, kind):
    make, fields, words = REFUSED[kind]
    with make() as handle:
        with pytest.raises(applevz.InvalidVirtualMachineConfigurationError) as caught:
            configure(network_devices=[card(handle, **fields)]).validate()
        assert "networkDevices[0].attachment.fileHandle has descriptor" in str(caught.value)
        assert words in str(caught.value)


@linux
def test_buffers_of_twice_the_size_and_those_of_the_system_s_own_are_taken(configure):
    ours, theirs = pair()
    with ours, theirs, sized(100_000, 200_000) as twice, sized(50_000, 200_000) as four_times:
        for handle in (ours, twice, four_times):
            configure(network_devices=[card(handle)]).validate()


@pytest.mark.parametrize("unit", [0, 1499, 65536])
def test_a_unit_that_no_frame_has_is_refused_with_the_range(configure, unit):
    ours, theirs = pair()
    with ours, theirs, pytest.raises(applevz.InvalidArgumentError, match=f"transmission_unit is {unit}.*1500 to 65535"):
        configure(network_devices=[card(theirs, maximum_transmission_unit=unit)]).validate()


def test_a_descriptor_that_is_closed_is_refused_by_name(configure):
    with pytest.raises(applevz.Error, match="file_handle"):
        configure(network_devices=[card(10**6)]).validate()


# ---- Connections to a guest ----


@pytest.fixture
def server(boot):
    """A guest with an address, and on port 7 something that answers each line with "you said: " and that line."""
    guest = boot(network_devices=[applevz.VirtioNetworkDeviceConfiguration()])
    guest.machine.console.write(b"dhcp\n")
    guest.machine.console.read_until(b"applevz guest: eth0 10.", timeout=PATIENCE)
    guest.machine.console.read_until(b"guest# ", timeout=PATIENCE)
    script = r'#!/bin/sh\nwhile read line; do echo "you said: $line"; done; echo bye\n'
    guest.run(f"printf '{script}' > /server; chmod +x /server")
    guest.run("nc -ll -p 7 -e /server > /dev/null 2>&1 &")
    guest.run("until grep -q ':0007 ' /proc/net/tcp /proc/net/tcp6; do :; done")
    return guest


@linux
def test_a_guest_s_port_is_connected_to_and_both_directions_end_by_themselves(server):
    assert workers_end()
    before = len(os.listdir("/dev/fd"))
    with server.machine.connect(7, timeout=PATIENCE) as connection, connection.makefile("rw") as stream:
        stream.write("hello\n")
        stream.flush()
        assert stream.readline() == "you said: hello\n"
        connection.shutdown(socket.SHUT_WR)
        assert stream.readline() == "bye\n"
        assert stream.read() == ""
    assert workers_end()
    assert len(os.listdir("/dev/fd")) == before


@linux
def test_several_connections_at_once_are_each_their_own(server):
    with ThreadPoolExecutor(4) as pool:
        connections = list(pool.map(lambda _: server.machine.connect(7, timeout=PATIENCE), range(4)))
    for number, connection in enumerate(connections):
        connection.sendall(f"{number}\n".encode())
    for number, connection in enumerate(connections):
        with connection:
            connection.settimeout(PATIENCE)
            assert connection.recv(100) == f"you said: {number}\n".encode()


@linux
def test_a_port_where_nobody_listens_refuses_and_later_connections_come_through(server):
    with pytest.raises(applevz.NetworkError, match="port 9 refused") as caught:
        server.machine.connect(9, timeout=PATIENCE)
    assert isinstance(caught.value, ConnectionRefusedError)
    server.machine.connect(7, timeout=PATIENCE).close()


@linux
def test_a_guest_that_is_not_up_is_a_time_out_and_a_machine_that_ends_ends_the_wait(boot):
    guest = boot(network_devices=[applevz.VirtioNetworkDeviceConfiguration()])
    with pytest.raises(applevz.TimeoutError, match="port 7 did not answer within"):
        guest.machine.connect(7, timeout=0.3)
    stop = threading.Timer(0.3, lambda: guest.machine.shutdown(applevz.ShutdownPolicy.POWEROFF, timeout=PATIENCE))
    stop.start()
    with pytest.raises((applevz.NetworkError, applevz.OperationCancelledError)):
        guest.machine.connect(7, timeout=PATIENCE)
    stop.join()


@linux
def test_a_connection_is_awaited_by_a_loop_and_cancelling_it_leaves_nothing(configure, guest_files):
    async def talk() -> str:
        async with aio.VirtualMachine(configure(network_devices=[applevz.VirtioNetworkDeviceConfiguration()])) as vm:
            await vm.start(timeout=PATIENCE)
            await vm.console.read_until("guest# ", timeout=PATIENCE)
            await vm.console.write("dhcp\n")
            await vm.console.read_until("applevz guest: eth0 10.", timeout=PATIENCE)
            await vm.console.write("while :; do echo welcome | nc -l -p 7 > /dev/null; done &\n")
            waiting = asyncio.create_task(vm.connect(7, timeout=PATIENCE))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            while True:
                try:
                    connection = await vm.connect(7, timeout=PATIENCE)
                except applevz.NetworkError:
                    continue
                reader, writer = await asyncio.open_connection(sock=connection)
                line = await reader.readline()
                writer.close()
                await writer.wait_closed()
                if line:
                    return line.decode()

    assert asyncio.run(talk()) == "welcome\n"


@linux
def test_a_machine_that_is_not_running_or_has_no_network_says_so(machine):
    vm = machine(network_devices=[applevz.VirtioNetworkDeviceConfiguration()])
    with pytest.raises(applevz.InvalidVirtualMachineStateError, match="connect: the virtual machine is stopped"):
        vm.connect(7, timeout=PATIENCE)
    with pytest.raises(applevz.NotSupportedError, match="no network card with a VZNATNetworkDeviceAttachment"):
        machine().connect(7, timeout=PATIENCE)


@pytest.mark.parametrize("port", [0, -1, 65536, None, "7", True])
def test_what_is_no_port_is_refused_by_name(machine, port):
    with pytest.raises((applevz.InvalidArgumentError, applevz.InvalidArgumentTypeError), match="port is"):
        machine().connect(port)


# ---- Cables ----


def carrier(guest) -> str:
    return guest.run("cat /sys/class/net/eth0/carrier")


@linux
def test_a_cable_that_is_pulled_out_and_put_in_again_is_seen_by_the_guest(boot, tmp_path):
    identifier = applevz.GenericMachineIdentifier.random()
    fields = {
        "network_devices": [applevz.VirtioNetworkDeviceConfiguration(mac_address=FIRST)],
        "platform": applevz.GenericPlatformConfiguration(identifier),
    }
    guest = boot(**fields)
    vm = guest.machine
    (device,) = vm.network_devices
    guest.run("ifconfig eth0 up")
    assert device.connected
    assert eventually(lambda: carrier(guest) == "1")

    device.connected = False
    assert not vm.network_devices[0].connected
    assert eventually(lambda: carrier(guest) == "0")
    # What was saved without is restored with the cable that the other machine has.
    vm.suspend(timeout=PATIENCE, to=tmp_path / "state")
    vm.restore_state(tmp_path / "state", timeout=PATIENCE)
    vm.start(timeout=PATIENCE)
    assert eventually(lambda: carrier(guest) == "0")

    device.connected = True
    assert eventually(lambda: carrier(guest) == "1")
    assert [event.kind for event in taken(vm)].count(applevz.EventKind.NETWORK_DISCONNECTED) == 0


@linux
def test_what_cannot_be_connected_leaves_the_card_without_a_cable_and_says_why(machine):
    ours, theirs = pair()
    with ours, theirs:
        attachment = applevz.FileHandleNetworkDeviceAttachment(theirs, maximum_transmission_unit=4000)
        vm = machine(network_devices=[applevz.VirtioNetworkDeviceConfiguration(attachment)])
        (device,) = vm.network_devices
        assert device.attachment is attachment
        too_short = r"networkDevices\[0\]\.attachment takes frames of 1500 bytes, but the guest .* card as one of 4000"
        with pytest.raises(applevz.NetworkError, match=too_short):
            device.attachment = applevz.NATNetworkDeviceAttachment()
        assert device.attachment is None
        device.connected = True
        assert device.attachment is attachment
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            with pytest.raises(applevz.NetworkError, match="which is a socket but not a datagram socket") as caught:
                device.attachment = applevz.FileHandleNetworkDeviceAttachment(stream)
            assert caught.value.error.underlying is not None
        assert not device.connected
        events = taken(vm)
        assert [event.kind for event in events] == [applevz.EventKind.NETWORK_DISCONNECTED] * 2
        assert "frames of 1500" in str(events[0].error)
        with pytest.raises(applevz.InvalidArgumentTypeError, match="attachment is 'nat'"):
            device.attachment = "nat"
        other = applevz.FileHandleNetworkDeviceAttachment(ours, maximum_transmission_unit=5000)
        device.attachment = other
        assert device.attachment is other
        vm.start(timeout=PATIENCE)
        assert device.attachment is other
        assert taken(vm)[-1].kind is applevz.EventKind.STATE_CHANGED


@linux
def test_a_network_that_qemu_refuses_later_is_an_event_and_the_machine_goes_on(machine, script):
    script(answers={"getfd": '{"error": {"class": "GenericError", "desc": "no such luck"}, "id": %d}\n'})
    vm = machine(network_devices=[applevz.VirtioNetworkDeviceConfiguration()])
    vm.start(timeout=PATIENCE)
    (device,) = vm.network_devices
    ours, theirs = pair()
    with ours, theirs:
        device.attachment = applevz.FileHandleNetworkDeviceAttachment(theirs)
    while (event := vm.events.next(timeout=PATIENCE)).kind is not applevz.EventKind.NETWORK_DISCONNECTED:
        pass
    assert "getfd: no such luck" in str(event.error)
    assert device.attachment is None
    assert vm.state is applevz.VirtualMachineState.RUNNING


def taken(vm):
    events = []
    with suppress(applevz.TimeoutError):
        while True:
            events.append(vm.events.next(timeout=0))
    return events


@linux
def test_a_machine_that_is_started_without_a_cable_has_none(machine):
    vm = machine(network_devices=[applevz.VirtioNetworkDeviceConfiguration()])
    vm.network_devices[0].connected = False
    guest = Guest(vm).start()
    guest.run("ifconfig eth0 up")
    assert carrier(guest) == "0"


def test_a_cable_is_there_or_not(machine):
    vm = machine(network_devices=[applevz.VirtioNetworkDeviceConfiguration()])
    with pytest.raises(applevz.InvalidArgumentTypeError, match="connected"):
        vm.network_devices[0].connected = "yes"
    assert repr(vm.network_devices[0]) == "<NetworkDevice connected>"
    assert machine().network_devices == ()
