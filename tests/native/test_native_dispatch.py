# SPDX-License-Identifier: Apache-2.0
"""The dispatch subset, by Objective-C programs of one behaviour each (tests/native/dispatch/*.m)."""

from __future__ import annotations

import signal
import sys

import pytest

from native_programs import FLAVOURS, Programs

if sys.platform == "darwin":
    pytest.skip("macOS brings its own libdispatch", allow_module_level=True)

# Resident memory says nothing under a sanitizer, which keeps what was freed for a while.
LIFETIME_ITEMS = {"O0": "200000", "O3": "1000000", "address": "0", "thread": "0"}
BEHAVIOURS = [
    ("order",),
    ("concurrent",),
    ("group",),
    ("semaphore",),
    ("timer",),
    ("descriptor",),
    ("process",),
    ("signal",),
    ("once",),
    ("state",),
    ("poller",),
    ("served",),
    ("pool",),
    ("fork",),
    ("main", "dispatch-main"),
    ("main", "run-loop"),
    ("exit", "from-main"),
    ("exit", "from-a-block"),
]
# Each with the words that tell its user what was wrong.
MISUSES = {
    "sync-on-itself": 'dispatch_sync: called on the queue "the-queue" by a thread that is running on it',
    "sync-on-itself-in-async": 'dispatch_sync: called on the queue "the-queue" by a thread that is running on it',
    "sync-on-target": 'dispatch_sync: called on the queue "the-queue" by a thread that is running on it',
    "sync-on-target-in-async": 'dispatch_sync: called on the queue "the-queue" by a thread that is running on it',
    "sync-on-main": "dispatch_sync: called on the main queue, or a queue that targets it, by the main thread",
    "sync-above-main": "dispatch_sync: called on the main queue, or a queue that targets it, by the main thread",
    "barrier-inside": 'dispatch_sync: called on the queue "the-concurrent" by a thread that is running on it',
    "sync-behind-barrier": 'dispatch_sync: called on the queue "the-concurrent" by a thread that is running on it',
    "main-elsewhere": "dispatch_main: called by a thread other than the main one",
    "once-in-itself": "dispatch_once: the block called dispatch_once with its own predicate",
    "assert-queue": 'dispatch_assert_queue: the calling thread is on the queue "the-queue", not on "the-concurrent"',
    "assert-queue-not": 'dispatch_assert_queue_not: the calling thread is on the queue "the-queue"',
    "assert-barrier": "dispatch_assert_queue_barrier: the calling thread is on",
    "resume-too-often": 'dispatch_resume: the queue "the-queue" is not suspended',
    "leave-too-often": "dispatch_group_leave: more calls than of dispatch_group_enter",
    "release-suspended": 'dispatch_release: the queue "gone" is suspended',
    "release-inactive": "dispatch_release: a source is inactive",
    "release-semaphore": "dispatch_release: a semaphore is released while in use: signals missing: 1",
    "null-queue": "dispatch_async: the object is NULL",
    "own-target": 'dispatch_set_target_queue: the queue "the-queue" cannot be its own target',
    "exception-async": "an exception escaped a block on a dispatch queue: TheName: the reason 7",
    "exception-sync": "an exception escaped a block on a dispatch queue: TheName: the reason 7",
    "exception-once": "an exception escaped a block on a dispatch queue: a string, not an exception",
}


@pytest.fixture(scope="module")
def programs() -> Programs:
    return Programs("dispatch", ["runtime", "dispatch"])


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids="-".join)
def test_behaviour(programs: Programs, behaviour: tuple[str, ...], flavour: str) -> None:
    result = programs.run(behaviour[0], flavour, *behaviour[1:])
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_lifetime(programs: Programs, flavour: str) -> None:
    result = programs.run("lifetime", flavour, LIFETIME_ITEMS[flavour])
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_idle_workers_retire_and_come_again(programs: Programs) -> None:
    result = programs.run("pool", "O3", "retire")
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("misuse", MISUSES)
def test_misuse_aborts_and_says_why(programs: Programs, misuse: str) -> None:
    for flavour in ("O0", "O3"):
        result = programs.run("misuse", flavour, misuse, timeout=20)
        assert result.returncode == -signal.SIGABRT
        assert MISUSES[misuse] in result.stderr.splitlines()[0]
