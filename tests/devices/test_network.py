# SPDX-License-Identifier: Apache-2.0
"""Networks over a datagram socket of the host program."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

import applevz
import network_namespace
from applevz import aio
from fixtures import Boot, Configure, MakeMachine, Script
from guest_machine import PATIENCE, Guest
from processes import children, eventually, open_descriptors, workers_end

linux = pytest.mark.skipif(sys.platform != "linux", reason="the test's guest is made on Linux")

FIRST, SECOND = applevz.MACAddress("52:54:00:00:01:01"), applevz.MACAddress("52:54:00:00:01:02")


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)


def card(
    handle: Any, address: str | applevz.MACAddress | None = None, **fields: Any
) -> applevz.VirtioNetworkDeviceConfiguration:
    attachment = applevz.FileHandleNetworkDeviceAttachment(handle, **fields)
    return applevz.VirtioNetworkDeviceConfiguration(attachment, mac_address=address)


@linux
def test_two_guests_talk_through_the_host_program(boot: Boot) -> None:
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
def test_the_host_program_sees_frames_and_sends_them(boot: Boot) -> None:
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

        def answered() -> bool:
            ours.send(request)
            frame = ours.recv(65536)
            return frame[:6] == sender and frame[12:14] == b"\x08\x06" and frame[20:22] == b"\x00\x02"

        assert eventually(answered)


@linux
def test_the_socket_stays_its_owner_s_and_every_duplicate_is_closed_once(configure: Configure) -> None:
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


REFUSED: dict[str, tuple[Callable[[], Any], dict[str, Any], str]] = {
    "a stream": (lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), {}, "not a datagram socket"),
    "not connected": (lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), {}, "that is not connected"),
    "a file": (lambda: open("/dev/null", "rb"), {}, "which is not a socket's"),
}


@linux
@pytest.mark.parametrize("kind", REFUSED)
def test_what_no_frames_go_through_is_refused_in_words(configure: Configure, kind: str) -> None:
    make, fields, words = REFUSED[kind]
    with make() as handle:
        with pytest.raises(applevz.InvalidVirtualMachineConfigurationError) as caught:
            configure(network_devices=[card(handle, **fields)]).validate()
        assert "networkDevices[0].attachment.fileHandle has descriptor" in str(caught.value)
        assert words in str(caught.value)


def sizes(end: socket.socket) -> tuple[int, int]:
    """The buffers for sending and receiving, of which Linux tells twice what is asked for."""
    sending, receiving = (
        end.getsockopt(socket.SOL_SOCKET, option) // 2 for option in (socket.SO_SNDBUF, socket.SO_RCVBUF)
    )
    return sending, receiving


@linux
@pytest.mark.parametrize(("sending", "receiving"), [(0, 0), (5_000, 5_000), (100_000, 100_000), (100_000, 50_000)])
def test_the_machine_s_end_gets_room_for_frames_as_apple_recommends(
    configure: Configure, sending: int, receiving: int
) -> None:
    most_sent, most_received = (int(Path(f"/proc/sys/net/core/{name}mem_max").read_text()) for name in "wr")
    ours, theirs = pair()
    with ours, theirs:
        if sending:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sending)
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receiving)
        before, other = sizes(theirs), sizes(ours)
        configure(network_devices=[card(theirs)]).validate()
        now = sizes(theirs)
        assert now[1] == min(4 << 20, most_received)
        assert now[0] == max(before[0], min(1 << 20, now[1] // 2, most_sent))
        assert now[1] >= 2 * now[0]
        assert sizes(ours) == other


@linux
def test_room_that_was_there_is_not_taken_away(configure: Configure) -> None:
    with sized(1 << 19, 1 << 21) as handle:
        before = sizes(handle)
        configure(network_devices=[card(handle)]).validate()
        now = sizes(handle)
        assert now[0] >= before[0]
        assert now[1] >= before[1]


@linux
def test_a_frame_of_the_largest_unit_passes_a_socket_that_was_too_small_for_it(configure: Configure) -> None:
    with small() as handle:
        configure(network_devices=[card(handle, maximum_transmission_unit=65535)]).validate()
        handle.send(bytes(65507))  # the most that a datagram of the internet's holds


@linux
def test_room_is_made_for_a_network_that_a_machine_is_given_later(machine: MakeMachine) -> None:
    vm = machine(network_devices=[applevz.VirtioNetworkDeviceConfiguration()])
    ours, theirs = pair()
    with ours, theirs:
        before = sizes(theirs)
        vm.network_devices[0].attachment = applevz.FileHandleNetworkDeviceAttachment(theirs)
        assert sizes(theirs)[1] > before[1]


@pytest.mark.parametrize("unit", [0, 1499, 65536])
def test_a_unit_that_no_frame_has_is_refused_with_the_range(configure: Configure, unit: int) -> None:
    ours, theirs = pair()
    with ours, theirs, pytest.raises(applevz.InvalidArgumentError, match=f"transmission_unit is {unit}.*1500 to 65535"):
        configure(network_devices=[card(theirs, maximum_transmission_unit=unit)]).validate()


def test_a_descriptor_that_is_closed_is_refused_by_name(configure: Configure) -> None:
    with pytest.raises(applevz.Error, match="file_handle"):
        configure(network_devices=[card(10**6)]).validate()


# ---- Connections to a guest ----


@pytest.fixture(scope="module")
def server(configure: Configure) -> Iterator[Guest]:
    """A guest with an address, and on port 7 something that answers each line with "you said: " and that line."""
    configuration = configure(network_devices=[applevz.VirtioNetworkDeviceConfiguration()])
    with applevz.VirtualMachine(configuration) as machine:
        guest = Guest(machine).start()
        addressed(guest)
        serve(guest)
        yield guest


def serve(guest: Guest) -> None:
    script = r'#!/bin/sh\nwhile read line; do echo "you said: $line"; done; echo bye\n'
    guest.run(f"printf '{script}' > /server; chmod +x /server")
    guest.run("nc -ll -p 7 -e /server > /dev/null 2>&1 &")
    guest.run("until grep -q ':0007 0*:0000 0A' /proc/net/tcp /proc/net/tcp6; do :; done")


@linux
def test_a_guest_s_port_is_connected_to_and_both_directions_end_by_themselves(server: Guest) -> None:
    assert workers_end()
    before = open_descriptors()
    with server.machine.connect(7, timeout=PATIENCE) as connection, connection.makefile("rw") as stream:
        stream.write("hello\n")
        stream.flush()
        assert stream.readline() == "you said: hello\n"
        connection.shutdown(socket.SHUT_WR)
        assert stream.readline() == "bye\n"
        assert stream.read() == ""
    assert workers_end()
    assert open_descriptors() <= before


@linux
def test_several_connections_at_once_are_each_their_own(server: Guest) -> None:
    with ThreadPoolExecutor(4) as pool:
        connections = list(pool.map(lambda _: server.machine.connect(7, timeout=PATIENCE), range(4)))
    for number, connection in enumerate(connections):
        connection.sendall(f"{number}\n".encode())
    for number, connection in enumerate(connections):
        with connection:
            connection.settimeout(PATIENCE)
            assert connection.recv(100) == f"you said: {number}\n".encode()


@linux
def test_a_port_where_nobody_listens_refuses_and_later_connections_come_through(server: Guest) -> None:
    with pytest.raises(applevz.NetworkError, match="port 9 refused") as caught:
        server.machine.connect(9, timeout=PATIENCE)
    assert isinstance(caught.value, ConnectionRefusedError)
    server.machine.connect(7, timeout=PATIENCE).close()


@linux
def test_a_guest_that_is_not_up_is_a_time_out_and_a_machine_that_ends_ends_the_wait(boot: Boot) -> None:
    guest = boot(network_devices=[applevz.VirtioNetworkDeviceConfiguration()])
    with pytest.raises(applevz.TimeoutError, match="port 7 did not answer within"):
        guest.machine.connect(7, timeout=0.3)
    stop = threading.Timer(0.3, lambda: guest.machine.shutdown(applevz.ShutdownPolicy.POWEROFF, timeout=PATIENCE))
    stop.start()
    with pytest.raises((applevz.NetworkError, applevz.OperationCancelledError)):
        guest.machine.connect(7, timeout=PATIENCE)
    stop.join()


@linux
def test_a_connection_that_nobody_waits_for_any_more_is_given_up(boot: Boot) -> None:
    guest = boot(network_devices=[applevz.VirtioNetworkDeviceConfiguration()])
    before = open_descriptors()
    for _ in range(50):
        with pytest.raises(applevz.TimeoutError):
            guest.machine.connect(7, timeout=0.05)
    # Each would go on for a minute, with a descriptor.
    assert eventually(lambda: open_descriptors() <= before and ways_in() == [], seconds=20)


@pytest.fixture
def listeners() -> Iterator[dict[str, socket.socket]]:
    """What listens on this host's loopback addresses, by the command that reaches it from a guest with NAT."""
    with ExitStack() as stack:
        made = {}
        for family, here, address in ((socket.AF_INET, "127.0.0.1", "10.0.2.2"), (socket.AF_INET6, "::1", "fec0::2")):
            for kind, program in ((socket.SOCK_STREAM, "nc"), (socket.SOCK_DGRAM, "tftp -g -r any")):
                listener = stack.enter_context(socket.socket(family, kind))
                listener.bind((here, 0))
                listener.setblocking(False)
                if kind == socket.SOCK_STREAM:
                    listener.listen()
                made[f"{program} {address} {listener.getsockname()[1]}"] = listener
        yield made


