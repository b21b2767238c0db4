# SPDX-License-Identifier: Apache-2.0
"""Linux's numbers of conditions and signals, in those of this host, and the errors that are made of them.

The guest is Linux. On a Linux host the numbers are the same; on a Mac many are not.
"""

from __future__ import annotations

import errno
import os
import signal
from typing import Any, Final

from ..._values.arguments import integer, shown, wrong_type
from ...errors import Error, InvalidArgumentError, make, make_posix

__all__ = ["condition_error", "host_errno", "signal_number"]

# Those of include/uapi/asm-generic/errno.h that programs meet and whose numbers differ; up to 34, but for 11, all
# systems have the same.
_CONDITIONS: Final = {
    11: "EAGAIN", 35: "EDEADLK", 36: "ENAMETOOLONG", 37: "ENOLCK", 38: "ENOSYS", 39: "ENOTEMPTY", 40: "ELOOP",
    61: "ENODATA", 71: "EPROTO", 75: "EOVERFLOW", 84: "EILSEQ", 87: "EUSERS", 88: "ENOTSOCK", 90: "EMSGSIZE",
    91: "EPROTOTYPE", 93: "EPROTONOSUPPORT", 95: "EOPNOTSUPP", 97: "EAFNOSUPPORT", 98: "EADDRINUSE",
    99: "EADDRNOTAVAIL", 100: "ENETDOWN", 101: "ENETUNREACH", 103: "ECONNABORTED", 104: "ECONNRESET", 105: "ENOBUFS",
    106: "EISCONN", 107: "ENOTCONN", 110: "ETIMEDOUT", 111: "ECONNREFUSED", 112: "EHOSTDOWN", 113: "EHOSTUNREACH",
    114: "EALREADY", 115: "EINPROGRESS", 116: "ESTALE", 122: "EDQUOT", 125: "ECANCELED",
}  # fmt: skip
# Those whose numbers differ between systems (signal(7)).
_SIGNALS: Final = {
    "SIGBUS": 7, "SIGUSR1": 10, "SIGUSR2": 12, "SIGCHLD": 17, "SIGCONT": 18, "SIGSTOP": 19, "SIGTSTP": 20, "SIGURG": 23,
    "SIGIO": 29, "SIGSYS": 31,
}  # fmt: skip


def host_errno(number: int) -> int:
    """This host's number of a condition of the guest's. EIO for what is none."""
    if number in _CONDITIONS:
        return int(getattr(errno, _CONDITIONS[number], errno.EIO))
    return number if 0 < number <= 34 or number in errno.errorcode else errno.EIO


def condition_error(number: int, description: str, path: bytes | None = None) -> Error:
    """The exception for a condition in the guest, about its file at `path`, which stands for `{}` in the words."""
    if path is not None:
        description = description.format(shown(path.decode("utf-8", "surrogateescape")))
    ours = host_errno(number)
    return make_posix(OSError(ours, os.strerror(ours)), description, path=path)


def signal_number(given: Any) -> int:
    """Linux's number of a signal: one of the module `signal`, or a number of Linux's."""
    if isinstance(given, signal.Signals):
        return _SIGNALS.get(given.name, int(given))
    if isinstance(given, bool):
        raise wrong_type("signal", given, "a signal (signal.Signals, or its number on Linux)")
    number = integer("signal", given, "Give a signal of the module `signal`.")
    if not 1 <= number <= 64:
        raise make(InvalidArgumentError, f"signal is {number}, which no signal has.", "", "Give a number from 1 to 64.")
    return number
