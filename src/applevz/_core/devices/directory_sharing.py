# SPDX-License-Identifier: Apache-2.0
"""The directory sharing devices of a machine."""

from __future__ import annotations

import json
from typing import Any

from ..._builder.directory_sharing import directory_share
from ..._builder.owned import Owned
from ..._native import ffi, lib, take_text
from ..._values.file_urls import path_of_url
from ...configuration.directory_sharing import MultipleDirectoryShare, SharedDirectory, SingleDirectoryShare
from ...errors import check
from .device import MachineDevice

__all__ = ["VirtioFileSystemDevice"]


def _shared_directory(url: str, read_only: bool) -> SharedDirectory:
    return SharedDirectory(path_of_url(url), read_only)


class VirtioFileSystemDevice(MachineDevice):
    """A file system that a guest mounts by its tag (`VZVirtioFileSystemDevice`). It keeps its machine."""

    __slots__ = ()

    @property
    def tag(self) -> str:
        """The name by which the guest mounts it."""
        return self._text(lib.applevz_machine_directory_sharing_device_tag)

    @property
    def share(self) -> SingleDirectoryShare | MultipleDirectoryShare | None:
        """The directories that the guest finds. Reading it makes new objects.

        It can be set, and stays for later starts, until `POWEROFF` has to let go of the machine. On a Mac it can be set
        at any time. On Linux a `MultipleDirectoryShare` or None can take the place of another one while the machine
        runs: the guest finds the folders changed, and keeps what it has open of a folder that is gone. A
        `SingleDirectoryShare` is what the guest has mounted: only while the machine is stopped can it be set or
        replaced, and otherwise that raises `NotSupportedError`. Setting a share also raises the errors of the
        configuration's `validate`.
        """
        value = json.loads(self._text(lib.applevz_machine_directory_share))
        if value is None:
            return None
        if "directory" in value:
            return SingleDirectoryShare(_shared_directory(**value["directory"]))
        return MultipleDirectoryShare({name: _shared_directory(**one) for name, one in value["directories"].items()})

    @share.setter
    def share(self, value: SingleDirectoryShare | MultipleDirectoryShare | None) -> None:
        with Owned() as owned:
            share = directory_share(owned, "share", value)
            check(lib.applevz_machine_set_directory_share(self._handle, self._index, share))

    def _text(self, function: Any) -> str:
        text, length = ffi.new("char **"), ffi.new("size_t *")
        check(function(self._handle, self._index, text, length))
        return take_text(text[0], length[0])

    def __repr__(self) -> str:
        return f"<VirtioFileSystemDevice {self.tag!r}>"
