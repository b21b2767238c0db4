// SPDX-License-Identifier: Apache-2.0
#import "VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "configuration/storage/VZNamedStorageDeviceAttachment+Private.h"
#import "host/confinement/HostControlGroup.h"
#import "QEMU/program/VZVirtualMachine+Host.h"
#import "support/VZHostFile+Private.h"
#import <dispatch/descriptor.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

static const uint64_t mebibyte = 1024 * 1024;

// OVMF crashes with 32 MiB, and gets to its shell with 48.
static const uint64_t firmwareMemorySize = 64 * mebibyte;

// QEMU's x86 machines take no more without an emulated interrupt remapper.
enum { emulatorMaximumCPUCount = 255 };

static NSUInteger countOfUsableCPUs(void) {
    // The set has to be as large as the kernel's, whose size is only known from the call's success.
    for (int capacity = 1024; capacity <= 1 << 20; capacity *= 2) {
        cpu_set_t *set = CPU_ALLOC(capacity);
        int result = set ? sched_getaffinity(0, CPU_ALLOC_SIZE(capacity), set) : -1;
        int count = result == 0 ? CPU_COUNT_S(CPU_ALLOC_SIZE(capacity), set) : 0;
        BOOL tooSmall = result != 0 && errno == EINVAL;
        CPU_FREE(set);
        if (!tooSmall) {
            return count > 0 ? (NSUInteger)count : 1;
        }
    }
    return 1;
}

BOOL VZRefuseClass(id object, NSString *property, NSString *wanted, NSError **error) {
    return VZRefuse(error, VZInvalidConfigurationError(
                               [NSString stringWithFormat:@"%@ is an instance of %@.", property, [object class]],
                               [NSString stringWithFormat:@"Use an instance of %@.", wanted], nil));
}

@implementation VZVirtualMachineConfiguration (VZVirtualMachineConfigurationValidation)

// Apple's value on its own machines. QEMU's starts with less, but Linux is loaded at 1 MiB and above; what a kernel and
// its RAM disk need beyond that is checked with them.
+ (uint64_t)minimumAllowedMemorySize {
    return 4 * mebibyte;
}

+ (uint64_t)maximumAllowedMemorySize {
    uint64_t physical = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    return physical / mebibyte * mebibyte;
}

+ (NSUInteger)minimumAllowedCPUCount {
    return 1;
}

+ (NSUInteger)maximumAllowedCPUCount {
    return MIN(countOfUsableCPUs(), (NSUInteger)emulatorMaximumCPUCount);
}

- (BOOL)validateWithError:(NSError **)error {
    // The files that are looked at are closed before this returns, not when the caller's pool ends.
    NSError *wrong = nil;
    BOOL valid;
    @autoreleasepool {
        // Where no machine can be run, no configuration is valid, and the error says why; Apple documents it so.
        wrong = [VZVirtualMachine applevzUnsupportedError];
        valid = wrong == nil && [self validateEverythingWithError:&wrong];
    }
    return valid || VZRefuse(error, wrong);
}

- (BOOL)validateEverythingWithError:(NSError **)error {
    // Serial ports come before every part whose files are opened: a file would get the number of a port's descriptor
    // that was closed, and the port would look sound.
    return [self validateProcessorsAndMemoryWithError:error] && [self validateResourceLimitsWithError:error] &&
           [self validateMemoryDirectoryWithError:error] &&
           [self validateParts:self.serialPorts
                            as:@"serialPorts"
                         class:[VZSerialPortConfiguration class]
                         error:error] &&
           [self validateParts:self.consoleDevices
                            as:@"consoleDevices"
                         class:[VZConsoleDeviceConfiguration class]
                         error:error] &&
           [self validateBootLoaderWithError:error] &&
           [self validatePart:self.platform as:@"platform" class:[VZPlatformConfiguration class] error:error] &&
           [self validateParts:self.audioDevices
                            as:@"audioDevices"
                         class:[VZAudioDeviceConfiguration class]
                         error:error] &&
           [self validateParts:self.entropyDevices
                            as:@"entropyDevices"
                         class:[VZEntropyDeviceConfiguration class]
                         error:error] &&
           [self validateParts:self.graphicsDevices
                            as:@"graphicsDevices"
                         class:[VZGraphicsDeviceConfiguration class]
                         error:error] &&
           [self validateParts:self.keyboards as:@"keyboards" class:[VZKeyboardConfiguration class] error:error] &&
           [self validateParts:self.pointingDevices
                            as:@"pointingDevices"
                         class:[VZPointingDeviceConfiguration class]
                         error:error] &&
           [self validateParts:self.memoryBalloonDevices
                            as:@"memoryBalloonDevices"
                         class:[VZMemoryBalloonDeviceConfiguration class]
                         error:error] &&
           [self validateParts:self.networkDevices
                            as:@"networkDevices"
                         class:[VZNetworkDeviceConfiguration class]
                         error:error] &&
           [self validateDirectorySharingWithError:error] &&
           [self validateParts:self.socketDevices
                            as:@"socketDevices"
                         class:[VZSocketDeviceConfiguration class]
                         error:error] &&
           [self validateParts:self.storageDevices
                            as:@"storageDevices"
                         class:[VZStorageDeviceConfiguration class]
                         error:error] &&
           [self validateParts:self.usbControllers
                            as:@"usbControllers"
                         class:[VZUSBControllerConfiguration class]
                         error:error] &&
           [self validateDeviceCountsWithError:error] && [self validateDistinctnessWithError:error];
}

