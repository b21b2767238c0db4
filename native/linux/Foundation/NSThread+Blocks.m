// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

// What a thread's block is called by.
@interface NSThreadBlock : NSObject
- (instancetype)initWithBlock:(dispatch_block_t)block;
- (void)call;
@end

@implementation NSThreadBlock {
    dispatch_block_t _block;
}

- (instancetype)initWithBlock:(dispatch_block_t)block {
    self = [super init];
    if (self)
        _block = [block copy];
    return self;
}

- (void)call {
    _block();
}

@end

@implementation NSThread (ApplevzBlocks)

- (instancetype)initWithBlock:(void (^)(void))block {
    return [self initWithTarget:[[NSThreadBlock alloc] initWithBlock:block] selector:@selector(call) object:nil];
}

+ (void)detachNewThreadWithBlock:(void (^)(void))block {
    [[[self alloc] initWithBlock:block] start];
}

@end
