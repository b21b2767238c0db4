# SPDX-License-Identifier: Apache-2.0
"""A program that stands in QEMU's place: it speaks QMP, and plays a guest, as the script says that a test has written.

    played-qemu FOLDER ARGUMENTS-OF-QEMU…

The folder is the test's (`_hypervisor.py`). `control` in it is a socket, over which the test has things happen while
this runs. `script.json` is read once that is connected, so no change of it is missed: one that comes later is told
over the socket. Each message is a line of JSON, and so is its answer.
"""

from __future__ import annotations

import array
import functools
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

_PACKAGE = Path(__file__).resolve().parent.parent.parent
# Behind the standard library, of whose names none is taken: the frames of the agent's protocol stand there alone.
sys.path[len(sys.path) :] = [str(_PACKAGE / "testing" / "_played"), str(_PACKAGE / "_core" / "guest")]

if TYPE_CHECKING:
    from applevz.testing._played.channels import Channel, open_path
    from applevz.testing._played.features import migration_capabilities, types
    from applevz.testing._played.guest import Guest
    from applevz.testing._played.pictures import picture
else:
    from channels import Channel, open_path
    from features import migration_capabilities, types
    from guest import Guest
    from pictures import picture

_VERSION = (10, 0, 0)
_CONTROL = 3
_MOST = 1 << 16
_LAST_WORDS_SECONDS = 2.0
_LENGTH = struct.Struct("<Q")

# The machine's verb that a command is of. The first `cont` is that of the start.
_VERBS = {"stop": "pause", "cont": "resume", "migrate": "save_state", "migrate-incoming": "restore_state"}


class RefusalError(Exception):
    """QEMU refuses a command in these words."""


