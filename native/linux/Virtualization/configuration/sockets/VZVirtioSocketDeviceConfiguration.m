// SPDX-License-Identifier: Apache-2.0
#import "QEMU/program/QEMUSocketTransport.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"

@implementation VZVirtioSocketDeviceConfiguration

- (instancetype)init {
    return [super initForSubclass];
}

+ (NSError *)applevzSocketsError {
    return QEMUSocketTransport.current.missingError;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    NSError *missing = [[self class] applevzSocketsError];
    if (!missing) {
        return YES;
    }
    return VZRefuse(error,
                    VZErrorWithReason(VZErrorNotSupported, nil,
                                      [NSString stringWithFormat:@"%@ is a %@. %@", property, [self class],
                                                                 missing.localizedFailureReason],
                                      missing.localizedRecoverySuggestion, missing.userInfo[NSUnderlyingErrorKey]));
}

@end
