// SPDX-License-Identifier: Apache-2.0
#import "operation.h"
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "boundary/ownership.h"
#import "wake_pipe.h"
#import <pthread.h>
#import <time.h>
#import <unistd.h>

static double monotonic_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

@implementation AppleVZOperation {
    pthread_mutex_t _lock; // guards all that follows
    BOOL _completed;
    NSError *_error;
    int64_t _value;
    BOOL _ownsDescriptor; // _value is a descriptor that nobody has taken
    BOOL _abandoned;
    applevz_wake_pipe *_waiters;
    AppleVZChannel *_channel;
    applevz_announcement _announcement; // the channel's lock guards it while it is queued
}

- (instancetype)init {
    self = [super init];
    if (self != nil)
        pthread_mutex_init(&_lock, NULL);
    return self;
}

- (void)dealloc {
    [_channel withdraw:&_announcement];
    if (_ownsDescriptor)
        close((int)_value);
    pthread_mutex_destroy(&_lock);
}

- (void)completeWithError:(NSError *)error {
    [self completeWithError:error value:0 ownsDescriptor:NO];
}

- (void)completeWithValue:(int64_t)value {
    [self completeWithError:nil value:value ownsDescriptor:NO];
}

- (void)completeWithDescriptor:(int)descriptor {
    if (![self completeWithError:nil value:descriptor ownsDescriptor:YES])
        close(descriptor);
}

/// NO where it had completed before.
- (BOOL)completeWithError:(NSError *)error value:(int64_t)value ownsDescriptor:(BOOL)ownsDescriptor {
    pthread_mutex_lock(&_lock);
    BOOL first = !_completed;
    if (first) {
        _completed = YES;
        _error = error;
        _value = value;
        _ownsDescriptor = ownsDescriptor;
        // Under the lock: a waiter takes itself out of the list under it too, so no pipe here is back in the pool.
        for (applevz_wake_pipe *waiter = _waiters; waiter != NULL; waiter = waiter->next)
            applevz_wake_pipe_wake(waiter);
        // Under the lock: an announcement that comes now, or is withdrawn, finds the operation completed and this done.
        [_channel enqueue:&_announcement];
    }
    pthread_mutex_unlock(&_lock);
    return first;
}

- (BOOL)announceTo:(AppleVZChannel *)channel token:(uint64_t)token {
    pthread_mutex_lock(&_lock);
    BOOL first = _channel == nil;
    if (first) {
        _channel = channel;
        _announcement.token = token;
        if (_completed)
            [channel enqueue:&_announcement];
    }
    pthread_mutex_unlock(&_lock);
    return first;
}

- (void)withdrawAnnouncement {
    pthread_mutex_lock(&_lock);
    _abandoned = YES;
    [_channel withdraw:&_announcement];
    _channel = nil;
    pthread_mutex_unlock(&_lock);
}

- (BOOL)isCompleted {
    pthread_mutex_lock(&_lock);
    BOOL completed = _completed;
    pthread_mutex_unlock(&_lock);
    return completed;
}

- (BOOL)isAbandoned {
    pthread_mutex_lock(&_lock);
    BOOL abandoned = _abandoned;
    pthread_mutex_unlock(&_lock);
    return abandoned;
}

- (int64_t)takeValue {
    pthread_mutex_lock(&_lock);
    int64_t value = _value;
    if (_ownsDescriptor) {
        _ownsDescriptor = NO;
        _value = -1;
    }
    pthread_mutex_unlock(&_lock);
    return value;
}

- (NSError *)error {
    pthread_mutex_lock(&_lock);
    NSError *error = _error;
    pthread_mutex_unlock(&_lock);
    return error;
}

/// Puts the pipe on the list of waiters, unless there is nothing left to wait for.
- (BOOL)addWaiter:(applevz_wake_pipe *)waiter {
    pthread_mutex_lock(&_lock);
    BOOL waits = !_completed;
    if (waits) {
        waiter->next = _waiters;
        _waiters = waiter;
    }
    pthread_mutex_unlock(&_lock);
    return waits;
}

- (void)removeWaiter:(applevz_wake_pipe *)waiter {
    pthread_mutex_lock(&_lock);
    applevz_wake_pipe **link = &_waiters;
    while (*link != waiter)
        link = &(*link)->next;
    *link = waiter->next;
    pthread_mutex_unlock(&_lock);
}

- (enum applevz_wait_result)waitForSeconds:(double)seconds {
    if (self.completed)
        return APPLEVZ_WAIT_COMPLETED;
    BOOL limited = seconds >= 0;
    double deadline = limited ? monotonic_seconds() + seconds : 0;
    applevz_wake_pipe *waiter = applevz_wake_pipe_take();
    enum applevz_wait_result result = APPLEVZ_WAIT_COMPLETED;
    if ([self addWaiter:waiter]) {
        do {
            double remaining = deadline - monotonic_seconds();
            result = applevz_wake_pipe_sleep(waiter, !limited ? -1 : remaining > 0 ? remaining : 0);
            if (result == APPLEVZ_WAIT_TIMED_OUT && monotonic_seconds() < deadline)
                result = APPLEVZ_WAIT_COMPLETED; // a sleep shorter than the wait: look again
        } while (result == APPLEVZ_WAIT_COMPLETED && !self.completed);
        [self removeWaiter:waiter];
    }
    applevz_wake_pipe_put_back(waiter);
    // What completed at the last moment did complete.
    return self.completed ? APPLEVZ_WAIT_COMPLETED : result;
}

@end

enum applevz_wait_result applevz_operation_wait(applevz_operation *operation, double seconds) {
    // In a forked child at once: nothing there will ever complete it, and copy_error says so.
    __block enum applevz_wait_result result = APPLEVZ_WAIT_COMPLETED;
    applevz_guard_infallible(^{
        result = [applevz_borrowed(AppleVZOperation, operation) waitForSeconds:seconds];
    });
    return result;
}

CFErrorRef applevz_operation_copy_error(applevz_operation *operation) {
    return applevz_guard(^NSError *_Nullable {
        AppleVZOperation *object = applevz_borrowed(AppleVZOperation, operation);
        if (!object.completed)
            return applevz_error(AppleVZErrorDomain, APPLEVZ_BRIDGE_ERROR_INVALID_STATE,
                                 @"The operation is still under way.",
                                 @"Its result was asked for before it had completed.", @"Wait for it first.");
        return object.error;
    });
}

int64_t applevz_operation_take_value(applevz_operation *operation) {
    if (applevz_machines_were_inherited())
        return 0; // what it completed with is the parent's
    return [applevz_borrowed(AppleVZOperation, operation) takeValue];
}

CFErrorRef applevz_operation_announce(applevz_operation *operation, applevz_channel *channel, uint64_t token) {
    return applevz_guard(^NSError *_Nullable {
        if ([applevz_borrowed(AppleVZOperation, operation) announceTo:applevz_borrowed(AppleVZChannel, channel)
                                                                token:token])
            return nil;
        return applevz_error(AppleVZErrorDomain, APPLEVZ_BRIDGE_ERROR_INVALID_STATE,
                             @"The operation is announced already.",
                             @"It was given a channel before, which tells of it once.", @"Begin another operation.");
    });
}

void applevz_operation_release(applevz_operation *operation) {
    applevz_guard_infallible(^{
        // The machine may hold the object until it is done with it; nobody is told of that any more.
        [(AppleVZOperation *)applevz_take_back_handle(operation) withdrawAnnouncement];
    });
}
