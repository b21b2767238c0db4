# SPDX-License-Identifier: Apache-2.0
"""A QEMU that its guest has taken over is kept from the rest of the host. A program in QEMU's place tries what it can
do: as root and as another user, with all of the confinement and with parts of it waived, so that each attempt is seen
to succeed where nothing keeps it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import Confinement, ConfinementPolicy
from fixtures import Configure, MakeMachine
from guest_machine import PATIENCE
from places import SUPPORT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the machines of other platforms have no QEMU")

NOTHING = Confinement(0)
SUPERVISED = Confinement.FILES | Confinement.SYSTEM_CALLS | Confinement.PRIVILEGES | Confinement.HOST_ADDRESSES
ALL = SUPERVISED | Confinement.SOCKETS | Confinement.USER
# What is in force of a machine that has nothing but what each has.
OF_MACHINE = ALL if applevz.capabilities.separate_users else ALL & ~Confinement.USER

# What a program of this user's can do that nothing keeps from it, and what it gets otherwise: from the rules for files,
# from the filter of system calls, or from having no rights. The first that refuses is told.
FILES = {
    "read a file of the user": "EACCES",
    "list a folder of the user": "EACCES",
    "write to a file of the user": "EACCES",
    "make a file": "EACCES",
    "make a file without a name": "EACCES",
    "read the environment of Python": "EACCES",
    "open the memory of Python": "EACCES",
    "read the environment of another machine": "EACCES",
    "open the kernel for writing": "EACCES",
    "execute a shell": "EACCES",
}
SYSTEM_CALLS = {
    "make a folder": "EPERM",
    "remove a file": "EPERM",
    "rename a file": "EPERM",
    "link a file": "EPERM",
    "change a mode": "EPERM",
    "change a time": "EPERM",
    "read the memory of Python": "EPERM",
    "trace Python": "EPERM",
    "signal Python": "EPERM",
    "signal all": "EPERM",
    "get hold of Python": "EPERM",
    "read the memory of another machine": "EPERM",
    "signal another machine": "EPERM",
    "take a descriptor of another machine": "EPERM",
    "trace another machine": "EPERM",
    "outlive Python": "EPERM",
    "fork": "EPERM",
    "vfork": "EPERM",
    "connect to a socket by its path": "EAFNOSUPPORT",
    "connect to an abstract socket": "EAFNOSUPPORT",
    "make a netlink socket": "EAFNOSUPPORT",
    "share memory by number": "EPERM",
    "make a user namespace": "EPERM",
    "use io_uring": "ENOSYS",
}
# With and without a network card.
HOST_ADDRESSES = {
    "connect to loopback": "EACCES",
    "send to loopback": "EACCES",
    "connect to loopback by IPv6": "EACCES",
    "connect to loopback by a mapped address": "EACCES",
    "connect to no address": "EACCES",
    "connect to no address by IPv6": "EACCES",
    "connect to the host's own address": "EACCES",
    "connect to loopback as it changes the address": "EACCES",
    "send a datagram to loopback": "EACCES",
    "send a message to loopback": "EACCES",
    "send messages to loopback": "EACCES",
    "send to loopback without a family": "EACCES",
    "send to the host's own address": "EACCES",
    "broadcast": "EACCES",
    "multicast": "EACCES",
    "ask a cloud for passwords": "EACCES",
    "wait for others' connections": "EACCES",
    "choose a route": "EPERM",
    "have 800 sockets": "EMFILE",
}
WITHOUT_SOCKETS = dict.fromkeys(HOST_ADDRESSES, "EAFNOSUPPORT")
WITH_SOCKETS = {"replace its control connection": "EPERM", "close its control connection": "EPERM"}
# What only root can do.
OF_ROOT = {
    "read /etc/shadow": "EACCES",
    "raise its limit of files": "EPERM",
    "make a packet socket": "EAFNOSUPPORT",
    "become another user": "EPERM",
    "mount": "EPERM",
    "change its root": "EPERM",
    "make a device": "EPERM",
    "program the kernel": "EPERM",
}
# What a user of its own keeps it from, though nothing else does.
USER = {
    "read /etc/shadow": "EACCES",
    "write to a file of the user": "EACCES",
    "make a file": "EACCES",
    "open the kernel for writing": "EACCES",
    "read the environment of Python": "EACCES",
    "open the memory of Python": "EACCES",
    "make a folder": "EACCES",
    "remove a file": "EACCES",
    "rename a file": "EACCES",
    "change a mode": "EPERM",
    "change a time": "EACCES",
    "read the memory of Python": "EPERM",
    "trace Python": "EPERM",
    "signal Python": "EPERM",
    "read the environment of another machine": "EACCES",
    "read the memory of another machine": "EPERM",
    "signal another machine": "EPERM",
    "take a descriptor of another machine": "EPERM",
    "trace another machine": "EPERM",
}
# Whatever is waived.
ALWAYS = {"signal itself": "done", "open the kernel anew": "done"}
# What differs from host to host where nothing keeps it: whether there is such a disk, or what the system allows.
UNCERTAIN = {
    "open a disk of the host", "signal Python's thread", "use io_uring", "make a user namespace",
    "raise its limit of files", "broadcast", "multicast", "ask a cloud for passwords", "send to another host",
    "have 800 sockets", "choose a route",
}  # fmt: skip

PROGRAM = """
import ctypes, os, sys
import applevz
from applevz import Confinement, ConfinementPolicy
from processes import children

