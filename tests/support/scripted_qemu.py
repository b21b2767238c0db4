#!/usr/bin/python3 -IS
# SPDX-License-Identifier: Apache-2.0
"""A QEMU that does what a script says, for what a real one cannot be brought to do. APPLEVZ_QEMU names it.

The environment's APPLEVZ_QEMU_SCRIPT is a JSON object:

    version      [7, 2] by default: what it greets with, and what --version says
    late         how many seconds it takes to say that
    greeting     the raw text it greets with in place of a greeting; "" for none
    die          [status, "last words"]: it ends so before it greets
    words        what it writes to its standard error before it greets
    answers      raw text by command, in place of the answer; "" for none; "%d" stands for the command's id. Or a list
                 of such: one for each time that the command comes, and the last one from then on
    after        what it does by command, after the answer: "close" (its connection, and lives on), "kill" (itself),
                 "stop" (itself, as SIGSTOP does), "exit" (with 0), "tell" (sends the events), "events" (sends them, and
                 exits with 0), "late events" (the same, two seconds later), "flood" (sends the events for ever)
    events       raw lines that "tell" and "events" send; "%id" stands for the last "id" among a command's arguments
    commands     the path of a file to which the names of the commands go, a line each
    record       the path of a file that its arguments go to, as a JSON array
    strangers    it has ways in, to a guest that says "guest", as hostfwd_add asks for, through which so many others of
                 this host have come before it takes anybody
    places       the path of a file for where its fourth descriptor and those behind it stand in their files, likewise

Tests start it thousands of times: it is the system's Python, which looks for nobody's packages, and imports little.
"""

from __future__ import annotations

import json
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

CONTROL = 3
SIGKILL, SIGSTOP = 9, 19


def send(data: bytes) -> None:
    while data:
        data = data[os.write(CONTROL, data) :]


def write(path: str, value: object) -> None:
    with open(path, "w") as file:
        json.dump(value, file)


class Forwarding:
    """The ways in of one network of QEMU's: hostfwd_add, hostfwd_remove and info usernet."""

    def __init__(self, strangers: int) -> None:
        self._strangers = strangers
        self._listeners: dict[str, socket.socket] = {}
        self._connections: list[tuple[str, socket.socket]] = []
        self._others: list[socket.socket] = []

    def carry_out(self, line: str) -> str:
        import socket

        match line.split():
            case ["hostfwd_add", _, rule]:
                address = rule.removeprefix("tcp:").split(":")[0]
                listener = socket.create_server((address, 0))
                self._others += [socket.create_connection(listener.getsockname()) for _ in range(self._strangers)]
                self._connections += [(address, listener.accept()[0]) for _ in range(self._strangers)]
                self._listeners[address] = listener
            case ["hostfwd_remove", _, rule]:
                self._listeners.pop(rule.split(":")[1]).close()
            case ["info", "usernet"]:
                self._accept()
                return "".join(
                    f"  TCP[{state}] 9 {address} {end.getsockname()[1]} 10.0.2.15 22 0 0\r\n"
                    for state, ends in (
                        ("HOST_FORWARD", self._listeners.items()),
                        ("ESTABLISHED", self._connections),
                    )
                    for address, end in ends
                )
        return ""

    def _accept(self) -> None:
        for address, listener in self._listeners.items():
            listener.setblocking(False)
            try:
                connection = listener.accept()[0]
            except BlockingIOError:
                continue
            connection.sendall(b"guest")
            self._connections.append((address, connection))


def main() -> None:
    script: dict[str, Any] = json.loads(os.environ["APPLEVZ_QEMU_SCRIPT"])
    major, minor = script.get("version", [7, 2])
    if sys.argv[1:] == ["--version"]:
        time.sleep(script.get("late", 0))
        print(f"QEMU emulator version {major}.{minor}.0 (scripted)")
        return
    if "die" in script:
        status, words = script["die"]
        print(words, file=sys.stderr, flush=True)
        sys.exit(status)
    print(script.get("words", ""), end="", file=sys.stderr, flush=True)
    if "record" in script:
        write(script["record"], sys.argv[1:])
    if "places" in script:
        inherited = sorted(int(name) for name in os.listdir("/proc/self/fd"))[4:-1]
        write(script["places"], [os.lseek(number, 0, os.SEEK_CUR) for number in inherited])
    os.set_blocking(CONTROL, True)
    greeting = {"QMP": {"version": {"qemu": {"major": major, "minor": minor, "micro": 0}}, "capabilities": []}}
    send(script.get("greeting", json.dumps(greeting) + "\r\n").encode())
    identifier = ""
    forwarding = Forwarding(script.get("strangers", 0))

    def send_events() -> None:
        send("".join(event.replace("%id", identifier) + "\r\n" for event in script["events"]).encode())

    for line in open(CONTROL, encoding="utf-8"):
        message = json.loads(line)
        identifier = message.get("arguments", {}).get("id", identifier)
        command = message["execute"]
        if "commands" in script:
            with open(script["commands"], "a") as file:
                print(command, file=file)
        answer = script.get("answers", {}).get(command)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        result: object = {}
        if answer is None and command == "human-monitor-command" and "strangers" in script:
            result = forwarding.carry_out(message["arguments"]["command-line"])
        text = json.dumps({"return": result, "id": message["id"]}) + "\r\n" if answer is None else answer
        send(text.replace("%d", str(message["id"])).encode())
        match script.get("after", {}).get(command):
            case "close":
                import socket

                socket.socket(fileno=CONTROL).shutdown(socket.SHUT_RDWR)
                time.sleep(3600)
            case "kill":
                os.kill(os.getpid(), SIGKILL)
            case "stop":
                os.kill(os.getpid(), SIGSTOP)
            case "exit":
                sys.exit(0)
            case "tell":
                send_events()
            case "flood":
                flood = "".join(event + "\r\n" for event in script["events"]).encode()
                flood *= 1 + 65536 // len(flood)
                while True:
                    send(flood)
            case "events" | "late events" as end:
                time.sleep(2 if end == "late events" else 0)
                send_events()
                sys.exit(0)


if __name__ == "__main__":
    main()
