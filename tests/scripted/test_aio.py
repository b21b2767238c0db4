# SPDX-License-Identifier: Apache-2.0
"""The face for asyncio: the same names and signatures, no threads, and nothing left by what was cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import json
import os
import resource
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import ShutdownPolicy, VirtualMachineState, aio
from applevz._native import lib
from applevz.aio import _loop
from fixtures import Configure, Script
from guest_machine import PATIENCE, PROMPT, READY
from processes import children, eventually, open_descriptors, workers_end

linux = pytest.mark.skipif(sys.platform != "linux", reason="there is no QEMU under Apple's framework")

SHUTDOWN = json.dumps(
    {"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}, "timestamp": {"seconds": 0}}
)


def left() -> tuple[int, int]:
    """What a program may leave behind: handles and descriptors."""
    gc.collect()
    return lib.applevz_debug_live_handles(), len(os.listdir("/dev/fd"))


@pytest.fixture(scope="module", autouse=True)
def no_descriptors_left(guest_files: Path) -> Iterator[None]:
    """Fails if the tests leave descriptors. A machine may give some back seconds after its end."""
    kernel, initial_ramdisk = guest_files / "vmlinux", guest_files / "initrd.cpio.gz"
    boot_loader = applevz.LinuxBootLoader(kernel, initial_ramdisk, "console=hvc0")
    # The first machine brings what all later ones share.
    with applevz.VirtualMachine(applevz.VirtualMachineConfiguration(boot_loader)) as machine:
        machine.start(timeout=PATIENCE)
    del machine
    gc.collect()
    before = left()[1]
    yield
    assert eventually(lambda: left()[1] <= before, seconds=30), f"{before} became {left()[1]}"


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fails if the test leaves a handle."""
    before = left()[0]
    yield
    assert left()[0] == before
    assert not _loop._channels


@pytest.fixture
def vm(configure: Configure) -> Callable[..., aio.VirtualMachine]:
    """Makes a machine of `configure`'s configuration, or several. Its test stops it."""
    return lambda **fields: aio.VirtualMachine(configure(**fields))


# ---- Two faces ---------------------------------------------------------------------------------------------------

ASYNCHRONOUS = {"__aenter__": "__enter__", "__aexit__": "__exit__", "__aiter__": "__iter__", "__anext__": "__next__"}
AWAITED = {
    "VirtualMachine": {
        "__enter__", "__exit__", "connect", "forward", "pause", "request_stop", "restore_state", "resume", "save_state",
        "screenshot", "statistics", "shutdown", "start", "stop", "suspend", "wait",
    },
    "Console": {"__iter__", "peek", "read", "read_until", "readline", "write"},
    "Events": {"__next__", "next"},
    "Forward": {"__enter__", "__exit__"},
    "Guest": {
        "connect", "connect_unix", "copy_in", "copy_out", "info", "open", "popen", "read_bytes", "read_text", "run",
        "wait", "write_bytes", "write_text",
    },
    "GuestConnection": {"__enter__", "__exit__", "recv", "send", "sendall"},
    "GuestInput": {"write"},
    "GuestOutput": {"__iter__", "read", "read1", "readline"},
    "GuestProcess": {"__enter__", "__exit__", "communicate", "wait"},
    "Keyboard": {"down", "press", "type", "up"},
    "Pool": {"__enter__", "__exit__", "close"},
    "Pointer": {"click", "down", "move", "scroll", "up"},
    "SocketListener": {"__enter__", "__exit__", "accept"},
    "USBController": {"attach"},
    "USBMassStorageDevice": {"detach"},
    "VirtioSocketDevice": {"connect"},
}  # fmt: skip
# A file of the module `io` in one face; a function, of which test_launching.py tells.
OF_ITS_OWN = ("GuestFile", "launch")
# Of threads: asyncio has tasks.
OF_THREADS = {"MachineExecutor", "MachineFuture"}


def public(kind: type) -> dict[str, Any]:
    """The members of a class that a program uses, by the blocking face's names."""
    members = {}
    for found in dir(kind):
        name = ASYNCHRONOUS.get(found, found)
        if not name.startswith("_") or name in ASYNCHRONOUS.values() or name == "__init__":
            members[name] = inspect.getattr_static(kind, found)
    return members


