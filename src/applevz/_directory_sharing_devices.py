# SPDX-License-Identifier: Apache-2.0
"""The directory sharing devices of a machine."""

from __future__ import annotations

import json
from typing import Any

from ._builder.directory_sharing import directory_share
from ._builder.owned import Owned
from ._machine_devices import MachineDevice
from ._native import ffi, lib, take_text
from .configuration.directory_sharing import MultipleDirectoryShare, SharedDirectory, SingleDirectoryShare
from .errors import check

__all__ = ["VirtioFileSystemDevice"]


class VirtioFileSystemDevice(MachineDevice):
    """A file system that a guest mounts by its tag (`VZVirtioFileSystemDevice`). It keeps its machine."""

    __slots__ = ()

    @property
    def tag(self) -> str:
        """By which the guest mounts it."""
        return self._text(lib.applevz_machine_directory_sharing_device_tag)

    @property
    def share(self) -> SingleDirectoryShare | MultipleDirectoryShare | None:
        """What the guest finds in it, in new objects.

        It can be set; a share stays for later starts, until `POWEROFF` has to let go of the machine. On a Mac the guest
        finds another share at any time. On Linux a `MultipleDirectoryShare` or None can take the place of another one
        while the machine runs: the guest finds the folders changed, and keeps what it has open of one that is gone. A
        `SingleDirectoryShare` is what the guest has mounted, and can be changed, or set, while the machine is stopped
        only: otherwise `NotSupportedError`. Setting it also raises the errors of the configuration's `validate`.
        """
        value = json.loads(self._text(lib.applevz_machine_directory_share))
        if value is None:
            return None
        if "directory" in value:
            return SingleDirectoryShare(SharedDirectory(**value["directory"]))
        return MultipleDirectoryShare({name: SharedDirectory(**one) for name, one in value["directories"].items()})

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
