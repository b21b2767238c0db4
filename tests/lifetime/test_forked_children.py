# SPDX-License-Identifier: Apache-2.0
"""A child that was forked from a process with machines is told so by whatever can fail, harms nothing, and ends as it
likes.

Nothing of Objective-C runs in it: a Mac ends such a process for the first message to a class. Here the played Mac ends
it for any message, and for a lock of the library's (`"fork": "strict"`). One program forks all children, each of which
writes what it found to a file of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import played_mac
from places import SCRIPTED_QEMU

pytestmark = pytest.mark.timeout(900)  # the first of them builds the library

if sys.platform == "darwin":
    pytest.skip("a Mac need not be played", allow_module_level=True)

BEGIN = """
import asyncio, gc, json, multiprocessing, os, pickle, socket, sys, threading, time, traceback
from concurrent.futures import ProcessPoolExecutor
import applevz
from applevz import aio
from applevz._host.fork_server import fork_server
from applevz._native import Reference, ffi, lib
from applevz._core.operation import begin
from applevz.errors import CFError, check, exception_of, handle_of, make

PATIENCE = 60
folder = sys.argv[1]

def configuration(**fields):
    return applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(f"{folder}/kernel"), memory_size="128MiB",
        network_devices=[applevz.VirtioNetworkDeviceConfiguration(applevz.NATNetworkDeviceAttachment())],
        socket_devices=[applevz.VirtioSocketDeviceConfiguration()],
        memory_balloon_devices=[applevz.VirtioTraditionalMemoryBalloonDeviceConfiguration()],
        graphics_devices=[applevz.VirtioGraphicsDeviceConfiguration()],
        usb_controllers=[applevz.XHCIControllerConfiguration()], **fields)

def refused(function, *arguments, **keywords):
    "Whether it says that this is a forked process."
    try:
        result = function(*arguments, **keywords)
        if asyncio.iscoroutine(result):
            asyncio.run(result)
    except applevz.ForkedError as error:
        assert str(error) == FORKED, str(error)
        return True
    return False

FORKED = (
    "applevz 4: Virtual machines cannot be used in this process. The process was forked from one that had begun to use "
    "virtual machines; its machines, threads and queues stayed there. Start the child anew (multiprocessing's "
    "\\"spawn\\" method, or subprocess), or fork before the first machine is made."
)
outcomes = {}

def run_child(name, body):
    "Runs it in a child, and keeps how that ended and what it wrote."
    with open(f"{folder}/{name}", "w+") as file:
        child = os.fork()
        if child == 0:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            status = 1
            try:
                body()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        file.seek(0)
        outcomes[name] = [status, file.read()]

def child(body):
    run_child(body.__name__, body)

try:
    check(lib.applevz_capability_check(1000))
except applevz.Error as error:
    ours = error.with_traceback(None)
try:
    applevz.VirtualMachineConfiguration(applevz.LinuxBootLoader(f"{folder}/nowhere/kernel")).validate()
except applevz.Error as error:
    theirs = error.with_traceback(None)
"""

CHILDREN = BEGIN + """
applevz.create_disk_image(f"{folder}/stick", "1MiB")
vm, other = applevz.VirtualMachine(configuration()), aio.VirtualMachine(configuration())
vm.start(timeout=PATIENCE)
asyncio.run(other.start(timeout=PATIENCE))
handle = vm._handle
events = vm.events

# ---- Every function of the header ----

length = ffi.new("size_t *")
handles = {
    "machine": handle,
    "configuration": handle_of(lib.applevz_configuration_create),
    "serial_port_attachment": handle_of(lib.applevz_serial_port_attachment_create_with_spice_agent, True),
    "storage_device_attachment": handle_of(
        lib.applevz_storage_device_attachment_create_with_disk_image, f"{folder}/stick".encode(),
        len(f"{folder}/stick".encode()), False, lib.APPLEVZ_DISK_IMAGE_CACHING_MODE_CACHED,
        lib.APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_FULL),
    "network_device_attachment": handle_of(lib.applevz_network_device_attachment_create_with_nat, True, False),
    "directory_share": handle_of(lib.applevz_directory_share_create_with_directories, ffi.NULL, 0),
    "guest_agent": handle_of(lib.applevz_guest_agent_create),
    "operation": begin(lib.applevz_machine_wait_for_state, handle, 1 << lib.APPLEVZ_MACHINE_STATE_ERROR),
    "channel": handle_of(lib.applevz_channel_create),
    "socket_listener": handle_of(lib.applevz_machine_socket_listen, handle, 0, 99),
    # A Mac has no fork server, and lets nobody look into a saved state.
    "fork_server": fork_server() or ffi.NULL,
    "saved_state": ffi.NULL,
}
handles["usb_device"] = handle_of(lib.applevz_usb_device_create, handles["storage_device_attachment"], b"", 0)
watched = lib.applevz_channel_descriptor(handles["channel"])
error_reference = ours.error._reference

