// SPDX-License-Identifier: Apache-2.0
// The process ends at once whatever dispatch is doing, and no work begins once exit() runs handlers.
#include "dispatch_support.h"

static bool torn_down;

static void tear_down(void) {
    // What was about to begin may still do so, for a moment; after that nothing may.
    usleep(100000);
    __atomic_store_n(&torn_down, true, __ATOMIC_SEQ_CST);
    give_it_a_chance();
    dispatch_queue_t queue = dispatch_queue_create("late", NULL);
    dispatch_async(queue, ^{
        CHECK(false, "work was begun after exit()");
    });
    // What is queued will never run; to wait for it would be for ever.
    __block bool ran = false;
    dispatch_sync(queue, ^{
        ran = true;
    });
    CHECK(ran);
}

int main(int argc, char **argv) {
    atexit(tear_down);
    @autoreleasepool {
        for (int i = 0; i < 8; i++) {
            dispatch_queue_t queue = dispatch_queue_create("busy", NULL);
            for (int item = 0; item < 20000; item++) {
                dispatch_async(queue, ^{
                    bool late = __atomic_load_n(&torn_down, __ATOMIC_SEQ_CST);
                    usleep(2000);
                    CHECK(!late, "work began after exit()");
                });
            }
        }
        dispatch_source_t timer = dispatch_source_create(DISPATCH_SOURCE_TYPE_TIMER, 0, 0, nil);
        dispatch_source_set_event_handler(timer, ^{
            CHECK(!__atomic_load_n(&torn_down, __ATOMIC_SEQ_CST));
        });
        dispatch_source_set_timer(timer, DISPATCH_TIME_NOW, NSEC_PER_MSEC, 0);
        dispatch_resume(timer);
        dispatch_async(dispatch_get_global_queue(0, 0), ^{
            dispatch_semaphore_wait(dispatch_semaphore_create(0), DISPATCH_TIME_FOREVER);
        });
        give_it_a_chance();
        if (argc > 1 && strcmp(argv[1], "from-a-block") == 0) {
            dispatch_async(dispatch_queue_create("last", NULL), ^{
                exit(0);
            });
            dispatch_main();
        }
        return (void)timer, 0;
    }
}
