# SPDX-License-Identifier: Apache-2.0
"""Machines that live on a played Mac, in a process of their own: `python played_life.py FACE WALK FOLDER`.

A walk is written once, and goes through either face: `applevz` or `applevz.aio`. It says after each verb in which state
the machine is and what its events tell, all of which has to be there when the verb returns. At the end nothing is left.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import applevz
from applevz import EventKind, ShutdownPolicy, VirtualMachineState, aio, states
from applevz._native import ffi, lib
from places import SCRIPTED_QEMU
from processes import children, eventually

PATIENCE = 60.0
A_MOMENT = 0.2
NOT_NOW = '{"error": {"class": "GenericError", "desc": "not now"}, "id": %d}\r\n'
# A QEMU that says nothing, whatever it is asked.
SILENT = {"greeting": "", "answers": {"qmp_capabilities": ""}}
SHUTDOWN = json.dumps(
    {"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}, "timestamp": {"seconds": 0}}
)

Machine = Any  # of either face
Walk = Callable[["Life"], Awaitable[None]]


async def call(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What either face's function gives."""
    result = function(*arguments, **options)
    return await result if inspect.isawaitable(result) else result


async def refused(kind: type[applevz.Error], function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """The text of the error with which the call failed, which has to be of that kind."""
    try:
        await call(function, *arguments, **options)
    except kind as error:
        return str(error)
    raise AssertionError(f"{function.__name__} did not raise {kind.__name__}")


def told(event: applevz.Event) -> str:
    """The event in words, with what its error says."""
    words = f"{event.state_before.name} {event.state.name}"
    if event.kind is not EventKind.STATE_CHANGED:
        words = f"{event.kind.name} in {event.state.name}"
        assert event.state_before is event.state
    return f"{words} by {event.cause.name}" + (" with an error" if event.error is not None else "")


class Life:
    """A machine, and what is known of it."""

    def __init__(self, face: Any, folder: Path, **fields: Any) -> None:
        self.face, self.folder = face, folder
        kernel = os.environ["PLAYED_KERNEL"]
        self.configuration = applevz.VirtualMachineConfiguration(
            applevz.LinuxBootLoader(kernel, Path(kernel).with_name("initrd.cpio.gz"), "console=hvc0 quiet"),
            memory_size="256MiB",
            **fields,
        )
        self.vm: Machine = face.VirtualMachine(self.configuration)
        self.errors: list[str] = []

    @staticmethod
    def script(**script: Any) -> None:
        os.environ["APPLEVZ_QEMU"] = str(SCRIPTED_QEMU)
        os.environ["APPLEVZ_QEMU_SCRIPT"] = json.dumps(script)

    async def events(self) -> list[str]:
        """Those that are there, without waiting."""
        events = []
        self.errors = []
        with suppress(applevz.TimeoutError):
            while True:
                event = await call(self.vm.events.next, timeout=0)
                events.append(told(event))
                if event.error is not None:
                    self.errors.append(str(event.error))
        return events

    async def next_events(self, count: int) -> list[str]:
        """So many, which may be still to come, and no more."""
        events = [await call(self.vm.events.next, timeout=PATIENCE) for _ in range(count)]
        more = await self.events()
        self.errors = [str(event.error) for event in events if event.error is not None] + self.errors
        return [told(event) for event in events] + more

    async def expect(self, state: str, *events: str) -> None:
        assert self.vm.state.name == state, self.vm.state
        assert (found := await self.events()) == list(events), found

    async def do(self, verb: str, state: str, *events: str, **options: Any) -> None:
        await call(getattr(self.vm, verb), timeout=PATIENCE, **options)
        await self.expect(state, *events)

    async def start(self) -> None:
        await self.do("start", "RUNNING", "STOPPED STARTING by START", "STARTING RUNNING by START")

    async def power_off(self) -> None:
        await call(self.vm.shutdown, ShutdownPolicy.POWEROFF, timeout=PATIENCE)
        assert self.vm.state is VirtualMachineState.STOPPED
        await self.events()


# ---- Walks on a QEMU that follows a script -----------------------------------------------------------------------


async def verbs(life: Life) -> None:
    """Each verb, from each state that accepts it, once with the next on its heels."""
    life.script()
    pausing = ["RUNNING PAUSING by PAUSE", "PAUSING PAUSED by PAUSE"]
    resuming = ["PAUSED RESUMING by RESUME", "RESUMING RUNNING by RESUME"]
    stopping = ["STOPPING STOPPED by STOP"]
    await life.start()
    await life.do("pause", "PAUSED", *pausing)
    await life.do("resume", "RUNNING", *resuming)
    await life.do("stop", "STOPPED", "RUNNING STOPPING by STOP", *stopping)
    await life.start()
    await life.do("suspend", "PAUSED", *pausing)
    await life.do("suspend", "PAUSED")
    await life.do("start", "RUNNING", *resuming)
    await life.do("start", "RUNNING")
    await life.do("suspend", "PAUSED", *pausing)
    await life.do("shutdown", "STOPPED", "PAUSED STOPPING by STOP", *stopping, policy=ShutdownPolicy.HALT)
    await life.do("shutdown", "STOPPED", policy=ShutdownPolicy.POWEROFF)
    await life.start()
    await life.do("shutdown", "STOPPED", "RUNNING STOPPING by STOP", *stopping, policy=ShutdownPolicy.POWEROFF)
    # One after the other, with nothing between them in which a late notice could come.
    for verb in ("start", "pause", "resume", "pause", "stop", "start", "stop"):
        await call(getattr(life.vm, verb), timeout=PATIENCE)
    found = await life.events()
    assert len(found) == 14, found
    assert [words.split()[0] for words in found[1:]] == [words.split()[1] for words in found[:-1]], found
    # What is refused changes nothing.
    for verb in ("pause", "resume", "stop"):
        await refused(applevz.InvalidVirtualMachineStateTransitionError, getattr(life.vm, verb), timeout=PATIENCE)
    await refused(applevz.InvalidVirtualMachineStateError, life.vm.request_stop, timeout=PATIENCE)
    await life.expect("STOPPED")


async def waiting(life: Life) -> None:
    """Those who wait for a state have it, and its event, when they return."""
    life.script()

    async def start_and_pause() -> None:
        await call(life.vm.start, timeout=PATIENCE)
        await call(life.vm.pause, timeout=PATIENCE)

    if life.face is aio:
        other = asyncio.create_task(start_and_pause())
        reached = await life.vm.wait((VirtualMachineState.PAUSED, VirtualMachineState.ERROR), timeout=PATIENCE)
        await other
    else:
        other = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(start_and_pause())))
        reached = await asyncio.to_thread(life.vm.wait, VirtualMachineState.PAUSED, timeout=PATIENCE)
        await other
    assert reached is VirtualMachineState.PAUSED
    found = await life.events()
    assert found[-1] == "PAUSING PAUSED by PAUSE", found
    assert len(found) == 4, found
    await life.power_off()


