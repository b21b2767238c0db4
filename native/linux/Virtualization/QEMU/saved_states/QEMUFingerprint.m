// SPDX-License-Identifier: Apache-2.0
#import "QEMUFingerprint.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZHostFile+Private.h"
#import "QEMUSavedStateFormat.h"
#import "host/HostFileSample.h"
#import <sys/stat.h>

typedef NSArray<NSString *> Field;

static Field *number_field(NSString *name, uint64_t value) {
    return @[ name, [NSString stringWithFormat:@"%llu", (unsigned long long)value] ];
}

NSString *const QEMUTimeOfDisk = @"the time when";
NSString *const QEMUSampleOfDisk = @"the sample of";

static NSString *const WithoutName = @"a file without a name";

// It is read on a machine's queue.
enum { LONGEST_NAMELESS_FILE = 64 << 20 };

/// Each process makes such a file anew for its machine: its path and its times say nothing of it, and what is in it
/// does. One that takes long to read is known as others are, and so is by no other process.
static BOOL is_nameless(const struct stat *status) {
    return S_ISREG(status->st_mode) && status->st_nlink == 0 && status->st_size <= LONGEST_NAMELESS_FILE;
}

BOOL QEMUFileIsNameless(NSString *path) {
    struct stat status;
    return path != nil && stat(VZBytesOfPath(path), &status) == 0 && is_nameless(&status);
}

/// Of all that is in the file; nil if it cannot be read.
static NSString *checksum_of_file(int descriptor) {
    struct stat status;
    uint64_t checksum = 0;
    if (fstat(descriptor, &status) != 0 ||
        qemu_saved_state_file_checksum(descriptor, 0, (uint64_t)status.st_size, &checksum) != 0)
        return nil;
    return [NSString stringWithFormat:@"%016llx", (unsigned long long)checksum];
}

static Field *checksum_field(NSString *name, VZHostFile *file) {
    return @[
        [@"the checksum of " stringByAppendingString:name],
        (file != nil ? checksum_of_file(file.fileDescriptor) : nil) ?: @"unknown",
    ];
}

