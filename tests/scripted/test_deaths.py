# SPDX-License-Identifier: Apache-2.0
"""QEMU is killed, stands still or breaks off at each command of each verb, and the host has nothing left to give: each
verb fails with an error that says so, and the machine, its files and the host program are none the worse."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import applevz
from applevz import VirtualMachineState
from fixtures import MakeMachine, Script
from guest_machine import PATIENCE, Guest
from processes import children, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the machines of other platforms have no QEMU")

IDENTIFIER = applevz.GenericMachineIdentifier.random()

# The commands of each verb, in their order, and the state that the machine is in when one of them came to nothing.
COMMANDS = {
    "start": (["qmp_capabilities", "chardev-add", "device_add", "cont"], VirtualMachineState.STOPPED),
    "pause": (["stop"], VirtualMachineState.ERROR),
    "save_state": (
        ["migrate-set-capabilities", "getfd", "migrate"],
        VirtualMachineState.ERROR,
    ),
    # Of a QEMU that takes files for what they are.
    "save_state 9.1": (
        ["migrate-set-capabilities", "add-fd", "migrate", "remove-fd"],
        VirtualMachineState.ERROR,
    ),
    "restore_state": (
        ["qmp_capabilities", "chardev-add", "device_add", "migrate-set-capabilities", "migrate-incoming"],
        VirtualMachineState.STOPPED,
    ),
}

# What the scripted QEMU does instead of answering, and what the error says of it.
ENDS = {
    "is killed": ({"answer": "", "after": "kill"}, "signal 9"),
    "stands still": ({"answer": "", "after": "stop"}, r"did not answer the command [\w-]+ within [13] s"),
    "breaks off in a line": ({"answer": '{"return": {', "after": "kill"}, "signal 9"),
    "says something else": ({"answer": "what?\r\n", "after": "stop"}, "is not a QMP message"),
}


@pytest.fixture
def make(machine: MakeMachine) -> Callable[..., applevz.VirtualMachine]:
    return lambda: machine(platform=applevz.GenericPlatformConfiguration(IDENTIFIER))


@pytest.fixture(scope="module")
def version() -> list[int]:
    words = subprocess.check_output(["qemu-system-x86_64", "--version"], text=True)
    return [int(number) for number in re.findall(r"\d+", words)[:2]]


@pytest.fixture(scope="module")
def state(guest_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state of a real machine that never ran: what restores it here never comes to read it."""
    path = tmp_path_factory.mktemp("saved") / "state"
    loader = applevz.LinuxBootLoader(guest_files / "vmlinux", guest_files / "initrd.cpio.gz", "console=hvc0")
    platform = applevz.GenericPlatformConfiguration(IDENTIFIER)
    configuration = applevz.VirtualMachineConfiguration(loader, memory_size="256MiB", platform=platform)
    with applevz.VirtualMachine(configuration) as vm:
        vm.start(timeout=PATIENCE)
        vm.pause(timeout=PATIENCE)
        vm.save_state(path, timeout=PATIENCE)
    return path


