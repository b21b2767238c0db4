// SPDX-License-Identifier: Apache-2.0
// An object is two things: what programs hold, an Objective-C object (DispatchObject), and its core, a C structure, of
// which it owns one reference. The core has a count of its own, because it outlives the other: a queue released with
// work in it, a source that has yet to run its cancel handler. The engine knows cores alone.
#ifndef DISPATCH_OBJECT_CORE_H
#define DISPATCH_OBJECT_CORE_H

#include <dispatch/object.h>
#include <stdatomic.h>

#include "process_state.h"

struct queue;
struct object;

struct object_operations {
    const char *name;
    void (*suspend)(struct object *object);
    void (*resume)(struct object *object);
    void (*activate)(struct object *object);
    void (*set_target)(struct object *object, struct queue *target);
    /// The Objective-C object is gone: nobody can name this one any more.
    void (*abandon)(struct object *object);
    /// The last reference is gone. Returns the queue for the finalizer, with a reference, or NULL for the global one.
    struct queue *(*dispose)(struct object *object);
};

struct object {
    const struct object_operations *operations;
    atomic_int references;
    void *_Atomic context;
    _Atomic dispatch_function_t finalizer;
};

void *object_allocate(size_t size, const struct object_operations *operations);
void object_release(void *object);

static inline void *object_retain(void *object) {
    atomic_fetch_add_explicit(&((struct object *)object)->references, 1, memory_order_relaxed);
    return object;
}

/// The superclass of all that a program holds.
@interface DispatchObject : NSObject <OS_dispatch_object> {
  @public
    struct object *_core;
}
/// Takes over the core's reference.
- (instancetype)initWithCore:(void *)core;
@end

/// The core behind a program's object; aborts, naming the caller, for nil.
static inline void *object_core(dispatch_object_t object, const char *function) {
    if (__builtin_expect(object == nil, 0)) {
        dispatch_fail(function, "the object is NULL");
    }
    return ((DispatchObject *)object)->_core;
}
#define CORE(object) object_core(object, __func__)

#endif
