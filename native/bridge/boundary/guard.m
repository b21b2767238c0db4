// SPDX-License-Identifier: Apache-2.0
#import "guard.h"
#import "errors.h"
#import "forked_error.h"
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
    // A child that is forked before the second line has inherited nothing, and one that is forked after it has the
    // error.
    applevz_forked_error_prepare();
    atomic_store(&machines_in_use, true);
}

bool applevz_machines_were_inherited(void) {
    return atomic_load_explicit(&machines_inherited, memory_order_relaxed);
}

CFErrorRef applevz_guard(__attribute__((noescape)) NSError *_Nullable (^__unsafe_unretained body)(void)) {
    if (applevz_machines_were_inherited())
        return applevz_forked_error_copy();
    // The error is handed over inside the pool: its own reference carries it past the pool's end.
    @autoreleasepool {
        @try {
            return applevz_hand_over_error(body());
        } @catch (NSException *exception) {
            return applevz_hand_over_error(applevz_error_from_exception(exception));
        }
    }
}

NSError *applevz_error_raised_by(__attribute__((noescape)) void (^__unsafe_unretained body)(void)) {
    @try {
        body();
        return nil;
    } @catch (NSException *exception) {
        return applevz_error_from_exception(exception);
    }
}

void applevz_guard_infallible(__attribute__((noescape)) void (^__unsafe_unretained body)(void)) {
    if (applevz_machines_were_inherited())
        return;
    @autoreleasepool {
        @try {
            body();
        } @catch (NSException *exception) {
            NSLog(@"applevz: %@: %@", exception.name, exception.reason);
        }
    }
}
