# SPDX-License-Identifier: Apache-2.0
"""The state machine, as one table: what each verb does in each of the ten states.

A state that leads to another is held by a real QEMU that stands still (SIGSTOP); only Stopping cannot be held, since
nothing holds up a killed process: there the verb follows on the heels of the stop.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import applevz
from applevz import ShutdownPolicy, VirtualMachineState
from applevz._core.deadline import Deadline
from applevz._core.machine import BaseVirtualMachine
from applevz._core.operation import begin, run
from applevz._native import lib
from fixtures import MakeMachine
from guest_machine import PATIENCE
from processes import children, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no QEMU under Apple's framework")

# A cell is the state in which the machine is afterwards, or
#     !       refused as a transition that the state does not have (VZErrorInvalidVirtualMachineStateTransition)
#     ?       refused for the state (VZErrorInvalidVirtualMachineState)
#     ...     it waits where that leads
#     ERROR:  the error that the machine stopped with
# A verb that is refused, or only waits, leaves the state as it is. The first block is what some states accept, as the
# framework's verbs are, the second what asks for a result. Stopping is left at once: what waits there does what it does
# to a stopped machine.
TABLE = """
                  STOPPED  RUNNING  PAUSED   ERROR    STARTING  PAUSING  RESUMING  STOPPING  SAVING   RESTORING
-start            RUNNING  !        !        RUNNING  !         !        !         !         !        !
pause             !        PAUSED   !        !        !         !        !         !         !        !
resume            !        !        RUNNING  !        !         !        !         !         !        !
stop              !        STOPPED  STOPPED  !        !         !        !         !         !        !
request_stop      ?        RUNNING  ?        ?        ?         ?        ?         ?         ?        ?
save_state        ?        ?        PAUSED   ?        ?         ?        ?         ?         ?        ?
restore_state     PAUSED   !        !        !        !         !        !         !         !        !
connect           ?        ...      ?        ?        ?         ?        ?         ?         ?        ?
screenshot        ?        RUNNING  PAUSED   ?        ?         ?        ?         ?         ?        ?

