#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A QEMU that does what a script says, for what a real one cannot be brought to do. APPLEVZ_QEMU names it.

The environment's SCRIPTED_QEMU is a JSON object:

    version      [7, 2] by default: what it greets with, and what --version says
    greeting     the raw text it greets with in place of a greeting; "" for none
    die          [status, "last words"]: it ends so before it greets
    answers      raw text by command, in place of the answer; "" for none; "%d" stands for the command's id. Or a list
                 of such: one for each time that the command comes, and the last one from then on
    after        what it does by command, after the answer: "close" (its connection, and lives on), "kill" (itself),
                 "stop" (itself, as SIGSTOP does), "exit" (with 0), "tell" (sends the events), "events" (sends them, and
                 exits with 0), "late events" (the same, two seconds later)
    events       raw lines that "tell" and "events" send; "%id" stands for the last "id" among a command's arguments
    commands     the path of a file to which the names of the commands go, a line each
    record       the path of a file that its arguments go to, as a JSON array
    places       the path of a file for where its fourth descriptor and those behind it stand in their files, likewise
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    script: dict[str, Any] = json.loads(os.environ["SCRIPTED_QEMU"])
    major, minor = script.get("version", [7, 2])
    if sys.argv[1:] == ["--version"]:
        print(f"QEMU emulator version {major}.{minor}.0 (scripted)")
        return
    if "die" in script:
        status, words = script["die"]
        print(words, file=sys.stderr, flush=True)
        sys.exit(status)
    if "record" in script:
        Path(script["record"]).write_text(json.dumps(sys.argv[1:]))
    if "places" in script:
        inherited = sorted(int(name) for name in os.listdir("/proc/self/fd"))[4:-1]
        Path(script["places"]).write_text(json.dumps([os.lseek(number, 0, os.SEEK_CUR) for number in inherited]))
    control = socket.socket(fileno=3)
    control.setblocking(True)
    greeting = {"QMP": {"version": {"qemu": {"major": major, "minor": minor, "micro": 0}}, "capabilities": []}}
    control.sendall(script.get("greeting", json.dumps(greeting) + "\r\n").encode())
    identifier = ""

    def send_events() -> None:
        control.sendall("".join(event.replace("%id", identifier) + "\r\n" for event in script["events"]).encode())

    for line in control.makefile("r"):
        message = json.loads(line)
        identifier = message.get("arguments", {}).get("id", identifier)
        command = message["execute"]
        if "commands" in script:
            with open(script["commands"], "a") as file:
                print(command, file=file)
        answer = script.get("answers", {}).get(command)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        text = json.dumps({"return": {}, "id": message["id"]}) + "\r\n" if answer is None else answer
        control.sendall(text.replace("%d", str(message["id"])).encode())
        match script.get("after", {}).get(command):
            case "close":
                control.shutdown(socket.SHUT_RDWR)
                time.sleep(3600)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "exit":
                sys.exit(0)
            case "tell":
                send_events()
            case "events" | "late events" as end:
                time.sleep(2 if end == "late events" else 0)
                send_events()
                sys.exit(0)


if __name__ == "__main__":
    main()
