// SPDX-License-Identifier: Apache-2.0
#import "VZConfiguration+Private.h"

@implementation VZNetworkDeviceAttachment

- (instancetype)initForSubclass
{
    return [super init];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error
{
    return VZRefuseClass(self, property, @"VZNATNetworkDeviceAttachment or VZFileHandleNetworkDeviceAttachment", error);
}

@end
