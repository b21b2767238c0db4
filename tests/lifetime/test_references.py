# SPDX-License-Identifier: Apache-2.0
"""A native reference is given back after its last use, whatever uses it last: a finalizer, a suspended block, a dropped
task, another thread, the interpreter's exit.

The garbage collector calls the finalizers of a cycle in an order of its own. Each program here makes one object of one
kind, has it used by something that runs at the very end, in a debug build, and counts what was given back; once more
under the address sanitizer, which ends a program that uses what was freed.
"""

from __future__ import annotations

import copy
import gc
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import debug_build
from applevz import InvalidStateError
from applevz._native import Reference, descriptors, ffi, lib
from places import NATIVE, SCRIPTED_QEMU
from processes import open_descriptors

# The first of them builds the library, twice.
pytestmark = pytest.mark.timeout(900)

BEGIN = """
import asyncio, builtins, contextlib, gc, os, sys, threading, time, weakref
import applevz
from applevz import aio
from applevz._native import ffi, lib
from applevz._core.operation import begin
from applevz.errors import check

folder = sys.argv[1]
uses = []

def configuration(**fields):
    return applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(f"{folder}/kernel"), memory_size="128MiB",
        network_devices=[applevz.VirtioNetworkDeviceConfiguration(applevz.NATNetworkDeviceAttachment())],
        memory_balloon_devices=[applevz.VirtioTraditionalMemoryBalloonDeviceConfiguration()],
        usb_controllers=[applevz.XHCIControllerConfiguration()], **fields)

def machine():
    return applevz.VirtualMachine(configuration())

def counts():
    gc.collect()
    made, destroyed = ffi.new("uint64_t *"), ffi.new("uint64_t *")
    assert lib.applevz_debug_error_counts(made, destroyed), "not a debug build"
    return made[0] - destroyed[0], lib.applevz_debug_live_handles()

# ---- Each kind: what makes it, and what uses all of it ----

def make_error():
    try:
        check(lib.applevz_capability_check(1000))
    except applevz.Error as error:
        return error.with_traceback(None)  # whose frames would keep what uses it

def use_error(error):
    assert error.domain == "applevz" and error.code == 2 and error.localized_description and error.failure_reason
    assert "1000" in str(error) and error.error.user_info and error.error.underlying is None and hash(error.error)

def make_system_error():
    try:
        applevz.VirtualMachineConfiguration(applevz.LinuxBootLoader("/nowhere/kernel")).validate()
    except applevz.Error as error:
        return error.with_traceback(None)

def use_system_error(error):
    assert error.errno == 2 and error.filename == "/nowhere/kernel" and error.error.underlying.code == 2

def use_machine(machine):
    assert machine.state.name == "STOPPED" and machine.can_start and not machine.stop_error
    assert machine.network_devices[0].connected and machine.memory_balloon_devices and not machine.displays
    machine.shutdown(applevz.ShutdownPolicy.POWEROFF)

def make_running_machine():
    made = machine()
    made.start(timeout=60)
    return made

def use_running_machine(machine):
    assert machine.state.name == "RUNNING"
    try:
        machine.console.read(timeout=0)
    except applevz.TimeoutError:
        pass
    machine.pause(timeout=60)
    machine.shutdown(applevz.ShutdownPolicy.POWEROFF, timeout=60)
    assert machine.state.name == "STOPPED"

def make_console():
    made = applevz.Console()
    made.end = made.attachment
    return made

def use_console(console):
    os.write(console.end.file_handle_for_writing.fileno(), b"printed")
    assert console.read_until("ted", timeout=10) == b"printed" and console.tail == b"printed"
    console.write(b"typed")
    assert os.read(console.end.file_handle_for_reading.fileno(), 100) == b"typed"
    console.close()
    try:
        console.read()
    except applevz.InvalidStateError:
        pass
    else:
        raise AssertionError("a closed console was read")

def make_console_of_a_machine():
    return machine().console

def use_console_of_a_machine(console):
    assert console.read() == b"" and console.readline() == b""
    console.write("into the pipe")

def make_event():
    return make_running_machine().events

def use_event(events):
    assert [events.next(timeout=60).state.name for _ in range(2)] == ["STARTING", "RUNNING"]
    try:
        events.next(timeout=0)
    except applevz.TimeoutError:
        pass

def make_operation():
    kept = machine()
    return kept, begin(lib.applevz_machine_wait_for_state, kept._handle, 2)

def use_operation(both):
    operation = both[1]
    assert lib.applevz_operation_wait(operation, 0.0) == lib.APPLEVZ_WAIT_TIMED_OUT
    operation.release()
    operation.release()
    try:
        lib.applevz_operation_wait(operation, 0.0)
    except applevz.InvalidStateError as error:
        assert "closed" in str(error)
    else:
        raise AssertionError("a released operation was waited for")

def make_steps():
    steps = machine()._wait(applevz.VirtualMachineState.RUNNING, applevz._core.deadline.Deadline(None))
    return steps, next(steps)

def use_steps(both):
    steps, (operation, deadline) = both
    # The generator may have been closed first, and its machine have gone with it: then the wait is over.
    assert lib.applevz_operation_wait(operation, 0.0) in (lib.APPLEVZ_WAIT_TIMED_OUT, lib.APPLEVZ_WAIT_COMPLETED)
    with contextlib.suppress(applevz.TimeoutError, StopIteration):
        steps.send(None)

def make_network_device():
    device = machine().network_devices[0]
    device.attachment = applevz.NATNetworkDeviceAttachment()
    return device

def use_network_device(device):
    assert isinstance(device.attachment, applevz.NATNetworkDeviceAttachment)
    device.connected = False
    assert device.attachment is None

def make_usb_device():
    from applevz._builder.owned import Owned
    from applevz._builder.usb import usb_device
    controller = machine().usb_controllers[0]
    image = f"{folder}/stick"
    if not os.path.exists(image):
        applevz.create_disk_image(image, "1MiB")
    attachment = applevz.DiskImageStorageDeviceAttachment(image)
    with Owned() as owned:
        device, _ = usb_device(owned, applevz.USBMassStorageDeviceConfiguration(attachment))
    return controller._made(device)

def use_usb_device(device):
    assert not device.attached and device == device and device.uuid

def make_configuration_parts():
    from applevz._builder import native_configuration
    building = native_configuration(configuration(), applevz.Console)
    return building, building.__enter__()

def use_configuration_parts(both):
    building, native = both
    # Itself a suspended block, whose end may have come first: the parts know it, and say so.
    with contextlib.suppress(applevz.InvalidStateError):
        check(lib.applevz_configuration_validate(native.configuration))
    with contextlib.suppress(StopIteration):
        building.__exit__(None, None, None)
    try:
        lib.applevz_configuration_validate(native.configuration)
    except applevz.InvalidStateError:
        pass
    else:
        raise AssertionError("a released configuration was validated")

def make_awaited_console():
    made = aio.Console()
    made.end = made.attachment
    return made

def use_awaited_console(console):
    os.write(console.end.file_handle_for_writing.fileno(), b"printed")
    async def read():
        return await console.read(timeout=10)
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(read()) == b"printed"
    loop.close()
    console.close()

def make_loop_s_end():
    vm = aio.VirtualMachine(configuration())
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    async def wait():
        await vm.wait(applevz.VirtualMachineState.RUNNING)
    tasks = [loop.create_task(wait()), loop.create_task(vm.events.next())]
    loop.run_until_complete(asyncio.sleep(0.01))
    return vm, loop, tasks

def use_loop_s_end(all_of_it):
    vm, loop, tasks = all_of_it
    loop.close()
    assert vm.state.name == "STOPPED" and not any(task.done() for task in tasks)

make_machine = machine
kind = sys.argv[2]
make, use = globals()[f"make_{kind}"], globals()[f"use_{kind}"]

def finish(thing):
    use(thing)
    os.write(1, b"used ")

class Last:
    def __init__(self, thing):
        self.thing, self.me = thing, self

    def __del__(self):
        finish(self.thing)

class Handlers:
    def __init__(self, thing):
        self.thing, self.handlers = thing, [self.close]

    def close(self):
        finish(self.thing)

    def __del__(self):
        for handler in self.handlers:
            handler()

@contextlib.contextmanager
def block(thing):
    try:
        yield
    finally:
        finish(thing)

def suspended(thing, kept):
    with block(thing):
        yield kept

async def waiting(thing, kept):
    with block(thing):
        await asyncio.get_running_loop().create_future()

def in_a_generator():
    kept = []
    generator = suspended(make(), kept)
    kept.append(generator)
    next(generator)

def in_a_task():
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    kept = [loop]
    kept.append(loop.create_task(waiting(make(), kept)))
    kept.append(kept)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

def in_a_loop():
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    kept = [loop]
    kept.append(loop.create_task(waiting(make(), kept)))
    kept.append(kept)
    loop.run_until_complete(asyncio.sleep(0))

def in_a_thread():
    gc.disable()
    Last(make())
    thread = threading.Thread(target=gc.collect)
    thread.start()
    thread.join()
    gc.enable()

def at_a_traceback_s_end():
    def raising():
        kept = Last(make())
        raise ZeroDivisionError
    try:
        raising()
    except ZeroDivisionError as error:
        error.me = error

def at_a_weak_reference_s_end():
    class Empty:
        pass
    thing, empty = make(), Empty()
    empty.me, empty.thing = empty, thing
    weakref.finalize(empty, finish, thing)

MOMENTS = {
    "cycle": lambda: Last(make()),
    "bound method": lambda: Handlers(make()),
    "generator": in_a_generator,
    "task": in_a_task,
    "loop": in_a_loop,
    "thread": in_a_thread,
    "traceback": at_a_traceback_s_end,
    "weak reference": at_a_weak_reference_s_end,
}
for name, come_to_it in MOMENTS.items():
    print(name, end=": ", flush=True)
    come_to_it()
    # What a machine did may be held a moment longer, on its queue.
    end = time.monotonic() + 30
    while counts() != (0, 0) and time.monotonic() < end:
        time.sleep(0.01)
    print(*counts(), flush=True)

class Later(Last):
    def __del__(self, use=use, write=os.write, Exception=Exception):
        # Modules are emptied by now, and nothing can be imported any more: what is asked for that fails in words.
        try:
            use(self.thing)
        except Exception:
            pass
        write(1, b"over")

print("exit", end=": ", flush=True)
builtins.kept = Later(make())
"""

