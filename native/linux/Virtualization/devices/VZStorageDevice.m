// SPDX-License-Identifier: Apache-2.0
#import "VZUSBController+Private.h"

@implementation VZStorageDevice

- (instancetype)initForSubclass {
    return [super init];
}

@end
