# SPDX-License-Identifier: Apache-2.0
"""`launch`: what both faces share, which is all but the waiting.

What is made for the machine has no name: it goes with the machine, however that ends. A lasting disk has one; if the
call that made it fails, it is removed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .._builder.resource_limits import native_limits
from .._host.capabilities import capabilities
from .._host.disk_images import create_disk_image
from .._host.limits import limits
from .._host.nameless_files import NamelessFile
from .._values.arguments import PathLike, boolean, instance, shown, text, wrong_type
from .._values.arguments import path as path_argument
from .._values.sizes import Size
from .._values.sizes import size as size_argument
from ..configuration.boot_loaders import EFIBootLoader, EFIVariableStore, LinuxBootLoader
from ..configuration.cloud_init import CloudInitSeed
from ..configuration.entropy import VirtioEntropyDeviceConfiguration
from ..configuration.machine import VirtualMachineConfiguration
from ..configuration.network import MACAddress, NATNetworkDeviceAttachment, VirtioNetworkDeviceConfiguration
from ..configuration.platforms import GenericMachineIdentifier, GenericPlatformConfiguration
from ..configuration.resource_limits import ResourceLimits
from ..configuration.storage import DiskImageStorageDeviceAttachment, VirtioBlockDeviceConfiguration
from ..errors import (
    Error,
    GuestNotAnsweringError,
    GuestUnreachableError,
    InvalidArgumentError,
    POSIXError,
    TimeoutError,
    make,
    make_posix,
)
from .deadline import Deadline
from .guest.files import read_file
from .guest.guest import BaseGuest
from .guest.streams import Subject, Waits

if TYPE_CHECKING:
    from .._images.image import Image
    from .._images.task import Progress

__all__ = ["Launch", "empty_variables", "image_in_cache", "root_is_mounted", "until_ready"]

_CPU_COUNT: Final = 2
_COMMAND_LINE: Final = "root=/dev/vda rw console=hvc0"
# The file system in which an initial RAM disk is.
_INITIAL: Final = b"rootfs"
# So many seconds pass between two looks at the guest's root.
_LOOK_AGAIN: Final = 0.2
# The root is among the first that are listed.
_LONGEST_MOUNTS: Final = 1 << 16


class Launch:
    """One call of `launch`: what was asked for, looked at before anything is done, and what is made for it."""

    def __init__(
        self,
        image: str | PathLike | Image,
        *,
        disk: PathLike | None,
        overlay_directory: PathLike | None,
        kernel: PathLike | None,
        initial_ramdisk: PathLike | None,
        command_line: str | None,
        cpu_count: int | None,
        memory_size: Size,
        internet: bool | None,
        host_access: bool,
        resource_limits: ResourceLimits | None,
        seed: CloudInitSeed | None,
        user_data: str | Mapping[str, Any] | None,
        ssh_authorized_keys: Sequence[str],
        users: Sequence[str | Mapping[str, Any]],
        packages: Sequence[str | Sequence[str]],
        configure: Callable[[VirtualMachineConfiguration], object] | None,
        cached: bool,
        prepare: Callable[[Any], object] | None,
        prepare_key: str | None,
        wait: bool,
        timeout: float | None,
        progress: Callable[[Progress], object] | None,
    ) -> None:
        self.deadline = Deadline(timeout)
        self.waits = boolean("wait", wait)
        self.cached = boolean("cached", cached)
        self.prepare = prepare
        self.prepare_key = prepare_key
        if progress is not None and not callable(progress):
            raise wrong_type("progress", progress, "a function of one argument")
        self._progress = progress
        self.random: dict[object, str] = {}
        """What is new for each machine, and what it is."""
        self._look_at_preparation(disk)
        self.image, self.name, self.file = _image_argument(image)
        if self.image is not None and kernel is None and self.image.kernel is not None:
            kernel = self.image.kernel
            initial_ramdisk = self.image.initial_ramdisk if initial_ramdisk is None else initial_ramdisk
            command_line = self.image.command_line if command_line is None else command_line
        self._kernel = None if kernel is None else path_argument("kernel", kernel)
        self._initial_ramdisk = None if initial_ramdisk is None else path_argument("initial_ramdisk", initial_ramdisk)
        self._command_line = _COMMAND_LINE if command_line is None else command_line
        text("command_line", self._command_line)
        self._disk = None if disk is None else path_argument("disk", disk)
        self._overlay_directory = (
            None if overlay_directory is None else path_argument("overlay_directory", overlay_directory)
        )
        self._cpu_count = cpu_count
        self._memory_size = size_argument("memory_size", memory_size)
        self._network = _network_argument(internet, host_access)
        self._resource_limits = ResourceLimits() if resource_limits is None else resource_limits
        native_limits(self._resource_limits)  # refuses what is none, before anything is done
        if configure is not None and not callable(configure):
            raise wrong_type("configure", configure, "a function, or None")
        self._configure = configure
        self._look_at_combinations(overlay_directory, initial_ramdisk, command_line)
        if self.image is None:
            self._look_at_host(internet)
        given = {
            "user_data": user_data,
            "ssh_authorized_keys": ssh_authorized_keys,
            "users": users,
            "packages": packages,
        }
        self._seed = self._seed_of(seed, given)
        self._made: tuple[bytes, os.stat_result] | None = None

    def _look_at_host(self, internet: bool | None) -> None:
        """The framework refuses what it cannot do, but that would be after an image was downloaded."""
        needed = [capabilities.guest_agent, capabilities.disk_overlays]
        if self._kernel is None:
            needed.append(capabilities.efi)
        if internet is False:
            needed.append(capabilities.isolated_networks)
        if self.cached:
            needed.append(capabilities.save_restore)
        for capability in needed:
            if capability.error is not None:
                raise capability.error

    def _look_at_preparation(self, disk: PathLike | None) -> None:
        if self.prepare is not None and not callable(self.prepare):
            raise wrong_type("prepare", self.prepare, "a function, or None")
        if self.prepare_key is not None:
            text("prepare_key", self.prepare_key)
        for wrong, words, reason, suggestion in (
            (
                self.cached and disk is not None,
                f"cached is True, and disk is {shown(disk)}.",
                "Machines that go on from one state cannot all write to a disk that lasts.",
                "Leave one of them out.",
            ),
            (
                not self.waits and (self.cached or self.prepare is not None),
                f"wait is False, and {'cached is True' if self.cached else 'prepare is given'}.",
                "That is for a guest that is ready.",
                "Leave one of them out.",
            ),
            (
                self.cached and self.prepare is not None and self.prepare_key is None,
                f"cached is True, prepare is {shown(self.prepare)}, and prepare_key is None.",
                "What a function does cannot be told from outside.",
                "Give a text as prepare_key, and another one whenever prepare does something else.",
            ),
            (
                self.prepare is None and self.prepare_key is not None,
                f"prepare_key is {shown(self.prepare_key)}, and prepare is None.",
                "There is nothing that it is the key of.",
                "Give prepare, too, or leave it out.",
            ),
        ):
            if wrong:
                raise make(InvalidArgumentError, words, reason, suggestion)

    def _look_at_combinations(
        self, overlay_directory: PathLike | None, initial_ramdisk: PathLike | None, command_line: str | None
    ) -> None:
        if self._disk is not None and overlay_directory is not None:
            raise make(
                InvalidArgumentError,
                f"overlay_directory is {shown(overlay_directory)}, and disk is {shown(os.fsdecode(self._disk))}.",
                "What is written to a disk that lasts is in its own file.",
                "Leave one of them out.",
            )
        for field, value in (("initial_ramdisk", initial_ramdisk), ("command_line", command_line)):
            if value is not None and self._kernel is None:
                raise make(
                    InvalidArgumentError,
                    f"{field} is {shown(value)}, and kernel is None.",
                    "The firmware boots what is on the disk.",
                    "Give a kernel, too, or leave it out.",
                )

    def _seed_of(self, seed: CloudInitSeed | None, given: Mapping[str, Any]) -> bytes | None:
        """The disk of the seed, if one is needed: it is made before anything is downloaded."""
        parts = {field: value for field, value in given.items() if value not in (None, (), [])}
        if seed is None:
            if not parts and self._initial_ramdisk is not None:
                return None  # the agent comes with the initial RAM disk
            seed = CloudInitSeed(**parts)
        else:
            instance("seed", seed, (CloudInitSeed,))
            for field, value in parts.items():
                raise make(
                    InvalidArgumentError,
                    f"{field} is {shown(value)}, and seed is given as well.",
                    "Nothing is added to a seed.",
                    f"Give {field} to the CloudInitSeed.",
                )
        if self._initial_ramdisk is None:
            seed = dataclasses.replace(seed, guest_agent=True)
        return seed.image()

    # ---- What the machine is made of ----

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        """Removes the lasting disk that was made, unless what is done in here comes to its end."""
        try:
            yield
        except BaseException:
            if self._made is not None:
                name, status = self._made
                with contextlib.suppress(OSError):
                    if os.path.samestat(os.lstat(name), status):
                        os.unlink(name)
            raise

    def configuration(self, image: Image) -> VirtualMachineConfiguration:
        """Makes the files that the machine needs, and returns what it is made of."""
        if image.boot == "kernel" and self._kernel is None:
            raise make(
                InvalidArgumentError,
                f"kernel is None, and the image {image.name!r} is booted by a kernel beside it.",
                "No firmware finds one on its disk.",
                "Give its kernel, and its initial RAM disk, if it has one.",
            )
        _look_at_architecture(image)
        disks = [self._disk_of(image)]
        seed = self._seed
        if seed is not None:
            disks.append(DiskImageStorageDeviceAttachment(_file("seed", lambda: seed), read_only=True))
        boot_loader: EFIBootLoader | LinuxBootLoader
        if self._kernel is None:
            boot_loader = EFIBootLoader(EFIVariableStore(_file("EFI variables", empty_variables)))
        else:
            boot_loader = LinuxBootLoader(
                self._kernel,
                self._initial_ramdisk,
                self._command_line,
                guest_agent=self._initial_ramdisk is not None,
            )
        cpu_count = self._cpu_count
        identifier = GenericMachineIdentifier.random()
        cards = [VirtioNetworkDeviceConfiguration(one, MACAddress.random()) for one in self._network]
        self.random = {identifier: "machine identifier"}
        self.random.update((card.mac_address, "MAC address") for card in cards)
        # By it machines that go on from one state are told apart.
        generations = self.cached and bool(capabilities.generation_identifier)
        configuration = VirtualMachineConfiguration(
            boot_loader,
            cpu_count=min(_CPU_COUNT, limits().maximum_cpu_count) if cpu_count is None else cpu_count,
            memory_size=self._memory_size,
            platform=GenericPlatformConfiguration(identifier, generations),
            storage_devices=[VirtioBlockDeviceConfiguration(disk) for disk in disks],
            network_devices=cards,
            entropy_devices=[VirtioEntropyDeviceConfiguration()],
            guest_agent=True,
            resource_limits=self._resource_limits,
        )
        if self._configure is not None:
            self._configure(configuration)
        return configuration

    def _disk_of(self, image: Image) -> DiskImageStorageDeviceAttachment:
        if self._disk is None:
            return DiskImageStorageDeviceAttachment(
                image.path, ephemeral=True, overlay_directory=self._overlay_directory
            )
        # Never a clone: a later call has to know which of the two it is.
        with contextlib.suppress(FileExistsError):
            create_disk_image(self._disk, base=image.path, clone=False)
            self._made = self._disk, os.lstat(self._disk)
        return DiskImageStorageDeviceAttachment(self._disk, base=image.path)

    @staticmethod
    def prepared(result: object) -> None:
        """Raises `InvalidArgumentTypeError` if nobody would wait for what `prepare` returned."""
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise wrong_type("What prepare returned", result, "no coroutine: applevz.aio.launch awaits one")

    # ---- Until it is ready ----

    def tell_boot(self) -> None:
        """Tells that the guest was started, and that its agent is waited for."""
        from .._images.task import Progress

        if self._progress is not None:
            self._progress(Progress("boot", 0, None))

    def ready(self, guest: BaseGuest) -> Waits[None]:
        """The steps until the agent answers, and a kernel's root is there."""
        try:
            yield from until_ready(
                guest, self._command_line if self._initial_ramdisk is not None else "", self.deadline
            )
        except GuestUnreachableError:
            # It was started, and ended by itself.
            if guest._session.has_turned_off:
                raise guest._turned_off() from None
            raise