folder, user, waived, devices = sys.argv[1], int(sys.argv[2]), Confinement(int(sys.argv[3])), sys.argv[4]
policy = ConfinementPolicy(waived=waived)
serial = applevz.FileSerialPortAttachment(f"{folder}/outcomes")
configuration = applevz.VirtualMachineConfiguration(
    applevz.LinuxBootLoader(f"{folder}/kernel"), memory_size="256MiB",
    serial_ports=[applevz.VirtioConsoleDeviceSerialPortConfiguration(serial)],
    network_devices=[applevz.VirtioNetworkDeviceConfiguration(
        applevz.NATNetworkDeviceAttachment(host_access=devices == "host"))] if devices else [],
    confinement=policy)
configuration.validate()  # loads all that another user may not read
if user:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE: as one that has been this user's from the beginning
other = applevz.VirtualMachine(applevz.VirtualMachineConfiguration(
    applevz.LinuxBootLoader(f"{folder}/kernel"), memory_size="256MiB", confinement=policy))
other.start(timeout=60)
other.pause(timeout=60)
(process,) = children()
os.environ["APPLEVZ_QEMU"] = f"{folder}/qemu-system-x86_64"
os.environ["APPLEVZ_QEMU_HOSTILE"] += f" {process}"
machine = applevz.VirtualMachine(configuration)
try:
    machine.start(timeout=60)
except applevz.Error as error:
    print(error)
assert other.state is applevz.VirtualMachineState.PAUSED
"""


def own_address() -> str:
    """One of this host's own addresses, by which others reach it; that of loopback for a host that has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(asking.getsockname()[0])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("hostile") / "qemu-system-x86_64"
    source = SUPPORT / "hostile_qemu.c"
    options = ["-std=gnu11", "-D_GNU_SOURCE", "-O1", "-Wall", "-pthread"]
    subprocess.run(["clang", *options, source, "-o", program], check=True)
    return program