def test_both_faces_have_the_same_names_and_all_that_does_not_wait_is_the_same_object() -> None:
    assert aio.__all__ == sorted({*applevz.__all__} - OF_THREADS)  # type: ignore[attr-defined]
    for name in aio.__all__:  # type: ignore[attr-defined]
        assert (getattr(aio, name) is getattr(applevz, name)) == (name not in (*AWAITED, *OF_ITS_OWN)), name


@pytest.mark.parametrize("name", AWAITED)
def test_both_faces_have_the_same_signatures_and_what_waits_is_awaited(name: str) -> None:
    blocking, awaited = public(getattr(applevz, name)), public(getattr(aio, name))
    assert set(blocking) == set(awaited)
    coroutines = set()
    for member in blocking:
        assert type(blocking[member]) is type(awaited[member]), member
        if not inspect.isfunction(blocking[member]):
            continue
        first, second = inspect.signature(blocking[member]), inspect.signature(awaited[member])
        assert first.parameters == second.parameters, member
        if member not in ("__enter__", "__iter__", "machine"):  # which a face's own kind of block takes
            assert first.return_annotation == second.return_annotation, member
        if inspect.iscoroutinefunction(awaited[member]) or inspect.isasyncgenfunction(awaited[member]):
            coroutines.add(member)
        assert member.startswith("__") or awaited[member].__doc__
    assert coroutines == AWAITED[name]


@linux
def test_a_console_of_the_other_face_is_refused_by_name(configure: Configure) -> None:
    for machine, console, face in [
        (aio.VirtualMachine, applevz.Console(), "applevz.aio"),
        (applevz.VirtualMachine, aio.Console(), "applevz"),
    ]:
        port = applevz.VirtioConsoleDeviceSerialPortConfiguration(console)
        configuration = configure(serial_ports=[port])
        configuration.validate()
        with pytest.raises(TypeError, match=rf"serial_ports\[0\].attachment.*a Console of {face},"):
            machine(configuration)


# ---- Machines ----------------------------------------------------------------------------------------------------


@linux
def test_a_real_guest_is_walked_through_its_life(vm: Callable[..., aio.VirtualMachine], nothing_left: None) -> None:
    async def main() -> None:
        async with vm() as machine:
            console = machine.console
            await machine.start(timeout=PATIENCE)
            await console.read_until(READY, timeout=PATIENCE)
            await console.read_until(PROMPT, timeout=PATIENCE)
            await console.write("echo $((6 * 7))\n", timeout=PATIENCE)
            assert await console.readline(timeout=PATIENCE) == b"42\n"
            await console.read_until(PROMPT, timeout=PATIENCE)
            await machine.suspend(timeout=PATIENCE)
            assert machine.state is VirtualMachineState.PAUSED
            await machine.start(timeout=PATIENCE)
            reading = asyncio.create_task(console.read_until("never", timeout=PATIENCE))
            await machine.shutdown(timeout=PATIENCE)
            with pytest.raises(applevz.EndOfConsoleError):
                await reading
            # What it printed last is still there: its kernel's farewell, if that came before its end.
            assert b"never" not in await console.read()
            assert await console.read() == b""
            names = []
            async for event in machine.events:
                names.append(f"{event.kind.name} {event.state.name} {event.cause.name}")
                if event.kind is applevz.EventKind.GUEST_STOPPED:
                    break
            assert names == [
                "STATE_CHANGED STARTING START",
                "STATE_CHANGED RUNNING START",
                "STATE_CHANGED PAUSING PAUSE",
                "STATE_CHANGED PAUSED PAUSE",
                "STATE_CHANGED RESUMING RESUME",
                "STATE_CHANGED RUNNING RESUME",
                "STATE_CHANGED STOPPED GUEST",
                "GUEST_STOPPED STOPPED GUEST",
            ]

    asyncio.run(main())


