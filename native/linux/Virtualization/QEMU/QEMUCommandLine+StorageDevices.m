// SPDX-License-Identifier: Apache-2.0
#import "../VZConfiguration+Private.h"
#import "../VZErrors+Private.h"
#import "../VZHostFile+Private.h"
#import "QEMUCommandLine+Private.h"

@implementation QEMUCommandLine (StorageDevices)

- (BOOL)addStorageDevices:(NSArray<VZStorageDeviceConfiguration *> *)devices error:(NSError **)error {
    NSUInteger index = 0;
    for (VZStorageDeviceConfiguration *device in devices)
        if (![self addStorageDevice:device index:index++ error:error])
            return NO;
    return YES;
}

- (BOOL)addStorageDevice:(VZStorageDeviceConfiguration *)device index:(NSUInteger)index error:(NSError **)error {
    VZDiskImageStorageDeviceAttachment *attachment = (VZDiskImageStorageDeviceAttachment *)device.attachment;
    NSString *property = [NSString stringWithFormat:@"storageDevices[%lu].attachment", (unsigned long)index];
    VZHostFile *image = [attachment openAs:property error:error];
    if (image == nil)
        return NO;
    NSString *identifier = [NSString stringWithFormat:@"disk%lu", (unsigned long)index];
    BOOL direct = attachment.cachingMode == VZDiskImageCachingModeUncached;
    BOOL noFlush = attachment.synchronizationMode == VZDiskImageSynchronizationModeNone;
    [self add:@"-blockdev" value:QEMUOptionOfObject(@{
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
