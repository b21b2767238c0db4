// SPDX-License-Identifier: Apache-2.0
// Which queue a thread is on, and the values attached to queues.
#include "allocation.h"
#include "queue_core.h"

_Thread_local struct queue_frame *queue_frames;

struct queue_frame *queue_frame_find(struct queue *queue) {
    for (struct queue_frame *frame = queue_frames; frame; frame = frame->outer) {
        if (frame->queue == queue) {
            return frame;
        }
    }
    return NULL;
}

struct queue *queue_current(void) {
    if (queue_frames) {
        return queue_frames->queue;
    }
    return thread_is_main() ? queue_main() : NULL;
}

static bool is_current(struct queue *queue) {
    return queue_frame_find(queue) || (queue->kind == QUEUE_MAIN && thread_is_main());
}

static const char *label_of_current(void) {
    struct queue *queue = queue_current();
    return queue ? queue->label : "(none)";
}

void dispatch_assert_queue(dispatch_queue_t object) {
    struct queue *queue = CORE(object);
    if (!is_current(queue)) {
        dispatch_fail(__func__, "the calling thread is on the queue \"%s\", not on \"%s\"", label_of_current(),
                      queue->label);
    }
}

void dispatch_assert_queue_barrier(dispatch_queue_t object) {
    struct queue *queue = CORE(object);
    struct queue_frame *frame = queue_frame_find(queue);
    if (frame ? !frame->exclusive : !is_current(queue)) {
        dispatch_fail(__func__, "the calling thread is on the queue \"%s\", not on \"%s\" as a barrier",
                      label_of_current(), queue->label);
    }
}

void dispatch_assert_queue_not(dispatch_queue_t object) {
    struct queue *queue = CORE(object);
    if (is_current(queue)) {
        dispatch_fail(__func__, "the calling thread is on the queue \"%s\"", queue->label);
    }
}

const char *dispatch_queue_get_label(dispatch_queue_t object) {
    if (object) {
        return ((struct queue *)CORE(object))->label;
    }
    return (queue_current() ?: queue_root())->label;
}

void dispatch_queue_set_specific(dispatch_queue_t object, const void *key, void *value,
                                 dispatch_function_t destructor) {
    struct queue *queue = CORE(object);
    if (!key || process_is_inherited()) {
        return;
    }
    struct queue_specific *added = NULL;
    if (value) {
        added = allocate_zeroed(sizeof *added);
        *added = (struct queue_specific){.key = key, .value = value, .destructor = destructor};
    }
    struct queue_specific *removed = NULL;
    pthread_mutex_lock(&queue->lock);
    for (struct queue_specific **link = &queue->specifics; *link; link = &(*link)->next) {
        if ((*link)->key == key) {
            removed = *link;
            *link = removed->next;
            break;
        }
    }
    if (added) {
        added->next = queue->specifics;
        queue->specifics = added;
    }
    pthread_mutex_unlock(&queue->lock);
    if (removed) {
        if (removed->destructor) {
            queue_async_function(queue_root(), removed->value, removed->destructor, 0);
        }
        free(removed);
    }
}

static void *specific(struct queue *queue, const void *key) {
    void *value = NULL;
    // In a forked child the lock may never be free, and nobody changes the list.
    bool locked = !process_is_inherited();
    if (locked) {
        pthread_mutex_lock(&queue->lock);
    }
    for (struct queue_specific *entry = queue->specifics; entry; entry = entry->next) {
        if (entry->key == key) {
            value = entry->value;
            break;
        }
    }
    if (locked) {
        pthread_mutex_unlock(&queue->lock);
    }
    return value;
}

void *dispatch_queue_get_specific(dispatch_queue_t object, const void *key) {
    return key ? specific(CORE(object), key) : NULL;
}

void *dispatch_get_specific(const void *key) {
    // The chain stands still while the caller runs on its lowest queue.
    for (struct queue *queue = key ? queue_current() : NULL; queue; queue = atomic_load(&queue->target)) {
        void *value = specific(queue, key);
        if (value) {
            return value;
        }
    }
    return NULL;
}
