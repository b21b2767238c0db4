// SPDX-License-Identifier: Apache-2.0
#import "VZUSBController+Private.h"

@implementation VZUSBMassStorageDevice

@synthesize usbController = _usbController;

- (instancetype)initWithConfiguration:(VZUSBMassStorageDeviceConfiguration *)configuration {
    if (configuration == nil)
        [NSException raise:NSInvalidArgumentException
                    format:@"*** -[%@ %@]: configuration is nil", [self class], NSStringFromSelector(_cmd)];
    self = [super initForSubclass];
    if (self != nil)
        _configuration = [configuration copy];
    return self;
}

- (NSUUID *)uuid {
    return _configuration.uuid;
}

@end