// A limit is nothing, or within these. An overlay has tables and its first clusters; QEMU's throttling counts to 1e15.
static BOOL refusesLimit(uint64_t value, uint64_t minimum, uint64_t maximum, NSString *name, NSString *unit,
                         NSError **error) {
    if (value == 0 || (value >= minimum && value <= maximum)) {
        return NO;
    }
    VZRefuseConfiguration(
        error, [NSString stringWithFormat:@"resourceLimits.%@ is %llu %@.", name, (unsigned long long)value, unit],
        [NSString stringWithFormat:@"Give %llu to %llu, or no limit.", (unsigned long long)minimum,
                                   (unsigned long long)maximum]);
    return YES;
}

- (BOOL)validateResourceLimitsWithError:(NSError **)error {
    static const uint64_t mostPerSecond = UINT64_C(1000000000000000);
    static const double fewestProcessors = 0.01, mostProcessors = 100000;
    AppleVZResourceLimits limits = self.applevzResourceLimits;
    if (limits.processors != 0 && !(limits.processors >= fewestProcessors && limits.processors <= mostProcessors)) {
        return VZRefuseConfiguration(error,
                                     [NSString stringWithFormat:@"resourceLimits.processors is %g.", limits.processors],
                                     @"Give 0.01 to 100000, or no limit.");
    }
    if (limits.memory > 0 && limits.memory < self.memorySize) {
        return VZRefuseConfiguration(
            error,
            [NSString stringWithFormat:@"resourceLimits.memory is %llu bytes, less than the %llu of memorySize.",
                                       (unsigned long long)limits.memory, (unsigned long long)self.memorySize],
            @"Allow at least 256 MiB more than the guest's memory: QEMU takes some for itself.");
    }
    if (self.applevzControlGroupURL && !HostNeedsControlGroup(limits)) {
        return VZRefuseConfiguration(error,
                                     [NSString stringWithFormat:@"resourceLimits.controlGroup is %@, and neither "
                                                                @"processors nor memory are limited.",
                                                                VZQuotedPathOfFileURL(self.applevzControlGroupURL)],
                                     @"Leave it out, or set one of them.");
    }
    return !refusesLimit(limits.overlaySize, mebibyte, INT64_MAX, @"overlaySize", @"bytes", error) &&
           !refusesLimit(limits.diskBytesPerSecond, 1, mostPerSecond, @"diskBytesPerSecond", @"bytes", error) &&
           !refusesLimit(limits.diskOperationsPerSecond, 1, mostPerSecond, @"diskOperationsPerSecond", @"operations",
                         error);
}

