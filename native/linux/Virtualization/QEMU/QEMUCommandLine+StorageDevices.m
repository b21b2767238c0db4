// SPDX-License-Identifier: Apache-2.0
#import "../VZConfiguration+Private.h"
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
               error:(NSError **)error {
    QEMUBlockNode *node = [QEMUBlockNode nodeOf:attachment as:property error:error];
    if (node == nil)
        return NO;
    NSString *path = node.descriptor != nil ? [self pathOfDescriptor:node.descriptor] : nil;
    NSString *option = QEMUOptionOfObject([node optionsWithName:name path:path]);
    [self add:@"-blockdev" value:option];
    if (node.networkAttachment != nil)
        [_networkDisks addObject:[[QEMUNetworkDisk alloc] initWithAttachment:node.networkAttachment
                                                                    property:property
                                                                        node:name
                                                                      option:option]];
    return YES;
}

- (BOOL)addStorageDevice:(VZStorageDeviceConfiguration *)device index:(NSUInteger)index error:(NSError **)error {
    NSString *property = [NSString stringWithFormat:@"storageDevices[%lu].attachment", (unsigned long)index];
    NSString *identifier = QEMUNameOfDisk(index);
    if (![self addBlockNode:identifier of:device.attachment as:property error:error])
        return NO;
    if ([device isKindOfClass:[VZNVMExpressControllerDeviceConfiguration class]]) {
        // A guest tells controllers apart by it, and QEMU wants one.
        [self addPCIDevice:@"nvme" properties:@{@"drive" : identifier, @"serial" : identifier}];
        return YES;
    }
    // An error, a full disk of the host's too, is the guest's to handle: QEMU would stop the machine and wait for somebody.
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