async def guest_stops(life: Life) -> None:
    """A guest that obeys its power button, and one that turns itself off in the middle of a verb."""
    life.script(after={"system_powerdown": "events"}, events=[SHUTDOWN])
    await life.start()
    await call(life.vm.shutdown, timeout=PATIENCE)
    assert life.vm.state is VirtualMachineState.STOPPED
    assert (found := await life.next_events(2)) == ["RUNNING STOPPED by GUEST", "GUEST_STOPPED in STOPPED by GUEST"], (
        found
    )
    life.script(answers={"stop": ""}, after={"stop": "events"}, events=[SHUTDOWN])
    await life.start()
    await refused(applevz.OperationCancelledError, life.vm.pause, timeout=PATIENCE)
    assert life.vm.state is VirtualMachineState.STOPPED
    found = await life.next_events(3)
    names = ["RUNNING PAUSING by PAUSE", "PAUSING STOPPED by GUEST", "GUEST_STOPPED in STOPPED by GUEST"]
    assert found == names, found


async def failures(life: Life) -> None:
    """A verb that fails leads back, and its change has its error when it returns."""
    life.script(die=[3, "the last words"])
    assert "the last words" in await refused(applevz.InternalError, life.vm.start, timeout=PATIENCE)
    await life.expect("STOPPED", "STOPPED STARTING by START", "STARTING STOPPED by START with an error")
    assert "the last words" in life.errors[0]
    life.script(answers={"stop": NOT_NOW})
    await life.start()
    assert "not now" in await refused(applevz.InternalError, life.vm.pause, timeout=PATIENCE)
    await life.expect("RUNNING", "RUNNING PAUSING by PAUSE", "PAUSING RUNNING by PAUSE with an error")
    assert "not now" in life.errors[0]
    await life.power_off()
    # The first lets the guest begin.
    life.script(answers={"cont": ['{"return": {}, "id": %d}\r\n', NOT_NOW]})
    await life.start()
    await life.do("pause", "PAUSED", "RUNNING PAUSING by PAUSE", "PAUSING PAUSED by PAUSE")
    assert "not now" in await refused(applevz.InternalError, life.vm.resume, timeout=PATIENCE)
    await life.expect("PAUSED", "PAUSED RESUMING by RESUME", "RESUMING PAUSED by RESUME with an error")
    assert "not now" in life.errors[0]
    await life.power_off()


