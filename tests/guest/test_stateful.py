# SPDX-License-Identifier: Apache-2.0
"""A random walk over a real machine, beside a model of what it is to be: verbs in whatever state, saved states
restored in whatever order, a QEMU killed now and then. The guest counts aloud; it must never count twice, skip, or go
back further than to where it was saved."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import applevz
from applevz import ShutdownPolicy, VirtualMachineState
from fixtures import Configure
from guest_machine import PATIENCE, Guest
from processes import children

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no QEMU under Apple's framework")

# The same steps in every run: what fails fails again.
SETTINGS = settings(
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)

CAN = {
    "STOPPED": {"can_start"},
    "RUNNING": {"can_pause", "can_stop", "can_request_stop"},
    "PAUSED": {"can_resume", "can_stop"},
    "ERROR": {"can_start"},
}
EVERY_CAN = {"can_start", "can_pause", "can_resume", "can_stop", "can_request_stop"}
REFUSED = (applevz.InvalidVirtualMachineStateTransitionError, applevz.InvalidVirtualMachineStateError)


class Heard:
    """What a guest that counts has said: the last number, and what of a line may follow."""

    def __init__(self, number: int, line: bytes = b"") -> None:
        self.number, self.line = number, line

    def copy(self) -> Heard:
        return Heard(self.number, self.line)

    def add(self, text: bytes) -> None:
        *lines, self.line = (self.line + text).split(b"\n")
        for line in lines:
            assert line == b"beat %d" % (self.number + 1)
            self.number += 1


def rest_of(console: applevz.Console) -> bytes:
    """What is there to be read."""
    text = b""
    with suppress(applevz.TimeoutError):
        while part := console.read(1 << 16, timeout=0):
            text += part
    return text


class Walk(RuleBasedStateMachine):
    # Set by the test: a configuration, a state of its guest while it counts, what it had said, and a folder.
    configuration: applevz.VirtualMachineConfiguration
    base: tuple[Path, Heard]
    folder: Path
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.saved: list[tuple[Path, Heard | None]] = [self.base]
        self.made: list[Path] = []
        self.vm: applevz.VirtualMachine | None = None

    @initialize()
    def begin(self) -> None:
        self.make()

    def make(self) -> None:
        self.before = children()
        self.vm = applevz.VirtualMachine(self.configuration)
        self.state, self.event_number, self.event_state = "STOPPED", 0, "STOPPED"
        self.heard: Heard | None = None  # of a guest that was started cold nothing is known
        self.was_killed = False  # since it was started last

    def teardown(self) -> None:
        if self.vm is not None:
            self.vm.shutdown(ShutdownPolicy.POWEROFF, timeout=PATIENCE)
            self.listen()
            assert children() == self.before
        for path in self.made:
            path.unlink()

    def listen(self) -> None:
        text = rest_of(self.vm.console)
        if self.heard is not None:
            self.heard.add(text)

    # ---- What is done to the machine ----

    def attempt(self, verb: str, states: set[str], leads_to: str, *arguments: object, **options: object) -> bool:
        """Whether it was done, which is so in just those states."""
        if self.state not in states:
            with pytest.raises(REFUSED):
                getattr(self.vm, verb)(*arguments, timeout=PATIENCE, **options)
            return False
        getattr(self.vm, verb)(*arguments, timeout=PATIENCE, **options)
        self.state = leads_to
        return True

    @rule()
    def start(self) -> None:
        if self.state in ("STOPPED", "ERROR"):
            self.listen()
            self.heard, self.was_killed = None, False
        self.vm.start(timeout=PATIENCE)
        self.state = "RUNNING"

    @rule()
    def pause(self) -> None:
        self.attempt("pause", {"RUNNING"}, "PAUSED")

    @rule()
    def resume(self) -> None:
        self.attempt("resume", {"PAUSED"}, "RUNNING")

    @rule()
    def suspend(self) -> None:
        self.attempt("suspend", {"RUNNING", "PAUSED"}, "PAUSED")

    @rule()
    def stop(self) -> None:
        self.attempt("stop", {"RUNNING", "PAUSED"}, "STOPPED")

    @rule()
    @precondition(lambda self: self.state != "RUNNING")
    def request_stop(self) -> None:
        self.attempt("request_stop", set(), self.state)

    @rule()
    @precondition(lambda self: self.state == "RUNNING" and self.heard is not None)
    def the_guest_is_asked_to_stop(self) -> None:
        self.vm.shutdown(timeout=PATIENCE)
        self.state, self.heard = "STOPPED", None

    @rule(policy=st.sampled_from([ShutdownPolicy.HALT, ShutdownPolicy.POWEROFF]))
    def shutdown(self, policy: ShutdownPolicy) -> None:
        self.vm.shutdown(policy, timeout=PATIENCE)
        if self.state != "ERROR" or policy is ShutdownPolicy.POWEROFF:
            self.state = "STOPPED"

    @rule()
    def save_state(self) -> None:
        path = self.folder / f"{len(self.made)}.state"
        if self.attempt("save_state", {"PAUSED"}, "PAUSED", path):
            self.keep(path)

    @rule()
    def suspend_to(self) -> None:
        path = self.folder / f"{len(self.made)}.state"
        if self.attempt("suspend", {"RUNNING", "PAUSED"}, "STOPPED", to=path):
            self.keep(path)

    def keep(self, path: Path) -> None:
        # A paused machine's guest says no more: what it said until then is what it knows to have said.
        self.listen()
        self.made.append(path)
        self.saved.append((path, self.heard and self.heard.copy()))

    @rule(which=st.integers(0, 99), private=st.booleans())
    def restore_state(self, which: int, private: bool) -> None:
        path, heard = self.saved[-1 - which % len(self.saved)]
        if self.state == "STOPPED":
            self.listen()
        if self.attempt("restore_state", {"STOPPED"}, "PAUSED", path, private=private):
            self.heard, self.was_killed = heard and heard.copy(), False

    @rule()
    @precondition(lambda self: self.state in ("RUNNING", "PAUSED") and self.heard is not None)
    def the_guest_goes_on_counting(self) -> None:
        self.vm.start(timeout=PATIENCE)
        self.state = "RUNNING"
        before = self.heard.number
        while self.heard.number == before:
            self.heard.add(self.vm.console.read(1 << 16, timeout=PATIENCE))

    @rule()
    @precondition(lambda self: self.state in ("RUNNING", "PAUSED"))
    def kill(self) -> None:
        (process,) = children() - self.before
        os.kill(process, signal.SIGKILL)
        self.vm.wait(VirtualMachineState.ERROR, timeout=PATIENCE)
        assert "signal 9" in self.vm.stop_error.failure_reason
        self.state, self.was_killed = "ERROR", True

    @rule()
    def another_machine(self) -> None:
        self.vm.shutdown(ShutdownPolicy.POWEROFF, timeout=PATIENCE)
        self.listen()
        self.make()

    # ---- What always holds ----

    @invariant()
    def the_state_is_the_models(self) -> None:
        if self.vm is None:
            return
        type(self).steps += 1
        assert self.vm.state.name == self.state
        assert {name for name in EVERY_CAN if getattr(self.vm, name)} == CAN[self.state]
        assert (self.vm.stop_error is not None) == self.was_killed
        assert len(children() - self.before) == (self.state in ("RUNNING", "PAUSED"))

    @invariant()
    def events_have_no_gaps(self) -> None:
        while self.vm is not None:
            try:
                event = self.vm.events.next(timeout=0)
            except applevz.TimeoutError:
                break
            assert event.number == self.event_number + 1
            assert event.dropped == 0
            assert event.state_before.name == self.event_state
            self.event_number, self.event_state = event.number, event.state.name
        assert self.vm is None or self.event_state == self.state


@pytest.mark.timeout(10 * PATIENCE)
@pytest.mark.parametrize("walks", [6, pytest.param(30, marks=pytest.mark.long)])
def test_a_random_walk_over_a_real_machine_goes_as_the_model_says(
    configure: Configure, tmp_path: Path, walks: int
) -> None:
    platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random())
    configuration = configure(platform=platform)
    with applevz.VirtualMachine(configuration) as vm:
        guest = Guest(vm).start()
        guest.console.write(b"beat\n")
        guest.console.read_until(b"beat 3\n", timeout=PATIENCE)
        heard = Heard(3)
        vm.suspend(timeout=PATIENCE, to=tmp_path / "base.state")
        heard.add(rest_of(vm.console))
    attributes = {
        "configuration": configuration,
        "base": (tmp_path / "base.state", heard),
        "folder": tmp_path,
        "steps": 0,
    }
    walk: Any = type("Walk", (Walk,), attributes)
    run_state_machine_as_test(walk, settings=settings(SETTINGS, max_examples=walks))
    assert walk.steps >= 200