class PlayedQEMU:
    def __init__(self, folder: Path, arguments: list[str], script: dict[str, Any], control: socket.socket) -> None:
        self._folder = folder
        self._arguments = arguments
        self._control = control
        self._control_received = bytearray()
        self._qmp = socket.socket(fileno=_CONTROL)
        self._qmp_received = bytearray()
        self._descriptors: list[int] = []
        self._sets: dict[int, int] = {}
        self._named: dict[str, int] = {}
        self._channels: dict[str, Channel] = {}
        self._status = "prelaunch"
        self._has_run = self._restored = False
        self._held: list[tuple[str, Callable[[], None]]] = []
        self._late: list[tuple[float, Callable[[], object]]] = []
        self._script = script
        self._guest = Guest(script["guest"], self._channels, self._tell)

    # ---- The loop ----

    def run(self) -> None:
        major, minor, micro = _VERSION
        version = {"qemu": {"major": major, "minor": minor, "micro": micro}, "package": "played"}
        self._say({"QMP": {"version": version, "capabilities": []}})
        while True:
            self._wait()
            now = time.monotonic()
            due = [action for moment, action in self._late if moment <= now]
            self._late = [one for one in self._late if one[0] > now]
            for action in due:
                action()

    def _wait(self) -> None:
        poll = select.poll()
        readers: dict[int, Callable[[], None]] = {self._qmp.fileno(): self._receive_commands}
        if self._control.fileno() >= 0:
            readers[self._control.fileno()] = self._receive_control
        for name, channel in self._channels.items() if self._runs else ():
            if channel.reading is not None:
                readers[channel.reading] = functools.partial(self._guest.receive, name, channel)
        for descriptor in readers:
            poll.register(descriptor, select.POLLIN)
        full = {
            channel.writing: channel
            for channel in self._channels.values()
            if channel.writing is not None and channel.is_full
        }
        for descriptor in full:
            poll.register(descriptor, select.POLLOUT | (select.POLLIN if descriptor in readers else 0))
        timeout = min((moment - time.monotonic() for moment, _ in self._late), default=None)
        ready = poll.poll(None if timeout is None else max(timeout, 0.0) * 1000)
        for descriptor, events in ready:
            if descriptor in full and events & (select.POLLOUT | select.POLLERR):
                full[descriptor].flush()
            if descriptor in readers and events & ~select.POLLOUT:
                readers[descriptor]()

    @property
    def _runs(self) -> bool:
        return self._status == "running" and not self._guest.is_dead

    def _end(self, status: int, words: str = "") -> None:
        """Ends once what the guest printed last is written."""
        end = time.monotonic() + _LAST_WORDS_SECONDS
        while any(channel.is_full for channel in self._channels.values()) and time.monotonic() < end:
            for channel in self._channels.values():
                channel.flush()
            time.sleep(0.01)
        print(words, file=sys.stderr, end="", flush=True)
        os._exit(status)

    # ---- QMP ----

    def _say(self, message: object) -> None:
        try:
            self._qmp.sendall(json.dumps(message).encode() + b"\r\n")
        except OSError:
            os._exit(0)

    def _tell(self, event: str, data: dict[str, Any] | None = None) -> None:
        now = time.time()
        stamp = {"seconds": int(now), "microseconds": int(now % 1 * 1e6)}
        self._say({"timestamp": stamp, "event": event, "data": data or {}})

    def _receive_commands(self) -> None:
        rights = array.array("i")
        room = socket.CMSG_SPACE(16 * rights.itemsize)
        data, ancillary, _, _ = self._qmp.recvmsg(_MOST, room, socket.MSG_CMSG_CLOEXEC)
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                rights.frombytes(content[: len(content) - len(content) % rights.itemsize])
        self._descriptors += rights
        if not data:
            os._exit(0)
        self._qmp_received += data
        while (end := self._qmp_received.find(b"\n")) >= 0:
            line = bytes(self._qmp_received[:end])
            del self._qmp_received[: end + 1]
            if line.strip():
                self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        command = message["execute"]
        verb = _VERBS.get(command)
        if verb == "resume" and not self._has_run and not self._restored:
            verb = "start"
        number = message["id"]

        def carry_out() -> None:
            fault = self._fault(verb, "fail")
            try:
                if fault is not None:
                    raise RefusalError(fault["reason"])
                result = self._carry_out(command, message.get("arguments", {}))
            except RefusalError as refusal:
                self._say({"error": {"class": "GenericError", "desc": str(refusal)}, "id": number})
                return
            self._say({"return": result, "id": number})
            self._follow(command)

        # Only one of the two at a time: `hold` and `delay` take each other's place.
        if verb is not None and self._fault(verb, "hold") is not None:
            self._held.append((verb, carry_out))
        elif (fault := self._fault(verb, "delay")) is not None:
            self._late.append((time.monotonic() + fault["seconds"], carry_out))
        else:
            carry_out()

    def _fault(self, verb: str | None, kind: str) -> dict[str, Any] | None:
        """What is to go wrong with a verb in that way now. One that goes wrong so many times is counted among all
        machines, by files of which each is made once."""
        fault: dict[str, Any] | None = self._script["faults"].get(verb)
        if fault is None or fault["kind"] != kind:
            return None
        return fault if takes_place(self._folder, fault) else None

    def _carry_out(self, command: str, arguments: dict[str, Any]) -> object:
        function = getattr(self, "_do_" + command.replace("-", "_"), None)
        if function is None:
            return {}
        return function(**{key.replace("-", "_"): value for key, value in arguments.items()})

    def _do_qom_list_types(self, **_: Any) -> object:
        return [{"name": name} for name in types(self._script["lacks"])]

    def _do_query_migrate_capabilities(self) -> object:
        return [{"capability": name, "state": False} for name in migration_capabilities(self._script["lacks"])]

    def _do_query_status(self) -> object:
        return {"status": self._status, "running": self._status == "running"}

    def _do_query_migrate(self) -> object:
        return {"status": "completed"}

    def _do_human_monitor_command(self, **_: Any) -> object:
        raise RefusalError("a played guest has no network")

    def _do_cont(self) -> object:
        self._status = "running"
        return {}

    def _do_stop(self) -> object:
        self._status = "paused"
        return {}

    # ---- Descriptors and ports ----

    def _given(self) -> int:
        if not self._descriptors:
            raise RefusalError("no file descriptor came with the command")
        return self._descriptors.pop(0)

    def _do_getfd(self, fdname: str) -> object:
        self._named[fdname] = self._given()
        return {}

    def _do_add_fd(self, fdset_id: int, **_: Any) -> object:
        self._sets[fdset_id] = self._given()
        return {"fdset-id": fdset_id, "fd": self._sets[fdset_id]}

    def _do_chardev_add(self, id: str, backend: dict[str, Any]) -> object:  # noqa: A002  # as QMP calls it
        self._channels[id] = Channel(backend, self._sets)
        return {}

    def _do_chardev_change(self, id: str, backend: dict[str, Any]) -> object:  # noqa: A002
        return self._do_chardev_add(id, backend)

    def _do_device_add(self, driver: str, chardev: str = "", name: str = "", **_: Any) -> object:
        self._guest.find_port(driver, chardev, name)
        return {}

    def _do_device_del(self, id: str) -> object:  # noqa: A002
        self._then(lambda: self._tell("DEVICE_DELETED", {"device": id, "path": f"/machine/{id}"}))
        return {}

    def _do_screendump(self, filename: str, **_: Any) -> object:
        descriptor = open_path(filename, self._sets, os.O_WRONLY)
        if descriptor is not None:
            with open(descriptor, "wb") as file:
                file.truncate(0)
                file.write(picture(self._script["guest"]["screen"]))
        return {}

    # ---- Saving and restoring ----

    def _do_migrate(self, uri: str, **more: Any) -> object:
        path = uri.partition(":")[2]
        descriptor = os.dup(self._named[path]) if uri.startswith("fd:") else open_path(path, self._sets, os.O_WRONLY)
        data = json.dumps({"files": self._guest.files}).encode()
        if descriptor is not None:
            with open(descriptor, "wb") as file:
                file.write(_LENGTH.pack(len(data)) + data)
        return {}

    def _do_migrate_incoming(self, uri: str, **more: Any) -> object:
        path, _, offset = uri.removeprefix("file:").partition(",offset=")
        descriptor = open_path(path, self._sets, os.O_RDONLY)
        if descriptor is not None:
            with open(descriptor, "rb") as file:
                place = int(offset or 0)
                (length,) = _LENGTH.unpack(os.pread(file.fileno(), _LENGTH.size, place))
                state = json.loads(os.pread(file.fileno(), length, place + _LENGTH.size))
            self._guest.files = state["files"]
        self._restored = True
        self._status = "paused"
        return {}

    # ---- What comes of commands ----

    def _follow(self, command: str) -> None:
        """What comes of a command after its answer."""
        if command in ("migrate", "migrate-incoming"):
            for status in ("setup", "active", "completed"):
                self._tell("MIGRATION", {"status": status})
        elif command == "cont":
            self._tell("RESUME")
            if not self._has_run:
                self._has_run = True
                self._guest.begin(self._restored)
        elif command == "stop":
            self._tell("STOP")
        elif command == "system_powerdown":
            self._tell("POWERDOWN")
            if self._runs and not self._script["guest"]["ignores_power_button"]:
                self._turn_off()

    def _turn_off(self, reason: str = "guest-shutdown") -> None:
        self._tell("SHUTDOWN", {"guest": True, "reason": reason})
        self._end(0)

    # ---- What the test has happen ----

    def _receive_control(self) -> None:
        try:
            data = self._control.recv(_MOST)
        except OSError:
            data = b""
        if not data:
            # The test let go of it; the machine runs on.
            self._control.close()
            return
        self._control_received += data
        while (end := self._control_received.find(b"\n")) >= 0:
            message = json.loads(self._control_received[:end])
            del self._control_received[: end + 1]
            number = message.pop("number")
            function = getattr(self, f"_happen_{message.pop('do')}")
            value = function(**message)
            self._control.sendall(json.dumps({"number": number, "value": value}).encode() + b"\n")

    def _happen_script(self, script: dict[str, Any]) -> None:
        self._script["faults"] = script["faults"]

    def _happen_print(self, text: str, console: int) -> int:
        return self._guest.print(text.encode("latin-1"), console)

    def _happen_typed(self, console: int) -> str:
        return self._guest.typed(console).decode("latin-1")

    def _happen_panic(self, words: str) -> None:
        self._guest.panic(words)

    def _then(self, action: Callable[[], object]) -> None:
        """Does it once the test has its answer: nothing answers after an end."""
        self._late.append((0.0, action))

    def _happen_turn_off(self) -> None:
        self._then(self._turn_off)

    def _happen_reset(self) -> None:
        if "panic=none,reboot=shutdown" in self._arguments:
            self._then(lambda: self._turn_off("guest-reset"))
            return
        self._tell("RESET", {"guest": True, "reason": "guest-reset"})
        self._guest.reset()

    def _happen_fail(self, words: str, status: int) -> None:
        self._then(lambda: self._end(status, words))

    def _happen_kill(self) -> None:
        self._then(lambda: os.kill(os.getpid(), signal.SIGKILL))

    def _happen_halt(self, reason: str) -> None:
        self._status = reason
        self._tell("STOP")

    def _happen_release(self, verb: str) -> int:
        released = [carry_out for held, carry_out in self._held if held == verb]
        self._held = [one for one in self._held if one[0] != verb]
        for carry_out in released:
            carry_out()
        return len(released)

    def _happen_look(self) -> dict[str, Any]:
        return {"held": [verb for verb, _ in self._held], "ran": self._guest.ran, "files": self._guest.files}


