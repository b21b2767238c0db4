# SPDX-License-Identifier: Apache-2.0
"""The QEMU processes of a process, waiting for what happens outside of it, and taking turns with other processes."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def children(parent: int | None = None) -> set[int]:
    """The process ids of the children of a process, of this one by default; those that have ended are no longer there
    once they were waited for."""
    parent = os.getpid() if parent is None else parent
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.add(int(status.parent.name))
    return found


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time; the lock of one that ends is free.

    It is held to build what many tests use. How long that takes, or waiting for another process's build, says nothing
    of the test that comes first: pytest's limit of time stands still meanwhile.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    limit = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *limit)


def is_interrupted(call: Callable[[], object], after: float, error: type[BaseException]) -> bool:
    """Whether a signal's handler raised this error in the middle of the call, so many seconds after it began.

    No error comes behind the call. Where other threads run, one of them may take the signal, and the main thread hears
    of it after the timer was stopped."""
    armed = True

    def interrupt(*_: object) -> None:
        if armed:
            raise error

    limit = signal.setitimer(signal.ITIMER_REAL, 0)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, after)
            call()
        finally:
            armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
    except error:
        return True
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *limit)
    return False


def open_descriptors() -> set[tuple[str, str]]:
    """The descriptors of this process, each with what it is open on, as far as the system tells.

    Compare with `<=` what is open with what was: another test's may be given back meanwhile."""
    found = set()
    for name in os.listdir("/dev/fd"):
        try:
            # A Mac has no links there.
            found.add((name, os.readlink(f"/dev/fd/{name}") if sys.platform == "linux" else ""))
        except FileNotFoundError:
            continue  # the listing's own
    return found


def workers_end() -> bool:
    """Whether the library's workers that have nothing to do have ended, which they do after a while. What the last work
    of one left to its pool, a descriptor perhaps, is given back by then."""

    def names() -> list[str]:
        found = []
        for name in Path("/proc/self/task").glob("*/comm"):
            try:
                found.append(name.read_text().strip())
            except OSError:
                continue
        return found

    return eventually(lambda: "applevz-worker" not in names())


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(condition: Callable[[], object], seconds: float = 30.0) -> bool:
    """Whether the condition came to hold within the time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