async def kill(life: Life, state: str) -> None:
    """The machine ends by an error, which is told with its state, by its event and by whoever waits."""
    before = children()
    await call(life.vm.start, timeout=PATIENCE)
    await life.events()
    if state == "PAUSED":
        await call(life.vm.pause, timeout=PATIENCE)
        await life.events()
    (process,) = children() - before
    os.kill(process, signal.SIGKILL)
    assert "signal 9" in await refused(
        applevz.InternalError, life.vm.wait, VirtualMachineState.STOPPED, timeout=PATIENCE
    )
    assert life.vm.state is VirtualMachineState.ERROR
    assert life.vm.stop_error is not None
    assert "signal 9" in str(life.vm.stop_error)
    found = await life.next_events(2)
    assert found == [f"{state} ERROR by HOST with an error", "STOPPED_WITH_ERROR in ERROR by HOST with an error"], found
    assert ["signal 9" in words for words in life.errors] == [True, True], life.errors


async def ends(life: Life) -> None:
    life.script()
    await kill(life, "RUNNING")
    await life.do("start", "RUNNING", "ERROR STARTING by START", "STARTING RUNNING by START")
    assert life.vm.stop_error is None
    await life.power_off()
    await kill(life, "PAUSED")
    # The error is asked for by somebody who saw nothing but the state.
    await life.power_off()
    before = children()
    await life.start()
    (process,) = children() - before
    os.kill(process, signal.SIGKILL)
    assert eventually(lambda: life.vm.state is VirtualMachineState.ERROR)
    assert "signal 9" in str(life.vm.stop_error)
    await life.power_off()


def kill_guest(life: Life, number: int) -> None:
    """Ends what runs the guest of the only machine."""
    (process,) = children()
    os.kill(process, number)


async def restarts(life: Life) -> None:
    """The delegate hears of a machine's end when the machine has been started again: that is told as what it is about,
    and the new run has no part in it."""
    told = Path(json.loads(os.environ["APPLEVZ_PLAYED_MAC"])["delegate until"])
    ending, starting = "RUNNING ERROR by HOST", ["ERROR STARTING by START", "STARTING RUNNING by START"]
    late = "STOPPED_WITH_ERROR in ERROR by HOST with an error"
    life.script()
    await life.start()
    kill_guest(life, signal.SIGKILL)
    assert eventually(lambda: life.vm.state is VirtualMachineState.ERROR)
    await life.do("start", "RUNNING", ending, *starting)
    told.touch()
    assert (found := await life.next_events(1)) == [late], found
    assert "signal 9" in life.errors[0]
    assert life.vm.state is VirtualMachineState.RUNNING
    assert life.vm.stop_error is None
    # Its own is its own.
    kill_guest(life, signal.SIGTERM)
    assert eventually(lambda: life.vm.state is VirtualMachineState.ERROR)
    assert "signal 15" in str(life.vm.stop_error)
    found = await life.next_events(2)
    assert found == [f"{ending} with an error", late], found
    # The same of a guest that turned itself off, between whose end and whose delegate a run fails.
    told.unlink()
    life.script(after={"cont": "events"}, events=[SHUTDOWN])
    await call(life.vm.start, timeout=PATIENCE)
    assert eventually(lambda: life.vm.state is VirtualMachineState.STOPPED)
    await life.events()
    life.script()
    await life.start()
    kill_guest(life, signal.SIGKILL)
    assert eventually(lambda: life.vm.state is VirtualMachineState.ERROR)
    told.touch()
    assert "signal 9" in str(life.vm.stop_error)
    found = await life.next_events(3)
    assert found == ["GUEST_STOPPED in STOPPED by GUEST", f"{ending} with an error", late], found
    # A machine that was let go tells nothing more, and the next one's error is not taken for its.
    told.unlink()
    await life.do("start", "RUNNING", *starting)
    kill_guest(life, signal.SIGKILL)
    assert eventually(lambda: life.vm.state is VirtualMachineState.ERROR)
    await life.power_off()
    await life.start()
    kill_guest(life, signal.SIGTERM)
    assert eventually(lambda: life.vm.state is VirtualMachineState.ERROR)
    # Whoever asks before the delegate has been told waits for that.
    threading.Timer(A_MOMENT, told.touch).start()
    assert "signal 15" in str(life.vm.stop_error)
    assert (found := await life.next_events(2)) == [f"{ending} with an error", late], found
    await life.power_off()


