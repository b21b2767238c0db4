// SPDX-License-Identifier: Apache-2.0
#include <dispatch/semaphore.h>

#include <errno.h>

#include "object_core.h"
#include "timed_wait.h"

@interface DispatchSemaphore : DispatchObject <OS_dispatch_semaphore>
@end
@implementation DispatchSemaphore
@end

struct semaphore {
    struct object object;
    pthread_mutex_t lock;
    pthread_cond_t signalled;
    intptr_t value;
    intptr_t first_value;
    unsigned waiting;
};

static struct queue *semaphore_dispose(struct object *object) {
    struct semaphore *semaphore = (struct semaphore *)object;
    // Orders this after all who used the object, also for a tool that cannot see the reference counts of Foundation.
    pthread_mutex_lock(&semaphore->lock);
    intptr_t missing = semaphore->first_value - semaphore->value;
    pthread_mutex_unlock(&semaphore->lock);
    if (missing > 0) {
        dispatch_fail("dispatch_release", "a semaphore is released while in use: signals missing: %ld", (long)missing);
    }
    pthread_cond_destroy(&semaphore->signalled);
    pthread_mutex_destroy(&semaphore->lock);
    return NULL;
}

static const struct object_operations semaphore_operations = {.name = "dispatch_semaphore_create",
                                                              .dispose = semaphore_dispose};

dispatch_semaphore_t dispatch_semaphore_create(intptr_t value) {
    if (value < 0) {
        return (dispatch_semaphore_t _Nonnull)nil;
    }
    struct semaphore *semaphore = object_allocate(sizeof *semaphore, &semaphore_operations);
    semaphore->value = semaphore->first_value = value;
    pthread_mutex_init(&semaphore->lock, NULL);
    pthread_cond_init(&semaphore->signalled, NULL);
    return [[DispatchSemaphore alloc] initWithCore:semaphore];
}

intptr_t dispatch_semaphore_wait(dispatch_semaphore_t object, dispatch_time_t timeout) {
    struct semaphore *semaphore = CORE(object);
    if (process_is_inherited()) {
        return semaphore->value > 0 ? (semaphore->value--, 0) : ETIMEDOUT;
    }
    int error = 0;
    pthread_mutex_lock(&semaphore->lock);
    if (semaphore->value == 0 && timeout == DISPATCH_TIME_NOW) {
        error = ETIMEDOUT;
    } else if (semaphore->value == 0) {
        struct timed_wait until = timed_wait_until(timeout);
        worker_pool_wait_begin();
        semaphore->waiting++;
        while (semaphore->value == 0 && error != ETIMEDOUT) {
            error = timed_wait_once(&until, &semaphore->signalled, &semaphore->lock);
        }
        semaphore->waiting--;
        worker_pool_wait_end();
    }
    // A signal that came together with the end of the time counts.
    if (semaphore->value > 0) {
        semaphore->value--;
        error = 0;
    }
    pthread_mutex_unlock(&semaphore->lock);
    return error;
}

intptr_t dispatch_semaphore_signal(dispatch_semaphore_t object) {
    struct semaphore *semaphore = CORE(object);
    if (process_is_inherited()) {
        semaphore->value++;
        return 0;
    }
    pthread_mutex_lock(&semaphore->lock);
    semaphore->value++;
    bool woke = semaphore->waiting > 0;
    if (woke) {
        pthread_cond_signal(&semaphore->signalled);
    }
    pthread_mutex_unlock(&semaphore->lock);
    return woke;
}