@linux
def test_a_hundred_machines_are_driven_from_one_loop_without_a_thread_for_any(
    vm: Callable[..., aio.VirtualMachine], script: Script, nothing_left: None
) -> None:
    script()
    most = 0
    everybody: asyncio.Semaphore
    stop: asyncio.Event

    async def life(machine: aio.VirtualMachine) -> list[int]:
        nonlocal most
        async with machine:
            await machine.start(timeout=PATIENCE)
            for _ in range(3):
                await machine.pause(timeout=PATIENCE)
                await machine.resume(timeout=PATIENCE)
            most = max(most, len(os.listdir("/proc/self/task")))
            everybody.release()
            await stop.wait()
            await machine.stop(timeout=PATIENCE)
        return [(await machine.events.next(timeout=0)).number for _ in range(16)]

    async def main() -> list[list[int]]:
        nonlocal everybody, stop
        everybody, stop = asyncio.Semaphore(0), asyncio.Event()
        lives = asyncio.gather(*(life(vm()) for _ in range(100)))
        for _ in range(100):
            await everybody.acquire()
        assert len(children()) - before == 100
        # While nothing happens there are the poller, and what was there before.
        while len(os.listdir("/proc/self/task")) > threads + 2:
            await asyncio.sleep(0.1)
        stop.set()
        return await lives

    before, threads = len(children()), threading.active_count()
    assert asyncio.run(main()) == [list(range(1, 17))] * 100
    # The poller, and what the pool of workers may grow to while all machines start at once.
    assert most <= threads + 1 + 64


@linux
def test_verbs_of_one_machine_at_once_have_the_outcomes_that_threads_would_have(
    vm: Callable[..., aio.VirtualMachine], script: Script, nothing_left: None
) -> None:
    script()

    async def main() -> None:
        async with vm() as machine:
            await asyncio.gather(*(machine.start(timeout=PATIENCE) for _ in range(10)))
            outcomes = await asyncio.gather(*(machine.pause(PATIENCE) for _ in range(4)), return_exceptions=True)
            assert outcomes.count(None) == 1
            refused = [outcome for outcome in outcomes if outcome is not None]
            assert {type(outcome) for outcome in refused} == {applevz.InvalidVirtualMachineStateTransitionError}

    asyncio.run(main())


@linux
def test_a_block_that_fails_stops_its_machine_from_any_state(
    vm: Callable[..., aio.VirtualMachine], script: Script, nothing_left: None
) -> None:
    script(answers={"stop": ""})

    async def main() -> None:
        machine = vm()

        async def block() -> None:
            async with machine:
                await machine.start(timeout=PATIENCE)
                with pytest.raises(applevz.TimeoutError):
                    await machine.pause(timeout=0.05)
                assert machine.state is VirtualMachineState.PAUSING
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await block()
        assert machine.state is VirtualMachineState.STOPPED

    asyncio.run(main())


@linux
def test_a_guest_that_ignores_its_power_button_is_a_time_out_in_both_senses(
    vm: Callable[..., aio.VirtualMachine], script: Script, nothing_left: None
) -> None:
    script()

    async def main() -> None:
        async with vm() as machine:
            await machine.start(timeout=PATIENCE)
            began = time.monotonic()
            with pytest.raises(applevz.TimeoutError, match=r"did not stop within 0\.3 s") as caught:
                await machine.shutdown(timeout=0.3)
            assert isinstance(caught.value, TimeoutError)
            assert 0.3 <= time.monotonic() - began < PATIENCE / 2
            await machine.shutdown(ShutdownPolicy.HALT, timeout=PATIENCE)

    asyncio.run(main())


@linux
def test_waiting_for_a_state_ends_with_the_error_that_makes_it_impossible(
    vm: Callable[..., aio.VirtualMachine], script: Script, nothing_left: None
) -> None:
    script(answers={"stop": ""}, after={"stop": "kill"})

    async def main() -> None:
        async with vm() as machine:
            await machine.start(timeout=PATIENCE)
            waiting = asyncio.create_task(machine.wait(VirtualMachineState.PAUSED, timeout=PATIENCE))
            with pytest.raises(applevz.InternalError, match="signal 9"):
                await machine.pause(timeout=PATIENCE)
            with pytest.raises(applevz.InternalError, match="signal 9"):
                await waiting
            with pytest.raises(applevz.InvalidArgumentError, match="timeout"):
                await machine.start(timeout=-1)

    asyncio.run(main())


# ---- Cancelling --------------------------------------------------------------------------------------------------


