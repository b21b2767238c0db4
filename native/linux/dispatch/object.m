// SPDX-License-Identifier: Apache-2.0
#include "object_core.h"

#include "allocation.h"
#include "queue_core.h"

@implementation DispatchObject

- (instancetype)initWithCore:(void *)core {
    if ((self = [super init])) {
        _core = core;
    }
    return self;
}

- (void)dealloc {
    if (_core->operations->abandon) {
        _core->operations->abandon(_core);
    }
    object_release(_core);
}

@end

void *object_allocate(size_t size, const struct object_operations *operations) {
    struct object *object = allocate_zeroed(size);
    object->operations = operations;
    atomic_init(&object->references, 1);
    return object;
}

void object_release(void *pointer) {
    struct object *object = pointer;
    if (atomic_fetch_sub_explicit(&object->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    // One of its locks may have been held by another thread at the time of the fork.
    if (process_is_inherited()) {
        return;
    }
    void *context = atomic_load(&object->context);
    dispatch_function_t finalizer = atomic_load(&object->finalizer);
    struct queue *target = object->operations->dispose(object);
    free(object);
    if (context && finalizer) {
        queue_async_function(target ? target : queue_root(), context, finalizer, 0);
    }
    if (target) {
        object_release(target);
    }
}

void *dispatch_get_context(dispatch_object_t object) {
    return atomic_load(&((struct object *)CORE(object))->context);
}

void dispatch_set_context(dispatch_object_t object, void *context) {
    atomic_store(&((struct object *)CORE(object))->context, context);
}

void dispatch_set_finalizer_f(dispatch_object_t object, dispatch_function_t finalizer) {
    atomic_store(&((struct object *)CORE(object))->finalizer, finalizer);
}

// The global and the main queue, groups and semaphores have none of these operations.

void dispatch_suspend(dispatch_object_t object) {
    struct object *core = CORE(object);
    if (core->operations->suspend && !process_is_inherited()) {
        core->operations->suspend(core);
    }
}

void dispatch_resume(dispatch_object_t object) {
    struct object *core = CORE(object);
    if (core->operations->resume && !process_is_inherited()) {
        core->operations->resume(core);
    }
}

void dispatch_activate(dispatch_object_t object) {
    struct object *core = CORE(object);
    if (core->operations->activate && !process_is_inherited()) {
        core->operations->activate(core);
    }
}

void dispatch_set_target_queue(dispatch_object_t object, dispatch_queue_t queue) {
    struct object *core = CORE(object);
    if (core->operations->set_target && !process_is_inherited()) {
        core->operations->set_target(core, queue ? CORE(queue) : queue_root());
    }
}
