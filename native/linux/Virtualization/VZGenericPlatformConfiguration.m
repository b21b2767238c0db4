// SPDX-License-Identifier: Apache-2.0
#import "VZConfiguration+Private.h"
#import "VZErrors+Private.h"

@implementation VZGenericPlatformConfiguration

- (instancetype)init
{
    if ((self = [super initForSubclass])) {
        _machineIdentifier = [[VZGenericMachineIdentifier alloc] init];
    }
    return self;
}

- (id)copyWithZone:(NSZone *)zone
{
    VZGenericPlatformConfiguration *copy = [super copyWithZone:zone];
    copy.machineIdentifier = self.machineIdentifier;
    copy.applevzHasGenerationIdentifier = self.applevzHasGenerationIdentifier;
    return copy;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error
{
    if (!self.machineIdentifier) {
        return VZRefuse(error, VZInvalidConfigurationError(
            [NSString stringWithFormat:@"%@.machineIdentifier is nil.", property],
            @"Set it to a VZGenericMachineIdentifier; a new platform has one.", nil));
    }
    return YES;
}

@end
