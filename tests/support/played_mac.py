# SPDX-License-Identifier: Apache-2.0
"""A Mac, played: the debug build of the package, with tests/mac/framework behind its library.

Its classes answer no `applevz…` selector, so that the bridge takes the ways that it takes on Apple's framework, and do
what a policy says in the place of what ours do. Underneath a real or scripted QEMU runs, as ever.

Without any policy it does what a Mac does all the same: a call off a machine's queue ends the process (queue.m), pipes
and sockets hold less (buffers.m), and guests' sockets are Unix sockets (sockets.m).

A topic is a file tests/mac/framework/<topic>.m; each of its keys stands here.
"""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import debug_build
from places import PLAYED_FRAMEWORK, ROOT
from processes import locked

# What a policy may say: by key the texts that it may be, or the type of its value; and what that does.
KEYS: dict[str, tuple[tuple[str, ...] | type, str]] = {
    # states.m; "completion" also of sockets.m and usb.m
    "observation": (
        ("early", "late", "never"),
        "When observers hear of a state: a turn before completion handlers and delegates, a turn after, or never.",
    ),
    "completion": (
        ("late", "twice late", "never", "twice"),
        "When a verb's completion handler is called: one or two turns after the state, never, or at once and again.",
    ),
    "delegate": (
        ("early", "late"),
        "When the delegate hears that the machine stopped: a turn before the state changes, or a turn after.",
    ),
    "delegate until": (str, "The path of a file: the delegate hears that the machine stopped when that is there."),
    "state": (
        ("late",),
        "When the state changes that a verb or the machine's end leads to: a turn after all have been told of it.",
    ),
    # exceptions.m
    "raises": (dict, "By class a method that raises, whoever calls it."),
    # messages.m, locks.m
    "fork": (
        ("strict",),
        "A forked child of a process with machines is ended for a message and for a lock of the library's, in words.",
    ),
    # sockets.m
    "sockets": (
        ("unix",),
        "A machine's sockets are of the family AF_UNIX; tests/native/unix_transport.h says how a guest's end is named.",
    ),
    # paths.m
    "paths": (("decomposed",), "Foundation decomposes the characters of what it gives for a file system."),
    "second connection": (("raises",), "What connectToPort:completionHandler: does when it is called a second time."),
    # entitlements.m; what is lacking is "missing", "false", or "unknown" where the process is not told.
    "entitlements": (dict, "What the process lacks, by name; the framework refuses what takes it, for that reason …"),
    "entitlement asked for": (("start",), "… when a machine is started, and not where its configuration is validated."),
    "bridged interface": (str, "The one interface of the host's that machines could be connected to."),
    "supported": (bool, "What the framework says of the hardware."),
    "translated": (bool, "Whether Rosetta translates the process, for which the framework then does nothing."),
    # kernels.m
    "processor": (
        ("arm64", "x86-64"),
        "The Mac's processor; its framework then takes any file for a kernel, until it starts.",
    ),
    # refusals.m
    "refusal": (
        (
            "none",
            "reason",
            "not supported",
            "not supported beneath",
            "Cocoa",
            "Cocoa beneath",
            "Cocoa among several",
            "unnamed",
        ),
        (
            "What takes the place of an error: none, where a method says by its value that it failed; one of a reason "
            "alone; ENOTSUP, by itself or deep beneath; one of NSCocoaErrorDomain, by itself, deep beneath or among "
            "several; the right errno by itself, without the file. Where ours had none: EINVAL, or Cocoa's unknown one."
        ),
    ),
    # saving.m. In any case saving fails where a file is there, without saying so, and gives a new one the mode 0644.
    "saving": (
        (
            *("half", "beside", "half a folder", "a folder", "nothing", "whole at once", "raise", "lost"),
            *("fail, then succeed", "succeed, then fail"),
        ),
        """What a paused machine's state becomes: half a file and an error; the same with more files beside it; half a
        folder and an error; a folder, or nothing, as if that were right; a file that is no state; half a file and an
        exception, and later a success; half a file, and the handler is let go; or saving completes twice.""",
    ),
    "saving cause": (dict, "The domain and the code of what is beneath the error of saving."),
    "saving until": (str, "The path of a file: saving that is played completes when that is there."),
}


@functools.cache
def folder(*, sanitized: bool = False) -> Path:
    """Where the build is, made once in a session; only what changed is compiled."""
    target = ROOT / "build" / ("sanitized-played-mac" if sanitized else "played-mac")
    with locked(target / ".lock"):
        further = sorted(PLAYED_FRAMEWORK.glob("*.m"))
        debug_build.copy_with_library(target, further, sanitized=sanitized)
    return target


def environment_of(policy: Mapping[str, Any]) -> dict[str, str]:
    """What a program's environment needs for that policy."""
    for key, value in policy.items():
        assert key in KEYS, f"no topic of the played Mac has {key!r}"
        allowed = KEYS[key][0]
        known = isinstance(value, allowed) if isinstance(allowed, type) else value in allowed
        assert known, f"{key}: {value!r} is none of {allowed}"
    return {"APPLEVZ_PLAYED_MAC": json.dumps(dict(policy))}


def run(
    program: str,
    *arguments: str,
    policy: Mapping[str, Any] | None = None,
    timeout: float = 240,
    sanitized: bool = False,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Runs a Python program with that build."""
    environment |= environment_of(policy or {})
    build = folder(sanitized=sanitized)
    return debug_build.run(program, *arguments, timeout=timeout, sanitized=sanitized, build=build, **environment)
