// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import "QEMU/program/QEMUAccelerator.h"
#import "QEMUCommandLine+Private.h"
#import "QEMU/boot/QEMUExpandedKernel.h"
#import "QEMU/boot/QEMUInitialRamdisk.h"
#import "QEMU/program/QEMUFirmware.h"
#import "host/linux_kernel/LinuxKernelImage.h"
#import "configuration/boot/QEMULinuxCommandLine.h"
#import "QEMU/saved_states/QEMUSavedState.h"

@implementation QEMUCommandLine (BootLoader)

- (BOOL)addBootLoader:(VZVirtualMachineConfiguration *)configuration
               kernel:(QEMUExpandedKernel *)kernel
                error:(NSError **)error {
    _isExchangeable = ((VZGenericPlatformConfiguration *)configuration.platform).applevzHasGenerationIdentifier;
    if ([configuration.bootLoader isKindOfClass:[VZEFIBootLoader class]])
        return [self addEFIBootLoader:(VZEFIBootLoader *)configuration.bootLoader error:error];
    return [self addLinuxBootLoader:(VZLinuxBootLoader *)configuration.bootLoader
                      configuration:configuration
                             kernel:kernel
                              error:error];
}

static NSString *const KernelFormatField = @"QEMU's kernel format";
static NSString *const BzImage = @"bzImage";

// The PC's first serial port, where the kernel prints until it has a driver for its console.
static NSString *const EarlyConsoleWord = @"earlycon=uart8250,io,0x3f8,115200";

BOOL QEMUExpandsKernelForSavedState(QEMUSavedState *savedState) {
    return ![[savedState valueOfField:KernelFormatField] isEqual:BzImage];
}

/// QEMU enters the two formats by programs of its own, which are in a guest's memory: a state of one does not go into a
/// machine that was started with the other.
- (void)addBootLoaderFields:(VZVirtualMachineConfiguration *)configuration kernel:(QEMUExpandedKernel *)kernel {
    if (_hasFirmware) {
        // The code itself is in the saved state; that of another size would not go into this machine's flash memory.
        [_platformFields addObject:@[
            @"the size of the EFI firmware", [NSString stringWithFormat:@"%llu", (unsigned long long)_firmwareSize]
        ]];
        return;
    }
    [_platformFields addObject:@[ KernelFormatField, _hasBzImage ? BzImage : @"ELF" ]];
}

/// The fastest machine that boots this kernel for certain. microvm needs no firmware's search for devices and boots in
/// the least time, but a kernel that measures the time stamp counter on an emulated one may wait for ever. What counts
/// is what the kernel finds in the line that it is given.
- (BOOL)addLinuxBootLoader:(VZLinuxBootLoader *)bootLoader
             configuration:(VZVirtualMachineConfiguration *)configuration
                    kernel:(QEMUExpandedKernel *)kernel
                     error:(NSError **)error {
    NSString *commandLine = bootLoader.commandLine;
    BOOL measuresCounter = QEMUAccelerator.kvmMissingReason != nil;
    if (bootLoader.applevzAddsToCommandLine) {
        commandLine = QEMULinuxCommandLineByAdding(commandLine, QEMULinuxCommandLineAdditions());
        measuresCounter = measuresCounter && !QEMULinuxCommandLineHasCounterRate(commandLine);
    }
    if (bootLoader.applevzEarlyConsoleAttachment != nil)
        commandLine = QEMULinuxCommandLineByAdding(commandLine, @[ EarlyConsoleWord ]);
    // microvm has no PCI bus and no generation identifier, and nothing can be put into it while it runs.
    _microvm = !measuresCounter && !QEMULinuxCommandLineNeedsPC(commandLine) && !_isExchangeable &&
               !configuration.needsPCI && configuration.deviceCount <= VZMicrovmMaximumDeviceCount &&
               ![self ramdiskNeedsPC:bootLoader];
    if (![self addKernelOf:bootLoader expanded:kernel error:error])
        return NO;
    if (commandLine.length > 0)
        [self add:@"-append" value:commandLine];
    return YES;
}

