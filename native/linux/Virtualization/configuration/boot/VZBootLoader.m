// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZBootLoader

- (instancetype)initForSubclass {
    return [super init];
}

- (id)copyWithZone:(NSZone *)zone {
    return [[[self class] allocWithZone:zone] initForSubclass];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    return VZRefuseClass(self, property, @"VZLinuxBootLoader or VZEFIBootLoader", error);
}

@end
