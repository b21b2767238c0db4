# SPDX-License-Identifier: Apache-2.0
"""What goes wrong between a machine and its QEMU: each a clear error of its own, none a hang, and the machine obeys
afterwards."""

from __future__ import annotations

import errno
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import ShutdownPolicy, VirtualMachineState
from applevz._core.deadline import Deadline
from applevz._core.operation import run
from applevz._native import lib
from fixtures import Configure, MakeMachine, Script
from guest_machine import PATIENCE, Guest
from processes import alive, children, eventually, open_descriptors, workers_end

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no QEMU under Apple's framework")


def qemu_of_this_process(before: set[int]) -> int:
    (process,) = children() - before
    return process


# ---- QEMU is not there, or not as it should be ------------------------------------------------------------------


def test_without_qemu_no_configuration_is_valid_and_the_error_says_what_to_install(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configuration = configure()
    monkeypatch.delenv("APPLEVZ_QEMU", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(applevz.NotSupportedError) as caught:
        configuration.validate()
    assert caught.value.localized_description.startswith("The operation is not supported. QEMU is not installed. ")
    assert str(tmp_path) in caught.value.failure_reason
    assert "qemu-system-x86" in caught.value.recovery_suggestion
    assert not applevz.capabilities.virtualization
    assert "PATH" in applevz.capabilities.virtualization.reason


def test_a_qemu_that_goes_away_after_the_machine_was_made_is_an_error_at_start(
    machine: MakeMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    vm = machine()
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(applevz.NotSupportedError, match="not installed"):
        vm.start(timeout=PATIENCE)
    assert vm.state is VirtualMachineState.STOPPED


@pytest.mark.parametrize("value", ["qemu-system-x86_64", "/nowhere/qemu", "/tmp", "/etc/os-release"])
def test_a_program_that_is_named_and_is_none_is_refused_by_the_name_of_the_variable(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    configuration = configure()
    monkeypatch.setenv("APPLEVZ_QEMU", value)

    with pytest.raises(applevz.NotSupportedError) as caught:
        configuration.validate()
    assert "APPLEVZ_QEMU" in caught.value.failure_reason
    assert value in caught.value.failure_reason


def test_a_program_that_cannot_be_executed_is_named_with_the_systems_words(
    machine: MakeMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    vm = machine()
    program = tmp_path / "qemu"
    program.write_text("no program")
    program.chmod(0o755)
    monkeypatch.setenv("APPLEVZ_QEMU", str(program))

    with pytest.raises(applevz.InternalError, match="Exec format error") as caught:
        vm.start(timeout=PATIENCE)
    assert str(program) in caught.value.failure_reason
    assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("dies", [False, True], ids=["greets", "dies at an option that it does not know"])
def test_a_qemu_that_is_too_old_is_named_by_its_version(machine: MakeMachine, script: Script, dies: bool) -> None:
    script(version=[6, 1], **({"die": [1, "qemu: -device {: invalid option"]} if dies else {}))
    vm = machine()

    with pytest.raises(applevz.NotSupportedError) as caught:
        vm.start(timeout=PATIENCE)
    assert "QEMU 6.1 is installed; 7.2 or later is needed." in caught.value.failure_reason
    assert vm.state is VirtualMachineState.STOPPED


def test_what_qemu_said_as_it_died_at_start_is_in_the_failure_reason(machine: MakeMachine, script: Script) -> None:
    script(die=[3, "qemu: the last\nwords"])
    vm = machine()

    with pytest.raises(applevz.InternalError) as caught:
        vm.start(timeout=PATIENCE)
    assert "exit status 3" in caught.value.failure_reason
    assert "qemu: the last\nwords" in caught.value.failure_reason
    assert vm.state is VirtualMachineState.STOPPED


@pytest.mark.parametrize(("first_reads", "second_reads"), [(False, False), (False, True), (True, False)])
def test_a_real_qemu_that_dies_at_start_says_why(
    machine: MakeMachine, tmp_path: Path, first_reads: bool, second_reads: bool
) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))

    def disk(read_only: bool) -> applevz.VirtioBlockDeviceConfiguration:
        return applevz.VirtioBlockDeviceConfiguration(
            applevz.DiskImageStorageDeviceAttachment(image, read_only=read_only)
        )

    first = machine(storage_devices=[disk(first_reads)])
    first.start(timeout=PATIENCE)
    second = machine(storage_devices=[disk(second_reads)])

    words = f'storageDevices[0].attachment.URL is "{image}", which another process uses'
    with pytest.raises(applevz.InvalidDiskImageError) as caught:
        second.start(timeout=PATIENCE)
    assert words in caught.value.failure_reason
    assert "{" not in str(caught.value)
    assert isinstance(caught.value, OSError)
    assert caught.value.errno == errno.EBUSY
    assert second.state is VirtualMachineState.STOPPED
    assert first.state is VirtualMachineState.RUNNING
    first.stop(timeout=PATIENCE)
    second.start(timeout=PATIENCE)
    assert second.state is VirtualMachineState.RUNNING


def test_a_host_without_enough_memory_is_an_error_of_its_own(configure: Configure) -> None:
    vm = applevz.VirtualMachine(configure(memory_size="2GiB"))
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    # QEMU inherits the limit: enough for this process and for QEMU, but not for the guest's memory.
    resource.setrlimit(resource.RLIMIT_AS, (max(used, 1 << 30) + (512 << 20), before[1]))
    try:
        with pytest.raises(applevz.InternalError) as caught:
            vm.start(timeout=PATIENCE)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert isinstance(caught.value, MemoryError)
    assert caught.value.failure_reason.startswith(
        "The virtual machine failed to start. There is not enough memory to start it: "
    )
    assert "memorySize" in caught.value.recovery_suggestion
    assert vm.state is VirtualMachineState.STOPPED
    vm.start(timeout=PATIENCE)
    vm.stop(timeout=PATIENCE)


def test_without_file_descriptors_starting_fails_and_stopping_does_not(machine: MakeMachine) -> None:
    running, stopped = machine(), machine()
    running.start(timeout=PATIENCE)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 8, hard))
    taken = []
    try:
        while True:
            try:
                taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        with pytest.raises(applevz.Error) as caught:
            stopped.start(timeout=PATIENCE)
        assert "Too many open files" in caught.value.failure_reason
        assert stopped.state is VirtualMachineState.STOPPED
        running.stop(timeout=PATIENCE)
        assert running.state is VirtualMachineState.STOPPED
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    stopped.start(timeout=PATIENCE)


def test_a_process_that_never_had_a_descriptor_to_spare_gets_an_error_too(guest_files: Path) -> None:
    program = PROGRAM.replace(
        "vm.start()",
        """
import os, resource
lowest = os.dup(0)
os.close(lowest)
for spare in range(40):
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + spare, 4096))
    try:
        vm.start(timeout=60)
    except applevz.Error as error:
        assert "Too many open files" in str(error), error
    else:
        break
assert 0 < spare < 39, spare
""",
    ).format(then="")
    done = subprocess.run(
        [sys.executable, "-c", program, guest_files / "vmlinux", guest_files / "initrd.cpio.gz"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "running\n"), done.stderr


# ---- QEMU misbehaves --------------------------------------------------------------------------------------------

MISBEHAVIOUR: dict[str, tuple[dict[str, Any], str]] = {
    "garbage": ({"greeting": "\x01\x02 hello\r\n"}, "which is not a QMP message"),
    "JSON that is no object": ({"greeting": "[1, 2]\r\n"}, "which is not a QMP message"),
    "half a line": (
        {"answers": {"qmp_capabilities": '{"return"'}, "after": {"qmp_capabilities": "kill"}},
        "signal 9",
    ),
    "an unknown id": ({"answers": {"qmp_capabilities": '{"return": {}, "id": 77}\r\n'}}, "answers no command"),
    "an answer without an id": ({"answers": {"qmp_capabilities": '{"return": {}}\r\n'}}, "answers no command"),
    "an error": (
        {"answers": {"chardev-add": '{"error": {"class": "GenericError", "desc": "no such thing"}, "id": %d}\r\n'}},
        "no such thing",
    ),
    "an answer before the greeting": ({"greeting": ""}, "answered before it greeted"),
    "a greeting without a version": ({"greeting": '{"QMP": {}}\r\n'}, "does not say which"),
    "the end of the connection": ({"after": {"qmp_capabilities": "exit"}}, "exit status 0"),
    "its own death": ({"after": {"qmp_capabilities": "kill"}}, r"signal 9"),
}


@pytest.mark.parametrize("kind", MISBEHAVIOUR)
def test_a_qemu_that_misbehaves_at_start_is_an_error_that_says_how(
    machine: MakeMachine, script: Script, kind: str
) -> None:
    behaviour, words = MISBEHAVIOUR[kind]
    script(**behaviour)
    vm = machine()
    before = children()

    with pytest.raises(applevz.Error, match=words):
        vm.start(timeout=PATIENCE)
    assert vm.state is VirtualMachineState.STOPPED
    assert children() == before


def test_a_qemu_that_says_nothing_is_given_up(
    machine: MakeMachine, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPLEVZ_QEMU_TIMEOUT", "0.5")
    script(greeting="", answers={"qmp_capabilities": ""})
    vm = machine()
    before = children()

    with pytest.raises(applevz.InternalError, match="did not answer the command qmp_capabilities within 0.5 s"):
        vm.start(timeout=PATIENCE)
    assert vm.state is VirtualMachineState.STOPPED
    assert children() == before


def test_a_pause_that_qemu_does_not_answer_fails_and_leaves_the_machine_in_error(
    machine: MakeMachine, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(answers={"stop": ""})
    vm = machine()
    vm.start(timeout=PATIENCE)
    # Read at each command. A start on a busy host takes longer.
    monkeypatch.setenv("APPLEVZ_QEMU_TIMEOUT", "0.5")

    with pytest.raises(applevz.InternalError, match="did not answer the command stop within 0.5 s"):
        vm.pause(timeout=PATIENCE)
    assert vm.state is VirtualMachineState.ERROR
    assert "did not answer" in str(vm.stop_error)


def test_a_resume_that_qemu_does_not_answer_fails_and_leaves_the_machine_in_error(
    machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = machine()
    before = children()
    vm.start(timeout=PATIENCE)
    vm.pause(timeout=PATIENCE)
    monkeypatch.setenv("APPLEVZ_QEMU_TIMEOUT", "0.5")
    os.kill(qemu_of_this_process(before), signal.SIGSTOP)

    with pytest.raises(applevz.InternalError, match="did not answer the command cont within 0.5 s"):
        vm.resume(timeout=PATIENCE)
    assert vm.state is VirtualMachineState.ERROR
    assert children() == before


def test_a_pause_that_qemu_refuses_leaves_the_machine_running(machine: MakeMachine, script: Script) -> None:
    script(answers={"stop": '{"error": {"class": "GenericError", "desc": "not now"}, "id": %d}\r\n'})
    vm = machine()
    vm.start(timeout=PATIENCE)

    with pytest.raises(applevz.InternalError, match="not now"):
        vm.pause(timeout=PATIENCE)
    assert vm.state is VirtualMachineState.RUNNING
    assert vm.stop_error is None


def test_a_verb_under_way_when_the_guest_turns_itself_off_is_cancelled(machine: MakeMachine, script: Script) -> None:
    shutdown = {"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}, "timestamp": {"seconds": 0}}
    script(answers={"stop": ""}, after={"stop": "events"}, events=[json.dumps(shutdown)])
    vm = machine()
    vm.start(timeout=PATIENCE)

    with pytest.raises(applevz.OperationCancelledError, match="turned the virtual machine off"):
        vm.pause(timeout=PATIENCE)
    assert vm.state is VirtualMachineState.STOPPED
    assert vm.stop_error is None


def test_a_qemu_that_closes_its_connection_and_lives_on_is_ended(machine: MakeMachine, script: Script) -> None:
    script(after={"stop": "close"}, answers={"stop": ""})
    vm = machine()
    before = children()
    vm.start(timeout=PATIENCE)

    with pytest.raises(applevz.InternalError, match="closed its control connection and ran on"):
        vm.pause(timeout=PATIENCE)
    assert vm.state is VirtualMachineState.ERROR
    assert children() == before


def test_a_machine_that_qemu_does_not_let_begin_is_stopped_and_its_qemu_gone(
    machine: MakeMachine, script: Script
) -> None:
    script(answers={"cont": '{"error": {"class": "GenericError", "desc": "not now"}, "id": %d}\r\n'})
    vm = machine()
    before = children()

    with pytest.raises(applevz.InternalError, match="not now"):
        vm.start(timeout=PATIENCE)
    assert vm.state is VirtualMachineState.STOPPED
    assert vm.stop_error is None
    assert children() == before


def test_a_machine_whose_processors_qemu_stops_by_itself_is_in_error(machine: MakeMachine, script: Script) -> None:
    stop = json.dumps({"event": "STOP", "timestamp": {"seconds": 0}})
    status = '{"return": {"status": "internal-error", "running": false}, "id": %d}\r\n'
    script(answers={"query-status": status, "cont": '{"return": {}, "id": %d}\r\n' + stop + "\r\n"})
    vm = machine()
    vm.start(timeout=PATIENCE)

    vm.wait(VirtualMachineState.ERROR, timeout=PATIENCE)
    assert "stopped its processors (internal-error)" in str(vm.stop_error)


def test_a_start_that_is_refused_changes_nothing_for_the_one_under_way(
    machine: MakeMachine, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPLEVZ_QEMU_TIMEOUT", "3")
    script(greeting="", answers={"qmp_capabilities": ""})
    vm = machine()
    with pytest.raises(applevz.TimeoutError):
        vm.start(timeout=0.1)
    assert vm.state is VirtualMachineState.STARTING
    with pytest.raises(applevz.InvalidVirtualMachineStateTransitionError):
        run(vm._do(lib.applevz_machine_start, "start", Deadline(PATIENCE)))

    assert vm.wait(VirtualMachineState.STOPPED, timeout=PATIENCE) is VirtualMachineState.STOPPED
    monkeypatch.delenv("APPLEVZ_QEMU_TIMEOUT")
    script()
    vm.start(timeout=PATIENCE)
    assert vm.state is VirtualMachineState.RUNNING


def test_a_machine_is_powered_off_also_when_its_files_have_gone_and_the_next_start_says_so(
    machine: MakeMachine, script: Script, tmp_path: Path
) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(512))
    script()
    attachment = applevz.DiskImageStorageDeviceAttachment(image)
    vm = machine(storage_devices=[applevz.VirtioBlockDeviceConfiguration(attachment)])
    vm.start(timeout=PATIENCE)
    before = children()
    os.kill(next(iter(before)), signal.SIGSTOP)
    with pytest.raises(applevz.TimeoutError):
        vm.pause(timeout=0.1)
    image.unlink()

    vm.shutdown(ShutdownPolicy.POWEROFF, timeout=PATIENCE)
    assert vm.state is VirtualMachineState.STOPPED
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=r"disk\.img"):
        vm.start(timeout=PATIENCE)
    image.write_bytes(bytes(512))
    vm.start(timeout=PATIENCE)
    assert vm.state is VirtualMachineState.RUNNING


def test_a_file_that_a_guest_reads_is_read_from_where_its_handle_is(
    machine: MakeMachine, script: Script, tmp_path: Path
) -> None:
    places = tmp_path / "places"
    script(places=str(places))
    with (tmp_path / "input").open("w+b", buffering=0) as file:
        file.write(b"skipped read")
        file.seek(8)
        attachment = applevz.FileHandleSerialPortAttachment(file, None)
        vm = machine(serial_ports=[applevz.VirtioConsoleDeviceSerialPortConfiguration(attachment)])
        vm.start(timeout=PATIENCE)
    assert json.loads(places.read_text())[-1] == 8


# ---- QEMU dies, or is stopped, while a machine runs --------------------------------------------------------------


@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_qemu_that_is_killed_leaves_the_machine_in_error_with_the_reason(machine: MakeMachine, state: str) -> None:
    vm = machine()
    before = children()
    vm.start(timeout=PATIENCE)
    if state == "paused":
        vm.pause(timeout=PATIENCE)
    os.kill(qemu_of_this_process(before), signal.SIGKILL)

    assert vm.wait(VirtualMachineState.ERROR, timeout=PATIENCE) is VirtualMachineState.ERROR
    assert "signal 9 (Killed)" in str(vm.stop_error)
    with pytest.raises(applevz.InvalidVirtualMachineStateTransitionError):
        vm.pause(timeout=PATIENCE)
    assert children() == before
    Guest(vm).start()
    assert vm.stop_error is None


def test_a_qemu_that_somebody_ends_politely_is_not_taken_for_a_guest_that_stopped(machine: MakeMachine) -> None:
    vm = machine()
    before = children()
    vm.start(timeout=PATIENCE)
    os.kill(qemu_of_this_process(before), signal.SIGTERM)

    vm.wait(VirtualMachineState.ERROR, timeout=PATIENCE)
    assert "told to end from outside (host-signal)" in str(vm.stop_error)


def test_waiting_for_a_state_ends_with_the_error_that_makes_it_impossible(machine: MakeMachine) -> None:
    vm = machine()
    before = children()
    vm.start(timeout=PATIENCE)
    os.kill(qemu_of_this_process(before), signal.SIGKILL)

    with pytest.raises(applevz.InternalError, match="signal 9"):
        vm.wait(VirtualMachineState.PAUSED, timeout=PATIENCE)


def test_a_verb_on_a_qemu_that_stands_still_times_out_and_goes_on_when_it_does(machine: MakeMachine) -> None:
    vm = machine()
    before = children()
    vm.start(timeout=PATIENCE)
    qemu = qemu_of_this_process(before)
    os.kill(qemu, signal.SIGSTOP)

    began = time.monotonic()
    with pytest.raises(applevz.TimeoutError, match="PAUSING"):
        vm.pause(timeout=0.5)
    # Never early; how much later depends on the machine that runs the test.
    assert time.monotonic() - began >= 0.5
    assert vm.state is VirtualMachineState.PAUSING
    os.kill(qemu, signal.SIGCONT)
    assert vm.wait(VirtualMachineState.PAUSED, timeout=PATIENCE) is VirtualMachineState.PAUSED


@pytest.mark.parametrize("doing", ["running", "pausing"])
def test_a_machine_whose_qemu_stands_still_is_powered_off_from_any_state(machine: MakeMachine, doing: str) -> None:
    vm = machine()
    before = children()
    vm.start(timeout=PATIENCE)
    qemu = qemu_of_this_process(before)
    os.kill(qemu, signal.SIGSTOP)
    if doing == "pausing":
        with pytest.raises(applevz.TimeoutError):
            vm.pause(timeout=0.1)

    vm.shutdown(ShutdownPolicy.POWEROFF, timeout=PATIENCE)
    assert vm.state is VirtualMachineState.STOPPED
    assert eventually(lambda: not alive(qemu))
    vm.start(timeout=PATIENCE)
    assert vm.state is VirtualMachineState.RUNNING


def test_a_guests_power_off_is_told_where_the_host_program_reaps_all_children(machine: MakeMachine) -> None:
    vm = machine()
    guest = Guest(vm).start()
    previous = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        guest.console.write(b"poweroff\n")
        assert vm.wait(VirtualMachineState.STOPPED, timeout=PATIENCE) is VirtualMachineState.STOPPED
    finally:
        signal.signal(signal.SIGCHLD, previous)
    assert vm.stop_error is None


# ---- The host program ends --------------------------------------------------------------------------------------

PROGRAM = """
import sys, time
import applevz
kernel, initrd = sys.argv[1:3]
boot_loader = applevz.LinuxBootLoader(kernel, initial_ramdisk=initrd, command_line="console=hvc0")
vm = applevz.VirtualMachine(applevz.VirtualMachineConfiguration(boot_loader, memory_size="256MiB"))
vm.start()
print("running", flush=True)
{then}
"""


def program(guest_files: Path, then: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(then=then), guest_files / "vmlinux", guest_files / "initrd.cpio.gz"],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "running\n"
    return process


def test_no_qemu_outlives_a_process_that_is_killed(guest_files: Path) -> None:
    with program(guest_files, "time.sleep(3600)") as process:
        (qemu,) = children(process.pid)
        process.kill()
    assert eventually(lambda: not alive(qemu), seconds=1.0)


@pytest.mark.parametrize("then", ["", "sys.exit(0)", "raise SystemExit", "import os; os._exit(0)", "del vm"])
def test_a_process_that_ends_with_a_running_machine_ends_well_and_takes_it_along(guest_files: Path, then: str) -> None:
    with program(guest_files, "sys.stdin.readline(); " + then) as process:
        (qemu,) = children(process.pid)
        process.communicate("\n", timeout=PATIENCE)
    assert process.returncode == 0
    assert eventually(lambda: not alive(qemu), seconds=1.0)


@pytest.mark.parametrize("guest_agent", [False, True])
def test_a_machine_that_is_dropped_while_it_runs_is_ended(configure: Configure, guest_agent: bool) -> None:
    before = children()
    gc.disable()  # with its last reference, not when somebody collects the garbage
    try:
        vm = applevz.VirtualMachine(configure(guest_agent=guest_agent))
        vm.start(timeout=PATIENCE)
        qemu = qemu_of_this_process(before)
        del vm
        assert eventually(lambda: not alive(qemu))
    finally:
        gc.enable()


def test_a_forked_child_cannot_harm_its_parents_machine(machine: MakeMachine) -> None:
    vm = machine()
    guest = Guest(vm).start()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            try:
                vm.stop(timeout=5)
            except applevz.ForkedError:
                status = 0
            del vm, guest
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert vm.state is VirtualMachineState.RUNNING
    assert guest.run("echo still here") == "still here"


def test_an_interrupt_ends_a_wait_and_the_machine_still_obeys(machine: MakeMachine) -> None:
    vm = machine()
    before = children()
    vm.start(timeout=PATIENCE)
    qemu = qemu_of_this_process(before)
    os.kill(qemu, signal.SIGSTOP)
    interruption = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    interruption.start()

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        vm.pause(timeout=PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2
    interruption.join()
    assert vm.state is VirtualMachineState.PAUSING
    os.kill(qemu, signal.SIGCONT)
    vm.wait(VirtualMachineState.PAUSED, timeout=PATIENCE)
    vm.resume(timeout=PATIENCE)


def test_a_handler_of_a_signal_runs_while_a_verb_waits_which_then_goes_on(machine: MakeMachine) -> None:
    vm = machine()
    before = children()
    vm.start(timeout=PATIENCE)
    qemu = qemu_of_this_process(before)
    os.kill(qemu, signal.SIGSTOP)
    previous = signal.signal(signal.SIGALRM, lambda *_: os.kill(qemu, signal.SIGCONT))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        vm.pause(timeout=PATIENCE)
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert vm.state is VirtualMachineState.PAUSED


# ---- Nothing is left behind ---------------------------------------------------------------------------------------


def test_machines_that_were_made_used_and_dropped_leave_nothing_behind(configure: Configure, script: Script) -> None:
    script()

    def cycle() -> None:
        with applevz.VirtualMachine(configure()) as vm:
            vm.start(timeout=PATIENCE)
            vm.pause(timeout=PATIENCE)
            with pytest.raises(applevz.InvalidVirtualMachineStateTransitionError):
                vm.pause(timeout=PATIENCE)
            vm.resume(timeout=PATIENCE)
            vm.stop(timeout=PATIENCE)

    def left() -> tuple[set[int], int, int]:
        threads = len(os.listdir("/proc/self/task")) - threading.active_count()
        return children(), threads, lib.applevz_debug_live_handles()

    for _ in range(3):
        cycle()
    gc.collect()
    assert workers_end()
    before, descriptors = left(), open_descriptors()
    for _ in range(10):
        cycle()
    gc.collect()
    assert workers_end()
    assert eventually(lambda: left() == before and open_descriptors() <= descriptors)
