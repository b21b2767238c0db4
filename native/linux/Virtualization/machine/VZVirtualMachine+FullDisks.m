// SPDX-License-Identifier: Apache-2.0
#import "VZVirtualMachine+Private.h"
#import "applevz_guest_reports.h"
#import "configuration/VZConfiguration+Private.h"
#import "devices/VZUSBController+Private.h"
#import "support/VZErrors+Private.h"
#import <errno.h>
#import <json_values.h>

@implementation VZVirtualMachine (FullDisks)

- (NSError *)errorOfFullDisk:(NSString *)property attachment:(VZStorageDeviceAttachment *)attachment {
    uint64_t most = _configuration.applevzResourceLimits.overlaySize;
    BOOL isLimited = most > 0 && [attachment isKindOfClass:[VZDiskImageStorageDeviceAttachment class]] &&
                     ((VZDiskImageStorageDeviceAttachment *)attachment).isCarried;
    NSString *limit = isLimited ? [NSString stringWithFormat:@" At most it has the %llu bytes of "
                                                             @"resourceLimits.overlaySize.",
                                                             (unsigned long long)most]
                                : @"";
    return VZErrorWithReason(
        VZErrorOutOfDiskSpace, @"A guest's disk has no more room on this host.",
        [NSString stringWithFormat:@"%@.%@ is %@, and what the guest wrote to it did not find room.%@", property,
                                   attachment.propertyOfData, attachment.shownData, limit],
        isLimited ? @"Have the guest discard what it does not need (fstrim), or start the machine with a larger limit."
                  : @"Make room in the file system that the image, or its overlay, is in.",
        VZSystemCallError(ENOSPC, nil));
}

- (void)tellFullDisk:(NSUInteger)index
            property:(NSString *)property
           usbDevice:(nullable NSUUID *)uuid
          attachment:(VZStorageDeviceAttachment *)attachment {
    id<AppleVZGuestReports> delegate = (id<AppleVZGuestReports>)self.delegate;
    if ([delegate respondsToSelector:@selector(applevzVirtualMachine:storageDevice:usbDevice:isFullWithError:)])
        [delegate applevzVirtualMachine:self
                          storageDevice:index
                              usbDevice:uuid
                        isFullWithError:[self errorOfFullDisk:property attachment:attachment]];
}

/// Of each disk once in a run: a guest that goes on writing would fill the queue of events.
- (void)takeBlockError:(NSDictionary *)data {
    NSString *node = applevz_json_text(data, @"node-name");
    // Its "nospace" is of disks for which somebody asked to be told so, in a way that is gone.
    BOOL isFull = [applevz_json_text(data, @"reason") isEqualToString:VZSystemCallErrorText(ENOSPC)];
    if (node == nil || !isFull || [_fullDisks containsObject:node])
        return;
    NSUInteger index = 0;
    for (VZStorageDeviceConfiguration *device in _configuration.storageDevices) {
        if ([node isEqualToString:QEMUNameOfDisk(index)]) {
            [_fullDisks addObject:node];
            [self tellFullDisk:index
                      property:[NSString stringWithFormat:@"storageDevices[%lu].attachment", (unsigned long)index]
                     usbDevice:nil
                    attachment:device.attachment];
            return;
        }
        index++;
    }
    for (id<VZRuntimeDevice> controller in _devices) {
        if (![controller isKindOfClass:[VZUSBController class]])
            continue;
        for (VZUSBMassStorageDevice *device in ((VZUSBController *)controller).allDevices) {
            if (![device.disk.node isEqualToString:node])
                continue;
            [_fullDisks addObject:node];
            [self tellFullDisk:NSNotFound
                      property:[NSString stringWithFormat:@"The USB device %@", device.uuid.UUIDString]
                     usbDevice:device.uuid
                    attachment:device.configuration.attachment];
            return;
        }
    }
}

@end
