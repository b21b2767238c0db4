// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZNetworkDeviceAttachment

- (instancetype)initForSubclass {
    return [super init];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    return VZRefuseClass(self, property,
                         @"VZNATNetworkDeviceAttachment, VZBridgedNetworkDeviceAttachment or "
                         @"VZFileHandleNetworkDeviceAttachment",
                         error);
}

- (NSInteger)frameCapacity {
    return 1500;
}

@end
