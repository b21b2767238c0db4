# SPDX-License-Identifier: Apache-2.0
"""Errors of each type that there is, and what one says. As a program it prints a pickle of both."""

from __future__ import annotations

import errno
import os
import pickle
import sys
from collections.abc import Iterator
from typing import Any, Final

import applevz
from applevz import Error
from applevz._core.deadline import Deadline
from applevz._core.guest.process import GuestProcessTimeoutError, timed_out
from applevz.errors import POSIXError, _create, exception_of, make, make_posix

__all__ = ["errors_of_all_kinds", "kinds", "said"]

_VALUES: Final = (
    *("domain", "code", "localized_description", "failure_reason", "recovery_suggestion", "user_info", "underlying"),
)


def kinds(kind: type[Error] = Error) -> Iterator[type[Error]]:
    """The types that the package names. Those that it combines with a builtin have no name of their own."""
    for one in kind.__subclasses__():
        if not one.__name__.startswith("_") and vars(sys.modules[one.__module__]).get(one.__name__) is one:
            yield one
        yield from kinds(one)


def errors_of_all_kinds() -> list[Error]:
    own = dict.fromkeys(kind for kind in kinds() if kind not in (POSIXError, GuestProcessTimeoutError))
    found = [make(kind, f"What {kind.__name__} is.", "Why ✓.", "What would do.") for kind in own]
    numbers = list(errno.errorcode)
    found += [make_posix(OSError(number, os.strerror(number)), "What.", "Do.", b"/a/file") for number in numbers]
    found.append(make_posix(OSError(4711, "nobody knows"), "What."))
    found.append(exception_of(_create("elsewhere", -3, "What.", "", "")))
    found.append(timed_out("No end.", ["sleep", "1"], Deadline(2.5), b"out", b"err"))
    disk = applevz.VirtioBlockDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment("/nowhere/disk.img"))
    try:
        applevz.VirtualMachineConfiguration(storage_devices=[disk]).validate()
    except Error as error:
        error.__dict__["__notes__"] = ["a note"]
        found.append(error)
    return found


def said(error: Error) -> dict[str, Any]:
    return {
        "class": type(error).__name__,
        "bases": [base.__name__ for base in type(error).__mro__],
        "text": str(error),
        "values": {name: getattr(error.error, name) for name in _VALUES},
        "of the system": [getattr(error, name, None) for name in ("errno", "strerror", "filename")],
        "kept": error.__dict__,
    }


if __name__ == "__main__":
    told = [(pickle.dumps(error, int(sys.argv[1])), said(error)) for error in errors_of_all_kinds()]
    sys.stdout.buffer.write(pickle.dumps(told))