def came(listener: socket.socket) -> bool:
    """Whether a connection or a datagram has come."""
    return bool(select.select([listener], [], [], 0)[0])


def reaches(guest: Guest, command: str, listener: socket.socket, expected: bool) -> bool:
    # Where nothing is to come, what a guest sends in three seconds of its own is enough.
    guest.run(f"timeout {PATIENCE if expected else 3} {command} < /dev/null > /dev/null 2>&1 &")
    if not expected:
        guest.run("wait")
        return came(listener)
    if not eventually(lambda: came(listener)):
        return False
    # The next one finds it empty.
    if listener.type == socket.SOCK_STREAM:
        listener.accept()[0].close()
    else:
        listener.recv(100)
    # busybox's timeout becomes the program itself, and has a child for the time.
    guest.run("killall nc tftp timeout; wait")
    return True


def reached(guest: Guest, listeners: dict[str, socket.socket]) -> list[str]:
    """By which of the commands the guest reaches a listener, of all at once."""
    for listener in listeners.values():
        # A datagram that was sent again, before its sender was ended.
        while listener.type == socket.SOCK_DGRAM and came(listener):
            listener.recv(100)
    commands = "".join(f"timeout 3 {command} < /dev/null > /dev/null 2>&1 & " for command in listeners)
    guest.run(f"{commands}wait")
    return [command for command, listener in listeners.items() if came(listener)]


