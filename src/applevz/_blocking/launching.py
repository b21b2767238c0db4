# SPDX-License-Identifier: Apache-2.0
"""`launch`: a machine on an image, in one call. `_core/launching.py` decides what it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .._core.launching import Launch, image_in_cache
from .._core.operation import run
from .._core.states import ShutdownPolicy
from .._values.arguments import PathLike
from .._values.sizes import Size
from ..configuration.cloud_init import CloudInitSeed
from ..configuration.machine import VirtualMachineConfiguration
from ..configuration.resource_limits import ResourceLimits
from ..errors import Error
from .machine import VirtualMachine

if TYPE_CHECKING:
    from .._core.cached_launching import CachedLaunch
    from .._images.image import Image
    from .._images.task import Progress
    from .guest import Guest

__all__ = ["launch"]


def launch(
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

    If it fails, or Ctrl-C ends it, nothing is left of it but images in the cache.

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
        from .. import images  # not with the package: it is slow to import

        if what.file is not None:
            found = images.of(what.file, progress=progress, timeout=timeout, cache=cache)
        else:
            found = images.pull(what.name, progress=progress, timeout=timeout, cache=cache)
    with what.undone():
        configuration = what.configuration(found)
        if what.cached:
            return _cached(what, configuration, progress, cache)
        return _booted(what, configuration)


def _booted(what: Launch, configuration: VirtualMachineConfiguration) -> VirtualMachine:
    machine = VirtualMachine(configuration)
    with _ended(machine):
        run(machine._start(what.deadline))
        if what.waits:
            what.tell_boot()
            machine.guest._go(what.ready(machine.guest))
        if what.prepare is not None:
            what.prepared(what.prepare(machine.guest))
    return machine


def _cached(
    what: Launch,
    configuration: VirtualMachineConfiguration,
    progress: Callable[[Progress], object] | None,
    cache: PathLike | None,
) -> VirtualMachine:
    from .._core.cached_launching import CachedLaunch, LaunchTask  # only who caches needs it

    task = LaunchTask(what, progress)
    launch = CachedLaunch(what, configuration, cache)
    machine = _restored(launch)
    if machine is not None:
        return machine
    with launch.lock(task):
        # Somebody else may have made it meanwhile.
        machine = _restored(launch)
        if machine is not None:
            return machine
        machine = _booted(what, configuration)
        with _ended(machine), launch.work() as path:
            run(launch.save(machine, path))
            launch.publish(path, task)
            machine.guest._go(machine.guest._went_on(launch.deadline))
    return machine


def _restored(launch: CachedLaunch) -> VirtualMachine | None:
    configuration = launch.configuration()
    if configuration is None:
        return None
    try:
        machine = VirtualMachine(configuration)
        with _ended(machine):
            run(launch.restore(machine))
            machine.guest._go(machine.guest._went_on(launch.deadline))
    except Error as error:
        if not launch.is_refused(error):
            raise
        return None
    return machine


@contextmanager
def _ended(machine: VirtualMachine) -> Iterator[None]:
    """Ends the machine, unless what is done in here comes to its end."""
    try:
        yield
    except BaseException:
        machine.shutdown(ShutdownPolicy.POWEROFF)
        raise
