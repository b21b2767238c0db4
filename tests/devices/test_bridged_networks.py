# SPDX-License-Identifier: Apache-2.0
"""Network cards that are ports of a bridge of the host's, in a network namespace of the test's own."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import applevz
from fixtures import Configure
from network_namespace import run

linux = pytest.mark.skipif(sys.platform != "linux", reason="bridges are those of Linux")


@pytest.fixture
def files(guest_files: Path) -> tuple[Path, Path]:
    return guest_files / "vmlinux", guest_files / "initrd.cpio.gz"


@linux
def test_a_guest_is_a_host_on_the_bridge_and_changes_networks_while_it_runs(files: tuple[Path, Path]) -> None:
    program = """
before = links()
assert applevz.capabilities.bridged_networks
(interface,) = applevz.bridged_network_interfaces()
assert (interface.identifier, interface.localized_display_name, str(interface)) == ("br0", None, "br0")
server = socket.create_server(("10.99.0.1", 7))

def answer():
    while True:
        connection, peer = server.accept()
        with connection:
            connection.sendall(b"welcome, " + peer[0].encode() + b"\\n")

threading.Thread(target=answer, daemon=True).start()
bridged = applevz.BridgedNetworkDeviceAttachment(interface)
with applevz.VirtualMachine(configuration(bridged)) as machine:
    (card,) = machine.network_devices
    guest = Guest(machine).start()
    guest.run("ifconfig eth0 10.99.0.2 netmask 255.255.255.0 up")
    assert guest.run("nc 10.99.0.1 7 < /dev/null") == "welcome, 10.99.0.2"
    (counted,) = machine.statistics(timeout=PATIENCE).networks
    assert counted.sent_packets > 3 and counted.received_packets > 3 and not counted.told_by_guest
    assert counted.sent_bytes > 3 * 60 and counted.received_bytes > len("welcome, 10.99.0.2")
    (tap,) = set(links()) - set(before)
    assert tap.startswith("applevz")
    assert "master br0" in ip("link", "show", tap)
    assert "link/ether fe:" in ip("link", "show", tap)

    # Another network, and nothing is left of this one.
    assert card.attachment is bridged
    other = applevz.NATNetworkDeviceAttachment()
    card.attachment = other
    assert card.attachment is other
    assert machine.network_devices[0].attachment is other
    assert eventually(lambda: links() == before)
    assert machine.statistics(timeout=PATIENCE).networks == (applevz.NetworkStatistics(),)
    guest.console.write(b"dhcp\\n")
    guest.console.read_until(b"applevz guest: eth0 10.", timeout=PATIENCE)
    guest.console.read_until(b"guest# ", timeout=PATIENCE)
    guest.run("while :; do echo by NAT | nc -l -p 7 > /dev/null; done &")
    # What listens there. The connection from before is there still, and has that number, too.
    guest.run("until grep -q ':0007 0*:0000 0A' /proc/net/tcp /proc/net/tcp6; do :; done")
    with machine.connect(7, timeout=PATIENCE) as connection:
        assert connection.recv(100) == b"by NAT\\n"

    # A relay of the host program's, with which nothing of QEMU's is left but the socket.
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    card.attachment = applevz.FileHandleNetworkDeviceAttachment(theirs)
    theirs.close()
    guest.run("arping -c 1 -w 1 -I eth0 10.99.0.9 > /dev/null")
    ours.settimeout(PATIENCE)
    assert eventually(lambda: ours.recv(2000)[38:42] == socket.inet_aton("10.99.0.9"))

    # Nobody reads on: what the guest sends piles up in the socket, and holds nothing up but that network.
    guest.run("arp -s 10.0.2.2 52:55:0a:00:02:02")
    guest.run("ping -i 0.02 -c 60 -w 1 -q 10.0.2.2")

    # Without a cable, and back on the bridge.
    card.attachment = None
    assert card.attachment is None and not card.connected
    assert eventually(lambda: guest.run("cat /sys/class/net/eth0/carrier") == "0")
    card.attachment = applevz.BridgedNetworkDeviceAttachment("br0")
    assert eventually(lambda: guest.run("cat /sys/class/net/eth0/carrier") == "1")
    guest.run("ifconfig eth0 10.99.0.3 netmask 255.255.255.0 up")
    assert guest.run("nc 10.99.0.1 7 < /dev/null") == "welcome, 10.99.0.3"
    assert machine.statistics(timeout=PATIENCE).networks[0].received_packets > 3
    machine.stop(timeout=PATIENCE)
    assert eventually(lambda: links() == before)
    # What was set last stays for the next start.
    machine.start(timeout=PATIENCE)
    assert eventually(lambda: len(links()) == len(before) + 1)
