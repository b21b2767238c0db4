// SPDX-License-Identifier: Apache-2.0
#import "QEMUCommandLine.h"
#import "../VZConfiguration+Private.h"
#import "../VZErrors+Private.h"
#import "../VZHostFile+Private.h"
#import "QEMUAccelerator.h"
#import "QEMULinuxCommandLine.h"
#import "QEMUSavedState.h"
#import <fcntl.h>
#import <sys/stat.h>
#import <unistd.h>

@implementation QEMUPreparation

- (instancetype)initWithCommand:(NSString *)command arguments:(NSDictionary *)arguments property:(NSString *)property {
    self = [super init];
    if (self != nil) {
        _command = command;
        _arguments = arguments;
        _property = property;
    }
    return self;
}

@end

@implementation QEMUCommandLine {
    NSMutableArray<NSString *> *_arguments;
    NSMutableArray<QEMUDescriptor *> *_descriptors;
    NSMutableArray<QEMUPreparation *> *_preparations;
    BOOL _microvm;
    NSUInteger _deviceCount;
}

- (instancetype)initWithConfiguration:(VZVirtualMachineConfiguration *)configuration error:(NSError **)error {
    return [self initWithConfiguration:configuration savedState:nil error:error];
}

- (instancetype)initWithConfiguration:(VZVirtualMachineConfiguration *)configuration
                           savedState:(QEMUSavedState *)savedState
                                error:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    _arguments = [NSMutableArray array];
    _descriptors = [NSMutableArray array];
    _preparations = [NSMutableArray array];
    [self addBootLoader:(VZLinuxBootLoader *)configuration.bootLoader deviceCount:configuration.virtioDeviceCount];
    [self addMachine:configuration];
    if (![self addMemory:configuration.memorySize savedState:savedState error:error])
        return nil;
    // In this order, each kind in the order of the configuration: it is the order in which the guest finds them.
    NSUInteger index = 0;
    for (VZSerialPortConfiguration *port in configuration.serialPorts)
        if (![self addSerialPort:port index:index++ error:error])
            return nil;
    index = 0;
    for (VZStorageDeviceConfiguration *device in configuration.storageDevices)
        if (![self addStorageDevice:(VZVirtioBlockDeviceConfiguration *)device index:index++ error:error])
            return nil;
    index = 0;
    for (VZNetworkDeviceConfiguration *device in configuration.networkDevices)
        [self addNetworkDevice:device index:index++];
    for (index = 0; index < configuration.entropyDevices.count; index++)
        [self addEntropyDevice:index];
    if (configuration.memoryBalloonDevices.count > 0)
        [self addDevice:@"virtio-balloon" properties:@{@"id" : @"balloon0"}];
    return self;
}

- (void)add:(NSString *)option value:(NSString *)value {
    [_arguments addObject:option];
    [_arguments addObject:value];
}

static NSString *json(NSDictionary *object) {
    NSData *data = [NSJSONSerialization dataWithJSONObject:object options:0 error:NULL];
    return [[NSString alloc] initWithData:data encoding:NSUTF8StringEncoding];
}

#pragma mark The machine

/// The fastest machine that boots this kernel for certain. microvm needs no firmware's search for devices and boots in the
/// least time, but a kernel that measures the time stamp counter on an emulated one may wait for ever.
- (void)addBootLoader:(VZLinuxBootLoader *)bootLoader deviceCount:(NSUInteger)count {
    NSString *commandLine = bootLoader.commandLine;
    BOOL measuresCounter = QEMUAccelerator.kvmMissingReason != nil;
    if (bootLoader.applevzAddsToCommandLine) {
        QEMULinuxCommandLineResult result;
        commandLine = QEMULinuxCommandLineByAdding(commandLine, &result);
        measuresCounter = measuresCounter && !result.knowsCounterRate;
    }
    _microvm = !measuresCounter && count <= VZMicrovmMaximumDeviceCount;
    [self add:@"-kernel" value:bootLoader.kernelPath];
    if (bootLoader.initialRamdiskPath != nil)
        [self add:@"-initrd" value:bootLoader.initialRamdiskPath];
    if (commandLine.length > 0)
        [self add:@"-append" value:commandLine];
}