def argument_of(kind):
    name = kind.cname
    if kind.kind == "pointer" and kind.item.kind == "struct":
        found = kind.item.cname.removeprefix("struct ").removeprefix("applevz_")
        if found in handles:
            return handles[found]
        return error_reference if kind is ERROR else ffi.new(ffi.typeof(f"{kind.item.cname} *"))
    if kind.kind == "pointer":
        return b"" if kind.item.cname == "char" else ffi.NULL if kind.item.kind == "void" else ffi.new(kind)
    return 0.0 if name == "double" else 0

from applevz._native import _ERROR as ERROR, _library

OTHERS = {
    "applevz_error_code": lib.APPLEVZ_BRIDGE_ERROR_FORKED,
    "applevz_error_kind": lib.APPLEVZ_ERROR_DOMAIN_BRIDGE << 56 | lib.APPLEVZ_BRIDGE_ERROR_FORKED,
    "applevz_operation_wait": lib.APPLEVZ_WAIT_COMPLETED,
    "applevz_operation_take_value": 0,
    "applevz_channel_descriptor": -1,
    "applevz_channel_next": False,
    "applevz_machine_state": lib.APPLEVZ_MACHINE_STATE_RUNNING,
    # Nothing causes the error that every other one reads as, neither another one nor the system.
    "applevz_error_posix_code": 0,
    "applevz_error_copy_underlying": None,
}

def each_function_of_the_header_fails_or_does_nothing():
    seen = 0
    names = [name for name in dir(_library) if name.startswith("applevz_") and callable(getattr(_library, name))]
    for name in names:
        kind = ffi.typeof(getattr(_library, name))
        arguments = [argument_of(argument) for argument in kind.args]
        function = getattr(lib, name)
        last = kind.args[-1] if kind.args else None
        pair = kind.result is ERROR and last is not None and last.kind == "pointer" and last.item.kind == "pointer" \\
            and last.item.item.kind == "struct"
        result = function(*(arguments[:-1] if pair else arguments))
        if name in OTHERS:
            assert result == OTHERS[name], (name, result)
        elif kind.result is ERROR:
            error, made = result if pair else (result, None)
            assert isinstance(error, Reference) and made is None, (name, result)
            assert isinstance(exception_of(error), applevz.ForkedError), name
        elif name == "applevz_machine_state_address":
            assert result[0] == lib.APPLEVZ_MACHINE_STATE_RUNNING
        elif name == "applevz_error_copy_text":
            lib.applevz_free(result)
        else:
            assert result is None or name.startswith("applevz_debug"), (name, result)
        seen += 1
    assert seen > 100, seen

child(each_function_of_the_header_fails_or_does_nothing)

# ---- The two faces ----

def calls_of(machine):
    stick = lambda: applevz.USBMassStorageDevice(applevz.DiskImageStorageDeviceAttachment(f"{folder}/stick"))
    return [
        machine.start, machine.pause, machine.resume, machine.stop, machine.request_stop, machine.shutdown,
        lambda: machine.wait(applevz.VirtualMachineState.PAUSED), lambda: machine.save_state(f"{folder}/state"),
        lambda: machine.restore_state(f"{folder}/state"), machine.suspend,
        lambda: machine.suspend(to=f"{folder}/state"),
        lambda: machine.connect(22), machine.screenshot, machine.events.next, machine.console.read,
        machine.console.readline, lambda: machine.console.write("x"), lambda: machine.keyboard.press("a"),
    ]

PROPERTIES = ("can_start", "can_pause", "can_resume", "can_stop", "can_request_stop", "network_devices",
              "socket_devices", "usb_controllers", "directory_sharing_devices",
              "displays", "memory_balloon_devices", "stop_error")

def each_verb_of_both_faces_is_refused():
    for machine in (vm, other):
        assert machine.state is applevz.VirtualMachineState.RUNNING and "RUNNING" in repr(machine)
        for call in calls_of(machine):
            assert refused(call), call
        for name in PROPERTIES:
            assert refused(lambda: getattr(machine, name)), name
    for make_it in (lambda: applevz.VirtualMachine(configuration()), lambda: configuration().validate(),
                    applevz.MACAddress.random, applevz.GenericMachineIdentifier.random):
        assert refused(make_it), make_it
    assert not applevz.capabilities.virtualization and "forked" in applevz.capabilities.virtualization.reason

