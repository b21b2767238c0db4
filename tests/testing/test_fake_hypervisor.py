# SPDX-License-Identifier: Apache-2.0
"""Machines that a FakeHypervisor runs: the library's own machines, whose guest and whose faults a test decides."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import applevz
import applevz.aio
from applevz import EventCause, EventKind, ShutdownPolicy, VirtualMachineState
from applevz._core.launching import Launch
from applevz.testing import FakeGuest, FakeHypervisor, FakeResult, _hypervisor
from fixtures import Configure
from guest_machine import PATIENCE, with_agent
from png import Picture
from processes import alive, children, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Apple's framework has no hypervisor of another's")

GUEST = FakeGuest(
    console="Linux plays\nlogin: ",
    answers={"root": "# ", "größer": b"\xffanswered\n"},
    commands={
        "uname -r": "6.1.0\n",
        ("ls", "/nowhere"): FakeResult(2, stderr="ls: /nowhere: No such file or directory\n"),
        "long": "x" * 3_000_000,
        "sleep": FakeResult(stdout="begun\n", hangs=True),
    },
    files={"/etc/hostname": "played\n"},
    information={"hostname": "other"},
)


@pytest.fixture
def hypervisor() -> Iterator[FakeHypervisor]:
    with FakeHypervisor(GUEST) as hypervisor:
        yield hypervisor


@pytest.fixture
def configuration(configure: Configure) -> applevz.VirtualMachineConfiguration:
    identifier = applevz.GenericMachineIdentifier.random()
    return with_agent(configure(platform=applevz.GenericPlatformConfiguration(identifier)))


@pytest.fixture
def machine(
    hypervisor: FakeHypervisor, configuration: applevz.VirtualMachineConfiguration
) -> Iterator[applevz.VirtualMachine]:
    with applevz.VirtualMachine(configuration) as machine:
        yield machine


def taken(machine: applevz.VirtualMachine) -> list[applevz.Event]:
    """The events that nobody took so far."""
    found = []
    with suppress(applevz.TimeoutError):
        while True:
            found.append(machine.events.next(timeout=0))
    return found


def events_until(machine: applevz.VirtualMachine, kind: EventKind) -> list[applevz.Event]:
    """The events up to the next of that kind."""
    found = [machine.events.next(timeout=PATIENCE)]
    while found[-1].kind is not kind:
        found.append(machine.events.next(timeout=PATIENCE))
    return found


def begun(verb: Any, *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=verb, args=arguments)
    thread.start()
    return thread


# ---- A guest that is as it was said ----


def test_a_machine_walks_through_its_life_with_the_states_of_any_machine(
    machine: applevz.VirtualMachine, tmp_path: Path
) -> None:
    machine.start(timeout=PATIENCE)
    machine.pause(timeout=PATIENCE)
    machine.save_state(tmp_path / "state", timeout=PATIENCE)
    machine.resume(timeout=PATIENCE)
    machine.shutdown(timeout=PATIENCE)
    assert [event.state.name for event in taken(machine) if event.kind is EventKind.STATE_CHANGED] == [
        *("STARTING", "RUNNING", "PAUSING", "PAUSED", "SAVING", "PAUSED", "RESUMING", "RUNNING", "STOPPED"),
    ]
    with pytest.raises(applevz.InvalidVirtualMachineStateTransitionError):
        machine.resume(timeout=PATIENCE)
    # The guest goes on with what it had.
    machine.restore_state(tmp_path / "state", timeout=PATIENCE)
    machine.start(timeout=PATIENCE)
    assert machine.guest.read_text("/etc/hostname", timeout=PATIENCE) == "played\n"


def test_its_console_says_what_was_given_and_answers_what_is_typed(
    machine: applevz.VirtualMachine, hypervisor: FakeHypervisor
) -> None:
    machine.start(timeout=PATIENCE)
    assert machine.console.read_until("login: ", timeout=PATIENCE) == b"Linux plays\nlogin: "
    machine.console.write("root\n", timeout=PATIENCE)
    assert machine.console.read_until("# ", timeout=PATIENCE) == b"# "
    machine.console.write("größer\n", timeout=PATIENCE)
    assert machine.console.readline(timeout=PATIENCE) == b"\xffanswered\n"
    assert hypervisor.machine.typed() == "root\ngrößer\n".encode()
    hypervisor.machine.print("late words\n")
    assert machine.console.readline(timeout=PATIENCE) == b"late words\n"
    with pytest.raises(applevz.InvalidArgumentError, match="console is 1, and the machine has 1"):
        hypervisor.machine.print("to nobody", console=1)


def test_its_agent_answers_commands_and_has_files(machine: applevz.VirtualMachine, hypervisor: FakeHypervisor) -> None:
    machine.start(timeout=PATIENCE)
    guest = machine.guest
    assert guest.run("uname -r", shell=True, text=True, timeout=PATIENCE).stdout == "6.1.0\n"
    done = guest.run(["ls", "/nowhere"], text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr[:13]) == (2, "", "ls: /nowhere:")
    # More than a window of the protocol has.
    assert len(guest.run(["long", "with", "arguments"], timeout=PATIENCE).stdout) == 3_000_000
    with pytest.raises(FileNotFoundError):
        guest.run(["unknown"], timeout=PATIENCE)
    with pytest.raises(subprocess.CalledProcessError):
        guest.run(["ls", "/nowhere"], check=True, timeout=PATIENCE)
    with guest.popen(["sleep", "100"], stdout=subprocess.PIPE, timeout=PATIENCE) as process:
        assert process.stdout is not None
        assert process.stdout.readline(timeout=PATIENCE) == b"begun\n"
        process.terminate()
        assert process.wait(timeout=PATIENCE) == -15
    with pytest.raises(applevz.GuestProcessTimeoutError):
        guest.run(["sleep"], timeout=0.5)
    assert guest.read_text("/etc/hostname", timeout=PATIENCE) == "played\n"
    with pytest.raises(FileNotFoundError):
        guest.read_text("/etc/none", timeout=PATIENCE)
    guest.write_bytes("/new", b"\x00\xff", timeout=PATIENCE)
    assert guest.read_bytes("/new", timeout=PATIENCE) == b"\x00\xff"
    with pytest.raises(ConnectionRefusedError):
        guest.connect(80, timeout=PATIENCE)
    assert guest.info(timeout=PATIENCE).hostname == "other"
    assert hypervisor.machine.commands[:2] == [["/bin/sh", "-c", "uname -r"], ["ls", "/nowhere"]]
    assert hypervisor.machine.files == {"/etc/hostname": b"played\n", "/new": b"\x00\xff"}


def test_a_guest_without_agent_and_one_that_ignores_its_power_button(
    machine: applevz.VirtualMachine, hypervisor: FakeHypervisor
) -> None:
    hypervisor.guest = FakeGuest(agent=False, ignores_power_button=True)
    machine.start(timeout=PATIENCE)
    with pytest.raises(applevz.GuestNotAnsweringError):
        machine.guest.wait(timeout=0.1)
    with pytest.raises(applevz.TimeoutError):
        machine.shutdown(timeout=0.1)
    assert machine.state is VirtualMachineState.RUNNING
    machine.shutdown(ShutdownPolicy.HALT, timeout=PATIENCE)


@pytest.mark.parametrize("face", ["blocking", "awaited"])
def test_a_machine_that_stops_by_an_error_says_so_to_whoever_waits_for_its_guest(
    configuration: applevz.VirtualMachineConfiguration, hypervisor: FakeHypervisor, face: str
) -> None:
    hypervisor.guest = FakeGuest(agent=False)
    ending = threading.Timer(0.5, lambda: hypervisor.machine.stop_with_error("out of luck", 7))

    def blocking() -> None:
        with applevz.VirtualMachine(configuration) as machine:
            machine.start(timeout=PATIENCE)
            ending.start()
            machine.guest.wait(timeout=PATIENCE)

    async def awaited() -> None:
        async with applevz.aio.VirtualMachine(configuration) as machine:
            await machine.start(timeout=PATIENCE)
            ending.start()
            await machine.guest.wait(timeout=PATIENCE)

    with pytest.raises(applevz.GuestUnreachableError, match="stopped by an error: .*out of luck") as caught:
        blocking() if face == "blocking" else asyncio.run(awaited())
    ending.join()
    assert caught.value.recovery_suggestion == "Start the machine again."


@pytest.mark.parametrize("face", ["blocking", "awaited"])
def test_a_launched_guest_that_ends_before_its_agent_answers_says_what_it_printed(
    hypervisor: FakeHypervisor, guest_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, face: str
) -> None:
    pytest.importorskip("filelock")
    hypervisor.guest = FakeGuest(console="no root, no machine\n", agent=False)
    disk = tmp_path / "disk.img"
    applevz.create_disk_image(disk, "8MiB")
    given: dict[str, Any] = {
        "kernel": guest_files / "vmlinux",
        "initial_ramdisk": guest_files / "initrd.cpio.gz",
        "command_line": "console=hvc0",
        "timeout": PATIENCE,
        "cache": tmp_path / "cache",
    }

    ready = Launch.ready

    def turn_off(launch: Launch, guest: Any) -> Any:
        # The machine runs by now.
        hypervisor.machine.turn_off()
        return ready(launch, guest)

    monkeypatch.setattr(Launch, "ready", turn_off)
    with pytest.raises(applevz.GuestUnreachableError, match=r"ended before its agent answered.*no root, no machine"):
        applevz.launch(disk, **given) if face == "blocking" else asyncio.run(applevz.aio.launch(disk, **given))


# What such a guest's kernel may lack, and how it is heard without that.
DRIVERS = ("virtio_console", "virtio_mmio", "virtio_pci", "early_console=True")


def test_a_guest_that_has_printed_nothing_may_lack_the_drivers_of_a_console(
    machine: applevz.VirtualMachine, hypervisor: FakeHypervisor
) -> None:
    hypervisor.guest = FakeGuest(agent=False)
    machine.start(timeout=PATIENCE)
    with pytest.raises(applevz.GuestNotAnsweringError) as silent:
        machine.guest.wait(timeout=0.1)
    assert silent.value.failure_reason == "Its console has printed nothing so far."
    with pytest.raises(applevz.TimeoutError) as unread:
        machine.console.read(timeout=0)
    for error in (silent.value, unread.value):
        assert all(words in (error.recovery_suggestion or "") for words in DRIVERS)

    # One that prints has them: its words are told, and nothing of drivers.
    hypervisor.machine.print("login: ")
    machine.console.read_until("login: ", timeout=PATIENCE)
    with pytest.raises(applevz.GuestNotAnsweringError, match="login: ") as heard:
        machine.guest.wait(timeout=0.1)
    with pytest.raises(applevz.TimeoutError) as read:
        machine.console.read(timeout=0)
    for error in (heard.value, read.value):
        assert not any(words in (error.recovery_suggestion or "") for words in DRIVERS)


def test_an_awaited_guest_that_has_printed_nothing_may_lack_them_as_well(
    configuration: applevz.VirtualMachineConfiguration, hypervisor: FakeHypervisor
) -> None:
    async def main() -> None:
        hypervisor.guest = FakeGuest(agent=False)
        async with applevz.aio.VirtualMachine(configuration) as machine:
            await machine.start(timeout=PATIENCE)
            with pytest.raises(applevz.GuestNotAnsweringError) as silent:
                await machine.guest.wait(timeout=0.1)
            assert all(words in (silent.value.recovery_suggestion or "") for words in DRIVERS)

    asyncio.run(main())


def test_its_display_shows_what_was_given(hypervisor: FakeHypervisor, configure: Configure) -> None:
    graphics = [applevz.VirtioGraphicsDeviceConfiguration()]
    with applevz.VirtualMachine(configure(graphics_devices=graphics)) as machine:
        machine.start(timeout=PATIENCE)
        black = machine.screenshot(timeout=PATIENCE)
        assert set(Picture(black).colours()) == {(0, 0, 0)}
        machine.stop(timeout=PATIENCE)
        hypervisor.guest = FakeGuest(screen=b"a picture, for whoever does not look at it")
        machine.start(timeout=PATIENCE)
        assert machine.screenshot(timeout=PATIENCE) == b"a picture, for whoever does not look at it"


# ---- What a machine is told of by itself ----


def test_a_guest_that_panics_resets_and_turns_its_machine_off(
    machine: applevz.VirtualMachine, hypervisor: FakeHypervisor
) -> None:
    machine.start(timeout=PATIENCE)
    machine.guest.wait(timeout=PATIENCE)
    hypervisor.machine.panic("played, not real")
    with pytest.raises(applevz.GuestPanickedError, match="played, not real"):
        machine.guest.run("uname -r", shell=True, timeout=PATIENCE)
    # Its words and its reset come on two ways. What is seen of the first after the second is another panic.
    machine.console.read_until("]---\n", timeout=PATIENCE)
    hypervisor.machine.reset()
    # What comes of it comes by events.
    events = events_until(machine, EventKind.GUEST_RESET)
    assert machine.guest.run("uname -r", shell=True, text=True, timeout=PATIENCE).stdout == "6.1.0\n"
    hypervisor.machine.turn_off()
    assert machine.wait(VirtualMachineState.STOPPED, timeout=PATIENCE) is VirtualMachineState.STOPPED
    assert [event.kind for event in events].count(EventKind.GUEST_PANICKED) == 1
    assert events_until(machine, EventKind.GUEST_STOPPED)[-1].cause is EventCause.GUEST
    assert machine.stop_error is None


def test_a_reset_stops_a_machine_that_stops_at_one(hypervisor: FakeHypervisor, configure: Configure) -> None:
    with applevz.VirtualMachine(configure(stop_at_reset=True)) as machine:
        machine.start(timeout=PATIENCE)
        hypervisor.machine.reset()
        machine.wait(VirtualMachineState.STOPPED, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("happen", "told"),
    [
        (lambda machine: machine.stop_with_error("out of luck", 7), "exit status 7.*out of luck"),
        (lambda machine: machine.kill(), "signal 9"),
        (lambda machine: machine.halt_processors("io-error"), r"stopped its processors \(io-error\)"),
    ],
    ids=["an error", "killed", "processors stopped"],
)
def test_an_error_stops_a_machine_which_can_be_started_again(
    machine: applevz.VirtualMachine, hypervisor: FakeHypervisor, happen: Any, told: str
) -> None:
    machine.start(timeout=PATIENCE)
    happen(hypervisor.machine)
    with pytest.raises(applevz.InternalError, match=f"(?s){told}") as caught:
        machine.wait(VirtualMachineState.STOPPED, timeout=PATIENCE)
    assert caught.value.domain == "VZErrorDomain"
    assert machine.state is VirtualMachineState.ERROR
    first = hypervisor.machine
    machine.start(timeout=PATIENCE)
    assert machine.state is VirtualMachineState.RUNNING
    assert hypervisor.machines == (first, hypervisor.machine)
    assert eventually(lambda: not alive(first.pid))
    with pytest.raises(applevz.InvalidStateError, match="has ended"):
        first.panic()


# ---- What goes wrong ----


def test_a_start_fails_as_often_as_it_was_said(machine: applevz.VirtualMachine, hypervisor: FakeHypervisor) -> None:
    hypervisor.fail("start", "no room for it", times=2)
    for _ in range(2):
        with pytest.raises(applevz.InternalError, match="failed to start.*no room for it"):
            machine.start(timeout=PATIENCE)
        assert machine.state is VirtualMachineState.STOPPED
    machine.start(timeout=PATIENCE)


def test_each_verb_fails_with_its_own_error_and_leaves_its_own_state(
    machine: applevz.VirtualMachine, hypervisor: FakeHypervisor, tmp_path: Path
) -> None:
    machine.start(timeout=PATIENCE)
    hypervisor.fail("pause", "not now")
    with pytest.raises(applevz.InternalError, match="not now"):
        machine.pause(timeout=PATIENCE)
    assert machine.state is VirtualMachineState.RUNNING
    hypervisor.reset("pause")
    machine.pause(timeout=PATIENCE)
    hypervisor.fail("resume", "never again")
    hypervisor.fail("save_state", "the disk is full", times=1)
    with pytest.raises(applevz.InternalError, match="never again"):
        machine.resume(timeout=PATIENCE)
    with pytest.raises(applevz.SaveError, match="the disk is full"):
        machine.save_state(tmp_path / "state", timeout=PATIENCE)
    assert machine.state is VirtualMachineState.PAUSED
    assert os.listdir(tmp_path) == []
    machine.save_state(tmp_path / "state", timeout=PATIENCE)
    machine.stop(timeout=PATIENCE)
    hypervisor.fail("restore_state", "what is this?")
    with pytest.raises(applevz.RestoreError, match=r"what is this\?"):
        machine.restore_state(tmp_path / "state", timeout=PATIENCE)
    assert machine.state is VirtualMachineState.STOPPED
    hypervisor.reset()
    machine.restore_state(tmp_path / "state", timeout=PATIENCE)
    machine.resume(timeout=PATIENCE)


@pytest.mark.parametrize(
    ("verb", "state"),
    [
        ("start", VirtualMachineState.STARTING),
        ("pause", VirtualMachineState.PAUSING),
        ("save_state", VirtualMachineState.SAVING),
        ("resume", VirtualMachineState.RESUMING),
        ("restore_state", VirtualMachineState.RESTORING),
    ],
)
def test_a_verb_that_is_held_completes_when_it_is_let_go(
    machine: applevz.VirtualMachine, hypervisor: FakeHypervisor, tmp_path: Path, verb: str, state: VirtualMachineState
) -> None:
    path = tmp_path / "state"
    before: dict[str, list[Callable[[], object]]] = {
        "start": [],
        "pause": [machine.start],
        "save_state": [machine.start, machine.pause],
        "resume": [machine.start, machine.pause],
        "restore_state": [machine.start, machine.pause, lambda: machine.save_state(path), machine.stop],
    }
    for step in before[verb]:
        step()
    hypervisor.hold(verb)
    thread = begun(getattr(machine, verb), *([path] if verb.endswith("_state") else []))
    hypervisor.wait_held(verb, timeout=PATIENCE)
    assert machine.state is state
    with pytest.raises(applevz.TimeoutError):
        machine.wait((VirtualMachineState.RUNNING, VirtualMachineState.PAUSED), timeout=0.05)
    assert hypervisor.release(verb) == 1
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert machine.state in (VirtualMachineState.RUNNING, VirtualMachineState.PAUSED)


def test_a_completion_that_never_comes_leaves_the_machine_in_error_once_it_is_given_up(
    machine: applevz.VirtualMachine, hypervisor: FakeHypervisor
) -> None:
    machine.start(timeout=PATIENCE)
    hypervisor.answer_timeout = 0.3
    hypervisor.hold("pause")
    with pytest.raises(applevz.InternalError, match=r"did not answer the command stop within 0\.3 s"):
        machine.pause(timeout=PATIENCE)
    assert machine.state is VirtualMachineState.ERROR


def test_a_completion_that_is_late_comes_after_whoever_gave_up_waiting(
    machine: applevz.VirtualMachine, hypervisor: FakeHypervisor
) -> None:
    machine.start(timeout=PATIENCE)
    hypervisor.delay("pause", 1.0, times=1)
    with pytest.raises(applevz.TimeoutError):
        machine.pause(timeout=0)
    assert machine.wait(VirtualMachineState.PAUSED, timeout=PATIENCE) is VirtualMachineState.PAUSED


# ---- The other face, several machines, whoever makes them ----


def test_asyncio_has_the_same_machines(
    hypervisor: FakeHypervisor, configuration: applevz.VirtualMachineConfiguration
) -> None:
    async def use() -> None:
        async with applevz.aio.VirtualMachine(configuration) as machine:
            await machine.start(timeout=PATIENCE)
            assert (await machine.guest.run("uname -r", shell=True, text=True, timeout=PATIENCE)).stdout == "6.1.0\n"
            hypervisor.hold("pause")
            pausing = asyncio.ensure_future(machine.pause(timeout=PATIENCE))
            await asyncio.to_thread(hypervisor.wait_held, "pause")
            pausing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await pausing
            hypervisor.release("pause")
            await machine.wait(VirtualMachineState.PAUSED, timeout=PATIENCE)
            hypervisor.machine.kill()
            with pytest.raises(applevz.InternalError):
                await machine.wait(VirtualMachineState.STOPPED, timeout=PATIENCE)

    asyncio.run(use())


def test_each_of_several_machines_is_told_by_itself(
    hypervisor: FakeHypervisor, configuration: applevz.VirtualMachineConfiguration
) -> None:
    with applevz.VirtualMachine(configuration) as first, applevz.VirtualMachine(configuration) as second:
        first.start(timeout=PATIENCE)
        second.start(timeout=PATIENCE)
        one, other = hypervisor.machines
        other.turn_off()
        second.wait(VirtualMachineState.STOPPED, timeout=PATIENCE)
        one.print("still here\n")
        first.console.read_until("still here\n", timeout=PATIENCE)


def test_what_a_host_lacks_is_lacking_to_capabilities_as_long_as_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPLEVZ_QEMU", "/usr/bin/true")
    with FakeHypervisor(lacks=["screenshots", "save_restore"]):
        assert not applevz.capabilities.screenshots
        assert "no virtio-gpu-pci" in str(applevz.capabilities.screenshots.reason)
        assert not applevz.capabilities.save_restore
        assert applevz.capabilities.early_console
        assert "x-ignore-shared" in str(applevz.capabilities.save_restore.reason)
    assert os.environ["APPLEVZ_QEMU"] == "/usr/bin/true"


def test_nothing_is_left_when_it_ends(configuration: applevz.VirtualMachineConfiguration, tmp_path: Path) -> None:
    before = children()
    with FakeHypervisor() as hypervisor:
        folder = Path(os.environ["APPLEVZ_QEMU"]).parent
        machine = applevz.VirtualMachine(configuration)
        machine.start(timeout=PATIENCE)
        made = hypervisor.machine
    assert not folder.exists()
    # Who has the machine still has it.
    machine.pause(timeout=PATIENCE)
    with pytest.raises(applevz.InvalidStateError):
        hypervisor.machine.panic()
    machine.shutdown(ShutdownPolicy.POWEROFF)
    assert eventually(lambda: not alive(made.pid) and children() <= before)


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (lambda _: FakeHypervisor(lacks=["wings"]), "lacks has 'wings'"),
        (lambda hypervisor: hypervisor.fail("stop"), "verb is 'stop'"),
        (lambda hypervisor: hypervisor.fail("start", times=0), "times is 0"),
        (lambda hypervisor: hypervisor.delay("start", -1), "seconds is -1"),
        (lambda hypervisor: setattr(hypervisor, "answer_timeout", 0), "answer_timeout is 0"),
        (lambda hypervisor: setattr(hypervisor, "guest", "no guest"), "guest is 'no guest'"),
        (lambda hypervisor: setattr(hypervisor, "guest", FakeGuest(console=1)), "FakeGuest.console is 1"),  # type: ignore[arg-type]
        (lambda _: FakeHypervisor().__enter__(), "There is a FakeHypervisor in this process already"),
        (lambda _: FakeHypervisor().machines, "is not in use"),
        (lambda hypervisor: hypervisor.machine, "No machine was started"),
    ],
)
def test_what_cannot_be_is_refused_in_words(hypervisor: FakeHypervisor, use: Any, told: str) -> None:
    with pytest.raises(applevz.Error, match=told):
        use(hypervisor)


def test_the_plugin_has_it_as_a_fixture(
    fake_hypervisor: FakeHypervisor, configuration: applevz.VirtualMachineConfiguration
) -> None:
    fake_hypervisor.guest = GUEST
    with applevz.VirtualMachine(configuration) as machine:
        machine.start(timeout=PATIENCE)
        machine.console.read_until("login: ", timeout=PATIENCE)


# ---- In the middle of a call, and in other processes ----


@contextmanager
def stopped(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@contextmanager
def handled_in_the_middle(process: int, handler: Callable[..., object]) -> Iterator[None]:
    """Has a signal's handler called while this thread waits for the answer of a process that is stopped."""
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with stopped(process):
            main = threading.main_thread().ident
            assert main is not None
            timer = threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGUSR1))
            timer.start()
            yield
            timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_handler_cannot_ask_what_its_own_thread_asks(
    hypervisor: FakeHypervisor, machine: applevz.VirtualMachine
) -> None:
    machine.start(timeout=PATIENCE)
    played = hypervisor.machine
    errors: list[applevz.Error] = []

    def ask(*_: object) -> None:
        for call in (lambda: played.commands, lambda: hypervisor.fail("pause"), lambda: hypervisor.wait_held("pause")):
            try:
                call()
            except applevz.Error as error:
                errors.append(error)
        os.kill(played.pid, signal.SIGCONT)

    with handled_in_the_middle(played.pid, ask):
        assert played.files == {"/etc/hostname": b"played\n"}
    assert [type(error) for error in errors] == [applevz.InvalidStateError] * 3
    assert "This thread asks the FakeMachine something already." in str(errors[0])


