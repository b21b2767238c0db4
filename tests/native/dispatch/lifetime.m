// SPDX-License-Identifier: Apache-2.0
// A block is copied, run once and released once; a queue outlives its references until its work has run; a million
// items and their temporaries leave no memory behind.
#include "dispatch_support.h"
#import <Foundation/NSString.h>

static int alive;
static pthread_t released_on;

@interface Counted : NSObject
@end

@implementation Counted
- (instancetype)init {
    if ((self = [super init])) {
        __atomic_fetch_add(&alive, 1, __ATOMIC_SEQ_CST);
    }
    return self;
}
- (void)dealloc {
    released_on = pthread_self();
    __atomic_fetch_sub(&alive, 1, __ATOMIC_SEQ_CST);
}
@end

static void a_block_is_released_on_its_queue_after_it_ran(void) {
    dispatch_queue_t queue = dispatch_queue_create("release", NULL);
    dispatch_semaphore_t gate = dispatch_semaphore_create(0);
    static pthread_t worker;
    dispatch_async(queue, ^{
        AWAIT(gate);
        worker = pthread_self();
    });
    @autoreleasepool {
        Counted *captured = [Counted new];
        dispatch_async(queue, ^{
            CHECK(captured != nil && alive == 1);
        });
    }
    CHECK(__atomic_load_n(&alive, __ATOMIC_SEQ_CST) == 1, "released before it ran");
    dispatch_semaphore_signal(gate);
    dispatch_sync(queue, ^{
        CHECK(alive == 0, "%d of what a block captured are alive after it ran", alive);
        CHECK(pthread_equal(released_on, worker), "released on another thread than it ran on");
    });
}

static void signal_semaphore(void *semaphore) {
    dispatch_semaphore_signal((__bridge dispatch_semaphore_t)semaphore);
}

static void a_released_queue_runs_what_is_queued(void) {
    static int finalized;
    static int ran;
    dispatch_semaphore_t gate = dispatch_semaphore_create(0);
    dispatch_semaphore_t gone = dispatch_semaphore_create(0);
    @autoreleasepool {
        dispatch_queue_t queue = dispatch_queue_create("released", NULL);
        dispatch_set_context(queue, (__bridge void *)gone);
        dispatch_set_finalizer_f(queue, signal_semaphore);
        __weak dispatch_queue_t weak = queue;
        dispatch_async(queue, ^{
            AWAIT(gate);
            CHECK(weak == nil, "it is still held");
        });
        for (int i = 0; i < 1000; i++) {
            dispatch_async(queue, ^{
                ran++;
                CHECK(finalized == 0);
            });
        }
    }
    dispatch_semaphore_signal(gate);
    AWAIT(gone);
    CHECK(ran == 1000, "%d", ran);
}

static void submit(dispatch_queue_t queue, int count) {
    for (int i = 0; i < count; i++) {
        dispatch_async(queue, ^{
            // A temporary, for the item's autorelease pool.
            (void)[NSString stringWithFormat:@"%d, and enough text that it is not a small string", i];
        });
        if (i % 1000 == 0) {
            dispatch_sync(queue, ^{
                          });
        }
    }
    dispatch_sync(queue, ^{
                  });
}

static void many_items_leave_nothing_behind(int count) {
    dispatch_queue_t queue = dispatch_queue_create("million", NULL);
    submit(queue, count / 10);
    long before = resident_kibibytes();
    submit(queue, count);
    long grown = resident_kibibytes() - before;
    CHECK(grown < 1024, "%ld KiB grown in %d items", grown, count);
}

static void many_queues_leave_nothing_behind(int count) {
    long before = 0;
    dispatch_group_t ended = dispatch_group_create();
    for (int i = 0; i < count; i++) {
        if (i == count / 4) {
            before = resident_kibibytes();
        }
        @autoreleasepool {
            dispatch_queue_t queue = dispatch_queue_create("short-lived", i % 2 ? NULL : DISPATCH_QUEUE_CONCURRENT);
            dispatch_async(queue, ^{
                           });
            dispatch_source_t source = dispatch_source_create(DISPATCH_SOURCE_TYPE_TIMER, 0, 0, queue);
            dispatch_source_set_event_handler(source, ^{
                (void)[source description];
            });
            dispatch_source_set_timer(source, PATIENCE, NSEC_PER_SEC, 0);
            dispatch_group_enter(ended);
            dispatch_source_set_cancel_handler(source, ^{
                dispatch_group_leave(ended);
            });
            dispatch_resume(source);
            // Breaks the cycle of the source and its handler.
            dispatch_source_cancel(source);
        }
        // So that it is not what has yet to end that counts.
        if (i % 50 == 0) {
            CHECK(dispatch_group_wait(ended, PATIENCE) == 0);
        }
    }
    long grown = resident_kibibytes() - before;
    CHECK(grown < 1024, "%ld KiB grown in %d queues", grown, count);
}

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 1000000;
    @autoreleasepool {
        a_block_is_released_on_its_queue_after_it_ran();
        a_released_queue_runs_what_is_queued();
        // Under a sanitizer memory that was freed stays resident for a while: smaller counts check the logic only.
        if (count) {
            many_items_leave_nothing_behind(count);
            many_queues_leave_nothing_behind(count / 20);
        }
    }
    return 0;
}