child(each_verb_of_both_faces_is_refused)

def the_error_is_whole():
    try:
        vm.pause()
    except applevz.ForkedError as caught:
        error = caught
    assert isinstance(error, RuntimeError) and (error.domain, error.code) == ("applevz", 4)
    assert error.localized_description == "Virtual machines cannot be used in this process."
    assert "forked" in error.failure_reason and "spawn" in error.recovery_suggestion
    assert sorted(error.error.user_info.values()) == sorted(
        [error.localized_description, error.failure_reason, error.recovery_suggestion])
    assert error.error.underlying is None
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is applevz.ForkedError and again.error == error.error and hash(again.error) == hash(error.error)
    assert str(make(applevz.InvalidArgumentError, "words")) == FORKED
    for _ in range(1000):
        assert refused(vm.pause)

child(the_error_is_whole)

def each_leaves_its_with_block():
    with vm:
        pass
    async def leave():
        async with other:
            pass
    asyncio.run(leave())
    with vm.events._handle as pointer:
        pass

child(each_leaves_its_with_block)

def an_error_that_was_caught_before_the_fork_tells_what_it_told():
    assert "1000" in str(ours) and ours.failure_reason and (ours.domain, ours.code) == ("applevz", 2)
    assert "nowhere" in str(theirs) and theirs.error.user_info and theirs.errno == 2
    assert theirs.error.underlying.domain == "NSPOSIXErrorDomain"
    assert pickle.loads(pickle.dumps(theirs)).error == theirs.error

child(an_error_that_was_caught_before_the_fork_tells_what_it_told)

def a_child_of_a_child_is_told_the_same():
    assert refused(vm.pause)
    grandchild = os.fork()
    if grandchild == 0:
        status = 3
        try:
            if refused(vm.pause) and "1000" in str(ours):
                status = 7
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) == 7
    assert "1000" in str(ours) and refused(vm.pause)

child(a_child_of_a_child_is_told_the_same)

def all_that_it_has_goes():
    names = [name for name in globals() if not name.startswith("__") and name not in KEPT]
    for name in names:
        del globals()[name]
    gc.collect()

KEPT = ("gc", "os", "sys", "traceback", "all_that_it_has_goes", "KEPT")
cycle = [vm, other, handles, ours, theirs, events, applevz.Console(), aio.Console(),
         vm.socket_devices[0].listen(98), configuration()]
cycle.append(cycle)

child(all_that_it_has_goes)

thread = threading.Thread(target=run_child, args=("a_child_of_another_thread", lambda: refused(vm.pause) or 1 / 0))
thread.start()
thread.join()

# ---- What the standard library forks ----

context = multiprocessing.get_context("fork")

def use(queue):
    try:
        vm.pause()
    except applevz.Error as error:
        queue.put(error)

queue = context.SimpleQueue()
process = context.Process(target=use, args=(queue,))
process.start()
told = queue.get()
process.join()
words = f"{type(told).__name__} {told == told} {str(told) == FORKED}"
outcomes["a process of multiprocessing"] = [process.exitcode, words]

def pause():
    vm.pause()

with ProcessPoolExecutor(1, mp_context=context) as pool:
    told = pool.submit(pause).exception()
outcomes["a worker of a pool"] = [0, f"{type(told).__name__} {str(told) == FORKED}"]

# ---- The parent's machines are as they were ----

vm.pause(timeout=PATIENCE)
vm.stop(timeout=PATIENCE)
asyncio.run(other.stop(timeout=PATIENCE))
outcomes["the parent"] = [0, f"{vm.state.name} {other.state.name} {'1000' in str(ours)}"]

# The last one ends as a program does, with everything it has: with the interpreter's end, and the library's.
child_of_the_end = os.fork()
if child_of_the_end:
    outcomes["the interpreter's end"] = [os.waitstatus_to_exitcode(os.waitpid(child_of_the_end, 0)[1]), ""]
    print(json.dumps(outcomes))
else:
    sys.exit(7)
