// SPDX-License-Identifier: Apache-2.0
#import "VZVirtualMachine+Private.h"
#import "QEMU/process/QEMUConfinement.h"

@implementation VZVirtualMachine (Confinement)

+ (NSError *)applevzConfinementError {
    return [QEMUConfinement missingError];
}

- (AppleVZConfinement)applevzConfinement {
    return _confinement;
}

@end