- (void)addMachine:(VZVirtualMachineConfiguration *)configuration {
    [_arguments addObjectsFromArray:@[ @"-nodefaults", @"-no-user-config", @"-display", @"none", @"-S" ]];
    // On microvm acpi brings the power button. The kernel finds its devices by it, not by words on its command line.
    NSString *machine = _microvm ? @"microvm,acpi=on,rtc=on,isa-serial=off,auto-kernel-cmdline=off"
                                 : @"q35,vmport=off,graphics=off";
    [self add:@"-machine" value:[machine stringByAppendingString:@",memory-backend=memory"]];
    if (_microvm)
        [self add:@"-global" value:@"virtio-mmio.force-legacy=false"];
    BOOL accelerated = QEMUAccelerator.kvmMissingReason == nil;
    NSString *accelerator = accelerated ? @"kvm" : @"tcg";
    // With ARAT, which it has, an idle guest lets its host sleep. Five-level page tables only make it slower.
    NSString *processor = accelerated ? @"host" : @"max,la57=off";
    [self add:@"-accel" value:accelerator];
    [self add:@"-cpu" value:processor];
    _platformFields = @[
        @[ @"QEMU's machine type", machine ],
        @[ @"QEMU's accelerator", accelerator ],
        @[ @"QEMU's processor model", processor ],
    ];
    [self add:@"-smp" value:[NSString stringWithFormat:@"%lu", (unsigned long)configuration.CPUCount]];
    [self add:@"-m" value:[NSString stringWithFormat:@"%lluM", (unsigned long long)(configuration.memorySize >> 20)]];
    VZGenericPlatformConfiguration *platform = (VZGenericPlatformConfiguration *)configuration.platform;
    [self add:@"-uuid" value:platform.machineIdentifier.UUID.UUIDString];
    [self add:@"-chardev" value:[NSString stringWithFormat:@"socket,id=qmp,fd=%d", QEMUControlDescriptor]];
    [self add:@"-mon" value:@"chardev=qmp,mode=control"];
}

/// The guest's memory is a file, so that saving takes what the guest wrote to straight from it, and QEMU streams only the
/// state of the devices. The file is a memfd: one on a disk would be written back all the time while the guest runs. Or it is
/// that of a saved state, mapped privately: what this guest writes stays with it, and what it only reads is shared with every
/// other machine that runs from the same state.
- (BOOL)addMemory:(uint64_t)size savedState:(QEMUSavedState *)savedState error:(NSError **)error {
    NSError *cause = nil;
    BOOL mapped = savedState.hasMemory && savedState.isMapped;
    QEMUDescriptor *file = mapped ? savedState.file : [QEMUDescriptor memoryOfSize:size error:&cause];
    if (file == nil)
        return VZRefuse(error, VZErrorWithReason(VZErrorInternal, @"The virtual machine could not be started.",
                                                 [NSString stringWithFormat:@"There is no file for the guest's memory: %@.",
                                                                            VZSystemCallErrorText((int)cause.code)],
                                                 nil, cause));
    if (!mapped)
        _memory = file;
    // Opened anew there: a memory backend takes no descriptor set.
    [self add:@"-object" value:json(@{
        @"qom-type" : @"memory-backend-file",
        @"id" : @"memory",
        @"mem-path" : [NSString stringWithFormat:@"/proc/self/fd/%lu", (unsigned long)[self inherit:file]],
        @"size" : @(size),
        @"share" : [NSNumber numberWithBool:!mapped],
    })];
    if (savedState != nil)
        [self add:@"-incoming" value:@"defer"];
    return YES;
}

/// A virtio device at the next place: on microvm the one that QEMU takes by itself, from the last transport down, which is
/// the order in which a guest finds them; on PCI one that is named, since a guest goes by the slots' numbers.
- (void)addDevice:(NSString *)driver properties:(NSDictionary *)properties {
    NSMutableDictionary *device = [properties mutableCopy];
    _deviceCount++;
    if (_microvm) {
        device[@"driver"] = [driver stringByAppendingString:@"-device"];
    } else {
        device[@"driver"] = [driver stringByAppendingString:@"-pci"];
        device[@"bus"] = @"pcie.0";
        // Slot 0 is the host bridge.
        device[@"addr"] = [NSString stringWithFormat:@"%#lx", (unsigned long)_deviceCount];
    }
    [self add:@"-device" value:json(device)];
}

#pragma mark Devices

/// Hands a descriptor over, and gives its number in QEMU.
- (NSUInteger)inherit:(QEMUDescriptor *)descriptor {
    [_descriptors addObject:descriptor];
    return QEMUFirstConfigurationDescriptor + _descriptors.count - 1;
}

/// The path that stands for a descriptor in QEMU, which takes it as it is and opens nothing.
- (NSString *)pathOfDescriptor:(QEMUDescriptor *)descriptor {
    unsigned long number = (unsigned long)[self inherit:descriptor];
    [self add:@"-add-fd" value:[NSString stringWithFormat:@"fd=%lu,set=%lu", number, number]];
    return [NSString stringWithFormat:@"/dev/fdset/%lu", number];
}