start             RUNNING  RUNNING  RUNNING  RUNNING  ...       ...      ...       RUNNING   ...      ...
suspend           !        PAUSED   PAUSED   !        ...       ...      ...       !         ...      ...
suspend-to        !        STOPPED  STOPPED  !        ...       ...      ...       !         ...      ...
shutdown          STOPPED  ...      !        ERROR    ...       ...      ...       STOPPED   ...      ...
shutdown-HALT     STOPPED  STOPPED  STOPPED  ERROR    ...       ...      ...       STOPPED   ...      ...
shutdown-POWEROFF STOPPED  STOPPED  STOPPED  STOPPED  STOPPED   STOPPED  STOPPED   STOPPED   STOPPED  STOPPED
wait              STOPPED  ...      ...      ERROR:   ...       ...      ...       STOPPED   ...      ...
"""

# What the framework says beforehand: can_start, can_stop, can_pause, can_resume, can_request_stop.
ACCEPTED = {
    "STOPPED": {"can_start"},
    "RUNNING": {"can_pause", "can_stop", "can_request_stop"},
    "PAUSED": {"can_resume", "can_stop"},
    "ERROR": {"can_start"},
}
CAN = {"can_start", "can_stop", "can_pause", "can_resume", "can_request_stop"}

REFUSALS = {
    "!": (
        applevz.InvalidVirtualMachineStateTransitionError,
        lib.APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE_TRANSITION,
    ),
    "?": (applevz.InvalidVirtualMachineStateError, lib.APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE),
}
A_MOMENT = 0.03


def cells() -> dict[tuple[str, str], str]:
    lines = [line.split() for line in TABLE.splitlines() if line.strip()]
    states = lines[0]
    return {(line[0], state): cell for line in lines[1:] for state, cell in zip(states, line[1:], strict=True)}


CELLS = cells()
VERBS = list(dict.fromkeys(verb for verb, _ in CELLS))
STATES = list(dict.fromkeys(state for _, state in CELLS))


@pytest.fixture(scope="module")
def identifier() -> applevz.GenericMachineIdentifier:
    return applevz.GenericMachineIdentifier.random()


class Stage:
    """Brings machines into states, and calls verbs there."""

    def __init__(
        self, make: Callable[[], applevz.VirtualMachine], folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.make, self.monkeypatch = make, monkeypatch
        self.saved, self.new = folder / "saved.state", folder / "new.state"
        # Stands still before it becomes QEMU.
        self.standing = folder / "standing-qemu"
        self.standing.write_text(f'#!/bin/sh\nkill -STOP $$\nexec {shutil.which("qemu-system-x86_64")} "$@"\n')
        self.standing.chmod(0o755)
        vm = make()
        vm.start(timeout=PATIENCE)
        vm.suspend(timeout=PATIENCE, to=self.saved)

    def call(self, vm: applevz.VirtualMachine, verb: str, seconds: float) -> None:
        with suppress(FileNotFoundError):
            self.new.unlink()
        match verb:
            case "-start":
                run(vm._do(lib.applevz_machine_start, "start", Deadline(seconds)))
            case "save_state":
                vm.save_state(self.new, timeout=seconds)
            case "restore_state":
                vm.restore_state(self.saved, timeout=seconds)
            case "connect":
                vm.connect(7, timeout=seconds)
            case "suspend-to":
                vm.suspend(timeout=seconds, to=self.new)
            case "shutdown-HALT" | "shutdown-POWEROFF":
                vm.shutdown(ShutdownPolicy[verb.partition("-")[2]], timeout=seconds)
            case "wait":
                vm.wait(VirtualMachineState.STOPPED, timeout=seconds)
            case _:
                getattr(vm, verb)(timeout=seconds)

    def begin_standing(self, vm: applevz.VirtualMachine, verb: str) -> int:
        """Begins a verb that starts a QEMU, which stands still."""
        before = children()
        with self.monkeypatch.context() as patch:
            patch.setenv("APPLEVZ_QEMU", str(self.standing))
            with pytest.raises(applevz.TimeoutError):
                self.call(vm, verb, A_MOMENT)
            assert eventually(lambda: children() - before)
            (process,) = children() - before
            # Before it looks at its environment no more.
            assert eventually(lambda: Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        return process

    @contextmanager
    def machine_in(self, state: str) -> Iterator[applevz.VirtualMachine]:
        """A machine in that state, held there; at the end the state leads where it leads by itself."""
        vm, before = self.make(), children()
        leads_to, held = state, None
        match state:
            case "STARTING":
                leads_to, held = "RUNNING", self.begin_standing(vm, "-start")
            case "RESTORING":
                leads_to, held = "PAUSED", self.begin_standing(vm, "restore_state")
            case "RUNNING" | "PAUSED" | "ERROR" | "PAUSING" | "RESUMING" | "SAVING" | "STOPPING":
                vm.start(timeout=PATIENCE)
                (process,) = children() - before
                if state in ("PAUSED", "RESUMING", "SAVING"):
                    vm.pause(timeout=PATIENCE)
                if state == "ERROR":
                    os.kill(process, signal.SIGKILL)
                    vm.wait(VirtualMachineState.ERROR, timeout=PATIENCE)
                verbs = {
                    "PAUSING": ("pause", "PAUSED"),
                    "RESUMING": ("resume", "RUNNING"),
                    "SAVING": ("save_state", "PAUSED"),
                }
                if state in verbs:
                    os.kill(process, signal.SIGSTOP)
                    held = process
                    verb, leads_to = verbs[state]
                    with pytest.raises(applevz.TimeoutError):
                        self.call(vm, verb, A_MOMENT)
                if state == "STOPPING":
                    begin(lib.applevz_machine_stop, vm._handle)
        try:
            yield vm
            if held is not None and vm.state.name == state:
                os.kill(held, signal.SIGCONT)
                vm.wait(VirtualMachineState[leads_to], timeout=PATIENCE)
                # What gave up waiting does not come after all.
                time.sleep(A_MOMENT)
                assert vm.state.name == leads_to
        finally:
            vm.shutdown(ShutdownPolicy.POWEROFF, timeout=PATIENCE)
        assert children() == before


@pytest.fixture
def stage(
    machine: MakeMachine, identifier: applevz.GenericMachineIdentifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Stage:
    # Nobody in the guest asks for an address: a connection is waited for.
    card = applevz.VirtioNetworkDeviceConfiguration(mac_address="52:54:00:00:02:01")
    platform = applevz.GenericPlatformConfiguration(identifier)
    display = applevz.VirtioGraphicsDeviceConfiguration([applevz.VirtioGraphicsScanoutConfiguration(640, 480)])
    fields = {"platform": platform, "memory_size": "128MiB", "network_devices": [card], "graphics_devices": [display]}
    return Stage(lambda: machine(**fields), tmp_path, monkeypatch)


def check_refusal(stage: Stage, vm: applevz.VirtualMachine, verb: str, state: str, cell: str) -> None:
    kind, code = REFUSALS[cell]
    with pytest.raises(kind) as caught:
        stage.call(vm, verb, PATIENCE)
    assert type(caught.value) is kind, verb
    assert (caught.value.error.domain, caught.value.error.code) == ("VZErrorDomain", code), verb
    assert f"state {state}" in str(caught.value) or f'state "{state.lower()}"' in str(caught.value), verb


def check_held(stage: Stage, vm: applevz.VirtualMachine, verb: str, state: str, cell: str) -> None:
    """A cell that leaves the machine where it is."""
    if cell in REFUSALS:
        check_refusal(stage, vm, verb, state, cell)
    elif cell == "...":
        with pytest.raises(applevz.TimeoutError):
            stage.call(vm, verb, A_MOMENT)
    elif cell == "ERROR:":
        with pytest.raises(applevz.InternalError, match="signal 9"):
            stage.call(vm, verb, PATIENCE)
    else:
        assert cell == state
        stage.call(vm, verb, PATIENCE)
    assert vm.state.name == state, verb


def stays(state: str, cell: str) -> bool:
    return cell in (state, "!", "?", "...", "ERROR:")


@pytest.mark.parametrize("state", [state for state in STATES if state != "STOPPING"])
def test_what_each_verb_does_in_a_state(stage: Stage, state: str) -> None:
    with stage.machine_in(state) as vm:
        assert vm.state.name == state
        assert {name for name in CAN if getattr(vm, name)} == ACCEPTED.get(state, set())
        for verb in VERBS:
            if stays(state, CELLS[verb, state]):
                check_held(stage, vm, verb, state, CELLS[verb, state])
        assert {name for name in CAN if getattr(vm, name)} == ACCEPTED.get(state, set())
    for verb in VERBS:
        cell = CELLS[verb, state]
        if not stays(state, cell):
            with stage.machine_in(state) as vm:
                stage.call(vm, verb, PATIENCE)
                assert vm.state.name == cell, verb


@pytest.mark.parametrize("verb", VERBS)
def test_what_a_verb_does_while_the_machine_stops(stage: Stage, verb: str) -> None:
    cell = CELLS[verb, "STOPPING"]
    native = {"screenshot": "take_screenshot"}.get(verb, verb.lstrip("-"))
    if cell not in REFUSALS or not hasattr(lib, f"applevz_machine_{native}"):
        with stage.machine_in("STOPPING") as vm:
            # The stop is in the machine's queue, maybe not begun: a verb that looks at the state first saw Running.
            assert eventually(lambda: vm.state.name != "RUNNING")
            if cell in REFUSALS:
                check_refusal(stage, vm, verb, "STOPPED", cell)
            else:
                stage.call(vm, verb, PATIENCE)
            assert vm.state.name == (cell if cell not in REFUSALS else "STOPPED")
        return
    # A busy host may be so slow that the machine has stopped before: then the error says so, or there is none.
    for _ in range(20):
        with stage.machine_in("STOPPING") as vm:
            try:
                check_refusal(stage, vm, verb, "STOPPING", cell)
            except (AssertionError, pytest.fail.Exception):
                continue
            vm.wait(VirtualMachineState.STOPPED, timeout=PATIENCE)
            return
    raise AssertionError(f"{verb} was never refused for the state Stopping")


def test_the_table_has_every_state_and_every_verb() -> None:
    assert set(STATES) == {state.name for state in VirtualMachineState}
    assert set(CELLS) == {(verb, state) for verb in VERBS for state in STATES}
    methods = {
        name
        for name in vars(applevz.VirtualMachine)
        if not name.startswith("_") and callable(getattr(applevz.VirtualMachine, name))
    }
    # A forward is the guest's agent's, and made in any state. In any state there are figures, too.
    anywhere = {"forward", "statistics"}
    assert {verb.partition("-")[0] for verb in VERBS if not verb.startswith("-")} == methods - anywhere
    assert {verb.partition("-")[2] for verb in VERBS if verb.startswith("shutdown-")} | {"POWERDOWN"} == {
        policy.name for policy in ShutdownPolicy
    }
    properties = {name for name in vars(BaseVirtualMachine) if name.startswith("can_")}
    assert properties == CAN
