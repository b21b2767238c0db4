// SPDX-License-Identifier: Apache-2.0
#import "../VZConfiguration+Private.h"
#import "../VZErrors+Private.h"
#import "QEMUAccelerator.h"
#import "QEMUCommandLine+Private.h"
#import "QEMUExpandedKernel.h"
#import "QEMUFirmware.h"
#import "QEMUKernelImage.h"
#import "QEMULinuxCommandLine.h"
#import "QEMUSavedState.h"
#import <fcntl.h>

@implementation QEMUCommandLine (BootLoader)

- (BOOL)addBootLoader:(VZVirtualMachineConfiguration *)configuration
               kernel:(QEMUExpandedKernel *)kernel
                error:(NSError **)error {
    _isExchangeable = ((VZGenericPlatformConfiguration *)configuration.platform).applevzHasGenerationIdentifier;
    if ([configuration.bootLoader isKindOfClass:[VZEFIBootLoader class]])
        return [self addEFIBootLoader:(VZEFIBootLoader *)configuration.bootLoader error:error];
    [self addLinuxBootLoader:(VZLinuxBootLoader *)configuration.bootLoader configuration:configuration kernel:kernel];
    return YES;
}

static NSString *const KernelFormatField = @"QEMU's kernel format";
static NSString *const BzImage = @"bzImage";

BOOL QEMUExpandsKernelForSavedState(QEMUSavedState *savedState) {
    return ![[savedState valueOfField:KernelFormatField] isEqual:BzImage];
}

/// QEMU enters the two formats by programs of its own, which are in a guest's memory: a state of one does not go into a machine
/// that was started with the other.
- (void)addBootLoaderFields:(VZVirtualMachineConfiguration *)configuration kernel:(QEMUExpandedKernel *)kernel {
    if (_hasFirmware) {
        // The code itself is in the saved state; that of another size would not go into this machine's flash memory.
        [_platformFields addObject:@[ @"the size of the EFI firmware",
                                      [NSString stringWithFormat:@"%llu", (unsigned long long)_firmwareSize] ]];
        return;
    }
    NSString *path = [(VZLinuxBootLoader *)configuration.bootLoader kernelPath];
    QEMUDescriptor *file = kernel == nil ? [QEMUDescriptor openPath:path flags:O_RDONLY | O_NONBLOCK error:NULL] : nil;
    BOOL isBzImage = file != nil && QEMUKernelImageRecognize(file.number).kind == QEMUKernelImageKindBzImage;
    [_platformFields addObject:@[ KernelFormatField, isBzImage ? BzImage : @"ELF" ]];
}

/// The fastest machine that boots this kernel for certain. microvm needs no firmware's search for devices and boots in the
/// least time, but a kernel that measures the time stamp counter on an emulated one may wait for ever.
- (void)addLinuxBootLoader:(VZLinuxBootLoader *)bootLoader
             configuration:(VZVirtualMachineConfiguration *)configuration
                    kernel:(QEMUExpandedKernel *)kernel {
    NSString *commandLine = bootLoader.commandLine;
    BOOL measuresCounter = QEMUAccelerator.kvmMissingReason != nil;
    if (bootLoader.applevzAddsToCommandLine) {
        QEMULinuxCommandLineResult result;
        commandLine = QEMULinuxCommandLineByAdding(commandLine, &result);
        measuresCounter = measuresCounter && !result.knowsCounterRate;
    }
    // microvm has no PCI bus and no generation identifier, and nothing can be put into it while it runs.
    _microvm = !measuresCounter && !_isExchangeable && !configuration.needsPCI &&
               configuration.deviceCount <= VZMicrovmMaximumDeviceCount;
    // QEMU opens it by its name, several times.
    NSString *path = bootLoader.kernelPath;
    if (kernel != nil)
        path = [NSString stringWithFormat:@"/proc/self/fd/%lu", (unsigned long)[self inherit:kernel.file]];
    [self add:@"-kernel" value:path];
    if (bootLoader.initialRamdiskPath != nil)
        [self add:@"-initrd" value:bootLoader.initialRamdiskPath];
    if (commandLine.length > 0)
        [self add:@"-append" value:commandLine];
}

/// Two flash memories: the host's code, which nobody writes, and the machine's own variables. QEMU locks the latter's file for
/// as long as it runs.
- (BOOL)addEFIBootLoader:(VZEFIBootLoader *)bootLoader error:(NSError **)error {
    QEMUFirmware *firmware = [QEMUFirmware firmwareWithError:error];
    if (firmware == nil || ![bootLoader.variableStore isFreeAs:@"bootLoader.variableStore" error:error])
        return NO;
    _hasFirmware = YES;
    [self add:@"-blockdev" value:QEMUOptionOfObject(@{
        @"driver" : @"file",
        @"node-name" : @"efi-code",
        @"filename" : firmware.codePath,
        @"read-only" : @YES,
    })];
    [self add:@"-blockdev" value:QEMUOptionOfObject(@{
        @"driver" : @"file",
        @"node-name" : @"efi-variables",
        @"filename" : bootLoader.variableStore.resolvedPath,
        @"read-only" : @NO,
    })];
    _firmwareSize = firmware.codeSize;
    return YES;
}

@end
