// SPDX-License-Identifier: Apache-2.0
// What poller.m and poller_registrations.m share.
#ifndef DISPATCH_POLLER_REGISTRATIONS_H
#define DISPATCH_POLLER_REGISTRATIONS_H

#include <pthread.h>
#include <stdatomic.h>

#include "poller_core.h"
#include "../process_state.h"

struct perform_request;

/// An event carries the index of a slot and the generation that the slot had at registration: an event that was read
/// before its registration ended finds another generation, and no owner.
struct poller_slot {
    struct poller_watch *watch;
    uint32_t generation;
    /// The index of the next free slot, plus one.
    uint32_t next_free;
};

struct poller {
    pthread_mutex_t lock;
    atomic_bool started;
    atomic_bool watches_pool;
    int epoll;
    int wake;
    int timers[TIMER_CLOCKS];
    /// What each of these descriptors is set to.
    uint64_t armed[TIMER_CLOCKS];
    struct timer_heap heaps[TIMER_CLOCKS];
    struct perform_request *requests;
    struct perform_request **last_request;
    struct poller_slot *slots;
    uint32_t slot_count;
    uint32_t first_free;
};
extern struct poller poller;

/// An event for the slot and generation in `tag`.
void poller_watch_ready(uint64_t tag);

#endif
