# SPDX-License-Identifier: Apache-2.0
"""Disk images by name: found, downloaded, verified, converted and kept.

    from applevz import images

    image = images.pull("debian:13")
    disk = DiskImageStorageDeviceAttachment(image.path, read_only=True)

Images are kept in the user's cache, as raw disks that nobody writes to. What is there is used without a network.
`applevz.aio.images` has the same functions, which are awaited. They take the extra `images`:
`pip install 'applevz[images]'`, and the program qemu-img.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ._images.building import build_debian as _build_debian
from ._images.building import building_task
from ._images.cached_states import list_cached_states
from ._images.image import Image
from ._images.importing import import_file
from ._images.pulling import pull as _pull
from ._images.removal import list_images, prune_images, remove_images
from ._images.task import Progress, Task
from ._states.saved_state import SavedState
from ._values.arguments import PathLike, instance
from ._values.sizes import Size
from .configuration.cloud_init import CloudInitSeed

__all__ = ["Image", "Progress", "build_debian", "cached_states", "list", "of", "prune", "pull", "remove"]


def pull(
    source: str,
    *,
    architecture: str | None = None,
    checksum: str | None = None,
    mirrors: Sequence[str] = (),
    name: str | None = None,
    user: str | None = None,
    offline: bool = False,
    refresh: bool = False,
    keyring: PathLike | None = None,
    require_signature: bool = False,
    maximum_size: Size = "256GiB",
    maximum_data: Size = "32GiB",
    silence: float = 60.0,
    progress: Callable[[Progress], object] | None = None,
    timeout: float | None = None,
    catalog: PathLike | None = None,
    cache: PathLike | None = None,
) -> Image:
    """The image of a name like `"debian:13"`, or that at an address of https, http or file.

    What is in the cache is taken from there, without a network: `refresh=True` asks whether there is a newer one, and
    `offline=True` never asks. Otherwise it is downloaded, from where an earlier call ended, and used only if its
    checksum is right. Two calls at once download once.

    `architecture` is `"x86_64"` or `"aarch64"`, and this host's if it is None. `checksum`, as `"sha256:…"`, is needed
    for an address; with a name it has to be what the distribution tells. `mirrors` are other addresses of the same
    file. `name` is what an image from an address is listed as. `user` is noted in the image. `keyring` is a file of
    keys of PGP, by which the signature of the distribution's checksums is checked; if it is None, the distribution's
    own on this host is used, if it is there. `Image.signed_by` tells whether one was checked; `require_signature=True`
    refuses an image without. `maximum_size` and `maximum_data` are how large the guest's disk may be, and what may be
    downloaded and taken up here. `silence` are the seconds after which a server that sends nothing is given up.
    `progress` is called with each `Progress`, in this thread. `catalog` is a file of JSON in place of the package's
    own. `cache` is a folder in place of the user's.

    Raises `InvalidArgumentError` for a name that is not known, `ImageNotFoundError` if it is offline and not there,
    `DownloadError` if no server gives it, `InvalidDiskImageError` if what it gives is wrong, `NotSupportedError` if a
    package or a program is missing, `TimeoutError`, and `POSIXError`.
    """
    return _pull(
        Task(timeout, progress, str(source)),
        source,
        architecture=architecture,
        checksum=checksum,
        mirrors=mirrors,
        name=name,
        user=user,
        offline=offline,
        refresh=refresh,
        keyring=keyring,
        require_signature=require_signature,
        maximum_size=maximum_size,
        maximum_data=maximum_data,
        silence=silence,
        catalog=catalog,
        cache=cache,
    )


def of(
    path: PathLike,
    *,
    file_format: str | None = None,
    name: str | None = None,
    architecture: str | None = None,
    user: str | None = None,
    boot: str | None = None,
    checksum: str | None = None,
    backing_folders: Sequence[PathLike] = (),
    maximum_size: Size = "256GiB",
    maximum_data: Size = "32GiB",
    progress: Callable[[Progress], object] | None = None,
    timeout: float | None = None,
    cache: PathLike | None = None,
) -> Image:
    """The image of a file: qcow2, vmdk, vdi, vhdx or raw, or one of them packed by gzip, xz or zstd.

    It is converted once. As long as the file, and those beneath it, have the same path, length, dates and number, the
    next call finds it in the cache.

    `file_format` is `"raw"`, `"qcow2"`, `"vmdk"`, `"vdi"`, `"vhdx"`, `"gz"`, `"xz"` or `"zst"`; if it is None, the
    file's beginning tells. Backing files lie in the image's folder, or in one of `backing_folders`, and below. An image
    that names other files, asks for more than `maximum_size` or `maximum_data`, or is encrypted, is refused before QEMU
    sees it. `name` is what it is listed as, the file's own if it is None. `architecture`, `user` and `boot` are only
    noted; `boot` is `"efi"` or `"kernel"`, and if it is None, the disk tells: EFI firmware boots one with a table of
    partitions, a CD, or a FAT file system.

    Raises `InvalidDiskImageError` for an image that is refused, and for a `checksum` that is not the file's,
    `InvalidArgumentError`, `NotSupportedError` if a package or a program is missing, `TimeoutError`, and `POSIXError`.
    """
    return import_file(
        Task(timeout, progress, str(path)),
        path,
        file_format=file_format,
        name=name,
        architecture=architecture,
        user=user,
        boot=boot,
        checksum=checksum,
        backing_folders=backing_folders,
        maximum_size=maximum_size,
        maximum_data=maximum_data,
        cache=cache,
    )


def build_debian(
    release: str = "trixie",
    *,
    packages: Sequence[str] = (),
    seed: CloudInitSeed | None = None,
    mirror: str | None = None,
    size: Size = "2GiB",
    guest_agent: bool = True,
    boot: str = "kernel",
    name: str | None = None,
    refresh: bool = False,
    progress: Callable[[Progress], object] | None = None,
    timeout: float | None = None,
    cache: PathLike | None = None,
) -> Image:
    """A Debian that is made here of its packages, by the program mmdebstrap.

    `release` is `"trixie"`, `"13"` or any other name that the mirror has. `packages` are added to a small system with
    systemd, and `guest_agent` to that this package's agent. `seed` is what cloud-init does at the first boot; without
    one the image has no cloud-init. `mirror` is an address of packages; if it is None, mmdebstrap's own choice. `size`
    is the disk's. The image is for this host's processor. With `boot="kernel"` its `kernel`, `initial_ramdisk` and
    `command_line` boot it:

        LinuxBootLoader(image.kernel, image.initial_ramdisk, image.command_line)

    With `boot="efi"` they are on its disk, with a table of partitions and a boot loader, and EFI firmware boots it.
    `applevz.launch(image)` boots either. `progress` is called with each `Progress`, in this thread.

    The same recipe is made once. With `refresh=True` it is made again, of what the mirror has then; from the same
    packages come the same bytes. It takes mmdebstrap, genext2fs and e2fsprogs, for EFI also mtools and sfdisk. Who is
    not root needs the package uidmap and numbers in /etc/subuid, or fakechroot and fakeroot.

    Raises `InvalidArgumentError`, `NotSupportedError` if a program or a package is missing, or the agent,
    `InternalError` with mmdebstrap's words if it fails, `TimeoutError`, and `POSIXError`.
    """
    return _build_debian(
        building_task(timeout, progress, release),
        release,
        packages=packages,
        seed=None if seed is None else instance("seed", seed, (CloudInitSeed,)).files(),
        mirror=mirror,
        size=size,
        guest_agent=guest_agent,
        boot=boot,
        name=name,
        refresh=refresh,
        cache=cache,
    )


def list(*, cache: PathLike | None = None) -> Sequence[Image]:
    """The images in the cache, by name; of one name the newest first. Raises `POSIXError`."""
    return list_images(cache)


def remove(
    name: str | Image, *, architecture: str | None = None, timeout: float | None = None, cache: PathLike | None = None
) -> Sequence[Image]:
    """Removes an image, or all of that name, and returns what was removed.

    A machine that has the disk open goes on with it. Saved states in the cache of guests that were launched on it are
    removed, too. A disk that was made on it (`base=`) can be used no more, nor can another saved state that needs it:
    `applevz.states.needing` lists those.

    Raises `ImageNotFoundError` if there is none, `TimeoutError`, and `POSIXError`.
    """
    return remove_images(Task(timeout, None, str(name)), name, architecture, cache)


def cached_states(*, cache: PathLike | None = None) -> Sequence[SavedState]:
    """The saved states of guests that were launched with `cached=True`, the last used first.

    There are up to 16; those that were not used for longest make room. `applevz.states.remove` removes one, at any
    time: the next launch boots its guest. `remove` removes those of an image with it. Raises `POSIXError`.
    """
    return list_cached_states(cache)


def prune(*, timeout: float | None = None, cache: PathLike | None = None) -> Sequence[Image]:
    """Removes each image of which there is a newer one, saved states in the cache whose image is gone, and what
    downloads and processes left. Returns those images.

    What another call works on just now stays.
    """
    return prune_images(Task(timeout, None, "pruning"), cache)
