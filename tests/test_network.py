# SPDX-License-Identifier: Apache-2.0
"""Networks over a datagram socket of the host program."""

from __future__ import annotations

import os
import socket
import struct
import sys

import pytest
from guest_machine import PATIENCE
from processes import eventually

import applevz

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


def test_the_socket_stays_its_owner_s_and_every_duplicate_is_closed_once(machine, configure):
    ours, theirs = pair()
    with ours, theirs:
        before = len(os.listdir("/dev/fd"))
        configuration = configure(network_devices=[card(theirs)])
        for _ in range(5):
            configuration.validate()
        assert len(os.listdir("/dev/fd")) == before
        vm = machine(network_devices=[card(theirs)])
        assert len(os.listdir("/dev/fd")) > before
        vm.start(timeout=PATIENCE)
        vm.stop(timeout=PATIENCE)
        ours.send(b"still open")
        assert theirs.recv(100) == b"still open"


def small() -> socket.socket:
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.connect(("127.0.0.1", 9))
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 5000)
    return end


REFUSED = {
    "a stream": (lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), {}, "not a datagram socket"),
    "not connected": (lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), {}, "that is not connected"),
    "a file": (lambda: open("/dev/null", "rb"), {}, "which is not a socket's"),
    "a small buffer": (small, {"maximum_transmission_unit": 65535}, "does not hold a frame"),
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


@pytest.mark.parametrize("unit", [0, 1499, 65536])
def test_a_unit_that_no_frame_has_is_refused_with_the_range(configure, unit):
    ours, theirs = pair()
    with ours, theirs, pytest.raises(applevz.InvalidArgumentError, match=f"transmission_unit is {unit}.*1500 to 65535"):
        configure(network_devices=[card(theirs, maximum_transmission_unit=unit)]).validate()


def test_a_descriptor_that_is_closed_is_refused_by_name(configure):
    with pytest.raises(applevz.Error, match="file_handle"):
        configure(network_devices=[card(10**6)]).validate()