KINDS = (
    "error",
    "system_error",
    "machine",
    "running_machine",
    "console",
    "console_of_a_machine",
    "event",
    "operation",
    "steps",
    "network_device",
    "usb_device",
    "configuration_parts",
    "awaited_console",
    "loop_s_end",
)
MOMENTS = ("cycle", "bound method", "generator", "task", "loop", "thread", "traceback", "weak reference")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, guest_files: Path) -> Path:
    """With a kernel that is as good as any, for a machine that does not run, or runs on a scripted QEMU."""
    folder = tmp_path_factory.mktemp("references")
    (folder / "kernel").symlink_to(guest_files / "vmlinux")
    return folder


@pytest.mark.parametrize("sanitized", [False, True], ids=["counted", "sanitized"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_used_last_is_there_until_then_and_is_given_back_once(
    folder: Path, kind: str, sanitized: bool
) -> None:
    qemu = str(SCRIPTED_QEMU)
    done = debug_build.run(
        BEGIN, str(folder), kind, sanitized=sanitized, APPLEVZ_QEMU=qemu, APPLEVZ_QEMU_SCRIPT=json.dumps({})
    )
    words = done.stdout + done.stderr
    assert done.returncode == 0, f"{done.returncode}: {words}"
    # No error and no handle is left.
    assert done.stdout.splitlines() == [*(f"{moment}: used 0 0" for moment in MOMENTS), "exit: over"], words
    assert done.stderr == "", words


# ---- The references themselves ----


def operation_of(wait: str) -> str:
    """A program in which a thread is in a native wait with an operation, for that long."""
    return (
        BEGIN.partition("make_machine = machine")[0]
        + f"""
kept = machine()
operation = begin(lib.applevz_machine_wait_for_state, kept._handle, 2)
handles = lib.applevz_debug_live_handles()
ended = []
thread = threading.Thread(target=lambda: ended.append(lib.applevz_operation_wait(operation, {wait})))
thread.start()
time.sleep(0.2)
"""
    )


@pytest.mark.parametrize("sanitized", [False, True], ids=["counted", "sanitized"])
def test_what_is_released_while_another_thread_is_in_a_call_with_it_is_given_back_when_that_returns(
    folder: Path, sanitized: bool
) -> None:
    program = operation_of("1.0") + """
operation.release()
assert not ended, "the wait was over too soon"
during = handles - lib.applevz_debug_live_handles()
try:
    lib.applevz_operation_wait(operation, 0.0)
except applevz.InvalidStateError:
    refused = True
thread.join()
print(during, handles - lib.applevz_debug_live_handles(), refused, ended == [lib.APPLEVZ_WAIT_TIMED_OUT])
operation.release()
del operation
print(handles - lib.applevz_debug_live_handles())
"""
    done = debug_build.run(program, str(folder), sanitized=sanitized)
    assert done.stdout.split() == ["0", "1", "True", "True", "1"], done.stdout + done.stderr


def test_threads_that_wait_when_the_interpreter_ends_are_in_nobody_s_way(folder: Path) -> None:
    program = BEGIN.partition("make_machine = machine")[0] + """
console, vm = applevz.Console(), machine()
def look(wait):
    while True:
        try:
            wait()
        except applevz.TimeoutError:
            pass
running = applevz.VirtualMachineState.RUNNING
waits = [console.read, lambda: console.readline(timeout=0.001), lambda: vm.wait(running),
         lambda: vm.wait(running, timeout=0.001), lambda: vm.events.next(timeout=0.001)]
for wait in waits * 2:
    threading.Thread(target=look, args=(wait,), daemon=True).start()
time.sleep(0.3)
print("over")
"""
    done = debug_build.run(program, str(folder), sanitized=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "over\n", "")


def test_a_child_that_is_forked_while_threads_wait_uses_and_drops_what_it_has(folder: Path) -> None:
    program = BEGIN.partition("make_machine = machine")[0] + """
console, other, vm = applevz.Console(), aio.Console(), machine()
end, other_end = console.attachment.file_handle_for_writing, other.attachment.file_handle_for_writing
def read():
    with contextlib.suppress(applevz.InvalidStateError):
        console.read()
async def await_it(timeout=None):
    return await other.read(timeout=timeout)
def run():
    with contextlib.suppress(applevz.InvalidStateError):
        asyncio.run(await_it())
try:
    check(lib.applevz_capability_check(1000))
except applevz.Error as error:
    kept = error
crew = [threading.Thread(target=read), threading.Thread(target=run), threading.Thread(target=lambda: operation_of_it())]
operation = begin(lib.applevz_machine_wait_for_state, vm._handle, 2)
def operation_of_it():
    lib.applevz_operation_wait(operation, 1.0)
for thread in crew:
    thread.start()
time.sleep(0.3)
child = os.fork()
if child == 0:
    # The turns of threads that are not here are nobody's, and not waited for.
    for use in (lambda: console.read(timeout=1), lambda: asyncio.run(await_it(1))):
        try:
            use()
        except applevz.ForkedError:
            pass
        else:
            os._exit(8)
    assert kept.localized_description
    del console, other, vm, operation, kept, end, other_end
    gc.collect()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
console.close()
other.close()
for thread in crew:
    thread.join()
print(kept.localized_description)
"""
    done = debug_build.run(program, str(folder), sanitized=True)
    assert done.stdout.splitlines() == ["7", "Unknown capability."], done.stdout + done.stderr


def test_many_threads_release_one_reference_once(folder: Path) -> None:
    program = operation_of("0.0") + """
thread.join()
operation.release()
handles = lib.applevz_debug_live_handles()
for _ in range(300):
    operation = begin(lib.applevz_machine_wait_for_state, kept._handle, 2)
    barrier = threading.Barrier(4)
    def use():
        barrier.wait()
        try:
            lib.applevz_operation_wait(operation, 0.0)
        except applevz.InvalidStateError:
            pass
        operation.release()
    crew = [threading.Thread(target=use) for _ in range(4)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
print(lib.applevz_debug_live_handles() - handles, *counts()[:1])
"""
    done = debug_build.run(program, str(folder), sanitized=True)
    assert done.stdout.split() == ["0", "0"], done.stdout + done.stderr


def test_a_signal_that_raises_between_any_two_steps_loses_no_reference(folder: Path) -> None:
    program = BEGIN.partition("make_machine = machine")[0] + """
import signal
kept = machine()
class Interrupt(BaseException):
    pass
def interrupt(*_):
    raise Interrupt
def work():
    for _ in range(100):
        begin(lib.applevz_machine_wait_for_state, kept._handle, 2)
        try:
            check(lib.applevz_capability_check(1000))
        except applevz.Error:
            pass
        kept.network_devices[0].connected
        applevz.Console()
before, descriptors = counts(), os.listdir("/dev/fd")
signal.signal(signal.SIGALRM, interrupt)
interrupted, end = 0, time.monotonic() + 5
while time.monotonic() < end:
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.00002 + 0.000001 * (interrupted % 997))
            work()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Interrupt:
        interrupted += 1
signal.signal(signal.SIGALRM, signal.SIG_IGN)
assert interrupted > 100, interrupted
print(counts() == before, len(os.listdir("/dev/fd")) <= len(descriptors), counts(), before)
"""
    done = debug_build.run(program, str(folder))
    assert done.stdout.split()[:2] == ["True", "True"], done.stdout + done.stderr


def test_the_garbage_collector_knows_nothing_of_references() -> None:
    reading, writing = descriptors(os.pipe)
    for reference in (reading, writing):
        assert type(reference) is Reference
        assert not gc.is_tracked(reference)
    assert not Reference.__flags__ & 1 << 14  # Py_TPFLAGS_HAVE_GC
    with pytest.raises(TypeError):
        Reference()
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            copied(reading)


def test_a_descriptor_is_borrowed_and_closed_after_the_last_use() -> None:
    reading, writing = descriptors(os.pipe)
    with reading as number, writing as other:
        os.write(other, b"x")
        assert os.read(number, 1) == b"x"
        reading.release()
        reading.release()
        assert os.fstat(number)
        with pytest.raises(InvalidStateError, match="closed"):
            reading.borrow()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(number)
    with pytest.raises(RuntimeError):
        reading.give_back()
    assert os.fstat(other)
    del writing
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(other)


def test_what_cannot_be_opened_is_the_opener_s_error_and_leaves_nothing_open() -> None:
    before = open_descriptors()
    for opened, error in [(None, TypeError), (-1, ValueError)]:
        with pytest.raises(error):
            descriptors(lambda opened=opened: (*os.pipe(), opened))  # type: ignore[misc]
    with pytest.raises(ZeroDivisionError):
        descriptors(lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    assert open_descriptors() <= before


def test_a_use_that_never_ended_keeps_no_descriptor() -> None:
    reading, _ = descriptors(os.pipe)
    number = reading.borrow()
    reading.release()
    assert os.fstat(number)
    del reading
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(number)


def test_references_to_one_thing_are_equal_as_long_as_they_last() -> None:
    first, second = descriptors(os.pipe)
    assert first == first
    assert first != second
    assert first != "a"
    assert hash(first) == hash(first)
    first.release()
    assert first == first


def test_a_console_leaves_standard_input_output_and_error_to_the_program() -> None:
    program = """
import os, sys
import applevz
result = os.dup(1)
for number in range(3):
    os.close(number)
console = applevz.Console()
ends = console.attachment
numbers = [ends.file_handle_for_reading.fileno(), ends.file_handle_for_writing.fileno()]
with console._from_guest as reading, console._to_guest as writing:
    numbers += [reading, writing]
    free = [number for number in range(3) if not os.path.exists(f"/dev/fd/{number}")]
    os.write(result, repr((min(numbers) > 2, free, any(map(os.get_inheritable, numbers)))).encode())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "(True, [0, 1, 2], False)"


def test_descriptors_that_there_are_none_of_are_an_error_that_says_so() -> None:
    program = """
import os, resource
from applevz import Console, POSIXError
resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
kept = []
try:
    while True:
        kept.append(os.dup(0))
except OSError:
    pass
for free in range(4):
    try:
        Console()
    except POSIXError as error:
        print(error.errno, end=" ")
    else:
        print("made", end=" ")
    os.close(kept.pop())
Console()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["24"] * 4


@pytest.mark.parametrize("arguments", [("keyword",), ("too", "many", "arguments"), (None,), (3.5,)])
def test_what_is_no_reference_and_no_pointer_is_refused_by_native_functions(arguments: tuple[object, ...]) -> None:
    with pytest.raises(TypeError):
        lib.applevz_machine_state(*arguments)
    with pytest.raises(TypeError):
        lib.applevz_machine_state(machine=ffi.NULL)


def test_each_handle_of_the_header_is_released_by_the_function_that_its_type_names() -> None:
    # By that name it is found.
    header = (NATIVE / "include" / "applevz.h").read_text()
    handles = set(re.findall(r"\b(applevz_\w+) \*\*\w+\)", header))
    assert {"applevz_machine", "applevz_operation", "applevz_usb_device"} <= handles
    for handle in handles:
        assert f"void {handle}_release({handle} *" in header