CELLS = [(verb, command) for verb, (commands, _) in COMMANDS.items() for command in commands]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("verb", "command"), CELLS, ids=lambda value: value)
def test_a_qemu_that_ends_at_a_command(
    make: Callable[..., applevz.VirtualMachine],
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    version: list[int],
    state: Path,
    verb: str,
    command: str,
    end: str,
) -> None:
    answers, words = ENDS[end]
    name, verb = verb, verb.split(maxsplit=1)[0]
    if verb == "save_state":
        version = [9, 1] if name.endswith("9.1") else [7, 2]
    script(version=version, answers={command: answers["answer"]}, after={command: answers["after"]})
    before = children()
    vm = make()
    arguments = []
    if verb != "start" and verb != "restore_state":
        vm.start(timeout=PATIENCE)
    if verb == "save_state":
        vm.pause(timeout=PATIENCE)
        arguments = [tmp_path / "new"]
    elif verb == "restore_state":
        arguments = [state]
    if end == "stands still":
        # Read at each command. Where QEMU is started now, longer than that takes on a busy host.
        monkeypatch.setenv("APPLEVZ_QEMU_TIMEOUT", "3" if verb in ("start", "restore_state") else "1")
    with pytest.raises(applevz.Error, match=words) as caught:
        getattr(vm, verb)(*arguments, timeout=PATIENCE)
    assert not isinstance(caught.value, applevz.TimeoutError)
    assert vm.state is COMMANDS[name][1]
    assert os.listdir(tmp_path) == []
    assert eventually(lambda: children() == before)

    # It is a machine still.
    monkeypatch.delenv("APPLEVZ_QEMU_TIMEOUT", raising=False)
    script(version=version)
    vm.start(timeout=PATIENCE)
    assert vm.state is VirtualMachineState.RUNNING


@pytest.mark.parametrize("verb", ["save_state", "restore_state"])
def test_without_file_descriptors_a_machine_is_neither_saved_nor_restored_and_obeys(
    make: Callable[..., applevz.VirtualMachine], tmp_path: Path, state: Path, verb: str
) -> None:
    vm = make()
    path = state if verb == "restore_state" else tmp_path / "new"
    if verb == "save_state":
        guest = Guest(vm).start()
        vm.pause(timeout=PATIENCE)
    expected = vm.state
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    refused = 0
    # With each number of descriptors that are left, from none on: every place where one is needed is come upon.
    # Those that tests before this one have open stand between them.
    for spare in range(200):
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + spare, hard))
        try:
            getattr(vm, verb)(path, timeout=PATIENCE)
            break
        except applevz.Error as error:
            refused += "Too many open files" in str(error)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert vm.state is expected
        assert os.listdir(tmp_path) == []
    assert 0 < refused == spare < 199
    vm.start(timeout=PATIENCE)
    if verb == "save_state":
        assert guest.run("echo obeys") == "obeys"


def test_a_qemu_that_cannot_be_spawned_is_the_systems_error_and_the_next_start_works(guest_files: Path) -> None:
    """The limit of processes does not hold for who may exceed it, so the program gives that up first."""
    program = """
import ctypes, os, resource, struct, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
if os.geteuid() == 0:
    SYS_ADMIN, SYS_RESOURCE = 21, 24
    header = struct.pack("Ii", 0x20080522, 0)
    data = ctypes.create_string_buffer(24)
    assert libc.capget(header, data) == 0
    sets = list(struct.unpack("6I", data.raw))
    for index in (0, 1):
        sets[index] &= ~(1 << SYS_ADMIN | 1 << SYS_RESOURCE)
    os.setresuid(12345, 0, 0)
    assert libc.capset(header, struct.pack("6I", *sets)) == 0
import applevz
vm = applevz.VirtualMachine(applevz.VirtualMachineConfiguration(
    applevz.LinuxBootLoader(sys.argv[1], sys.argv[2], "console=hvc0"), memory_size="256MiB"))
vm.start(timeout=60)
vm.stop(timeout=60)
limit = resource.getrlimit(resource.RLIMIT_NPROC)
resource.setrlimit(resource.RLIMIT_NPROC, (0, limit[1]))
try:
    vm.start(timeout=60)
except applevz.Error as error:
    assert isinstance(error, BlockingIOError), type(error).__mro__  # what Python makes of EAGAIN
    print(error.localized_description, error.failure_reason)
print(vm.state.name)
resource.setrlimit(resource.RLIMIT_NPROC, limit)
vm.start(timeout=60)
print(vm.state.name)
vm.stop(timeout=60)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, guest_files / "vmlinux", guest_files / "initrd.cpio.gz"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    words, state, again = done.stdout.splitlines()
    assert "Resource temporarily unavailable" in words
    assert (state, again) == ("STOPPED", "RUNNING")
