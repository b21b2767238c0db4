// SPDX-License-Identifier: Apache-2.0
// source_core.h tells how a source works.
#include "source_core.h"

#include <Block.h>
#include <errno.h>

@interface DispatchSource : DispatchObject <OS_dispatch_source>
@end
@implementation DispatchSource
@end

/// The queue to put the invocation on after the lock, with a reference, as the target may be exchanged at any time;
/// NULL if nothing is due, or the invocation is on its way already.
static struct queue *claim_locked(struct source *source) {
    if (source->queued || source->finished || !source->active || source->suspended) {
        return NULL;
    }
    if (!source->cancelled && !source->handlers[SOURCE_REGISTRATION].function &&
        !(source->pending && source->handlers[SOURCE_EVENT].function)) {
        return NULL;
    }
    source->queued = true;
    object_retain(source);
    return object_retain(source->target);
}

static void unlock_and_submit(struct source *source) {
    struct queue *target = claim_locked(source);
    pthread_mutex_unlock(&source->lock);
    if (target) {
        bool served = dispatch_poller_is_current() && atomic_load(&target->served_by_poller);
        if (!served || !queue_run_if_free(target, &source->invocation)) {
            queue_push(target, &source->invocation);
        }
        object_release(target);
    }
}

static void release_handler(struct source_handler handler) {
    if (handler.block) {
        _Block_release(handler.block);
    }
}

static void call_handler(struct source *source, struct source_handler handler) {
    if (handler.function) {
        work_call(handler.function, handler.block ?: atomic_load(&source->object.context));
    }
}

static struct source_handler take_handler_locked(struct source *source, enum source_handler_kind kind) {
    struct source_handler handler = source->handlers[kind];
    source->handlers[kind] = (struct source_handler){0};
    return handler;
}

void source_arm_locked(struct source *source) {
    if (source->cancelled || !source->type->arm) {
        return;
    }
    int error = source->type->arm(source);
    // Always ready is no error, and what cannot be watched any more ends as if cancelled: the owner learns of it.
    if (error == EPERM) {
        source->pending = true;
    } else if (error) {
        source->cancelled = true;
    }
}

static void run_event_handler_locked(struct source *source) {
    uintptr_t data;
    source->pending = false;
    if (source->type->take(source, &data)) {
        struct source_handler handler = source->handlers[SOURCE_EVENT];
        if (handler.block) {
            handler.block = _Block_copy(handler.block);
        }
        pthread_mutex_unlock(&source->lock);
        atomic_store(&source->data, data);
        call_handler(source, handler);
        release_handler(handler);
        if (process_is_inherited()) {
            return;
        }
        pthread_mutex_lock(&source->lock);
    }
    source_arm_locked(source);
}

static void finish_locked(struct source *source) {
    struct source_handler handlers[SOURCE_HANDLERS];
    for (int kind = 0; kind < SOURCE_HANDLERS; kind++) {
        handlers[kind] = take_handler_locked(source, kind);
    }
    source->finished = true;
    pthread_mutex_unlock(&source->lock);
    if (!source->abandoned) {
        call_handler(source, handlers[SOURCE_CANCEL]);
    }
    for (int kind = 0; kind < SOURCE_HANDLERS; kind++) {
        release_handler(handlers[kind]);
    }
}

static void invoke(void *context) {
    struct source *source = context;
    pthread_mutex_lock(&source->lock);
    if (!source->cancelled && !source->suspended && source->handlers[SOURCE_REGISTRATION].function) {
        struct source_handler handler = take_handler_locked(source, SOURCE_REGISTRATION);
        pthread_mutex_unlock(&source->lock);
        call_handler(source, handler);
        release_handler(handler);
        if (process_is_inherited()) {
            return;
        }
        pthread_mutex_lock(&source->lock);
    }
    if (!source->cancelled && !source->suspended && source->pending && source->handlers[SOURCE_EVENT].function) {
        run_event_handler_locked(source);
        if (process_is_inherited()) {
            return;
        }
    }
    if (source->cancelled && !source->suspended) {
        finish_locked(source);
    } else {
        source->queued = false;
        unlock_and_submit(source);
    }
    object_release(source);
}

void source_event(struct source *source) {
    pthread_mutex_lock(&source->lock);
    source->pending |= !source->cancelled;
    unlock_and_submit(source);
}

static void cancel(struct source *source, bool abandoned) {
    pthread_mutex_lock(&source->lock);
    if (!source->cancelled) {
        source->cancelled = true;
        source->abandoned = abandoned;
    }
    if (source->type->disarm) {
        source->type->disarm(source);
    }
    unlock_and_submit(source);
}

static void source_abandon(struct object *object) {
    struct source *source = (struct source *)object;
    if (process_is_inherited()) {
        return;
    }
    pthread_mutex_lock(&source->lock);
    if (!source->finished && (source->suspended || !source->active)) {
        dispatch_fail("dispatch_release", "a source is %s, and nobody is left who could change that",
                      source->active ? "suspended" : "inactive");
    }
    pthread_mutex_unlock(&source->lock);
    cancel(source, true);
}

