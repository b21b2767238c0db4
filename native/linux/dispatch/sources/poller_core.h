// SPDX-License-Identifier: Apache-2.0
// The poller thread: descriptors, timers, and the watch over the worker pool.
#ifndef DISPATCH_POLLER_CORE_H
#define DISPATCH_POLLER_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "timer_heap.h"

/// In a forked child: the epoll descriptor shares its registrations with the parent, so it is closed, never used.
void poller_forget_descriptors(void);

/// A descriptor to be watched. The owner may end that, and go, at any time: an event that is on its way finds nobody.
struct poller_watch {
    /// Called on the poller thread with a reference of the owner held.
    void (*ready)(void *owner);
    /// An object.
    void *owner;
    int descriptor;
    uint32_t events;
    bool registered;
    /// The descriptor is a duplicate, and ours to close.
    bool duplicated;
    /// A regular file, or another that epoll does not take.
    bool always_ready;
    uint32_t slot;
};

/// Asks for one call of `ready` once the descriptor is. 0 or an errno: EPERM where it is always ready.
int poller_watch_arm(struct poller_watch *watch);
void poller_watch_remove(struct poller_watch *watch);

/// The timer must not be armed; its owner keeps the memory until it fired or was removed.
void poller_timer_arm(struct timer *timer);
void poller_timer_remove(struct timer *timer);

/// Calls worker_pool_tick every 50 ms until it returns false.
void poller_watch_worker_pool(void);

#endif