def nat(internet: bool = True, host_access: bool = False) -> applevz.VirtioNetworkDeviceConfiguration:
    attachment = applevz.NATNetworkDeviceAttachment(internet, host_access)
    return applevz.VirtioNetworkDeviceConfiguration(attachment, FIRST)


def addressed(guest: Guest) -> None:
    guest.machine.console.write(b"dhcp\n")
    guest.machine.console.read_until(b"applevz guest: eth0 10.", timeout=PATIENCE)
    guest.machine.console.read_until(b"guest# ", timeout=PATIENCE)


isolating = pytest.mark.skipif(
    not applevz.capabilities.host_isolation, reason=f"{applevz.capabilities.host_isolation.reason}"
)


@linux
@isolating
def test_a_guest_reaches_what_listens_on_loopback_addresses_only_where_it_was_asked_for(
    boot: Boot, listeners: dict[str, socket.socket]
) -> None:
    guest = boot(network_devices=[nat(host_access=True)])
    assert not guest.machine.confinement & applevz.Confinement.HOST_ADDRESSES
    addressed(guest)
    for access in (True, False):
        if not access:
            guest.machine.network_devices[0].attachment = applevz.NATNetworkDeviceAttachment()
            assert eventually(lambda: carrier(guest) == "1")
        guest.run("until ip -6 addr show dev eth0 | grep fec0 | grep -qv tentative; do usleep 100000; done")
        if access:
            for command, listener in listeners.items():
                assert reaches(guest, command, listener, expected=True), command
        else:
            assert reached(guest, listeners) == []
        assert "default" in guest.run("ip -6 route")


