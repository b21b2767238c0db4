# SPDX-License-Identifier: Apache-2.0
"""By what the state of a cached launch is known: a digest of all that decides what its guest is.

What decides nothing is left out, and costs no second state: where overlays are, where a console's output goes, and what
is random for each machine. What cannot be told is refused: nobody could say whether it is the same the next time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, BinaryIO, Final
from uuid import UUID

from .._host.capabilities import capabilities
from .._host.guest_agent import agent_program
from .._host.nameless_files import NamelessFile
from .._host.processors import processor_identity
from .._values.arguments import path as path_argument
from .._values.arguments import paths, shown
from .._values.file_identities import identity_of, is_settled
from ..configuration.boot_loaders import EFIVariableStore, LinuxBootLoader
from ..configuration.consoles import FileHandleSerialPortAttachment, FileSerialPortAttachment
from ..configuration.machine import VirtualMachineConfiguration
from ..configuration.network import FileHandleNetworkDeviceAttachment
from ..configuration.storage import (
    DiskBlockDeviceStorageDeviceAttachment,
    DiskImageStorageDeviceAttachment,
    NetworkBlockDeviceStorageDeviceAttachment,
)
from ..errors import InvalidArgumentError, make, make_posix

__all__ = ["key_of"]

# What is digested, and in which way: of another one there are no states.
_VERSION: Final = 1
# A kernel and its RAM disk take a tenth of a second to read.
_digests: dict[tuple[int, ...], str] = {}
_MOST_DIGESTS: Final = 64
_PART: Final = 1 << 20
_PLAIN: Final = (bool, int, float, str, bytes, type(None))
_MODULES: Final = "applevz.configuration."
# Of what is at the other end nothing is known.
_CONNECTED: Final = (
    FileHandleSerialPortAttachment,
    FileHandleNetworkDeviceAttachment,
    DiskBlockDeviceStorageDeviceAttachment,
    NetworkBlockDeviceStorageDeviceAttachment,
)


def key_of(configuration: VirtualMachineConfiguration, random: Mapping[object, str], more: tuple[str, ...]) -> str:
    """The key of a machine of this configuration. `random` has the values that are new for each machine, and `more` is
    what else counts.

    Reads the files that the guest boots from. Raises `InvalidArgumentError` for what is not the same, or cannot be
    told to be, each time, and `POSIXError` for a file that cannot be read.
    """
    from .. import __version__  # a circle: the package has all modules

    accelerated = bool(capabilities.hardware_acceleration)
    host = processor_identity() if accelerated else ""
    parts = (_VERSION, __version__, accelerated, host, more, _described("configuration", configuration, random))
    # Of such values as are left in it, `repr` is another text for each other one.
    return hashlib.sha256(repr(parts).encode(errors="surrogatepass")).hexdigest()


def _described(field: str, value: Any, random: Mapping[object, str]) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, enum.Enum):
        return kind.__name__, value.name
    if isinstance(value, UUID):
        return "UUID", str(value)
    if isinstance(value, PurePath):
        return os.fsencode(value)
    if kind in (list, tuple):
        return tuple(_described(f"{field}[{index}]", one, random) for index, one in enumerate(value))
    if kind is dict:
        return tuple((_described(field, name, random), _described(field, one, random)) for name, one in value.items())
    if dataclasses.is_dataclass(value) and kind.__module__.startswith(_MODULES) and kind not in _CONNECTED:
        with contextlib.suppress(TypeError):  # most of them have no hash
            if value in random:
                return "random", random[value]
        special = _SPECIAL.get(kind, _fields)
        return kind.__name__, special(field, value, random)
    raise make(
        InvalidArgumentError,
        f"cached is True, and {field} is {shown(value)}.",
        "Nobody can tell whether the guest finds the same there the next time.",
        "Leave it out, or launch without `cached`.",
    )


def _fields(field: str, value: Any, random: Mapping[object, str], without: tuple[str, ...] = ()) -> Any:
    return tuple(
        (one.name, _described(f"{field}.{one.name}", getattr(value, one.name), random))
        for one in dataclasses.fields(value)
        if one.name not in without
    )


# ---- What is in files ----


def _loader(field: str, value: LinuxBootLoader, random: Mapping[object, str]) -> Any:
    files = [
        None if path is None else _content(f"{field}.{name}", path)
        for name, path in (("kernel", value.kernel), ("initial_ramdisk", value.initial_ramdisk))
    ]
    agent = hashlib.sha256(agent_program()).hexdigest() if value.guest_agent is True else ""
    return (*files, agent, _fields(field, value, random, ("kernel", "initial_ramdisk")))


def _store(field: str, value: EFIVariableStore, _: Mapping[object, str]) -> Any:
    if not isinstance(value.path, NamelessFile):
        raise _lasting(f"{field}.path", value.path, "Leave the variable store as it is: each machine has its own.")
    return _content(f"{field}.path", value.path)


def _disk(field: str, value: DiskImageStorageDeviceAttachment, random: Mapping[object, str]) -> Any:
    if value.ephemeral is not True and value.read_only is not True:
        raise _lasting(f"{field}.path", value.path, "Make it `ephemeral`, or `read_only`.")
    bases = () if value.base is None else paths(f"{field}.base", value.base)
    files = [_identity(f"{field}.path", value.path), *(_identity(f"{field}.base", base) for base in bases)]
    return (*files, _fields(field, value, random, ("path", "base", "overlay_directory")))


def _file(_: str, value: FileSerialPortAttachment, __: Mapping[object, str]) -> Any:
    return type(value).__name__


def _machine(field: str, value: VirtualMachineConfiguration, random: Mapping[object, str]) -> Any:
    # The guest is the same one, whatever its program is kept from, and whatever that takes of the host.
    return _fields(field, value, random, ("confinement", "resource_limits"))


_SPECIAL: Final[Mapping[type, Callable[[str, Any, Mapping[object, str]], Any]]] = {
    VirtualMachineConfiguration: _machine,
    LinuxBootLoader: _loader,
    EFIVariableStore: _store,
    DiskImageStorageDeviceAttachment: _disk,
    FileSerialPortAttachment: _file,
}


def _lasting(field: str, value: object, suggestion: str) -> Exception:
    return make(
        InvalidArgumentError,
        f"cached is True, and {field} is {shown(value)}, which lasts.",
        "Machines that go on from one state write to nothing that is there after them.",
        suggestion,
    )


def _identity(field: str, path: Any) -> Any:
    """What tells a disk's image: like a saved state, by the time of its last writing. It is too long to be read."""
    if isinstance(path, NamelessFile):
        return _content(field, path)
    name = os.path.realpath(path_argument(field, path))
    try:
        status = os.stat(name)
    except OSError as error:
        raise _unreadable(error, field, name) from error
    return name, status.st_ino, status.st_size, status.st_mtime_ns


def _content(field: str, path: Any) -> str:
    name = path_argument(field, path)
    try:
        number = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(number, "rb") as file:
            status = os.fstat(number)
            if not stat.S_ISREG(status.st_mode):
                raise make(
                    InvalidArgumentError,
                    f"cached is True, and {field} is {shown(os.fsdecode(name))}, which is no file.",
                    "What a guest is booted from is known by what is in it.",
                    "Name a file.",
                )
            return _digest(file, status)
    except OSError as error:
        raise _unreadable(error, field, name) from error


def _digest(file: BinaryIO, status: os.stat_result) -> str:
    identity = identity_of(status)
    found = _digests.get(identity)
    if found is None:
        digest = hashlib.sha256()
        while part := file.read(_PART):
            digest.update(part)
        found = digest.hexdigest()
        if is_settled(status):
            if len(_digests) >= _MOST_DIGESTS:
                _digests.clear()
            _digests[identity] = found
    return found


def _unreadable(error: OSError, field: str, name: bytes) -> Exception:
    suggestion = "Name a file that is there, and that this user may read."
    return make_posix(error, f"{field} is {shown(os.fsdecode(name))}, which cannot be read.", suggestion, name)