@pytest.fixture
def place(hostile: Path, guest_files: Path) -> Iterator[Path]:
    """A folder with the user's files, that another user can reach: not below pytest's, which is the one user's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copy(hostile, folder / "qemu-system-x86_64")
        shutil.copy(guest_files / "vmlinux", folder / "kernel")
        for one in ("secret", "removed", "renamed"):
            (folder / one).write_text("a secret\n")
        yield folder


def attempts(folder: Path, *, user: int = 0, waived: Confinement = NOTHING, devices: str = "") -> dict[str, str]:
    if user:
        for path in (folder, *folder.iterdir()):
            os.chown(path, user, user)
    with (
        socket.create_server(("", 0)) as listener,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as named,
    ):
        port = listener.getsockname()[1]
        # Of loopback datagrams are taken, too: nothing answers that there is nobody.
        with (
            socket.create_server(("::1", port), family=socket.AF_INET6),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        ):
            datagrams.bind(("", port))
            abstract.bind(f"\0{folder}/socket")
            abstract.listen()
            for name in ("socket", "outcomes"):
                (folder / name).unlink(missing_ok=True)
            named.bind(f"{folder}/socket")
            named.listen()
            if user:
                os.chown(folder / "socket", user, user)
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM, folder, str(user), str(waived.value), devices],
                env={
                    **os.environ,
                    "APPLEVZ_QEMU_HOSTILE": f"{folder} {port} {own_address()}",
                    "PYTHONPATH": os.pathsep.join([os.fspath(SUPPORT), os.environ.get("PYTHONPATH", "")]),
                },
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
    assert done.returncode == 0, done.stderr
    assert "QEMU" in done.stdout, (done.stdout, done.stderr)
    lines = (folder / "outcomes").read_text().splitlines()
    found = dict(line.split(": ", 1) for line in lines)
    assert len(found) == len(lines) > 40, done.stdout
    return found


def of(names: Any, found: dict[str, str]) -> dict[str, str]:
    return {name: found[name] for name in names if name not in UNCERTAIN}


def done(names: Any) -> dict[str, str]:
    return {name: "done" for name in names if name not in UNCERTAIN}


@pytest.fixture(params=["root", "another user"])
def user(request: pytest.FixtureRequest) -> int:
    if os.geteuid() != 0:
        if request.param == "root":
            pytest.skip("this user is not root")
        return 0
    return 0 if request.param == "root" else 61000 + os.getpid() % 1000


def test_it_does_nothing_to_the_host(place: Path, user: int) -> None:
    found = attempts(place, user=user)
    expected = {**FILES, **SYSTEM_CALLS, **WITHOUT_SOCKETS, **OF_ROOT, **ALWAYS}
    assert {name: found[name] for name in expected} == expected
    assert found["open a disk of the host"] in ("EACCES", "ENOENT")
    # With Linux 6.12 the kernel itself keeps them from other processes.
    assert found["signal Python's thread"] == "EPERM"
    assert not {"made", "folder", "linked", "other", "device"} & {one.name for one in place.iterdir()}
    assert (place / "secret").read_text() == "a secret\n"
    assert (place / "secret").stat().st_mode & 0o777 == 0o644


def test_what_is_tried_succeeds_where_nothing_keeps_it(place: Path, user: int) -> None:
    found = attempts(place, user=user, waived=ALL)
    of_root = {} if user or os.geteuid() else OF_ROOT
    expected = done({**FILES, **SYSTEM_CALLS, **HOST_ADDRESSES, **WITH_SOCKETS, **ALWAYS, **of_root})
    assert of(expected, found) == expected


def test_each_part_keeps_it_from_its_own(place: Path) -> None:
    found = attempts(place, waived=ALL & ~Confinement.FILES)
    assert of(FILES, found) == of(FILES, FILES)
    # What the rules for files do not look at.
    assert of(expected := done(["fork", "change a mode", "connect to a socket by its path"]), found) == expected


@pytest.mark.skipif(not applevz.capabilities.separate_users, reason=f"{applevz.capabilities.separate_users.reason}")
def test_a_user_of_its_own_keeps_it_from_root_and_from_other_machines(place: Path) -> None:
    rights = ALL & ~Confinement.PRIVILEGES
    found = attempts(place, waived=rights & ~Confinement.USER)
    assert of(USER, found) == of(USER, USER)
    # As root without root's rights it may do to root's files and to other machines what it likes.
    without = attempts(place, waived=rights)
    expected = done([*(name for name in USER if "Python" not in name), "signal Python"])
    assert of(expected, without) == expected
    # What has rights that it has not, as Python, the kernel keeps from it.
    assert [without[f"{what} Python"] for what in ("trace", "read the memory of")] == ["EPERM", "EPERM"]
    assert [without[f"{what} Python"] for what in ("read the environment of", "open the memory of")] == ["EACCES"] * 2


def test_without_the_rules_for_files_the_filter_keeps_them_as_they_are(place: Path) -> None:
    found = attempts(place, waived=Confinement.FILES)
    assert of(SYSTEM_CALLS, found) == of(SYSTEM_CALLS, SYSTEM_CALLS)
    assert found["read a file of the user"] == "done"


def test_with_a_network_card_it_reaches_nothing_of_the_host(place: Path, user: int) -> None:
    found = attempts(place, user=user, devices="network")
    expected = {**FILES, **SYSTEM_CALLS, **HOST_ADDRESSES, **WITH_SOCKETS}
    assert {name: found[name] for name in expected} == expected
    assert found["send to another host"] in ("done", "ENETUNREACH")


def test_with_a_network_that_reaches_the_host_it_makes_sockets_of_the_internet_alone(place: Path) -> None:
    found = attempts(place, devices="host")
    kept = ("choose a route", "wait for others' connections", "send to loopback without a family")
    reached = [name for name in HOST_ADDRESSES if name not in kept]
    expected = {**FILES, **SYSTEM_CALLS, **WITH_SOCKETS, **done(reached), "have 800 sockets": "EMFILE"}
    assert of(expected, found) == of(expected, expected)


def test_where_connections_are_not_supervised_it_makes_sockets_of_the_internet_alone(place: Path) -> None:
    found = attempts(place, devices="network", waived=Confinement.HOST_ADDRESSES)
    expected = {**FILES, **SYSTEM_CALLS, **done({**HOST_ADDRESSES, **WITH_SOCKETS})}
    assert of(expected, found) == of(expected, expected)


# ---- What is in force, and what is asked for ----


def test_a_machine_says_what_is_in_force(machine: MakeMachine) -> None:
    vm = machine()
    assert vm.confinement == NOTHING
    vm.start(timeout=PATIENCE)
    assert vm.confinement == OF_MACHINE
    vm.stop()
    assert vm.confinement == OF_MACHINE


def test_a_network_card_takes_sockets(machine: MakeMachine) -> None:
    vm = machine(network_devices=[applevz.VirtioNetworkDeviceConfiguration()])
    vm.start(timeout=PATIENCE)
    assert vm.confinement == OF_MACHINE & ~Confinement.SOCKETS


# A program that may not take its children's descriptors, as in many containers, or whose own system calls are listened
# to by another one.
WITHOUT_SUPERVISION = """
import ctypes, struct, sys
import applevz
from applevz import Confinement, ConfinementPolicy

