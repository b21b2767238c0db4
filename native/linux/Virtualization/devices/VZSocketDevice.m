// SPDX-License-Identifier: Apache-2.0
#import "VZVirtioSocketDevice+Private.h"

@implementation VZSocketDevice

- (instancetype)initForSubclass {
    return [super init];
}

@end