assert eventually(lambda: links() == before)
"""
    run(program, *files)


# Drops the privilege in this thread, before there is another; what it starts as root has it again.
WITHOUT_PRIVILEGE = """
import ctypes
CAP_NET_ADMIN = 12
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
sets = (ctypes.c_uint32 * 6)()
library = ctypes.CDLL(None, use_errno=True)
assert library.capget(header, sets) == 0
sets[0] &= ~(1 << CAP_NET_ADMIN)
sets[1] &= ~(1 << CAP_NET_ADMIN)
assert library.capset(header, sets) == 0, ctypes.get_errno()
"""


@linux
def test_without_the_privilege_a_bridge_is_refused_at_validation_with_what_would_do(files: tuple[Path, Path]) -> None:
    program = """
def refusal():
    try:
        configuration(applevz.BridgedNetworkDeviceAttachment("br0")).validate()
    except applevz.NotSupportedError as error:
        return error
    raise AssertionError("not refused")

os.environ["APPLEVZ_BRIDGE_HELPER"] = "/usr/bin/true"
error = refusal()
place = "networkDevices[0].attachment.interface is \\"br0\\". "
assert error.failure_reason.startswith(place + "Machines cannot be connected to a bridge on this host. This "), error
assert str(error).count("The operation is not supported.") == str(error).count("This process lacks") == 1, error
assert "CAP_NET_ADMIN), and \\"/usr/bin/true\\" has no privileges beyond this process's" in error.failure_reason, error
assert "/etc/qemu/bridge.conf" in error.recovery_suggestion
assert isinstance(error, PermissionError)
assert applevz.capabilities.bridged_networks.reason in error.failure_reason
os.environ["APPLEVZ_BRIDGE_HELPER"] = "/nonexistent/helper"
assert "\\"/nonexistent/helper\\" cannot be run: No such file or directory" in refusal().failure_reason
"""
    run(WITHOUT_PRIVILEGE + program, *files)


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="a helper with root's privileges is made by root")
def test_qemu_s_helper_makes_the_port_for_a_process_that_may_not_and_its_refusal_is_told(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    helper = Path("/usr/lib/qemu/qemu-bridge-helper")
    if not helper.exists():
        pytest.skip(f"{helper} is not installed")
    privileged = tmp_path / "helper"
    shutil.copy(helper, privileged)
    privileged.chmod(0o4755)
    program = """
from pathlib import Path
from processes import workers_end
etc = Path(sys.argv[4])
subprocess.run(["cp", "-a", "/etc/.", etc], check=True)
(etc / "qemu").mkdir(exist_ok=True)
rules = Path("/etc/qemu/bridge.conf")
subprocess.run(["mount", "--bind", etc, "/etc"], check=True)
rules.write_text("allow br0\\n")
os.environ["APPLEVZ_BRIDGE_HELPER"] = sys.argv[3]
before = links()
machine = applevz.VirtualMachine(configuration(applevz.BridgedNetworkDeviceAttachment("br0")))
with machine:
    machine.start(timeout=PATIENCE)
    (tap,) = set(links()) - set(before)
    assert tap.startswith("tap")
    assert "master br0" in ip("link", "show", tap)
    assert workers_end()
    descriptors = len(os.listdir("/proc/self/fd"))
    machine.stop(timeout=PATIENCE)
    assert eventually(lambda: links() == before)
    rules.write_text("deny br0\\n")
    try:
        machine.start(timeout=PATIENCE)
    except applevz.NetworkError as error:
        words = "The bridge is \\"br0\\". Making a tap device: Operation not permitted, and "
        assert words in error.failure_reason, error
        assert "says: access denied by acl file" in error.failure_reason, error
    else:
        raise AssertionError("not refused")
    assert machine.state is applevz.VirtualMachineState.STOPPED
    assert links() == before
    rules.write_text("allow br0\\n")
    machine.start(timeout=PATIENCE)
    assert workers_end()
    assert len(os.listdir("/proc/self/fd")) <= descriptors
"""
    etc = tmp_path / "etc"
    etc.mkdir()
    run(WITHOUT_PRIVILEGE + program, *files, privileged, etc, mounts=True)


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="a helper with root's privileges is made by root")
def test_a_machine_does_not_wait_for_the_helper(files: tuple[Path, Path], tmp_path: Path) -> None:
    helper = tmp_path / "helper"
    # A descriptor is all that QEMU's own would send. This one ends without, when it is told to.
    wait = "for i in $(seq 500); do [ ! -e go ] || break; sleep 0.02; done"
    helper.write_text(f"#!/bin/sh\ncd {tmp_path}; touch asked; {wait}; touch told; exit 1\n")
    helper.chmod(0o4755)
    program = """
