# SPDX-License-Identifier: Apache-2.0
"""Disks that a server gives out: a real one, qemu-nbd."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import applevz
from fixtures import Boot, Configure, MakeMachine
from guest_machine import PATIENCE, Guest
from nbd_server import CONNECTED, FAILED, Server, next_event
from processes import eventually

linux = pytest.mark.skipif(sys.platform != "linux", reason="the test's guest is made on Linux")
pytestmark = pytest.mark.skipif(not shutil.which("qemu-nbd"), reason="there is no qemu-nbd (package qemu-utils)")

MIB = 1 << 20
HELD = applevz.Confinement.HOST_ADDRESSES if applevz.capabilities.host_isolation else applevz.Confinement(0)


def disk(url: str, **fields: Any) -> applevz.VirtioBlockDeviceConfiguration:
    return applevz.VirtioBlockDeviceConfiguration(applevz.NetworkBlockDeviceStorageDeviceAttachment(url, **fields))


# ---- A guest's disks ----


@pytest.fixture(scope="module")
def guest(configure: Configure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("servers")
    with ExitStack() as stack:
        servers = [
            stack.enter_context(Server(folder, "a ,b=c")),
            stack.enter_context(Server(folder, "read-only", "--read-only")),
            stack.enter_context(Server(folder, "forced")),
        ]
        image = folder / "local"
        applevz.create_disk_image(image, "1MiB")
        devices = [
            applevz.VirtioBlockDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(image)),
            disk(servers[0].url.replace("a ,b=c?", "a%20,b=c?"), timeout=1),
            disk(servers[1].url, timeout=1),
            disk(servers[2].url, forced_read_only=True),
        ]
        vm = stack.enter_context(applevz.VirtualMachine(configure(storage_devices=devices)))
        guest: Any = Guest(vm).start()
        guest.servers = servers
        yield guest


@linux
def test_a_guest_reads_and_writes_as_far_as_the_server_and_the_host_let_it(guest: Any) -> None:
    events = [next_event(guest.machine, CONNECTED) for _ in range(3)]
    assert [(event.kind, event.device, event.error) for event in events] == [(CONNECTED, i, None) for i in (1, 2, 3)]
    assert guest.run("cat /sys/block/vd?/ro").split() == ["0", "0", "1", "1"]
    assert guest.run("echo written | dd of=/dev/vdb bs=512 conv=sync,fsync 2>/dev/null; echo $?") == "0"
    assert guest.servers[0].image.read_bytes().startswith(b"written\n")
    guest.servers[1].image.write_bytes(b"read this".ljust(4 * MIB, b"\0"))
    assert guest.run("head -c 9 /dev/vdc") == "read this"


@linux
def test_a_server_that_is_gone_is_an_error_to_the_guest_and_an_event_and_another_when_it_is_back(guest: Any) -> None:
    vm, server = guest.machine, guest.servers[0]
    server.kill()
    server.socket.unlink()
    assert guest.run("echo lost | dd of=/dev/vdb bs=512 seek=1 conv=sync,fsync 2>/dev/null; echo $?").endswith("1")
    event = next_event(vm, CONNECTED, FAILED)
    assert (event.kind, event.device, event.cause) == (FAILED, 1, applevz.EventCause.HOST)
    assert isinstance(event.error, applevz.NetworkBlockDeviceDisconnectedError)
    assert isinstance(event.error, FileNotFoundError)
    assert event.error.filename == str(server.socket)
    assert "has been away for longer than 1 s" in str(event.error)
    assert vm.state is applevz.VirtualMachineState.RUNNING
    # The other disks are as before.
    assert guest.run("head -c 9 /dev/vdc") == "read this"

    server.start()
    event = next_event(vm, CONNECTED, FAILED)
    assert (event.kind, event.device, event.error) == (CONNECTED, 1, None)
    assert guest.run("echo found | dd of=/dev/vdb bs=512 seek=1 conv=sync,fsync 2>/dev/null; echo $?") == "0"
    assert server.image.read_bytes()[512:].startswith(b"found\n")


@linux
def test_a_machine_with_a_network_block_device_cannot_be_saved_and_says_why(guest: Any, tmp_path: Path) -> None:
    vm = guest.machine
    words = (
        r"storageDevices\[1\]\.attachment is a VZNetworkBlockDeviceStorageDeviceAttachment, of which nobody can tell"
    )
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=words):
        vm.configuration.validate_save_restore_support()
    vm.pause(timeout=PATIENCE)
    with pytest.raises(applevz.SaveError, match=words):
        vm.save_state(tmp_path / "state", timeout=PATIENCE)
    assert vm.state is applevz.VirtualMachineState.PAUSED
    assert not (tmp_path / "state").exists()
    vm.resume(timeout=PATIENCE)


@linux
def test_a_server_on_loopback_is_the_disk_s_and_not_the_guest_s(boot: Boot, tmp_path: Path) -> None:
    image = tmp_path / "image"
    applevz.create_disk_image(image, "4MiB")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["--format=raw", "--persistent", "--shared=4", "--bind=127.0.0.1", f"--port={port}", "--export-name=disk"]
    server = subprocess.Popen(["qemu-nbd", *words, image])
    try:
        assert eventually(lambda: listens(port))
        guest = boot(
            storage_devices=[disk(f"nbd://localhost:{port}/disk")],
            network_devices=[applevz.VirtioNetworkDeviceConfiguration()],
            confinement=applevz.ConfinementPolicy(required=HELD),
        )
        # More than is sent at a time.
        guest.run("dd if=/dev/urandom of=/dev/vda bs=1M count=3 conv=fsync 2>/dev/null; sync")
        said = guest.run("dd if=/dev/vda bs=1M count=3 iflag=direct 2>/dev/null | sha256sum").split()[0]
        assert said == hashlib.sha256(image.read_bytes()[: 3 * MIB]).hexdigest()
        guest.run("ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up")
        assert "Network is unreachable" in guest.run(f"nc 10.0.2.2 {port} < /dev/null 2>&1")
    finally:
        server.kill()
        server.wait()


def listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


# ---- Servers that are not there ----


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"nbd://127.0.0.1:{listener.getsockname()[1]}/disk"


def start_error(machine: MakeMachine, url: str, **fields: Any) -> applevz.NetworkBlockDeviceNegotiationFailedError:
    vm = machine(storage_devices=[disk(url, **fields)])
    with pytest.raises(applevz.NetworkBlockDeviceNegotiationFailedError) as caught:
        vm.start(timeout=PATIENCE)
    assert vm.state is applevz.VirtualMachineState.STOPPED
    assert f'storageDevices[0].attachment.URL is "{url}"' in str(caught.value)
    return caught.value


@linux
def test_a_server_that_does_not_answer_is_named_at_the_start(machine: MakeMachine, silent: str) -> None:
    error = start_error(machine, silent, timeout=0.5)
    assert isinstance(error, TimeoutError)
    assert "cancelled by timeout" in str(error)


@linux
def test_a_server_that_refuses_is_named_at_the_start(machine: MakeMachine) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        error = start_error(machine, f"nbd://localhost:{bound.getsockname()[1]}", timeout=1)
    assert isinstance(error, ConnectionRefusedError)


@linux
def test_a_socket_and_a_host_that_are_not_there_are_named_at_the_start(machine: MakeMachine, tmp_path: Path) -> None:
    error = start_error(machine, f"nbd+unix:///?socket={tmp_path}/none", timeout=1)
    assert isinstance(error, FileNotFoundError)
    error = start_error(machine, "nbd://no-such-host.invalid/disk", timeout=1)
    assert "no-such-host.invalid" in str(error)


@linux
def test_an_export_that_the_server_does_not_have_is_named_at_the_start_which_works_when_it_has_it(
    machine: MakeMachine, tmp_path: Path
) -> None:
    with Server(tmp_path) as server:
        error = start_error(machine, server.url.replace("///disk", "///other"), timeout=1)
        assert "export 'other' not present" in str(error)
        vm = machine(storage_devices=[disk(server.url)])
        server.kill()
        with pytest.raises(applevz.NetworkBlockDeviceNegotiationFailedError):
            vm.start(timeout=PATIENCE)
        server.start()
        vm.start(timeout=PATIENCE)
        assert next_event(vm, CONNECTED).device == 0


# ---- URLs ----

REFUSED = {
    "http://host/disk": 'whose scheme "http" is not one of network block devices',
    "nbds://host/disk": "whose scheme nbds is not supported",
    "nbd+vsock://2/disk": "whose scheme nbd+vsock is not supported",
    "host/disk": "which has no scheme",
    "nbd:host": "which has no // after its scheme",
    "nbd://": "which names no host",
    "nbd:///disk": "which names no host",
    "nbd://:10809/disk": "which names no host",
    "nbd://user@host/disk": "which names a user",
    "nbd://host:0/disk": 'whose port "0" is not one',
    "nbd://host:65536/disk": 'whose port "65536" is not one',
    "nbd://host:x/disk": "is not a URL",
    "nbd://ho%20st/disk": 'whose host "ho st" is not one',
    "nbd://ho%2cst/disk": 'whose host "ho,st" is not one',
    "nbd://ho st/disk": "is not a URL",
    "nbd://[::1/disk": "",
    "nbd://host/disk%zz": "",
    "nbd://host/disk%00": "whose export has a NUL character",
    "nbd://host/disk%ff": "whose export is not text in UTF-8",
    "nbd://host/disk?socket=/tmp/x": "which has a parameter",
    "nbd://host/disk#part": "which has a fragment",
    "nbd://host/" + "x" * 4097: "whose export has a name of 4097 bytes",
    "nbd+unix:///disk": "which names no socket",
    "nbd+unix:///disk?socket=": "which names no socket",
    "nbd+unix:///disk?socket=relative": "whose socket has a relative path",
    "nbd+unix:///disk?socket=/a&socket=/b": "which has the parameter socket twice",
    "nbd+unix:///disk?server=/a": 'which has an unknown parameter, "server"',
    "nbd+unix://host/disk?socket=/a": "where a local socket has nothing",
    "nbd+unix:///disk?socket=/" + "a" * 107: "whose socket has a path of 108 bytes",
}


@pytest.mark.parametrize("url", REFUSED)
def test_what_names_no_server_and_disk_is_refused_in_words(configure: Configure, url: Any) -> None:
    with pytest.raises(applevz.Error) as caught:
        configure(storage_devices=[disk(url)]).validate()
    assert isinstance(caught.value, ValueError)
    assert "URL" in str(caught.value) or "url" in str(caught.value)
    assert REFUSED[url] in str(caught.value)


@linux
@pytest.mark.parametrize(
    "url",
    ["nbd://host", "nbd://host/", "NBD://host:10809/a/b", "nbd://[::1]:1/x", "nbd://127.0.0.1:65535/%C3%A4%22,=",
     "nbd+unix:///?socket=/x", "nbd+unix:///a%20b?socket=/x%3f"],
)  # fmt: skip
def test_any_url_of_a_server_and_a_disk_is_valid_without_one_that_runs(configure: Configure, url: str) -> None:
    configure(storage_devices=[disk(url)]).validate()


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf"), None, "1", True, 1e10])
def test_a_time_out_that_is_none_is_refused_by_name(configure: Configure, timeout: Any) -> None:
    with pytest.raises(applevz.Error, match="timeout"):
        configure(storage_devices=[disk("nbd://host/disk", timeout=timeout)]).validate()


@linux
def test_one_export_is_not_written_by_two_disks(configure: Configure) -> None:
    one, same = disk("nbd://host/disk"), disk("NBD://HOST:10809/dis%6b")
    words = r"storageDevices\[1\]\.attachment\.URL is .*the same image as storageDevices\[0\]\.attachment\.URL"
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=words):
        configure(storage_devices=[one, same]).validate()
    readers = [disk(other.attachment.url, forced_read_only=True) for other in (one, same)]
    configure(storage_devices=readers).validate()