@linux
@isolating
def test_a_machine_that_must_not_reach_its_host_is_given_no_network_that_does(machine: MakeMachine) -> None:
    policy = applevz.ConfinementPolicy(required=applevz.Confinement.HOST_ADDRESSES)
    vm = machine(network_devices=[nat(host_access=True)], confinement=policy)
    with pytest.raises(applevz.NotSupportedError, match="has a network with access to this host"):
        vm.start(timeout=PATIENCE)
    vm = machine(network_devices=[nat()], confinement=policy)
    vm.start(timeout=PATIENCE)
    (device,) = vm.network_devices
    with pytest.raises(applevz.NetworkError, match="required to reach no address of this host"):
        device.attachment = applevz.NATNetworkDeviceAttachment(host_access=True)
    assert device.attachment is None
    device.attachment = applevz.NATNetworkDeviceAttachment()
    assert device.connected


# In a network of its own, with a name server of its own at the address of systemd's, and another host beyond a cable.
NAMES_AND_HOSTS = r"""
import select, struct, tempfile

# The other host: this process's network has one end of the cable, its own the other.
OTHER = '''
import socket
listener = socket.create_server(("10.98.0.2", 80))
print("listening", flush=True)
while True:
    with listener.accept()[0] as connection:
        connection.sendall(b"the other host")
'''
ip("link", "add", "cable", "type", "veth", "peer", "name", "far")
ip("address", "add", "10.98.0.1/24", "dev", "cable")
ip("link", "set", "cable", "up")
there = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE)
there.stdout.readline()
ip("link", "set", "far", "netns", str(there.pid))
enter = ["nsenter", "--net", "--target", str(there.pid)]
subprocess.run([*enter, "ip", "address", "add", "10.98.0.2/24", "dev", "far"], check=True)
subprocess.run([*enter, "ip", "link", "set", "far", "up"], check=True)
other = subprocess.Popen([*enter, sys.executable, "-c", OTHER], stdout=subprocess.PIPE)
other.stdout.readline()

names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(("127.0.0.53", 53))

def answer_names():
    while True:
        question, sender = names.recvfrom(512)
        end = question.index(0, 12) + 5
        # An address for whatever is asked for, and nothing else.
        known = question[end - 4 : end - 2] == b"\0\1"
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton("10.98.0.2")
        header = question[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, known, 0, 0)
        names.sendto(header + question[12:end] + record * known, sender)

threading.Thread(target=answer_names, daemon=True).start()
with tempfile.NamedTemporaryFile("w") as servers:
    print("nameserver 127.0.0.53", file=servers, flush=True)
    os.chmod(servers.name, 0o644)
    subprocess.run(["mount", "--bind", servers.name, os.path.realpath("/etc/resolv.conf")], check=True)

    here = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        listener = socket.socket(socket.AF_INET, kind)
        listener.bind(("", 99))
        if kind == socket.SOCK_STREAM:
            listener.listen()
        here.append(listener)

    configured = configuration(applevz.NATNetworkDeviceAttachment())
    configured.confinement = applevz.ConfinementPolicy(required=applevz.Confinement.HOST_ADDRESSES)
    with applevz.VirtualMachine(configured) as machine:
        guest = Guest(machine).start()
        machine.console.write(b"dhcp\n")
        machine.console.read_until(b"applevz guest: eth0 10.", timeout=PATIENCE)
        machine.console.read_until(b"guest# ", timeout=PATIENCE)
        found = guest.run("nslookup other.example 10.0.2.3")
        assert "10.98.0.2" in found, found
        # What is there, too, and is no name server.
        addresses = ("10.0.2.2", "10.0.2.3", "10.98.0.1", "10.99.0.1")
        each = [f"timeout 3 nc {one} 99 < /dev/null & timeout 3 tftp -g -r any {one} 99 & " for one in addresses]
        said = guest.run("".join(each) + "wait")
        assert not select.select(here, [], [], 0)[0], said
        assert guest.run("nc 10.98.0.2 80 < /dev/null") == "the other host"
        machine.stop(timeout=PATIENCE)
other.kill()
there.kill()
"""


