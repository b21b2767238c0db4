# SPDX-License-Identifier: Apache-2.0
"""Has each item run in a process of its own, for as long as it may, and takes what it saw."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import IO, Any, Final

from .item import Item, Options, Value

__all__ = ["PREFIX", "Outcome", "run"]

# Of an item's folder.
PREFIX: Final = "applevz-check-"
# Of what an item's process prints, the end.
_OUTPUT: Final = 8192
# To print a few lines.
_MOMENT: Final = 0.3
# An item says a few KiB.
_MOST: Final = 1 << 22


@dataclass
class Outcome:
    """What became of an item."""

    item: Item
    outcome: str = "was not run"
    """"seen" and "left out" are an item's own end; everything else is not."""
    detail: str = ""
    seconds: float = 0.0
    seen: list[tuple[str, Value]] = field(default_factory=list)
    output: str = ""
    """What its process printed last."""

    @property
    def came_to_its_end(self) -> bool:
        return self.outcome in ("seen", "left out")


def run(item: Item, options: Options) -> Outcome:
    """What became of the item. Raises nothing but what a signal's handler does, as Ctrl-C; its process is gone then."""
    if item.needs_guest and options.kernel is None:
        return Outcome(item, "left out", "It needs a guest: give one with --kernel, and --initrd.")
    # What a machine leaves behind may not be ours to remove; the system empties the folder of temporary files.
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as output,
    ):
        outcome = _run(item, replace(options, folder=folder), output)
        output.seek(max(output.seek(0, os.SEEK_END) - _OUTPUT, 0))
        outcome.output = output.read().decode(errors="replace")
        return outcome


def _run(item: Item, options: Options, output: IO[bytes]) -> Outcome:
    outcome = Outcome(item)
    begin = time.monotonic()
    reading, writing = os.pipe()
    try:
        module = item.function.__module__
        command = [sys.executable, "-m", f"{__package__}.child", module, item.name, str(writing), options.to_json()]
        try:
            # A session of its own: whatever it starts is ended with it.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[writing],
                start_new_session=True,
            )
        finally:
            os.close(writing)
        try:
            limit = item.limit(options)
            enough = _take(outcome, reading, process, begin + limit)
            if process.poll() is None:
                why = "having told too much" if enough else f"after {limit:g} s"
                outcome.outcome, outcome.detail = "did not end", f"It was killed, {why}."
                _show_where_it_is(process)
        finally:
            _kill(process)
        _judge(outcome, process.returncode)
    finally:
        os.close(reading)
    outcome.seconds = time.monotonic() - begin
    return outcome


def _take(outcome: Outcome, reading: int, process: subprocess.Popen[bytes], deadline: float) -> bool:
    """Takes what the item says until its process has ended, or the time is over. True where it says too much."""
    received = b""
    size = 0
    said_all = False
    while (remaining := deadline - time.monotonic()) > 0 and size <= _MOST:
        # Looked at first: what the process said before its end is in the pipe by then.
        ended = process.poll() is not None
        # It may have closed the pipe and not have ended yet, or have ended and left the pipe to another process.
        readable, _, _ = select.select([] if said_all else [reading], [], [], 0 if ended else min(remaining, 0.02))
        if readable:
            data = os.read(reading, 1 << 16)
            size += len(data)
            said_all = not data
            *lines, received = (received + data).split(b"\n")
            for line in lines:
                _understand(outcome, json.loads(line))
        elif ended:
            break
    return size > _MOST


def _understand(outcome: Outcome, message: dict[str, Any]) -> None:
    if "outcome" in message:
        outcome.outcome, outcome.detail = message["outcome"], message["detail"]
    else:
        outcome.seen.append((message["key"], message["value"]))


def _show_where_it_is(process: subprocess.Popen[bytes]) -> None:
    """Has it print where its threads are. It is not waited for: then its group could not be killed any more."""
    process.send_signal(signal.SIGUSR1)
    time.sleep(_MOMENT)


def _kill(process: subprocess.Popen[bytes]) -> None:
    # While it was not waited for, its number, and that of its group, is nobody else's.
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _judge(outcome: Outcome, status: int) -> None:
    """Whether the process ended as one does whose item came to its end."""
    if outcome.outcome == "did not end" or (status == 0 and outcome.outcome != "was not run"):
        return
    by = f"signal {-status} ({signal.Signals(-status).name})" if status < 0 else f"its exit with {status}"
    when = "" if outcome.outcome == "was not run" else f", after the item had come to its end ({outcome.outcome})"
    outcome.outcome, outcome.detail = "was ended", f"Its process was ended by {by}{when}. {outcome.detail}".rstrip()
