// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZNetworkDeviceConfiguration

- (instancetype)initForSubclass {
    if ((self = [super init])) {
        _MACAddress = [VZMACAddress randomLocallyAdministeredAddress];
    }
    return self;
}

- (id)copyWithZone:(NSZone *)zone {
    VZNetworkDeviceConfiguration *copy = [[[self class] allocWithZone:zone] initForSubclass];
    copy.MACAddress = self.MACAddress;
    copy.attachment = self.attachment;
    return copy;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    return VZRefuseClass(self, property, @"VZVirtioNetworkDeviceConfiguration", error);
}

@end