def until_ready(guest: BaseGuest, command_line: str, deadline: Deadline) -> Waits[None]:
    """The steps until the agent answers, and the root is there that the command line of a kernel with an initial RAM
    disk names, if it names one."""
    yield from guest._ready(deadline)
    if not any(word.startswith("root=") for word in command_line.split()):
        return
    while not root_is_mounted((yield from _mounts(guest, deadline))):
        if deadline.passed:
            raise make(
                GuestNotAnsweringError,
                f"The guest's root, which command_line names, was not mounted within {deadline}.",
            )
        # Nobody tells: it is looked at again.
        yield Subject(), Deadline(deadline.remaining(_LOOK_AGAIN))


def _mounts(guest: BaseGuest, deadline: Deadline) -> Waits[bytes]:
    try:
        return (yield from read_file(guest._session, b"/proc/mounts", deadline, _LONGEST_MOUNTS))
    except (POSIXError, TimeoutError):
        return b""  # there is no /proc yet, or none any more; or the time is over


def root_is_mounted(mounts: bytes) -> bool:
    """Whether a guest whose /proc/mounts that is has gone over from the initial file system to its root."""
    lines = [line.split() for line in mounts.splitlines()]
    kinds = [fields[2] for fields in lines if len(fields) > 2 and fields[1] == b"/"]
    return bool(kinds) and kinds[-1] != _INITIAL


