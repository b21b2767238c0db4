# SPDX-License-Identifier: Apache-2.0
"""Directories of the host that a guest finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .._arguments import PathLike
from .._identifiers import canonicalized_directory_name

__all__ = [
    "MultipleDirectoryShare",
    "SharedDirectory",
    "SingleDirectoryShare",
    "VirtioFileSystemDeviceConfiguration",
]


@dataclass
class SharedDirectory:
    """A directory of the host (`VZSharedDirectory`), with what is mounted below it when it begins to be shared.

    With `read_only` nothing that the guest does changes it. On Linux it is a read-only mount for the process that
    serves it, which no message of a guest's gets around.
    """

    path: PathLike
    read_only: bool = False


@dataclass
class SingleDirectoryShare:
    """One directory: what the guest mounts is that directory (`VZSingleDirectoryShare`)."""

    directory: SharedDirectory


@dataclass
class MultipleDirectoryShare:
    """Several directories: what the guest mounts has a folder for each, by its name (`VZMultipleDirectoryShare`).

    A name has 1 to 255 bytes in UTF-8, without a slash or a NUL character, and is not `"."` or `".."`.
    """

    directories: Mapping[str, SharedDirectory] = field(default_factory=dict)

    @staticmethod
    def canonicalized_name_from_name(name: str) -> str | None:
        """A valid name that is like `name`, for instance with `"-"` for each slash; None if nothing like it can be one.

        Raises `InvalidArgumentTypeError` for what is no text.
        (`+[VZMultipleDirectoryShare canonicalizedNameFromName:]`)
        """
        return canonicalized_directory_name(name)


@dataclass
class VirtioFileSystemDeviceConfiguration:
    """A file system that a Linux guest mounts by its tag: `mount -t virtiofs <tag> <folder>`.

    The tag has 1 to 35 bytes in UTF-8, and is another one than those of the machine's other devices. Without a share
    the guest finds an empty folder. A machine that has such a device cannot be saved.

    It needs `capabilities.shared_directories`: on Linux virtiofsd, and the right to make mounts of its own, which root
    has, and other users have where they may make user namespaces. For those the guest's root acts on the host as the
    user whose process this is, and its other users can make no files there. Where this process is root's, so is what
    the guest's root does in a share: a file that it makes there can be one that becomes root when it is run.
    """

    tag: str
    share: SingleDirectoryShare | MultipleDirectoryShare | None = None
