// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"

@implementation VZStorageDeviceAttachment

- (instancetype)initForSubclass {
    return [super init];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    if (![self respondsToSelector:@selector(identityAs:error:)]) {
        return VZRefuseClass(self, property,
                             @"VZDiskImageStorageDeviceAttachment, "
                             @"VZDiskBlockDeviceStorageDeviceAttachment or "
                             @"VZNetworkBlockDeviceStorageDeviceAttachment",
                             error);
    }
    NSError *wrong = nil;
    if ([self identityAs:[NSString stringWithFormat:@"%@.%@", property, [self propertyOfData]] error:&wrong]) {
        return YES;
    }
    return VZRefuse(
        error, VZInvalidConfigurationError(wrong.localizedFailureReason, wrong.localizedRecoverySuggestion, wrong));
}

@end
