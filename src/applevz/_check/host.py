# SPDX-License-Identifier: Apache-2.0
"""Items about the host, and what this package finds out of it."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from typing import Final

from .. import (
    BridgedNetworkDeviceAttachment,
    Capabilities,
    EFIBootLoader,
    EFIVariableStore,
    LinuxBootLoader,
    VirtioEntropyDeviceConfiguration,
    VirtioNetworkDeviceConfiguration,
    VirtioSocketDeviceConfiguration,
    VirtioTraditionalMemoryBalloonDeviceConfiguration,
    VirtualMachineConfiguration,
    __version__,
    bridged_network_interfaces,
    capabilities,
    limits,
)
from .item import Item, Options, Seen
from .machines import kernel_that_does_nothing
from .programs import ask, settings
from .told import attempt, error_value

__all__ = ["ITEMS"]

_SETTINGS: Final = (
    *("machdep.cpu.brand_string", "hw.model", "hw.memsize", "hw.ncpu", "hw.optional.arm64", "sysctl.proc_translated"),
    *("kern.hv_support", "kern.hv_vmm_present", "kern.osversion"),
)


def _host(seen: Seen, options: Options) -> None:
    system = platform.uname()
    seen("system", f"{system.system} {system.release}")
    status, words, _ = ask("sw_vers")
    if status == 0:
        seen("macOS", " ".join(line.partition(":")[2].strip() for line in words.splitlines()))
    with suppress(OSError):
        seen("distribution", platform.freedesktop_os_release().get("PRETTY_NAME"))
    seen("processor", system.machine)
    found = settings(_SETTINGS)
    for name, value in found.items():
        seen(name, value)
    translated = found.get("sysctl.proc_translated")
    seen("this Python runs by Rosetta", {"1": "yes", "0": "no"}.get(str(translated), "there is no such setting"))
    seen("processors", os.cpu_count())


def _library(seen: Seen, options: Options) -> None:
    seen("applevz", __version__)
    for name, value in vars(Capabilities).items():
        if isinstance(value, property):
            capability = getattr(capabilities, name)
            seen(name, "yes" if capability else f"no: {capability.reason}")
    error = capabilities.virtualization.error
    if error is not None:
        seen("why there is no virtualization", error_value(error))
    attempt(seen, "limits", limits)
    found = limits()
    seen("processors of a machine", f"{found.minimum_cpu_count} to {found.maximum_cpu_count}")
    seen("bytes of memory of a machine", f"{found.minimum_memory_size} to {found.maximum_memory_size}")


def _validation(seen: Seen, options: Options) -> None:
    kernel = kernel_that_does_nothing(options.path("kernel"))

    def look(words: str, **fields: object) -> None:
        fields = {"boot_loader": LinuxBootLoader(kernel), "memory_size": options.memory, **fields}
        attempt(seen, words, VirtualMachineConfiguration(**fields).validate)  # type: ignore[arg-type]

    look("a kernel and a console")
    look("a machine without a boot loader", boot_loader=None)
    look("EFI firmware", boot_loader=EFIBootLoader(EFIVariableStore(options.path("variables"))))
    look("a network card with NAT", network_devices=[VirtioNetworkDeviceConfiguration()])
    look("entropy", entropy_devices=[VirtioEntropyDeviceConfiguration()])
    look("a memory balloon", memory_balloon_devices=[VirtioTraditionalMemoryBalloonDeviceConfiguration()])
    look("sockets", socket_devices=[VirtioSocketDeviceConfiguration()])
    look("too little memory", memory_size=1 << 20)
    look("too many processors", cpu_count=4096)
    if attempt(seen, "the list of bridged interfaces", bridged_network_interfaces) is None:
        # By number: what they are called may be what their owner called them.
        interfaces = bridged_network_interfaces()
        seen("bridged interfaces", len(interfaces))
        for interface in interfaces[:1]:
            card = VirtioNetworkDeviceConfiguration(BridgedNetworkDeviceAttachment(interface.identifier))
            look("a bridged network card", network_devices=[card])


ITEMS: Final = (
    Item(
        "host",
        "The host",
        "The framework is part of macOS 11 and later; EFI, which this package uses, came with macOS 13. What a process "
        "that runs by Rosetta can do with it is not documented.",
        "macOS 13 or later, and a Python for the host's own processor.",
        _host,
    ),
    Item(
        "library",
        "What applevz finds out of the host",
        "isSupported says whether there is virtualization; the error of a validation says why not.",
        "A capability that is false has a reason.",
        _library,
        seconds=60.0,
    ),
    Item(
        "validation",
        "Validation of configurations",
        "validateWithError: gives an error, which says more where there is no virtualization. A process without the "
        "entitlement com.apple.security.virtualization is refused; with what error is not documented.",
        "A refusal is VZErrorDomain 2 with a reason. One for the entitlement has it in its words.",
        _validation,
        seconds=60.0,
    ),
)