def takes_place(folder: Path, fault: dict[str, Any]) -> bool:
    times = fault["times"]
    if times is None:
        return True
    for number in range(times):
        try:
            os.close(os.open(folder / f"fault-{fault['number']}-{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            continue
        return True
    return False


def main() -> None:
    folder, arguments = Path(sys.argv[1]), sys.argv[2:]
    if arguments == ["--version"]:
        print(f"QEMU emulator version {'.'.join(map(str, _VERSION))} (played)")
        return
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    asked_only = arguments[arguments.index("-machine") + 1] == "none" if "-machine" in arguments else True
    verb = "restore_state" if "-incoming" in arguments else "start"
    if not asked_only:
        try:
            # By the folder, since the path of a socket may not be long.
            number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            control.connect(f"/proc/self/fd/{number}/control")
            os.close(number)
            control.sendall(json.dumps({"pid": os.getpid()}).encode() + b"\n")
        except OSError:
            # The test is over, and its machines with it: nobody says what this is to do.
            print("The FakeHypervisor that this machine was made for is closed.", file=sys.stderr)
            sys.exit(1)
    script = json.loads((folder / "script.json").read_text(encoding="utf-8"))
    fault = script["faults"].get(verb)
    fails = not asked_only and verb == "start" and fault is not None and fault["kind"] == "fail"
    if fails and takes_place(folder, fault):
        print(fault["reason"], file=sys.stderr)
        sys.exit(1)
    PlayedQEMU(folder, arguments, script, control).run()


if __name__ == "__main__":
    main()