@linux
@isolating
def test_a_guest_reaches_other_hosts_and_the_host_s_name_server_and_not_the_host(guest_files: Path) -> None:
    network_namespace.run(NAMES_AND_HOSTS, guest_files / "vmlinux", guest_files / "initrd.cpio.gz", mounts=True)


@linux
def test_a_guest_without_internet_reaches_nothing(boot: Boot, listeners: dict[str, socket.socket]) -> None:
    guest = boot(network_devices=[nat(internet=False)])
    addressed(guest)
    # As one who knows the network does it by hand: nothing tells of a way out.
    assert "default" not in guest.run("ip route")
    guest.run("echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad; ip -6 addr add fec0::15/64 dev eth0")
    guest.run("route add default gw 10.0.2.2")
    assert reached(guest, listeners) == []
    assert "default" not in guest.run("ip -6 route")
    guest.run("nc -ll -p 7 -e /bin/cat > /dev/null 2>&1 &")
    guest.run("until grep -q ':0007 0*:0000 0A' /proc/net/tcp /proc/net/tcp6; do :; done")
    with guest.machine.connect(7, timeout=PATIENCE) as connection:
        connection.settimeout(PATIENCE)
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hello"


@linux
def test_a_network_without_internet_is_a_part_of_what_is_saved_and_can_be_exchanged_at_run_time(
    boot: Boot, machine: MakeMachine, listeners: dict[str, socket.socket], tmp_path: Path
) -> None:
    platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random())
    guest = boot(network_devices=[nat(False)], platform=platform)
    guest.run("ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up")
    command, listener = next(iter(listeners.items()))
    guest.machine.suspend(timeout=PATIENCE, to=tmp_path / "state")
    with pytest.raises(applevz.RestoreError, match=r"\.attachment is VZNAT\w+; .* made with VZNAT\w+ without internet"):
        machine(network_devices=[nat(True)], platform=platform).restore_state(tmp_path / "state", timeout=PATIENCE)
    guest.machine.restore_state(tmp_path / "state", timeout=PATIENCE)
    guest.machine.start(timeout=PATIENCE)
    assert not reaches(guest, command, listener, expected=False)
    for internet in (True, False):
        attachment = applevz.NATNetworkDeviceAttachment(internet, host_access=internet)
        guest.machine.network_devices[0].attachment = attachment
        assert eventually(lambda: carrier(guest) == "1")
        assert reaches(guest, command, listener, internet) is internet


@pytest.mark.parametrize("field", ["internet", "host_access"])
def test_what_a_network_reaches_is_true_or_false(configure: Configure, field: str) -> None:
    network = applevz.NATNetworkDeviceAttachment(**{field: "no"})  # type: ignore[arg-type]
    match = rf"network_devices\[0\]\.attachment\.{field} is 'no'"
    with pytest.raises(applevz.InvalidArgumentTypeError, match=match):
        configure(network_devices=[applevz.VirtioNetworkDeviceConfiguration(network)]).validate()


@linux
def test_a_network_without_a_way_out_has_none_to_the_host(configure: Configure) -> None:
    with pytest.raises(applevz.InvalidArgumentError, match="host_access is true, but internet is false") as caught:
        configure(network_devices=[nat(internet=False, host_access=True)]).validate()
    assert "network_devices[0].attachment" in str(caught.value)


def ways_in() -> list[str]:
    """Where the children of this process wait for connections by TCP."""
    own = set()
    for process in children():
        with suppress(OSError):
            own |= {os.readlink(link) for link in Path(f"/proc/{process}/fd").iterdir()}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [line[1] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in own]


@linux
def test_the_way_in_is_gone_long_before_a_guest_that_is_not_up_answers(boot: Boot) -> None:
    guest = boot(network_devices=[applevz.VirtioNetworkDeviceConfiguration()])
    with ThreadPoolExecutor(1) as pool:
        connecting = pool.submit(guest.machine.connect, 7, timeout=PATIENCE)
        time.sleep(0.5)
        assert eventually(lambda: ways_in() == [], seconds=10)
        assert not connecting.done()
        guest.machine.shutdown(applevz.ShutdownPolicy.POWEROFF, timeout=PATIENCE)
        with pytest.raises((applevz.NetworkError, applevz.OperationCancelledError)):
            connecting.result(timeout=PATIENCE)


