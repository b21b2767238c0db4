# SPDX-License-Identifier: Apache-2.0
"""The options that say which machine `run` and `copy` have, and what it is made of."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import click

from .. import (
    CloudInitSeed,
    DiskImageStorageDeviceAttachment,
    EFIBootLoader,
    EFIVariableStore,
    GenericMachineIdentifier,
    GenericPlatformConfiguration,
    LinuxBootLoader,
    MACAddress,
    NATNetworkDeviceAttachment,
    SharedDirectory,
    SingleDirectoryShare,
    VirtioBlockDeviceConfiguration,
    VirtioEntropyDeviceConfiguration,
    VirtioFileSystemDeviceConfiguration,
    VirtioNetworkDeviceConfiguration,
    VirtualMachineConfiguration,
    capabilities,
    limits,
)
from .._core.launching import empty_variables
from .._host.nameless_files import NamelessFile

__all__ = ["ForwardSpecification", "MachineOptions", "Share", "complete_image", "machine_options"]

_CPU_COUNT: Final = 2
_MEMORY_SIZE: Final = "1GiB"
_FORWARD: Final = re.compile(
    r"(?:(?:(?P<address>\[[0-9A-Fa-f:.]+\]|[0-9.]+):)?(?P<host>[0-9]+|/[^:]*):)?(?P<guest>[0-9]+|/[^:]*?)"
    r"(?:/(?P<protocol>tcp|udp))?"
)
_FILE: Final = click.Path()


@dataclass(frozen=True)
class Share:
    """A directory of the host's in the guest."""

    directory: str
    tag: str
    place: str | None
    """Where the agent mounts it; None if it does not."""
    read_only: bool


@dataclass(frozen=True)
class ForwardSpecification:
    """A port or a path of the host's that leads into the guest: the arguments of `VirtualMachine.forward`."""

    arguments: dict[str, Any]
    is_chosen: bool
    """The system chooses the port."""
    guest: str


