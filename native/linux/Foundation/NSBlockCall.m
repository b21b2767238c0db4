// SPDX-License-Identifier: Apache-2.0
#import "NSBlockCall.h"

@implementation NSBlockCall {
    void (^_block)(void);
}

- (instancetype)initWithBlock:(void (^)(void))block {
    self = [super init];
    if (self)
        _block = [block copy];
    return self;
}

- (void)call {
    void (^block)(void) = _block;
    _block = nil;
    if (block)
        block();
}

@end
