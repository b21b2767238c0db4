# SPDX-License-Identifier: Apache-2.0
"""The configurations of machines for tests, and which one the options of pytest ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from .. import GenericPlatformConfiguration, LinuxBootLoader, VirtioEntropyDeviceConfiguration, limits
from .. import VirtualMachineConfiguration as Configuration
from .._host.capabilities import capabilities
from .._values.arguments import PathLike, shown
from .._values.sizes import Size
from .._values.sizes import size as size_argument
from ..errors import InvalidArgumentError, make

if TYPE_CHECKING:
    from ..images import Image

__all__ = ["configuration_maker", "image_configuration", "kernel_configuration", "patience"]

_COMMAND_LINE: Final = "console=hvc0"
_MEMORY: Final = "512MiB"
_PATIENCE: Final = "300"
_LONGEST: Final = 86400


def kernel_configuration(
    kernel: PathLike,
    initial_ramdisk: PathLike | None = None,
    command_line: str = _COMMAND_LINE,
    *,
    cpu_count: int = 1,
    memory_size: Size = _MEMORY,
) -> Configuration:
    """A configuration for tests: a Linux kernel, with the guest's agent, if it has an initial RAM disk.

    Each machine that goes on from its state has a generation identifier of its own, if the host can do that.
    """
    agent = initial_ramdisk is not None and bool(capabilities.guest_agent)
    return Configuration(
        LinuxBootLoader(kernel, initial_ramdisk, command_line, guest_agent=agent),
        cpu_count=cpu_count,
        memory_size=memory_size,
        platform=GenericPlatformConfiguration(generation_identifier=bool(capabilities.generation_identifier)),
        entropy_devices=[VirtioEntropyDeviceConfiguration()],
    )


def image_configuration(image: str | PathLike | Image, **arguments: Any) -> Configuration:
    """A configuration for tests: what `launch` makes a machine of. `arguments` are those of `launch`, but for `disk`,
    `cached`, `prepare`, `prepare_key` and `wait`.

    The image is downloaded or converted if it is not in the cache yet: the first call may take minutes. Raises the
    errors of `launch` for its arguments and for images.
    """
    from .. import images
    from .._core.launching import Launch, image_in_cache

    for name in ("disk", "cached", "prepare", "prepare_key", "wait"):
        if name in arguments:
            raise make(
                InvalidArgumentError,
                f"{name} is {shown(arguments[name])}, which image_configuration does not take.",
                "Machines of tests go on from one state, and write to nothing that lasts.",
                "Leave it out; for `prepare` there is the fixture vm_prepare.",
            )
    more = {name: arguments.pop(name, None) for name in ("progress", "cache")}
    given = {**_OF_LAUNCH, **arguments}
    what = Launch(
        image_in_cache(image, more["cache"]),
        disk=None,
        cached=True,
        prepare=None,
        prepare_key=None,
        wait=True,
        progress=more["progress"],
        **given,
    )
    if what.image is not None:
        found = what.image
    elif what.file is not None:
        found = images.of(what.file, timeout=given["timeout"], **more)
    else:
        found = images.pull(what.name, timeout=given["timeout"], **more)
    configuration = what.configuration(found)
    # What is new for each machine is named when its state is looked for.
    configuration.platform = replace(configuration.platform, machine_identifier=None)
    configuration.network_devices = [
        replace(card, mac_address=None) if card.mac_address in what.random else card
        for card in configuration.network_devices
    ]
    return configuration


# What `launch` has where nothing is said.
_OF_LAUNCH: Final[Mapping[str, Any]] = {
    "overlay_directory": None,
    "kernel": None,
    "initial_ramdisk": None,
    "command_line": None,
    "cpu_count": None,
    "memory_size": "1GiB",
    "internet": True,
    "host_access": False,
    "resource_limits": None,
    "seed": None,
    "user_data": None,
    "ssh_authorized_keys": (),
    "users": (),
    "packages": (),
    "configure": None,
    "timeout": None,
}


def configuration_maker(options: Mapping[str, str]) -> Callable[[], Configuration]:
    """What makes the configuration that the options of pytest ask for.

    Raises `InvalidArgumentError` if they name nothing that a machine could boot, or what does not go together.
    """
    image, kernel = options.get("image"), options.get("kernel")
    if image is None and kernel is None:
        raise make(
            InvalidArgumentError,
            "Nothing says what the machines of tests boot.",
            "Neither applevz_image nor applevz_kernel is set.",
            "Give --applevz-kernel and --applevz-initrd, or --applevz-image, or set those names in pytest's file of "
            "settings, or override the fixture vm_configuration.",
        )
    fields: dict[str, Any] = {}
    if "memory" in options:
        size_argument("applevz_memory", options["memory"])
        fields["memory_size"] = options["memory"]
    if "processors" in options:
        fields["cpu_count"] = _processors(options["processors"])
    for option, field in (("initrd", "initial_ramdisk"), ("command_line", "command_line"), ("kernel", "kernel")):
        if option in options:
            fields[field] = options[option]
    if image is None:
        return lambda: kernel_configuration(**fields)
    return lambda: image_configuration(image, **fields)


def patience(options: Mapping[str, str]) -> float:
    """The seconds that a guest may take until it is ready."""
    value = options.get("timeout", _PATIENCE)
    try:
        found = float(value)
    except ValueError:
        found = 0.0
    if not 0 < found <= _LONGEST:
        raise make(
            InvalidArgumentError,
            f"applevz_timeout is {shown(value)}.",
            "",
            f"Give a number of seconds, up to {_LONGEST}.",
        )
    return found


def _processors(value: str) -> int:
    most = limits().maximum_cpu_count
    if not value.isdecimal() or not 1 <= int(value) <= most:
        raise make(
            InvalidArgumentError,
            f"applevz_processors is {shown(value)}.",
            "",
            f"Give a number from 1 to {most}.",
        )
    return int(value)
