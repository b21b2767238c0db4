// SPDX-License-Identifier: Apache-2.0
#import "guard.h"
#import "errors.h"
#import "ownership.h"
#import <pthread.h>
#import <stdatomic.h>

static atomic_bool machines_in_use;
static atomic_bool machines_inherited;

static void forked_child(void) {
    if (atomic_load(&machines_in_use))
        atomic_store(&machines_inherited, true);
}

__attribute__((constructor)) static void watch_for_fork(void) {
    pthread_atfork(NULL, NULL, forked_child);
}

void applevz_machines_are_in_use(void) {
    atomic_store(&machines_in_use, true);
}

bool applevz_machines_were_inherited(void) {
    return atomic_load_explicit(&machines_inherited, memory_order_relaxed);
}

CFErrorRef applevz_guard_everywhere(__attribute__((noescape)) NSError *_Nullable (^body)(void)) {
    // The error is handed over inside the pool: its own reference carries it past the pool's end.
    @autoreleasepool {
        @try {
            return applevz_hand_over_error(body());
        } @catch (NSException *exception) {
            return applevz_hand_over_error(applevz_error_from_exception(exception));
        }
    }
}

CFErrorRef applevz_guard(__attribute__((noescape)) NSError *_Nullable (^body)(void)) {
    if (applevz_machines_were_inherited())
        return applevz_guard_everywhere(^NSError *_Nullable {
            return applevz_error(AppleVZErrorDomain, APPLEVZ_BRIDGE_ERROR_FORKED,
                                 @"Virtual machines cannot be used in this process.",
                                 @"The process was forked from one that had begun to use virtual machines; its "
                                 @"machines, threads and queues stayed there.",
                                 @"Start the child anew (multiprocessing's \"spawn\" method, or subprocess), or fork "
                                 @"before the first machine is made.");
        });
    return applevz_guard_everywhere(body);
}

void applevz_guard_infallible(__attribute__((noescape)) void (^body)(void)) {
    @autoreleasepool {
        @try {
            body();
        } @catch (NSException *exception) {
            NSLog(@"applevz: %@: %@", exception.name, exception.reason);
        }
    }
}
