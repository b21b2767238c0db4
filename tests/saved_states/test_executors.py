# SPDX-License-Identifier: Apache-2.0
"""`MachineExecutor`: calls and commands, each in a fresh machine of a pool, in the manner of `concurrent.futures`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import inspect
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import applevz
import applevz.aio
from applevz import MachineExecutor, MachineFuture, Pool, VirtualMachine, VirtualMachineState
from guest_machine import PATIENCE
from places import ROOT
from pool_guests import MARK, configuration_of, counted, of_a_pool, of_a_process, restored, save_ready_guest
from processes import children, eventually

pytestmark = of_a_pool


@pytest.fixture(scope="module")
def state(guest_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_ready_guest(guest_files, tmp_path_factory.mktemp("executor") / "ready.state")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    threads, processes = threading.active_count(), children()
    yield
    assert eventually(lambda: children() <= processes)
    assert eventually(lambda: threading.active_count() <= threads)


@pytest.fixture
def pool(guest_files: Path, state: Path) -> Iterator[Pool]:
    with Pool(configuration_of(guest_files), state, maximum=2) as pool:
        yield pool


@pytest.fixture
def executor(pool: Pool) -> Iterator[MachineExecutor]:
    with MachineExecutor(pool) as executor:
        yield executor


def mark(machine: VirtualMachine, text: str) -> str:
    """What the file had, which has another text from here on."""
    before = machine.guest.read_text(MARK, timeout=PATIENCE)
    machine.guest.write_text(MARK, text, timeout=PATIENCE)
    return before


class Call:
    """A function that is in the middle of a call until it is told to return."""

    def __init__(self) -> None:
        self.machines: list[VirtualMachine] = []
        self.over = threading.Event()

    def __call__(self, machine: VirtualMachine) -> VirtualMachineState:
        self.machines.append(machine)
        assert self.over.wait(PATIENCE)
        return machine.state


def is_waiting(pool: Pool, count: int = 1) -> bool:
    return eventually(lambda: pool.statistics().waiting == count, PATIENCE)


def is_lost(future: MachineFuture[Any]) -> bool:
    """Whether the call was in a machine that stopped."""
    error = future.exception(PATIENCE)
    return isinstance(error, applevz.GuestConnectionLostError | applevz.GuestUnreachableError)


# ---- Calls ----


def test_each_call_has_a_fresh_machine_that_is_gone_when_its_future_is_done(
    pool: Pool, executor: MachineExecutor
) -> None:
    assert isinstance(executor, concurrent.futures.Executor)
    machines = []

    def use(machine: VirtualMachine, number: int, *, word: str) -> tuple[str, str]:
        machines.append(machine)
        assert machine.state is VirtualMachineState.RUNNING
        assert pool.statistics().machines <= 2
        return mark(machine, "used"), f"{word} {number}"

    futures = [executor.submit(use, number, word="call") for number in range(6)]
    for number, future in enumerate(futures):
        assert isinstance(future, MachineFuture)
        assert future.result(PATIENCE) == ("saved", f"call {number}")
    assert [machine.state for machine in machines] == [VirtualMachineState.STOPPED] * 6
    assert pool.statistics().handed_out == 6


def test_map_gives_results_in_the_order_of_its_arguments(executor: MachineExecutor) -> None:
    # Nothing is pickled, and no chunk is made.
    lock = threading.Lock()

    def use(machine: VirtualMachine, number: int, word: str) -> str:
        with lock:
            return f"{mark(machine, word)} {number} {word}"

    found = executor.map(use, range(5), iter("abcd"), timeout=4 * PATIENCE, chunksize=3)
    assert list(found) == ["saved 0 a", "saved 1 b", "saved 2 c", "saved 3 d"]


def test_a_map_that_takes_too_long_cancels_what_has_not_begun(pool: Pool) -> None:
    call = Call()
    numbers = []

    def use(machine: VirtualMachine, number: int) -> None:
        numbers.append(number)
        call(machine)

    with MachineExecutor(pool, max_workers=1) as executor:
        found = executor.map(use, range(3), timeout=0.2)
        with pytest.raises(concurrent.futures.TimeoutError):
            next(found)
        call.over.set()
    assert numbers in ([], [0])


def test_what_a_function_raises_is_the_future_s_and_ends_the_machine(executor: MachineExecutor) -> None:
    machines = []

    def fail(machine: VirtualMachine, error: type[BaseException]) -> None:
        machines.append(machine)
        raise error("why")

    for error in (ZeroDivisionError, SystemExit, KeyboardInterrupt):
        future = executor.submit(fail, error)
        with pytest.raises(error, match="why") as caught:
            future.result(PATIENCE)
        assert caught.traceback[-1].name == "fail"
        assert machines.pop().state is VirtualMachineState.STOPPED
    assert executor.submit(mark, "x").result(PATIENCE) == "saved"


def test_what_a_call_had_goes_with_its_future(executor: MachineExecutor) -> None:
    class Thing:
        pass

    def fail(machine: VirtualMachine, thing: Thing) -> None:
        raise ZeroDivisionError

    thing = Thing()
    gone = weakref.ref(thing)
    gc.disable()
    try:
        future = executor.submit(fail, thing)
        assert isinstance(future.exception(PATIENCE), ZeroDivisionError)
        del thing, future
        assert eventually(lambda: gone() is None)
    finally:
        gc.enable()


@of_a_process
def test_a_machine_that_dies_fails_its_call_alone(guest_files: Path, state: Path) -> None:
    known = children()
    with Pool(configuration_of(guest_files), state, spares=0) as pool, MachineExecutor(pool, 1) as executor:
        future = executor.run(["sleep", "1000"], timeout=PATIENCE)
        assert eventually(future.running, PATIENCE)
        (process,) = children() - known
        os.kill(process, signal.SIGKILL)
        assert is_lost(future)
        assert executor.submit(mark, "x").result(PATIENCE) == "saved"


# ---- Commands ----


def test_each_command_runs_in_a_fresh_machine(executor: MachineExecutor) -> None:
    command = f"cat {MARK}; echo $WORD > {MARK}; cat"
    futures = [
        executor.run(["sh", "-c", command], input=word, text=True, env={"WORD": word}, timeout=PATIENCE)
        for word in ("one", "two", "three")
    ]
    assert [future.result(PATIENCE).stdout for future in futures] == ["savedone", "savedtwo", "savedthree"]
    assert executor.run("exit 3", shell=True, timeout=PATIENCE).result(PATIENCE).returncode == 3
    with pytest.raises(subprocess.CalledProcessError):
        executor.run(["false"], check=True, timeout=PATIENCE).result(PATIENCE)
    assert isinstance(executor.run(["/no/program"], timeout=PATIENCE).exception(PATIENCE), FileNotFoundError)
    with pytest.raises(applevz.InvalidArgumentError, match="timeout is -1"):
        executor.run(["true"], timeout=-1).result(PATIENCE)


def test_a_command_that_takes_too_long_is_killed_with_its_machine(pool: Pool, executor: MachineExecutor) -> None:
    # The guest's agent may have to be waited for: then nothing was begun.
    while True:
        future = executor.run(["sh", "-c", "echo begun; sleep 1000"], text=True, timeout=1)
        error = future.exception(PATIENCE)
        assert isinstance(error, TimeoutError)
        if not isinstance(error, applevz.GuestNotAnsweringError):
            break
    assert isinstance(error, applevz.GuestProcessTimeoutError)
    assert pool.statistics().machines == 0
    assert executor.submit(mark, "x").result(PATIENCE) == "saved"


def test_the_time_of_a_command_begins_with_its_machine(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def run(guest: applevz.Guest, args: Any, **keywords: Any) -> Any:
        calls.append((args, keywords))
        return subprocess.CompletedProcess(args, 0)

    monkeypatch.setattr(applevz.Guest, "run", run)
    given = {"timeout": 7, "cwd": "/", "user": "root", "stderr": subprocess.STDOUT, "errors": "replace"}
    with MachineExecutor(pool) as executor:
        with pool.machine(PATIENCE), pool.machine(PATIENCE):
            future = executor.run(["true"], **given)  # type: ignore[arg-type]  # of many types
            assert is_waiting(pool)
            assert calls == []
        assert future.result(PATIENCE).returncode == 0
    ((args, keywords),) = calls
    assert args == ["true"]
    assert keywords.items() >= given.items()


def test_a_command_has_the_arguments_of_one_in_a_guest() -> None:
    ours, theirs = inspect.signature(MachineExecutor.run), inspect.signature(applevz.Guest.run)
    assert ours.parameters == theirs.parameters


# ---- Cancelling and ending ----


def test_a_call_that_waits_for_its_machine_is_cancelled_and_leaves_the_row(pool: Pool) -> None:
    told: list[Any] = []
    with MachineExecutor(pool, max_workers=1) as executor:
        with pool.machine(PATIENCE), pool.machine(PATIENCE):
            first, second = executor.submit(mark, "first"), executor.submit(mark, "second")
            first.add_done_callback(told.append)
            assert is_waiting(pool)
            assert not first.running()
            assert first.cancel()
            assert first.cancelled()
            assert first.cancel()
            assert told == [first]
            # Its thread tells those who wait for it, and goes on with the second.
            assert concurrent.futures.wait([first], PATIENCE).done == {first}
            assert is_waiting(pool)
            with pytest.raises(concurrent.futures.CancelledError):
                first.result()
        assert second.result(PATIENCE) == "saved"
        assert not second.cancel()
    assert counted(pool) == {"machines": 0, "spares": 1, "waiting": 0, "handed_out": 3, "lost": 0}


def test_a_call_that_is_running_is_not_cancelled_but_its_machine_can_be_ended(pool: Pool) -> None:
    with MachineExecutor(pool, max_workers=1) as executor:
        future = executor.run(["sleep", "1000"], timeout=PATIENCE)
        pending = executor.submit(mark, "x")
        assert eventually(future.running, PATIENCE)
        assert not future.cancel()
        assert future.running()
        assert pending.kill()
        assert pending.cancelled()
        assert future.kill()
        assert is_lost(future)
        assert not future.cancelled()
        assert not future.kill()
        # What the function makes of its machine's end is the result.
        call = Call()
        caught = executor.submit(call)
        assert eventually(lambda: call.machines, PATIENCE)
        assert caught.kill()
        call.over.set()
        assert caught.result(PATIENCE) is VirtualMachineState.STOPPED
        assert executor.submit(mark, "x").result(PATIENCE) == "saved"


def test_shutdown_waits_for_all_calls_or_does_not(pool: Pool) -> None:
    executor = MachineExecutor(pool, max_workers=1)
    call = Call()
    running, pending = executor.submit(call), executor.submit(mark, "x")
    executor.shutdown(wait=False)
    assert not pending.done()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="The executor was shut down") as caught:
            executor.submit(mark, "y")
        assert isinstance(caught.value, applevz.InvalidStateError)
    call.over.set()
    executor.shutdown()
    assert running.done()
    assert pending.result(0) == "saved"
    assert pool.statistics().machines == 0
    executor.shutdown(cancel_futures=True)
    with pytest.raises(applevz.InvalidStateError, match="The executor was shut down"), executor:
        executor.run(["true"])


def test_shutdown_cancels_what_has_not_begun_if_it_is_told_to(pool: Pool) -> None:
    call = Call()
    with pool.machine(PATIENCE):
        executor = MachineExecutor(pool)
        running = executor.submit(call)
        assert eventually(running.running, PATIENCE)
        pending = [executor.submit(mark, "x") for _ in range(5)]
        assert is_waiting(pool)
        executor.shutdown(wait=False, cancel_futures=True)
        assert all(future.cancelled() for future in pending)
        # Also those who wait for them are told, though nobody gave a machine back.
        assert concurrent.futures.wait(pending, PATIENCE).not_done == set()
        assert running.running()
        call.over.set()
        executor.shutdown()
        assert running.result(0) is VirtualMachineState.RUNNING


def test_a_pool_that_is_closed_ends_what_runs_and_has_no_machine_for_the_rest(pool: Pool) -> None:
    with MachineExecutor(pool) as executor:
        running = [executor.run(["sleep", "1000"], timeout=PATIENCE) for _ in range(2)]
        assert eventually(lambda: all(future.running() for future in running), PATIENCE)
        pending = [executor.submit(mark, "x") for _ in range(3)]
        pool.close()
        assert all(is_lost(future) for future in running)
        for future in pending:
            with pytest.raises(applevz.InvalidStateError, match="The pool was closed"):
                future.result(PATIENCE)
        with pytest.raises(applevz.InvalidStateError, match="The pool was closed"):
            executor.submit(mark, "x")


def test_a_state_that_went_is_the_error_of_each_call(guest_files: Path, state: Path, tmp_path: Path) -> None:
    path = tmp_path / "another.state"
    os.link(state, path)
    with Pool(configuration_of(guest_files), path, spares=0) as pool, MachineExecutor(pool, 2) as executor:
        path.unlink()
        for future in [executor.submit(mark, "x") for _ in range(3)]:
            assert isinstance(future.exception(PATIENCE), FileNotFoundError)
            assert not future.cancel()
        os.link(state, path)
        assert executor.submit(mark, "x").result(PATIENCE) == "saved"


# ---- How many ----


@pytest.mark.parametrize(
    ("of_pool", "given", "expected"),
    [
        ({"maximum": 3}, None, 3),
        ({"maximum_memory": "512MiB"}, None, 2),
        ({"maximum": 3}, 2, 2),
        ({"maximum": 1}, 4, 1),
    ],
)
def test_as_many_calls_are_under_way_as_the_pool_may_have_machines_or_fewer(
    guest_files: Path, state: Path, of_pool: dict[str, Any], given: int | None, expected: int
) -> None:
    call = Call()
    with (
        Pool(configuration_of(guest_files), state, spares=0, **of_pool) as pool,
        MachineExecutor(pool, max_workers=given) as executor,
    ):
        before = threading.active_count()
        futures = [executor.submit(call) for _ in range(6)]
        assert eventually(lambda: len(call.machines) == expected, PATIENCE)
        assert pool.statistics().machines == expected
        assert threading.active_count() - before <= (given or expected)
        call.over.set()
        assert [future.result(PATIENCE) for future in futures] == [VirtualMachineState.RUNNING] * 6


def test_the_threads_of_a_pool_without_a_maximum_are_bounded(
    guest_files: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool(configuration_of(guest_files), state)
    assert pool.maximum is None
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert MachineExecutor(pool).max_workers == 7
    monkeypatch.setattr(os, "cpu_count", lambda: 500)
    assert MachineExecutor(pool).max_workers == 32


def test_what_is_no_pool_and_no_number_is_refused_by_name(guest_files: Path, state: Path, pool: Pool) -> None:
    awaited = applevz.aio.Pool(configuration_of(guest_files), state)
    for wrong in (None, 5, awaited):
        with pytest.raises(applevz.InvalidArgumentTypeError, match="pool is .* It has to be a Pool of applevz"):
            MachineExecutor(wrong)  # type: ignore[arg-type]  # what is wrong
    for number in (0, -1, True, "4", 10**6):
        with pytest.raises(applevz.InvalidArgumentError, match="max_workers is "):
            MachineExecutor(pool, number)  # type: ignore[arg-type]  # what is wrong
    with MachineExecutor(pool) as executor, pytest.raises(TypeError, match="fn is 5, of type int"):
        executor.submit(5)  # type: ignore[arg-type]  # what is wrong


# ---- Threads, processes, loops ----


def test_an_executor_that_is_dropped_does_what_it_was_told_and_leaves_nothing(pool: Pool) -> None:
    before = threading.active_count()
    future = MachineExecutor(pool).submit(mark, "x")
    assert future.result(PATIENCE) == "saved"
    assert eventually(lambda: threading.active_count() <= before)


def test_the_spares_that_its_threads_began_outlive_them(pool: Pool) -> None:
    with MachineExecutor(pool) as executor:
        assert [future.result(PATIENCE) for future in [executor.submit(mark, "x") for _ in range(3)]] == ["saved"] * 3
    restored(pool)
    with pool.machine(PATIENCE) as machine:
        assert mark(machine, "x") == "saved"
    assert pool.statistics().lost == 0


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_takes_no_calls_and_ends_nothing(pool: Pool) -> None:
    call = Call()
    with MachineExecutor(pool, max_workers=1) as executor:
        running, pending = executor.submit(call), executor.submit(mark, "x")
        assert eventually(running.running, PATIENCE)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with contextlib.suppress(applevz.ForkedError):
                    executor.submit(mark, "y")
                    status = 2
                with contextlib.suppress(applevz.ForkedError):
                    running.kill()
                    status = 3
                executor.shutdown(cancel_futures=True)
                status = status if status > 1 else 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert running.running()
        call.over.set()
        assert running.result(PATIENCE) is VirtualMachineState.RUNNING
        assert pending.result(PATIENCE) == "saved"


PROGRAM = """
import os, sys, threading
import applevz
from pool_guests import MARK, configuration_of
from pathlib import Path