- (BOOL)validateProcessorsAndMemoryWithError:(NSError **)error {
    NSUInteger minimumCPUs = [[self class] minimumAllowedCPUCount];
    NSUInteger maximumCPUs = [[self class] maximumAllowedCPUCount];
    uint64_t minimum = [[self class] minimumAllowedMemorySize];
    uint64_t maximum = [[self class] maximumAllowedMemorySize];
    uint64_t size = self.memorySize;
    if (self.CPUCount < minimumCPUs || self.CPUCount > maximumCPUs) {
        return VZRefuseConfiguration(
            error, [NSString stringWithFormat:@"CPUCount is %lu.", (unsigned long)self.CPUCount],
            [NSString stringWithFormat:@"This host allows %lu to %lu.", (unsigned long)minimumCPUs,
                                       (unsigned long)maximumCPUs]);
    }
    if (size < minimum || size > maximum) {
        return VZRefuseConfiguration(
            error, [NSString stringWithFormat:@"memorySize is %llu bytes.", (unsigned long long)size],
            [NSString stringWithFormat:@"This host allows %llu to %llu bytes (%llu to %llu MiB).",
                                       (unsigned long long)minimum, (unsigned long long)maximum,
                                       (unsigned long long)(minimum / mebibyte),
                                       (unsigned long long)(maximum / mebibyte)]);
    }
    if (size % mebibyte != 0) {
        return VZRefuseConfiguration(
            error,
            [NSString stringWithFormat:@"memorySize is %llu bytes, not a multiple of 1 MiB (%llu bytes).",
                                       (unsigned long long)size, (unsigned long long)mebibyte],
            [NSString stringWithFormat:@"The next smaller one is %llu bytes.",
                                       (unsigned long long)(size / mebibyte * mebibyte)]);
    }
    return YES;
}