async def cancelled(call: Coroutine[Any, Any, object]) -> None:
    """Begins the call, which does not come to an end, and cancels it."""
    task = asyncio.create_task(call)
    await asyncio.sleep(0.05)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


VERBS: dict[str, tuple[list[str], Callable[[Any], Coroutine[Any, Any, object]], VirtualMachineState]] = {
    # What the machine does first, the verb that is cancelled while QEMU stands still, and where that leads.
    "pause": ([], lambda machine: machine.pause(), VirtualMachineState.PAUSED),
    "suspend": ([], lambda machine: machine.suspend(), VirtualMachineState.PAUSED),
    "resume": (["pause"], lambda machine: machine.resume(), VirtualMachineState.RUNNING),
    "start a paused one": (["pause"], lambda machine: machine.start(), VirtualMachineState.RUNNING),
    "wait": ([], lambda machine: machine.wait(VirtualMachineState.PAUSED), VirtualMachineState.RUNNING),
    "shutdown": ([], lambda machine: machine.shutdown(), VirtualMachineState.RUNNING),
    "events": ([], lambda machine: machine.events.next(), VirtualMachineState.RUNNING),
    "read": ([], lambda machine: machine.console.read(), VirtualMachineState.RUNNING),
    "read_until": ([], lambda machine: machine.console.read_until("x"), VirtualMachineState.RUNNING),
    "readline": ([], lambda machine: machine.console.readline(), VirtualMachineState.RUNNING),
    "write": ([], lambda machine: machine.console.write(bytes(1 << 22)), VirtualMachineState.RUNNING),
}


@linux
@pytest.mark.parametrize("name", VERBS)
def test_a_cancelled_call_leaves_its_machine_on_its_way_and_nothing_else(
    vm: Callable[..., aio.VirtualMachine], script: Script, nothing_left: None, name: str
) -> None:
    script()
    first, call, goal = VERBS[name]

    async def main() -> None:
        before = children()
        async with vm() as machine:
            await machine.start(timeout=PATIENCE)
            for verb in first:
                await getattr(machine, verb)(timeout=PATIENCE)
            with contextlib.suppress(applevz.TimeoutError):
                while True:
                    await machine.events.next(timeout=0)
            (qemu,) = children() - before
            os.kill(qemu, signal.SIGSTOP)
            held = left()
            for _ in range(1 if first or goal is VirtualMachineState.PAUSED else 5):
                await cancelled(call(machine))
            # No operation and no channel: at once, not when something else happens. What machines of other tests give
            # back meanwhile does not count.
            handles, descriptors = left()
            assert handles == held[0]
            assert not _loop._channels
            assert descriptors <= held[1]
            os.kill(qemu, signal.SIGCONT)
            assert await machine.wait(goal, timeout=PATIENCE) is goal
            await machine.stop(timeout=PATIENCE)

    asyncio.run(main())


@linux
def test_a_cancelled_start_goes_on_and_the_machine_can_be_ended(
    vm: Callable[..., aio.VirtualMachine], script: Script, nothing_left: None
) -> None:
    script(answers={"qmp_capabilities": ""})

    async def main() -> None:
        async with vm() as machine:
            await cancelled(machine.start())
            assert machine.state is VirtualMachineState.STARTING
            await cancelled(machine.start())
            await cancelled(machine.shutdown(ShutdownPolicy.HALT))
        assert machine.state is VirtualMachineState.STOPPED

    asyncio.run(main())


@linux
@pytest.mark.parametrize("verb", ["start", "stop", "request_stop"])
def test_a_call_cancelled_in_its_first_moment_is_done_all_the_same(
    vm: Callable[..., aio.VirtualMachine], script: Script, nothing_left: None, verb: str
) -> None:
    script()

    async def main() -> None:
        async with vm() as machine:
            for _ in range(5):
                if verb != "start":
                    await machine.start(timeout=PATIENCE)
                task = asyncio.create_task(getattr(machine, verb)())
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                goal = VirtualMachineState.STOPPED if verb == "stop" else VirtualMachineState.RUNNING
                assert await machine.wait(goal, timeout=PATIENCE) is goal
                if verb != "stop":
                    await machine.stop(timeout=PATIENCE)

    asyncio.run(main())