def use(machine, number):
    print("call", number, machine.guest.read_text(MARK, timeout=120), flush=True)

pool = applevz.Pool(configuration_of(Path(sys.argv[1])), sys.argv[2], maximum=1)
executor = applevz.MachineExecutor(pool)
executor.submit(use, 0).result(120)
"""
ENDS = {
    "that has nothing to do": ("", 0, [0]),
    "whose calls nobody waits for": ("for number in (1, 2): executor.submit(use, number)", 0, [0, 1, 2]),
    "that is left by an error": ("with pool, executor:\n    executor.submit(use, 1)\n    sys.exit(7)", 7, [0, 1]),
    "whose pool is closed": ("executor.run(['sleep', '1000'])\npool.close()", 0, [0]),
    "that was forked": (
        """
child = os.fork()
if child == 0:
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
executor.submit(use, 1)
""",
        0,
        [0, 1],
    ),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_program_ends_when_the_calls_of_its_executor_have(guest_files: Path, state: Path, how: str) -> None:
    words, status, calls = ENDS[how]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "support")}
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM + words, str(guest_files), str(state)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=3 * PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (status, "")
    assert done.stdout.splitlines() == [f"call {number} saved" for number in calls]


def test_an_event_loop_waits_for_its_futures(executor: MachineExecutor) -> None:
    async def main() -> None:
        command = executor.run(["cat", MARK], text=True, timeout=PATIENCE)
        loop = asyncio.get_running_loop()
        call = loop.run_in_executor(executor, mark, "x")  # type: ignore[arg-type]  # the machine comes with the call
        assert (await asyncio.wrap_future(command)).stdout == "saved"
        assert await call == "saved"

    asyncio.run(asyncio.wait_for(main(), 2 * PATIENCE))
