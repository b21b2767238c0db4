# SPDX-License-Identifier: Apache-2.0
"""Executes a program as on Linux 4.4: `old_kernel.py PROGRAM ARGUMENT…`. What that starts is under the same rule.

A filter of the kernel's answers ENOSYS to each system call that is younger, and to younger flags what an old kernel
answers. Flags in memory, as those of an epoll's events, are seen by no filter.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import Final, NamedTuple


class Processor(NamedTuple):
    audit: int
    last: int
    """The last system call of 4.4, `mlock2`. What came later has higher numbers."""
    numbers: dict[str, int]


PROCESSORS: Final = {
    "x86_64": Processor(
        0xC000003E,
        325,
        {
            "mmap": 9,
            "madvise": 28,
            "setsockopt": 54,
            "sendto": 44,
            "sendmsg": 46,
            "clone": 56,
            "fcntl": 72,
            "prctl": 157,
            "waitid": 247,
            "utimensat": 280,
            "fallocate": 285,
            "pipe2": 293,
            "getrandom": 318,
            "memfd_create": 319,
        },
    ),
    "aarch64": Processor(
        0xC00000B7,
        284,
        {
            "mmap": 222,
            "madvise": 233,
            "setsockopt": 208,
            "sendto": 206,
            "sendmsg": 211,
            "clone": 220,
            "fcntl": 25,
            "prctl": 167,
            "waitid": 95,
            "utimensat": 88,
            "fallocate": 47,
            "pipe2": 59,
            "getrandom": 278,
            "memfd_create": 279,
        },
    ),
}


class Younger(NamedTuple):
    """What an argument of a system call may not have: any of these bits, or a value in this range."""

    call: str
    argument: int
    bits: int
    first: int = 0
    last: int = -1
    error: int = errno.EINVAL


YOUNGER: Final = [
    Younger("mmap", 3, 0x80000 | 0x100000),  # MAP_SYNC, MAP_FIXED_NOREPLACE
    Younger("madvise", 2, 0, 8, 8),  # MADV_FREE
    Younger("madvise", 2, 0, 18, 99),  # MADV_WIPEONFORK and all that came later
    Younger("setsockopt", 2, 0, 51, 99, errno.ENOPROTOOPT),  # SO_ATTACH_REUSEPORT_CBPF and later
    Younger("sendto", 3, 0x4000000),  # MSG_ZEROCOPY
    Younger("sendmsg", 2, 0x4000000),
    Younger("clone", 0, 0x1000 | 0x2000000),  # CLONE_PIDFD, CLONE_NEWCGROUP
    Younger("fcntl", 1, 0, 1027, 1028),  # F_DUPFD_QUERY, F_CREATED_QUERY
    Younger("fcntl", 1, 0, 1035, 1099),  # F_GET_RW_HINT and later
    Younger("prctl", 0, 0, 48, 0xFFFFFFFF),  # PR_SVE_SET_VL and later, PR_SET_VMA
    Younger("waitid", 0, 0, 3, 3),  # P_PIDFD
    Younger("utimensat", 3, 0x1000),  # AT_EMPTY_PATH
    Younger("fallocate", 1, 0x40, error=errno.EOPNOTSUPP),  # FALLOC_FL_UNSHARE_RANGE
    Younger("pipe2", 1, 0x80),  # O_NOTIFICATION_PIPE
    Younger("getrandom", 2, 0x4),  # GRND_INSECURE
    Younger("memfd_create", 1, ~0x3 & 0xFFFFFFFF),  # MFD_HUGETLB and later
]

# Of seccomp and of its programs.
_LOAD, _RETURN = 0x20, 0x06
_JUMP_EQUAL, _JUMP_ABOVE, _JUMP_NOT_BELOW, _JUMP_ANY_BIT = 0x15, 0x25, 0x35, 0x45
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_SET_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_INSTRUCTION: Final = struct.Struct("HBBI")


def program(processor: Processor) -> bytes:
    """The filter's instructions."""
    parts: list[tuple[int, int, int, int]] = [
        # Of another processor, as 32-bit programs are: nothing is known of those.
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, processor.audit),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_ABOVE, 0, 1, processor.last),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
    ]
    for younger in YOUNGER:
        refusal = (_RETURN, 0, 0, _FAIL | younger.error)
        if younger.bits:
            test = [(_JUMP_ANY_BIT, 0, 1, younger.bits), refusal]
        else:
            test = [(_JUMP_NOT_BELOW, 0, 2, younger.first), (_JUMP_ABOVE, 1, 0, younger.last), refusal]
        # The low half of the argument; both processors are little endian.
        test = [(_LOAD, 0, 0, _ARGUMENTS + 8 * younger.argument), *test]
        parts += [(_LOAD, 0, 0, _NUMBER), (_JUMP_EQUAL, 0, len(test), processor.numbers[younger.call]), *test]
    parts.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(_INSTRUCTION.pack(*part) for part in parts)


def install() -> None:
    """Puts this process, and all that it starts, under the rule. Raises `OSError`."""
    instructions = program(PROCESSORS[platform.machine()])
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    described = struct.pack("HxxxxxxP", len(instructions) // _INSTRUCTION.size, ctypes.addressof(buffer))
    library = ctypes.CDLL(None, use_errno=True)
    none = ctypes.c_ulong(0)
    for option, value, more in ((_SET_NO_NEW_PRIVILEGES, 1, none), (_SET_SECCOMP, _FILTER, described)):
        if library.prctl(option, ctypes.c_ulong(value), more, none, none):
            raise OSError(ctypes.get_errno(), "prctl")


def main() -> None:
    install()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main()