async def discards(life: Life) -> None:
    """A machine that leads to no other state is let go, and is as good as new."""
    life.script(**SILENT)
    await refused(applevz.TimeoutError, life.vm.start, timeout=A_MOMENT)
    assert life.vm.state is VirtualMachineState.STARTING
    await life.do(
        "shutdown",
        "STOPPED",
        "STOPPED STARTING by START",
        "STARTING STOPPED by DISCARD",
        policy=ShutdownPolicy.POWEROFF,
    )
    life.script(answers={"stop": ""})
    await life.start()
    await refused(applevz.TimeoutError, life.vm.pause, timeout=A_MOMENT)
    await life.do(
        "shutdown", "STOPPED", "RUNNING PAUSING by PAUSE", "PAUSING STOPPED by DISCARD", policy=ShutdownPolicy.POWEROFF
    )
    life.script()
    await life.start()
    await life.power_off()


async def scripted(life: Life) -> None:
    for walk in (verbs, waiting, guest_stops, failures, ends, discards):
        await walk(life)


async def never(life: Life) -> None:
    """No completion handler is ever called. What waits for one ends with its time, what waits for a state has that."""
    life.script()
    await refused(applevz.TimeoutError, life.vm.start, timeout=A_MOMENT)
    assert await call(life.vm.wait, VirtualMachineState.RUNNING, timeout=PATIENCE) is VirtualMachineState.RUNNING
    await life.expect("RUNNING", "STOPPED STARTING by START", "STARTING RUNNING by START")
    await refused(applevz.TimeoutError, life.vm.pause, timeout=A_MOMENT)
    assert await call(life.vm.wait, VirtualMachineState.PAUSED, timeout=PATIENCE) is VirtualMachineState.PAUSED
    await life.expect("PAUSED", "RUNNING PAUSING by PAUSE", "PAUSING PAUSED by PAUSE")
    before = children()
    assert len(before) == 1
    await call(life.vm.shutdown, ShutdownPolicy.POWEROFF, timeout=2 * A_MOMENT)
    await life.expect("STOPPED", "PAUSED STOPPING by STOP", "STOPPING STOPPED by STOP")
    assert eventually(lambda: not children())
    # A failure's reason never comes: its event does all the same.
    life.script(die=[3, "the last words"])
    await refused(applevz.TimeoutError, life.vm.start, timeout=A_MOMENT)
    assert await call(life.vm.wait, VirtualMachineState.STOPPED, timeout=PATIENCE) is VirtualMachineState.STOPPED
    assert (found := await life.next_events(2)) == ["STOPPED STARTING by START", "STARTING STOPPED by START"], found
    # What leads nowhere is discarded, with the one who waits.
    life.script(**SILENT)
    starting = asyncio.create_task(
        life.vm.start(timeout=PATIENCE) if life.face is aio else asyncio.to_thread(life.vm.start, timeout=PATIENCE)
    )
    while life.vm.state is not VirtualMachineState.STARTING:
        await asyncio.sleep(0.001)
    await call(life.vm.shutdown, ShutdownPolicy.POWEROFF, timeout=PATIENCE)
    # A checker takes it for what it was.
    assert life.vm.state is VirtualMachineState.STOPPED  # type: ignore[comparison-overlap]
    try:
        await starting
    except applevz.OperationCancelledError:
        pass
    else:
        raise AssertionError("a start was not cancelled by the discard")
    await life.expect("STOPPED", "STOPPED STARTING by START", "STARTING STOPPED by DISCARD")


# ---- Devices -----------------------------------------------------------------------------------------------------

