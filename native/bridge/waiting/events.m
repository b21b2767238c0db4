// SPDX-License-Identifier: Apache-2.0
#import "events.h"
#import "waiters.h"
#import <pthread.h>
#import <time.h>

static double seconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

@implementation AppleVZEvent

+ (instancetype)eventOfKind:(enum applevz_event_kind)kind
                      cause:(enum applevz_event_cause)cause
                stateBefore:(enum applevz_machine_state)before
                      state:(enum applevz_machine_state)state
                      error:(NSError *)error {
    AppleVZEvent *event = [[self alloc] init];
    event->_kind = kind;
    event->_cause = cause;
    event->_stateBefore = before;
    event->_state = state;
    event->_time = seconds_of(CLOCK_REALTIME);
    event->_monotonicTime = seconds_of(CLOCK_MONOTONIC);
    event->_error = error;
    event->_device = -1;
    event->_port = -1;
    return event;
}

@end

@implementation AppleVZEvents {
    pthread_mutex_t _lock; // guards all that follows
    NSMutableArray<AppleVZEvent *> *_events;
    uint64_t _last;    // the number of the youngest event there was
    uint64_t _dropped; // just before the oldest of _events
    AppleVZWaiters *_waiters;
    NSError *_cancellation;
}

- (instancetype)init {
    self = [super init];
    if (self != nil) {
        pthread_mutex_init(&_lock, NULL);
        _events = [NSMutableArray array];
        _waiters = [[AppleVZWaiters alloc] init];
    }
    return self;
}

- (void)dealloc {
    pthread_mutex_destroy(&_lock);
}

- (void)add:(AppleVZEvent *)event {
    pthread_mutex_lock(&_lock);
    _last++;
    if (_events.count == APPLEVZ_EVENT_CAPACITY) {
        [_events removeObjectAtIndex:0];
        _dropped++;
    }
    [_events addObject:event];
    [_waiters completeWithError:nil];
    pthread_mutex_unlock(&_lock);
}

- (AppleVZEvent *)takeWithNumber:(uint64_t *)number dropped:(uint64_t *)dropped {
    pthread_mutex_lock(&_lock);
    AppleVZEvent *event = _events.firstObject;
    if (event != nil) {
        *number = _last - _events.count + 1;
        *dropped = _dropped;
        _dropped = 0;
        [_events removeObjectAtIndex:0];
    }
    pthread_mutex_unlock(&_lock);
    return event;
}

- (AppleVZOperation *)wait {
    AppleVZOperation *operation = [[AppleVZOperation alloc] init];
    pthread_mutex_lock(&_lock);
    if (_events.count > 0 || _cancellation != nil)
        [operation completeWithError:_events.count > 0 ? nil : _cancellation];
    else
        [_waiters add:operation number:0];
    pthread_mutex_unlock(&_lock);
    return operation;
}

- (void)cancelWithError:(NSError *)error {
    pthread_mutex_lock(&_lock);
    _cancellation = error;
    [_waiters completeWithError:error];
    pthread_mutex_unlock(&_lock);
}

@end
