// SPDX-License-Identifier: Apache-2.0
#include <dispatch/time.h>

#include <time.h>

#include "sources/timer_heap.h"

// Times of the monotonic clock are its nanoseconds, those of the wall clock are negated: the top bit tells them apart.
// "Now" and "for ever" lie where neither clock gets to; "now" on the wall clock is its second nanosecond.

uint64_t timer_clock_now(enum timer_clock clock) {
    struct timespec now;
    clock_gettime(clock == TIMER_WALL ? CLOCK_REALTIME : CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

bool timer_clock_split(dispatch_time_t when, enum timer_clock *clock, uint64_t *deadline) {
    if (when == DISPATCH_TIME_FOREVER) {
        return false;
    }
    *clock = (int64_t)when < 0 ? TIMER_WALL : TIMER_MONOTONIC;
    if (when == DISPATCH_TIME_NOW || when == DISPATCH_WALLTIME_NOW) {
        *deadline = timer_clock_now(*clock);
    } else {
        *deadline = *clock == TIMER_WALL ? -when : when;
    }
    return true;
}

static dispatch_time_t join(enum timer_clock clock, uint64_t base, int64_t delta) {
    int64_t moved;
    if (__builtin_add_overflow((int64_t)base, delta, &moved)) {
        return DISPATCH_TIME_FOREVER;
    }
    if (clock == TIMER_WALL) {
        return moved <= 2 ? DISPATCH_WALLTIME_NOW : -(uint64_t)moved;
    }
    return moved <= 0 ? 1 : (uint64_t)moved;
}

dispatch_time_t dispatch_time(dispatch_time_t when, int64_t delta) {
    enum timer_clock clock;
    uint64_t base;
    if (!timer_clock_split(when, &clock, &base)) {
        return DISPATCH_TIME_FOREVER;
    }
    return join(clock, base, delta);
}

dispatch_time_t dispatch_walltime(const struct timespec *when, int64_t delta) {
    uint64_t base = timer_clock_now(TIMER_WALL);
    if (when) {
        base = (uint64_t)when->tv_sec * NSEC_PER_SEC + (uint64_t)when->tv_nsec;
    }
    return join(TIMER_WALL, base, delta);
}
