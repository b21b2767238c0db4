# SPDX-License-Identifier: Apache-2.0
"""The configuration classes, by Objective-C programs (tests/native/virtualization/*.m), and their headers."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import applevz
from native_programs import Programs, extensions, load_toolchain, programs_of_virtualization
from places import NATIVE, PROGRAM_SOURCES

if sys.platform == "darwin":
    pytest.skip("macOS brings its own Virtualization framework", allow_module_level=True)

FLAVOURS = ["O3", "address"]
HEADERS = sorted(file.name for file in load_toolchain().PUBLIC_HEADERS.glob("*.h"))


@pytest.fixture(scope="module")
def programs() -> Programs:
    return programs_of_virtualization()


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("name", ["addresses", "defaults", "efi", "files", "kernel_images", "refusals", "sockets"])
def test_program(programs: Programs, name: str, flavour: str) -> None:
    result = programs.run(name, flavour)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("flavour", ["address", "thread"])
def test_the_log_is_bounded_and_many_threads_write_to_it(programs: Programs, flavour: str) -> None:
    result = programs.run("log", flavour, timeout=200)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_a_qemu_says_or_leaves_that_a_guest_took_over_ends_no_process(
    programs: Programs, flavour: str, tmp_path: Path
) -> None:
    result = programs.run("messages", flavour, str(tmp_path), timeout=200)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("flavour", [*FLAVOURS, "thread"])
def test_a_fork_server_s_copies_are_what_the_program_would_be(programs: Programs, flavour: str, tmp_path: Path) -> None:
    clang = load_toolchain().Toolchain.find().clang
    sources = PROGRAM_SOURCES / "forked"
    # A colon or a blank in its path would end what the dynamic linker is told to load.
    folder = tmp_path / "a b:c"
    folder.mkdir()
    library, program, server = folder / "library.so", folder / "program", folder / "fork-server.so"
    compiler = [clang, "-D_GNU_SOURCE", "-Wall", "-Werror", "-pthread"]
    subprocess.run([*compiler, "-shared", "-fPIC", "-o", library, sources / "library.c"], check=True)
    subprocess.run([*compiler, "-o", program, sources / "program.c", library], check=True)
    shutil.copy2(Path(applevz.__file__).parent / "fork-server.so", server)
    script = folder / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    result = programs.run("fork_server", flavour, *map(str, (program, server, script)), timeout=200)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def adopters() -> dict[str, list[str]]:
    """The protocols that the headers of native/linux say their classes adopt, and those classes."""
    found: dict[str, list[str]] = {}
    for file in sorted((NATIVE / "linux").rglob("*.h")):
        for name, protocols in re.findall(
            r"^@interface (\w+) (?:\(\w*\)|: \w+) <([^>]*)>", file.read_text(encoding="utf-8"), re.MULTILINE
        ):
            for protocol in protocols.split(","):
                found.setdefault(protocol.strip(), []).append(name)
    return found


def test_each_class_answers_to_every_selector_of_the_extensions_that_it_adopts(programs: Programs) -> None:
    adopted = adopters()
    methods = [
        f"{method[0]}[{name} {method[1:]}]"
        for protocol, names in extensions().items()
        for method in names
        for name in adopted[protocol]
    ]
    assert "+[VZVirtualMachine applevzServeQuickQueue:]" in methods
    result = programs.run("extensions", "O3", *methods)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_the_bridge_asks_for_no_selector_that_the_header_of_extensions_lacks() -> None:
    """respondsToSelector: would say no to a misspelt one, and the bridge would go the longer way without a word."""
    declared = {method[1:] for methods in extensions().values() for method in methods}
    asked = {
        (file.name, selector)
        for file in sorted((NATIVE / "bridge").rglob("*.m"))
        for selector in re.findall(
            r"@selector\(\s*((?:applevz|setApplevz)[\w:]*)\s*\)", file.read_text(encoding="utf-8")
        )
    }
    assert asked
    assert {(file, selector) for file, selector in asked if selector not in declared} == set()


@pytest.fixture(scope="module")
def compiler_output() -> Callable[..., str]:
    """What the compiler says about the body of a function in a program for the framework."""
    toolchain = load_toolchain().Toolchain.find()
    flags = [*toolchain.language_flags("program.m"), *toolchain.compile_flags(), "-Werror", "-fsyntax-only"]

    def output(body: str, header: str = "Virtualization.h") -> str:
        program = f"#import <Virtualization/{header}>\nvoid function(void);\nvoid function(void) {{ {body} }}\n"
        return subprocess.run(
            [toolchain.clang, *flags, "-x", "objective-c", "-"],
            input=program,
            capture_output=True,
            text=True,
            check=False,
        ).stderr

    return output


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_can_be_included_alone(compiler_output: Callable[..., str], header: str) -> None:
    assert compiler_output("", header) == ""


@pytest.mark.parametrize(
    "expression",
    [
        "[VZBootLoader new]",
        "[VZEFIVariableStore new]",
        "[[VZLinuxBootLoader alloc] init]",
        "[VZVirtioNetworkDeviceConfiguration new]",
        "[[VZMACAddress alloc] init]",
        "[[VZDiskImageStorageDeviceAttachment alloc] init]",
        "[[VZFileHandleSerialPortAttachment alloc] init]",
        "[[VZVirtualMachine alloc] init]",
        "[VZBridgedNetworkInterface new]",
        "[[VZBridgedNetworkDeviceAttachment alloc] init]",
    ],
)
def test_what_apple_makes_unavailable_does_not_compile(compiler_output: Callable[..., str], expression: str) -> None:
    assert "is unavailable" in compiler_output(f"(void){expression};")


def test_a_program_written_for_apples_framework_compiles(compiler_output: Callable[..., str]) -> None:
    assert (
        compiler_output("""
        if (@available(macOS 13.0, *)) {
            NSError *error = nil;
            NSURL *url = [NSURL fileURLWithPath:@"/image"];
            VZLinuxBootLoader *loader = [[VZLinuxBootLoader alloc] initWithKernelURL:url];
            loader.initialRamdiskURL = url;
            loader.commandLine = @"console=hvc0";
            VZVirtualMachineConfiguration *configuration = [[VZVirtualMachineConfiguration alloc] init];
            configuration.bootLoader = loader;
            configuration.CPUCount = VZVirtualMachineConfiguration.maximumAllowedCPUCount;
            configuration.memorySize = VZVirtualMachineConfiguration.minimumAllowedMemorySize;
            VZGenericPlatformConfiguration *platform = [[VZGenericPlatformConfiguration alloc] init];
            platform.machineIdentifier = [[VZGenericMachineIdentifier alloc]
                initWithDataRepresentation:platform.machineIdentifier.dataRepresentation];
            configuration.platform = platform;
            VZDiskImageStorageDeviceAttachment *image = [[VZDiskImageStorageDeviceAttachment alloc]
                        initWithURL:url
                           readOnly:NO
                        cachingMode:VZDiskImageCachingModeCached
                synchronizationMode:VZDiskImageSynchronizationModeFsync
                              error:&error];
            VZVirtioBlockDeviceConfiguration *disk =
                [[VZVirtioBlockDeviceConfiguration alloc] initWithAttachment:image];
            configuration.storageDevices = @[ disk ];
            VZVirtioNetworkDeviceConfiguration *network = [[VZVirtioNetworkDeviceConfiguration alloc] init];
            network.MACAddress = [VZMACAddress randomLocallyAdministeredAddress];
            ether_addr_t address = network.MACAddress.ethernetAddress;
            address.octet[5] ^= 1;
            network.attachment = [[VZNATNetworkDeviceAttachment alloc] init];
            for (VZBridgedNetworkInterface *interface in VZBridgedNetworkInterface.networkInterfaces) {
                NSLog(@"%@ %@", interface.identifier, interface.localizedDisplayName);
                network.attachment = [[VZBridgedNetworkDeviceAttachment alloc] initWithInterface:interface];
            }
            configuration.networkDevices = @[ network ];
            VZVirtioConsoleDeviceSerialPortConfiguration *port =
                [[VZVirtioConsoleDeviceSerialPortConfiguration alloc] init];
            port.attachment = [[VZFileHandleSerialPortAttachment alloc]
                initWithFileHandleForReading:NSFileHandle.fileHandleWithStandardInput
                        fileHandleForWriting:NSFileHandle.fileHandleWithStandardOutput];
            configuration.serialPorts = @[ port ];
            configuration.entropyDevices = @[ [[VZVirtioEntropyDeviceConfiguration alloc] init] ];
            configuration.memoryBalloonDevices =
                @[ [[VZVirtioTraditionalMemoryBalloonDeviceConfiguration alloc] init] ];
            if (VZVirtualMachine.supported && [configuration validateWithError:&error]) {
                dispatch_queue_t queue = dispatch_queue_create("machine", DISPATCH_QUEUE_SERIAL);
                VZVirtualMachine *machine = [[VZVirtualMachine alloc] initWithConfiguration:configuration queue:queue];
                dispatch_async(queue, ^{
                    [machine startWithCompletionHandler:^(NSError *_Nullable failure) {
                        NSLog(@"%@ %ld", failure.localizedDescription, (long)machine.state);
                        VZVirtioTraditionalMemoryBalloonDevice *balloon =
                            (VZVirtioTraditionalMemoryBalloonDevice *)machine.memoryBalloonDevices.firstObject;
                        balloon.targetVirtualMachineMemorySize = 1 << 26;
                    }];
                });
            }
        }
    """)
        == ""
    )
