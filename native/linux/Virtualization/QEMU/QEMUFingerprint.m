// SPDX-License-Identifier: Apache-2.0
#import "QEMUFingerprint.h"
#import "../VZConfiguration+Private.h"
#import "../VZHostFile+Private.h"
#import "QEMUVariableStore.h"
#import <sys/stat.h>

typedef NSArray<NSString *> Field;

static Field *number_field(NSString *name, uint64_t value) {
    return @[ name, [NSString stringWithFormat:@"%llu", (unsigned long long)value] ];
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
        [fields addObject:@[ [name stringByAppendingString:@".attachment"], NSStringFromClass([device.attachment class]) ]];
        return fields;
    }
    VZDiskImageStorageDeviceAttachment *attachment = (VZDiskImageStorageDeviceAttachment *)device.attachment;
    NSString *path = attachment.resolvedPath;
    [fields addObject:@[ [name stringByAppendingString:@".attachment.URL"], VZQuoted(path) ]];
    [fields addObject:@[ [name stringByAppendingString:@".attachment.readOnly"], attachment.isReadOnly ? @"YES" : @"NO" ]];
    struct stat status;
    if (path == nil || stat(path.fileSystemRepresentation, &status) != 0 || !S_ISREG(status.st_mode))
        return fields;
    [fields addObject:number_field([NSString stringWithFormat:@"the size of %@", name], (uint64_t)status.st_size)];
    // A guest knows its disk by heart: run on one that was written since, it destroys it.
    [fields addObject:@[
        [NSString stringWithFormat:@"the time when %@ was written last", name],
        [NSString stringWithFormat:@"%lld.%09ld s", (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec],
    ]];
    return fields;
}

/// By its contents, not by the time when it was written last: once a restored machine runs, QEMU writes to the file what the
/// saved state holds of it, which is the same.
static NSArray<Field *> *variable_store_fields(VZEFIVariableStore *store) {
    NSString *name = @"bootLoader.variableStore";
    VZHostFile *file = [store openAs:name error:NULL];
    return @[
        @[ [name stringByAppendingString:@".URL"], VZQuoted(store.resolvedPath) ],
        @[
            [NSString stringWithFormat:@"the checksum of %@", name],
            (file != nil ? QEMUVariableStoreChecksum(file.fileDescriptor) : nil) ?: @"unknown",
        ],
    ];
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
    [fields addObject:@[ [@"the places in " stringByAppendingString:name], [ports.places componentsJoinedByString:@", "] ]];
    for (NSNumber *place in ports.places) {
        VZVirtioConsolePortConfiguration *port = ports[place.unsignedIntegerValue];
        NSString *of_port = [NSString stringWithFormat:@"%@[%@]", name, place];
        [fields addObject:@[ [of_port stringByAppendingString:@".name"], VZQuoted(port.name) ]];
        [fields addObject:@[ [of_port stringByAppendingString:@".isConsole"], port.isConsole ? @"YES" : @"NO" ]];
    }
    return fields;
}

NSString *QEMUFieldOfMACAddress(NSUInteger networkDevice) {
    return [NSString stringWithFormat:@"networkDevices[%lu].MACAddress", (unsigned long)networkDevice];
}

NSArray<NSArray<NSString *> *> *QEMUFingerprint(VZVirtualMachineConfiguration *configuration, QEMUCommandLine *commandLine) {
    NSMutableArray<Field *> *fields = [NSMutableArray array];
    [fields addObject:@[ @"bootLoader", NSStringFromClass([configuration.bootLoader class]) ]];
    [fields addObject:number_field(@"CPUCount", configuration.CPUCount)];
    [fields addObject:number_field(@"memorySize", configuration.memorySize)];
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
    [fields addObject:@[
        @"platform.nestedVirtualizationEnabled", platform.nestedVirtualizationEnabled ? @"YES" : @"NO"
    ]];
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
            device.attachment != nil ? NSStringFromClass([device.attachment class]) : @"nil",
        ]];
        if ([device.attachment isKindOfClass:[VZFileHandleNetworkDeviceAttachment class]]) {
            NSInteger unit = [(VZFileHandleNetworkDeviceAttachment *)device.attachment maximumTransmissionUnit];
            [fields addObject:number_field([name stringByAppendingString:@".attachment.maximumTransmissionUnit"],
                                           (uint64_t)unit)];
        }
    }
    for (NSUInteger i = 0; i < configuration.graphicsDevices.count; i++)
        [fields addObjectsFromArray:graphics_fields((VZVirtioGraphicsDeviceConfiguration *)configuration.graphicsDevices[i], i)];
    [fields addObjectsFromArray:commandLine.platformFields];
    return fields;
}
