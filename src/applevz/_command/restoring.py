# SPDX-License-Identifier: Apache-2.0
"""States that `applevz run --save` made, and the configuration in which `--from` restores one.

A state tells of its machine all by which a restore compares (`SavedState.fields`). What it does not tell is what the
guest was booted by: its kernel is in its memory, and is read again only when it resets. So that is in a file beside the
state:

    ready.state         the state
    ready.state.json    kernel, initial RAM disk and command line, if a kernel was booted
    ready.state.seed    the disk by which cloud-init set the guest up, if there was one
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn
from uuid import UUID

from .. import (
    DiskImageStorageDeviceAttachment,
    EFIBootLoader,
    EFIVariableStore,
    GenericMachineIdentifier,
    GenericPlatformConfiguration,
    LinuxBootLoader,
    MACAddress,
    NATNetworkDeviceAttachment,
    USBKeyboardConfiguration,
    USBScreenCoordinatePointingDeviceConfiguration,
    VirtioBlockDeviceConfiguration,
    VirtioConsoleDeviceSerialPortConfiguration,
    VirtioEntropyDeviceConfiguration,
    VirtioGraphicsDeviceConfiguration,
    VirtioGraphicsScanoutConfiguration,
    VirtioNetworkDeviceConfiguration,
    VirtioTraditionalMemoryBalloonDeviceConfiguration,
    VirtualMachineConfiguration,
    capabilities,
    states,
)
from .._builder.consoles import AGENT_PORT, GUEST_AGENT_PORT
from .._core.launching import empty_variables
from .._host.disk_images import write_disk_image
from .._host.nameless_files import NamelessFile
from ..errors import Error, RestoreError, make, make_posix

__all__ = ["configuration_of_state", "lasting_seed", "prepare_saving", "remove_beside", "write_beside"]

_FORMAT: Final = 1
_LONGEST: Final = 1 << 16
# What stands beside a state, with the types of the values.
_KINDS: Final[dict[str, Any]] = {
    "format": int,
    "kernel": str,
    "initrd": (str, type(None)),
    "command_line": str,
    "command_line_additions": bool,
    "guest_agent": bool,
}
# Of what a state may have, no machine is made here with it.
_OTHER_DEVICES: Final = ("directorySharingDevices", "socketDevices", "usbControllers")
# As QEMUFingerprint.m names them.
_NETWORKS: Final[dict[str, Callable[[], NATNetworkDeviceAttachment]]] = {
    "VZNATNetworkDeviceAttachment": NATNetworkDeviceAttachment,
    "VZNATNetworkDeviceAttachment without internet": lambda: NATNetworkDeviceAttachment(internet=False),
    "VZNATNetworkDeviceAttachment with access to the host": lambda: NATNetworkDeviceAttachment(host_access=True),
}
_LINUX: Final = "VZLinuxBootLoader"
_NAMELESS: Final = "a file without a name"
_ORDINARY_DISK: Final = "VZVirtioBlockDeviceConfiguration"


# ---- Saving ----


def prepare_saving(configuration: VirtualMachineConfiguration) -> None:
    """Names what would be another one in each machine, and lets machines from one state be told apart."""
    platform = configuration.platform
    identifier = platform.machine_identifier or GenericMachineIdentifier.random()
    has_generations = platform.generation_identifier or bool(capabilities.generation_identifier)
    configuration.platform = replace(
        platform, machine_identifier=identifier, generation_identifier=has_generations
    )
    configuration.network_devices = [
        card if card.mac_address is not None else replace(card, mac_address=MACAddress.random())
        for card in configuration.network_devices
    ]
    configuration.validate_save_restore_support()


def lasting_seed(configuration: VirtualMachineConfiguration, state: str, overwrite: bool) -> None:
    """Gives disks that are gone with this process a file beside the state: a restored machine needs them as well."""
    devices = list(configuration.storage_devices)
    for index, device in enumerate(devices):
        attachment = device.attachment
        if isinstance(attachment, DiskImageStorageDeviceAttachment) and isinstance(attachment.path, NamelessFile):
            path = f"{os.path.abspath(state)}.seed"
            write_disk_image(path, Path(os.fsdecode(attachment.path.path)).read_bytes(), overwrite, same_is_right=True)
            devices[index] = replace(device, attachment=replace(attachment, path=path))
    configuration.storage_devices = devices


def write_beside(configuration: VirtualMachineConfiguration, state: str) -> None:
    """Writes the file beside a state that was saved."""
    said: dict[str, Any] = {"format": _FORMAT}
    loader = configuration.boot_loader
    if isinstance(loader, LinuxBootLoader):
        ramdisk = loader.initial_ramdisk
        said |= {
            "kernel": os.path.abspath(os.fsdecode(loader.kernel)),
            "initrd": None if ramdisk is None else os.path.abspath(os.fsdecode(ramdisk)),
            "command_line": loader.command_line,
            "command_line_additions": loader.command_line_additions,
            "guest_agent": loader.guest_agent,
        }
    write_disk_image(f"{state}.json", json.dumps(said, indent=1).encode() + b"\n", overwrite=True)


def remove_beside(state: str) -> None:
    """Removes what stands beside a state that was removed. Another program's files stay."""
    with suppress(Error, OSError):
        if _read_beside(state) is not None:
            os.unlink(f"{state}.json")
            os.unlink(f"{state}.seed")