/// What QEMU is given of a file handle of the host program's: its file, opened anew, so that what QEMU sets on it, as
/// non-blocking mode, is not set on the host program's own; and opened here, where neither a FIFO without another end holds
/// anybody up nor a terminal becomes somebody's controlling one. A duplicate of what may not be opened again, as a pipe of
/// another user's.
static QEMUDescriptor *descriptor_of_handle(int handle, int mode, NSError **error) {
    NSString *path = [NSString stringWithFormat:@"/proc/self/fd/%d", handle];
    QEMUDescriptor *reopened = [QEMUDescriptor openPath:path flags:mode | O_NONBLOCK error:NULL];
    if (reopened == nil)
        return [QEMUDescriptor duplicateOf:handle error:error];
    off_t place = lseek(handle, 0, SEEK_CUR);
    if (place > 0)
        lseek(reopened.number, place, SEEK_SET);
    return reopened;
}

static BOOL is_socket(int descriptor, ino_t *inode) {
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0)
        return NO;
    *inode = status.st_ino;
    return S_ISSOCK(status.st_mode);
}

- (BOOL)addSerialPort:(VZSerialPortConfiguration *)port index:(NSUInteger)index error:(NSError **)error {
    NSString *identifier = [NSString stringWithFormat:@"serial%lu", (unsigned long)index];
    NSString *property = [NSString stringWithFormat:@"serialPorts[%lu].attachment", (unsigned long)index];
    [self addDevice:@"virtio-serial" properties:@{@"id" : identifier, @"max_ports" : @1}];
    NSDictionary *backend = @{@"type" : @"null", @"data" : @{}};
    if ([port.attachment isKindOfClass:[VZFileSerialPortAttachment class]])
        backend = [self backendOfFile:(VZFileSerialPortAttachment *)port.attachment property:property error:error];
    else if ([port.attachment isKindOfClass:[VZFileHandleSerialPortAttachment class]])
        backend = [self backendOfFileHandles:(VZFileHandleSerialPortAttachment *)port.attachment
                                  identifier:identifier
                                    property:property
                                       error:error];
    if (backend == nil)
        return NO;
    if (backend.count > 0)
        [_preparations addObject:[[QEMUPreparation alloc] initWithCommand:@"chardev-add"
                                                                arguments:@{@"id" : identifier, @"backend" : backend}
                                                                 property:property]];
    NSDictionary *console = @{
        @"driver" : @"virtconsole",
        @"id" : [identifier stringByAppendingString:@"-console"],
        @"bus" : [identifier stringByAppendingString:@".0"],
        @"chardev" : identifier,
    };
    [_preparations addObject:[[QEMUPreparation alloc] initWithCommand:@"device_add"
                                                            arguments:console
                                                             property:property]];
    return YES;
}

static void cannot_open(NSError **error, NSString *property, NSError *cause) {
    VZRefuse(error, VZErrorWithReason(VZErrorInternal, @"The virtual machine could not be started.",
                                      [NSString stringWithFormat:@"%@ cannot be opened: %@.", property,
                                                                 VZSystemCallErrorText((int)cause.code)],
                                      nil, cause));
}

- (NSDictionary *)backendOfFile:(VZFileSerialPortAttachment *)attachment
                       property:(NSString *)property
                          error:(NSError **)error {
    NSError *cause = nil;
    int flags = O_WRONLY | O_CREAT | O_NONBLOCK | (attachment.append ? O_APPEND : O_TRUNC);
    QEMUDescriptor *file = [QEMUDescriptor openPath:attachment.path flags:flags error:&cause];
    if (file == nil) {
        cannot_open(error, property, cause);
        return nil;
    }
    // It was emptied here if it was to be; QEMU only ever appends.
    return @{@"type" : @"file", @"data" : @{@"out" : [self pathOfDescriptor:file], @"append" : @YES}};
}