static NSArray<Field *> *disk_fields(VZStorageDeviceConfiguration *device, NSString *name) {
    NSMutableArray<Field *> *fields = [NSMutableArray array];
    [fields addObject:@[ name, NSStringFromClass([device class]) ]];
    if ([device isKindOfClass:[VZVirtioBlockDeviceConfiguration class]]) {
        NSString *identifier = [(VZVirtioBlockDeviceConfiguration *)device blockDeviceIdentifier];
        [fields addObject:@[ [name stringByAppendingString:@".blockDeviceIdentifier"], VZQuoted(identifier) ]];
    }
    if (![device.attachment isKindOfClass:[VZDiskImageStorageDeviceAttachment class]]) {
        // No machine with such a one was saved.
        [fields
            addObject:@[ [name stringByAppendingString:@".attachment"], NSStringFromClass([device.attachment class]) ]];
        return fields;
    }
    VZDiskImageStorageDeviceAttachment *attachment = (VZDiskImageStorageDeviceAttachment *)device.attachment;
    // What the overlays of one say of their base is looked at with them. Where that is does not matter.
    [fields addObject:@[
        [name stringByAppendingString:@".attachment.ephemeral"], attachment.isEphemeral ? @"YES" : @"NO"
    ]];
    [fields addObject:@[
        [name stringByAppendingString:@".attachment.base"], attachment.baseURLs.count > 0 ? @"there" : @"nil"
    ]];
    if (attachment.isCarried)
        return fields;
    [fields
        addObject:@[ [name stringByAppendingString:@".attachment.readOnly"], attachment.isReadOnly ? @"YES" : @"NO" ]];
    NSString *path = attachment.resolvedPath;
    NSString *reason = nil;
    int number = 0;
    VZHostFile *file =
        path != nil ? [[VZHostFile alloc] initForReadingPath:path reason:&reason errorNumber:&number] : nil;
    struct stat status;
    uint64_t sample = 0;
    // By its path only what is no file, or cannot be read: a copy somewhere else is the same disk.
    if (file == nil || fstat(file.fileDescriptor, &status) != 0 ||
        host_file_sample(file.fileDescriptor, &sample) != 0) {
        [fields addObject:@[ [name stringByAppendingString:@".attachment.URL"], VZQuoted(path) ]];
        return fields;
    }
    [fields addObject:number_field([NSString stringWithFormat:@"the size of %@", name], (uint64_t)status.st_size)];
    if (is_nameless(&status)) {
        [fields addObject:checksum_field(name, file)];
        return fields;
    }
    // A guest knows its disk by heart: run on one that was written since, it destroys it.
    [fields addObject:@[
        [QEMUTimeOfDisk stringByAppendingFormat:@" %@ was written last", name],
        [NSString stringWithFormat:@"%lld.%09ld s", (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec],
    ]];
    [fields addObject:@[
        [QEMUSampleOfDisk stringByAppendingFormat:@" what is in %@", name],
        [NSString stringWithFormat:@"%016llx", (unsigned long long)sample],
    ]];
    return fields;
}

/// By its contents, not by the time when it was written last: once a restored machine runs, QEMU writes to the file
/// what the saved state holds of it, which is the same. So a file without a name, which is that machine's alone, may
/// hold anything.
static NSArray<Field *> *variable_store_fields(VZEFIVariableStore *store) {
    NSString *name = @"bootLoader.variableStore";
    NSString *url = [name stringByAppendingString:@".URL"];
    NSString *path = store.resolvedPath;
    if (QEMUFileIsNameless(path))
        return @[ @[ url, WithoutName ] ];
    return @[ @[ url, VZQuoted(path) ], checksum_field(name, [store openAs:name error:NULL]) ];
}

static NSArray<Field *> *graphics_fields(VZVirtioGraphicsDeviceConfiguration *device, NSUInteger index) {
    VZVirtioGraphicsScanoutConfiguration *scanout = device.scanouts[0];
    NSString *name = [NSString stringWithFormat:@"graphicsDevices[%lu].scanouts[0]", (unsigned long)index];
    return @[
        number_field([name stringByAppendingString:@".widthInPixels"], (uint64_t)scanout.widthInPixels),
        number_field([name stringByAppendingString:@".heightInPixels"], (uint64_t)scanout.heightInPixels),
    ];
}

static NSArray<Field *> *console_fields(VZConsoleDeviceConfiguration *device, NSUInteger index) {
    VZVirtioConsolePortConfigurationArray *ports = ((VZVirtioConsoleDeviceConfiguration *)device).ports;
    NSString *name = [NSString stringWithFormat:@"consoleDevices[%lu].ports", (unsigned long)index];
    NSMutableArray<Field *> *fields = [NSMutableArray array];
    [fields addObject:number_field([name stringByAppendingString:@".maximumPortCount"], ports.maximumPortCount)];
    [fields
        addObject:@[ [@"the places in " stringByAppendingString:name], [ports.places componentsJoinedByString:@", "] ]];
    for (NSNumber *place in ports.places) {
        VZVirtioConsolePortConfiguration *port = ports[place.unsignedIntegerValue];
        NSString *of_port = [NSString stringWithFormat:@"%@[%@]", name, place];
        [fields addObject:@[ [of_port stringByAppendingString:@".name"], VZQuoted(port.name) ]];
        [fields addObject:@[ [of_port stringByAppendingString:@".isConsole"], port.isConsole ? @"YES" : @"NO" ]];
    }
    return fields;
}

/// A guest that was saved without a way out, or one to the host, gets none by being restored.
static NSString *attachment_text(VZNetworkDeviceAttachment *_Nullable attachment) {
    if (attachment == nil)
        return @"nil";
    NSString *name = NSStringFromClass([attachment class]);
    BOOL isNAT = [attachment isKindOfClass:[VZNATNetworkDeviceAttachment class]];
    if (isNAT && ![(VZNATNetworkDeviceAttachment *)attachment applevzHasInternet])
        return [name stringByAppendingString:@" without internet"];
    if (isNAT && [(VZNATNetworkDeviceAttachment *)attachment applevzReachesHost])
        return [name stringByAppendingString:@" with access to the host"];
    return name;
}

NSArray<NSString *> *QEMUFieldOfMemorySize(uint64_t memorySize) {
    return number_field(@"memorySize", memorySize);
}

NSString *QEMUFieldOfMACAddress(NSUInteger networkDevice) {
    return [NSString stringWithFormat:@"networkDevices[%lu].MACAddress", (unsigned long)networkDevice];
}

NSArray<NSArray<NSString *> *> *QEMUFingerprint(VZVirtualMachineConfiguration *configuration,
                                                QEMUCommandLine *commandLine) {
    NSMutableArray<Field *> *fields = [NSMutableArray array];
    [fields addObject:@[ @"bootLoader", NSStringFromClass([configuration.bootLoader class]) ]];
    [fields addObject:number_field(@"CPUCount", configuration.CPUCount)];
    [fields addObject:QEMUFieldOfMemorySize(configuration.memorySize)];
    // The counts before the devices, so that a device more is not told as the difference of two others.
    [fields addObject:number_field(@"serialPorts.count", configuration.serialPorts.count)];
    [fields addObject:number_field(@"consoleDevices.count", configuration.consoleDevices.count)];
    [fields addObject:number_field(@"storageDevices.count", configuration.storageDevices.count)];
    [fields addObject:number_field(@"networkDevices.count", configuration.networkDevices.count)];
    [fields addObject:number_field(@"directorySharingDevices.count", configuration.directorySharingDevices.count)];
    [fields addObject:number_field(@"entropyDevices.count", configuration.entropyDevices.count)];
    [fields addObject:number_field(@"memoryBalloonDevices.count", configuration.memoryBalloonDevices.count)];
    [fields addObject:number_field(@"graphicsDevices.count", configuration.graphicsDevices.count)];
    [fields addObject:number_field(@"keyboards.count", configuration.keyboards.count)];
    [fields addObject:number_field(@"pointingDevices.count", configuration.pointingDevices.count)];
    [fields addObject:number_field(@"socketDevices.count", configuration.socketDevices.count)];
    // Of what came later a machine without it says nothing.
    if (configuration.usbControllers.count > 0)
        [fields addObject:number_field(@"usbControllers.count", configuration.usbControllers.count)];
    VZGenericPlatformConfiguration *platform = (VZGenericPlatformConfiguration *)configuration.platform;
    [fields addObject:@[ @"platform.machineIdentifier", platform.machineIdentifier.UUID.UUIDString ]];
    [fields addObject:@[ @"platform.generationIdentifier", platform.applevzHasGenerationIdentifier ? @"YES" : @"NO" ]];
    [fields
        addObject:@[ @"platform.nestedVirtualizationEnabled", platform.nestedVirtualizationEnabled ? @"YES" : @"NO" ]];
    if ([configuration.bootLoader isKindOfClass:[VZEFIBootLoader class]])
        [fields addObjectsFromArray:variable_store_fields([(VZEFIBootLoader *)configuration.bootLoader variableStore])];
    for (NSUInteger i = 0; i < configuration.consoleDevices.count; i++)
        [fields addObjectsFromArray:console_fields(configuration.consoleDevices[i], i)];
    for (NSUInteger i = 0; i < configuration.storageDevices.count; i++)
        [fields addObjectsFromArray:disk_fields(configuration.storageDevices[i],
                                                [NSString stringWithFormat:@"storageDevices[%lu]", (unsigned long)i])];
    for (NSUInteger i = 0; i < configuration.usbControllers.count; i++) {
        NSArray *devices = configuration.usbControllers[i].usbDevices;
        NSString *list = [NSString stringWithFormat:@"usbControllers[%lu].usbDevices", (unsigned long)i];
        [fields addObject:number_field([list stringByAppendingString:@".count"], devices.count)];
        for (NSUInteger j = 0; j < devices.count; j++) {
            VZUSBMassStorageDeviceConfiguration *device = devices[j];
            NSString *name = [NSString stringWithFormat:@"%@[%lu]", list, (unsigned long)j];
            [fields addObject:@[ [name stringByAppendingString:@".uuid"], device.uuid.UUIDString ]];
            [fields addObjectsFromArray:disk_fields(device, name)];
        }
    }
    for (NSUInteger i = 0; i < configuration.networkDevices.count; i++) {
        VZNetworkDeviceConfiguration *device = configuration.networkDevices[i];
        NSString *name = [NSString stringWithFormat:@"networkDevices[%lu]", (unsigned long)i];
        [fields addObject:@[ QEMUFieldOfMACAddress(i), device.MACAddress.string ]];
        [fields addObject:@[
            [name stringByAppendingString:@".attachment"],
            attachment_text(device.attachment),
        ]];
        if ([device.attachment isKindOfClass:[VZFileHandleNetworkDeviceAttachment class]]) {
            NSInteger unit = [(VZFileHandleNetworkDeviceAttachment *)device.attachment maximumTransmissionUnit];
            [fields addObject:number_field([name stringByAppendingString:@".attachment.maximumTransmissionUnit"],
                                           (uint64_t)unit)];
        }
    }
    for (NSUInteger i = 0; i < configuration.graphicsDevices.count; i++)
        [fields addObjectsFromArray:graphics_fields(
                                        (VZVirtioGraphicsDeviceConfiguration *)configuration.graphicsDevices[i], i)];
    [fields addObjectsFromArray:commandLine.platformFields];
    return fields;
}
