# SPDX-License-Identifier: Apache-2.0
"""What a signal's handler or a finalizer does with an object that its own thread is waiting for just then.

It runs in the middle of the wait, which goes on when it returns: it must never wait for that. Every wait of the
blocking face is interrupted here, by a handler that does the same or ends it.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

import applevz
from applevz import Console, InvalidStateError, ShutdownPolicy, VirtualMachineState
from fixtures import MakeMachine, Script
from guest_machine import PATIENCE

linux = pytest.mark.skipif(sys.platform != "linux", reason="there is no QEMU under Apple's framework")


class Seen:
    """What the handler came to."""

    def __init__(self) -> None:
        self.calls = 0
        self.results: list[Any] = []


@contextmanager
def interrupted_by(action: Callable[[], Any], after: float = 0.1) -> Iterator[Seen]:
    """Calls the action in a signal's handler on this thread, once."""
    seen = Seen()

    def handle(*_: object) -> None:
        seen.calls += 1
        try:
            seen.results.append(action())
        except applevz.Error as error:
            seen.results.append(error)

    # Not the alarm, by which a test that takes too long is ended.
    previous = signal.signal(signal.SIGUSR1, handle)
    timer = threading.Timer(after, signal.pthread_kill, [threading.get_ident(), signal.SIGUSR1])
    timer.start()
    try:
        yield seen
    finally:
        timer.cancel()
        timer.join()
        signal.signal(signal.SIGUSR1, previous)
    assert seen.calls == 1


def finalizer_of(action: Callable[[], Any]) -> Callable[[], Any]:
    """The same, in a finalizer that the garbage collector calls."""
    results: list[Any] = []

    class Garbage:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            try:
                results.append(action())
            except applevz.Error as error:
                results.append(error)

    # Referred to until then: the collector may come by itself at any time.
    kept = [Garbage()]

    def collect() -> Any:
        kept.clear()
        gc.collect()
        (result,) = results
        if isinstance(result, Exception):
            raise result
        return result

    return collect


@pytest.fixture
def console() -> Iterator[Console]:
    console = Console()
    yield console
    console.close()


def full(console: Console) -> Console:
    with pytest.raises(applevz.TimeoutError):
        console.write(bytes(1 << 24), timeout=0)
    return console


WAITS: dict[str, Callable[[Console], Any]] = {
    "read": lambda console: console.read(timeout=PATIENCE),
    "read without a limit": lambda console: console.read(),
    "read_until": lambda console: console.read_until("never", timeout=PATIENCE),
    "readline": lambda console: console.readline(timeout=PATIENCE),
    "iteration": lambda console: next(iter(console)),
    "write": lambda console: full(console).write(b"more", timeout=PATIENCE),
}
HOWS: dict[str, Callable[[Callable[[], Any]], Callable[[], Any]]] = {
    "handler": lambda action: action,
    "finalizer": finalizer_of,
}


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("wait", WAITS)
def test_a_handler_closes_the_console_that_its_thread_waits_for(console: Console, wait: str, how: str) -> None:
    end = console.attachment.file_handle_for_writing
    with interrupted_by(HOWS[how](console.close)) as seen:
        began = time.monotonic()
        with pytest.raises(InvalidStateError, match="The console was closed"):
            WAITS[wait](console)
    assert time.monotonic() - began < 30
    assert seen.results == [None]
    assert console.closed
    with pytest.raises(InvalidStateError):
        end.fileno()


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("second", ["read", "read_until", "readline", "iteration"])
def test_a_handler_cannot_read_what_its_thread_reads_and_is_told_so_at_once(
    console: Console, second: str, how: str
) -> None:
    end = console.attachment.file_handle_for_writing

    def act() -> None:
        try:
            WAITS[second](console)
        finally:
            os.write(end.fileno(), b"for the first")

    with interrupted_by(HOWS[how](act)) as seen:
        assert console.read_until("first", timeout=PATIENCE) == b"for the first"
    (error,) = seen.results
    assert type(error) is InvalidStateError
    assert error.localized_description == "This thread reads the console already."
    assert "signal's handler" in error.failure_reason
    os.write(end.fileno(), b"again")
    assert console.read(timeout=PATIENCE) == b"again"


@pytest.mark.parametrize("how", HOWS)
def test_a_handler_cannot_write_where_its_thread_writes(console: Console, how: str) -> None:
    end = console.attachment.file_handle_for_reading
    full(console)

    def act() -> None:
        try:
            console.write(b"x", timeout=PATIENCE)
        finally:
            os.set_blocking(end.fileno(), False)
            os.read(end.fileno(), 1 << 20)

    with interrupted_by(HOWS[how](act)) as seen:
        console.write(b"y", timeout=PATIENCE)
    (error,) = seen.results
    assert type(error) is InvalidStateError
    assert error.localized_description == "This thread writes to the console already."


def test_a_handler_writes_where_its_thread_reads_and_reads_where_it_writes(console: Console) -> None:
    attachment = console.attachment
    typed, printed = attachment.file_handle_for_reading, attachment.file_handle_for_writing

    def answer() -> None:
        console.write(b"typed", timeout=PATIENCE)
        os.write(printed.fileno(), os.read(typed.fileno(), 100))

    with interrupted_by(answer) as seen:
        assert console.read(timeout=PATIENCE) == b"typed"
    assert seen.results == [None]
    full(console)
    os.write(printed.fileno(), b"printed")

    def take() -> bytes:
        os.set_blocking(typed.fileno(), False)
        os.read(typed.fileno(), 1 << 20)
        return console.read(timeout=PATIENCE)

    with interrupted_by(take) as seen:
        console.write(b"y", timeout=PATIENCE)
    assert seen.results == [b"printed"]


