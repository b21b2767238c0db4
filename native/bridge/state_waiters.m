// SPDX-License-Identifier: Apache-2.0
#import "state_waiters.h"
#import <pthread.h>

@interface AppleVZStateWaiter : NSObject
@property (weak, nullable) AppleVZOperation *operation;
@property uint32_t states;
@end

@implementation AppleVZStateWaiter
@end

@implementation AppleVZStateWaiters {
    pthread_mutex_t _lock; // guards all that follows
    NSMutableArray<AppleVZStateWaiter *> *_waiters;
    enum applevz_machine_state _current;
    NSError *_cancellation;
}

- (instancetype)init {
    self = [super init];
    if (self != nil) {
        pthread_mutex_init(&_lock, NULL);
        _waiters = [[NSMutableArray alloc] init];
    }
    return self;
}

- (void)dealloc {
    pthread_mutex_destroy(&_lock);
}

/// Under the lock. What was decided is completed, what was given up is dropped, the others stay. No array is left to a pool: it
/// would go later, without the lock, on whatever thread has the pool.
- (void)settle {
    NSMutableArray<AppleVZStateWaiter *> *remaining = [[NSMutableArray alloc] init];
    for (AppleVZStateWaiter *waiter in _waiters) {
        AppleVZOperation *operation = waiter.operation;
        if (operation == nil)
            continue;
        if ((waiter.states & (UINT32_C(1) << _current)) != 0)
            [operation completeWithValue:_current];
        else if (_cancellation != nil)
            [operation completeWithError:_cancellation];
        else
            [remaining addObject:waiter];
    }
    _waiters = remaining;
}

- (void)add:(AppleVZOperation *)operation forStates:(uint32_t)states {
    AppleVZStateWaiter *waiter = [[AppleVZStateWaiter alloc] init];
    waiter.operation = operation;
    waiter.states = states;
    pthread_mutex_lock(&_lock);
    [_waiters addObject:waiter];
    [self settle];
    pthread_mutex_unlock(&_lock);
}

- (void)announceState:(enum applevz_machine_state)state {
    pthread_mutex_lock(&_lock);
    _current = state;
    if (_waiters.count > 0)
        [self settle];
    pthread_mutex_unlock(&_lock);
}

- (void)cancelWithError:(NSError *)error {
    pthread_mutex_lock(&_lock);
    _cancellation = error;
    [self settle];
    pthread_mutex_unlock(&_lock);
}

@end