- (BOOL)validateMemoryDirectoryWithError:(NSError **)error {
    NSURL *url = self.applevzMemoryDirectoryURL;
    if (!url) {
        return YES;
    }
    NSString *suggestion = @"Name a folder that this user may write, on a file system that has files without a name "
                           @"(O_TMPFILE), as ext4, XFS, Btrfs and tmpfs have, or none.";
    NSString *reason = nil;
    NSString *path = VZPathOfFileURL(url, &reason);
    if (!path) {
        return VZRefuseConfiguration(error, [@"memoryDirectory " stringByAppendingFormat:@"%@.", reason], suggestion);
    }
    int descriptor = descriptor_above_standard(open(VZBytesOfPath(path), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (descriptor < 0) {
        // A kernel or file system that does not know the flag takes it for opening the folder itself.
        int number = errno == EISDIR ? EOPNOTSUPP : errno;
        return VZRefuse(error,
                        VZInvalidConfigurationError(
                            [NSString stringWithFormat:@"memoryDirectory is %@, in which no file can be made: %@.",
                                                       VZQuoted(path), VZSystemCallErrorText(number)],
                            suggestion, VZSystemCallError(number, path)));
    }
    close(descriptor);
    return YES;
}

- (BOOL)validateBootLoaderWithError:(NSError **)error {
    VZBootLoader *bootLoader = self.bootLoader;
    if (!bootLoader) {
        return VZRefuseConfiguration(error, @"bootLoader is nil.",
                                     @"Set it to a VZLinuxBootLoader with the kernel's URL, or a VZEFIBootLoader.");
    }
    if (![self validatePart:bootLoader as:@"bootLoader" class:[VZBootLoader class] error:error]) {
        return NO;
    }
    if ([bootLoader isKindOfClass:[VZEFIBootLoader class]] && self.memorySize < firmwareMemorySize) {
        return VZRefuseConfiguration(
            error,
            [NSString stringWithFormat:@"memorySize is %llu bytes, too little for EFI firmware.",
                                       (unsigned long long)self.memorySize],
            [NSString stringWithFormat:@"Give the machine at least %llu bytes (%llu MiB), and what its guest needs.",
                                       (unsigned long long)firmwareMemorySize,
                                       (unsigned long long)(firmwareMemorySize / mebibyte)]);
    }
    uint64_t needed = 0, least = 0;
    if ([bootLoader isKindOfClass:[VZLinuxBootLoader class]]) {
        [(VZLinuxBootLoader *)bootLoader getLoadedSize:&needed leastMemorySize:&least];
    }
    if (self.memorySize <= needed) {
        return VZRefuseConfiguration(
            error,
            [NSString stringWithFormat:@"memorySize is %llu bytes, but the kernel and its initial RAM disk "
                                       @"alone take %llu.",
                                       (unsigned long long)self.memorySize, (unsigned long long)needed],
            @"Give the machine more memory: usually several times what they take.");
    }
    if (self.memorySize < least) {
        return VZRefuseConfiguration(
            error,
            [NSString stringWithFormat:@"memorySize is %llu bytes, too little for the kernel to start with its initial "
                                       @"RAM disk.",
                                       (unsigned long long)self.memorySize],
            [NSString stringWithFormat:@"It needs more than %llu bytes (%llu MiB), usually twice as much.",
                                       (unsigned long long)least, (unsigned long long)(least / mebibyte)]);
    }
    return YES;
}

- (BOOL)validatePart:(id)part as:(NSString *)property class:(Class)class error:(NSError **)error {
    if (!part) {
        return VZRefuseConfiguration(error, [NSString stringWithFormat:@"%@ is nil.", property],
                                     [NSString stringWithFormat:@"Set it to an instance of a subclass of %@.", class]);
    }
    if (![part isKindOfClass:class]) {
        return VZRefuseClass(part, property, [NSString stringWithFormat:@"a subclass of %@", class], error);
    }
    return [part validateAs:property error:error];
}

- (BOOL)validateParts:(NSArray *)parts as:(NSString *)property class:(Class)class error:(NSError **)error {
    for (NSUInteger i = 0; i < parts.count; i++) {
        NSUInteger earlier = [parts indexOfObjectIdenticalTo:parts[i]];
        if (earlier < i) {
            return VZRefuseConfiguration(error,
                                         [NSString stringWithFormat:@"%@ is the same object as %@.",
                                                                    VZNameOfElement(property, i),
                                                                    VZNameOfElement(property, earlier)],
                                         @"Make a configuration of its own for each device.");
        }
        if (![self validatePart:parts[i] as:VZNameOfElement(property, i) class:class error:error]) {
            return NO;
        }
    }
    return YES;
}

- (BOOL)validateDeviceCountsWithError:(NSError **)error {
    NSUInteger balloons = self.memoryBalloonDevices.count;
    NSUInteger graphics = self.graphicsDevices.count;
    NSUInteger sockets = self.socketDevices.count;
    NSUInteger devices = self.deviceCount;
    if (self.keyboards.count > 1) {
        return VZRefuseConfiguration(
            error, [NSString stringWithFormat:@"keyboards has %lu keyboards.", (unsigned long)self.keyboards.count],
            @"A machine has at most one: QEMU would have one of several used.");
    }
    if (self.pointingDevices.count > 1) {
        return VZRefuseConfiguration(
            error,
            [NSString stringWithFormat:@"pointingDevices has %lu devices.", (unsigned long)self.pointingDevices.count],
            @"A machine has at most one: QEMU would have one of several used.");
    }
    if (graphics > 1) {
        return VZRefuseConfiguration(
            error, [NSString stringWithFormat:@"graphicsDevices has %lu devices.", (unsigned long)graphics],
            @"A machine has at most one graphics device.");
    }
    if (balloons > 1) {
        return VZRefuseConfiguration(
            error, [NSString stringWithFormat:@"memoryBalloonDevices has %lu devices.", (unsigned long)balloons],
            @"A machine has at most one memory balloon.");
    }
    if (self.USBDeviceCount > VZUSBMaximumDeviceCount) {
        return VZRefuseConfiguration(
            error,
            [NSString stringWithFormat:@"keyboards, pointingDevices and storageDevices have %lu USB devices together.",
                                       (unsigned long)self.USBDeviceCount],
            [NSString stringWithFormat:@"A USB controller has %d ports.", VZUSBMaximumDeviceCount]);
    }
    if (sockets > 1) {
        return VZRefuseConfiguration(
            error, [NSString stringWithFormat:@"socketDevices has %lu devices.", (unsigned long)sockets],
            @"A machine has at most one socket device.");
    }
    if (devices > VZPCIMaximumDeviceCount) {
        return VZRefuseConfiguration(
            error,
            [NSString stringWithFormat:@"audioDevices, consoleDevices, directorySharingDevices, entropyDevices, "
                                       @"graphicsDevices, memoryBalloonDevices, networkDevices, serialPorts, "
                                       @"socketDevices, storageDevices and usbControllers have %lu devices "
                                       @"together.",
                                       (unsigned long)devices],
            [NSString stringWithFormat:@"A machine has room for %d.", VZPCIMaximumDeviceCount]);
    }
    return YES;
}

@end
