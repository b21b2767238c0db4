// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "QEMUBlockNode.h"
#import "QEMUCommandLine+Private.h"

NSString *QEMUNameOfDisk(NSUInteger index) {
    return [NSString stringWithFormat:@"disk%lu", (unsigned long)index];
}

@implementation QEMUCommandLine (StorageDevices)

- (BOOL)addStorageDevices:(NSArray<VZStorageDeviceConfiguration *> *)devices error:(NSError **)error {
    NSUInteger index = 0;
    for (VZStorageDeviceConfiguration *device in devices)
        if (![self addStorageDevice:device index:index++ error:error])
            return NO;
    return YES;
}

- (BOOL)addBlockNode:(NSString *)name
                  of:(VZStorageDeviceAttachment *)attachment
                  as:(NSString *)property
                sets:(NSArray<NSNumber *> **)sets
               error:(NSError **)error {
    QEMUBlockNode *node = [QEMUBlockNode nodeOf:attachment
                                             as:property
                                     savedState:_savedState
                                         limits:_limits
                                          error:error];
    if (node == nil)
        return NO;
    // QEMU connects to the server by itself, and asks this host for its address.
    if ([attachment isKindOfClass:[VZNetworkBlockDeviceStorageDeviceAttachment class]])
        _makesInternetSockets = _makesLocalSockets = YES;
    BOOL isUsed = node.canBeUsed && (sets != NULL || !node.canBeReopened);
    NSMutableArray<NSString *> *paths = [NSMutableArray array];
    NSMutableArray<NSNumber *> *made = [NSMutableArray array];
    for (HostDescriptor *descriptor in node.descriptors) {
        NSError *cause = nil;
        NSString *path = isUsed           ? [self pathOfDescriptor:descriptor]
                         : node.canBeUsed ? [self pathToUse:descriptor error:&cause]
                                          : [self pathToReopen:descriptor];
        if (path == nil) {
            QEMUCannotOpen(error, [NSString stringWithFormat:@"%@.%@", property, attachment.propertyOfData], cause);
            return NO;
        }
        [paths addObject:path];
        if (isUsed)
            [made addObject:@(QEMUFirstConfigurationDescriptor + _descriptors.count - 1)];
        HostDescriptor *direct = [path hasPrefix:@"/dev/fdset/"] ? [node directOneBeside:descriptor] : nil;
        if (direct != nil)
            [self add:@"-add-fd"
                value:[NSString stringWithFormat:@"fd=%lu,set=%@", (unsigned long)[self inherit:direct],
                                                 path.lastPathComponent]];
    }
    QEMUDiskServer *server = [node serverWithPaths:paths];
    if (server != nil)
        [_diskServers addObject:server];
    if (node.carriedDisk != nil)
        [_carriedDisks addObject:node.carriedDisk];
    if (node.replacement != nil)
        [_replacements addObject:node.replacement];
    if (sets != NULL)
        *sets = made;
    NSString *option = QEMUOptionOfObject([node optionsWithName:name paths:paths]);
    [self add:@"-blockdev" value:option];
    [_disks addObject:[[QEMUStartedDisk alloc]
                          initWithProperty:[NSString stringWithFormat:@"%@.%@", property, attachment.propertyOfData]
                                     shown:attachment.shownData
                                      node:name
                                    option:option
                                     paths:paths
                                attachment:attachment]];
    return YES;
}

- (BOOL)addStorageDevice:(VZStorageDeviceConfiguration *)device index:(NSUInteger)index error:(NSError **)error {
    NSString *property = [NSString stringWithFormat:@"storageDevices[%lu].attachment", (unsigned long)index];
    NSString *identifier = QEMUNameOfDisk(index);
    if (![self addBlockNode:identifier of:device.attachment as:property sets:NULL error:error])
        return NO;
    if ([device isKindOfClass:[VZNVMExpressControllerDeviceConfiguration class]]) {
        // A guest tells controllers apart by it, and QEMU wants one.
        [self addPCIDevice:@"nvme" properties:@{@"drive" : identifier, @"serial" : identifier}];
        return YES;
    }
    // An error, a full disk of the host's too, is the guest's to handle: QEMU would stop the machine and wait for
    // somebody.
    NSMutableDictionary *properties = [NSMutableDictionary dictionaryWithDictionary:@{
        @"drive" : identifier,
        @"rerror" : @"report",
        @"werror" : @"report",
    }];
    if ([device isKindOfClass:[VZUSBMassStorageDeviceConfiguration class]]) {
        properties[@"serial"] = identifier;
        [self addUSBDevice:@"usb-storage" properties:properties];
        return YES;
    }
    NSString *serial = [(VZVirtioBlockDeviceConfiguration *)device blockDeviceIdentifier];
    if (serial.length > 0)
        properties[@"serial"] = serial;
    [self addDevice:@"virtio-blk" properties:properties];
    return YES;
}

@end
