// SPDX-License-Identifier: Apache-2.0
// The ownership entry points of ARC, as messages to GNUstep's NSObject. Blocks are objects here (blocks.c), so
// nothing in this file asks what it was given.
#include "runtime.h"

#pragma GCC visibility push(hidden)

static SEL retain_selector, release_selector, autorelease_selector, alloc_selector, init_selector, drain_selector;
static Class pool_class;
Class runtime_constant_string_class;

void runtime_register_selectors(void) {
    retain_selector = sel_registerName("retain");
    release_selector = sel_registerName("release");
    autorelease_selector = sel_registerName("autorelease");
    alloc_selector = sel_registerName("alloc");
    init_selector = sel_registerName("init");
    drain_selector = sel_registerName("drain");
    pool_class = objc_getRequiredClass("NSAutoreleasePool");
    runtime_constant_string_class = objc_getRequiredClass("NSConstantString");
}

// Most of what is retained for a moment are texts that stand in the program and do not count.
static inline bool is_counted(id object) {
    return object && object->class_pointer != runtime_constant_string_class;
}

static inline id send(id object, SEL selector) {
    return METHOD(id, objc_msg_lookup(object, selector))(object, selector);
}

id objc_retain(id object) {
    return is_counted(object) ? send(object, retain_selector) : object;
}

void objc_release(id object) {
    if (is_counted(object)) {
        METHOD(void, objc_msg_lookup(object, release_selector))(object, release_selector);
    }
}

id objc_autorelease(id object) {
    return object ? send(object, autorelease_selector) : nil;
}

id objc_retainAutorelease(id object) {
    return objc_autorelease(objc_retain(object));
}

// Handing a returned object over without the pool is an optimisation that the caller must take part in; GNUstep's
// methods do not, so a returned object always goes through the pool.
id objc_autoreleaseReturnValue(id object) {
    return objc_autorelease(object);
}

id objc_retainAutoreleaseReturnValue(id object) {
    return objc_autorelease(objc_retain(object));
}

id objc_retainAutoreleasedReturnValue(id object) {
    return objc_retain(object);
}

// The claimed value is the pool's: there is no reference to take and none to give up.
id objc_unsafeClaimAutoreleasedReturnValue(id object) {
    return object;
}

id objc_claimAutoreleasedReturnValue(id object) {
    return objc_retain(object);
}

// The new value is in place before the old one is released: the old one's -dealloc may look at the variable.
void objc_storeStrong(id *location, id value) {
    id old = *location;
    if (old == value) {
        return;
    }
    *location = objc_retain(value);
    objc_release(old);
}

void *objc_autoreleasePoolPush(void) {
    return send(send((id)pool_class, alloc_selector), init_selector);
}

void objc_autoreleasePoolPop(void *pool) {
    METHOD(void, objc_msg_lookup(pool, drain_selector))(pool, drain_selector);
}

#pragma GCC visibility pop
