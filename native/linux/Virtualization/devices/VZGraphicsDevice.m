// SPDX-License-Identifier: Apache-2.0
#import "machine/VZVirtualMachine+Private.h"

@implementation VZGraphicsDevice

- (instancetype)initWithDisplays:(NSArray<VZGraphicsDisplay *> *)displays {
    self = [super init];
    if (self != nil)
        _displays = [displays copy];
    return self;
}

@end