"""

STATUS_OF_ALL = {"the interpreter's end": 7}
WORDS = {
    "a process of multiprocessing": "ForkedError True True",
    "a worker of a pool": "ForkedError True",
    "the parent": "STOPPED STOPPED True",
}
NAMES = [
    "each_function_of_the_header_fails_or_does_nothing",
    "each_verb_of_both_faces_is_refused",
    "the_error_is_whole",
    "each_leaves_its_with_block",
    "an_error_that_was_caught_before_the_fork_tells_what_it_told",
    "a_child_of_a_child_is_told_the_same",
    "all_that_it_has_goes",
    "a_child_of_another_thread",
    "a process of multiprocessing",
    "a worker of a pool",
    "the parent",
    "the interpreter's end",
]


@pytest.fixture(scope="module")
def run(guest_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Runs a program on the played Mac, in a process of its own, and gives what it prints as JSON."""
    folder = tmp_path_factory.mktemp("children")
    (folder / "kernel").symlink_to(guest_files / "vmlinux")

    def run_it(program: str) -> Any:
        qemu = str(SCRIPTED_QEMU)
        policy = {"fork": "strict", "sockets": "unix"}
        done = played_mac.run(program, str(folder), policy=policy, APPLEVZ_QEMU=qemu, APPLEVZ_QEMU_SCRIPT="{}")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    return run_it


@pytest.fixture(scope="module")
def outcomes(run: Callable[[str], Any]) -> Mapping[str, tuple[int, str]]:
    found: Mapping[str, tuple[int, str]] = run(CHILDREN)
    return found


def test_all_children_are_looked_at(outcomes: Mapping[str, tuple[int, str]]) -> None:
    assert sorted(outcomes) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_forked_child(outcomes: Mapping[str, tuple[int, str]], name: str) -> None:
    status, words = outcomes[name]
    assert status == STATUS_OF_ALL.get(name, 0), words
    if name in WORDS:
        assert words == WORDS[name]


EVENT_LOOP = BEGIN + """
# Two tasks wait, one for the machine and one for its console, in a loop whose child the program forks.

async def forked_by(fork):
    vm = aio.VirtualMachine(configuration())
    await vm.start(timeout=PATIENCE)
    for _ in range(2):
        await vm.events.next(timeout=PATIENCE)
    # Without a limit of their own, at whose end they would look whether they were not told.
    tasks = [asyncio.ensure_future(vm.events.next()), asyncio.ensure_future(vm.console.readline())]
    waiting = tasks[:]
    for _ in range(3):
        await asyncio.sleep(0)
    await fork(tasks)
    with vm.console.attachment.file_handle_for_writing.descriptor as writing:
        os.write(writing, b"hello\\n")
    await vm.pause(timeout=PATIENCE)
    event, line = [await asyncio.wait_for(task, PATIENCE) for task in waiting]
    return [event.state.name, line.decode()]

async def by_another_thread(tasks):
    "The child drops what is suspended, as the interpreter's end does."
    def drop():
        for task in tasks:
            task.get_coro().close()
        tasks.clear()
        gc.collect()
    thread = threading.Thread(target=run_child, args=("dropped", drop))
    thread.start()
    # No executor: its module, first imported here, would add what it does around a fork in the middle of this one.
    while thread.is_alive():
        await asyncio.sleep(0.01)

async def by_a_task(tasks):
    "The child leaves the loop by an exception: `asyncio.run` cancels all of its tasks then, and closes it."
    child = os.fork()
    if child == 0:
        sys.exit(7)
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        await asyncio.sleep(0.01)
    outcomes["left"] = [os.waitstatus_to_exitcode(ended[1]), ""]

outcomes["after another thread's"] = asyncio.run(forked_by(by_another_thread))
outcomes["after a task's"] = asyncio.run(forked_by(by_a_task))
print(json.dumps(outcomes))
"""


def test_what_a_child_drops_of_an_event_loop_its_parent_still_waits_for(run: Callable[[str], Any]) -> None:
    outcomes = run(EVENT_LOOP)
    assert outcomes["dropped"][0] == 0, outcomes["dropped"]
    assert outcomes["left"][0] == 7
    assert outcomes["after another thread's"] == outcomes["after a task's"] == ["PAUSING", "hello\n"]


def test_the_played_mac_ends_a_child_that_sends_a_message(run: Callable[[str], Any]) -> None:
    """Or nothing that is tested here would be seen."""
    program = """
vm = applevz.VirtualMachine(configuration())
import ctypes
library = ctypes.CDLL(next(line.split()[-1] for line in open("/proc/self/maps") if "libapplevz" in line))
library.CFHash.argtypes = [ctypes.c_void_p]
address = int(ffi.cast("uintptr_t", vm._handle.borrow()))
run_child("message", lambda: library.CFHash(address))
print(json.dumps(outcomes))
"""
    status, words = run(BEGIN + program)["message"]
    assert status == -6
    assert "played Mac: a message was sent in a forked child: hash of AppleVZMachine" in words
