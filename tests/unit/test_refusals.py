# SPDX-License-Identifier: Apache-2.0
"""What the framework refuses, as a person sees it: domain, code, and words that name the field and the value."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import (
    DiskImageStorageDeviceAttachment,
    LinuxBootLoader,
    VirtioBlockDeviceConfiguration,
    VirtioNetworkDeviceConfiguration,
    VirtioTraditionalMemoryBalloonDeviceConfiguration,
    VirtualMachineConfiguration,
)
from fixtures import Configure

INVALID_CONFIGURATION = 2
INVALID_DISK_IMAGE = 5


def kernel(folder: Path, content: bytes) -> LinuxBootLoader:
    path = folder / "kernel"
    path.write_bytes(content)
    return LinuxBootLoader(path)


def disk(folder: Path, content: bytes, **options: Any) -> VirtioBlockDeviceConfiguration:
    path = folder / "disk.img"
    path.write_bytes(content)
    return VirtioBlockDeviceConfiguration(DiskImageStorageDeviceAttachment(path, **options))


def qcow2(folder: Path) -> VirtioBlockDeviceConfiguration:
    path = folder / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1M"], check=True)
    return VirtioBlockDeviceConfiguration(DiskImageStorageDeviceAttachment(path))


def same_card_twice(_: Path) -> list[VirtioNetworkDeviceConfiguration]:
    return [VirtioNetworkDeviceConfiguration(mac_address="0a:00:00:00:00:01") for _ in range(2)]


def same_disk_twice(folder: Path) -> list[VirtioBlockDeviceConfiguration]:
    return [disk(folder, bytes(512)), disk(folder, bytes(512))]


# For each: the fields that differ from a valid configuration's, the code, and what the error must name.
REFUSALS: dict[str, tuple[Callable[[Path], dict[str, Any]], int, list[str]]] = {
    "no boot loader": (lambda _: {"boot_loader": None}, INVALID_CONFIGURATION, ["bootLoader"]),
    "a kernel that is missing": (
        lambda folder: {"boot_loader": LinuxBootLoader(folder / "missing")},
        INVALID_CONFIGURATION,
        ["bootLoader.kernelURL", "missing", "No such file"],
    ),
    "a kernel that is a folder": (
        lambda folder: {"boot_loader": LinuxBootLoader(folder)},
        INVALID_CONFIGURATION,
        ["bootLoader.kernelURL", "is a directory"],
    ),
    "a kernel that is none": (
        lambda folder: {"boot_loader": kernel(folder, b"#!/bin/sh\n" * 100)},
        INVALID_CONFIGURATION,
        ["bootLoader.kernelURL"],
    ),
    "a compressed kernel": (
        lambda folder: {"boot_loader": kernel(folder, b"\x1f\x8b\x08" + bytes(4096))},
        INVALID_CONFIGURATION,
        ["bootLoader.kernelURL", "gzip"],
    ),
    "more processors than the host has": (
        lambda _: {"cpu_count": applevz.limits().maximum_cpu_count + 1},
        INVALID_CONFIGURATION,
        ["CPUCount", str(applevz.limits().maximum_cpu_count + 1), str(applevz.limits().maximum_cpu_count)],
    ),
    "no processor": (lambda _: {"cpu_count": 0}, INVALID_CONFIGURATION, ["CPUCount", "0"]),
    "more memory than the host has": (
        lambda _: {"memory_size": applevz.limits().maximum_memory_size + (1 << 20)},
        INVALID_CONFIGURATION,
        ["memorySize", str(applevz.limits().maximum_memory_size + (1 << 20))],
    ),
    "memory that is no multiple of a mebibyte": (
        lambda _: {"memory_size": (256 << 20) + 4096},
        INVALID_CONFIGURATION,
        ["memorySize", str((256 << 20) + 4096), "1 MiB"],
    ),
    "an image that is not raw": (
        lambda folder: {"storage_devices": [qcow2(folder)]},
        INVALID_DISK_IMAGE,
        ["disk.qcow2", "qcow2"],
    ),
    "an image of half a sector": (
        lambda folder: {"storage_devices": [disk(folder, bytes(700))]},
        INVALID_DISK_IMAGE,
        ["disk.img", "700", "512"],
    ),
    "an empty image": (
        lambda folder: {"storage_devices": [disk(folder, b"")]},
        INVALID_DISK_IMAGE,
        ["disk.img", "empty"],
    ),
    "two cards with one address": (
        lambda folder: {"network_devices": same_card_twice(folder)},
        INVALID_CONFIGURATION,
        ["networkDevices[1]", "0a:00:00:00:00:01"],
    ),
    "one image in two disks": (
        lambda folder: {"storage_devices": same_disk_twice(folder)},
        INVALID_CONFIGURATION,
        ["storageDevices[1]", "disk.img"],
    ),
    "two memory balloons": (
        lambda _: {"memory_balloon_devices": [VirtioTraditionalMemoryBalloonDeviceConfiguration() for _ in range(2)]},
        INVALID_CONFIGURATION,
        ["memoryBalloonDevices"],
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_is_refused_is_named(configure: Configure, tmp_path: Path, what: str) -> None:
    fields, code, words = REFUSALS[what]
    given = {"boot_loader": configure().boot_loader, "memory_size": "256MiB", **fields(tmp_path)}
    configuration = VirtualMachineConfiguration(**given)

    with pytest.raises(applevz.Error) as caught:
        configuration.validate()
    error = caught.value
    assert (error.domain, error.code) == ("VZErrorDomain", code)
    assert isinstance(error, ValueError)
    for word in words:
        assert word in f"{error.failure_reason} {error.recovery_suggestion}"
    assert error.recovery_suggestion or "must" in error.failure_reason
    with pytest.raises(type(error)):
        applevz.VirtualMachine(configuration)