from pathlib import Path
os.environ["APPLEVZ_BRIDGE_HELPER"] = sys.argv[3]
asked, go, told = (Path(sys.argv[3]).with_name(name) for name in ("asked", "go", "told"))
bridged = applevz.BridgedNetworkDeviceAttachment("br0")

# One that had been waited for would have been given up, and killed, before it is told to go on.
def answers_meanwhile(action):
    assert eventually(asked.exists)
    action()
    go.touch()
    assert eventually(told.exists)
    for path in (asked, go, told):
        path.unlink()

def is_starting():
    try:
        machine.request_stop()
    except applevz.InvalidVirtualMachineStateError as error:
        assert 'state "starting"' in str(error), error
    else:
        raise AssertionError("not refused")

failures = []
def start():
    try:
        machine.start(timeout=PATIENCE)
    except applevz.NetworkError as error:
        failures.append(error)

machine = applevz.VirtualMachine(configuration(bridged))
starting = threading.Thread(target=start)
starting.start()
answers_meanwhile(is_starting)
starting.join(PATIENCE)
assert "helper\\" says: nothing" in failures[0].failure_reason, failures

with applevz.VirtualMachine(configuration(applevz.NATNetworkDeviceAttachment())) as machine:
    (card,) = machine.network_devices
    guest = Guest(machine).start()
    guest.run("ifconfig eth0 up")
    # There is no network yet, and no cable.
    card.attachment = bridged
    answers_meanwhile(lambda: guest.run("until [ $(cat /sys/class/net/eth0/carrier) = 0 ]; do :; done"))
    assert eventually(lambda: card.attachment is None)
    card.attachment = bridged
    def obeys():
        machine.pause(timeout=PATIENCE)
        machine.resume(timeout=PATIENCE)
    answers_meanwhile(obeys)
    assert eventually(lambda: card.attachment is None)
    event = next(event for event in machine.events if event.kind is applevz.EventKind.NETWORK_DISCONNECTED)
    assert "says: nothing" in str(event.error), event
    # What comes after has its way.
    card.attachment = bridged
    assert eventually(asked.exists)
    card.attachment = applevz.NATNetworkDeviceAttachment()
    go.touch()
    assert eventually(told.exists)
    assert eventually(lambda: guest.run("cat /sys/class/net/eth0/carrier") == "1")
    assert card.connected
"""
    run(WITHOUT_PRIVILEGE + program, *files, helper)


@linux
def test_a_bridge_that_is_gone_is_named_when_the_machine_is_started(files: tuple[Path, Path]) -> None:
    program = """
with applevz.VirtualMachine(configuration(applevz.BridgedNetworkDeviceAttachment("br0"))) as machine:
    ip("link", "delete", "br0")
    try:
        machine.start(timeout=PATIENCE)
    except applevz.InvalidVirtualMachineConfigurationError as error:
        words = "networkDevices[0].attachment.interface is \\"br0\\", which is no bridge of this host"
        assert words in str(error), error
    else:
        raise AssertionError("not refused")
    assert not applevz.capabilities.bridged_networks
    assert "has no bridge" in applevz.capabilities.bridged_networks.reason
    ip("link", "add", "another", "type", "bridge")
    try:
        configuration(applevz.BridgedNetworkDeviceAttachment("br0")).validate()
    except applevz.InvalidArgumentError as error:
        assert "interface is \\"br0\\"" in str(error) and "The host has another." in error.recovery_suggestion, error
    else:
        raise AssertionError("not refused")
"""
    run(program, *files)


@pytest.mark.parametrize("interface", [None, 1, b"br0"])
def test_what_is_no_name_of_an_interface_is_refused_by_its_field(configure: Configure, interface: Any) -> None:
    card = applevz.VirtioNetworkDeviceConfiguration(applevz.BridgedNetworkDeviceAttachment(interface))
    with pytest.raises(applevz.InvalidArgumentTypeError, match=r"network_devices\[0\]\.attachment\.interface is"):
        configure(network_devices=[card]).validate()


@linux
def test_a_host_without_the_bridge_says_so(configure: Configure) -> None:
    card = applevz.VirtioNetworkDeviceConfiguration(applevz.BridgedNetworkDeviceAttachment("no such bridge"))
    with pytest.raises(applevz.Error, match='interface is "no such bridge"'):
        configure(network_devices=[card]).validate()