- (BOOL)addKernelOf:(VZLinuxBootLoader *)bootLoader expanded:(QEMUExpandedKernel *)expanded error:(NSError **)error {
    NSString *property = @"bootLoader";
    NSString *path = nil;
    if (expanded != nil) {
        path = [self pathToReopen:expanded.file];
    } else {
        VZHostFile *kernel = [bootLoader openKernelAs:property error:error];
        _hasBzImage =
            kernel != nil && LinuxKernelImageRecognize(kernel.fileDescriptor).kind == LinuxKernelImageKindBzImage;
        path = kernel != nil ? [self pathToReopenFile:kernel as:@"bootLoader.kernelURL" error:error] : nil;
    }
    if (path == nil)
        return NO;
    [self add:@"-kernel" value:path];
    if (bootLoader.initialRamdiskURL == nil)
        return YES;
    VZHostFile *ramdisk = [bootLoader openInitialRamdiskAs:property error:error];
    path = ramdisk != nil ? [self pathToReopenRamdisk:ramdisk error:error] : nil;
    if (path != nil)
        [self add:@"-initrd" value:path];
    return path != nil;
}

- (BOOL)ramdiskNeedsPC:(VZLinuxBootLoader *)bootLoader {
    // One that cannot be opened is refused later.
    VZHostFile *ramdisk =
        bootLoader.initialRamdiskURL != nil ? [bootLoader openInitialRamdiskAs:@"bootLoader" error:NULL] : nil;
    return ramdisk != nil && QEMUInitialRamdiskNeedsPC(ramdisk);
}

- (NSString *)pathToReopenRamdisk:(VZHostFile *)ramdisk error:(NSError **)error {
    NSString *property = @"bootLoader.initialRamdiskURL";
    if (!_microvm)
        return [self pathToReopenFile:ramdisk as:property error:error];
    NSError *cause = nil;
    HostDescriptor *descriptor = QEMUInitialRamdiskOfMicrovm(ramdisk, &cause);
    if (descriptor == nil)
        QEMUCannotOpen(error, property, cause);
    return descriptor != nil ? [self pathToReopen:descriptor] : nil;
}

/// Two flash memories: the host's code, which nobody writes, and the machine's own variables. QEMU locks the latter's
/// file for as long as it runs.
- (BOOL)addEFIBootLoader:(VZEFIBootLoader *)bootLoader error:(NSError **)error {
    QEMUFirmware *firmware = [QEMUFirmware firmwareWithError:error];
    NSString *property = @"bootLoader.variableStore";
    VZHostFile *code = [firmware openCodeWithError:error];
    VZHostFile *variables = code != nil ? [bootLoader.variableStore openFreeAs:property error:error] : nil;
    NSString *codePath =
        variables != nil ? [self pathToReopenFile:code as:@"The host's EFI firmware" error:error] : nil;
    NSString *variablesPath = codePath != nil ? [self pathToUseFile:variables as:property error:error] : nil;
    if (variablesPath == nil)
        return NO;
    _hasFirmware = YES;
    [self add:@"-blockdev"
        value:QEMUOptionOfObject(@{
            @"driver" : @"file",
            @"node-name" : @"efi-code",
            @"filename" : codePath,
            @"read-only" : @YES,
        })];
    NSString *option = QEMUOptionOfObject(@{
        @"driver" : @"file",
        @"node-name" : @"efi-variables",
        @"filename" : variablesPath,
        @"read-only" : @NO,
    });
    [self add:@"-blockdev" value:option];
    [_disks addObject:[[QEMUStartedDisk alloc] initWithProperty:[property stringByAppendingString:@".URL"]
                                                          shown:VZQuotedPathOfFileURL(bootLoader.variableStore.URL)
                                                           node:@"efi-variables"
                                                         option:option
                                                          paths:@[ variablesPath ]
                                                     attachment:nil]];
    _firmwareSize = firmware.codeSize;
    return YES;
}

@end