@pytest.mark.parametrize("action", ["close", "read"])
def test_a_handler_interrupts_one_who_waits_for_his_turn(console: Console, action: str) -> None:
    end = console.attachment.file_handle_for_writing
    outcomes: list[object] = []

    def read_in_a_thread() -> None:
        try:
            outcomes.append(console.read_until("first", timeout=PATIENCE))
        except InvalidStateError as error:
            outcomes.append(error)

    thread = threading.Thread(target=read_in_a_thread)
    thread.start()
    while not console._reading.taken:
        time.sleep(0.001)
    if action == "close":
        with interrupted_by(console.close), pytest.raises(InvalidStateError, match="closed"):
            console.read(timeout=PATIENCE)
    else:

        def act() -> None:
            try:
                console.read(timeout=PATIENCE)
            finally:
                os.write(end.fileno(), b"the first, the second")

        with interrupted_by(act) as seen:
            assert console.read_until("second", timeout=PATIENCE) == b", the second"
        assert "already" in str(seen.results[0])
    thread.join(PATIENCE)
    (outcome,) = outcomes
    assert isinstance(outcome, InvalidStateError) if action == "close" else outcome == b"the first"


def test_closing_does_not_wait_and_the_number_stays_the_pipe_s_until_the_wait_is_over(console: Console) -> None:
    with console._from_guest as number:
        inode = os.fstat(number).st_ino

    def act() -> int:
        console.close()
        return os.fstat(number).st_ino

    with interrupted_by(act) as seen, pytest.raises(InvalidStateError, match="closed"):
        console.read(timeout=PATIENCE)
    assert seen.results == [inode]
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(number)


def test_one_who_closes_does_not_wait_for_another_thread_that_reads(console: Console) -> None:
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            console.read()
        except InvalidStateError as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while not console._reading.taken:
        time.sleep(0.001)
    console.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert "The console was closed" in str(caught[0])


def test_a_signal_that_raises_between_any_two_steps_leaves_the_console_to_others(console: Console) -> None:
    end = console.attachment.file_handle_for_writing

    class Interrupt(BaseException):
        pass

    armed = False

    def interrupt(*_: object) -> None:
        # One that came before the timer was stopped may be heard of later.
        if armed:
            raise Interrupt

    # In the time that this process runs, and as often as the system looks at that.
    previous = signal.signal(signal.SIGVTALRM, interrupt)
    interrupted = 0
    try:
        finish = time.process_time() + 2
        while time.process_time() < finish:
            try:
                try:
                    armed = True
                    signal.setitimer(signal.ITIMER_VIRTUAL, 0.00002 + 0.000001 * (interrupted % 997))
                    # The system may look once in several milliseconds only, and later where it is busy.
                    while time.process_time() < finish:
                        with suppress(applevz.TimeoutError):
                            console.read(timeout=0)
                        console.write(b"")
                finally:
                    armed = False
                    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            except Interrupt:
                interrupted += 1
    finally:
        signal.signal(signal.SIGVTALRM, signal.SIG_IGN)
        signal.signal(signal.SIGVTALRM, previous)
    assert interrupted > 20
    # Another thread has the turn at once, in both directions.
    outcomes: list[object] = []

    def use() -> None:
        os.write(end.fileno(), b"after all")
        console.write(b"x", timeout=5)
        outcomes.append(console.read(timeout=5))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join(PATIENCE)
    assert outcomes == [b"after all"]


# ---- Machines ----


@linux
def test_a_handler_uses_the_machine_that_its_thread_waits_for(machine: MakeMachine, script: Script) -> None:
    script(answers={"stop": ""})
    vm = machine()
    vm.start(timeout=PATIENCE)
    running = VirtualMachineState.RUNNING

    def act() -> object:
        assert vm.wait(running, timeout=PATIENCE) is running
        with pytest.raises(applevz.TimeoutError):
            vm.wait(VirtualMachineState.PAUSED, timeout=0.01)
        return vm.events.next(timeout=PATIENCE).state

    with interrupted_by(act) as seen, pytest.raises(applevz.TimeoutError):
        vm.wait(VirtualMachineState.PAUSED, timeout=0.5)
    assert seen.results == [VirtualMachineState.STARTING]

    # The pause has no answer: the handler ends the machine under the verb, and the event under its own wait.
    end = finalizer_of(lambda: vm.shutdown(ShutdownPolicy.POWEROFF, timeout=1))
    with interrupted_by(end) as seen, pytest.raises(applevz.OperationCancelledError):
        vm.pause(timeout=PATIENCE)
    assert seen.results == [None]
    assert vm.state is VirtualMachineState.STOPPED

    while True:
        try:
            vm.events.next(timeout=0)
        except applevz.TimeoutError:
            break

    def start() -> int:
        vm.start(timeout=PATIENCE)
        return vm.events.next(timeout=PATIENCE).state

    with interrupted_by(start) as seen:
        assert vm.events.next(timeout=PATIENCE).state is running
    assert seen.results == [VirtualMachineState.STARTING]


@linux
def test_a_handler_closes_the_console_of_a_machine_that_runs(machine: MakeMachine, script: Script) -> None:
    script()
    vm = machine()
    vm.start(timeout=PATIENCE)
    with interrupted_by(vm.console.close), pytest.raises(InvalidStateError, match="closed"):
        vm.console.read_until("never", timeout=PATIENCE)
    vm.stop(timeout=PATIENCE)
