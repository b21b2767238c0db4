# SPDX-License-Identifier: Apache-2.0
"""Texts and data that the native library makes up or knows."""

from __future__ import annotations

from collections.abc import Callable

from ._arguments import text as text_argument
from ._native import Reference, ffi, lib, take_bytes
from .errors import check

__all__ = [
    "canonicalized_directory_name",
    "command_line_additions",
    "given",
    "random_mac_address",
    "random_machine_identifier",
]


def given(function: Callable[[Reference, Reference], Reference]) -> bytes:
    """The bytes that a native function gives away."""
    memory, length = ffi.new("char **"), ffi.new("size_t *")
    check(function(memory, length))
    return take_bytes(memory[0], length[0])


def random_mac_address() -> str:
    """A random locally administered unicast address."""
    return given(lib.applevz_mac_address_random).decode()


def random_machine_identifier() -> bytes:
    """The data representation of a new machine identifier."""
    return given(lib.applevz_generic_machine_identifier_random)


def canonicalized_directory_name(name: str) -> str | None:
    """A valid name of a shared directory that is like `name`; None if nothing like it can be one."""
    # A name with a NUL is just what this is for; that it is text is checked without it.
    text_argument("name", name.replace("\0", "") if isinstance(name, str) else name)
    wanted, memory, length = name.encode(), ffi.new("char **"), ffi.new("size_t *")
    check(lib.applevz_directory_share_canonicalized_name(wanted, len(wanted), memory, length))
    return take_bytes(memory[0], length[0]).decode() if memory[0] else None


def command_line_additions() -> str:
    """The words that this platform adds to a Linux kernel's command line where `LinuxBootLoader.command_line_additions`
    lets it; empty where it adds none."""
    return given(lib.applevz_command_line_additions).decode()
