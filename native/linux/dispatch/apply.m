// SPDX-License-Identifier: Apache-2.0
#include "allocation.h"
#include "queue_core.h"
#include "worker_pool.h"

/// Shared by the caller, who takes part, and the helpers; those may come to it when all is done.
struct apply {
    atomic_int references;
    atomic_size_t next;
    atomic_size_t done;
    size_t iterations;
    void *context;
    void (*function)(void *context, size_t iteration);
    struct thread_event finished;
};

static void leave(struct apply *apply) {
    if (atomic_fetch_sub(&apply->references, 1) == 1) {
        free(apply);
    }
}

static void take_part(struct apply *apply) {
    size_t iteration;
    while ((iteration = atomic_fetch_add(&apply->next, 1)) < apply->iterations) {
        apply->function(apply->context, iteration);
        if (atomic_fetch_add(&apply->done, 1) + 1 == apply->iterations) {
            thread_event_set(&apply->finished);
        }
    }
}

static void help(void *context) {
    take_part(context);
    leave(context);
}

struct apply_call {
    struct apply *apply;
    struct queue *queue;
};

static void start(void *context) {
    struct apply_call *call = context;
    struct apply *apply = call->apply;
    if (call->queue->kind != QUEUE_SERIAL && call->queue->kind != QUEUE_MAIN && !process_is_inherited()) {
        size_t helpers = worker_pool_processors() - 1;
        for (size_t i = 0; i < helpers && i + 1 < apply->iterations; i++) {
            atomic_fetch_add(&apply->references, 1);
            queue_async_function(call->queue, apply, help, 0);
        }
    }
    take_part(apply);
    worker_pool_wait_begin();
    thread_event_wait(&apply->finished);
    worker_pool_wait_end();
}

void dispatch_apply_f(size_t iterations, dispatch_queue_t queue, void *context,
                      void (*work)(void *context, size_t iteration)) {
    if (iterations == 0) {
        return;
    }
    struct apply *apply = allocate_zeroed(sizeof *apply);
    *apply = (struct apply){.references = 1, .iterations = iterations, .context = context, .function = work};
    struct apply_call call = {.apply = apply, .queue = queue ? CORE(queue) : queue_root()};
    queue_sync(call.queue, &call, start, false);
    leave(apply);
}

static void call_block(void *context, size_t iteration) {
    ((__bridge void (^)(size_t))context)(iteration);
}

void dispatch_apply(size_t iterations, dispatch_queue_t queue, DISPATCH_NOESCAPE void (^block)(size_t iteration)) {
    dispatch_apply_f(iterations, queue, (void *)(__bridge const void *)block, call_block);
}
