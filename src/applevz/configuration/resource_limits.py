# SPDX-License-Identifier: Apache-2.0
"""What a machine may take of the host."""

from __future__ import annotations

from dataclasses import dataclass

from .._values.arguments import PathLike
from .._values.sizes import Size

__all__ = ["ResourceLimits"]


@dataclass(frozen=True)
class ResourceLimits:
    """What a machine may take of the host at most, whatever its guest does. None is no limit.

    `overlay_size` is for disks that are `ephemeral` or have a `base`: how long the file with what a guest wrote may
    be, of each disk. It is in bytes, or text like `"2GiB"`, at least 1 MiB; a part of it is for tables. If it is full,
    what the guest writes elsewhere on the disk fails as on a broken disk, and the host's file system stays as it is.
    What the guest discards (fstrim) makes room. The file has that length from the start, and takes room as it is
    written to. If it is longer already, a start raises `InvalidDiskImageError`, and a restore `RestoreError`.

    `disk_bytes_per_second` and `disk_operations_per_second` are of all disks of the machine together, read and written,
    with those that are attached later, but for disks on servers. A guest that wants more waits. (QEMU's throttle
    groups, https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html#object-QMP-qom.ThrottleGroupProperties)

    `processors` is how much of the host's processors all processes that run the machine may use together: 1.5 is as
    much time as one and a half have. `memory`, in bytes or as text, is what they may have together, the guest's memory
    and what QEMU needs besides, for which 256 MiB are a good measure. A machine that needs more ends with an error. The
    kernel holds them to these two, by a control group (cgroup version 2), which is made for each start and gone with
    its end. `control_group` is the folder of the group in which it is made; without one that is the group that was
    delegated to this process: the one above its own. (https://docs.kernel.org/admin-guide/cgroup-v2.html,
    https://systemd.io/CGROUP_DELEGATION/) If there is none, a start raises `NotSupportedError`, which says why, as does
    `capabilities.control_groups`.

    All of them need `capabilities.disk_limits`: they are not on a Mac, where `NotSupportedError` is raised.
    """

    processors: float | None = None
    memory: Size | None = None
    control_group: PathLike | None = None
    overlay_size: Size | None = None
    disk_bytes_per_second: Size | None = None
    disk_operations_per_second: int | None = None
