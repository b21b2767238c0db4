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

import pytest
from guest_machine import PATIENCE, PROMPT, READY
from processes import children, eventually, workers_end

import applevz
from applevz import ShutdownPolicy, VirtualMachineState, aio
from applevz._native import lib
from applevz.aio import _loop

linux = pytest.mark.skipif(sys.platform != "linux", reason="there is no QEMU under Apple's framework")

SHUTDOWN = json.dumps(
    {"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}, "timestamp": {"seconds": 0}}
)


def left():
    """What a program may leave behind: handles and descriptors."""
    gc.collect()
    return lib.applevz_debug_live_handles(), len(os.listdir("/dev/fd"))


@pytest.fixture(scope="module", autouse=True)
def no_descriptors_left(guest_files):
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
def nothing_left():
    """Fails if the test leaves a handle."""
    before = left()[0]
    yield
    assert left()[0] == before
    assert not _loop._channels


@pytest.fixture
def vm(configure):
    """Makes a machine of `configure`'s configuration, or several. Its test stops it."""
    return lambda **fields: aio.VirtualMachine(configure(**fields))


# ---- Two faces ---------------------------------------------------------------------------------------------------

ASYNCHRONOUS = {"__aenter__": "__enter__", "__aexit__": "__exit__", "__aiter__": "__iter__", "__anext__": "__next__"}
AWAITED = {
    "VirtualMachine": {
        "__enter__", "__exit__", "connect", "pause", "request_stop", "restore_state", "resume", "save_state",
        "screenshot", "shutdown", "start", "stop", "suspend", "wait",
    },
    "Console": {"__iter__", "read", "read_until", "readline", "write"},
    "Events": {"__next__", "next"},
    "Keyboard": {"down", "press", "type", "up"},
    "Pointer": {"click", "down", "move", "scroll", "up"},
    "SocketListener": {"__enter__", "__exit__", "accept"},
    "USBController": {"attach"},
    "USBMassStorageDevice": {"detach"},
    "VirtioSocketDevice": {"connect"},
}  # fmt: skip


def public(kind):
    """The members of a class that a program uses, by the blocking face's names."""
    members = {}
    for found in dir(kind):
        name = ASYNCHRONOUS.get(found, found)
        if not name.startswith("_") or name in ASYNCHRONOUS.values() or name == "__init__":
            members[name] = inspect.getattr_static(kind, found)
    return members


def test_both_faces_have_the_same_names_and_all_that_does_not_wait_is_the_same_object():
    assert aio.__all__ == applevz.__all__
    for name in applevz.__all__:
        assert (getattr(aio, name) is getattr(applevz, name)) == (name not in AWAITED), name


@pytest.mark.parametrize("name", AWAITED)
def test_both_faces_have_the_same_signatures_and_what_waits_is_awaited(name):
    blocking, awaited = public(getattr(applevz, name)), public(getattr(aio, name))
    assert set(blocking) == set(awaited)
    coroutines = set()
    for member in blocking:
        assert type(blocking[member]) is type(awaited[member]), member
        if not inspect.isfunction(blocking[member]):
            continue
        first, second = inspect.signature(blocking[member]), inspect.signature(awaited[member])
        assert first.parameters == second.parameters, member
        if member not in ("__enter__", "__iter__"):
            assert first.return_annotation == second.return_annotation, member
        if inspect.iscoroutinefunction(awaited[member]) or inspect.isasyncgenfunction(awaited[member]):
            coroutines.add(member)
        assert member.startswith("__") or awaited[member].__doc__
    assert coroutines == AWAITED[name]


@linux
def test_a_console_of_the_other_face_is_refused_by_name(configure):
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
def test_a_real_guest_is_walked_through_its_life(vm, nothing_left):
    async def main():
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
def test_a_hundred_machines_are_driven_from_one_loop_without_a_thread_for_any(vm, script, nothing_left):
    script()
    most = 0

    async def life(machine):
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

    async def main():
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

    everybody = stop = None
    before, threads = len(children()), threading.active_count()
    assert asyncio.run(main()) == [list(range(1, 17))] * 100
    # The poller, and what the pool of workers may grow to while all machines start at once.
    assert most <= threads + 1 + 64


@linux
def test_verbs_of_one_machine_at_once_have_the_outcomes_that_threads_would_have(vm, script, nothing_left):
    script()

    async def main():
        async with vm() as machine:
            await asyncio.gather(*(machine.start(timeout=PATIENCE) for _ in range(10)))
            outcomes = await asyncio.gather(*(machine.pause(PATIENCE) for _ in range(4)), return_exceptions=True)
            assert outcomes.count(None) == 1
            refused = [outcome for outcome in outcomes if outcome is not None]
            assert {type(outcome) for outcome in refused} == {applevz.InvalidVirtualMachineStateTransitionError}

    asyncio.run(main())


@linux
def test_a_block_that_fails_stops_its_machine_from_any_state(vm, script, nothing_left):
    script(answers={"stop": ""})

    async def main():
        machine = vm()

        async def block():
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
def test_a_guest_that_ignores_its_power_button_is_a_time_out_in_both_senses(vm, script, nothing_left):
    script()

    async def main():
        async with vm() as machine:
            await machine.start(timeout=PATIENCE)
            began = time.monotonic()
            with pytest.raises(applevz.TimeoutError, match=r"did not stop within 0\.3 s") as caught:
                await machine.shutdown(timeout=0.3)
            assert isinstance(caught.value, TimeoutError)
            assert 0.3 <= time.monotonic() - began < 2
            await machine.shutdown(ShutdownPolicy.HALT, timeout=PATIENCE)

    asyncio.run(main())


@linux
def test_waiting_for_a_state_ends_with_the_error_that_makes_it_impossible(vm, script, nothing_left):
    script(answers={"stop": ""}, after={"stop": "kill"})

    async def main():
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


async def cancelled(call):
    """Begins the call, which does not come to an end, and cancels it."""
    task = asyncio.create_task(call)
    await asyncio.sleep(0.05)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


VERBS = {
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
def test_a_cancelled_call_leaves_its_machine_on_its_way_and_nothing_else(vm, script, nothing_left, name):
    script()
    first, call, goal = VERBS[name]

    async def main():
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
def test_a_cancelled_start_goes_on_and_the_machine_can_be_ended(vm, script, nothing_left):
    script(answers={"qmp_capabilities": ""})

    async def main():
        async with vm() as machine:
            await cancelled(machine.start())
            assert machine.state is VirtualMachineState.STARTING
            await cancelled(machine.start())
            await cancelled(machine.shutdown(ShutdownPolicy.HALT))
        assert machine.state is VirtualMachineState.STOPPED

    asyncio.run(main())


@linux
@pytest.mark.parametrize("verb", ["start", "stop", "request_stop"])
def test_a_call_cancelled_in_its_first_moment_is_done_all_the_same(vm, script, nothing_left, verb):
    script()

    async def main():
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
def test_a_verb_that_is_cancelled_with_its_block_does_not_keep_the_machine(vm, script, nothing_left):
    script(answers={"stop": ""})

    async def block(machine):
        async with machine:
            await machine.start(timeout=PATIENCE)
            await machine.pause()

    async def main():
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
def test_several_loops_in_several_threads_wait_for_one_machine_and_their_own(vm, script, nothing_left):
    script()
    shared = vm()
    outcomes = []

    async def life():
        waiting = asyncio.create_task(shared.wait(VirtualMachineState.RUNNING, timeout=PATIENCE))
        async with vm() as own:
            await own.start(timeout=PATIENCE)
            await own.stop(timeout=PATIENCE)
        outcomes.append(await waiting)

    async def main():
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


@linux
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_is_closed_in_the_middle_of_waits_leaves_nothing(vm, script, nothing_left):
    script()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # asyncio's own complaint of tasks that were not awaited
    machine = vm()
    loop.run_until_complete(machine.start(timeout=PATIENCE))
    tasks = [
        loop.create_task(call)
        for call in (machine.wait(VirtualMachineState.PAUSED), machine.console.read(), machine.console.read())
    ]
    loop.run_until_complete(asyncio.sleep(0.05))
    loop.close()
    del tasks, loop
    gc.collect()

    # Another loop goes on with the same machine.
    async def main():
        async with machine:
            await machine.pause(timeout=PATIENCE)
            with pytest.raises(applevz.TimeoutError):
                await machine.console.read(timeout=0.05)

    asyncio.run(main())


@linux
def test_waiting_is_no_polling(vm, script, nothing_left):
    script()

    async def main():
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
def test_without_file_descriptors_a_machine_still_obeys(vm, script, nothing_left):
    script()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def main():
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

    def __init__(self, console):
        self._attachment = console.attachment
        self.reading = self._attachment.file_handle_for_reading.fileno()
        self.writing = self._attachment.file_handle_for_writing.fileno()


def with_console(test):
    """Runs the test in a loop, with a console and the guest's ends of it."""

    async def main():
        console = aio.Console()
        try:
            await test(console, Guest(console))
        finally:
            console.close()

    assert workers_end()
    before = len(os.listdir("/dev/fd"))
    asyncio.run(main())
    gc.collect()
    assert len(os.listdir("/dev/fd")) == before


def test_what_the_guest_prints_is_read_when_it_comes():
    async def test(console, guest):
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
        assert 0.2 <= time.monotonic() - began < 2
        assert await console.read(timeout=0) == b"ree"

    with_console(test)


def test_readers_take_turns_and_a_cancelled_one_loses_nothing():
    async def test(console, guest):
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


def test_a_turn_that_is_handed_to_one_who_is_cancelled_goes_to_the_next():
    async def test(console, guest):
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


def test_a_full_pipe_is_waited_for_and_the_time_out_tells_how_much_was_written():
    async def test(console, guest):
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


def test_closing_wakes_whoever_waits():
    async def test(console, guest):
        tasks = [asyncio.create_task(console.read()), asyncio.create_task(console.read())]
        tasks.append(asyncio.create_task(console.write(bytes(1 << 22))))
        await asyncio.sleep(0.01)
        number = console._from_guest
        console.close()
        console.close()
        # The number is free for another file at once. What the loop watches then is that file, for its owner.
        other = []
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
def test_the_lines_of_a_guest_end_with_its_machine(vm, script, nothing_left):
    script()

    async def main():
        async with vm() as machine:
            await machine.start(timeout=PATIENCE)
            os.write(Guest(machine.console).writing, b"one\ntwo\nthe rest")
            lines = []

            async def follow():
                async for line in machine.console:
                    lines.append(line)  # noqa: PERF401  # each is looked at as it comes

            following = asyncio.create_task(follow())
            while len(lines) < 2:
                await asyncio.sleep(0.001)
            await machine.stop(timeout=PATIENCE)
            await asyncio.wait_for(following, PATIENCE)
            assert lines == [b"one\n", b"two\n", b"the rest"]

    asyncio.run(main())
