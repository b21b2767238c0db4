// SPDX-License-Identifier: Apache-2.0
// Zeroing weak references.
//
// The race to get right is the last release on one thread against the load of a weak reference on another. Both are
// decided by one atomic step on the object's own count. GNUstep keeps it in the word before the object: 0 means one
// reference. Here -[NSObject release] is replaced by one that takes the count from 0 to `dying` at once, never
// through -1 and back to 0 as GNUstep's does, and a load takes a reference only where the count is not negative:
//   release first: the count is negative, the load answers nil; the references are zeroed before -dealloc begins;
//   load first:    the count is 1, the release is not the last one.
// So a release costs what it did, one atomic operation, and only a last release looks into the table: whoever formed
// a weak reference did so before giving up a strong one, and the last release comes after that one.
//
// The count stays negative through -dealloc: a retain and release in there do not start a second one, and a weak
// reference formed in there is nil from the start, as a reference to a dead object is to be.
//
// A class that overrides -release and calls super (NSBundle, NSPort) ends in the same place. One that counts by
// itself, and never calls NSObject's, has its references zeroed when -[NSObject dealloc] is reached; its own count
// decides no race. Constant strings, classes, protocols and global blocks live for ever: a reference to one is the
// plain pointer.
//
// Blocks count in their flags (blocks.c), in the same way.
//
// The table, and the replaced methods, are one for the process: the first copy of the layer to start publishes its
// functions as a class of the runtime, and later copies use those.
#include "runtime.h"
#include "weak_table.h"

#pragma GCC visibility push(default)
void NSIncrementExtraRefCount(id object);
BOOL NSDecrementExtraRefCountWasZero(id object);
#pragma GCC visibility pop

#pragma GCC visibility push(hidden)

// The functions of the process's one table.
struct weak_functions {
    id (*store)(id *location, id value);
    id (*load_retained)(id *location);
    void (*copy)(id *destination, id *source);
    void (*move)(id *destination, id *source);
    void (*zero)(id object);
};

static const intptr_t dying = INTPTR_MIN / 2;

static const struct weak_functions *shared;
static Class object_class, protocol_class, block_class;
static SEL retain_selector, dealloc_selector;
static IMP original_retain, original_dealloc;
static bool count_is_where_expected;

static inline intptr_t *count_of(id object) {
    return (intptr_t *)object - 1;
}

