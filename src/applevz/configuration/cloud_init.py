# SPDX-License-Identifier: Apache-2.0
"""Seeds: disks by which cloud-init sets a guest up at its first boot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from .._host.cloud_init import seed_files
from .._host.disk_images import write_disk_image
from .._host.seed_disks import seed_disk
from .._values.arguments import PathLike
from .storage import DiskImageStorageDeviceAttachment

__all__ = ["CloudInitSeed"]


@dataclass
class CloudInitSeed:
    """What a guest's cloud-init finds on a disk (NoCloud, volume label `cidata`), and does at the guest's first boot.

    `user_data`, `meta_data` and `network_config` are text, which is given as it is, or dictionaries of what JSON has.
    Text of `user_data` begins with the line that says what it is, as `#cloud-config` or `#!/bin/sh`; a dictionary is
    cloud-config. A dictionary of `meta_data` gets an `instance-id` if it has none, which is another one if the seed is:
    cloud-init does its work once for each.

    `ssh_authorized_keys`, `users` and `packages` are added to a dictionary's lists of these names. `guest_agent` has
    the guest install this package's agent as a service, of systemd or OpenRC, and start it; the machine's
    configuration needs `guest_agent=True`, which is the agent's port. It needs no network, and leaves the user data as
    it is.

    A disk is made with pycdlib: `pip install 'applevz[seed]'`. Values are looked at when one is made.
    """

    user_data: str | Mapping[str, Any] | None = None
    meta_data: str | Mapping[str, Any] | None = None
    network_config: str | Mapping[str, Any] | None = None
    _: KW_ONLY
    ssh_authorized_keys: Sequence[str] = ()
    users: Sequence[str | Mapping[str, Any]] = ()
    packages: Sequence[str | Sequence[str]] = ()
    guest_agent: bool = False

    def files(self) -> dict[str, bytes]:
        """The files of the disk, by their names.

        Raises `InvalidArgumentError`, which names the field and the value, and `NotSupportedError` for a guest agent
        that this installation does not have.
        """
        return seed_files(
            self.user_data,
            self.meta_data,
            self.network_config,
            self.ssh_authorized_keys,
            self.users,
            self.packages,
            self.guest_agent,
        )

    def image(self) -> bytes:
        """The disk's bytes, the same for the same seed. Raises what `files` does, and `NotSupportedError` if pycdlib is
        not installed."""
        return seed_disk("cidata", self.files())

    def write(self, path: PathLike, overwrite: bool = False) -> None:
        """Makes the disk's file, whole or not at all. Only this user may read it: it may hold passwords and keys.

        A file that exists stays as it is, and raises `POSIXError`, which is a `FileExistsError` then; with `overwrite`
        it is replaced. Raises what `image` does.
        """
        write_disk_image(path, self.image(), overwrite)

    def attachment(self, path: PathLike) -> DiskImageStorageDeviceAttachment:
        """The disk as the data of a storage device, read-only. Its file is made, unless it is there and the same.

        A machine that is to be restored finds the same file, of the same time, by that. Raises what `write` does.
        """
        write_disk_image(path, self.image(), overwrite=False, same_is_right=True)
        return DiskImageStorageDeviceAttachment(path, read_only=True)
