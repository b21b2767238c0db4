# SPDX-License-Identifier: Apache-2.0
"""`applevz.images` for asyncio: the same functions, awaited.

Each call has a thread of its own, since files and qemu-img are waited for. Cancelling a call ends what it does: a
download keeps what came, for the next one, and all else is removed. The call ends only after that.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .._images.building import build_debian as _build_debian
from .._images.building import building_task
from .._images.cached_states import list_cached_states
from .._images.image import Image
from .._images.importing import import_file
from .._images.pulling import pull as _pull
from .._images.removal import list_images, prune_images, remove_images
from .._images.task import Progress, Task
from .._states.saved_state import SavedState
from .._values.arguments import PathLike, instance
from .._values.sizes import Size
from ..configuration.cloud_init import CloudInitSeed
from ._threads import called_in_loop, run_in_thread

__all__ = ["Image", "Progress", "build_debian", "cached_states", "list", "of", "prune", "pull", "remove"]

def _task(timeout: float | None, progress: Callable[[Progress], object] | None, what: str) -> Task:
    return Task(timeout, None if progress is None else called_in_loop(progress), what)


async def pull(
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
    """As `applevz.images.pull`. `progress` is called in the loop."""
    task = _task(timeout, progress, str(source))
    options: dict[str, Any] = {
        "architecture": architecture,
        "checksum": checksum,
        "mirrors": mirrors,
        "name": name,
        "user": user,
        "offline": offline,
        "refresh": refresh,
        "keyring": keyring,
        "require_signature": require_signature,
        "maximum_size": maximum_size,
        "maximum_data": maximum_data,
        "silence": silence,
        "catalog": catalog,
        "cache": cache,
    }
    return await run_in_thread(task, functools.partial(_pull, task, source, **options))


async def of(
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
    """As `applevz.images.of`. `progress` is called in the loop."""
    task = _task(timeout, progress, str(path))
    options: dict[str, Any] = {
        "file_format": file_format,
        "name": name,
        "architecture": architecture,
        "user": user,
        "boot": boot,
        "checksum": checksum,
        "backing_folders": backing_folders,
        "maximum_size": maximum_size,
        "maximum_data": maximum_data,
        "cache": cache,
    }
    return await run_in_thread(task, functools.partial(import_file, task, path, **options))


async def build_debian(
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
    """As `applevz.images.build_debian`. `progress` is called in the loop."""
    task = building_task(timeout, None if progress is None else called_in_loop(progress), release)
    options: dict[str, Any] = {
        "packages": packages,
        "seed": None if seed is None else instance("seed", seed, (CloudInitSeed,)).files(),
        "mirror": mirror,
        "size": size,
        "guest_agent": guest_agent,
        "boot": boot,
        "name": name,
        "refresh": refresh,
        "cache": cache,
    }
    return await run_in_thread(task, functools.partial(_build_debian, task, release, **options))


async def list(*, cache: PathLike | None = None) -> Sequence[Image]:
    """As `applevz.images.list`."""
    return await run_in_thread(None, functools.partial(list_images, cache))


async def remove(
    name: str | Image, *, architecture: str | None = None, timeout: float | None = None, cache: PathLike | None = None
) -> Sequence[Image]:
    """As `applevz.images.remove`."""
    task = Task(timeout, None, str(name))
    return await run_in_thread(task, functools.partial(remove_images, task, name, architecture, cache))


async def cached_states(*, cache: PathLike | None = None) -> Sequence[SavedState]:
    """As `applevz.images.cached_states`."""
    return await run_in_thread(None, functools.partial(list_cached_states, cache))


async def prune(*, timeout: float | None = None, cache: PathLike | None = None) -> Sequence[Image]:
    """As `applevz.images.prune`."""
    task = Task(timeout, None, "pruning")
    return await run_in_thread(task, functools.partial(prune_images, task, cache))
