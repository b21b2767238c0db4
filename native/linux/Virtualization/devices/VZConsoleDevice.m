// SPDX-License-Identifier: Apache-2.0
#import "machine/VZVirtualMachine+Private.h"

@implementation VZConsoleDevice

- (instancetype)initForSubclass {
    return [super init];
}

@end