def test_an_answer_that_nobody_waited_for_is_no_other_question_s(
    hypervisor: FakeHypervisor, machine: applevz.VirtualMachine
) -> None:
    machine.start(timeout=PATIENCE)
    played = hypervisor.machine

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with handled_in_the_middle(played.pid, stop), pytest.raises(KeyboardInterrupt):
        played.typed()
    assert played.files == {"/etc/hostname": b"played\n"}
    assert played.commands == []


def test_a_process_that_is_stopped_is_not_said_to_be_gone(
    hypervisor: FakeHypervisor, machine: applevz.VirtualMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.start(timeout=PATIENCE)
    played = hypervisor.machine
    with stopped(played.pid), monkeypatch.context() as patched:
        patched.setattr(_hypervisor, "_PATIENCE", 0.2)
        with pytest.raises(applevz.TimeoutError, match=f"the process {played.pid}, may be stopped"):
            played.typed()
    assert played.files == {"/etc/hostname": b"played\n"}


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_leaves_the_hypervisor_as_it_is(
    hypervisor: FakeHypervisor, configuration: applevz.VirtualMachineConfiguration
) -> None:
    child = os.fork()
    if child == 0:
        refused = 0
        try:
            signal.alarm(30)
            for call in (lambda: hypervisor.fail("start"), lambda: hypervisor.machines, hypervisor.reset):
                try:
                    call()
                except applevz.ForkedError:
                    refused += 1
            hypervisor.__exit__(None, None, None)
        finally:
            os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    with applevz.VirtualMachine(configuration) as machine:
        machine.start(timeout=PATIENCE)
        assert machine.state is VirtualMachineState.RUNNING
        assert hypervisor.machine.typed() == b""


def test_the_folder_of_temporary_files_may_have_a_long_path(
    configuration: applevz.VirtualMachineConfiguration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with FakeHypervisor(GUEST) as hypervisor, applevz.VirtualMachine(configuration) as machine:
        machine.start(timeout=PATIENCE)
        assert hypervisor.machine.files == {"/etc/hostname": b"played\n"}
    assert list(folder.iterdir()) == []


def test_a_wrong_argument_is_refused_here_and_ends_no_machine(
    hypervisor: FakeHypervisor, machine: applevz.VirtualMachine
) -> None:
    machine.start(timeout=PATIENCE)
    played = hypervisor.machine
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: played.print("x", console="1"), "console is '1'"),  # type: ignore[arg-type]  # what is wrong
        (lambda: played.print("x", console=-1), "console is -1"),
        (lambda: played.typed(console=None), "console is None"),  # type: ignore[arg-type]
        (lambda: played.panic(b"x"), "words is b'x'"),  # type: ignore[arg-type]
        (lambda: played.stop_with_error(status="x"), "status is 'x'"),  # type: ignore[arg-type]
        (lambda: played.halt_processors(5), "reason is 5"),  # type: ignore[arg-type]
        (lambda: hypervisor.fail("pause", "a\0b"), "reason is 'a"),
        (lambda: FakeHypervisor(lacks="sound"), "lacks is 'sound'"),
        (lambda: FakeHypervisor(lacks=5), "lacks is 5"),  # type: ignore[arg-type]
        (lambda: FakeHypervisor(5), "guest is 5"),  # type: ignore[arg-type]
        (lambda: setattr(hypervisor, "guest", FakeGuest(commands={5: ""})), "commands has a key that is 5"),  # type: ignore[dict-item]
    ]
    for call, words in calls:
        with pytest.raises(applevz.InvalidArgumentError) as raised:
            call()
        assert words in str(raised.value)
    assert machine.state is VirtualMachineState.RUNNING
    # The guest that was refused is that of nobody.
    hypervisor.reset()
    assert hypervisor.guest is GUEST
