// SPDX-License-Identifier: Apache-2.0
// Semaphores count; waits end in time; times move on their own clock and saturate.
#include "dispatch_support.h"
#include <time.h>

static uint64_t milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void signals_are_counted(void) {
    CHECK(dispatch_semaphore_create(-1) == nil);
    dispatch_semaphore_t semaphore = dispatch_semaphore_create(2);
    CHECK(dispatch_semaphore_wait(semaphore, DISPATCH_TIME_NOW) == 0);
    CHECK(dispatch_semaphore_wait(semaphore, DISPATCH_TIME_NOW) == 0);
    CHECK(dispatch_semaphore_wait(semaphore, DISPATCH_TIME_NOW) != 0);
    CHECK(dispatch_semaphore_signal(semaphore) == 0, "nobody was waiting");
    CHECK(dispatch_semaphore_signal(semaphore) == 0);
}

static void waits_end_in_time(void) {
    dispatch_semaphore_t semaphore = dispatch_semaphore_create(0);
    dispatch_time_t (^times[])(void) = {^{
        return dispatch_time(DISPATCH_TIME_NOW, 20 * NSEC_PER_MSEC);
}
, ^{
    return dispatch_walltime(NULL, 20 * NSEC_PER_MSEC);
},
}
;
for (int i = 0; i < 2; i++) {
    uint64_t before = milliseconds();
    CHECK(dispatch_semaphore_wait(semaphore, times[i]()) != 0);
    CHECK(milliseconds() - before >= 19, "ended early");
}
CHECK(dispatch_semaphore_wait(semaphore, dispatch_time(DISPATCH_TIME_NOW, -5)) != 0);
// A wait that timed out takes no signal from the next one.
dispatch_semaphore_signal(semaphore);
CHECK(dispatch_semaphore_wait(semaphore, DISPATCH_TIME_NOW) == 0);
}

static void threads_hand_over(void) {
    dispatch_semaphore_t full = dispatch_semaphore_create(0);
    dispatch_semaphore_t empty = dispatch_semaphore_create(1);
    static int slot;
    static long sum;
    on_threads(2, ^(int consumer) {
        for (int i = 1; i <= 2000; i++) {
            AWAIT(consumer ? full : empty);
            if (consumer) {
                sum += slot;
            } else {
                slot = i;
            }
            dispatch_semaphore_signal(consumer ? empty : full);
        }
    });
    CHECK(sum == 2000L * 2001 / 2, "%ld", sum);
}

static void times_move_and_saturate(void) {
    CHECK(dispatch_time(1000, 5) == 1005);
    CHECK(dispatch_time(1000, -2000) == 1);
    CHECK(dispatch_time(DISPATCH_TIME_FOREVER, -5) == DISPATCH_TIME_FOREVER);
    CHECK(dispatch_time(DISPATCH_TIME_NOW, INT64_MAX) == DISPATCH_TIME_FOREVER);
    struct timespec when = {.tv_sec = 100, .tv_nsec = 7};
    CHECK(dispatch_walltime(&when, 3) == (dispatch_time_t) - (int64_t)(100 * NSEC_PER_SEC + 10));
    CHECK(dispatch_time(dispatch_walltime(&when, 0), -7) == (dispatch_time_t) - (int64_t)(100 * NSEC_PER_SEC));
    CHECK(dispatch_walltime(&when, INT64_MAX) == DISPATCH_TIME_FOREVER);
    CHECK(dispatch_walltime(&when, INT64_MIN / 2) == DISPATCH_WALLTIME_NOW);
}

int main(void) {
    @autoreleasepool {
        signals_are_counted();
        waits_end_in_time();
        threads_hand_over();
        times_move_and_saturate();
    }
    return 0;
}
