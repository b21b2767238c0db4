// SPDX-License-Identifier: Apache-2.0
// Descriptors that the poller watches for others.
#include "poller_registrations.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../descriptor.h"
#include "../object_core.h"

static uint32_t take_slot_locked(struct poller_watch *watch) {
    if (poller.first_free == 0) {
        uint32_t count = poller.slot_count ? 2 * poller.slot_count : 16;
        poller.slots = realloc(poller.slots, count * sizeof *poller.slots);
        if (!poller.slots) {
            dispatch_fail("dispatch_source_create", "out of memory");
        }
        while (poller.slot_count < count) {
            poller.slots[poller.slot_count] = (struct poller_slot){.next_free = poller.first_free};
            poller.first_free = ++poller.slot_count;
        }
    }
    uint32_t index = poller.first_free - 1;
    poller.first_free = poller.slots[index].next_free;
    poller.slots[index].watch = watch;
    return index;
}

static void free_slot_locked(uint32_t index) {
    poller.slots[index].watch = NULL;
    poller.slots[index].generation++;
    poller.slots[index].next_free = poller.first_free;
    poller.first_free = index + 1;
}

static int control_locked(struct poller_watch *watch, int operation) {
    uint64_t tag = (uint64_t)poller.slots[watch->slot].generation << 32 | watch->slot;
    // One event, then silence until armed again: that gives the level-triggered behaviour of a source, whose handler
    // never runs twice at a time, without a word from here while it runs.
    struct epoll_event event = {.events = watch->events | EPOLLONESHOT, .data.u64 = tag};
    return epoll_ctl(poller.epoll, operation, watch->descriptor, &event) == 0 ? 0 : errno;
}

static int add_locked(struct poller_watch *watch) {
    watch->slot = take_slot_locked(watch);
    int error = control_locked(watch, EPOLL_CTL_ADD);
    if (error == EEXIST) {
        // A second source on the descriptor: epoll takes each number once, and a duplicate has one of its own.
        int duplicate = fcntl(watch->descriptor, F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR);
        if (duplicate >= 0) {
            watch->descriptor = duplicate;
            watch->duplicated = true;
            error = control_locked(watch, EPOLL_CTL_ADD);
        } else {
            error = errno;
        }
    }
    if (error) {
        free_slot_locked(watch->slot);
    } else {
        watch->registered = true;
    }
    return error;
}

int poller_watch_arm(struct poller_watch *watch) {
    if (watch->always_ready) {
        return EPERM;
    }
    pthread_mutex_lock(&poller.lock);
    int error = watch->registered ? control_locked(watch, EPOLL_CTL_MOD) : add_locked(watch);
    pthread_mutex_unlock(&poller.lock);
    watch->always_ready = error == EPERM;
    return error;
}

void poller_watch_remove(struct poller_watch *watch) {
    pthread_mutex_lock(&poller.lock);
    if (watch->registered) {
        watch->registered = false;
        free_slot_locked(watch->slot);
        epoll_ctl(poller.epoll, EPOLL_CTL_DEL, watch->descriptor, NULL);
    }
    if (watch->duplicated) {
        watch->duplicated = false;
        close(watch->descriptor);
    }
    pthread_mutex_unlock(&poller.lock);
}

void poller_watch_ready(uint64_t tag) {
    uint32_t index = (uint32_t)tag;
    pthread_mutex_lock(&poller.lock);
    struct poller_watch *watch = NULL;
    if (index < poller.slot_count && poller.slots[index].generation == tag >> 32) {
        watch = poller.slots[index].watch;
    }
    void *owner = watch ? object_retain(watch->owner) : NULL;
    void (*ready)(void *) = watch ? watch->ready : NULL;
    pthread_mutex_unlock(&poller.lock);
    if (owner) {
        ready(owner);
        object_release(owner);
    }
}