def image_in_cache(image: str | PathLike | Image, cache: PathLike | None) -> str | PathLike | Image:
    """The image that has that path in the cache, with all that is known of it; otherwise what was given."""
    from .._images.store import DISK_NAME, Store

    if not isinstance(image, str | bytes | os.PathLike) or (isinstance(image, str) and "/" not in image):
        return image
    path = os.fsdecode(path_argument("image", image))
    # The cache is made, if it is not there, for none that cannot be in it.
    return (Store(cache).at(path) if os.path.basename(path) == DISK_NAME else None) or image


def _image_argument(image: object) -> tuple[Image | None, str, PathLike | None]:
    """An image, the name of one, or a file: the others are None, or empty. Text with a slash in it is a path."""
    from .._images.catalog import wanted_image
    from .._images.image import Image

    if isinstance(image, Image):
        return image, "", None
    if isinstance(image, str) and "://" in image:
        raise make(
            InvalidArgumentError,
            f"image is {shown(image)}, an address.",
            "What comes from one is checked by its checksum.",
            'Launch what images.pull(address, checksum="sha256:…") returns.',
        )
    if isinstance(image, str) and "/" not in image:
        text("image", image)
        wanted_image(image, None, None, "image", 'Give a name like "debian:13", or a path with a slash in it.')
        return None, image, None
    if isinstance(image, str | bytes | os.PathLike):
        path_argument("image", image)
        return None, "", image
    raise wrong_type("image", image, "an image's name (str), a path or an applevz.images.Image")


