// SPDX-License-Identifier: Apache-2.0
// The main queue's work runs on the main thread, in order, whichever way that thread serves it.
#include "dispatch_support.h"
#import <Foundation/NSDate.h>
#import <Foundation/NSRunLoop.h>

enum { ITEMS = 1000 };
static pthread_t main_thread;
static int next;
static bool complete;

static void submit_from_elsewhere(void (^completion)(void)) {
    dispatch_queue_t above = dispatch_queue_create_with_target("above", NULL, dispatch_get_main_queue());
    dispatch_async(dispatch_get_global_queue(0, 0), ^{
        for (int item = 0; item < ITEMS; item++) {
            void (^work)(void) = ^{
                CHECK(pthread_equal(pthread_self(), main_thread));
                dispatch_assert_queue(dispatch_get_main_queue());
                CHECK(next == item, "item %d, expected %d", item, next);
                next++;
            };
            if (item % 100 == 50) {
                dispatch_sync(dispatch_get_main_queue(), work);
            } else {
                dispatch_async(dispatch_get_main_queue(), work);
            }
        }
        dispatch_sync(above, ^{
            CHECK(pthread_equal(pthread_self(), main_thread));
            CHECK(strcmp(dispatch_queue_get_label(DISPATCH_CURRENT_QUEUE_LABEL), "above") == 0);
            CHECK(next == ITEMS);
        });
        dispatch_async(above, ^{
            dispatch_assert_queue(above);
            dispatch_assert_queue(dispatch_get_main_queue());
            completion();
        });
    });
}

/// Work that adds work, by the main thread itself: nobody but it wakes its run loop.
static void add_more(int left) {
    dispatch_async(dispatch_get_main_queue(), ^{
        if (left > 0)
            add_more(left - 1);
        else
            complete = true;
    });
}

static void chain_in_the_run_loop(void) {
    NSDate *begun = [NSDate date];
    complete = false;
    add_more(100);
    while (!complete)
        [[NSRunLoop currentRunLoop] runMode:NSDefaultRunLoopMode beforeDate:[NSDate dateWithTimeIntervalSinceNow:30]];
    CHECK(-[begun timeIntervalSinceNow] < 20, "the run loop waited while there was work");
}

int main(int argc, char **argv) {
    @autoreleasepool {
        main_thread = pthread_self();
        CHECK(strcmp(dispatch_queue_get_label(DISPATCH_CURRENT_QUEUE_LABEL), "com.apple.main-thread") == 0);
        dispatch_async(dispatch_get_main_queue(), ^{
            CHECK(next == 0, "work of the main thread's own came late");
        });
        if (argc > 1 && strcmp(argv[1], "run-loop") == 0) {
            submit_from_elsewhere(^{
                complete = true;
            });
            while (!complete) {
                [[NSRunLoop currentRunLoop] runMode:NSDefaultRunLoopMode
                                         beforeDate:[NSDate dateWithTimeIntervalSinceNow:0.1]];
            }
            CHECK(next == ITEMS);
            chain_in_the_run_loop();
            return 0;
        }
        submit_from_elsewhere(^{
            exit(next == ITEMS ? 0 : 1);
        });
    }
    dispatch_main();
}