static struct queue *source_dispose(struct object *object) {
    struct source *source = (struct source *)object;
    // Orders this after all who used the object, also for a tool that cannot see the reference counts of Foundation.
    pthread_mutex_lock(&source->lock);
    pthread_mutex_unlock(&source->lock);
    pthread_mutex_destroy(&source->lock);
    if (source->type->dispose) {
        source->type->dispose(source);
    }
    return source->target;
}

static void source_suspend(struct object *object) {
    struct source *source = (struct source *)object;
    pthread_mutex_lock(&source->lock);
    source->suspended++;
    pthread_mutex_unlock(&source->lock);
}

static void activate_locked(struct source *source) {
    if (!source->active) {
        source->active = true;
        source_arm_locked(source);
    }
}

static void source_resume(struct object *object) {
    struct source *source = (struct source *)object;
    pthread_mutex_lock(&source->lock);
    if (source->suspended) {
        source->suspended--;
    } else if (!source->active) {
        activate_locked(source);
    } else {
        dispatch_fail("dispatch_resume", "the source is not suspended");
    }
    unlock_and_submit(source);
}

static void source_activate(struct object *object) {
    struct source *source = (struct source *)object;
    pthread_mutex_lock(&source->lock);
    activate_locked(source);
    unlock_and_submit(source);
}

static void source_set_target(struct object *object, struct queue *target) {
    struct source *source = (struct source *)object;
    object_retain(target);
    pthread_mutex_lock(&source->lock);
    struct queue *previous = source->target;
    source->target = target;
    pthread_mutex_unlock(&source->lock);
    object_release(previous);
}

static const struct object_operations operations = {
    .name = "dispatch_source_create",
    .suspend = source_suspend,
    .resume = source_resume,
    .activate = source_activate,
    .set_target = source_set_target,
    .abandon = source_abandon,
    .dispose = source_dispose,
};

dispatch_source_t dispatch_source_create(dispatch_source_type_t type, uintptr_t handle, uintptr_t mask,
                                         dispatch_queue_t queue) {
    struct source *source = object_allocate(sizeof *source, &operations);
    source->type = type;
    source->handle = handle;
    source->mask = mask;
    source->invocation = (struct work){.function = invoke, .context = source, .flags = WORK_EMBEDDED};
    source->target = queue ? CORE(queue) : queue_root();
    source->watch.owner = source;
    source->watch.descriptor = -1;
    int error = type->prepare(source);
    if (error) {
        free(source);
        errno = error;
        return nil;
    }
    pthread_mutex_init(&source->lock, NULL);
    object_retain(source->target);
    return [[DispatchSource alloc] initWithCore:source];
}

static void set_handler(struct source *source, enum source_handler_kind kind, struct source_handler handler) {
    if (process_is_inherited()) {
        release_handler(handler);
        return;
    }
    pthread_mutex_lock(&source->lock);
    struct source_handler previous = handler;
    if (!source->finished) {
        previous = source->handlers[kind];
        source->handlers[kind] = handler;
    }
    unlock_and_submit(source);
    release_handler(previous);
}

static struct source_handler block_handler(const void *block) {
    if (!block) {
        return (struct source_handler){0};
    }
    return (struct source_handler){.function = work_block_function(block), .block = _Block_copy(block)};
}

void dispatch_source_set_event_handler(dispatch_source_t source, dispatch_block_t handler) {
    set_handler(CORE(source), SOURCE_EVENT, block_handler((__bridge const void *)handler));
}

void dispatch_source_set_event_handler_f(dispatch_source_t source, dispatch_function_t handler) {
    set_handler(CORE(source), SOURCE_EVENT, (struct source_handler){.function = handler});
}

void dispatch_source_set_cancel_handler(dispatch_source_t source, dispatch_block_t handler) {
    set_handler(CORE(source), SOURCE_CANCEL, block_handler((__bridge const void *)handler));
}

void dispatch_source_set_cancel_handler_f(dispatch_source_t source, dispatch_function_t handler) {
    set_handler(CORE(source), SOURCE_CANCEL, (struct source_handler){.function = handler});
}

void dispatch_source_set_registration_handler(dispatch_source_t source, dispatch_block_t handler) {
    set_handler(CORE(source), SOURCE_REGISTRATION, block_handler((__bridge const void *)handler));
}

void dispatch_source_set_registration_handler_f(dispatch_source_t source, dispatch_function_t handler) {
    set_handler(CORE(source), SOURCE_REGISTRATION, (struct source_handler){.function = handler});
}

void dispatch_source_cancel(dispatch_source_t object) {
    struct source *source = CORE(object);
    if (process_is_inherited()) {
        source->cancelled = true;
        return;
    }
    cancel(source, false);
}

intptr_t dispatch_source_testcancel(dispatch_source_t source) {
    return ((struct source *)CORE(source))->cancelled;
}

uintptr_t dispatch_source_get_handle(dispatch_source_t source) {
    return ((struct source *)CORE(source))->handle;
}

uintptr_t dispatch_source_get_mask(dispatch_source_t source) {
    return ((struct source *)CORE(source))->mask;
}

uintptr_t dispatch_source_get_data(dispatch_source_t source) {
    return ((struct source *)CORE(source))->data;
}
