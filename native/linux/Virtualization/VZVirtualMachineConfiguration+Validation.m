// SPDX-License-Identifier: Apache-2.0
#import "VZConfiguration+Private.h"
#import "VZErrors+Private.h"
#import "VZNamedStorageDeviceAttachment+Private.h"
#import "VZVirtualMachine+Private.h"
#import "VZHostFile+Private.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

static const uint64_t mebibyte = 1024 * 1024;

// OVMF crashes with 32 MiB, and gets to its shell with 48.
static const uint64_t firmwareMemorySize = 64 * mebibyte;

// QEMU's x86 machines take no more without an emulated interrupt remapper.
enum { emulatorMaximumCPUCount = 255 };

static NSUInteger countOfUsableCPUs(void)
{
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

BOOL VZRefuseClass(id object, NSString *property, NSString *wanted, NSError **error)
{
    return VZRefuse(error, VZInvalidConfigurationError(
        [NSString stringWithFormat:@"%@ is an instance of %@.", property, [object class]],
        [NSString stringWithFormat:@"Use an instance of %@.", wanted], nil));
}

static BOOL refuse(NSError **error, NSString *reason, NSString *suggestion)
{
    return VZRefuse(error, VZInvalidConfigurationError(reason, suggestion, nil));
}

static NSString *nameOfElement(NSString *property, NSUInteger index)
{
    return [NSString stringWithFormat:@"%@[%lu]", property, (unsigned long)index];
}

@implementation VZVirtualMachineConfiguration (VZVirtualMachineConfigurationValidation)

// Apple's value on its own machines. QEMU's starts with less, but Linux is loaded at 1 MiB and above; what a kernel and
// its RAM disk need beyond that is checked with them.
+ (uint64_t)minimumAllowedMemorySize
{
    return 4 * mebibyte;
}

+ (uint64_t)maximumAllowedMemorySize
{
    uint64_t physical = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    return physical / mebibyte * mebibyte;
}

+ (NSUInteger)minimumAllowedCPUCount
{
    return 1;
}

+ (NSUInteger)maximumAllowedCPUCount
{
    return MIN(countOfUsableCPUs(), (NSUInteger)emulatorMaximumCPUCount);
}

- (BOOL)validateWithError:(NSError **)error
{
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

- (NSError *)socketsSaveError
{
    return self.socketDevices.count == 0 ? nil : VZErrorWithReason(
        VZErrorInvalidVirtualMachineConfiguration, @"A machine of this configuration cannot be saved.",
        [NSString stringWithFormat:@"%@ is a %@, whose connections are the host kernel's, which are not saved.",
                                   nameOfElement(@"socketDevices", 0), [self.socketDevices[0] class]],
        @"Leave it out of socketDevices.", nil);
}

- (BOOL)validateSaveRestoreSupportWithError:(NSError **)error
{
    if (![self validateWithError:error]) {
        return NO;
    }
    NSError *sharing = self.directorySharingSaveError;
    if (sharing) {
        return VZRefuse(error, sharing);
    }
    for (NSUInteger i = 0; i < self.storageDevices.count; i++) {
        if ([self.storageDevices[i] isKindOfClass:[VZNVMExpressControllerDeviceConfiguration class]]) {
            return VZRefuse(error, VZErrorWithReason(
                VZErrorInvalidVirtualMachineConfiguration, @"A machine of this configuration cannot be saved.",
                [NSString stringWithFormat:@"%@ is a %@, whose state QEMU does not save.",
                                           nameOfElement(@"storageDevices", i), [self.storageDevices[i] class]],
                @"Use a VZVirtioBlockDeviceConfiguration.", nil));
        }
    }
    NSError *sockets = self.socketsSaveError;
    if (sockets) {
        return VZRefuse(error, sockets);
    }
    NSString *reason = VZReasonAgainstSavingStorage(self.storageAttachments);
    return !reason || VZRefuse(error, VZErrorWithReason(
        VZErrorInvalidVirtualMachineConfiguration, @"A machine of this configuration cannot be saved.", reason,
        @"Use a VZDiskImageStorageDeviceAttachment.", nil));
}

- (BOOL)validateEverythingWithError:(NSError **)error
{
    // Serial ports come before every part whose files are opened: a file would get the number of a port's descriptor
    // that was closed, and the port would look sound.
    return [self validateProcessorsAndMemoryWithError:error]
        && [self validateMemoryDirectoryWithError:error]
        && [self validateParts:self.serialPorts
                            as:@"serialPorts"
                         class:[VZSerialPortConfiguration class]
                         error:error]
        && [self validateParts:self.consoleDevices
                            as:@"consoleDevices"
                         class:[VZConsoleDeviceConfiguration class]
                         error:error]
        && [self validateBootLoaderWithError:error]
        && [self validatePart:self.platform as:@"platform" class:[VZPlatformConfiguration class] error:error]
        && [self validateParts:self.entropyDevices
                            as:@"entropyDevices"
                         class:[VZEntropyDeviceConfiguration class]
                         error:error]
        && [self validateParts:self.graphicsDevices
                            as:@"graphicsDevices"
                         class:[VZGraphicsDeviceConfiguration class]
                         error:error]
        && [self validateParts:self.keyboards
                            as:@"keyboards"
                         class:[VZKeyboardConfiguration class]
                         error:error]
        && [self validateParts:self.pointingDevices
                            as:@"pointingDevices"
                         class:[VZPointingDeviceConfiguration class]
                         error:error]
        && [self validateParts:self.memoryBalloonDevices
                            as:@"memoryBalloonDevices"
                         class:[VZMemoryBalloonDeviceConfiguration class]
                         error:error]
        && [self validateParts:self.networkDevices
                            as:@"networkDevices"
                         class:[VZNetworkDeviceConfiguration class]
                         error:error]
        && [self validateDirectorySharingWithError:error]
        && [self validateParts:self.socketDevices
                            as:@"socketDevices"
                         class:[VZSocketDeviceConfiguration class]
                         error:error]
        && [self validateParts:self.storageDevices
                            as:@"storageDevices"
                         class:[VZStorageDeviceConfiguration class]
                         error:error]
        && [self validateParts:self.usbControllers
                            as:@"usbControllers"
                         class:[VZUSBControllerConfiguration class]
                         error:error]
        && [self validateDeviceCountsWithError:error]
        && [self validateAttachmentsAreDistinct:self.networkDevices as:@"networkDevices" error:error]
        && [self validateAttachmentsAreDistinct:self.serialPorts as:@"serialPorts" error:error]
        && [self validateConsolePortsAreDistinctWithError:error]
        && [self validateStorageAttachmentsAreDistinctWithError:error]
        && [self validateUSBDevicesAreDistinctWithError:error]
        && [self validateMACAddressesAreDistinctWithError:error]
        && [self validateBlockDeviceIdentifiersAreDistinctWithError:error]
        && [self validateDiskImagesAreDistinctWithError:error];
}

- (BOOL)validateProcessorsAndMemoryWithError:(NSError **)error
{
    NSUInteger minimumCPUs = [[self class] minimumAllowedCPUCount];
    NSUInteger maximumCPUs = [[self class] maximumAllowedCPUCount];
    uint64_t minimum = [[self class] minimumAllowedMemorySize];
    uint64_t maximum = [[self class] maximumAllowedMemorySize];
    uint64_t size = self.memorySize;
    if (self.CPUCount < minimumCPUs || self.CPUCount > maximumCPUs) {
        return refuse(error, [NSString stringWithFormat:@"CPUCount is %lu.", (unsigned long)self.CPUCount],
                      [NSString stringWithFormat:@"This host allows %lu to %lu.", (unsigned long)minimumCPUs,
                                                 (unsigned long)maximumCPUs]);
    }
    if (size < minimum || size > maximum) {
        return refuse(error, [NSString stringWithFormat:@"memorySize is %llu bytes.", (unsigned long long)size],
                      [NSString stringWithFormat:@"This host allows %llu to %llu bytes (%llu to %llu MiB).",
                                                 (unsigned long long)minimum, (unsigned long long)maximum,
                                                 (unsigned long long)(minimum / mebibyte),
                                                 (unsigned long long)(maximum / mebibyte)]);
    }
    if (size % mebibyte != 0) {
        return refuse(error,
                      [NSString stringWithFormat:@"memorySize is %llu bytes, not a multiple of 1 MiB (%llu bytes).",
                                                 (unsigned long long)size, (unsigned long long)mebibyte],
                      [NSString stringWithFormat:@"The next smaller one is %llu bytes.",
                                                 (unsigned long long)(size / mebibyte * mebibyte)]);
    }
    return YES;
}

- (BOOL)validateMemoryDirectoryWithError:(NSError **)error
{
    NSURL *url = self.applevzMemoryDirectoryURL;
    if (!url) {
        return YES;
    }
    NSString *suggestion = @"Name a folder that this user may write, on a file system that has files without a name "
                           @"(O_TMPFILE), as ext4, XFS, Btrfs and tmpfs have, or none.";
    NSString *reason = nil;
    NSString *path = VZPathOfFileURL(url, &reason);
    if (!path) {
        return refuse(error, [@"memoryDirectory " stringByAppendingFormat:@"%@.", reason], suggestion);
    }
    int descriptor = open(path.UTF8String, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        // A kernel or file system that does not know the flag takes it for opening the folder itself.
        int number = errno == EISDIR ? EOPNOTSUPP : errno;
        return VZRefuse(error, VZInvalidConfigurationError(
            [NSString stringWithFormat:@"memoryDirectory is %@, in which no file can be made: %@.", VZQuoted(path),
                                       VZSystemCallErrorText(number)],
            suggestion, VZSystemCallError(number, path)));
    }
    close(descriptor);
    return YES;
}

- (BOOL)validateBootLoaderWithError:(NSError **)error
{
    VZBootLoader *bootLoader = self.bootLoader;
    if (!bootLoader) {
        return refuse(error, @"bootLoader is nil.", @"Set it to a VZLinuxBootLoader with the kernel's URL, or a VZEFIBootLoader.");
    }
    if (![self validatePart:bootLoader as:@"bootLoader" class:[VZBootLoader class] error:error]) {
        return NO;
    }
    if ([bootLoader isKindOfClass:[VZEFIBootLoader class]] && self.memorySize < firmwareMemorySize) {
        return refuse(error,
                      [NSString stringWithFormat:@"memorySize is %llu bytes, too little for EFI firmware.",
                                                 (unsigned long long)self.memorySize],
                      [NSString stringWithFormat:@"Give the machine at least %llu bytes (%llu MiB), and what its guest needs.",
                                                 (unsigned long long)firmwareMemorySize,
                                                 (unsigned long long)(firmwareMemorySize / mebibyte)]);
    }
    uint64_t needed = [bootLoader isKindOfClass:[VZLinuxBootLoader class]]
        ? [(VZLinuxBootLoader *)bootLoader loadedSize] : 0;
    if (self.memorySize <= needed) {
        return refuse(error,
                      [NSString stringWithFormat:@"memorySize is %llu bytes, but the kernel and its initial RAM disk "
                                                 @"alone take %llu.",
                                                 (unsigned long long)self.memorySize, (unsigned long long)needed],
                      @"Give the machine more memory: usually several times what they take.");
    }
    return YES;
}

- (BOOL)validatePart:(id)part as:(NSString *)property class:(Class)class error:(NSError **)error
{
    if (!part) {
        return refuse(error, [NSString stringWithFormat:@"%@ is nil.", property],
                      [NSString stringWithFormat:@"Set it to an instance of a subclass of %@.", class]);
    }
    if (![part isKindOfClass:class]) {
        return VZRefuseClass(part, property, [NSString stringWithFormat:@"a subclass of %@", class], error);
    }
    return [part validateAs:property error:error];
}

- (BOOL)validateParts:(NSArray *)parts as:(NSString *)property class:(Class)class error:(NSError **)error
{
    for (NSUInteger i = 0; i < parts.count; i++) {
        NSUInteger earlier = [parts indexOfObjectIdenticalTo:parts[i]];
        if (earlier < i) {
            return refuse(error,
                          [NSString stringWithFormat:@"%@ is the same object as %@.", nameOfElement(property, i),
                                                     nameOfElement(property, earlier)],
                          @"Make a configuration of its own for each device.");
        }
        if (![self validatePart:parts[i] as:nameOfElement(property, i) class:class error:error]) {
            return NO;
        }
    }
    return YES;
}

- (BOOL)validateDeviceCountsWithError:(NSError **)error
{
    NSUInteger balloons = self.memoryBalloonDevices.count;
    NSUInteger graphics = self.graphicsDevices.count;
    NSUInteger sockets = self.socketDevices.count;
    NSUInteger devices = self.deviceCount;
    if (self.keyboards.count > 1) {
        return refuse(error,
                      [NSString stringWithFormat:@"keyboards has %lu keyboards.", (unsigned long)self.keyboards.count],
                      @"A machine has at most one: QEMU would have one of several used.");
    }
    if (self.pointingDevices.count > 1) {
        return refuse(error,
                      [NSString stringWithFormat:@"pointingDevices has %lu devices.",
                                                 (unsigned long)self.pointingDevices.count],
                      @"A machine has at most one: QEMU would have one of several used.");
    }
    if (graphics > 1) {
        return refuse(error,
                      [NSString stringWithFormat:@"graphicsDevices has %lu devices.", (unsigned long)graphics],
                      @"A machine has at most one graphics device.");
    }
    if (balloons > 1) {
        return refuse(error,
                      [NSString stringWithFormat:@"memoryBalloonDevices has %lu devices.", (unsigned long)balloons],
                      @"A machine has at most one memory balloon.");
    }
    if (self.USBDeviceCount > VZUSBMaximumDeviceCount) {
        return refuse(error,
                      [NSString stringWithFormat:@"keyboards, pointingDevices and storageDevices have %lu USB devices together.",
                                                 (unsigned long)self.USBDeviceCount],
                      [NSString stringWithFormat:@"A USB controller has %d ports.", VZUSBMaximumDeviceCount]);
    }
    if (sockets > 1) {
        return refuse(error, [NSString stringWithFormat:@"socketDevices has %lu devices.", (unsigned long)sockets],
                      @"A machine has at most one socket device.");
    }
    if (devices > VZPCIMaximumDeviceCount) {
        return refuse(error,
                      [NSString stringWithFormat:@"consoleDevices, directorySharingDevices, entropyDevices, "
                                                 @"graphicsDevices, memoryBalloonDevices, networkDevices, serialPorts, "
                                                 @"socketDevices, storageDevices and usbControllers have %lu devices "
                                                 @"together.",
                                                 (unsigned long)devices],
                      [NSString stringWithFormat:@"A machine has room for %d.", VZPCIMaximumDeviceCount]);
    }
    return YES;
}

// devices are those of one array, all of a class that has an attachment.
- (BOOL)validateAttachmentsAreDistinct:(NSArray *)devices as:(NSString *)property error:(NSError **)error
{
    NSArray *attachments = [devices valueForKey:@"attachment"];
    for (NSUInteger i = 0; i < attachments.count; i++) {
        NSUInteger earlier = [attachments indexOfObjectIdenticalTo:attachments[i]];
        if (earlier < i && attachments[i] != [NSNull null]) {
            return refuse(error,
                          [NSString stringWithFormat:@"%@.attachment is the same object as %@.attachment.",
                                                     nameOfElement(property, i), nameOfElement(property, earlier)],
                          @"Make an attachment of its own for each device.");
        }
    }
    return YES;
}

// A guest finds a port by its name, whichever device it is of.
- (BOOL)validateConsolePortsAreDistinctWithError:(NSError **)error
{
    NSMutableArray *attachments = [[NSMutableArray alloc] init];
    NSMutableArray<NSString *> *owners = [[NSMutableArray alloc] init];
    NSMutableDictionary<NSString *, NSString *> *names = [[NSMutableDictionary alloc] init];
    for (NSUInteger i = 0; i < self.serialPorts.count; i++) {
        [attachments addObject:self.serialPorts[i].attachment ?: (id)[NSNull null]];
        [owners addObject:nameOfElement(@"serialPorts", i)];
    }
    for (NSUInteger i = 0; i < self.consoleDevices.count; i++) {
        VZVirtioConsolePortConfigurationArray *ports =
            [(VZVirtioConsoleDeviceConfiguration *)self.consoleDevices[i] ports];
        for (NSNumber *place in ports.places) {
            VZVirtioConsolePortConfiguration *port = ports[place.unsignedIntegerValue];
            NSString *owner = [NSString stringWithFormat:@"%@.ports[%@]", nameOfElement(@"consoleDevices", i), place];
            NSUInteger earlier = port.attachment ? [attachments indexOfObjectIdenticalTo:port.attachment] : NSNotFound;
            if (earlier != NSNotFound) {
                return refuse(error,
                              [NSString stringWithFormat:@"%@.attachment is the same object as %@.attachment.", owner,
                                                         owners[earlier]],
                              @"Make an attachment of its own for each port.");
            }
            if (port.name && names[port.name]) {
                return refuse(error,
                              [NSString stringWithFormat:@"%@.name is %@, as is %@.name.", owner, VZQuoted(port.name),
                                                         names[port.name]],
                              @"Give each port a name of its own, or none.");
            }
            if (port.name) {
                names[port.name] = owner;
            }
            [attachments addObject:port.attachment ?: (id)[NSNull null]];
            [owners addObject:owner];
        }
    }
    return YES;
}

- (BOOL)validateMACAddressesAreDistinctWithError:(NSError **)error
{
    NSArray *addresses = [self.networkDevices valueForKey:@"MACAddress"];
    for (NSUInteger i = 0; i < addresses.count; i++) {
        NSUInteger earlier = [addresses indexOfObject:addresses[i]];
        if (earlier < i) {
            return refuse(error,
                          [NSString stringWithFormat:@"%@.MACAddress is %@, as is %@.MACAddress.",
                                                     nameOfElement(@"networkDevices", i), [addresses[i] string],
                                                     nameOfElement(@"networkDevices", earlier)],
                          @"Give each network device a MAC address of its own.");
        }
    }
    return YES;
}

- (BOOL)validateBlockDeviceIdentifiersAreDistinctWithError:(NSError **)error
{
    NSMutableArray *identifiers = [[NSMutableArray alloc] init];
    for (VZStorageDeviceConfiguration *device in self.storageDevices) {
        NSString *identifier = @"";
        if ([device isKindOfClass:[VZVirtioBlockDeviceConfiguration class]]) {
            identifier = [(VZVirtioBlockDeviceConfiguration *)device blockDeviceIdentifier];
        }
        NSUInteger earlier = identifier.length > 0 ? [identifiers indexOfObject:identifier] : NSNotFound;
        if (earlier != NSNotFound) {
            return refuse(error,
                          [NSString stringWithFormat:@"%@.blockDeviceIdentifier is %@, as is %@.blockDeviceIdentifier.",
                                                     nameOfElement(@"storageDevices", identifiers.count),
                                                     VZQuoted(identifier), nameOfElement(@"storageDevices", earlier)],
                          @"Give each disk an identifier of its own, or none.");
        }
        [identifiers addObject:identifier];
    }
    return YES;
}

- (NSArray<VZNamedStorageDeviceAttachment *> *)storageAttachments
{
    NSMutableArray<VZNamedStorageDeviceAttachment *> *attachments = [[NSMutableArray alloc] init];
    for (NSUInteger i = 0; i < self.storageDevices.count; i++) {
        [attachments addObject:[[VZNamedStorageDeviceAttachment alloc]
                                   initWithName:nameOfElement(@"storageDevices", i)
                                     attachment:self.storageDevices[i].attachment]];
    }
    for (NSUInteger i = 0; i < self.usbControllers.count; i++) {
        NSArray *devices = self.usbControllers[i].usbDevices;
        NSString *list = [nameOfElement(@"usbControllers", i) stringByAppendingString:@".usbDevices"];
        for (NSUInteger j = 0; j < devices.count; j++) {
            [attachments addObject:[[VZNamedStorageDeviceAttachment alloc]
                                       initWithName:nameOfElement(list, j)
                                         attachment:[(VZStorageDeviceConfiguration *)devices[j] attachment]]];
        }
    }
    return attachments;
}

- (BOOL)validateStorageAttachmentsAreDistinctWithError:(NSError **)error
{
    NSArray<VZNamedStorageDeviceAttachment *> *attachments = self.storageAttachments;
    for (NSUInteger i = 0; i < attachments.count; i++) {
        for (NSUInteger j = 0; j < i; j++) {
            if (attachments[i].attachment == attachments[j].attachment) {
                return refuse(error,
                              [NSString stringWithFormat:@"%@.attachment is the same object as %@.attachment.",
                                                         attachments[i].name, attachments[j].name],
                              @"Make an attachment of its own for each device.");
            }
        }
    }
    return YES;
}

- (BOOL)validateUSBDevicesAreDistinctWithError:(NSError **)error
{
    NSMutableDictionary<NSUUID *, NSString *> *names = [[NSMutableDictionary alloc] init];
    for (NSUInteger i = 0; i < self.usbControllers.count; i++) {
        NSUInteger index = 0;
        for (id<VZUSBDeviceConfiguration> device in self.usbControllers[i].usbDevices) {
            NSString *list = [nameOfElement(@"usbControllers", i) stringByAppendingString:@".usbDevices"];
            NSString *name = nameOfElement(list, index++);
            if (names[device.uuid]) {
                return refuse(error,
                              [NSString stringWithFormat:@"%@.uuid is %@, as is %@.uuid.", name, device.uuid.UUIDString,
                                                         names[device.uuid]],
                              @"Give each device one of its own.");
            }
            names[device.uuid] = name;
        }
    }
    return YES;
}

- (BOOL)validateDiskImagesAreDistinctWithError:(NSError **)error
{
    return VZValidateStorageIsDistinct(self.storageAttachments, error);
}

@end