/// The character device; empty where it is one of the command line already.
- (NSDictionary *)backendOfFileHandles:(VZFileHandleSerialPortAttachment *)attachment
                            identifier:(NSString *)identifier
                              property:(NSString *)property
                                 error:(NSError **)error {
    int reading = attachment.readingFileDescriptor;
    int writing = attachment.writingFileDescriptor;
    ino_t reading_inode = 0, writing_inode = 0;
    BOOL reads_socket = is_socket(reading, &reading_inode);
    BOOL writes_socket = is_socket(writing, &writing_inode);
    NSError *cause = nil;
    if (reads_socket || writes_socket) {
        // A socket cannot be opened anew, and QEMU has one device for both directions of it.
        BOOL one_socket = reading < 0 || writing < 0 || (reads_socket && writes_socket && reading_inode == writing_inode);
        if (!one_socket) {
            VZRefuse(error, VZErrorWithReason(
                                VZErrorNotSupported, @"The virtual machine could not be started.",
                                [NSString stringWithFormat:@"%@ reads from and writes to different files, of which one is "
                                                           @"a socket.", property],
                                @"Use one socket for both directions, or pipes.", nil));
            return nil;
        }
        QEMUDescriptor *socket = [QEMUDescriptor duplicateOf:writing >= 0 ? writing : reading error:&cause];
        if (socket == nil) {
            cannot_open(error, property, cause);
            return nil;
        }
        [self add:@"-chardev" value:[NSString stringWithFormat:@"socket,id=%@,fd=%lu", identifier,
                                                               (unsigned long)[self inherit:socket]]];
        return @{};
    }
    // QEMU's device always writes; without a handle for that, to nowhere.
    // It writes at the end of a regular file: without O_APPEND it would empty it first.
    NSMutableDictionary *data = [NSMutableDictionary dictionaryWithDictionary:@{@"out" : @"/dev/null", @"append" : @YES}];
    if (writing >= 0) {
        QEMUDescriptor *descriptor = descriptor_of_handle(writing, O_WRONLY, &cause);
        if (descriptor != nil)
            data[@"out"] = [self pathOfDescriptor:descriptor];
    }
    if (reading >= 0 && cause == nil) {
        QEMUDescriptor *descriptor = descriptor_of_handle(reading, O_RDONLY, &cause);
        if (descriptor != nil)
            data[@"in"] = [self pathOfDescriptor:descriptor];
    }
    if (cause != nil) {
        cannot_open(error, property, cause);
        return nil;
    }
    return @{@"type" : @"file", @"data" : data};
}

- (BOOL)addStorageDevice:(VZVirtioBlockDeviceConfiguration *)device index:(NSUInteger)index error:(NSError **)error {
    VZDiskImageStorageDeviceAttachment *attachment = (VZDiskImageStorageDeviceAttachment *)device.attachment;
    NSString *property = [NSString stringWithFormat:@"storageDevices[%lu].attachment", (unsigned long)index];
    VZHostFile *image = [attachment openAs:property error:error];
    if (image == nil)
        return NO;
    NSString *identifier = [NSString stringWithFormat:@"disk%lu", (unsigned long)index];
    BOOL direct = attachment.cachingMode == VZDiskImageCachingModeUncached;
    BOOL noFlush = attachment.synchronizationMode == VZDiskImageSynchronizationModeNone;
    [self add:@"-blockdev" value:json(@{
        @"driver" : image.isBlockDevice ? @"host_device" : @"file",
        @"node-name" : identifier,
        @"filename" : attachment.resolvedPath,
        @"read-only" : [NSNumber numberWithBool:attachment.readOnly],
        @"discard" : @"unmap",
        @"cache" : @{
            @"direct" : [NSNumber numberWithBool:direct],
            @"no-flush" : [NSNumber numberWithBool:noFlush],
        },
    })];
    // An error, a full disk of the host's too, is the guest's to handle: QEMU would stop the machine and wait for somebody.
    NSMutableDictionary *properties = [NSMutableDictionary dictionaryWithDictionary:@{
        @"drive" : identifier,
        @"rerror" : @"report",
        @"werror" : @"report",
    }];
    if (device.blockDeviceIdentifier.length > 0)
        properties[@"serial"] = device.blockDeviceIdentifier;
    [self addDevice:@"virtio-blk" properties:properties];
    return YES;
}

- (void)addNetworkDevice:(VZNetworkDeviceConfiguration *)device index:(NSUInteger)index {
    NSMutableDictionary *properties = [NSMutableDictionary dictionaryWithObject:device.MACAddress.string forKey:@"mac"];
    // Without an attachment the guest has the card, with no cable in it.
    if (device.attachment != nil) {
        NSString *identifier = [NSString stringWithFormat:@"network%lu", (unsigned long)index];
        [self add:@"-netdev" value:[@"user,id=" stringByAppendingString:identifier]];
        properties[@"netdev"] = identifier;
    }
    if (!_microvm)
        properties[@"romfile"] = @"";
    [self addDevice:@"virtio-net" properties:properties];
}

- (void)addEntropyDevice:(NSUInteger)index {
    NSString *identifier = [NSString stringWithFormat:@"entropy%lu", (unsigned long)index];
    [self add:@"-object" value:[@"rng-builtin,id=" stringByAppendingString:identifier]];
    [self addDevice:@"virtio-rng" properties:@{@"rng" : identifier}];
}

@end
