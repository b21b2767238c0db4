// SPDX-License-Identifier: Apache-2.0
// Turns: how work leaves a queue. queue_core.h tells the rules.
#include "allocation.h"
#include "queue_core.h"
#include "worker_pool.h"

/// A serial queue gives way to its target's other work after this many items.
enum { ITEMS_PER_TURN = 64 };

bool queue_may_begin_locked(struct queue *queue, bool barrier) {
    if (queue->suspended || queue->inactive || queue->pending.head) {
        return false;
    }
    return barrier ? queue->running == 0 : !queue->exclusive;
}

void queue_begin_locked(struct queue *queue, bool barrier) {
    queue->running++;
    queue->exclusive = barrier;
    object_retain(queue);
}

struct queue_advance queue_advance_locked(struct queue *queue) {
    struct queue_advance advance = {0};
    struct work *work;
    while ((work = queue->pending.head) && !queue->suspended && !queue->inactive && !queue->exclusive) {
        bool barrier = queue->kind == QUEUE_SERIAL || (work->flags & WORK_BARRIER);
        if (barrier && queue->running) {
            break;
        }
        queue_begin_locked(queue, barrier);
        if (work->flags & WORK_WAITER) {
            work_list_append(&advance.granted, work_list_take(&queue->pending));
        } else {
            // A serial queue decides in its turn which items it runs; the token stands for all that are there then.
            if (queue->kind == QUEUE_CONCURRENT) {
                work_list_append(&queue->begun, work_list_take(&queue->pending));
            }
            advance.tokens++;
        }
    }
    return advance;
}

static void grant(struct work *work) {
    thread_event_set(&((struct queue_waiter *)(void *)work)->event);
}

void queue_advance_perform(struct queue *queue, struct queue_advance advance) {
    struct work *work;
    while ((work = work_list_take(&advance.granted))) {
        grant(work);
    }
    for (unsigned i = 0; i < advance.tokens; i++) {
        // One token at most is out for a serial queue, so it has a place for it. The target stays the same meanwhile:
        // what would change it must run here first.
        struct work *token = queue->kind == QUEUE_SERIAL ? &queue->token : work_create(queue, NULL, WORK_TOKEN);
        queue_push(atomic_load(&queue->target), token);
    }
}

void queue_push(struct queue *queue, struct work *work) {
    if (queue->kind == QUEUE_ROOT) {
        worker_pool_push(work);
        return;
    }
    if (queue->kind == QUEUE_MAIN) {
        main_queue_push(work);
        return;
    }
    pthread_mutex_lock(&queue->lock);
    work_list_append(&queue->pending, work);
    struct queue_advance advance = queue_advance_locked(queue);
    if (advance.tokens || advance.granted.head) {
        // Once a token is out and the lock is not held, its turn may end and let go of the queue.
        object_retain(queue);
        pthread_mutex_unlock(&queue->lock);
        queue_advance_perform(queue, advance);
        object_release(queue);
        return;
    }
    pthread_mutex_unlock(&queue->lock);
}

void queue_complete(struct queue *queue) {
    pthread_mutex_lock(&queue->lock);
    queue->running--;
    queue->exclusive = false;
    struct queue_advance advance = queue_advance_locked(queue);
    pthread_mutex_unlock(&queue->lock);
    queue_advance_perform(queue, advance);
    object_release(queue);
}

static void perform_on_queue(struct work *work) {
    if (work->flags & WORK_TOKEN) {
        queue_take_turn(work);
    } else {
        work_perform(work);
    }
    if (process_is_exiting()) {
        process_exit_park();
    }
}

static void take_turn_serial(struct queue *queue) {
    struct queue_frame frame;
    queue_frame_push(&frame, queue, true);
    struct queue *target = atomic_load(&queue->target);
    for (int i = 0; i < ITEMS_PER_TURN && atomic_load(&queue->target) == target; i++) {
        pthread_mutex_lock(&queue->lock);
        struct work *work = queue->suspended ? NULL : work_list_take(&queue->pending);
        pthread_mutex_unlock(&queue->lock);
        if (!work) {
            break;
        }
        if (work->flags & WORK_WAITER) {
            // It takes over `running` and the reference with it, and gets its own turn on the target.
            queue_frame_pop(&frame);
            grant(work);
            return;
        }
        perform_on_queue(work);
        worker_pool_count_progress();
        if (process_is_inherited()) {
            queue_frame_pop(&frame);
            return;
        }
    }
    queue_frame_pop(&frame);
    queue_complete(queue);
}

static void take_turn_concurrent(struct queue *queue) {
    pthread_mutex_lock(&queue->lock);
    struct work *work = work_list_take(&queue->begun);
    pthread_mutex_unlock(&queue->lock);
    struct queue_frame frame;
    queue_frame_push(&frame, queue, work->flags & WORK_BARRIER);
    perform_on_queue(work);
    queue_frame_pop(&frame);
    if (!process_is_inherited()) {
        queue_complete(queue);
    }
}

void queue_take_turn(struct work *token) {
    struct queue *queue = token->context;
    if (queue->kind == QUEUE_SERIAL) {
        take_turn_serial(queue);
    } else {
        free(token);
        take_turn_concurrent(queue);
    }
}

void queue_suspend(struct object *object) {
    struct queue *queue = (struct queue *)object;
    pthread_mutex_lock(&queue->lock);
    queue->suspended++;
    pthread_mutex_unlock(&queue->lock);
}

void queue_resume(struct object *object) {
    struct queue *queue = (struct queue *)object;
    pthread_mutex_lock(&queue->lock);
    if (queue->suspended == 0) {
        dispatch_fail("dispatch_resume", "the queue \"%s\" is not suspended", queue->label);
    }
    queue->suspended--;
    struct queue_advance advance = queue_advance_locked(queue);
    object_retain(queue);
    pthread_mutex_unlock(&queue->lock);
    queue_advance_perform(queue, advance);
    object_release(queue);
}

void queue_activate(struct object *object) {
    struct queue *queue = (struct queue *)object;
    pthread_mutex_lock(&queue->lock);
    queue->inactive = false;
    struct queue_advance advance = queue_advance_locked(queue);
    object_retain(queue);
    pthread_mutex_unlock(&queue->lock);
    queue_advance_perform(queue, advance);
    object_release(queue);
}

struct target_change {
    struct queue *queue;
    struct queue *target;
};

static void change_target(void *context) {
    struct target_change *change = context;
    struct queue *previous = atomic_exchange(&change->queue->target, change->target);
    object_release(previous);
    free(change);
}

void queue_set_target(struct object *object, struct queue *target) {
    struct queue *queue = (struct queue *)object;
    if (target == queue) {
        dispatch_fail("dispatch_set_target_queue", "the queue \"%s\" cannot be its own target", queue->label);
    }
    object_retain(target);
    struct queue *previous = NULL;
    pthread_mutex_lock(&queue->lock);
    if (queue->running == 0 && (!queue->pending.head || queue->inactive)) {
        previous = atomic_exchange(&queue->target, target);
    }
    pthread_mutex_unlock(&queue->lock);
    if (previous) {
        object_release(previous);
        return;
    }
    struct target_change *change = allocate_zeroed(sizeof *change);
    *change = (struct target_change){.queue = queue, .target = target};
    queue_async_function(queue, change, change_target, WORK_BARRIER);
}
