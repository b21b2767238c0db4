// SPDX-License-Identifier: Apache-2.0
// Making queues, and submitting to them.
#include "queue_object.h"

#include <stdlib.h>
#include <string.h>

@implementation DispatchQueue
@end

static void queue_abandon(struct object *object) {
    struct queue *queue = (struct queue *)object;
    if (process_is_inherited()) {
        return;
    }
    pthread_mutex_lock(&queue->lock);
    if (queue->suspended || queue->inactive) {
        dispatch_fail("dispatch_release", "the queue \"%s\" is %s, and nobody is left who could change that",
                      queue->label, queue->inactive ? "inactive" : "suspended");
    }
    pthread_mutex_unlock(&queue->lock);
}

static struct queue *queue_dispose(struct object *object) {
    struct queue *queue = (struct queue *)object;
    // Orders this after all who used the object, also for a tool that cannot see the reference counts of Foundation.
    pthread_mutex_lock(&queue->lock);
    pthread_mutex_unlock(&queue->lock);
    pthread_mutex_destroy(&queue->lock);
    while (queue->specifics) {
        struct queue_specific *specific = queue->specifics;
        queue->specifics = specific->next;
        if (specific->destructor) {
            queue_async_function(queue_root(), specific->value, specific->destructor, 0);
        }
        free(specific);
    }
    free(queue->label);
    return atomic_load(&queue->target);
}

static const struct object_operations queue_operations = {
    .name = "dispatch_queue_create",
    .suspend = queue_suspend,
    .resume = queue_resume,
    .activate = queue_activate,
    .set_target = queue_set_target,
    .abandon = queue_abandon,
    .dispose = queue_dispose,
};

dispatch_queue_t dispatch_queue_create_with_target(const char *label, dispatch_queue_attr_t attr,
                                                   dispatch_queue_t target) {
    DispatchQueueAttribute *attribute = (DispatchQueueAttribute *)attr;
    struct queue *queue = object_allocate(sizeof *queue, &queue_operations);
    queue->kind = attribute && attribute->_concurrent ? QUEUE_CONCURRENT : QUEUE_SERIAL;
    queue->inactive = attribute && attribute->_inactive;
    queue->label = strdup(label ?: "");
    queue->token = (struct work){.context = queue, .flags = WORK_TOKEN | WORK_EMBEDDED};
    pthread_mutex_init(&queue->lock, NULL);
    atomic_init(&queue->target, object_retain(target ? CORE(target) : queue_root()));
    return [[DispatchQueue alloc] initWithCore:queue];
}

dispatch_queue_t dispatch_queue_create(const char *label, dispatch_queue_attr_t attr) {
    return dispatch_queue_create_with_target(label, attr, nil);
}

void queue_async_function(struct queue *queue, void *context, dispatch_function_t function, uint32_t flags) {
    if (!process_is_inherited()) {
        queue_push(queue, work_create(context, function, flags));
    }
}

void queue_async_block(struct queue *queue, const void *block, uint32_t flags, struct group *group) {
    if (!process_is_inherited()) {
        struct work *work = work_create_block(block, flags);
        work->group = group;
        queue_push(queue, work);
    }
}

void dispatch_async(dispatch_queue_t queue, dispatch_block_t block) {
    queue_async_block(CORE(queue), (__bridge const void *)block, 0, NULL);
}

void dispatch_async_f(dispatch_queue_t queue, void *context, dispatch_function_t work) {
    queue_async_function(CORE(queue), context, work, 0);
}

void dispatch_barrier_async(dispatch_queue_t queue, dispatch_block_t block) {
    queue_async_block(CORE(queue), (__bridge const void *)block, WORK_BARRIER, NULL);
}

void dispatch_barrier_async_f(dispatch_queue_t queue, void *context, dispatch_function_t work) {
    queue_async_function(CORE(queue), context, work, WORK_BARRIER);
}

void dispatch_sync(dispatch_queue_t queue, DISPATCH_NOESCAPE dispatch_block_t block) {
    const void *context = (__bridge const void *)block;
    queue_sync(CORE(queue), (void *)context, work_block_function(context), false);
}

void dispatch_sync_f(dispatch_queue_t queue, void *context, dispatch_function_t work) {
    queue_sync(CORE(queue), context, work, false);
}

void dispatch_barrier_sync(dispatch_queue_t queue, DISPATCH_NOESCAPE dispatch_block_t block) {
    const void *context = (__bridge const void *)block;
    queue_sync(CORE(queue), (void *)context, work_block_function(context), true);
}

void dispatch_barrier_sync_f(dispatch_queue_t queue, void *context, dispatch_function_t work) {
    queue_sync(CORE(queue), context, work, true);
}