libc = ctypes.CDLL(None, use_errno=True)
seccomp, allow, refuse = 317 if sys.argv[3] == "x86_64" else 277, 0x7fff0000, 0x00050001
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 438), (0x06, 0, 0, refuse), (0x06, 0, 0, allow)]
if sys.argv[2] == "listened to":
    code = code[3:]
program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in code))
filter = struct.pack("@HP", len(code), ctypes.addressof(program))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.syscall(seccomp, 1, 8 if sys.argv[2] == "listened to" else 0, filter) >= 0
print(applevz.capabilities.host_isolation.reason)
for required in (Confinement(0), Confinement.HOST_ADDRESSES):
    configuration = applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(sys.argv[1]), memory_size="256MiB", serial_ports=[],
        network_devices=[applevz.VirtioNetworkDeviceConfiguration()], confinement=ConfinementPolicy(required=required))
    with applevz.VirtualMachine(configuration) as machine:
        try:
            machine.start(timeout=60)
            print(machine.confinement)
        except applevz.NotSupportedError as error:
            print(error)
"""


@pytest.mark.parametrize(("what", "words"), [("refused", "not permitted"), ("listened to", "busy")])
def test_where_connections_cannot_be_supervised_it_is_said_and_can_be_refused(
    configure: Configure, what: str, words: str
) -> None:
    kernel = os.fspath(configure().boot_loader.kernel)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SUPERVISION, kernel, what, os.uname().machine],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reason, confinement, refusal = done.stdout.splitlines()
    assert "cannot be supervised" in reason
    assert words in reason
    assert Confinement.HOST_ADDRESSES.name not in confinement
    assert "SYSTEM_CALLS" in confinement
    assert "cannot be supervised" in refusal


def test_what_is_required_is_there_or_the_start_is_refused(machine: MakeMachine) -> None:
    required = ConfinementPolicy(required=OF_MACHINE)
    machine(confinement=required).start(timeout=PATIENCE)
    vm = machine(confinement=required, network_devices=[applevz.VirtioNetworkDeviceConfiguration()])
    with pytest.raises(applevz.NotSupportedError, match="has a network card"):
        vm.start(timeout=PATIENCE)
    assert vm.state is applevz.VirtualMachineState.STOPPED
    assert vm.confinement == NOTHING


def test_of_a_script_nothing_is_known(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "qemu"
    script.write_text('#!/bin/sh\nexec qemu-system-x86_64 "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("APPLEVZ_QEMU", str(script))
    with applevz.VirtualMachine(configure()) as vm:
        vm.start(timeout=PATIENCE)
        assert vm.confinement == NOTHING
    required = ConfinementPolicy(required=Confinement.FILES)
    with (
        applevz.VirtualMachine(configure(confinement=required)) as vm,
        pytest.raises(applevz.NotSupportedError, match="what a script executes is not known"),
    ):
        vm.start(timeout=PATIENCE)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("all", "confinement is 'all'"),
        (ConfinementPolicy(required=1), "confinement.required is 1"),  # type: ignore[arg-type]
        (ConfinementPolicy(waived=None), "confinement.waived is None"),  # type: ignore[arg-type]
        (ConfinementPolicy(ALL, Confinement.FILES), "What is required cannot be left out"),
    ],
)
def test_what_is_no_policy_is_refused(configure: Configure, policy: Any, words: str) -> None:
    with pytest.raises(applevz.InvalidArgumentError, match=words):
        configure(confinement=policy).validate()
