# SPDX-License-Identifier: Apache-2.0
"""What a QEMU says that a guest took over: nested without end, of other types, without an end, with controls in it. It
ends its machine at most, with an error; never the process, nor what else the process has."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import VirtualMachineState
from fixtures import MakeMachine, Script
from guest_machine import PATIENCE
from processes import children

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no QEMU under Apple's framework")

RUNNING, PAUSED, STOPPED = VirtualMachineState.RUNNING, VirtualMachineState.PAUSED, VirtualMachineState.STOPPED
DEEP = "[" * 60_000
DEEP_OBJECT = '{"a":' * 12_000
VALUES = [
    "null", "true", "0", "-1", "7.5", "1e300", "18446744073709551615", '""', '"x"', r'"\u001b[2J"', "[]", "[[]]", "{}",
    '{"a": []}', "[" * 30 + "]" * 30,
]  # fmt: skip
MEMBERS = {
    "SHUTDOWN": ("guest", "reason"),
    "RESET": ("guest", "reason"),
    "GUEST_PANICKED": ("action", "info"),
    "MIGRATION": ("status",),
    "VSERPORT_CHANGE": ("open", "id"),
    "DEVICE_DELETED": ("device", "path"),
    "DEVICE_UNPLUG_GUEST_ERROR": ("device",),
    "BLOCK_IO_ERROR": ("node-name", "device", "reason"),
    "BLOCK_JOB_READY": ("device",),
    "BLOCK_JOB_COMPLETED": ("device", "error"),
    "RESUME": ("x",),
    "NIC_RX_FILTER_CHANGED": ("name",),
}


def equipped(machine: MakeMachine, tmp_path: Path, **fields: Any) -> applevz.VirtualMachine:
    """A machine with a device of each kind that QEMU tells of."""
    image = tmp_path / "disk.img"
    if not image.exists():
        applevz.create_disk_image(image, "1MiB")
    attachment = applevz.NATNetworkDeviceAttachment()
    return machine(
        console_devices=[applevz.VirtioConsoleDeviceConfiguration({"port": None})],
        network_devices=[applevz.VirtioNetworkDeviceConfiguration(attachment)],
        memory_balloon_devices=[applevz.VirtioTraditionalMemoryBalloonDeviceConfiguration()],
        graphics_devices=[applevz.VirtioGraphicsDeviceConfiguration()],
        usb_controllers=[
            applevz.XHCIControllerConfiguration(
                [applevz.USBMassStorageDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(image))]
            )
        ],
        **fields,
    )


def event(name: str, data: str) -> str:
    return f'{{"event": "{name}", "data": {data}, "timestamp": {{"seconds": 0, "microseconds": 0}}}}'


def all_events() -> list[str]:
    lines = [event("SHUTDOWN", '{"guest": false, "reason": "first"}')]
    for name, members in MEMBERS.items():
        lines += [event(name, value) for value in VALUES]
        lines += [event(name, f'{{"{member}": {value}}}') for member in members for value in VALUES]
    lines += [event("VSERPORT_CHANGE", f'{{"id": "console0-port0", "open": {value}}}') for value in VALUES]
    lines += [f'{{"event": "SHUTDOWN", "timestamp": {value}}}' for value in VALUES]
    return lines


def told(vm: applevz.VirtualMachine) -> list[applevz.EventKind]:
    found = []
    with contextlib.suppress(applevz.TimeoutError):
        while True:
            found.append(vm.events.next(timeout=0).kind)
    return found


# ---- Types ----


def test_no_event_of_other_types_than_qemu_s_does_harm(machine: MakeMachine, script: Script, tmp_path: Path) -> None:
    script(events=all_events(), after={"cont": "tell"})
    vm = equipped(machine, tmp_path)
    vm.start(timeout=PATIENCE)
    vm.pause(timeout=PATIENCE)
    assert vm.state is PAUSED
    # Of all that was said of the port one thing was true.
    kinds = told(vm)
    assert kinds.count(applevz.EventKind.PORT_OPENED) == 1
    assert applevz.EventKind.PORT_CLOSED not in kinds


COMMANDS = [
    "qmp_capabilities", "cont", "stop", "query-status", "query-migrate", "migrate", "getfd", "add-fd", "remove-fd",
    "blockdev-add", "device_add", "device_del", "screendump", "human-monitor-command", "balloon", "set_link",
    "netdev_add", "chardev-change", "migrate-set-capabilities", "migrate-set-parameters",
]  # fmt: skip


@pytest.mark.parametrize("member", ["return", "error"])
@pytest.mark.parametrize("value", ["null", "7.5", "1e300", '"x"', "[]", '{"a": []}', '{"desc": [], "status": {}}'])
def test_no_answer_of_another_type_than_qemu_s_does_harm(
    machine: MakeMachine, script: Script, tmp_path: Path, member: str, value: str
) -> None:
    answer = f'{{"{member}": {value}, "id": %d}}\r\n'
    needed = ("qmp_capabilities", "cont", "stop") if member == "error" else ()
    failed = json.dumps({"event": "MIGRATION", "data": {"status": "failed"}, "timestamp": {}})
    script(
        answers={command: answer for command in COMMANDS if command not in needed},
        after={"migrate": "tell"},
        events=[failed],
    )
    vm = equipped(machine, tmp_path)
    with contextlib.suppress(applevz.Error):
        vm.start(timeout=PATIENCE)
    image = tmp_path / "stick.img"
    applevz.create_disk_image(image, "1MiB")
    stick = applevz.USBMassStorageDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(image))
    for act in (
        lambda: vm.screenshot(timeout=PATIENCE),
        lambda: vm.connect(22, timeout=PATIENCE),
        lambda: vm.usb_controllers[0].attach(stick, timeout=PATIENCE),
        lambda: vm.pause(timeout=PATIENCE),
        lambda: vm.save_state(tmp_path / "state", timeout=PATIENCE),
        lambda: vm.start(timeout=PATIENCE),
        lambda: vm.stop(timeout=PATIENCE),
    ):
        try:
            act()
        except applevz.Error as error:
            assert_shown(error)
    script()
    with contextlib.suppress(applevz.Error):
        vm.stop(timeout=PATIENCE)
    vm.start(timeout=PATIENCE)
    assert vm.state is RUNNING


@pytest.mark.parametrize(
    "version",
    [
        "[]",
        '{"qemu": []}',
        '{"qemu": {"major": [], "minor": 2}}',
        '{"qemu": {"major": 1e300, "minor": 0}}',
        '{"qemu": {"major": -1, "minor": 0}}',
    ],
)
def test_a_greeting_of_other_types_is_one_without_a_version(machine: MakeMachine, script: Script, version: str) -> None:
    script(greeting=f'{{"QMP": {{"version": {version}}}}}\r\n')
    vm = machine()
    with pytest.raises(applevz.NotSupportedError, match="does not say which"):
        vm.start(timeout=PATIENCE)


# ---- Depth and length ----


@pytest.mark.parametrize("text", [DEEP, DEEP_OBJECT, '{"event": "STOP", "data": ' + DEEP, '{"return": ' + DEEP])
@pytest.mark.parametrize("when", ["greeting", "event", "answer"])
def test_what_nests_without_end_ends_its_machine_with_an_error(
    machine: MakeMachine, script: Script, tmp_path: Path, text: str, when: str
) -> None:
    other = machine()
    script()
    other.start(timeout=PATIENCE)
    match when:
        case "greeting":
            script(greeting=text + "\r\n")
        case "event":
            script(events=[text], after={"cont": "tell"})
        case "answer":
            script(answers={"cont": text + "\r\n"})
    vm, before = machine(), children()
    try:
        vm.start(timeout=PATIENCE)
        vm.wait(VirtualMachineState.ERROR, timeout=PATIENCE)
        error = vm.stop_error
    except applevz.InternalError as failure:
        error = failure
    assert "which is not a QMP message: it nests more than 32 deep" in error.failure_reason
    assert_shown(error)
    assert children() == before
    other.pause(timeout=PATIENCE)
    script()
    vm.start(timeout=PATIENCE)


# ---- Without an end ----


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize(
    "line",
    [
        event("STOP", "{}"),
        event("VSERPORT_CHANGE", '{"id": "console0-port0", "open": true}'),
        event("MIGRATION", '{"status": "completed"}'),
        event("BLOCK_JOB_READY", '{"device": "disk0-read"}'),
        event("DEVICE_DELETED", '{"device": "usb-disk0-device"}'),
        event("UNKNOWN", '{"a": [[[[[[[]]]]]]]}'),
    ],
)
def test_a_qemu_that_never_stops_talking_is_stopped_at_once_and_takes_no_memory(
    machine: MakeMachine, script: Script, tmp_path: Path, line: str
) -> None:
    # While it is asked why its processors stand still, it does not answer.
    script(events=[line], after={"cont": "flood"}, answers={"query-status": ""})
    vm = equipped(machine, tmp_path)
    vm.start(timeout=PATIENCE)
    time.sleep(0.5)
    before = resident()
    time.sleep(1.5)
    grown = resident() - before
    began = time.monotonic()
    vm.stop(timeout=PATIENCE)
    assert vm.state is STOPPED
    assert time.monotonic() - began < PATIENCE / 2
    assert grown < 64 << 20


def test_a_qemu_that_does_not_answer_for_its_talking_is_given_up_in_time(
    machine: MakeMachine, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(events=[event("UNKNOWN", "{}")], after={"cont": "flood"})
    vm = machine()
    vm.start(timeout=PATIENCE)
    monkeypatch.setenv("APPLEVZ_QEMU_TIMEOUT", "0.5")
    with pytest.raises(applevz.InternalError, match="did not answer the command stop within 0.5 s"):
        vm.pause(timeout=30)
    assert vm.state is VirtualMachineState.ERROR


# ---- Words ----

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\u2066\x7f\r"


def assert_shown(error: BaseException | None) -> None:
    """No character of an error's texts does anything to a terminal, and none is too long for one."""
    while isinstance(error, applevz.Error):
        for text in (str(error), error.localized_description, error.failure_reason, error.recovery_suggestion):
            assert len(text or "") < 10_000
            hidden = [c for c in text or "" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
            assert set(hidden) <= {"\n"}, text
        error = error.__cause__


def test_the_last_words_of_a_qemu_are_shown_without_what_a_terminal_would_obey(
    machine: MakeMachine, script: Script
) -> None:
    script(die=[3, HOSTILE * 500])
    with pytest.raises(applevz.InternalError) as caught:
        machine().start(timeout=PATIENCE)
    assert r"\u001b]0;owned\u0007" in caught.value.failure_reason
    assert_shown(caught.value)


@pytest.mark.parametrize("words", [HOSTILE, "x" * 30_000, HOSTILE * 400])
def test_a_refusal_is_told_with_words_that_can_be_shown(machine: MakeMachine, script: Script, words: str) -> None:
    refusal = json.dumps({"error": {"class": "GenericError", "desc": words}, "id": "@"}).replace('"@"', "%d") + "\r\n"
    script(answers={"stop": refusal})
    vm = machine()
    vm.start(timeout=PATIENCE)
    with pytest.raises(applevz.InternalError, match="stop: ") as caught:
        vm.pause(timeout=PATIENCE)
    assert_shown(caught.value)
    assert vm.state is RUNNING


def test_a_shutdown_s_and_a_migration_s_reasons_are_shown_so_too(
    machine: MakeMachine, script: Script, tmp_path: Path
) -> None:
    script(
        after={"cont": "events"},
        events=[event("SHUTDOWN", json.dumps({"guest": False, "reason": HOSTILE * 400}))],
    )
    vm = machine()
    with contextlib.suppress(applevz.Error):
        vm.start(timeout=PATIENCE)
    vm.wait(VirtualMachineState.ERROR, timeout=PATIENCE)
    assert "told to end from outside" in vm.stop_error.failure_reason
    assert_shown(vm.stop_error)

    failed = {"return": {"status": "failed", "error-desc": HOSTILE * 400}, "id": "@"}
    script(
        answers={
            "query-status": '{"return": {"status": "paused"}, "id": %d}\r\n',
            "query-migrate": json.dumps(failed).replace('"@"', "%d") + "\r\n",
        },
        after={"migrate": "tell"},
        events=[event("MIGRATION", '{"status": "failed"}')] * 3,
    )
    vm.start(timeout=PATIENCE)
    vm.pause(timeout=PATIENCE)
    with pytest.raises(applevz.SaveError, match="owned") as caught:
        vm.save_state(tmp_path / "state", timeout=PATIENCE)
    assert_shown(caught.value)
