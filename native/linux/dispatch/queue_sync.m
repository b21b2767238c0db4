// SPDX-License-Identifier: Apache-2.0
// dispatch_sync: the calling thread takes its turn itself. queue_core.h tells the rules.
#include "queue_core.h"

#include "worker_pool.h"

static bool barrier_is_pending_locked(struct queue *queue) {
    for (struct work *work = queue->pending.head; work; work = work->next) {
        if (work->flags & WORK_BARRIER) {
            return true;
        }
    }
    return false;
}

static _Noreturn void fail_for_deadlock(struct queue *queue) {
    dispatch_fail("dispatch_sync",
                  "called on the queue \"%s\" by a thread that is running on it: this would wait for "
                  "itself for ever",
                  queue->label);
}

/// True once the queue is the caller's; false if it can no longer be had, because the process is ending.
static bool acquire(struct queue *queue, bool barrier) {
    struct queue_frame *frame = queue_frame_find(queue);
    if (frame && (frame->exclusive || barrier)) {
        fail_for_deadlock(queue);
    }
    pthread_mutex_lock(&queue->lock);
    if (queue_may_begin_locked(queue, barrier)) {
        queue_begin_locked(queue, barrier);
        pthread_mutex_unlock(&queue->lock);
        return true;
    }
    // What the barrier waits for includes the caller, and the caller would wait for the barrier.
    if (frame && barrier_is_pending_locked(queue)) {
        fail_for_deadlock(queue);
    }
    if (process_is_exiting()) {
        pthread_mutex_unlock(&queue->lock);
        return false;
    }
    struct queue_waiter waiter = {.work.flags = WORK_WAITER | (barrier ? WORK_BARRIER : 0)};
    work_list_append(&queue->pending, &waiter.work);
    pthread_mutex_unlock(&queue->lock);
    worker_pool_wait_begin();
    thread_event_wait(&waiter.event);
    worker_pool_wait_end();
    return true;
}

/// Acquires the chain from `queue` up to the root, runs the function within `innermost`, gives the chain back.
static void run_through(struct queue *queue, bool barrier, struct queue *innermost, void *context,
                        dispatch_function_t function) {
    bool exclusive = barrier || queue->kind == QUEUE_SERIAL;
    bool acquired = acquire(queue, exclusive);
    struct queue_frame frame;
    queue_frame_push(&frame, queue, exclusive);
    struct queue *target = atomic_load(&queue->target);
    if (target->kind == QUEUE_SERIAL || target->kind == QUEUE_CONCURRENT) {
        run_through(target, false, innermost, context, function);
    } else {
        // The frame of the queue that the work was submitted to is to be on top, whatever lies above it in the chain.
        struct queue_frame top;
        queue_frame_push(&top, innermost, exclusive);
        if (target->kind == QUEUE_MAIN) {
            main_queue_perform_and_wait(context, function);
        } else {
            work_call(function, context);
        }
        queue_frame_pop(&top);
    }
    queue_frame_pop(&frame);
    if (acquired && !process_is_inherited()) {
        queue_complete(queue);
    }
}

bool queue_run_if_free(struct queue *queue, struct work *work) {
    pthread_mutex_lock(&queue->lock);
    bool free = atomic_load(&queue->target)->kind == QUEUE_ROOT && queue_may_begin_locked(queue, true);
    if (free) {
        queue_begin_locked(queue, true);
    }
    pthread_mutex_unlock(&queue->lock);
    if (!free) {
        return false;
    }
    struct queue_frame frame;
    queue_frame_push(&frame, queue, true);
    work_perform(work);
    queue_frame_pop(&frame);
    if (!process_is_inherited()) {
        queue_complete(queue);
    }
    return true;
}

void queue_sync(struct queue *queue, void *context, dispatch_function_t function, bool barrier) {
    if (queue->kind == QUEUE_ROOT || queue->kind == QUEUE_MAIN || process_is_inherited()) {
        struct queue_frame frame;
        queue_frame_push(&frame, queue, queue->kind != QUEUE_ROOT);
        if (queue->kind == QUEUE_MAIN && !process_is_inherited()) {
            main_queue_perform_and_wait(context, function);
        } else {
            work_call(function, context);
        }
        queue_frame_pop(&frame);
        return;
    }
    run_through(queue, barrier, queue, context, function);
}