@linux
def test_a_verb_that_is_cancelled_with_its_block_does_not_keep_the_machine(
    vm: Callable[..., aio.VirtualMachine], script: Script, nothing_left: None
) -> None:
    script(answers={"stop": ""})

    async def block(machine: aio.VirtualMachine) -> None:
        async with machine:
            await machine.start(timeout=PATIENCE)
            await machine.pause()

    async def main() -> None:
        machine = vm()
        task = asyncio.create_task(block(machine))
        await machine.wait(VirtualMachineState.PAUSING, timeout=PATIENCE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert machine.state is VirtualMachineState.STOPPED

    asyncio.run(main())


# ---- Loops -------------------------------------------------------------------------------------------------------


@linux
def test_several_loops_in_several_threads_wait_for_one_machine_and_their_own(
    vm: Callable[..., aio.VirtualMachine], script: Script, nothing_left: None
) -> None:
    script()
    shared = vm()
    outcomes = []

    async def life() -> None:
        waiting = asyncio.create_task(shared.wait(VirtualMachineState.RUNNING, timeout=PATIENCE))
        async with vm() as own:
            await own.start(timeout=PATIENCE)
            await own.stop(timeout=PATIENCE)
        outcomes.append(await waiting)

    async def main() -> None:
        async with shared:
            await asyncio.sleep(0.2)
            await shared.start(timeout=PATIENCE)
            while len(outcomes) < 4:
                await asyncio.sleep(0.01)

    crew = [threading.Thread(target=asyncio.run, args=(life(),)) for _ in range(4)]
    for thread in crew:
        thread.start()
    asyncio.run(main())
    for thread in crew:
        thread.join(PATIENCE)
    assert outcomes == [VirtualMachineState.RUNNING] * 4


def silent_loop() -> asyncio.AbstractEventLoop:
    """A loop that says nothing of tasks that were not awaited."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    return loop


@linux
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("tasks_are", ["dropped before", "dropped after", "kept"])
def test_a_loop_that_is_closed_in_the_middle_of_waits_leaves_all_to_others(
    vm: Callable[..., aio.VirtualMachine], script: Script, nothing_left: None, tasks_are: str
) -> None:
    script()
    loop = silent_loop()
    machine = vm()
    loop.run_until_complete(machine.start(timeout=PATIENCE))
    console = machine.console
    tasks = [
        loop.create_task(call)
        for call in (
            machine.wait(VirtualMachineState.PAUSED),
            console.read(),
            console.read_until("never"),
            console.write(bytes(1 << 22)),
            console.write(b"x"),
        )
    ]
    loop.run_until_complete(asyncio.sleep(0.05))
    loop.close()
    if tasks_are == "dropped before":
        del tasks, loop
        gc.collect()
    guest = Guest(console)
    empty(guest)

    # Another loop goes on with the same machine, and the same console, at once.
    async def main() -> None:
        nonlocal tasks, loop
        async with machine:
            reading = asyncio.create_task(console.read_until("for the other", timeout=PATIENCE))
            await asyncio.sleep(0.01)
            os.write(guest.writing, b"for the other")
            assert await reading == b"for the other"
            await console.write(b"typed", timeout=PATIENCE)
            assert empty(guest) == b"typed"
            if tasks_are == "dropped after":
                reading = asyncio.create_task(console.read(timeout=PATIENCE))
                await asyncio.sleep(0.01)
                # The old ones end now: not the new one's turn.
                del tasks, loop
                gc.collect()
                with pytest.raises(applevz.TimeoutError, match="Another task"):
                    await console.read(timeout=0.01)
                os.write(guest.writing, b"more")
                assert await reading == b"more"
            await machine.pause(timeout=PATIENCE)
            states = []
            while VirtualMachineState.PAUSED not in states:
                states.append((await machine.events.next(timeout=PATIENCE)).state)

    asyncio.run(main())
    tasks = loop = None  # type: ignore[assignment]
    gc.collect()


def test_a_run_that_ends_with_a_reader_leaves_the_console_to_the_next() -> None:
    console = aio.Console()
    guest = Guest(console)

    async def begin() -> list[asyncio.Task[bytes]]:
        begun = [asyncio.create_task(call) for call in (console.read(), console.read(), console.readline())]
        await asyncio.sleep(0.01)
        return begun

    async def read() -> bytes:
        return await console.read(timeout=10)

    for number in range(3):
        tasks = asyncio.run(begin())
        assert all(task.cancelled() for task in tasks)
        os.write(guest.writing, b"%d" % number)
        assert asyncio.run(read()) == b"%d" % number
    console.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_who_waits_for_his_turn_in_another_loop_has_it_when_the_first_is_closed() -> None:
    console = aio.Console()
    guest = Guest(console)
    first = silent_loop()
    task = first.create_task(console.read())
    first.run_until_complete(asyncio.sleep(0.01))
    outcomes: list[bytes] = []

    async def read() -> None:
        with pytest.raises(applevz.TimeoutError, match="Another task used the console for 0.1 s"):
            await console.read(timeout=0.1)
        ready.set()
        outcomes.append(await console.read(timeout=10))

    ready = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(read(),))
    thread.start()
    assert ready.wait(10)
    time.sleep(0.1)
    assert outcomes == []
    first.close()
    os.write(guest.writing, b"for the second")
    thread.join(10)
    assert outcomes == [b"for the second"]
    assert not task.done()
    del task, first
    gc.collect()
    console.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("count", [1, 3])
def test_a_loop_that_is_dropped_in_the_middle_of_waits_goes_and_leaves_the_console_to_others(count: int) -> None:
    console = aio.Console()
    guest = Guest(console)

    def begin() -> weakref.ref[asyncio.AbstractEventLoop]:
        loop = silent_loop()
        for _ in range(count):
            loop.create_task(console.read())
            loop.create_task(console.write(bytes(1 << 22)))
        loop.run_until_complete(asyncio.sleep(0.01))
        return weakref.ref(loop)

    # Nobody closed it: the thread that it was of has ended, or a signal's handler raised.
    with ThreadPoolExecutor(1) as pool:
        loop = pool.submit(begin).result()
    gc.collect()
    assert loop() is None
    empty(guest)
    os.write(guest.writing, b"for the other")

    async def use() -> None:
        assert await console.read(timeout=10) == b"for the other"
        await console.write(b"typed", timeout=10)

    asyncio.run(use())
    assert empty(guest) == b"typed"
    console.close()


def test_those_who_wait_for_their_turn_are_kept_by_their_loop() -> None:
    console = aio.Console()
    guest = Guest(console)
    lines = []

    async def read() -> None:
        lines.append(await console.readline())

    async def main() -> None:
        for _ in range(5):
            asyncio.create_task(read())  # noqa: RUF006  # dropped: that is what is tested
        await asyncio.sleep(0.01)
        gc.collect()
        os.write(guest.writing, b"1\n2\n3\n4\n5\n")
        while len(lines) < 5:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), 10))
    assert lines == [b"1\n", b"2\n", b"3\n", b"4\n", b"5\n"]
    console.close()


def test_turns_go_round_among_the_loops_of_several_threads() -> None:
    console = aio.Console()
    guest = Guest(console)
    lines = []

    async def read() -> None:
        for _ in range(25):
            lines.append(await console.readline(timeout=30))  # noqa: PERF401  # each is one's own turn

    crew = [threading.Thread(target=asyncio.run, args=(read(),)) for _ in range(4)]
    for thread in crew:
        thread.start()
    for number in range(100):
        os.write(guest.writing, b"%d\n" % number)
    for thread in crew:
        thread.join(60)
    assert sorted(lines, key=int) == [b"%d\n" % number for number in range(100)]
    console.close()


@pytest.mark.parametrize("closer", ["another thread", "a signal's handler", "a finalizer", "a loop that stands still"])
def test_a_console_is_closed_under_a_loop_s_reader_from_anywhere(closer: str) -> None:
    console = aio.Console()
    end = console.attachment.file_handle_for_writing
    outcomes: list[Any] = []

    async def read() -> None:
        calls = (console.read(), console.readline(), console.write(bytes(1 << 22)))
        outcomes.extend(await asyncio.gather(*calls, return_exceptions=True))

    class Garbage:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            console.close()

    async def collect() -> None:
        await asyncio.sleep(0.1)
        gc.collect()

    async def both() -> None:
        await asyncio.gather(read(), collect())

    if closer == "another thread":
        timer = threading.Timer(0.1, console.close)
        timer.start()
        asyncio.run(read())
        timer.join()
    elif closer == "a signal's handler":
        previous = signal.signal(signal.SIGUSR1, lambda *_: console.close())
        timer = threading.Timer(0.1, signal.pthread_kill, [threading.get_ident(), signal.SIGUSR1])
        timer.start()
        asyncio.run(read())
        timer.join()
        signal.signal(signal.SIGUSR1, previous)
    elif closer == "a finalizer":
        Garbage()
        asyncio.run(both())
    else:
        loop = asyncio.new_event_loop()
        task = loop.create_task(read())
        loop.run_until_complete(asyncio.sleep(0.01))
        console.close()
        loop.run_until_complete(task)
        loop.close()
    assert [type(outcome) for outcome in outcomes] == [applevz.InvalidStateError] * 3
    assert {outcome.localized_description for outcome in outcomes} == {"The console was closed."}
    with pytest.raises(applevz.InvalidStateError):
        end.fileno()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_console_whose_reader_s_loop_was_closed_gives_its_descriptors_back() -> None:
    assert workers_end()
    before = open_descriptors()
    console = aio.Console()
    loop = silent_loop()
    task = loop.create_task(console.read())
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    console.close()
    assert open_descriptors() <= before
    assert not task.done()


@linux
def test_waiting_is_no_polling(vm: Callable[..., aio.VirtualMachine], script: Script, nothing_left: None) -> None:
    script()

    async def main() -> None:
        async with vm() as machine:
            await machine.start(timeout=PATIENCE)
            while True:
                try:
                    await machine.events.next(timeout=0)
                except applevz.TimeoutError:
                    break
            calls = (machine.wait(VirtualMachineState.PAUSED), machine.console.read(), machine.events.next())
            tasks = [asyncio.create_task(call) for call in calls]
            await asyncio.sleep(0.05)
            before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
            await asyncio.sleep(1)  # what is measured: a second in which nothing happens
            assert resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before <= 5
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    asyncio.run(main())


@linux
def test_without_file_descriptors_a_machine_still_obeys(
    vm: Callable[..., aio.VirtualMachine], script: Script, nothing_left: None
) -> None:
    script()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def main() -> None:
        async with vm() as machine:
            await machine.start(timeout=PATIENCE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            try:
                await machine.pause(timeout=PATIENCE)
                with pytest.raises(applevz.TimeoutError):
                    await machine.wait(VirtualMachineState.RUNNING, timeout=0.05)
                await machine.stop(timeout=PATIENCE)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    asyncio.run(main())


# ---- Consoles ----------------------------------------------------------------------------------------------------


class Guest:
    """The guest's ends of a console."""

    def __init__(self, console: aio.Console) -> None:
        self._attachment = console.attachment
        self.reading = self._attachment.file_handle_for_reading.fileno()
        self.writing = self._attachment.file_handle_for_writing.fileno()


def empty(guest: Guest) -> bytes:
    """What the guest had not read yet."""
    os.set_blocking(guest.reading, False)
    data = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            data += os.read(guest.reading, 1 << 20)
    return data


def with_console(test: Callable[[aio.Console, Guest], Coroutine[Any, Any, None]]) -> None:
    """Runs the test in a loop, with a console and the guest's ends of it."""

    async def main() -> None:
        console = aio.Console()
        try:
            await test(console, Guest(console))
        finally:
            console.close()

    assert workers_end()
    before = open_descriptors()
    asyncio.run(main())
    gc.collect()
    assert open_descriptors() <= before


def test_what_the_guest_prints_is_read_when_it_comes() -> None:
    async def test(console: aio.Console, guest: Guest) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, os.write, guest.writing, b"one\ntwo")
        assert await console.readline(timeout=10) == b"one\n"
        loop.call_later(0.05, os.write, guest.writing, b"\nthree")
        assert await console.read_until("\n", timeout=10) == b"two\n"
        assert await console.read(2, timeout=10) == b"th"
        assert console.tail == b"one\ntwo\nthree"
        began = time.monotonic()
        with pytest.raises(applevz.TimeoutError, match="within 0.2 s"):
            await console.read_until("never", timeout=0.2)
        assert 0.2 <= time.monotonic() - began < PATIENCE / 2
        assert await console.read(timeout=0) == b"ree"

    with_console(test)