@dataclass
class MachineOptions:
    """What the options say. The names are those of the options."""

    image: str | None
    kernel: str | None
    initrd: str | None
    command_line: str | None
    efi: str | None
    variables: str | None
    from_state: str | None
    cpus: int | None
    memory: str | None
    disks: tuple[str, ...]
    lasting_disk: str | None
    shares: tuple[Share, ...]
    forwards: tuple[ForwardSpecification, ...]
    network: str | None
    user_data: str | None
    packages: tuple[str, ...]
    ssh_keys: tuple[str, ...]
    cached: bool
    prepare: tuple[str, ...]
    no_agent: bool
    timeout: float
    images_cache: str | None
    made: VirtualMachineConfiguration | None = field(default=None, init=False)
    """What the machine was made of in the end."""

    def check(self) -> None:
        """Raises `click.UsageError` for options that make no sense together."""
        ways = {
            "IMAGE": self.image,
            "--efi": self.efi,
            "--from": self.from_state,
            "--kernel": None if self.image or self.from_state else self.kernel,
        }
        given = [name for name, value in ways.items() if value is not None]
        if len(given) != 1:
            raise click.UsageError(
                "Say what to run: an image, as debian:13 or ./disk.qcow2, or --kernel, --efi or --from."
                if not given
                else f"{' and '.join(given)} are two ways to say what to run: leave one of them out."
            )
        for name, value, needs in (
            ("--initrd", self.initrd, self.kernel),
            ("--command-line", self.command_line, self.kernel),
            ("--variables", self.variables, self.efi),
            ("--lasting-disk", self.lasting_disk, self.image),
            ("--cached", self.cached or None, self.image),
            ("--prepare", self.prepare or None, self.image),
        ):
            if value is not None and needs is None:
                needed = {"--initrd": "--kernel", "--command-line": "--kernel", "--variables": "--efi"}.get(name)
                raise click.UsageError(f"{name} goes with {needed or 'an image'}.")
        if self.from_state is not None:
            self._check_restored()
        if self.shares and self.cached:
            raise click.UsageError("--share and --cached: a machine with shared directories cannot be saved.")

    def _check_restored(self) -> None:
        for name, value in (
            ("--cpus", self.cpus),
            ("--memory", self.memory),
            ("--disk", self.disks),
            ("--share", self.shares),
            ("--network", self.network),
            ("--user-data", self.user_data),
            ("--package", self.packages),
            ("--ssh-key", self.ssh_keys),
            ("--no-agent", self.no_agent),
        ):
            if value:
                raise click.UsageError(f"{name} and --from: the saved machine has what it had.")

    # ---- What it is made of ----

    @property
    def seed(self) -> CloudInitSeed | None:
        from .image import read_user_data

        if self.user_data is None and not self.packages and not self.ssh_keys:
            return None
        keys = [line for file in self.ssh_keys for line in read_user_data(file).splitlines() if line.strip()]
        return CloudInitSeed(
            None if self.user_data is None else read_user_data(self.user_data),
            ssh_authorized_keys=keys,
            packages=self.packages,
        )

    @property
    def internet(self) -> bool | None:
        """As `launch` has it. A machine of an image has a way out unless it is told otherwise, others have no card."""
        default = "nat" if self.image is not None else "none"
        return {"nat": True, "host": True, "isolated": False, "none": None}[self.network or default]

    @property
    def host_access(self) -> bool:
        return self.network == "host"

    @property
    def cpu_count(self) -> int:
        return min(_CPU_COUNT, limits().maximum_cpu_count) if self.cpus is None else self.cpus

    @property
    def memory_size(self) -> str:
        return _MEMORY_SIZE if self.memory is None else self.memory

    def more_devices(self, configuration: VirtualMachineConfiguration) -> None:
        """Adds the disks and the directories."""
        configuration.storage_devices = [*configuration.storage_devices, *(_disk(words) for words in self.disks)]
        configuration.directory_sharing_devices = [
            VirtioFileSystemDeviceConfiguration(
                share.tag, SingleDirectoryShare(SharedDirectory(share.directory, share.read_only))
            )
            for share in self.shares
        ]

    def configuration(self) -> VirtualMachineConfiguration:
        """Of a machine that is started from a kernel or by firmware."""
        boot_loader: LinuxBootLoader | EFIBootLoader
        storage = []
        if self.efi is not None:
            variables = self.variables or NamelessFile("EFI variables", lambda file: file.write(empty_variables()))
            boot_loader = EFIBootLoader(EFIVariableStore(variables))
            storage.append(_disk(self.efi))
        else:
            boot_loader = LinuxBootLoader(
                self.kernel or "",
                self.initrd,
                "console=hvc0" if self.command_line is None else self.command_line,
                guest_agent=self.initrd is not None and not self.no_agent and bool(capabilities.guest_agent),
            )
        seed = self.seed
        if seed is not None:
            if self.efi is not None and not self.no_agent and capabilities.guest_agent:
                seed = dataclasses.replace(seed, guest_agent=True)
            data = seed.image()
            file = NamelessFile("seed", lambda target: target.write(data))
            storage.append(VirtioBlockDeviceConfiguration(DiskImageStorageDeviceAttachment(file, read_only=True)))
        cards = []
        if self.internet is not None:
            attachment = NATNetworkDeviceAttachment(self.internet, self.host_access)
            cards.append(VirtioNetworkDeviceConfiguration(attachment, MACAddress.random()))
        configuration = VirtualMachineConfiguration(
            boot_loader,
            cpu_count=self.cpu_count,
            memory_size=self.memory_size,
            platform=GenericPlatformConfiguration(GenericMachineIdentifier.random()),
            storage_devices=storage,
            network_devices=cards,
            entropy_devices=[VirtioEntropyDeviceConfiguration()],
            guest_agent=not self.no_agent,
        )
        self.more_devices(configuration)
        return configuration


def _disk(words: str) -> VirtioBlockDeviceConfiguration:
    """Of a file, with `:ro` behind it if the guest may not write to it."""
    path, read_only = _read_only(words)
    return VirtioBlockDeviceConfiguration(DiskImageStorageDeviceAttachment(path, read_only))


def _read_only(words: str) -> tuple[str, bool]:
    return (words[:-3], True) if words.endswith(":ro") else (words, False)


