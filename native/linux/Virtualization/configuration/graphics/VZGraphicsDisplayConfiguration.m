// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZGraphicsDisplayConfiguration

- (instancetype)initForSubclass {
    return [super init];
}

- (id)copyWithZone:(NSZone *)zone {
    return [[[self class] allocWithZone:zone] initForSubclass];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    return VZRefuseClass(self, property, @"VZVirtioGraphicsScanoutConfiguration", error);
}

@end
