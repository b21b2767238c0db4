// SPDX-License-Identifier: Apache-2.0
#import "NSBlockCall.h"

@implementation NSThread (ApplevzBlocks)

- (instancetype)initWithBlock:(void (^)(void))block {
    return [self initWithTarget:[[NSBlockCall alloc] initWithBlock:block] selector:@selector(call) object:nil];
}

+ (void)detachNewThreadWithBlock:(void (^)(void))block {
    [[[self alloc] initWithBlock:block] start];
}

@end