def _network_argument(internet: bool | None, host_access: bool) -> list[NATNetworkDeviceAttachment]:
    if internet is not None:
        boolean("internet", internet)
    if boolean("host_access", host_access) and not internet:
        raise make(
            InvalidArgumentError,
            f"host_access is True, and internet is {internet}.",
            "A guest reaches this host by its way out.",
            "Leave one of them out.",
        )
    return [] if internet is None else [NATNetworkDeviceAttachment(internet, host_access)]


def _look_at_architecture(image: Image) -> None:
    from .._images.catalog import architecture_argument

    if image.architecture is not None and image.architecture != architecture_argument(None):
        raise make(
            InvalidArgumentError,
            f"image is {image.name!r} for {image.architecture}.",
            f"This host's processor is of the architecture {architecture_argument(None)}.",
            "Launch an image for that.",
        )


def _file(what: str, data: Callable[[], bytes]) -> NamelessFile:
    try:
        return NamelessFile(what, lambda file: file.write(data()))
    except Error:
        raise
    except OSError as error:
        raise make_posix(error, f"The machine's {what} cannot be kept.", "Make room for it.") from error


def empty_variables() -> bytes:
    """A store of EFI variables that has none. The framework makes it under a name alone."""
    with tempfile.TemporaryDirectory(prefix="applevz-") as folder:
        store = Path(folder, "variables")
        EFIVariableStore.create(store)
        return store.read_bytes()
