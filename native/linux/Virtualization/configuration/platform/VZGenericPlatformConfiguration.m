// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "QEMU/program/QEMUAccelerator.h"
#import "support/VZErrors+Private.h"

@implementation VZGenericPlatformConfiguration

- (instancetype)init {
    if ((self = [super initForSubclass])) {
        _machineIdentifier = [[VZGenericMachineIdentifier alloc] init];
    }
    return self;
}

- (id)copyWithZone:(NSZone *)zone {
    VZGenericPlatformConfiguration *copy = [super copyWithZone:zone];
    copy.machineIdentifier = self.machineIdentifier;
    copy.applevzHasGenerationIdentifier = self.applevzHasGenerationIdentifier;
    copy.nestedVirtualizationEnabled = self.nestedVirtualizationEnabled;
    return copy;
}

+ (BOOL)isNestedVirtualizationSupported {
    return QEMUAccelerator.nestedMissingReason == nil;
}

+ (NSError *)applevzNestedVirtualizationError {
    NSString *reason = QEMUAccelerator.nestedMissingReason;
    return reason == nil
               ? nil
               : VZErrorWithReason(VZErrorNotSupported, @"Guests cannot run machines of their own on this host.",
                                   reason, QEMUAccelerator.nestedMissingSuggestion, nil);
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    if (!self.machineIdentifier) {
        return VZRefuse(error, VZInvalidConfigurationError(
                                   [NSString stringWithFormat:@"%@.machineIdentifier is nil.", property],
                                   @"Set it to a VZGenericMachineIdentifier; a new platform has one.", nil));
    }
    if (self.nestedVirtualizationEnabled && QEMUAccelerator.nestedMissingReason != nil) {
        return VZRefuse(error, VZInvalidConfigurationError(
                                   [NSString stringWithFormat:@"%@.nestedVirtualizationEnabled is YES. %@", property,
                                                              QEMUAccelerator.nestedMissingReason],
                                   QEMUAccelerator.nestedMissingSuggestion, nil));
    }
    return YES;
}

@end