def test_readers_take_turns_and_a_cancelled_one_loses_nothing() -> None:
    async def test(console: aio.Console, guest: Guest) -> None:
        first, second, third = (asyncio.create_task(console.readline(timeout=10)) for _ in range(3))
        await asyncio.sleep(0.01)
        with pytest.raises(applevz.TimeoutError, match="Another task"):
            await console.read(timeout=0.05)
        os.write(guest.writing, b"half a ")
        await asyncio.sleep(0.01)
        first.cancel()
        os.write(guest.writing, b"line\n")
        assert await second == b"half a line\n"
        os.write(guest.writing, b"next\n")
        assert await third == b"next\n"
        with pytest.raises(asyncio.CancelledError):
            await first

    with_console(test)


def test_a_turn_that_is_handed_to_one_who_is_cancelled_goes_to_the_next() -> None:
    async def test(console: aio.Console, guest: Guest) -> None:
        tasks = [asyncio.create_task(console.readline(timeout=10)) for _ in range(3)]
        await asyncio.sleep(0.01)
        # The first gives its turn to the second, which is cancelled before it runs again.
        tasks[0].cancel()
        await asyncio.sleep(0)
        tasks[1].cancel()
        os.write(guest.writing, b"line\n")
        assert await tasks[2] == b"line\n"
        assert await asyncio.gather(*tasks[:2], return_exceptions=True)

    with_console(test)


