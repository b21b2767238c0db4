// SPDX-License-Identifier: Apache-2.0
#import "notices.h"
#import "dispatching.h"
#import <pthread.h>
#import <time.h>

@interface AppleVZNotice : NSObject {
  @public
    applevz_notice _value;
    NSError *_error;
}
@end

@implementation AppleVZNotice
@end

@implementation AppleVZNotices {
    dispatch_queue_t _queue;
    pthread_mutex_t _lock; // guards all that follows
    NSMutableArray<AppleVZNotice *> *_notices;
    uint64_t _last; // the number of the youngest notice there was
    uint64_t _turn;
    BOOL _turnEnds; // what ends this turn is on the queue already
}

- (instancetype)initWithQueue:(dispatch_queue_t)queue {
    self = [super init];
    if (self != nil) {
        pthread_mutex_init(&_lock, NULL);
        _queue = queue;
        _notices = [NSMutableArray array];
    }
    return self;
}

- (void)dealloc {
    pthread_mutex_destroy(&_lock);
}

- (void)add:(applevz_notice)notice error:(NSError *)error {
    AppleVZNotice *object = [[AppleVZNotice alloc] init];
    object->_value = notice;
    object->_error = error;
    struct timespec now;
    pthread_mutex_lock(&_lock);
    clock_gettime(CLOCK_MONOTONIC, &now);
    object->_value.number = ++_last;
    object->_value.monotonic_time = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    object->_value.turn = _turn;
    if (_notices.count == APPLEVZ_NOTICE_CAPACITY)
        [_notices removeObjectAtIndex:0];
    [_notices addObject:object];
    BOOL ends = _turnEnds;
    _turnEnds = YES;
    pthread_mutex_unlock(&_lock);
    if (ends)
        return;
    void (^end)(void) = ^{
        [self endTurn];
    };
    applevz_queue_async(_queue, end, ^(NSError *raised) {
        (void)raised; // it calls nobody
    });
}

- (void)endTurn {
    pthread_mutex_lock(&_lock);
    _turn++;
    _turnEnds = NO;
    pthread_mutex_unlock(&_lock);
}

- (BOOL)take:(applevz_notice *)notice error:(NSError *__strong *)error {
    pthread_mutex_lock(&_lock);
    AppleVZNotice *object = _notices.firstObject;
    if (object != nil) {
        *notice = object->_value;
        *error = object->_error;
        [_notices removeObjectAtIndex:0];
    }
    pthread_mutex_unlock(&_lock);
    return object != nil;
}

@end
