# SPDX-License-Identifier: Apache-2.0
"""A program on the played Mac whose framework raises an exception where it is told to, for test_raising_framework.py.

    raising_framework.py FOLDER blocking|awaited

It walks through what a machine can be told, by the blocking face or the awaited one, and notes what came of each step.
It does so once for nothing but that; then once more for each message that the bridge sends to the framework, which
raises for it. What came of each walk is printed as JSON, by the message.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import applevz
from applevz import aio
from applevz._core.deadline import Deadline
from applevz._core.operation import run
from applevz._native import lib
from applevz.aio._loop import run as run_awaited

PATIENCE = 60
# For what never comes.
SOON = 0.02

folder = Path(sys.argv[1])
face: Any = {"blocking": applevz, "awaited": aio}[sys.argv[2]]


def library() -> ctypes.CDLL:
    maps = Path("/proc/self/maps").read_text().splitlines()
    found = ctypes.CDLL(next(line.split()[-1] for line in maps if line.endswith("libapplevz.so")))
    found.played_mac_messages.restype = ctypes.c_char_p
    return found


played = library()


def tell_to_raise(message: str = "", call: int = 0) -> None:
    played.played_mac_raise(message.encode(), call)


def messages() -> dict[str, int]:
    """What the bridge sent to the framework since it was told to raise, and how often."""
    lines = played.played_mac_messages().decode().splitlines()
    return {name: int(count) for count, name in (line.split(" ", 1) for line in lines)}


def guest_socket(kind: str, port: int) -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    end.settimeout(PATIENCE)
    end.bind(f"\0applevz-{os.getpid()}-{kind}-7-{port}")
    return end


async def result_of(value: Any) -> Any:
    return await value if isinstance(value, Awaitable) else value


class Walk:
    """The steps of one machine's life, and what came of each."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.texts: list[str] = []

    async def step(self, name: str, action: Callable[[], Any]) -> Any:
        try:
            result = await result_of(action())
        except (applevz.Error, OSError) as error:
            self.outcomes[name] = type(error).__name__
            self.texts.append(str(error))
            return None
        self.outcomes[name] = "done"
        return result


def image(name: str) -> applevz.DiskImageStorageDeviceAttachment:
    path = folder / name
    if not path.exists():
        applevz.create_disk_image(path, "1MiB")
    return applevz.DiskImageStorageDeviceAttachment(path)


def configuration() -> applevz.VirtualMachineConfiguration:
    port = applevz.VirtioConsolePortConfiguration("port", attachment=face.Console().attachment)
    return applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(folder / "kernel"),
        memory_size="128MiB",
        storage_devices=[
            applevz.VirtioBlockDeviceConfiguration(image("disk")),
            applevz.VirtioBlockDeviceConfiguration(
                applevz.NetworkBlockDeviceStorageDeviceAttachment("nbd://localhost:1/disk")
            ),
        ],
        network_devices=[applevz.VirtioNetworkDeviceConfiguration(applevz.NATNetworkDeviceAttachment())],
        socket_devices=[applevz.VirtioSocketDeviceConfiguration()],
        memory_balloon_devices=[applevz.VirtioTraditionalMemoryBalloonDeviceConfiguration()],
        graphics_devices=[applevz.VirtioGraphicsDeviceConfiguration()],
        console_devices=[applevz.VirtioConsoleDeviceConfiguration([port])],
        usb_controllers=[applevz.XHCIControllerConfiguration()],
        guest_agent=True,
    )


@contextmanager
def listening(port: int) -> Iterator[None]:
    with guest_socket("guest", port) as end:
        end.listen()
        yield