def test_a_full_pipe_is_waited_for_and_the_time_out_tells_how_much_was_written() -> None:
    async def test(console: aio.Console, guest: Guest) -> None:
        with pytest.raises(applevz.TimeoutError, match=r"[1-9]\d* of 10000000 bytes"):
            await console.write(bytes(10_000_000), timeout=0.1)
        os.set_blocking(guest.reading, False)
        with contextlib.suppress(BlockingIOError):
            while os.read(guest.reading, 1 << 16):
                pass
        writing = asyncio.create_task(console.write(b"x" * 1_000_000, timeout=10))
        received = 0
        while received < 1_000_000:
            await asyncio.sleep(0.001)
            with contextlib.suppress(BlockingIOError):
                received += len(os.read(guest.reading, 1 << 16))
        await writing

    with_console(test)


def test_closing_wakes_whoever_waits() -> None:
    async def test(console: aio.Console, guest: Guest) -> None:
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(console.read()), asyncio.create_task(console.read())]
        tasks.append(asyncio.create_task(console.write(bytes(1 << 22))))
        await asyncio.sleep(0.01)
        with console._from_guest as number:
            pass
        console.close()
        console.close()
        # The number is free for another file at once. What the loop watches then is that file, for its owner.
        other: list[int] = []
        while number not in other:
            other += os.pipe()
        asyncio.get_running_loop().add_reader(number, len, "")
        outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        assert [type(outcome) for outcome in outcomes] == [applevz.InvalidStateError] * 3
        assert asyncio.get_running_loop().remove_reader(number)
        for end in other:
            os.close(end)

    with_console(test)


@linux
def test_the_lines_of_a_guest_end_with_its_machine(
    vm: Callable[..., aio.VirtualMachine], script: Script, nothing_left: None
) -> None:
    script()

    async def main() -> None:
        async with vm() as machine:
            await machine.start(timeout=PATIENCE)
            os.write(Guest(machine.console).writing, b"one\ntwo\nthe rest")
            lines = []

            async def follow() -> None:
                async for line in machine.console:
                    lines.append(line)  # noqa: PERF401  # each is looked at as it comes

            following = asyncio.create_task(follow())
            while len(lines) < 2:
                await asyncio.sleep(0.001)
            await machine.stop(timeout=PATIENCE)
            await asyncio.wait_for(following, PATIENCE)
            assert lines == [b"one\n", b"two\n", b"the rest"]

    asyncio.run(main())
