# SPDX-License-Identifier: Apache-2.0
"""Any value in a configuration either validates or is refused by this package's error, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import applevz
from applevz import (
    Console,
    DiskImageCachingMode,
    DiskImageStorageDeviceAttachment,
    DiskImageSynchronizationMode,
    EFIBootLoader,
    EFIVariableStore,
    Error,
    FileHandleSerialPortAttachment,
    FileSerialPortAttachment,
    GenericMachineIdentifier,
    GenericPlatformConfiguration,
    InvalidArgumentError,
    InvalidArgumentTypeError,
    InvalidVirtualMachineConfigurationError,
    LinuxBootLoader,
    MACAddress,
    VirtioBlockDeviceConfiguration,
    VirtioConsoleDeviceSerialPortConfiguration,
    VirtioEntropyDeviceConfiguration,
    VirtioNetworkDeviceConfiguration,
    VirtioTraditionalMemoryBalloonDeviceConfiguration,
    VirtualMachineConfiguration,
)
from applevz._native import lib
from places import GUEST_FILES
from processes import open_descriptors

# A file that starts as a Linux kernel does (Documentation/arch/x86/boot.rst: a jump, and "HdrS" at 0x202).
BZIMAGE = b"\x00" * 0x1F1 + b"\x04" + b"\x00" * 12 + b"\x55\xaa" + b"\xeb\x66HdrS\x0f\x02" + b"\x00" * 4096


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    guest = GUEST_FILES / "vmlinuz"
    if guest.exists():
        return guest
    path = tmp_path_factory.mktemp("kernel") / "vmlinuz"
    path.write_bytes(BZIMAGE)
    return path


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "disk.img"
    path.write_bytes(b"\x00" * 4096)
    return path


@pytest.fixture
def configuration(kernel: Path) -> VirtualMachineConfiguration:
    return VirtualMachineConfiguration(LinuxBootLoader(kernel), memory_size="256MiB")


def refusal(configuration: VirtualMachineConfiguration) -> Error:
    with pytest.raises(Error) as caught:
        configuration.validate()
    return caught.value


# ---- What is accepted ----


def test_a_kernel_is_all_that_a_configuration_needs(configuration: VirtualMachineConfiguration) -> None:
    configuration.validate()


def test_a_configuration_with_one_of_each_device_validates(
    configuration: VirtualMachineConfiguration, image: Path, tmp_path: Path
) -> None:
    limits = applevz.limits()
    configuration.cpu_count = limits.maximum_cpu_count
    configuration.platform = GenericPlatformConfiguration(GenericMachineIdentifier.random())
    configuration.serial_ports = [
        VirtioConsoleDeviceSerialPortConfiguration(),
        VirtioConsoleDeviceSerialPortConfiguration(Console()),
        VirtioConsoleDeviceSerialPortConfiguration(Console().attachment),
        VirtioConsoleDeviceSerialPortConfiguration(FileSerialPortAttachment(tmp_path / "serial.log", append=True)),
    ]
    configuration.storage_devices = [
        VirtioBlockDeviceConfiguration(
            DiskImageStorageDeviceAttachment(
                image, True, DiskImageCachingMode.UNCACHED, DiskImageSynchronizationMode.NONE
            ),
            "first",
        )
    ]
    configuration.network_devices = [
        VirtioNetworkDeviceConfiguration(),
        VirtioNetworkDeviceConfiguration(mac_address=MACAddress.random()),
        VirtioNetworkDeviceConfiguration(mac_address="0a:00:00:00:00:01"),
    ]
    configuration.entropy_devices = [VirtioEntropyDeviceConfiguration()]
    configuration.memory_balloon_devices = [VirtioTraditionalMemoryBalloonDeviceConfiguration()]
    configuration.validate()


def test_paths_are_text_bytes_or_objects_and_relative_ones_are_of_the_moment(
    kernel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(kernel.parent)
    for path in (kernel, str(kernel), bytes(kernel), kernel.name, Path(kernel.name)):
        VirtualMachineConfiguration(LinuxBootLoader(path)).validate()
    monkeypatch.chdir("/")
    with pytest.raises(FileNotFoundError, match=f"/{kernel.name}"):
        VirtualMachineConfiguration(LinuxBootLoader(kernel.name)).validate()


def test_a_relative_path_without_a_working_directory_is_refused(
    kernel: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    error = refusal(VirtualMachineConfiguration(LinuxBootLoader("vmlinuz")))
    assert isinstance(error, InvalidArgumentError)
    assert "boot_loader.kernel" in str(error)
    VirtualMachineConfiguration(LinuxBootLoader(kernel)).validate()


def test_sockets_files_and_numbers_are_serial_ports(configuration: VirtualMachineConfiguration) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, open(os.devnull, "wb") as file:
        configuration.serial_ports = [
            VirtioConsoleDeviceSerialPortConfiguration(FileHandleSerialPortAttachment(ours, ours)),
            VirtioConsoleDeviceSerialPortConfiguration(FileHandleSerialPortAttachment(None, file)),
            VirtioConsoleDeviceSerialPortConfiguration(FileHandleSerialPortAttachment(theirs.fileno(), None)),
        ]
        configuration.validate()


def test_the_default_of_each_field_is_not_shared_between_configurations() -> None:
    first, second = VirtualMachineConfiguration(), VirtualMachineConfiguration()
    assert first == second
    assert first.platform is not second.platform
    assert first.serial_ports is not second.serial_ports


def test_a_machine_gets_a_console_of_its_own_each_time(configuration: VirtualMachineConfiguration) -> None:
    first, second = applevz.VirtualMachine(configuration), applevz.VirtualMachine(configuration)
    assert first.console is not second.console
    assert applevz.VirtualMachine(dataclasses.replace(configuration, serial_ports=[])).consoles == ()


# ---- What is refused ----


def test_no_boot_loader_is_refused_by_the_framework() -> None:
    error = refusal(VirtualMachineConfiguration())
    assert type(error) is InvalidVirtualMachineConfigurationError
    assert (error.domain, error.code) == ("VZErrorDomain", 2)


WRONG_TYPES: list[tuple[str, Any]] = [
    ("boot_loader", "vmlinuz"),
    ("boot_loader.kernel", None),
    ("boot_loader.kernel", 3),
    ("boot_loader.initial_ramdisk", 1.5),
    ("boot_loader.command_line", b"quiet"),
    ("boot_loader.command_line", None),
    ("boot_loader.command_line_additions", "no"),
    ("boot_loader.command_line_additions", 0),
    ("cpu_count", True),
    ("cpu_count", "2"),
    ("cpu_count", 2.0),
    ("cpu_count", None),
    ("memory_size", None),
    ("memory_size", 5e8),
    ("platform", None),
    ("serial_ports", None),
    ("serial_ports", "serial"),
    ("serial_ports", [Console]),
    ("storage_devices", 1),
    ("storage_devices", ["disk.img"]),
    ("network_devices", [None]),
    ("entropy_devices", [VirtioTraditionalMemoryBalloonDeviceConfiguration()]),
    ("memory_balloon_devices", [VirtioEntropyDeviceConfiguration()]),
    ("platform.machine_identifier", b"1234"),
]


def assign(configuration: VirtualMachineConfiguration, field: str, value: object) -> None:
    *names, last = field.split(".")
    target: Any = configuration
    for name in names:
        target = getattr(target, name)
    setattr(target, last, value)


@pytest.mark.parametrize(("field", "value"), WRONG_TYPES)
def test_a_value_of_a_wrong_type_is_refused_by_field_and_type(
    configuration: VirtualMachineConfiguration, field: str, value: object
) -> None:
    assign(configuration, field, value)
    error = refusal(configuration)
    assert isinstance(error, InvalidArgumentTypeError)
    assert isinstance(error, TypeError)
    assert error.localized_description.startswith(field)
    assert error.failure_reason


WRONG_VALUES: list[tuple[str, Any]] = [
    ("boot_loader.kernel", ""),
    ("boot_loader.kernel", "/vm\0linuz"),
    ("boot_loader.kernel", b"/vm\0linuz"),
    ("boot_loader.kernel", "/vm\ud800linuz"),
    ("boot_loader.initial_ramdisk", ""),
    ("boot_loader.command_line", "qui\0et"),
    ("boot_loader.command_line", "\ud800"),
    ("cpu_count", -1),
    ("cpu_count", 1 << 64),
    ("memory_size", -1),
    ("memory_size", "lots"),
    ("platform.machine_identifier", GenericMachineIdentifier(b"")),
]


@pytest.mark.parametrize(("field", "value"), WRONG_VALUES)
def test_a_value_that_no_machine_could_have_is_refused_by_field_and_value(
    configuration: VirtualMachineConfiguration, field: str, value: object
) -> None:
    assign(configuration, field, value)
    error = refusal(configuration)
    assert type(error) is InvalidArgumentError
    assert error.localized_description.startswith(field)
    assert error.recovery_suggestion


@pytest.mark.parametrize("handle", [-1, 1 << 31, 1 << 64, True, "1", 1.0])
def test_what_is_no_descriptor_is_refused(configuration: VirtualMachineConfiguration, handle: Any) -> None:
    attachment = FileHandleSerialPortAttachment(None, handle)
    configuration.serial_ports = [VirtioConsoleDeviceSerialPortConfiguration(attachment)]
    error = refusal(configuration)
    assert isinstance(error, InvalidArgumentError)
    assert error.localized_description.startswith("serial_ports[0].attachment.file_handle_for_writing")


def test_a_closed_file_is_refused(configuration: VirtualMachineConfiguration) -> None:
    with open(os.devnull, "wb") as file:
        attachment = FileHandleSerialPortAttachment(None, file)
    configuration.serial_ports = [VirtioConsoleDeviceSerialPortConfiguration(attachment)]
    assert isinstance(refusal(configuration), InvalidArgumentError)


def test_a_descriptor_that_is_not_open_is_refused(configuration: VirtualMachineConfiguration) -> None:
    attachment = FileHandleSerialPortAttachment(None, 1_000_000)
    configuration.serial_ports = [VirtioConsoleDeviceSerialPortConfiguration(attachment)]
    refusal(configuration)


def test_a_console_has_one_serial_port_of_one_machine(configuration: VirtualMachineConfiguration) -> None:
    console = Console()
    port = VirtioConsoleDeviceSerialPortConfiguration(console)
    twice = dataclasses.replace(configuration, serial_ports=[port, VirtioConsoleDeviceSerialPortConfiguration(console)])
    assert "serial_ports[1].attachment" in str(refusal(twice))
    once = dataclasses.replace(configuration, serial_ports=[port])
    machine = applevz.VirtualMachine(once)
    assert machine.console is console
    assert "serial_ports[0].attachment" in str(refusal(once))


# ---- Anything at all ----

texts = st.text() | st.sampled_from(
    ["-", "--help", "a,b=c", '"', "'", "\n", "\0", "\ud800", "%s%n", "a" * 5000, "é", "\u202e"]
)
paths = texts | st.binary() | st.builds(Path, st.text(st.characters(exclude_characters="\0"), max_size=20))
numbers = st.integers() | st.integers(0, 1 << 64) | st.floats() | st.booleans() | st.none()
anything = texts | st.binary() | numbers


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_anything_in_a_configuration_validates_or_is_refused(data: st.DataObject, kernel: Path, image: Path) -> None:
    draw: Callable[..., Any] = data.draw
    boot_loader: Any = LinuxBootLoader(
        draw(st.just(kernel) | paths),
        draw(st.none() | st.just(image) | paths),
        draw(texts),
        draw(st.booleans() | anything),
    )
    if draw(st.integers(0, 4)) == 0:
        # Paths at which nobody may make a file: a store that is missing is made.
        names = st.just(image) | st.just(kernel.parent) | st.just("/nowhere/at/all") | numbers | st.just("a\0b")
        boot_loader = EFIBootLoader(draw(st.builds(EFIVariableStore, names) | anything))
    configuration = VirtualMachineConfiguration(
        boot_loader,
        cpu_count=draw(st.just(1) | numbers),
        memory_size=draw(st.just("256MiB") | numbers | texts),
        platform=GenericPlatformConfiguration(draw(st.none() | st.builds(GenericMachineIdentifier, st.binary()))),
        serial_ports=draw(
            st.lists(
                st.builds(
                    VirtioConsoleDeviceSerialPortConfiguration,
                    st.none()
                    | st.builds(FileHandleSerialPortAttachment, numbers, numbers)
                    | st.builds(FileSerialPortAttachment, st.just("/nowhere/at/all"), st.booleans()),
                ),
                max_size=2,
            )
        ),
        storage_devices=draw(
            st.lists(
                st.builds(
                    VirtioBlockDeviceConfiguration,
                    st.builds(DiskImageStorageDeviceAttachment, st.just(image) | paths, st.booleans()),
                    st.none() | texts,
                ),
                max_size=2,
            )
        ),
        network_devices=draw(
            st.lists(st.builds(VirtioNetworkDeviceConfiguration, mac_address=st.none() | texts), max_size=2)
        ),
    )
    handles, files = lib.applevz_debug_live_handles(), open_descriptors()
    with contextlib.suppress(Error):
        configuration.validate()
    assert lib.applevz_debug_live_handles() == handles
    assert open_descriptors() <= files


@settings(max_examples=200, deadline=None)
@given(timeout=anything)
def test_any_duration_is_taken_or_refused(timeout: Any) -> None:
    console = Console()
    if timeout is None or (isinstance(timeout, int | float) and not isinstance(timeout, bool) and timeout >= 0):
        console.write(b"", timeout)
    else:
        with pytest.raises(InvalidArgumentError, match="timeout"):
            console.write(b"", timeout)
    console.close()
