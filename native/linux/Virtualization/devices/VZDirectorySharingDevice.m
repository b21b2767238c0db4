// SPDX-License-Identifier: Apache-2.0
#import "machine/VZVirtualMachine+Private.h"

@implementation VZDirectorySharingDevice

- (instancetype)initForSubclass {
    return [super init];
}

@end
