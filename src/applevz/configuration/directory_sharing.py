# SPDX-License-Identifier: Apache-2.0
"""Shared directories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .._values.arguments import PathLike
from .._values.identifiers import canonicalized_directory_name

__all__ = [
    "MultipleDirectoryShare",
    "SharedDirectory",
    "SingleDirectoryShare",
    "VirtioFileSystemDeviceConfiguration",
]


@dataclass
class SharedDirectory:
    """A directory of the host (`VZSharedDirectory`), with the mounts that are below it when it begins to be shared.

    With `read_only` nothing that the guest does changes it. On Linux the process that serves it then has a read-only
    mount, which no message of a guest's gets around.
    """

    path: PathLike
    read_only: bool = False


@dataclass
class SingleDirectoryShare:
    """One directory. The guest mounts that directory (`VZSingleDirectoryShare`)."""

    directory: SharedDirectory


@dataclass
class MultipleDirectoryShare:
    """Several directories. The guest mounts a folder with a folder for each, by its name (`VZMultipleDirectoryShare`).

    A name has 1 to 255 bytes in UTF-8, without a slash or a NUL character, and is not `"."` or `".."`.
    """

    directories: Mapping[str, SharedDirectory] = field(default_factory=dict)

    @staticmethod
    def canonicalized_name_from_name(name: str) -> str | None:
        """A valid name that is like `name`, for instance with `"-"` for each slash. None if nothing like it is valid.

        Raises `InvalidArgumentTypeError` for a value that is no text.
        (`+[VZMultipleDirectoryShare canonicalizedNameFromName:]`)
        """
        return canonicalized_directory_name(name)


@dataclass
class VirtioFileSystemDeviceConfiguration:
    """A file system that a Linux guest mounts by its tag: `mount -t virtiofs <tag> <folder>`.

    The tag has 1 to 35 bytes in UTF-8, and differs from those of the machine's other devices. Without a share the guest
    finds an empty folder. A machine that has such a device cannot be saved.

    It needs `capabilities.shared_directories`. On Linux that takes virtiofsd, and the right to make mounts of its own:
    root has it, and other users have it if they may make user namespaces. If such a user's process shares, the guest's
    root acts on the host as that user, and the guest's other users can make no files there. If root's process shares,
    the guest's root acts as root: a file that it makes there can be one that becomes root when it is run.
    """

    tag: str
    share: SingleDirectoryShare | MultipleDirectoryShare | None = None