@linux
def test_a_connection_leaves_no_way_in(server: Guest) -> None:
    with server.machine.connect(7, timeout=PATIENCE) as connection, connection.makefile("rw") as stream:
        assert ways_in() == []
        stream.write("hello\n")
        stream.flush()
        assert stream.readline() == "you said: hello\n"


@linux
@pytest.mark.parametrize("strangers", [0, 1, 3])
def test_who_comes_through_the_way_in_first_is_not_taken_for_this_connection(
    machine: MakeMachine, script: Script, strangers: int
) -> None:
    script(strangers=strangers)
    vm = machine(network_devices=[applevz.VirtioNetworkDeviceConfiguration()])
    vm.start(timeout=PATIENCE)
    if strangers == 0:
        with vm.connect(22, timeout=PATIENCE) as connection:
            assert connection.recv(100) == b"guest"
    else:
        with pytest.raises(applevz.NetworkError) as caught:
            vm.connect(22, timeout=PATIENCE)
        assert f"Another process of this host, of the user {os.getuid()}, came through" in caught.value.failure_reason
        assert "port 22" in caught.value.failure_reason
        assert isinstance(caught.value, ConnectionAbortedError)
    assert ways_in() == []


@linux
def test_a_connection_is_awaited_by_a_loop_and_cancelling_it_leaves_nothing(
    configure: Configure, guest_files: Path
) -> None:
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
def test_a_machine_that_is_not_running_or_has_no_network_says_so(machine: MakeMachine) -> None:
    vm = machine(network_devices=[applevz.VirtioNetworkDeviceConfiguration()])
    with pytest.raises(
        applevz.InvalidVirtualMachineStateError, match='state "stopped" is invalid for connecting to its guest'
    ):
        vm.connect(7, timeout=PATIENCE)
    with pytest.raises(applevz.NotSupportedError, match="no network card with a VZNATNetworkDeviceAttachment"):
        machine().connect(7, timeout=PATIENCE)


@pytest.mark.parametrize("port", [0, -1, 65536, None, "7", True])
def test_what_is_no_port_is_refused_by_name(machine: MakeMachine, port: Any) -> None:
    with pytest.raises((applevz.InvalidArgumentError, applevz.InvalidArgumentTypeError), match="port is"):
        machine().connect(port)


# ---- Cables ----


def carrier(guest: Guest) -> str:
    return guest.run("cat /sys/class/net/eth0/carrier")


@linux
def test_a_cable_that_is_pulled_out_and_put_in_again_is_seen_by_the_guest(boot: Boot, tmp_path: Path) -> None:
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
def test_what_cannot_be_connected_leaves_the_card_without_a_cable_and_says_why(machine: MakeMachine) -> None:
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
def test_a_network_that_qemu_refuses_later_is_an_event_and_the_machine_goes_on(
    machine: MakeMachine, script: Script
) -> None:
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


def taken(vm: applevz.VirtualMachine) -> list[applevz.Event]:
    events = []
    with suppress(applevz.TimeoutError):
        while True:
            events.append(vm.events.next(timeout=0))
    return events


@linux
def test_a_machine_that_is_started_without_a_cable_has_none(machine: MakeMachine) -> None:
    vm = machine(network_devices=[applevz.VirtioNetworkDeviceConfiguration()])
    vm.network_devices[0].connected = False
    guest = Guest(vm).start()
    guest.run("ifconfig eth0 up")
    assert carrier(guest) == "0"


def test_a_cable_is_there_or_not(machine: MakeMachine) -> None:
    vm = machine(network_devices=[applevz.VirtioNetworkDeviceConfiguration()])
    with pytest.raises(applevz.InvalidArgumentTypeError, match="connected"):
        vm.network_devices[0].connected = "yes"  # type: ignore[assignment]
    assert repr(vm.network_devices[0]) == "<NetworkDevice connected>"
    assert machine().network_devices == ()
