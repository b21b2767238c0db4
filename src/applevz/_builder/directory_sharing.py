# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterable, Mapping

from .._native import NULL, Pointer, Reference, ffi, lib
from .._values import arguments
from ..configuration.directory_sharing import (
    MultipleDirectoryShare,
    SharedDirectory,
    SingleDirectoryShare,
    VirtioFileSystemDeviceConfiguration,
)
from ..errors import check_in
from .owned import Owned

__all__ = ["add_directory_sharing_devices", "directory_share"]


def add_directory_sharing_devices(owned: Owned, handle: Reference, devices: object) -> None:
    kinds = (VirtioFileSystemDeviceConfiguration,)
    for index, device in enumerate(arguments.items("directory_sharing_devices", devices, kinds)):
        field = f"directory_sharing_devices[{index}]"
        tag = arguments.text(f"{field}.tag", device.tag)
        share = directory_share(owned, f"{field}.share", device.share)
        check_in(field, lib.applevz_configuration_add_virtio_file_system_device(handle, tag, len(tag), share))


def directory_share(owned: Owned, field: str, given: object) -> Reference | Pointer:
    """The native share, which lives as long as `owned`; a null pointer for None."""
    if given is None:
        return NULL
    share = arguments.instance(field, given, (SingleDirectoryShare, MultipleDirectoryShare))
    if isinstance(share, SingleDirectoryShare):
        array, _memory = _array([(f"{field}.directory", "", share.directory)])
        return owned.make(lib.applevz_directory_share_create_with_directory, array, field=field)
    if not isinstance(share.directories, Mapping):
        raise arguments.wrong_type(f"{field}.directories", share.directories, "a mapping of names to SharedDirectory")
    array, _memory = _array((f"{field}.directories[{name!r}]", name, one) for name, one in share.directories.items())
    create = lib.applevz_directory_share_create_with_directories
    return owned.make(create, array, len(array), field=field)


def _array(directories: Iterable[tuple[str, str, object]]) -> tuple[Pointer, list[Pointer]]:
    """An array of the directories, and the memory that it points to. Each comes with its field and its name."""
    rows, memory = [], []
    for field, name, given in directories:
        directory = arguments.instance(field, given, (SharedDirectory,))
        texts = arguments.text(f"the name of {field}", name), arguments.path(f"{field}.path", directory.path)
        pointers = [ffi.from_buffer(text) for text in texts]
        memory.extend(pointers)
        read_only = arguments.boolean(f"{field}.read_only", directory.read_only)
        rows.append((pointers[0], len(texts[0]), pointers[1], len(texts[1]), read_only))
    return ffi.new("applevz_shared_directory[]", rows), memory
