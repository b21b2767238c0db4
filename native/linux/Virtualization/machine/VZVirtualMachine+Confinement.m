// SPDX-License-Identifier: Apache-2.0
#import "VZVirtualMachine+Private.h"
#import "QEMU/process/QEMUConfinement.h"
#import "QEMU/process/QEMUUser.h"

@implementation VZVirtualMachine (Confinement)

+ (NSError *)applevzConfinementError {
    return [QEMUConfinement missingError];
}

+ (NSError *)applevzSeparateUsersError {
    return [QEMUUser missingError];
}

- (AppleVZConfinement)applevzConfinement {
    return _confinement;
}

@end
