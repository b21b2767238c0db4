# SPDX-License-Identifier: Apache-2.0
"""What happens to a machine is told in order, with who made it happen, and kept until somebody takes it."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import resource
import signal
import sys
import threading
import time

import pytest

import applevz
from applevz import EventCause, EventKind, ShutdownPolicy, VirtualMachineState
from applevz._native import lib
from fixtures import Configure, MakeMachine, Script
from guest_machine import PATIENCE
from processes import children

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no QEMU under Apple's framework")

NOT_NOW = '{"error": {"class": "GenericError", "desc": "not now"}, "id": %d}\r\n'
SHUTDOWN = json.dumps(
    {"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}, "timestamp": {"seconds": 0}}
)


def taken(vm: applevz.VirtualMachine) -> list[applevz.Event]:
    """All events that are there, which has to be so without waiting."""
    events = []
    while True:
        try:
            events.append(vm.events.next(timeout=0))
        except applevz.TimeoutError:
            return events


def told(event: applevz.Event) -> str:
    """The event in words."""
    if event.kind is EventKind.STATE_CHANGED:
        return f"{event.state_before.name} {event.state.name} by {event.cause.name}"
    assert event.state_before is event.state
    return f"{event.kind.name} by {event.cause.name}"


def test_each_step_of_a_life_is_told_before_its_verb_returns(machine: MakeMachine, script: Script) -> None:
    script()
    vm = machine()
    assert taken(vm) == []
    begun = time.time(), time.clock_gettime(time.CLOCK_MONOTONIC)
    vm.start(timeout=PATIENCE)
    events = taken(vm)
    assert [told(event) for event in events] == ["STOPPED STARTING by START", "STARTING RUNNING by START"]
    for verb, names in [
        (vm.pause, ["RUNNING PAUSING by PAUSE", "PAUSING PAUSED by PAUSE"]),
        (vm.resume, ["PAUSED RESUMING by RESUME", "RESUMING RUNNING by RESUME"]),
        (vm.stop, ["RUNNING STOPPING by STOP", "STOPPING STOPPED by STOP"]),
    ]:
        verb(timeout=PATIENCE)
        new = taken(vm)
        assert [told(event) for event in new] == names
        events += new

    assert [event.number for event in events] == list(range(1, 9))
    assert all(event.dropped == 0 and event.error is None for event in events)
    times = [(event.time, event.monotonic_time) for event in events]
    assert times == sorted(times)
    assert begun[0] <= times[0][0]
    assert times[-1][0] <= time.time()
    assert begun[1] <= times[0][1]
    assert times[-1][1] <= time.clock_gettime(time.CLOCK_MONOTONIC)


def test_a_refused_verb_is_no_event(machine: MakeMachine, script: Script) -> None:
    script()
    vm = machine()
    for verb in (vm.pause, vm.resume, vm.stop):
        with pytest.raises(applevz.InvalidVirtualMachineStateTransitionError):
            verb(timeout=PATIENCE)
    assert taken(vm) == []


def test_a_guest_that_turns_itself_off_is_told_as_the_one_who_did(machine: MakeMachine, script: Script) -> None:
    script(after={"system_powerdown": "events"}, events=[SHUTDOWN])
    vm = machine()
    vm.start(timeout=PATIENCE)
    taken(vm)
    vm.shutdown(timeout=PATIENCE)
    events = [vm.events.next(timeout=PATIENCE) for _ in range(2)]
    assert [told(event) for event in events] == ["RUNNING STOPPED by GUEST", "GUEST_STOPPED by GUEST"]
    assert [event.error for event in events] == [None, None]
    assert taken(vm) == []


def test_a_guest_that_turns_itself_off_during_a_verb_is_told_as_the_one_who_did(
    machine: MakeMachine, script: Script
) -> None:
    script(answers={"stop": ""}, after={"stop": "events"}, events=[SHUTDOWN])
    vm = machine()
    vm.start(timeout=PATIENCE)
    taken(vm)
    with pytest.raises(applevz.OperationCancelledError):
        vm.pause(timeout=PATIENCE)
    events = [vm.events.next(timeout=PATIENCE) for _ in range(3)]
    names = ["RUNNING PAUSING by PAUSE", "PAUSING STOPPED by GUEST", "GUEST_STOPPED by GUEST"]
    assert [told(event) for event in events] == names


def test_a_qemu_that_is_killed_is_told_with_the_error(machine: MakeMachine) -> None:
    vm = machine()
    before = children()
    vm.start(timeout=PATIENCE)
    taken(vm)
    (qemu,) = children() - before
    os.kill(qemu, signal.SIGKILL)
    vm.wait(VirtualMachineState.ERROR, timeout=PATIENCE)
    events = taken(vm)
    assert [told(event) for event in events] == ["RUNNING ERROR by HOST", "STOPPED_WITH_ERROR by HOST"]
    for event in events:
        assert "signal 9" in str(event.error)
        assert event.error.error == vm.stop_error.error


def test_a_verb_that_fails_is_told_with_its_error(machine: MakeMachine, script: Script) -> None:
    script(answers={"stop": NOT_NOW})
    vm = machine()
    vm.start(timeout=PATIENCE)
    taken(vm)
    with pytest.raises(applevz.InternalError) as caught:
        vm.pause(timeout=PATIENCE)
    begun, ended = taken(vm)
    assert told(begun) == "RUNNING PAUSING by PAUSE"
    assert begun.error is None
    assert told(ended) == "PAUSING RUNNING by PAUSE"
    assert ended.error.error == caught.value.error


def test_a_start_that_fails_is_told_with_its_error(machine: MakeMachine, script: Script) -> None:
    script(die=[3, "no"])
    vm = machine()
    with pytest.raises(applevz.InternalError) as caught:
        vm.start(timeout=PATIENCE)
    events = taken(vm)
    assert [told(event) for event in events] == ["STOPPED STARTING by START", "STARTING STOPPED by START"]
    assert events[1].error.error == caught.value.error


def test_a_power_off_in_the_middle_of_a_verb_is_told_as_such(machine: MakeMachine, script: Script) -> None:
    script(answers={"stop": ""})
    vm = machine()
    vm.start(timeout=PATIENCE)
    with pytest.raises(applevz.TimeoutError):
        vm.pause(timeout=0)
    vm.wait(VirtualMachineState.PAUSING, timeout=PATIENCE)
    vm.shutdown(ShutdownPolicy.POWEROFF, timeout=PATIENCE)
    assert [told(event) for event in taken(vm)][-2:] == ["RUNNING PAUSING by PAUSE", "PAUSING STOPPED by DISCARD"]


def test_the_youngest_are_kept_and_the_next_says_how_many_were_dropped(machine: MakeMachine, script: Script) -> None:
    script()
    vm = machine()
    vm.start(timeout=PATIENCE)
    for _ in range(70):
        vm.pause(timeout=PATIENCE)
        vm.resume(timeout=PATIENCE)
    last = 2 + 70 * 4
    events = taken(vm)
    assert [event.number for event in events] == list(range(last - 255, last + 1))
    assert [event.dropped for event in events] == [last - 256] + [0] * 255
    vm.pause(timeout=PATIENCE)
    assert [(event.number, event.dropped) for event in taken(vm)] == [(last + 1, 0), (last + 2, 0)]


def test_waiting_for_an_event_is_no_polling_and_ends_with_the_event(machine: MakeMachine, script: Script) -> None:
    script()
    # Without a console that nobody reads: that would be looked at.
    vm = machine(serial_ports=[])
    found = []

    def wait() -> None:
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        event = vm.events.next(timeout=PATIENCE)
        found.append((event, resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(1)  # what is measured: a second in which nothing happens
    assert not found
    vm.start(timeout=PATIENCE)
    thread.join(PATIENCE)
    ((event, switches),) = found
    assert told(event) == "STOPPED STARTING by START"
    # One to sleep, and a few to get the interpreter back.
    assert switches <= 5


def test_a_wait_for_an_event_ends_with_its_time(machine: MakeMachine) -> None:
    vm = machine()
    began = time.monotonic()
    with pytest.raises(applevz.TimeoutError, match=r"within 0\.2 s"):
        vm.events.next(timeout=0.2)
    assert 0.2 <= time.monotonic() - began < PATIENCE / 2


def test_iterating_gives_the_events_as_they_come(machine: MakeMachine, script: Script) -> None:
    script()
    vm = machine()
    seen = []

    def follow() -> None:
        for event in vm.events:
            seen.append(event)
            if event.state is VirtualMachineState.STOPPED:
                return

    thread = threading.Thread(target=follow)
    thread.start()
    vm.start(timeout=PATIENCE)
    vm.stop(timeout=PATIENCE)
    thread.join(PATIENCE)
    assert [event.number for event in seen] == [1, 2, 3, 4]


def test_each_event_goes_to_one_who_waits(machine: MakeMachine, script: Script) -> None:
    script()
    vm = machine()
    seen = []

    def take() -> None:
        for _ in range(2):
            seen.append(vm.events.next(timeout=PATIENCE).number)  # noqa: PERF401  # … as they come

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    vm.start(timeout=PATIENCE)
    vm.pause(timeout=PATIENCE)
    vm.stop(timeout=PATIENCE)
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(seen) == [1, 2, 3, 4, 5, 6]


def test_an_interrupt_ends_the_wait_and_takes_nothing(machine: MakeMachine, script: Script) -> None:
    script()
    vm = machine()
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        vm.events.next(timeout=PATIENCE)
    vm.start(timeout=PATIENCE)
    assert vm.events.next(timeout=0).number == 1


def test_an_event_cannot_be_changed(machine: MakeMachine, script: Script) -> None:
    script()
    vm = machine()
    vm.start(timeout=PATIENCE)
    event = vm.events.next(timeout=0)
    assert event.cause is EventCause.START
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.number = 2  # type: ignore[misc]


def test_a_forked_child_takes_none_of_its_parent_s_events(machine: MakeMachine, script: Script) -> None:
    script()
    vm = machine()
    vm.start(timeout=PATIENCE)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            try:
                vm.events.next(timeout=5)
            except applevz.ForkedError:
                status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [event.number for event in taken(vm)] == [1, 2]


def test_waits_that_were_given_up_and_events_that_nobody_took_leave_nothing(
    configure: Configure, script: Script
) -> None:
    script()
    gc.collect()
    handles, descriptors = lib.applevz_debug_live_handles(), len(os.listdir("/proc/self/fd"))
    vm = applevz.VirtualMachine(configure())
    for _ in range(200):
        with pytest.raises(applevz.TimeoutError):
            vm.events.next(timeout=0)
    vm.start(timeout=PATIENCE)
    vm.stop(timeout=PATIENCE)
    del vm
    gc.collect()
    assert lib.applevz_debug_live_handles() == handles
    # What waits takes a pipe from a pool, which keeps it.
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 4