def _shares(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[Share, ...]:
    shares = []
    for index, words in enumerate(given):
        rest, read_only = _read_only(words)
        directory, separator, there = rest.rpartition(":")
        if not separator or not directory or not there:
            raise click.BadParameter(f"{words!r} is not DIR:TAG, DIR:/PLACE, or one of these with :ro behind it.")
        place = there if there.startswith("/") else None
        shares.append(Share(directory, there if place is None else f"applevz{index}", place, read_only))
    return tuple(shares)


def _forwards(
    context: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> tuple[ForwardSpecification, ...]:
    return tuple(_forward(words) for words in given)


def _forward(words: str) -> ForwardSpecification:
    found = _FORWARD.fullmatch(words)
    if found is None:
        raise click.BadParameter(f"{words!r} is not [[ADDRESS:]HOST:]GUEST or that with /udp behind it.")
    arguments: dict[str, Any] = {"protocol": found["protocol"] or "tcp"}
    for side in ("host", "guest"):
        place = found[side]
        if place is not None:
            arguments |= {f"{side}_path": place} if place.startswith("/") else {f"{side}_port": int(place)}
    if found["address"] is not None:
        arguments["host_address"] = found["address"].strip("[]")
    return ForwardSpecification(arguments, found["host"] in (None, "0"), found["guest"])


def complete_image(context: click.Context, argument: click.Parameter, begin: str) -> list[Any]:
    """The names that begin so, of the catalog; files, where there is a slash."""
    from click.shell_completion import CompletionItem

    from .._images.catalog import read_catalog

    if "/" in begin or begin.startswith("."):
        return [CompletionItem(begin, type="file")]
    known = [f"{name}:{version}" for name, one in read_catalog(None).items() for version in one.versions]
    return sorted(name for name in known if name.startswith(begin))


def machine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of `MachineOptions`, but for the image."""
    options = (
        click.option("--kernel", type=_FILE, metavar="FILE", help="boot that kernel"),
        click.option("--initrd", type=_FILE, metavar="FILE", help="… with that initial RAM disk"),
        click.option("--command-line", metavar="TEXT", help="… and that command line (console=hvc0)"),
        click.option("--efi", type=_FILE, metavar="DISK", help="boot that raw disk by its firmware, and write to it"),
        click.option("--variables", type=_FILE, metavar="FILE", help="where firmware keeps its variables (nowhere)"),
        click.option("--from", "from_state", type=_FILE, metavar="STATE", help="go on from a saved state, privately"),
        click.option("--cpus", type=int, metavar="N", help="processors (2)"),
        click.option("--memory", metavar="SIZE", help="memory (1GiB)"),
        click.option(
            "--disk", "disks", multiple=True, metavar="FILE[:ro]", help="one more disk, raw; can be repeated"
        ),
        click.option(
            "--lasting-disk", type=_FILE, metavar="FILE", help="keep there what is written to an image's disk"
        ),
        click.option(
            "--share",
            "shares",
            multiple=True,
            callback=_shares,
            metavar="DIR:PLACE[:ro]",
            help="a directory of this host, mounted at a path by the agent, or known there by a tag",
        ),
        click.option(
            "--forward",
            "-p",
            "forwards",
            multiple=True,
            callback=_forwards,
            metavar="[[ADDRESS:]HOST:]GUEST[/udp]",
            help="a port, or the path of a Unix socket, that leads into the guest; without HOST one is chosen",
        ),
        click.option(
            "--network",
            type=click.Choice(["nat", "host", "isolated", "none"]),
            help="a network card: with a way out, to this host as well, or none (nat for an image, none for others)",
        ),
        click.option("--user-data", type=_FILE, metavar="FILE", help="what cloud-init does at the first boot"),
        click.option("--package", "packages", multiple=True, metavar="NAME", help="a package that it installs"),
        click.option(
            "--ssh-key", "ssh_keys", type=_FILE, multiple=True, metavar="FILE", help="keys that may log in by SSH"
        ),
        click.option("--cached", is_flag=True, help="of an image: go on from a state of the same guest, once made"),
        click.option(
            "--prepare", multiple=True, metavar="COMMAND", help="of an image: a shell's command, before all else"
        ),
        click.option("--no-agent", is_flag=True, help="bring no agent along: its guest's console is all there is"),
        click.option(
            "--timeout",
            type=float,
            default=900.0,
            show_default=True,
            metavar="SECONDS",
            help="until the guest is ready, a download included",
        ),
        click.option("--cache", "images_cache", type=_FILE, metavar="DIR", help="a folder for images"),
    )
    for option in reversed(options):
        function = option(function)
    return function


