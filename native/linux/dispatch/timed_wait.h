// SPDX-License-Identifier: Apache-2.0
// A wait on a condition until a dispatch_time_t, that the worker pool knows of.
#ifndef DISPATCH_TIMED_WAIT_H
#define DISPATCH_TIMED_WAIT_H

#include <pthread.h>
#include <time.h>

#include "sources/timer_heap.h"
#include "worker_pool.h"

struct timed_wait {
    bool for_ever;
    clockid_t clock;
    struct timespec deadline;
};

static inline struct timed_wait timed_wait_until(dispatch_time_t when) {
    enum timer_clock clock;
    uint64_t deadline;
    if (!timer_clock_split(when, &clock, &deadline)) {
        return (struct timed_wait){.for_ever = true};
    }
    return (struct timed_wait){
        .clock = clock == TIMER_WALL ? CLOCK_REALTIME : CLOCK_MONOTONIC,
        .deadline = {.tv_sec = (time_t)(deadline / NSEC_PER_SEC), .tv_nsec = (long)(deadline % NSEC_PER_SEC)},
    };
}

/// 0, also without a reason, or ETIMEDOUT.
static inline int timed_wait_once(const struct timed_wait *wait, pthread_cond_t *condition, pthread_mutex_t *lock) {
    return wait->for_ever ? pthread_cond_wait(condition, lock)
                          : pthread_cond_clockwait(condition, lock, wait->clock, &wait->deadline);
}

#endif
