// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"

@implementation VZUSBControllerConfiguration

- (instancetype)initForSubclass {
    if ((self = [super init])) {
        _usbDevices = @[];
    }
    return self;
}

- (id)copyWithZone:(NSZone *)zone {
    VZUSBControllerConfiguration *copy = [[[self class] allocWithZone:zone] initForSubclass];
    copy.usbDevices = VZCopyOfParts(self.usbDevices);
    return copy;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    return VZRefuseClass(self, property, @"VZXHCIControllerConfiguration", error);
}

@end
