// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "QEMU/program/QEMUFirmware.h"
#import "support/VZErrors+Private.h"

@implementation VZEFIBootLoader

- (instancetype)init {
    return [super initForSubclass];
}

- (id)copyWithZone:(NSZone *)zone {
    VZEFIBootLoader *copy = [super copyWithZone:zone];
    copy.variableStore = self.variableStore;
    return copy;
}

+ (NSError *)applevzUnsupportedError {
    NSError *error = nil;
    return [QEMUFirmware firmwareWithError:&error] ? nil : error;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    NSString *name = [property stringByAppendingString:@".variableStore"];
    NSError *unsupported = [VZEFIBootLoader applevzUnsupportedError];
    if (unsupported) {
        return VZRefuse(error, unsupported);
    }
    if (!self.variableStore) {
        return VZRefuse(
            error,
            VZInvalidConfigurationError(
                [NSString stringWithFormat:@"%@ is nil.", name],
                @"Set it to a VZEFIVariableStore: a new one the first time, and the same one each time after.", nil));
    }
    return [self.variableStore validateAs:name error:error];
}

@end