GUEST = 7  # every machine's, in tests/native/unix_transport.h
ADDED = '{"return": {"fd": 30, "fdset-id": 0}, "id": %d}\r\n'
MUCH = bytes(100_000)  # more than a socket holds


def address(kind: str, number: int, port: int) -> str:
    return f"\0applevz-{os.getpid()}-{kind}-{number}-{port}"


def guest_socket(kind: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(address(kind, GUEST, port))
    return made


def talk(ours: socket.socket, theirs: socket.socket) -> None:
    """In both directions, of which each ends by itself."""
    ours.setblocking(True)  # the asynchronous face gives one for its loop
    with ours, theirs:
        for end, other in ((ours, theirs), (theirs, ours)):
            sender = threading.Thread(target=lambda one: (one.sendall(MUCH), one.shutdown(socket.SHUT_WR)), args=(end,))
            sender.start()
            with other.makefile("rb") as file:
                assert file.read() == MUCH
            sender.join()


async def sockets(life: Life) -> None:
    (device,) = life.vm.socket_devices
    await refused(applevz.TimeoutError, device.connect, 80, timeout=A_MOMENT)
    with guest_socket("guest", 80) as listening:
        listening.listen()
        ours = await call(device.connect, 80, timeout=PATIENCE)
        talk(ours, listening.accept()[0])
    with closing(device.listen(99)) as listener:
        for port in (1000, 1001):
            calling = guest_socket("caller", port)
            calling.connect(address("host", 0, 99))
            talk(await call(listener.accept, timeout=PATIENCE), calling)
        await refused(applevz.TimeoutError, listener.accept, timeout=A_MOMENT)


async def usb(life: Life) -> None:
    (controller,) = life.vm.usb_controllers
    (configured,) = controller.usb_devices
    path = life.folder / "second"
    if not path.exists():
        applevz.create_disk_image(path, "1MiB")
    disk = applevz.USBMassStorageDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(path))
    for _ in range(2):
        device = await call(controller.attach, disk, timeout=PATIENCE)
        assert device.attached
        assert controller.usb_devices == (configured, device)
        await call(device.detach, timeout=PATIENCE)
        assert not device.attached
        assert controller.usb_devices == (configured,)
    await refused(applevz.DeviceNotFoundError, device.detach, timeout=PATIENCE)


async def devices(life: Life) -> None:
    """What belongs to a machine, before it starts, while it runs, and after it was discarded."""
    deleted = '{"event": "DEVICE_DELETED", "data": {"device": "%id", "path": "/"}, "timestamp": {}}'
    for discarded in (False, True):
        vm = life.vm
        (network,), (balloon,), (console_device,) = vm.network_devices, vm.memory_balloon_devices, vm.console_devices
        assert network.connected
        assert isinstance(network.attachment, applevz.NATNetworkDeviceAttachment)
        assert balloon.target_virtual_machine_memory_size == 256 << 20
        assert [port.name for port in console_device.ports] == ["org.example.first", None]
        assert (vm.can_start, vm.can_pause, vm.usb_controllers[0].usb_devices) == (True, False, ())
        await refused(applevz.InvalidVirtualMachineStateError, vm.socket_devices[0].connect, 80, timeout=PATIENCE)
        life.script(answers={"add-fd": ADDED}, after={"device_del": "tell"}, events=[deleted])
        await life.start()
        assert (vm.can_start, vm.can_pause) == (False, True)
        network.connected = False
        assert network.attachment is None
        network.attachment = applevz.NATNetworkDeviceAttachment()
        assert network.connected
        # What a Mac has not is refused, and changes nothing.
        assert "reaches whatever the host reaches" in str(applevz.capabilities.isolated_networks.reason)
        assert "up to the NAT" in str(applevz.capabilities.host_isolation.reason)
        network.attachment = applevz.NATNetworkDeviceAttachment(host_access=True)
        without = applevz.NATNetworkDeviceAttachment(internet=False)
        await refused(applevz.NotSupportedError, setattr, network, "attachment", without)
        assert network.connected
        balloon.target_virtual_machine_memory_size = "128MiB"
        assert balloon.target_virtual_machine_memory_size == 128 << 20
        await sockets(life)
        await usb(life)
        # What a Mac has not: the guest's address is in no file of leases, and its display in a window only.
        await refused(applevz.TimeoutError, vm.connect, 7, timeout=A_MOMENT)
        await refused(applevz.NotSupportedError, vm.screenshot, timeout=PATIENCE)
        figures = await call(vm.statistics, timeout=PATIENCE)
        assert figures.uptime > 0
        assert (figures.processor_time, figures.memory_resident, figures.balloon_size) == (None, None, None)
        assert figures.networks == (applevz.NetworkStatistics(),) * len(vm.configuration.network_devices)
        assert "nothing says what is in it" in str(applevz.capabilities.saved_state_inspection.reason)
        await refused(applevz.NotSupportedError, states.inspect, "machine.state")
        assert "the system confines" in str(applevz.capabilities.confinement.reason)
        await refused(applevz.NotSupportedError, getattr, vm, "confinement")
        await refused(applevz.NotSupportedError, vm.keyboard.press, applevz.Key.A, timeout=PATIENCE)
        await life.expect("RUNNING")
        if not discarded:
            life.vm.console.close()
            await call(vm.stop, timeout=PATIENCE)
            life.script(**SILENT)
            await refused(applevz.TimeoutError, vm.start, timeout=A_MOMENT)
        await life.power_off()