# ---- Restoring ----


def configuration_of_state(
    path: str, kernel: str | None, initrd: str | None, command_line: str | None
) -> VirtualMachineConfiguration:
    """What a machine is made of that goes on from the state. What is given is taken in place of what stands beside it.

    Raises `RestoreError` for a state of a machine that the command line cannot make, and what `states.inspect` raises.
    """
    return _Said(states.inspect(path)).configuration(kernel, initrd, command_line)


class _Said:
    """What a state says. Whoever wrote it may have written anything: all of it is looked at."""

    def __init__(self, state: states.SavedState) -> None:
        self._state = state
        self._fields = dict(state.fields)

    def _refuse(self, reason: str, suggestion: str = "") -> NoReturn:
        suggestion = suggestion or "Restore it in a program of your own: `VirtualMachine.restore_state`."
        raise make(
            RestoreError, f"The state {self._state.path!r} cannot be gone on with here.", reason, suggestion
        )

    def _field(self, name: str) -> str:
        if name not in self._fields:
            self._refuse(f"It does not tell its {name}.")
        return self._fields[name]

    def _count(self, name: str) -> int:
        words = self._fields.get(f"{name}.count", "0")
        # A machine has not more of anything.
        if not re.fullmatch(r"[0-9]{1,3}", words):
            self._refuse(f"Its {name}.count is {words[:40]!r}.")
        return int(words)

    def _is(self, name: str) -> bool:
        return self._fields.get(name) == "YES"

    def _text(self, name: str) -> str | None:
        words = self._field(name)
        if words == "nil":
            return None
        if len(words) < 2 or words[0] != '"' or words[-1] != '"' or "\\" in words:
            self._refuse(f"Its {name} is {words[:80]}.")
        return words[1:-1]

    def configuration(
        self, kernel: str | None, initrd: str | None, command_line: str | None
    ) -> VirtualMachineConfiguration:
        for name in _OTHER_DEVICES:
            if self._count(name):
                self._refuse(f"Its machine has {name}, which this command makes none with.")
        agents = self._agents()
        loader = self._boot_loader(kernel, initrd, command_line, agents)
        if self._state.cpu_count is None or self._state.memory_size is None:
            self._refuse("It tells no number of processors, or no size of the memory.")
        return VirtualMachineConfiguration(
            loader,
            cpu_count=self._state.cpu_count,
            memory_size=self._state.memory_size,
            platform=self._platform(),
            serial_ports=[VirtioConsoleDeviceSerialPortConfiguration() for _ in range(self._count("serialPorts"))],
            storage_devices=[self._disk(index) for index in range(self._count("storageDevices"))],
            network_devices=[self._card(index) for index in range(self._count("networkDevices"))],
            entropy_devices=[VirtioEntropyDeviceConfiguration() for _ in range(self._count("entropyDevices"))],
            memory_balloon_devices=[
                VirtioTraditionalMemoryBalloonDeviceConfiguration() for _ in range(self._count("memoryBalloonDevices"))
            ],
            graphics_devices=[self._graphics(index) for index in range(self._count("graphicsDevices"))],
            keyboards=[USBKeyboardConfiguration() for _ in range(self._count("keyboards"))],
            pointing_devices=[
                USBScreenCoordinatePointingDeviceConfiguration() for _ in range(self._count("pointingDevices"))
            ],
            guest_agent=agents == [GUEST_AGENT_PORT, AGENT_PORT],
        )

    def _agents(self) -> list[str | None]:
        ports = [self._text(f"consoleDevices[{index}].ports[0].name") for index in range(self._count("consoleDevices"))]
        if ports not in ([], [AGENT_PORT], [GUEST_AGENT_PORT, AGENT_PORT]):
            self._refuse("Its machine has consoleDevices of its own, which this command makes none with.")
        return ports

    def _boot_loader(
        self, kernel: str | None, initrd: str | None, command_line: str | None, agents: list[str | None]
    ) -> LinuxBootLoader | EFIBootLoader:
        if self._field("bootLoader") != _LINUX:
            url = self._field("bootLoader.variableStore.URL")
            if url == _NAMELESS:
                variables = NamelessFile("EFI variables", lambda file: file.write(empty_variables()))
                return EFIBootLoader(EFIVariableStore(variables))
            return EFIBootLoader(EFIVariableStore(self._text("bootLoader.variableStore.URL") or ""))
        beside = _read_beside(self._state.path) or {}
        kernel = beside.get("kernel") if kernel is None else kernel
        if kernel is None:
            self._refuse(
                f"It does not tell the kernel that its guest was booted by, and there is no {self._state.path}.json.",
                "Give --kernel, --initrd and --command-line as the guest had them.",
            )
        return LinuxBootLoader(
            kernel,
            beside.get("initrd") if initrd is None else initrd,
            beside.get("command_line", "console=hvc0") if command_line is None else command_line,
            command_line_additions=beside.get("command_line_additions", True),
            guest_agent=bool(agents) and beside.get("guest_agent", agents == [AGENT_PORT]),
        )

    def _platform(self) -> GenericPlatformConfiguration:
        try:
            identifier = UUID(self._field("platform.machineIdentifier")).bytes
        except ValueError:
            self._refuse("Its platform.machineIdentifier is no UUID.")
        # Behind the mark of one that is the UUID.
        mark = GenericMachineIdentifier.random().data_representation[: -len(identifier)]
        return GenericPlatformConfiguration(
            GenericMachineIdentifier(mark + identifier),
            self._is("platform.generationIdentifier"),
            self._is("platform.nestedVirtualizationEnabled"),
        )

    def _disk(self, index: int) -> VirtioBlockDeviceConfiguration:
        name = f"storageDevices[{index}]"
        kind = self._field(name)
        path = next((disk.path for disk in self._state.disks if disk.device == f"storage_devices[{index}]"), None)
        is_ephemeral = self._is(f"{name}.attachment.ephemeral")
        if kind != _ORDINARY_DISK:
            self._refuse(f"Its disk {name} is a {kind[:80]}, and this command makes virtio disks.")
        if f"the checksum of {name}" in self._fields or path is None:
            self._refuse(f"Its disk {name} had no name, and is gone.", "Save it anew, with `applevz run --save`.")
        if not is_ephemeral and self._fields.get(f"{name}.attachment.base") == "there":
            self._refuse(f"Its disk {name} holds what differs from another.")
        attachment = DiskImageStorageDeviceAttachment(
            path, read_only=self._is(f"{name}.attachment.readOnly"), ephemeral=is_ephemeral
        )
        return VirtioBlockDeviceConfiguration(attachment, self._text(f"{name}.blockDeviceIdentifier"))

    def _card(self, index: int) -> VirtioNetworkDeviceConfiguration:
        name = f"networkDevices[{index}]"
        kind = self._field(f"{name}.attachment")
        if kind not in _NETWORKS:
            self._refuse(f"Its {name} has a {kind[:80]}, and this command makes NAT.")
        attachment = _NETWORKS[kind]()
        return VirtioNetworkDeviceConfiguration(attachment, MACAddress(self._field(f"{name}.MACAddress")))

    def _graphics(self, index: int) -> VirtioGraphicsDeviceConfiguration:
        name = f"graphicsDevices[{index}].scanouts[0]"
        try:
            width, height = (
                int(self._field(f"{name}.{side}")[:9]) for side in ("widthInPixels", "heightInPixels")
            )
        except ValueError:
            self._refuse(f"Its {name} has no size.")
        return VirtioGraphicsDeviceConfiguration([VirtioGraphicsScanoutConfiguration(width, height)])


def _read_beside(state: str) -> dict[str, Any] | None:
    """What stands beside a state; None if nothing does."""
    path = f"{state}.json"
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            data = file.read(_LONGEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise make_posix(error, f"The file {path!r} cannot be read.") from error
    try:
        said = json.loads(data)
        if said["format"] != _FORMAT or not all(isinstance(said[name], _KINDS[name]) for name in said):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise make(
            RestoreError,
            f"The file {path!r} is not one that `applevz run --save` wrote.",
            "It has not the form of one.",
            "Remove it, and give --kernel, --initrd and --command-line.",
        ) from None
    return dict(said)
