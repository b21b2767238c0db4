// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZStorageDeviceConfiguration

- (instancetype)initForSubclassWithAttachment:(VZStorageDeviceAttachment *)attachment {
    if ((self = [super init])) {
        _attachment = attachment;
    }
    return self;
}

- (id)copyWithZone:(NSZone *)zone {
    return [[[self class] allocWithZone:zone] initForSubclassWithAttachment:self.attachment];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    return VZRefuseClass(self, property,
                         @"VZVirtioBlockDeviceConfiguration, VZNVMExpressControllerDeviceConfiguration or "
                         @"VZUSBMassStorageDeviceConfiguration",
                         error);
}

@end