# ---- Methods that raise ------------------------------------------------------------------------------------------


async def raising(life: Life) -> None:
    """What raises is the error of the call in the middle of which it is, and the machine obeys afterwards."""
    life.script()
    vm, saved = life.vm, life.folder / "saved"
    path = life.folder / "second"
    applevz.create_disk_image(path, "1MiB")
    disk = applevz.USBMassStorageDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(path))

    def replace_attachment() -> None:
        vm.network_devices[0].attachment = applevz.NATNetworkDeviceAttachment()

    def set_target() -> None:
        vm.memory_balloon_devices[0].target_virtual_machine_memory_size = "128MiB"

    calls: dict[str, tuple[str, Callable[[], Any]]] = {
        "startWithCompletionHandler:": ("STOPPED", lambda: vm.start(timeout=PATIENCE)),
        "restoreMachineStateFromURL:completionHandler:": ("STOPPED", lambda: vm.restore_state(path, timeout=PATIENCE)),
        "pauseWithCompletionHandler:": ("RUNNING", lambda: vm.pause(timeout=PATIENCE)),
        "stopWithCompletionHandler:": ("RUNNING", lambda: vm.stop(timeout=PATIENCE)),
        "requestStopWithError:": ("RUNNING", lambda: vm.request_stop(timeout=PATIENCE)),
        "resumeWithCompletionHandler:": ("PAUSED", lambda: vm.resume(timeout=PATIENCE)),
        "saveMachineStateToURL:completionHandler:": ("PAUSED", lambda: vm.suspend(to=saved, timeout=PATIENCE)),
        "setAttachment:": ("RUNNING", replace_attachment),
        "setTargetVirtualMachineMemorySize:": ("RUNNING", set_target),
        "attachDevice:completionHandler:": (
            "RUNNING",
            lambda: vm.usb_controllers[0].attach(disk, timeout=PATIENCE),
        ),
        "connectToPort:completionHandler:": ("RUNNING", lambda: vm.socket_devices[0].connect(80, timeout=PATIENCE)),
        "setSocketListener:forPort:": ("RUNNING", lambda: vm.socket_devices[0].listen(99)),
    }
    (selector,) = json.loads(os.environ["APPLEVZ_PLAYED_MAC"])["raises"].values()
    state, function = calls[selector]
    if state != "STOPPED":
        await life.start()
    if state == "PAUSED":
        await life.do("pause", "PAUSED", "RUNNING PAUSING by PAUSE", "PAUSING PAUSED by PAUSE")
    for _ in range(2):
        assert "played" in await refused(applevz.ForeignExceptionError, function)
        await life.expect(state)
    await life.power_off()


async def reconnecting(life: Life) -> None:
    """A guest that does not listen yet is tried again, and that attempt raises, on the queue with nobody around it."""
    life.script()
    await life.start()
    assert "asked for before" in await refused(
        applevz.ForeignExceptionError, life.vm.socket_devices[0].connect, 80, timeout=PATIENCE
    )
    await life.power_off()


# ---- Walks on a real QEMU ----------------------------------------------------------------------------------------


