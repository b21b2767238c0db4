// SPDX-License-Identifier: Apache-2.0
#import "QEMUStateDescription.h"
#import "QEMUFingerprint.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZFilePath+Private.h"
#import <errno.h>
#import <sys/random.h>
#import <time.h>

enum { IDENTIFIER_BYTES = 16 };

NSString *QEMUNewStateIdentifier(NSError **error) {
    unsigned char bytes[IDENTIFIER_BYTES];
    // So few bytes come at once, or not at all.
    ssize_t count;
    while ((count = getrandom(bytes, sizeof bytes, 0)) < 0 && errno == EINTR)
        continue;
    if (count != (ssize_t)sizeof bytes) {
        VZRefuse(error, VZSystemCallError(count < 0 ? errno : EIO, nil));
        return nil;
    }
    NSMutableString *text = [NSMutableString string];
    for (size_t i = 0; i < sizeof bytes; i++)
        [text appendFormat:@"%02x", bytes[i]];
    return text;
}

BOOL QEMUIsStateIdentifier(NSString *text) {
    if (text.length != 2 * IDENTIFIER_BYTES)
        return NO;
    for (NSUInteger i = 0; i < text.length; i++) {
        unichar digit = [text characterAtIndex:i];
        if (!(digit >= '0' && digit <= '9') && !(digit >= 'a' && digit <= 'f'))
            return NO;
    }
    return YES;
}

/// Where the image was that a guest's disk is, or that lies below what the state holds of it.
static void add_image(NSMutableArray *images, VZStorageDeviceConfiguration *device, NSString *name) {
    if (![device.attachment isKindOfClass:[VZDiskImageStorageDeviceAttachment class]])
        return;
    VZDiskImageStorageDeviceAttachment *attachment = (VZDiskImageStorageDeviceAttachment *)device.attachment;
    BOOL isOverlay = attachment.isCarried && !attachment.isEphemeral;
    NSString *path = isOverlay ? VZResolvedPathOfFileURL(attachment.baseURLs[0]) : attachment.resolvedPath;
    // Nobody finds one without a name by its path.
    if (path == nil || QEMUFileIsNameless(path))
        return;
    [images addObject:@{
        @"name" : [name stringByAppendingString:@".attachment"],
        @"path" : VZEscapedPath(VZBytesOfPath(path)),
    }];
}

NSDictionary<NSString *, id> *QEMUDescriptionOfState(VZVirtualMachineConfiguration *configuration, NSString *version,
                                                     NSArray<NSArray<NSString *> *> *fields, NSString *identifier,
                                                     NSString *parent) {
    NSMutableArray *images = [NSMutableArray array];
    for (NSUInteger i = 0; i < configuration.storageDevices.count; i++)
        add_image(images, configuration.storageDevices[i],
                  [NSString stringWithFormat:@"storageDevices[%lu]", (unsigned long)i]);
    for (NSUInteger i = 0; i < configuration.usbControllers.count; i++) {
        NSArray *devices = configuration.usbControllers[i].usbDevices;
        for (NSUInteger j = 0; j < devices.count; j++)
            add_image(
                images, devices[j],
                [NSString stringWithFormat:@"usbControllers[%lu].usbDevices[%lu]", (unsigned long)i, (unsigned long)j]);
    }
    struct timespec time = {0};
    clock_gettime(CLOCK_REALTIME, &time);
    int64_t now = (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
    NSMutableDictionary *description = [NSMutableDictionary dictionaryWithDictionary:@{
        @"qemu" : version,
        @"fields" : fields,
        @"identifier" : identifier,
        @"made" : @(now < 0 ? 0 : MIN(now, QEMU_LATEST_TIME_OF_STATE)),
        @"images" : images,
    }];
    if (parent != nil)
        description[@"parent"] = parent;
    return description;
}
