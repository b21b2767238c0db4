# SPDX-License-Identifier: Apache-2.0
"""A restored guest's clock is set by its agent: QEMU's own in a real guest, and others that misbehave."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import applevz
from applevz import EventKind
from fixtures import Configure
from guest_machine import PATIENCE, Guest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guest's agent is made of this system's libraries")

MACHINE = applevz.GenericMachineIdentifier.random()
PORT = "org.qemu.guest_agent.0"
FIND_PORT = f"port=/dev/$(cd /sys/class/virtio-ports; grep -l {PORT} */name | cut -d/ -f1)"
LONG_AGO = 1_000_000_000


@pytest.fixture(scope="module")
def with_agent(guest_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("agent") / "initrd"
    path.write_bytes((guest_files / "initrd.cpio.gz").read_bytes() + (guest_files / "agent.cpio.gz").read_bytes())
    return path


@pytest.fixture(scope="module")
def configuration(configure: Configure, with_agent: Path) -> applevz.VirtualMachineConfiguration:
    configuration = configure(guest_agent=True, platform=applevz.GenericPlatformConfiguration(MACHINE))
    configuration.boot_loader.initial_ramdisk = with_agent
    return configuration


@pytest.fixture(scope="module")
def saved(
    configuration: applevz.VirtualMachineConfiguration, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """A state of a guest that believes to be in the year 2001, after a command of its."""
    folder = tmp_path_factory.mktemp("states")
    ready = folder / "ready"
    with applevz.VirtualMachine(configuration) as vm:
        guest = Guest(vm).start()
        guest.run(FIND_PORT)
        guest.run(f"date -s @{LONG_AGO}")
        vm.suspend(timeout=PATIENCE, to=ready)

    def after(command: str) -> Path:
        path = folder / f"state-{len(list(folder.iterdir()))}"
        with applevz.VirtualMachine(configuration) as vm:
            vm.restore_state(ready, timeout=PATIENCE)
            vm.start(timeout=PATIENCE)
            guest = Guest(vm)
            guest.run(command)
            assert abs(int(guest.run("date +%s")) - LONG_AGO) < 3600
            vm.suspend(timeout=PATIENCE, to=path)
        return path

    return after


def restored(vm: applevz.VirtualMachine, path: Path) -> Guest:
    vm.restore_state(path, timeout=PATIENCE)
    vm.start(timeout=PATIENCE)
    return Guest(vm)


def clock_events(vm: applevz.VirtualMachine) -> list[applevz.Event]:
    found = []
    with suppress(applevz.TimeoutError):
        while True:
            found.append(vm.events.next(timeout=0))
    return [event for event in found if event.kind is EventKind.GUEST_CLOCK_SET]


def next_clock_event(vm: applevz.VirtualMachine) -> applevz.Event:
    while True:
        event = vm.events.next(timeout=PATIENCE)
        if event.kind is EventKind.GUEST_CLOCK_SET:
            return event


def test_the_agent_of_a_restored_guest_sets_its_clock_each_time(
    configuration: applevz.VirtualMachineConfiguration, saved: Callable[[str], Path]
) -> None:
    path = saved("(qemu-ga --method=virtio-serial --path=$port --statedir=/run >/dev/null 2>&1 &)")
    with applevz.VirtualMachine(configuration) as vm:
        for _ in range(2):
            before = int(time.time())
            guest = restored(vm, path)
            event = next_clock_event(vm)
            assert event.error is None
            assert event.cause is applevz.EventCause.GUEST
            assert before <= int(guest.run("date +%s")) <= time.time() + 1
            # Only what a restore left behind is made good.
            guest.run(f"date -s @{LONG_AGO}")
            vm.suspend(timeout=PATIENCE)
            vm.start(timeout=PATIENCE)
            assert abs(int(guest.run("date +%s")) - LONG_AGO) < 3600
            assert clock_events(vm) == []
            vm.stop(timeout=PATIENCE)


ANSWER = r"""
(exec 3<>$port; while read -r line <&3; do
case $line in *guest-sync-delimited*) id=${line#*\"id\":};
head -c 20000 /dev/zero | tr '\000' '[' >&3; echo >&3;
printf 'x{\n{"return": 1}\n[]\n\377{"return": %s}\n' ${id%%\}*} >&3;;
*guest-set-time*) echo 'ANSWER' >&3;; esac; done >/dev/null 2>&1 &)
""".strip().replace("\n", " ")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ('{"error": {"class": "GenericError", "desc": "there is no clock here"}}', "there is no clock here"),
        ('{"error": 7}', "nothing of use"),
        (r'{"error": {"desc": "\u001b]0;owned\u0007"}}', r"\u001b]0;owned\u0007"),
        ('{"error": {"desc": []}}', "nothing of use"),
    ],
)
def test_an_agent_that_refuses_is_told_with_its_words(
    configuration: applevz.VirtualMachineConfiguration, saved: Callable[[str], Path], answer: str, words: str
) -> None:
    path = saved(ANSWER.replace("ANSWER", answer))
    with applevz.VirtualMachine(configuration) as vm:
        guest = restored(vm, path)
        error = next_clock_event(vm).error
        assert words in error.failure_reason
        assert "clock" in error.localized_description
        assert guest.run("echo goes on") == "goes on"


def test_an_agent_that_floods_is_told_of_and_not_heard_any_longer(
    configuration: applevz.VirtualMachineConfiguration, saved: Callable[[str], Path]
) -> None:
    path = saved("(cat $port >/dev/null 2>&1 &); (yes '{}' >$port 2>/dev/null &)")
    with applevz.VirtualMachine(configuration) as vm:
        guest = restored(vm, path)
        error = next_clock_event(vm).error
        assert "said more than 65536 bytes that are no answer" in error.failure_reason
        assert guest.run("echo goes on") == "goes on"


def test_a_guest_whose_agent_is_silent_or_not_there_goes_on_and_nothing_is_told(
    configuration: applevz.VirtualMachineConfiguration, saved: Callable[[str], Path]
) -> None:
    for command in (":", "(cat $port >/dev/null 2>&1 &)"):
        path = saved(command)
        with applevz.VirtualMachine(configuration) as vm:
            guest = restored(vm, path)
            assert abs(int(guest.run("date +%s")) - LONG_AGO) < 3600
            assert clock_events(vm) == []


def test_what_is_no_boolean_is_refused_and_so_is_a_second_port_of_that_name(configure: Configure) -> None:
    with pytest.raises(applevz.InvalidArgumentTypeError, match="guest_agent"):
        configure(guest_agent="yes").validate()
    taken = [applevz.VirtioConsoleDeviceConfiguration({PORT: None})]
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=PORT):
        configure(guest_agent=True, console_devices=taken).validate()
