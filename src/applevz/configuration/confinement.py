# SPDX-License-Identifier: Apache-2.0
"""What keeps a machine's program from the rest of the host."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag
from typing import Final

__all__ = ["Confinement", "ConfinementPolicy"]


class Confinement(Flag):
    """What keeps the program that runs a machine from the rest of the host, should its guest take it over.

    By default all of it is in force that the host can give and the machine's devices let be.
    """

    FILES = 1
    """It opens no files but the machine's, its own firmware and libraries, and what names are looked up in for a
    network. (Landlock, Linux 5.13: https://docs.kernel.org/userspace-api/landlock.html)"""
    SYSTEM_CALLS = 2
    """It starts no program and no process, and does not signal, trace or read any. It changes no names, owners, modes
    or times of files, and calls none of the interfaces of the kernel that no machine needs. (seccomp)"""
    SOCKETS = 4
    """It makes no sockets of the Internet's protocols. Only a machine has this that has no network card, no disk of a
    server and no USB controller."""
    PRIVILEGES = 8
    """It has none of root's capabilities, and gets none by executing a program."""
    HOST_ADDRESSES = 16
    """It reaches no address of this host's: this process looks at each address that it connects or sends to, and does
    that for it. Its disks' servers, and the name server that the host asks, are reached wherever they are. A machine
    has this that has SOCKETS, or no `NATNetworkDeviceAttachment` with `host_access` and no sound.
    (`capabilities.host_isolation`; https://man7.org/linux/man-pages/man2/seccomp_unotify.2.html)"""
    USER = 32
    """It runs as a user of its own, whom no other process has and who owns no file. Only of a program that is root. A
    machine without sound has this; with a network card, a disk of a server, a USB controller or a private restore it
    takes the capability SYS_PTRACE. (`capabilities.separate_users`)"""


NOTHING: Final = Confinement(0)


@dataclass(frozen=True)
class ConfinementPolicy:
    """Which `Confinement` a machine must have, and which is left out.

    If the host or the machine's devices do not let it have all that is `required`, a start and a restore raise
    `NotSupportedError`. What is `waived` is left out: for a QEMU that does what others do not. On a Mac, where the
    framework's own process is confined by the system, nothing can be required, and `waived` changes nothing.
    """

    required: Confinement = NOTHING
    waived: Confinement = NOTHING
