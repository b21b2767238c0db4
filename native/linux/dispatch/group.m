// SPDX-License-Identifier: Apache-2.0
#include <dispatch/group.h>

#include <errno.h>

#include "allocation.h"
#include "group_core.h"
#include "queue_core.h"
#include "timed_wait.h"

@interface DispatchGroup : DispatchObject <OS_dispatch_group>
@end
@implementation DispatchGroup
@end

struct notification {
    struct notification *next;
    struct queue *queue;
    struct work *work;
};

struct group {
    struct object object;
    pthread_mutex_t lock;
    pthread_cond_t emptied;
    size_t entered;
    /// How often it became empty: who waits for that must not miss it because somebody entered again.
    uint64_t generation;
    struct notification *notifications;
    struct notification **last_notification;
};

static struct queue *group_dispose(struct object *object) {
    struct group *group = (struct group *)object;
    // Orders this after all who used the object, also for a tool that cannot see the reference counts of Foundation.
    pthread_mutex_lock(&group->lock);
    pthread_mutex_unlock(&group->lock);
    pthread_cond_destroy(&group->emptied);
    pthread_mutex_destroy(&group->lock);
    return NULL;
}

static const struct object_operations group_operations = {.name = "dispatch_group_create", .dispose = group_dispose};

dispatch_group_t dispatch_group_create(void) {
    struct group *group = object_allocate(sizeof *group, &group_operations);
    pthread_mutex_init(&group->lock, NULL);
    pthread_cond_init(&group->emptied, NULL);
    group->last_notification = &group->notifications;
    return [[DispatchGroup alloc] initWithCore:group];
}

void group_enter(struct group *group) {
    if (process_is_inherited()) {
        return;
    }
    pthread_mutex_lock(&group->lock);
    // It keeps itself while it is not empty: the notifications are owed to others.
    if (group->entered++ == 0) {
        object_retain(group);
    }
    pthread_mutex_unlock(&group->lock);
}

void group_leave(struct group *group) {
    if (process_is_inherited()) {
        return;
    }
    struct notification *notification = NULL;
    pthread_mutex_lock(&group->lock);
    if (group->entered == 0) {
        dispatch_fail("dispatch_group_leave", "more calls than of dispatch_group_enter");
    }
    bool emptied = --group->entered == 0;
    if (emptied) {
        group->generation++;
        notification = group->notifications;
        group->notifications = NULL;
        group->last_notification = &group->notifications;
        pthread_cond_broadcast(&group->emptied);
    }
    pthread_mutex_unlock(&group->lock);
    while (notification) {
        struct notification *next = notification->next;
        queue_push(notification->queue, notification->work);
        object_release(notification->queue);
        free(notification);
        notification = next;
    }
    if (emptied) {
        object_release(group);
    }
}

void dispatch_group_enter(dispatch_group_t group) {
    group_enter(CORE(group));
}

void dispatch_group_leave(dispatch_group_t group) {
    group_leave(CORE(group));
}

static void async(struct group *group, struct queue *queue, struct work *work) {
    group_enter(group);
    work->group = object_retain(group);
    queue_push(queue, work);
}

void dispatch_group_async(dispatch_group_t group, dispatch_queue_t queue, dispatch_block_t block) {
    if (!process_is_inherited()) {
        async(CORE(group), CORE(queue), work_create_block((__bridge const void *)block, 0));
    }
}

void dispatch_group_async_f(dispatch_group_t group, dispatch_queue_t queue, void *context, dispatch_function_t work) {
    if (!process_is_inherited()) {
        async(CORE(group), CORE(queue), work_create(context, work, 0));
    }
}

static void notify(struct group *group, struct queue *queue, struct work *work) {
    pthread_mutex_lock(&group->lock);
    bool empty = group->entered == 0;
    if (!empty) {
        struct notification *notification = allocate_zeroed(sizeof *notification);
        *notification = (struct notification){.queue = object_retain(queue), .work = work};
        *group->last_notification = notification;
        group->last_notification = &notification->next;
    }
    pthread_mutex_unlock(&group->lock);
    if (empty) {
        queue_push(queue, work);
    }
}

void dispatch_group_notify(dispatch_group_t group, dispatch_queue_t queue, dispatch_block_t block) {
    if (!process_is_inherited()) {
        notify(CORE(group), CORE(queue), work_create_block((__bridge const void *)block, 0));
    }
}

void dispatch_group_notify_f(dispatch_group_t group, dispatch_queue_t queue, void *context, dispatch_function_t work) {
    if (!process_is_inherited()) {
        notify(CORE(group), CORE(queue), work_create(context, work, 0));
    }
}

intptr_t dispatch_group_wait(dispatch_group_t object, dispatch_time_t timeout) {
    struct group *group = CORE(object);
    if (process_is_inherited()) {
        return group->entered == 0 ? 0 : ETIMEDOUT;
    }
    pthread_mutex_lock(&group->lock);
    uint64_t generation = group->generation;
    int error = 0;
    if (group->entered && timeout == DISPATCH_TIME_NOW) {
        error = ETIMEDOUT;
    } else if (group->entered) {
        struct timed_wait until = timed_wait_until(timeout);
        worker_pool_wait_begin();
        while (group->generation == generation && error != ETIMEDOUT) {
            error = timed_wait_once(&until, &group->emptied, &group->lock);
        }
        worker_pool_wait_end();
        if (group->generation != generation) {
            error = 0;
        }
    }
    pthread_mutex_unlock(&group->lock);
    return error;
}
