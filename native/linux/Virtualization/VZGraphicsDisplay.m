// SPDX-License-Identifier: Apache-2.0
#import "VZVirtualMachine+Private.h"

@implementation VZGraphicsDisplay

- (instancetype)initWithSizeInPixels:(CGSize)size {
    self = [super init];
    if (self != nil)
        _sizeInPixels = size;
    return self;
}

@end
