// SPDX-License-Identifier: Apache-2.0
// Each way of using dispatch wrongly that Apple's ends the process for, by name: a line that says what was wrong, and
// abort(). Without one it would hang, or corrupt what others do.
#include "dispatch_support.h"
#import <Foundation/NSException.h>
#import <Foundation/NSString.h>

static void serve_for_ever(void) {
    dispatch_semaphore_t never = dispatch_semaphore_create(0);
    dispatch_semaphore_wait(never, PATIENCE);
}

static void misuse(const char *name) {
    dispatch_queue_t queue = dispatch_queue_create("the-queue", NULL);
    dispatch_queue_t other = dispatch_queue_create_with_target("the-other", NULL, queue);
    dispatch_queue_t concurrent = dispatch_queue_create("the-concurrent", DISPATCH_QUEUE_CONCURRENT);
    dispatch_queue_t above_main = dispatch_queue_create_with_target("above-main", NULL, dispatch_get_main_queue());
    static dispatch_once_t once;
    struct {
        const char *name;
        dispatch_block_t block;
    } cases[] = {// clang-format off
        {"sync-on-itself", ^{ dispatch_sync(queue, ^{ dispatch_sync(queue, ^{}); }); }},
        {"sync-on-itself-in-async", ^{ dispatch_async(queue, ^{ dispatch_sync(queue, ^{}); }); serve_for_ever(); }},
        {"sync-on-target", ^{ dispatch_sync(other, ^{ dispatch_sync(queue, ^{}); }); }},
        {"sync-on-target-in-async", ^{ dispatch_async(other, ^{ dispatch_sync(queue, ^{}); }); serve_for_ever(); }},
        {"sync-on-main", ^{ dispatch_sync(dispatch_get_main_queue(), ^{}); }},
        {"sync-above-main", ^{ dispatch_sync(above_main, ^{}); }},
        {"barrier-inside", ^{ dispatch_sync(concurrent, ^{ dispatch_barrier_sync(concurrent, ^{}); }); }},
        {"sync-behind-barrier", ^{
             dispatch_sync(concurrent, ^{
                 dispatch_barrier_async(concurrent, ^{});
                 dispatch_sync(concurrent, ^{});
             });
         }},
        {"main-elsewhere", ^{ dispatch_async(queue, ^{ dispatch_main(); }); serve_for_ever(); }},
        {"once-in-itself", ^{ dispatch_once(&once, ^{ dispatch_once(&once, ^{}); }); }},
        {"assert-queue", ^{ dispatch_sync(queue, ^{ dispatch_assert_queue(concurrent); }); }},
        {"assert-queue-not", ^{ dispatch_sync(other, ^{ dispatch_assert_queue_not(queue); }); }},
        {"assert-barrier", ^{ dispatch_sync(concurrent, ^{ dispatch_assert_queue_barrier(concurrent); }); }},
        {"resume-too-often", ^{ dispatch_resume(queue); }},
        {"leave-too-often", ^{ dispatch_group_leave(dispatch_group_create()); }},
        {"release-suspended", ^{ @autoreleasepool { dispatch_suspend(dispatch_queue_create("gone", NULL)); } }},
        {"release-inactive", ^{
             @autoreleasepool { (void)dispatch_source_create(DISPATCH_SOURCE_TYPE_TIMER, 0, 0, nil); }
         }},
        {"release-semaphore", ^{
             @autoreleasepool {
                 dispatch_semaphore_wait(dispatch_semaphore_create(1), DISPATCH_TIME_NOW);
             }
         }},
        {"null-queue", ^{ dispatch_async((dispatch_queue_t _Nonnull)dispatch_get_global_queue(4711, 0), ^{}); }},
        {"own-target", ^{ dispatch_set_target_queue(queue, queue); }},
        {"exception-async", ^{
             dispatch_async(queue, ^{ [NSException raise:@"TheName" format:@"the reason %d", 7]; });
             serve_for_ever();
         }},
        {"exception-sync", ^{
             @try {
                 dispatch_sync(queue, ^{ [NSException raise:@"TheName" format:@"the reason %d", 7]; });
             } @catch (NSException *exception) {
                 _exit(0);
             }
         }},
        {"exception-once", ^{ dispatch_once(&once, ^{ @throw @"a string, not an exception"; }); }},
// clang-format on
}
;
for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    if (strcmp(cases[i].name, name) == 0) {
        cases[i].block();
        return;
    }
}
CHECK(false, "there is no case %s", name);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    @autoreleasepool {
        misuse(argv[1]);
    }
    // Nothing was noticed.
    return 0;
}
