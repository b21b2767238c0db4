# SPDX-License-Identifier: Apache-2.0
"""The memory balloon of a machine."""

from __future__ import annotations

from ..._native import ffi, lib
from ..._values.sizes import Size, size
from ...errors import check
from .device import MachineDevice

__all__ = ["VirtioTraditionalMemoryBalloonDevice"]


class VirtioTraditionalMemoryBalloonDevice(MachineDevice):
    """Takes memory back from a guest (`VZVirtioTraditionalMemoryBalloonDevice`). It keeps its machine."""

    __slots__ = ()

    @property
    def target_virtual_machine_memory_size(self) -> int:
        """The memory that the guest is to have, in bytes. At first that is all the memory of the machine.

        It can be set at any time, to bytes or text like `"256MiB"`, and is rounded down to whole MiB. The guest's
        driver gives memory up, or takes it again, in its own time; a guest without the driver does neither. The target
        stays for later starts, until `POWEROFF` has to let go of the machine. Setting it raises `InvalidArgumentError`
        for less than `limits().minimum_memory_size` and for more than the machine's memory.
        """
        target = ffi.new("uint64_t *")
        check(lib.applevz_machine_memory_balloon_target(self._handle, self._index, target))
        return int(target[0])

    @target_virtual_machine_memory_size.setter
    def target_virtual_machine_memory_size(self, value: Size) -> None:
        target = size("target_virtual_machine_memory_size", value)
        check(lib.applevz_machine_set_memory_balloon_target(self._handle, self._index, target))

    def __repr__(self) -> str:
        return f"<VirtioTraditionalMemoryBalloonDevice {self.target_virtual_machine_memory_size} bytes>"
