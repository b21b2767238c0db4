// SPDX-License-Identifier: Apache-2.0
#import "waiters.h"

@interface AppleVZWaiter : NSObject
@property (weak, nullable) AppleVZOperation *operation;
@property uint32_t number;
@end

@implementation AppleVZWaiter
@end

@implementation AppleVZWaiters {
    NSMutableArray<AppleVZWaiter *> *_waiters;
}

- (instancetype)init {
    self = [super init];
    if (self != nil)
        _waiters = [[NSMutableArray alloc] init];
    return self;
}

- (void)add:(AppleVZOperation *)operation number:(uint32_t)number {
    // Those that were given up would pile up while nothing happens.
    [self removeIf:^BOOL(AppleVZOperation *other, uint32_t others) {
        (void)other, (void)others;
        return NO;
    }];
    AppleVZWaiter *waiter = [[AppleVZWaiter alloc] init];
    waiter.operation = operation;
    waiter.number = number;
    [_waiters addObject:waiter];
}

- (void)removeIf:(__attribute__((noescape)) BOOL (^)(AppleVZOperation *, uint32_t))isOver {
    if (_waiters.count == 0)
        return;
    // No array is left to a pool: it would go later, without the owner's lock, on whatever thread has the pool.
    NSMutableArray<AppleVZWaiter *> *remaining = [[NSMutableArray alloc] init];
    for (AppleVZWaiter *waiter in _waiters) {
        AppleVZOperation *operation = waiter.operation;
        if (operation != nil && !isOver(operation, waiter.number))
            [remaining addObject:waiter];
    }
    _waiters = remaining;
}

- (void)completeWithError:(NSError *)error {
    [self removeIf:^BOOL(AppleVZOperation *operation, uint32_t number) {
        (void)number;
        [operation completeWithError:error];
        return YES;
    }];
}

@end
