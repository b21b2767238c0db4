// SPDX-License-Identifier: Apache-2.0
#include "allocation.h"
#include "sources/poller_core.h"
#include "queue_core.h"

struct after {
    struct timer timer;
    struct queue *queue;
    struct work *work;
};

static void fire(struct timer *timer) {
    struct after *after = (struct after *)timer;
    queue_push(after->queue, after->work);
    object_release(after->queue);
    free(after);
}

static void submit(dispatch_time_t when, struct queue *queue, struct work *work) {
    if (when == DISPATCH_TIME_NOW || when == DISPATCH_WALLTIME_NOW) {
        queue_push(queue, work);
        return;
    }
    struct after *after = allocate_zeroed(sizeof *after);
    *after = (struct after){.timer.fire = fire, .queue = object_retain(queue), .work = work};
    timer_clock_split(when, &after->timer.clock, &after->timer.deadline);
    poller_timer_arm(&after->timer);
}

void dispatch_after(dispatch_time_t when, dispatch_queue_t queue, dispatch_block_t block) {
    if (when != DISPATCH_TIME_FOREVER && !process_is_inherited()) {
        submit(when, CORE(queue), work_create_block((__bridge const void *)block, 0));
    }
}

void dispatch_after_f(dispatch_time_t when, dispatch_queue_t queue, void *context, dispatch_function_t work) {
    if (when != DISPATCH_TIME_FOREVER && !process_is_inherited()) {
        submit(when, CORE(queue), work_create(context, work, 0));
    }
}
