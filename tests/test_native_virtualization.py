# SPDX-License-Identifier: Apache-2.0
"""The configuration classes, by Objective-C programs (tests/native/virtualization_*.m), and their headers."""

from __future__ import annotations

import subprocess
import sys

import pytest
from native_programs import ROOT, Programs, load_toolchain

if sys.platform == "darwin":
    pytest.skip("macOS brings its own Virtualization framework", allow_module_level=True)

PARTS = ["runtime", "CoreFoundation", "dispatch", "Virtualization"]
FLAVOURS = ["O3", "address"]
HEADERS = sorted(file.name for file in (ROOT / "native" / "linux" / "Virtualization").glob("V*.h"))


@pytest.fixture(scope="module")
def programs():
    return Programs("virtualization", PARTS)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("name", ["defaults", "efi", "files", "kernel_images", "refusals", "sockets"])
def test_program(programs, name, flavour):
    result = programs.run(name, flavour)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.fixture(scope="module")
def compiler_output():
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
def test_a_header_can_be_included_alone(compiler_output, header):
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
def test_what_apple_makes_unavailable_does_not_compile(compiler_output, expression):
    assert "is unavailable" in compiler_output(f"(void){expression};")


def test_a_program_written_for_apples_framework_compiles(compiler_output):
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
