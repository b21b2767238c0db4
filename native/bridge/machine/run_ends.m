// SPDX-License-Identifier: Apache-2.0
#import "run_ends.h"
#import <time.h>

static const double ClaimPatienceSeconds = 30;

static double monotonic_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

@interface AppleVZRunEnd : NSObject {
  @public
    enum applevz_machine_state _state;
    double _time;
    BOOL _isEarlier; // than the present run
}
@end

@implementation AppleVZRunEnd
@end

@implementation AppleVZRunEnds {
    NSMutableArray<AppleVZRunEnd *> *_ends; // the oldest first; of the present run at most one, which is the last
}

- (instancetype)init {
    self = [super init];
    if (self != nil)
        _ends = [NSMutableArray array];
    return self;
}

- (void)forgetPresentEnd {
    AppleVZRunEnd *last = _ends.lastObject;
    if (last != nil && !last->_isEarlier)
        [_ends removeLastObject];
}

- (void)addEndIn:(enum applevz_machine_state)state {
    [self forgetPresentEnd];
    AppleVZRunEnd *end = [[AppleVZRunEnd alloc] init];
    end->_state = state;
    end->_time = monotonic_seconds();
    [_ends addObject:end];
}

- (void)beginRun {
    for (AppleVZRunEnd *end in _ends)
        end->_isEarlier = YES;
}

- (BOOL)takeEarlierEnd:(enum applevz_machine_state *)state {
    double oldest = monotonic_seconds() - ClaimPatienceSeconds;
    while (_ends.count > 0 && _ends.firstObject->_time < oldest)
        [_ends removeObjectAtIndex:0];
    AppleVZRunEnd *end = _ends.firstObject;
    if (end == nil)
        return NO;
    [_ends removeObjectAtIndex:0];
    *state = end->_state;
    return end->_isEarlier;
}

- (void)forgetAll {
    [_ends removeAllObjects];
}

@end
