// SPDX-License-Identifier: Apache-2.0
// How a source works.
//
// An event marks the source as pending; its *invocation*, a work item of which there is one, is then put on the target
// queue, unless it is there or running already. The invocation runs what is due: the registration handler, the event
// handler, the cancel handler. What produced the event is armed again only after the event handler has returned.
#ifndef DISPATCH_SOURCE_CORE_H
#define DISPATCH_SOURCE_CORE_H

#include <dispatch/poller.h>
#include <dispatch/source.h>

#include "poller_core.h"
#include "../queue_core.h"

struct source;

struct dispatch_source_type_s {
    /// 0 or an errno.
    int (*prepare)(struct source *source);
    /// Under the lock, from here on. Asks for the next event: 0 or an errno.
    int (*arm)(struct source *source);
    void (*disarm)(struct source *source);
    /// The data for the event handler; false if the event is not there any more.
    bool (*take)(struct source *source, uintptr_t *data);
    void (*dispose)(struct source *source);
};

enum source_handler_kind { SOURCE_REGISTRATION, SOURCE_EVENT, SOURCE_CANCEL, SOURCE_HANDLERS };

struct source_handler {
    dispatch_function_t function;
    /// A block on the heap, or NULL: the function then gets the source's context.
    void *block;
};

struct source {
    struct object object;
    dispatch_source_type_t type;
    uintptr_t handle;
    uintptr_t mask;
    _Atomic uintptr_t data;
    pthread_mutex_t lock;
    struct queue *target;
    struct work invocation;
    /// The invocation is on the target queue, or running.
    bool queued;
    bool active;
    unsigned suspended;
    atomic_bool cancelled;
    /// Cancelled because nobody holds it any more: the cancel handler does not run.
    bool abandoned;
    /// Nothing will run any more.
    bool finished;
    bool pending;
    struct source_handler handlers[SOURCE_HANDLERS];

    struct poller_watch watch;
    int process_descriptor;
    bool process_exited;
    /// Of a SIGNAL source: the slot that the signal handler writes to.
    int listener;
    /// What dispatch_source_merge_data brought since the last event handler.
    uintptr_t merged;
    struct timer timer;
    enum timer_clock clock;
    /// UINT64_MAX: never.
    uint64_t next_fire;
    uint64_t interval;
};

/// The source's event happened, or may have.
void source_event(struct source *source);
/// Under the lock: after what `arm` looks at has changed.
void source_arm_locked(struct source *source);

#endif