async def walk_through_devices(walk: Walk) -> None:
    vm = await walk.step("create", lambda: face.VirtualMachine(configuration()))
    if vm is None:
        return
    listener = await walk.step("listen", lambda: vm.socket_devices[0].listen(99))
    await walk.step("start", lambda: vm.start(timeout=PATIENCE))
    await walk.step("wait for an event", lambda: vm.events.next(timeout=SOON))
    network = applevz.NATNetworkDeviceAttachment()
    await walk.step("network", lambda: setattr(vm.network_devices[0], "attachment", network))
    await walk.step("disconnect", lambda: setattr(vm.network_devices[0], "connected", False))
    await walk.step("is connected", lambda: vm.network_devices[0].connected)
    await walk.step("connect again", lambda: setattr(vm.network_devices[0], "connected", True))
    size = "target_virtual_machine_memory_size"
    await walk.step("balloon", lambda: setattr(vm.memory_balloon_devices[0], size, "64MiB"))
    await walk.step("displays", lambda: [display.size_in_pixels for display in vm.displays])
    controllers = await walk.step("controllers", lambda: vm.usb_controllers) or []
    for controller in controllers:
        stick = applevz.USBMassStorageDeviceConfiguration(image("stick"))
        device = await walk.step("attach", lambda: controller.attach(stick, timeout=PATIENCE))  # noqa: B023
        await walk.step("devices", lambda: [one.uuid for one in controller.usb_devices])  # noqa: B023
        if device is not None:
            await walk.step("detach", lambda: device.detach(timeout=PATIENCE))  # noqa: B023
        served = applevz.USBMassStorageDeviceConfiguration(
            applevz.NetworkBlockDeviceStorageDeviceAttachment("nbd://localhost:1/stick")
        )
        await walk.step("attach what a server gives out", lambda: controller.attach(served, timeout=PATIENCE))  # noqa: B023
    with listening(80):
        await walk.step("connect", lambda: vm.socket_devices[0].connect(80, timeout=PATIENCE))
    await walk.step("connect to nobody", lambda: vm.socket_devices[0].connect(81, timeout=SOON))
    if listener is not None:
        with guest_socket("caller", 1000) as caller:
            await walk.step("the guest connects", lambda: caller.connect(f"\0applevz-{os.getpid()}-host-0-99"))
            await walk.step("accept", lambda: listener.accept(timeout=1))
        await walk.step("close", listener.close)
    await walk.step("connect by the network", lambda: vm.connect(22, timeout=SOON))
    for verb in ("pause", "resume"):
        await walk.step(verb, lambda: getattr(vm, verb)(timeout=PATIENCE))  # noqa: B023
        await walk.step(f"can {verb}", lambda: getattr(vm, f"can_{verb}"))  # noqa: B023
    await walk.step("request_stop", lambda: vm.request_stop(timeout=PATIENCE))
    await walk.step("end", lambda: vm.shutdown(applevz.ShutdownPolicy.POWEROFF, timeout=PATIENCE))
    await walk.step("why it stopped", lambda: vm.stop_error)


async def walk_through_states(walk: Walk) -> None:
    # What can be saved.
    saved = configuration()
    saved.storage_devices, saved.socket_devices = [], []
    vm = await walk.step("create", lambda: face.VirtualMachine(saved))
    if vm is None:
        return
    path = folder / "state"
    await walk.step("restore", lambda: vm.restore_state(folder / "nothing", timeout=PATIENCE))
    await walk.step("start", lambda: vm.start(timeout=PATIENCE))
    await walk.step("pause", lambda: vm.pause(timeout=PATIENCE))
    await walk.step("save", lambda: vm.save_state(path, timeout=PATIENCE, overwrite=True))
    await walk.step("suspend", lambda: vm.suspend(timeout=PATIENCE, to=folder / "suspended"))
    # As POWEROFF does where the framework stops no machine.
    leave = vm._do(lib.applevz_machine_discard, "be let go of", Deadline(PATIENCE))
    await walk.step("discard", lambda: (run_awaited if face is aio else run)(leave))
    await walk.step("start again", lambda: vm.start(timeout=PATIENCE))
    await walk.step("stop", lambda: vm.stop(timeout=PATIENCE))
    await walk.step("end", lambda: vm.shutdown(applevz.ShutdownPolicy.POWEROFF, timeout=PATIENCE))


async def walk_to_nobody(walk: Walk) -> None:
    """Where nothing listens in the guest, it is asked again and again, until the second time raises."""
    with_socket = configuration()
    with_socket.storage_devices = []
    vm = await walk.step("create", lambda: face.VirtualMachine(with_socket))
    await walk.step("start", lambda: vm.start(timeout=PATIENCE))
    await walk.step("connect", lambda: vm.socket_devices[0].connect(81, timeout=PATIENCE))
    await walk.step("end", lambda: vm.shutdown(applevz.ShutdownPolicy.POWEROFF, timeout=PATIENCE))


AGAIN = "-[VZVirtioSocketDevice connectToPort:completionHandler:]"
WALKS = {"devices": walk_through_devices, "states": walk_through_states, "nobody": walk_to_nobody}


def walk_through(name: str, message: str = "", call: int = 0) -> Walk:
    walk = Walk()
    tell_to_raise(message, call)
    (folder / "state").unlink(missing_ok=True)
    (folder / "suspended").unlink(missing_ok=True)
    asyncio.run(WALKS[name](walk))
    gc.collect()
    return walk


def main() -> None:
    told: dict[str, Any] = {}
    for name in ("devices", "states"):
        plain = walk_through(name)
        gc.collect()
        handles = lib.applevz_debug_live_handles()
        walks = {}
        for message, count in messages().items():
            # One face has the first of them raise, the other the last, which is sent from another place.
            call = 1 if face is applevz else count
            raised = walk_through(name, message, call)
            walks[message] = {"outcomes": raised.outcomes, "texts": raised.texts}
        again = walk_through(name)
        gc.collect()
        left = lib.applevz_debug_live_handles() - handles
        told[name] = {"plain": plain.outcomes, "again": again.outcomes, "walks": walks, "handles left": left}
    nobody = walk_through("nobody", AGAIN, 2)
    told["nobody"] = {"outcomes": nobody.outcomes, "texts": nobody.texts}
    print(json.dumps(told))


main()
