// SPDX-License-Identifier: Apache-2.0
// What is autoreleased on a thread that has no pool. GNUstep writes a line for each such object and leaks it; Apple's
// runtime keeps it for the thread and releases it when the thread ends, and so does this.
//
// The objects are in an array of the thread's own rather than in a pool of GNUstep's: those end with GNUstep's object
// for the thread, which may be when somebody else lets go of it, and on another thread. The destructor of a key empties
// the array. The key is made before GNUstep makes its own, so that its destructor comes first and the objects find the
// thread as they knew it; what later destructors autorelease is released when the key, set again, is destroyed again.
//
// The main thread keeps its objects: it ends with the process, and so on macOS.
#include "runtime.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#pragma GCC visibility push(hidden)

struct thread_pool {
    id *objects;
    size_t count, capacity;
    bool has_key; // whose destructor will empty it
};

static _Thread_local struct thread_pool thread_pool;
static pthread_key_t key;
static SEL current_pool_selector, add_selector;
static id pool_class;

// The last one first: it may be the one that knows the others. Each may autorelease more.
static void empty(struct thread_pool *pool) {
    while (pool->count > 0) {
        objc_release(pool->objects[--pool->count]);
    }
    free(pool->objects);
    pool->objects = NULL;
    pool->capacity = 0;
}

static void thread_ends(void *argument) {
    struct thread_pool *pool = argument;
    pool->has_key = false;
    // A thread that forked is its child's main one: what its objects stand for belongs to the parent.
    if (syscall(SYS_gettid) != getpid()) {
        empty(pool);
    }
}

static void keep_for_thread(id object) {
    struct thread_pool *pool = &thread_pool;
    if (pool->count == pool->capacity) {
        size_t capacity = pool->capacity > 0 ? 2 * pool->capacity : 32;
        id *objects = realloc(pool->objects, capacity * sizeof *objects);
        if (!objects) {
            runtime_fatal("out of memory while autoreleasing");
        }
        pool->objects = objects;
        pool->capacity = capacity;
    }
    pool->objects[pool->count++] = object;
    if (!pool->has_key) {
        pool->has_key = true;
        pthread_setspecific(key, pool);
    }
}

static void add(id object) {
    id pool = METHOD(id, objc_msg_lookup(pool_class, current_pool_selector))(pool_class, current_pool_selector);
    if (pool) {
        ((void (*)(id, SEL, id))(void (*)(void))objc_msg_lookup(pool, add_selector))(pool, add_selector, object);
    } else if (object) {
        keep_for_thread(object);
    }
}

static void add_object(id self, SEL selector, id object) {
    (void)self, (void)selector;
    add(object);
}

static id autorelease(id self, SEL selector) {
    (void)selector;
    add(self);
    return self;
}

// Before the first message of all: +[NSObject initialize] remembers the method of pools. Where it has been sent
// already, NSObject's own method, which uses what it remembers, is replaced as well.
void runtime_start_thread_pools(void) {
    Class class = objc_getRequiredClass("NSAutoreleasePool");
    Class meta = object_getClass((id)class);
    if (!class_addMethod(meta, sel_registerName("applevzAddToThreadPool:"), IMPLEMENTATION(add_object), "v24@0:8@16")) {
        return; // another copy of the layer did all this
    }
    pool_class = (id)class;
    current_pool_selector = sel_registerName("currentPool");
    add_selector = sel_registerName("addObject:");
    pthread_key_create(&key, thread_ends);
    class_replaceMethod(meta, add_selector, IMPLEMENTATION(add_object), "v24@0:8@16");
    Class object_class = objc_getRequiredClass("NSObject");
    class_replaceMethod(object_class, sel_registerName("autorelease"), IMPLEMENTATION(autorelease), "@16@0:8");
    // To add a method makes the dispatch tables anew, also those of classes that inherit and were used already.
    class_addMethod(object_class, sel_registerName("applevzAutorelease"), IMPLEMENTATION(autorelease), "@16@0:8");
}

#pragma GCC visibility pop
