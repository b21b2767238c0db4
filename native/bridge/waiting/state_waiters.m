// SPDX-License-Identifier: Apache-2.0
#import "state_waiters.h"
#import "waiters.h"
#import <pthread.h>

@implementation AppleVZStateWaiters {
    pthread_mutex_t _lock; // guards all that follows
    AppleVZWaiters *_waiters;
    enum applevz_machine_state _current;
    NSError *_cancellation;
}

- (instancetype)init {
    self = [super init];
    if (self != nil) {
        pthread_mutex_init(&_lock, NULL);
        _waiters = [[AppleVZWaiters alloc] init];
    }
    return self;
}

- (void)dealloc {
    pthread_mutex_destroy(&_lock);
}

/// Under the lock. Completes those whose wait is decided; the others stay.
- (void)settle {
    enum applevz_machine_state current = _current;
    NSError *cancellation = _cancellation;
    [_waiters removeIf:^BOOL(AppleVZOperation *operation, uint32_t states) {
        BOOL reached = (states & (UINT32_C(1) << current)) != 0;
        if (reached)
            [operation completeWithValue:current];
        else if (cancellation != nil)
            [operation completeWithError:cancellation];
        return reached || cancellation != nil;
    }];
}

- (void)add:(AppleVZOperation *)operation forStates:(uint32_t)states {
    pthread_mutex_lock(&_lock);
    [_waiters add:operation number:states];
    [self settle];
    pthread_mutex_unlock(&_lock);
}

- (void)announceState:(enum applevz_machine_state)state {
    pthread_mutex_lock(&_lock);
    _current = state;
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
