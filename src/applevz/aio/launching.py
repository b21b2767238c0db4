# SPDX-License-Identifier: Apache-2.0
"""`launch`: a machine on an image, in one call, awaited. `_core/launching.py` decides what it is made of."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from .._core.launching import Launch, image_in_cache
from .._core.states import ShutdownPolicy
from .._values.arguments import PathLike
from .._values.sizes import Size
from ..configuration.cloud_init import CloudInitSeed
from ..configuration.machine import VirtualMachineConfiguration
from ..configuration.resource_limits import ResourceLimits
from ..errors import Error
from ._loop import run
from ._threads import called_in_loop, run_in_thread
from .machine import VirtualMachine

if TYPE_CHECKING:
    from .._core.cached_launching import CachedLaunch
    from .._images.image import Image
    from .._images.task import Progress
    from .guest import Guest

__all__ = ["launch"]


async def launch(
    image: str | PathLike | Image,
    *,
    disk: PathLike | None = None,
    overlay_directory: PathLike | None = None,
    kernel: PathLike | None = None,
    initial_ramdisk: PathLike | None = None,
    command_line: str | None = None,
    cpu_count: int | None = None,
    memory_size: Size = "1GiB",
    internet: bool | None = True,
    host_access: bool = False,
    resource_limits: ResourceLimits | None = None,
    seed: CloudInitSeed | None = None,
    user_data: str | Mapping[str, Any] | None = None,
    ssh_authorized_keys: Sequence[str] = (),
    users: Sequence[str | Mapping[str, Any]] = (),
    packages: Sequence[str | Sequence[str]] = (),
    configure: Callable[[VirtualMachineConfiguration], object] | None = None,
    cached: bool = False,
    prepare: Callable[[Guest], object] | None = None,
    prepare_key: str | None = None,
    wait: bool = True,
    timeout: float | None = None,
    progress: Callable[[Progress], object] | None = None,
    cache: PathLike | None = None,
) -> VirtualMachine:
    """Starts a machine on an image, waits until the guest's agent answers, and returns it.

    `image` is a name for `images.pull` (`"debian:13"`), a file for `images.of`, or an `images.Image`; text with a slash
    in it is a file's path. The image is only read. What the guest writes is gone with the machine, and is in a nameless
    file in `overlay_directory` until then, as with `DiskImageStorageDeviceAttachment`. With `disk` it is in that file,
    and lasts: one that is not there is made (`create_disk_image(disk, base=…)`), one that is there is gone on with.

    EFI firmware boots the disk, with variables that are gone with the machine. A `kernel` is booted in its place, with
    its `initial_ramdisk` and `command_line`, `"root=/dev/vda rw console=hvc0"` unless it is given. An `images.Image`
    may have all three.

    The guest has `cpu_count` processors (2, or what the host allows), `memory_size`, and a network card with NAT:
    `internet=False` lets it out to nothing, and with `internet=None` it has no card. It does not reach this host
    without `host_access=True`, and takes of it what `resource_limits` let it: without them, what it wants. `seed` sets
    it up, or one that is made of `user_data`, `ssh_authorized_keys`, `users` and `packages`, as `CloudInitSeed` has
    them; the agent is added. With an initial RAM disk the agent comes with that, and there is a seed only if one of
    these is given. `configure` is called with the configuration before the machine is made of it, and can change all
    else.

    With `cached` it boots, is saved once it is ready, and later calls for the same guest go on from there, each with a
    memory and a disk of its own. `prepare` is called with the machine's `guest` when that is ready: with `cached` once,
    before it is saved, otherwise each time; `prepare_key` is a text that is another one whenever `prepare` does
    something else. Whatever decides what the guest is makes another state: image, kernel, RAM disk, command line, seed,
    processors, memory, network, all that `configure` did, and this library's version. A state that does not fit, or is
    damaged, is replaced: the guest is booted. Of several calls at once one boots and the others wait.

    `progress` is called with each `images.Progress`, and `cache` is the images' folder. With `wait=False` the machine
    is returned once it runs. Otherwise its agent has answered, and if a `command_line` with `root=` and an
    `initial_ramdisk` boot it, that root is there; cloud-init may still be at work. `timeout` is for all of it, in
    seconds, None for no limit.

    If it fails, is interrupted or is cancelled, nothing is left of it but images in the cache.

    Raises the errors of `images.pull`, of `CloudInitSeed.image`, of making and of starting a machine;
    `InvalidArgumentError`, which names the argument; `NotSupportedError` without `capabilities.disk_overlays`, `efi` or
    `guest_agent`; and `GuestNotAnsweringError`, a `TimeoutError`, which shows what the console printed last.
    """
    what = Launch(
        image_in_cache(image, cache),
        disk=disk,
        overlay_directory=overlay_directory,
        kernel=kernel,
        initial_ramdisk=initial_ramdisk,
        command_line=command_line,
        cpu_count=cpu_count,
        memory_size=memory_size,
        internet=internet,
        host_access=host_access,
        resource_limits=resource_limits,
        seed=seed,
        user_data=user_data,
        ssh_authorized_keys=ssh_authorized_keys,
        users=users,
        packages=packages,
        configure=configure,
        cached=cached,
        prepare=prepare,
        prepare_key=prepare_key,
        wait=wait,
        timeout=timeout,
        progress=progress,
    )
    found = what.image
    if found is None:
        from . import images  # not with the package: it is slow to import

        if what.file is not None:
            found = await images.of(what.file, progress=progress, timeout=timeout, cache=cache)
        else:
            found = await images.pull(what.name, progress=progress, timeout=timeout, cache=cache)
    with what.undone():
        configuration = what.configuration(found)
        if what.cached:
            return await _cached(what, configuration, progress, cache)
        return await _booted(what, configuration)


async def _booted(what: Launch, configuration: VirtualMachineConfiguration) -> VirtualMachine:
    machine = VirtualMachine(configuration)
    async with _ended(machine):
        await run(machine._start(what.deadline))
        if what.waits:
            what.tell_boot()
            await machine.guest._go(what.ready(machine.guest))
        if what.prepare is not None:
            prepared = what.prepare(machine.guest)
            if inspect.isawaitable(prepared):
                await prepared
    return machine


async def _cached(
    what: Launch,
    configuration: VirtualMachineConfiguration,
    progress: Callable[[Progress], object] | None,
    cache: PathLike | None,
) -> VirtualMachine:
    from .._core.cached_launching import CachedLaunch, LaunchTask  # only who caches needs it

    task = LaunchTask(what, None if progress is None else called_in_loop(progress))
    # Files are read, and others are waited for.
    launch = await run_in_thread(task, functools.partial(CachedLaunch, what, configuration, cache))
    machine = await _restored(launch)
    if machine is not None:
        return machine
    with ExitStack() as held:
        await run_in_thread(task, lambda: held.enter_context(launch.lock(task)))
        # Somebody else may have made it meanwhile.
        machine = await _restored(launch)
        if machine is not None:
            return machine
        machine = await _booted(what, configuration)
        async with _ended(machine):
            path = held.enter_context(launch.work())
            await run(launch.save(machine, path))
            await run_in_thread(task, functools.partial(launch.publish, path, task))
            await machine.guest._go(machine.guest._went_on(launch.deadline))
    return machine


async def _restored(launch: CachedLaunch) -> VirtualMachine | None:
    configuration = launch.configuration()
    if configuration is None:
        return None
    try:
        machine = VirtualMachine(configuration)
        async with _ended(machine):
            await run(launch.restore(machine))
            await machine.guest._go(machine.guest._went_on(launch.deadline))
    except Error as error:
        if not launch.is_refused(error):
            raise
        return None
    return machine


@asynccontextmanager
async def _ended(machine: VirtualMachine) -> AsyncIterator[None]:
    """Ends the machine, unless what is done in here comes to its end."""
    try:
        yield
    except BaseException:
        await machine.shutdown(ShutdownPolicy.POWEROFF)
        raise