static void counted_release(id self, SEL selector) {
    (void)selector;
    intptr_t *count = count_of(self);
    intptr_t old = __atomic_load_n(count, __ATOMIC_RELAXED);
    intptr_t new;
    do {
        if (old < 0) {
            return;
        }
        new = old == 0 ? dying : old - 1;
    } while (!__atomic_compare_exchange_n(count, &old, new, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    if (old == 0) {
        runtime_zero_weak_references(self);
        METHOD(void, objc_msg_lookup(self, dealloc_selector))(self, dealloc_selector);
    }
}

static bool try_retain_counted(id object) {
    intptr_t *count = count_of(object);
    intptr_t old = __atomic_load_n(count, __ATOMIC_RELAXED);
    do {
        if (old < 0) {
            return false;
        }
    } while (!__atomic_compare_exchange_n(count, &old, old + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return true;
}

static void zeroing_dealloc(id self, SEL selector) {
    runtime_zero_weak_references(self);
    METHOD(void, original_dealloc)(self, selector);
}

static enum reference_kind kind_of(id object) {
    Class class = object->class_pointer;
    if (class_isMetaClass(class)) {
        return kind_immortal;
    }
    for (; class; class = class_getSuperclass(class)) {
        if (class == runtime_constant_string_class || class == protocol_class) {
            return kind_immortal;
        }
        if (class == block_class) {
            switch (runtime_block_storage(object)) {
            case block_on_heap:
                return kind_block;
            case block_global:
                return kind_immortal;
            case block_on_stack:
                return kind_unsupported;
            }
        }
        if (class == object_class) {
            return count_is_where_expected ? kind_counted : kind_unsupported;
        }
    }
    return kind_unsupported;
}

static bool is_dying(id object, enum reference_kind kind) {
    switch (kind) {
    case kind_counted:
        return __atomic_load_n(count_of(object), __ATOMIC_RELAXED) < 0;
    case kind_block:
        return runtime_block_is_dying(object);
    default:
        return false;
    }
}

// A variable changes only under the lock of the object it points to, so what was read before the lock has to be read
// again.
static id table_store(id *location, id value) {
    enum reference_kind kind = value ? kind_of(value) : kind_immortal;
    if (kind == kind_unsupported) {
        runtime_fatal("cannot form a weak reference to %p, an instance of %s: NSObject does not count its references",
                      (void *)value, class_getName(value->class_pointer));
    }
    struct weak_stripe *new_stripe = weak_stripe_of(value);
    for (;;) {
        id old = read_location(location);
        struct weak_stripe *old_stripe = weak_stripe_of(old);
        lock_weak_stripes(old_stripe, new_stripe);
        if (read_location(location) != old) {
            unlock_weak_stripes(old_stripe, new_stripe);
            continue;
        }
        if (old != value) {
            if (old) {
                remove_weak_location(old_stripe, old, location);
            }
            if (is_dying(value, kind)) {
                value = nil;
            } else if (kind != kind_immortal) {
                add_weak_location(new_stripe, value, location, kind);
            }
            write_location(location, value);
        }
        unlock_weak_stripes(old_stripe, new_stripe);
        return value;
    }
}

static id table_load_retained(id *location) {
    for (;;) {
        id object = read_location(location);
        if (!object) {
            return nil;
        }
        struct weak_stripe *stripe = weak_stripe_of(object);
        lock_weak_stripes(stripe, stripe);
        if (read_location(location) != object) {
            unlock_weak_stripes(stripe, stripe);
            continue;
        }
        enum reference_kind kind = weak_reference_kind(stripe, object);
        bool retained = true;
        if (kind == kind_counted) {
            retained = try_retain_counted(object);
        } else if (kind == kind_block) {
            retained = runtime_block_try_retain(object);
        }
        unlock_weak_stripes(stripe, stripe);
        if (!retained) {
            return nil;
        }
        if (kind == kind_counted && objc_msg_lookup(object, retain_selector) != original_retain) {
            // Its class has a retain of its own, and a release to match: exchange the reference for one of that kind.
            objc_retain(object);
            counted_release(object, NULL);
        }
        return object;
    }
}

static void transfer(id *destination, id *source, bool keep_source) {
    for (;;) {
        id object = read_location(source);
        struct weak_stripe *stripe = weak_stripe_of(object);
        lock_weak_stripes(stripe, stripe);
        if (read_location(source) != object) {
            unlock_weak_stripes(stripe, stripe);
            continue;
        }
        enum reference_kind kind = weak_reference_kind(stripe, object);
        if (kind != kind_immortal) {
            add_weak_location(stripe, object, destination, kind);
        }
        write_location(destination, object);
        if (!keep_source) {
            if (kind != kind_immortal) {
                remove_weak_location(stripe, object, source);
            }
            write_location(source, nil);
        }
        unlock_weak_stripes(stripe, stripe);
        return;
    }
}

static void table_copy(id *destination, id *source) {
    transfer(destination, source, true);
}

static void table_move(id *destination, id *source) {
    transfer(destination, source, false);
}

id objc_initWeak(id *location, id value) {
    write_location(location, nil);
    return value ? shared->store(location, value) : nil;
}

id objc_storeWeak(id *location, id value) {
    return shared->store(location, value);
}

void objc_destroyWeak(id *location) {
    if (read_location(location)) {
        shared->store(location, nil);
    }
}

id objc_loadWeakRetained(id *location) {
    return shared->load_retained(location);
}

id objc_loadWeak(id *location) {
    return objc_autorelease(shared->load_retained(location));
}

void objc_copyWeak(id *destination, id *source) {
    shared->copy(destination, source);
}

void objc_moveWeak(id *destination, id *source) {
    shared->move(destination, source);
}

void runtime_zero_weak_references(id object) {
    shared->zero(object);
}

static const struct weak_functions own_functions = {
    table_store, table_load_retained, table_copy, table_move, zero_weak_locations,
};

static const struct weak_functions *published_functions(id self, SEL selector) {
    (void)self, (void)selector;
    return &own_functions;
}

// The place of the count is GNUstep's own affair. Where a version of it keeps the count elsewhere, forming a weak
// reference ends the process with a message, and GNUstep's release stays.
static bool find_count(void) {
    SEL new_selector = sel_registerName("new");
    id object = METHOD(id, objc_msg_lookup((id)object_class, new_selector))((id)object_class, new_selector);
    intptr_t *count = count_of(object);
    bool found = *count == 0;
    NSIncrementExtraRefCount(object);
    found = found && *count == 1;
    found = !NSDecrementExtraRefCountWasZero(object) && found && *count == 0;
    objc_release(object);
    return found;
}

void runtime_start_weak_references(void) {
    static const char published_class[] = "ARCWeakReferences1";
    SEL functions_selector = sel_registerName("functions");
    Class published = objc_lookUpClass(published_class);
    if (published) {
        IMP functions = method_getImplementation(class_getClassMethod(published, functions_selector));
        shared = ((const struct weak_functions *(*)(id, SEL))functions)((id)published, functions_selector);
        return;
    }
    weak_table_start();
    shared = &own_functions;
    object_class = objc_getRequiredClass("NSObject");
    protocol_class = objc_getRequiredClass("Protocol");
    block_class = objc_getRequiredClass("NSBlock");
    retain_selector = sel_registerName("retain");
    dealloc_selector = sel_registerName("dealloc");
    original_retain = class_getMethodImplementation(object_class, retain_selector);
    count_is_where_expected = find_count();
    if (count_is_where_expected) {
        method_setImplementation(class_getInstanceMethod(object_class, sel_registerName("release")),
                                 IMPLEMENTATION(counted_release));
        original_dealloc = method_setImplementation(class_getInstanceMethod(object_class, dealloc_selector),
                                                    IMPLEMENTATION(zeroing_dealloc));
        // That changed the dispatch table of NSObject, but of no class that inherits from it and was used before, as
        // GNUstep's start uses some: all of those are made anew when a method is added.
        class_addMethod(object_class, sel_registerName(published_class), IMPLEMENTATION(published_functions),
                        "^v16@0:8");
    }
    published = objc_allocateClassPair(object_class, published_class, 0);
    class_addMethod(object_getClass((id)published), functions_selector, IMPLEMENTATION(published_functions),
                    "^v16@0:8");
    objc_registerClassPair(published);
}

#pragma GCC visibility pop