async def saves(life: Life) -> None:
    """Saving and restoring, where they succeed and where they fail."""
    first, second, broken = (life.folder / name for name in ("first", "second", "broken"))
    broken.write_bytes(b"no state of anything")
    saving = ["PAUSED SAVING by SAVE", "SAVING PAUSED by SAVE"]
    await life.start()
    await life.do("pause", "PAUSED", "RUNNING PAUSING by PAUSE", "PAUSING PAUSED by PAUSE")
    await life.do("save_state", "PAUSED", *saving, path=first)
    assert first.stat().st_size > 0
    await refused(applevz.SaveError, life.vm.save_state, first, timeout=PATIENCE)
    # The bridge looks first: the framework is not asked.
    await life.expect("PAUSED")
    await life.do("save_state", "PAUSED", *saving, path=first, overwrite=True)
    stopping = ["PAUSED STOPPING by STOP", "STOPPING STOPPED by STOP"]
    await life.do("suspend", "STOPPED", *saving, *stopping, to=second)
    await life.do("restore_state", "PAUSED", "STOPPED RESTORING by RESTORE", "RESTORING PAUSED by RESTORE", path=second)
    await life.do("resume", "RUNNING", "PAUSED RESUMING by RESUME", "RESUMING RUNNING by RESUME")
    await life.power_off()
    await refused(applevz.RestoreError, life.vm.restore_state, broken, timeout=PATIENCE)
    await life.expect("STOPPED", "STOPPED RESTORING by RESTORE", "RESTORING STOPPED by RESTORE with an error")


LINE = b"x" * 999 + b"\n"


async def boots(life: Life) -> None:
    """The default guest, from its console's first line to the end that it makes of itself."""
    await life.start()
    console = life.vm.console
    await call(console.read_until, b"applevz guest: ready\n", timeout=PATIENCE * 2)
    await call(console.read_until, b"guest# ", timeout=PATIENCE)
    # More than a pipe holds, which the guest takes at its own pace; what a console prints does not wait for anybody.
    await call(console.write, b"stty -echo; cat >/data; stty echo; wc -c </data\n" + LINE * 50 + b"\x04", PATIENCE)
    assert str(50 * len(LINE)).encode() in await call(console.read_until, b"guest# ", timeout=PATIENCE)
    await call(life.vm.shutdown, timeout=PATIENCE)
    assert life.vm.state is VirtualMachineState.STOPPED
    assert (found := await life.next_events(2)) == ["RUNNING STOPPED by GUEST", "GUEST_STOPPED in STOPPED by GUEST"], (
        found
    )


WALKS: dict[str, Walk] = {
    walk.__name__: walk for walk in (scripted, never, restarts, devices, raising, reconnecting, saves, boots)
}


def fields_of(walk: Walk, folder: Path) -> dict[str, Any]:
    """What a walk's machine has beyond the least."""
    platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random())
    if walk not in (devices, raising, reconnecting):
        return {"platform": platform}
    applevz.create_disk_image(folder / "first", "1MiB")
    stick = applevz.USBMassStorageDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(folder / "first"))
    ports = [applevz.VirtioConsolePortConfiguration("org.example.first"), applevz.VirtioConsolePortConfiguration()]
    return {
        "network_devices": [applevz.VirtioNetworkDeviceConfiguration(applevz.NATNetworkDeviceAttachment())],
        "memory_balloon_devices": [applevz.VirtioTraditionalMemoryBalloonDeviceConfiguration()],
        "console_devices": [applevz.VirtioConsoleDeviceConfiguration(ports)],
        "usb_controllers": [applevz.XHCIControllerConfiguration([stick])],
        "socket_devices": [applevz.VirtioSocketDeviceConfiguration()],
    }


def left() -> tuple[int, int]:
    """Errors and handles that are there."""
    gc.collect()
    made, destroyed = ffi.new("uint64_t *"), ffi.new("uint64_t *")
    assert lib.applevz_debug_error_counts(made, destroyed), "not a debug build"
    return made[0] - destroyed[0], lib.applevz_debug_live_handles()


async def live(face: Any, walk: Walk, folder: Path) -> None:
    life = Life(face, folder, **fields_of(walk, folder))
    try:
        await walk(life)
    finally:
        await call(life.vm.shutdown, ShutdownPolicy.POWEROFF, timeout=PATIENCE)


def main() -> None:
    face, walk, folder = sys.argv[1:]
    asyncio.run(live(aio if face == "aio" else applevz, WALKS[walk], Path(folder)))
    assert eventually(lambda: left() == (0, 0)), left()
    assert eventually(lambda: not children())


if __name__ == "__main__":
    main()
