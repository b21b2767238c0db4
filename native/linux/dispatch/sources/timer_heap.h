// SPDX-License-Identifier: Apache-2.0
#ifndef DISPATCH_TIMER_HEAP_H
#define DISPATCH_TIMER_HEAP_H

#include <dispatch/time.h>

enum timer_clock { TIMER_MONOTONIC, TIMER_WALL, TIMER_CLOCKS };

struct timer {
    enum timer_clock clock;
    uint64_t deadline;
    void *owner;
    /// Called on the poller thread, without its lock, after `prepare`.
    void (*fire)(struct timer *timer);
    /// Called as the timer leaves the heap, under the poller's lock, to keep the owner until `fire`. May be NULL.
    void (*prepare)(struct timer *timer);
    /// Position in the heap, from 1; 0 outside.
    size_t position;
};

/// The timers of one clock, earliest first.
struct timer_heap {
    struct timer **timers;
    size_t count;
    size_t capacity;
};

void timer_heap_insert(struct timer_heap *heap, struct timer *timer);
void timer_heap_remove(struct timer_heap *heap, struct timer *timer);
static inline struct timer *timer_heap_earliest(const struct timer_heap *heap) {
    return heap->count ? heap->timers[0] : NULL;
}

/// Nanoseconds.
uint64_t timer_clock_now(enum timer_clock clock);
/// The clock and its time that a dispatch_time_t stands for; false for DISPATCH_TIME_FOREVER.
bool timer_clock_split(dispatch_time_t when, enum timer_clock *clock, uint64_t *deadline);

#endif
