# SPDX-License-Identifier: Apache-2.0
"""Texts and data that the native library makes: identifiers, addresses, names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._native import ffi, lib, take_bytes
from ..errors import check
from .arguments import text as text_argument

__all__ = [
    "bytes_made_by",
    "canonicalized_directory_name",
    "command_line_additions",
    "random_mac_address",
    "random_machine_identifier",
]


def bytes_made_by(function: Callable[..., Any]) -> bytes:
    """The bytes that a native function makes and gives away."""
    memory, length = ffi.new("char **"), ffi.new("size_t *")
    check(function(memory, length))
    return take_bytes(memory[0], length[0])


def random_mac_address() -> str:
    """A random locally administered unicast address."""
    return bytes_made_by(lib.applevz_mac_address_random).decode()


def random_machine_identifier() -> bytes:
    """The data representation of a new machine identifier."""
    return bytes_made_by(lib.applevz_generic_machine_identifier_random)


def canonicalized_directory_name(name: str) -> str | None:
    """A valid name of a shared directory that is like `name`. None if nothing like it is valid."""
    # A name with a NUL is just what this is for; that it is text is checked without it.
    text_argument("name", name.replace("\0", "") if isinstance(name, str) else name)
    wanted, memory, length = name.encode(), ffi.new("char **"), ffi.new("size_t *")
    check(lib.applevz_directory_share_canonicalized_name(wanted, len(wanted), memory, length))
    return take_bytes(memory[0], length[0]).decode() if memory[0] else None


def command_line_additions() -> str:
    """The words that this platform adds to a Linux kernel's command line, if `LinuxBootLoader.command_line_additions`
    lets it. Empty if it adds none: with KVM, and on macOS."""
    return bytes_made_by(lib.applevz_command_line_additions).decode()
